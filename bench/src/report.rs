//! Sealed reports: canonical JSON with its own hash, and a signature over that. Who signed is proven, not that it is true.

use crate::canonical;
use alloy_primitives::{Address, B256, Bytes, Signature, hex};
use anyhow::{Context as _, Result, bail, ensure};
use headframe_market::typed_data::bench_report_hash;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// Most bytes of a report that is read.
pub(crate) const MAX_BYTES: u64 = 16 << 20;

/// The signature block of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    address: Address,
    /// 65 bytes r || s || v, v 27 or 28, over `bench_report_hash(tool, digest)`.
    signature: Bytes,
}

/// Somebody who signs `(tool, SHA-256 of the report)`.
pub(crate) type Sign<'a> = &'a dyn Fn(&str, B256) -> Result<(Address, Signature)>;

/// A report that verifies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verified {
    pub(crate) digest: B256,
    /// `None` for an unsigned report.
    pub(crate) signer: Option<Address>,
    pub(crate) report: Map<String, Value>,
}

/// The text of `report` with its digest and, when there is a signer, the signature. Ends with a line break.
pub(crate) fn seal(mut report: Map<String, Value>, sign: Option<Sign<'_>>) -> Result<String> {
    let digest = digest(&report)?;
    let signed = match sign {
        Some(sign) => {
            let (address, signature) = sign(tool(&report)?, digest)?;
            serde_json::to_value(Signed { address, signature: signature.as_bytes().into() })?
        }
        None => Value::Null,
    };
    report.insert("digest".into(), hex::encode(digest).into());
    report.insert("signature".into(), signed);
    let text = canonical::text(&Value::Object(report))? + "\n";
    verify(text.as_bytes()).context("the report just made does not verify; this is a bug")?;
    Ok(text)
}

/// SHA-256 of the canonical text without `digest` and `signature`.
fn digest(report: &Map<String, Value>) -> Result<B256> {
    let bare = report.iter().filter(|(key, _)| *key != "digest" && *key != "signature");
    let bare: Map<String, Value> = bare.map(|(key, value)| (key.clone(), value.clone())).collect();
    let text = canonical::text(&Value::Object(bare))?;
    Ok(B256::from(<[u8; 32]>::from(Sha256::digest(text.as_bytes()))))
}

fn tool(report: &Map<String, Value>) -> Result<&str> {
    report.get("tool").and_then(Value::as_str).context("the report names no tool")
}

/// Checks form, hash and signature of a report's file, to the byte.
pub(crate) fn verify(file: &[u8]) -> Result<Verified> {
    let value: Value = serde_json::from_slice(file).context("not JSON")?;
    let Value::Object(mut report) = value else { bail!("not a report: no JSON object") };
    let digest = digest(&report)?;
    let named = report.get("digest").and_then(Value::as_str).context("not a report: it has no digest")?;
    ensure!(named == hex::encode(digest), "changed: the report's hash is {}, it says {named}", hex::encode(digest));
    let signature = report.get("signature").context("not a report: it has no signature field")?.clone();
    let signer = match &signature {
        Value::Null => None,
        block => Some(signer(block, tool(&report)?, digest)?),
    };
    // Fields read the same can be written in many ways; only one of them is the report.
    let mut text = canonical::text(&Value::Object(report.clone()))?;
    text.push('\n');
    ensure!(text.as_bytes() == file, "changed: the file is not in canonical form");
    report.remove("signature");
    Ok(Verified { digest, signer, report })
}

fn signer(block: &Value, tool: &str, digest: B256) -> Result<Address> {
    let Signed { address, signature } = serde_json::from_value(block.clone()).context("the signature is malformed")?;
    let exact = serde_json::to_value(Signed { address, signature: signature.clone() })?;
    ensure!(exact == *block, "changed: the signature is not in canonical form");
    let signature = Signature::from_raw(&signature).context("the signature is malformed")?;
    ensure!(
        signature.as_bytes().as_slice() == Signed::deserialize(block)?.signature.as_ref(),
        "changed: odd recovery byte"
    );
    ensure!(signature.normalize_s().is_none(), "the signature has a high s; each statement has one signature");
    let found =
        signature.recover_address_from_prehash(&bench_report_hash(tool, digest)).context("the signature is none")?;
    ensure!(found == address, "the signature is not {address}'s");
    Ok(found)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::sign::{Key, sign_with_key};
    use serde_json::json;

    fn report() -> Map<String, Value> {
        let json =
            json!({"tool": "headframe-bench 0.1.0", "sustained": 3, "steps": [{"late": 0, "note": "é"}], "x": null});
        let Value::Object(report) = json else { panic!("an object") };
        report
    }

    fn signed() -> (Address, String) {
        let key = Key::from_bytes(&[7; 32]).unwrap();
        let text = seal(report(), Some(&|tool, hash| sign_with_key(&key, tool, hash))).unwrap();
        (key.address(), text)
    }

    #[test]
    fn signed_and_unsigned_reports_verify() {
        let (address, text) = signed();
        let verified = verify(text.as_bytes()).unwrap();
        assert_eq!(verified.signer, Some(address));
        assert_eq!(verified.report["sustained"], 3);
        let unsigned = seal(report(), None).unwrap();
        let bare = verify(unsigned.as_bytes()).unwrap();
        assert_eq!((bare.signer, bare.digest), (None, verified.digest), "the signature is not part of the hash");
    }

    #[test]
    fn every_changed_byte_is_found() {
        let (_, text) = signed();
        for at in 0..text.len() {
            for change in [1u8, 0x20, 0x80] {
                let mut bytes = text.clone().into_bytes();
                bytes[at] ^= change;
                assert!(verify(&bytes).is_err(), "byte {at} of {text}");
            }
            let mut missing = text.clone().into_bytes();
            missing.remove(at);
            assert!(verify(&missing).is_err(), "without byte {at} of {text}");
        }
        assert!(verify(format!("{text} ").as_bytes()).is_err());
        assert!(verify(b"").is_err() && verify(b"[]").is_err() && verify(b"{}").is_err());
    }

    #[test]
    fn a_rewritten_report_needs_a_new_signature() {
        let (_, text) = signed();
        let Value::Object(mut forged) = serde_json::from_str(&text).unwrap() else { panic!("an object") };
        forged.insert("sustained".into(), 300.into());
        let digest = digest(&forged).unwrap();
        forged.insert("digest".into(), hex::encode(digest).into());
        let forged = canonical::text(&Value::Object(forged)).unwrap() + "\n";
        let error = verify(forged.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("signature"), "{error}");
    }

    #[test]
    fn the_other_s_is_refused() {
        let (_, text) = signed();
        let Value::Object(mut report) = serde_json::from_str(&text).unwrap() else { panic!("an object") };
        let mut block: Signed = serde_json::from_value(report["signature"].clone()).unwrap();
        let low = Signature::from_raw(&block.signature).unwrap();
        let order = alloy_primitives::uint!(0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141_U256);
        let high = Signature::new(low.r(), order - low.s(), !low.v());
        block.signature = high.as_bytes().into();
        report.insert("signature".into(), serde_json::to_value(block).unwrap());
        let text = canonical::text(&Value::Object(report)).unwrap() + "\n";
        assert!(verify(text.as_bytes()).unwrap_err().to_string().contains("high s"));
    }
}
