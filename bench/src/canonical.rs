//! One JSON text for one value, so that a hash of it means something: keys sorted by their bytes, no white space,
//! integers only (RFC 8785 without its rules for fractions, which reports do not have).

use serde_json::Value;
use std::fmt::Write as _;

/// A number that is not an integer between -2^63 and 2^64-1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotCanonical(pub(crate) String);

impl std::fmt::Display for NotCanonical {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "number {} is no integer; a report has integers only", self.0)
    }
}

impl std::error::Error for NotCanonical {}

/// The text of `value`.
pub(crate) fn text(value: &Value) -> Result<String, NotCanonical> {
    let mut out = String::new();
    write(&mut out, value)?;
    Ok(out)
}

fn write(out: &mut String, value: &Value) -> Result<(), NotCanonical> {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => {
            let _ = write!(out, "{value}");
        }
        Value::Number(number) if number.is_u64() || number.is_i64() => {
            let _ = write!(out, "{number}");
        }
        Value::Number(number) => return Err(NotCanonical(number.to_string())),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write(out, item)?;
            }
            out.push(']');
        }
        Value::Object(fields) => {
            // Sorted here: whether the map keeps an order depends on features that other crates choose.
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| key.as_bytes());
            out.push('{');
            for (i, (key, item)) in fields.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                let _ = write!(out, "{}:", Value::from(key.as_str()));
                write(out, item)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn order_and_space_do_not_matter() {
        let a: Value =
            serde_json::from_str(r#"{"b": [1, -2, {"y":null,"x":true}], "a": "\u00e9\n\"", "B": {} }"#).unwrap();
        let b: Value = serde_json::from_str(r#"{"B":{},"a":"é\n\"","b":[1,-2,{"x":true,"y":null}]}"#).unwrap();
        let want = r#"{"B":{},"a":"é\n\"","b":[1,-2,{"x":true,"y":null}]}"#;
        assert_eq!(text(&a).unwrap(), want);
        assert_eq!(text(&b).unwrap(), want);
        assert_eq!(serde_json::from_str::<Value>(want).unwrap(), a);
    }

    #[test]
    fn fractions_are_refused() {
        for json in ["1.5", "[1e3]", r#"{"a":{"b":18446744073709551616}}"#] {
            assert!(text(&serde_json::from_str(json).unwrap()).is_err(), "{json}");
        }
        assert_eq!(text(&Value::from(u64::MAX)).unwrap(), "18446744073709551615");
    }
}
