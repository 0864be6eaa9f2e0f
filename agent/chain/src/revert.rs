//! Why a call reverted, as far as the bytes tell without knowing the contract.

use alloy::primitives::Bytes;
use alloy::sol_types::{Panic, Revert as Message, SolError};
use serde_json::Value;
use std::fmt;

/// A revert: the provider's text and the bytes the contract returned. The caller may know the contract's own errors
/// by their selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revert {
    /// The text the provider gave, cut to 300 characters.
    pub message: String,
    /// What the contract returned; empty when it gave nothing or the provider hides it.
    pub data: Bytes,
}

impl Revert {
    /// The reason for a person: `Error(string)`, `Panic(uint256)`, a bare selector, or the provider's words.
    pub fn reason(&self) -> String {
        if let Ok(error) = Message::abi_decode(&self.data) {
            return cut(&error.reason);
        }
        if let Ok(panic) = Panic::abi_decode(&self.data) {
            return cut(&panic.to_string());
        }
        match self.data.get(..4) {
            Some(selector) => format!("contract error {}", Bytes::copy_from_slice(selector)),
            None => self.message.clone(),
        }
    }
}

impl fmt::Display for Revert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason())
    }
}

/// Recognises a revert in a JSON-RPC error: geth and its kin use code 3, others only the text.
pub(crate) fn from_error(code: i64, message: &str, data: Option<&Value>) -> Option<Revert> {
    let text = message.to_ascii_lowercase();
    if code != 3 && !text.contains("revert") && !text.contains("vm exception") {
        return None;
    }
    // Some providers nest the bytes: {"data": {"data": "0x.."}}; some prefix them with a word.
    let data = data.map(|data| data.get("data").unwrap_or(data)).and_then(Value::as_str).unwrap_or_default();
    let start = data.find("0x").unwrap_or(data.len());
    let data = data.get(start..).unwrap_or_default().parse().unwrap_or_default();
    Some(Revert { message: cut(message), data })
}

/// The first 300 characters: a provider's text goes into logs, rows and terminals. Control characters do not.
pub(crate) fn cut(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reasons_are_found_wherever_providers_put_them() {
        let data = Bytes::from(Message::from("job is closed").abi_encode()).to_string();
        for (code, message, data) in [
            (3, "execution reverted", json!(data)),
            (-32000, "VM Exception while processing transaction", json!({ "data": data })),
            (-32015, "execution reverted", json!(format!("Reverted {data}"))),
        ] {
            let revert = from_error(code, message, Some(&data)).expect("is a revert");
            assert_eq!(revert.reason(), "job is closed");
        }
    }

    #[test]
    fn other_errors_are_not_reverts_and_odd_bytes_do_not_matter() {
        assert_eq!(from_error(-32000, "nonce too low", None), None);
        let bare = from_error(3, "execution reverted", None).expect("is a revert");
        assert_eq!(bare.reason(), "execution reverted");
        let custom = from_error(3, "execution reverted", Some(&json!("0xdeadbeef00"))).expect("is a revert");
        assert_eq!(custom.reason(), "contract error 0xdeadbeef");
        let junk = from_error(3, "execution reverted", Some(&json!("0xé"))).expect("is a revert");
        assert!(junk.data.is_empty());
        let panic = Bytes::from(Panic::from(0x11).abi_encode()).to_string();
        let panic = from_error(3, "x", Some(&json!(panic))).expect("is a revert");
        assert!(panic.reason().contains("overflow"), "{}", panic.reason());
    }

    #[test]
    fn text_of_a_provider_is_cut_and_cleaned() {
        assert_eq!(cut(&"ab\n".repeat(200)).len(), 300);
        assert!(!cut("a\u{1b}[2J").contains('\u{1b}'));
    }
}
