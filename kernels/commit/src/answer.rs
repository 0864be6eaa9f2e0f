//! Everything that an operator binds itself to for one segment: `Answers` of the contracts, and the numbers behind it.

use serde::{Deserialize, Serialize};

use crate::Hash;

/// The curves that a scaler's weights follow, by their numbers in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Curve {
    /// Catmull-Rom.
    CatmullRom = 0,
    /// Lanczos with three lobes.
    #[serde(rename = "lanczos3")]
    Lanczos3 = 1,
}

impl Curve {
    /// From its number.
    pub fn of(number: u8) -> Option<Self> {
        [Self::CatmullRom, Self::Lanczos3].into_iter().find(|curve| *curve as u8 == number)
    }
}

/// One segment. In JSON, hashes are `0x` and 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// Pictures of the decoded source, as they lie.
    #[serde(with = "hex")]
    pub source: Hash,
    /// How many these are.
    pub source_pictures: u32,
    /// The scaler's curve.
    pub curve: Curve,
    /// Whether small rungs are made from larger ones.
    pub cascade: bool,
    /// In the order's own order.
    pub rungs: Vec<Rung>,
}

/// One rendition of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rung {
    /// Luma samples per row of the pictures as the source lies.
    pub width: u32,
    /// Their luma rows.
    pub height: u32,
    /// The rendition's bytes: [`crate::ByteTree`].
    #[serde(with = "hex")]
    pub content: Hash,
    /// How many these are.
    pub bytes: u64,
    /// Pictures that the scaler makes.
    #[serde(with = "hex")]
    pub scaled: Hash,
    /// Pictures that the rendition decodes to.
    #[serde(with = "hex")]
    pub decoded: Hash,
    /// Errors between the two.
    #[serde(with = "hex")]
    pub errors: Hash,
    /// Hash of the order's limits.
    #[serde(with = "hex")]
    pub limits: Hash,
    /// Pictures of the rendition; the scaler made as many.
    pub pictures: u32,
    /// Squared error of Y, all pictures together.
    pub luma: u64,
    /// Squared error of U and V.
    pub chroma: u64,
    /// Squared error of Y of the picture where it is largest.
    pub worst_luma: u64,
    /// The same of U and V.
    pub worst_chroma: u64,
}

/// How hashes are written: `0x` and 64 hexadecimal digits.
pub mod hex {
    use crate::Hash;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    /// The text of a hash.
    pub fn text(hash: &Hash) -> String {
        hash.iter().fold("0x".to_owned(), |text, byte| format!("{text}{byte:02x}"))
    }

    /// A hash from its text; `None` for anything else.
    pub fn parse(text: &str) -> Option<Hash> {
        let digits = text.strip_prefix("0x").filter(|digits| digits.len() == 64)?;
        let mut hash = Hash::default();
        for (byte, pair) in hash.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
            let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(hash)
    }

    /// For serde.
    pub fn serialize<S: Serializer>(hash: &Hash, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&text(hash))
    }

    /// For serde.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Hash, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text).ok_or_else(|| D::Error::custom("a hash is 0x and 64 hexadecimal digits"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn answers_survive_json() {
        let hash = |byte| std::array::from_fn(|i| byte ^ i as u8);
        let rung = Rung {
            width: 64,
            height: 36,
            content: hash(1),
            bytes: 188,
            scaled: hash(2),
            decoded: hash(3),
            errors: hash(4),
            limits: hash(5),
            pictures: 7,
            luma: u64::MAX,
            chroma: 0,
            worst_luma: 5,
            worst_chroma: 6,
        };
        let answer = Answer {
            source: hash(0xf0),
            source_pictures: 7,
            curve: Curve::CatmullRom,
            cascade: true,
            rungs: vec![rung],
        };
        let text = serde_json::to_string(&answer).unwrap();
        assert!(text.contains("\"source\":\"0xf0f1f2f3"), "{text}");
        assert_eq!(serde_json::from_str::<Answer>(&text).unwrap(), answer);
        for odd in
            ["", "0x", "0x00", &"0".repeat(66), &format!("0x{}", "g".repeat(64)), &format!("0x{}", "é".repeat(32))]
        {
            assert_eq!(hex::parse(odd), None, "{odd}");
        }
        assert_eq!([0, 1, 2].map(Curve::of), [Some(Curve::CatmullRom), Some(Curve::Lanczos3), None]);
    }
}
