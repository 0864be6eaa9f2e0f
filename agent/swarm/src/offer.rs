//! The job offer as it travels: JSON in one canonical form, so that one offer is one message. A hint only; whether the
//! job exists and on which terms is for the receiver to read from the chain.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::fmt;
use std::str::FromStr;

/// The topic of job offers. Another form of [`JobOffer`] gets another number.
pub const OFFERS_TOPIC: &str = "/headframe/offers/2";
/// The longest encoding taken.
pub const MAX_OFFER_BYTES: usize = 1024;
const MAX_ENDPOINT_BYTES: usize = 256;

/// Fixed bytes, written as `0x` and lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hex<const N: usize>(pub [u8; N]);

/// A decimal number of up to 128 bits, written as a string without sign or leading zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Decimal(pub u128);

/// "This job is on chain and waits for its operator to start it, or for bids."
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobOffer {
    /// EIP-155 id of the chain the market lives on.
    pub chain_id: u64,
    /// Address of the market's contract.
    pub market: Hex<20>,
    /// The job's number there.
    pub job: u64,
    /// Where the client can be reached, `http://` or `https://`, if it wants that known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub endpoint: Option<String>,
    /// Hash of the ladder and everything else that the job demands.
    pub profile: Hex<32>,
    /// The most the client pays, in wei for each unit of work.
    pub max_price: Decimal,
    /// The last second, by the market's clock, in which the operator can start it or bids are taken.
    pub start_until: u64,
}

/// Why bytes are not an offer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OfferError {
    /// More than [`MAX_OFFER_BYTES`].
    #[error("an offer of {0} bytes; at most {MAX_OFFER_BYTES} are taken")]
    TooLong(usize),
    /// Not the JSON of an offer.
    #[error("not an offer: {0}")]
    Malformed(String),
    /// The same offer could be written in another way, so the same offer could be many messages.
    #[error("not in canonical form; write the fields in order, without spaces or unused escapes")]
    NotCanonical,
    /// A field out of its range.
    #[error("offer field {0} is out of range")]
    Field(&'static str),
}

impl JobOffer {
    /// Reads an offer from a peer: size, form and ranges, and nothing that needs the chain.
    ///
    /// # Errors
    /// See [`OfferError`]; all of them are reasons to reject the message.
    pub fn decode(bytes: &[u8]) -> Result<Self, OfferError> {
        if bytes.len() > MAX_OFFER_BYTES {
            return Err(OfferError::TooLong(bytes.len()));
        }
        let offer: Self = serde_json::from_slice(bytes).map_err(|error| OfferError::Malformed(error.to_string()))?;
        if offer.encode()? == bytes { Ok(offer) } else { Err(OfferError::NotCanonical) }
    }

    /// Writes the canonical form.
    ///
    /// # Errors
    /// `Field` for an offer that no peer would take.
    pub fn encode(&self) -> Result<Vec<u8>, OfferError> {
        self.check()?;
        serde_json::to_vec(self).map_err(|error| OfferError::Malformed(error.to_string()))
    }

    fn check(&self) -> Result<(), OfferError> {
        let positive = [("chain_id", self.chain_id), ("job", self.job), ("start_until", self.start_until)];
        if let Some((name, _)) = positive.into_iter().find(|(_, value)| *value == 0) {
            return Err(OfferError::Field(name));
        }
        if self.max_price.0 == 0 || self.max_price.0 >> 96 != 0 {
            return Err(OfferError::Field("max_price")); // the contract stores 96 bits
        }
        let reachable = |endpoint: &String| {
            let rest = endpoint.strip_prefix("http://").or(endpoint.strip_prefix("https://"));
            endpoint.len() <= MAX_ENDPOINT_BYTES
                && rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic()))
        };
        if !self.endpoint.as_ref().is_none_or(reachable) {
            return Err(OfferError::Field("endpoint"));
        }
        Ok(())
    }
}

impl<const N: usize> fmt::Display for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl<const N: usize> fmt::Debug for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<const N: usize> FromStr for Hex<N> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected 0x and {} lower-case hex digits", 2 * N);
        let digits = text.strip_prefix("0x").filter(|digits| digits.len() == 2 * N).ok_or_else(wrong)?;
        let mut bytes = [0; N];
        for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
            let [high, low] = [pair[0], pair[1]].map(|digit| match digit {
                b'0'..=b'9' => Some(digit - b'0'),
                b'a'..=b'f' => Some(digit - b'a' + 10),
                _ => None,
            });
            *byte = high.ok_or_else(wrong)? << 4 | low.ok_or_else(wrong)?;
        }
        Ok(Self(bytes))
    }
}

impl<const N: usize> Serialize for Hex<N> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Hex<N> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // `+7` and `007` parse too; they fail as not canonical.
        String::deserialize(from)?.parse().map(Self).map_err(D::Error::custom)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn offer() -> JobOffer {
        JobOffer {
            chain_id: 31337,
            market: Hex([0xab; 20]),
            job: 7,
            endpoint: Some("https://client.example:8443/x".into()),
            profile: Hex([1; 32]),
            max_price: Decimal(1 << 90),
            start_until: 1234,
        }
    }

    #[test]
    fn an_offer_travels_and_comes_out_the_same() {
        for endpoint in [None, offer().endpoint] {
            let offer = JobOffer { endpoint, ..offer() };
            assert_eq!(JobOffer::decode(&offer.encode().unwrap()), Ok(offer));
        }
        let text = String::from_utf8(offer().encode().unwrap()).unwrap();
        assert!(text.contains(r#""max_price":"1237940039285380274899124224""#), "{text}");
        let longest = JobOffer {
            chain_id: u64::MAX,
            job: u64::MAX,
            start_until: u64::MAX,
            endpoint: Some(format!("https://{}", "\"".repeat(MAX_ENDPOINT_BYTES - 8))),
            max_price: Decimal((1 << 96) - 1),
            ..offer()
        };
        assert!(longest.encode().unwrap().len() <= MAX_OFFER_BYTES, "a valid offer must fit");
    }

    #[test]
    fn one_offer_has_one_form() {
        let text = String::from_utf8(offer().encode().unwrap()).unwrap();
        for (from, to) in [
            ("{", "{ "),
            ("31337", "31337.0"),
            (r#""12379"#, r#""+12379"#),
            (r#""12379"#, r#""012379"#),
            ("client", r"\u0063lient"),
            ("0xab", "0xAB"),
            ("0xab", "ab"),
            (r#""job":7,"#, r#""job":7,"job":7,"#),
            (r#""job":7,"#, r#""job":7,"extra":1,"#),
            (r#""job":7,"#, ""),
            (r#""job":7"#, r#""job":-7"#),
            (r#""start_until":1234}"#, r#""start_until":1234,"endpoint":null}"#),
        ] {
            let other = text.replacen(from, to, 1);
            assert_ne!(other, text);
            assert!(JobOffer::decode(other.as_bytes()).is_err(), "{other}");
        }
    }

    #[test]
    fn fields_out_of_range_and_junk_are_refused() {
        let endpoint = |text: &str| Some(text.to_owned());
        for (name, bad) in [
            ("job", JobOffer { job: 0, ..offer() }),
            ("chain_id", JobOffer { chain_id: 0, ..offer() }),
            ("start_until", JobOffer { start_until: 0, ..offer() }),
            ("max_price", JobOffer { max_price: Decimal(1 << 96), ..offer() }),
            ("endpoint", JobOffer { endpoint: endpoint("file:///etc/passwd"), ..offer() }),
            ("endpoint", JobOffer { endpoint: endpoint("http://"), ..offer() }),
            ("endpoint", JobOffer { endpoint: endpoint("http://a b"), ..offer() }),
            ("endpoint", JobOffer { endpoint: endpoint(&format!("http://{}", "a".repeat(300))), ..offer() }),
        ] {
            assert_eq!(bad.encode(), Err(OfferError::Field(name)));
            let text = serde_json::to_vec(&bad).unwrap();
            assert_eq!(JobOffer::decode(&text), Err(OfferError::Field(name)));
        }
        assert_eq!(JobOffer::decode(&[b' '; 1025]), Err(OfferError::TooLong(1025)));
        assert!(JobOffer::decode(b"").is_err() && JobOffer::decode(b"\xff\xfe").is_err());
        assert!(JobOffer::decode(&[b'['; 1024]).is_err()); // deep nesting ends in an error, not in a crash
    }
}
