//! `contracts/vectors/steps/*.json`: evidence of every kind, sound and spoilt, and what each step says of it. The builders
//! make it, the EVM here judges it, and the Solidity tests judge it again. HEADFRAME_WRITE_VECTORS=true writes it anew.

mod errors;
mod headers;
mod ordered;
mod receipts;
mod scale;

use crate::evm::{Outcome, Step};
use alloy::primitives::{B256, Bytes};
use alloy::sol_types::{SolError, SolValue};
use headframe_contracts::bindings::step_errors::{NotCommitted, NotSigned, OtherStatement};
use headframe_market::proof::Accusation;
use serde::{Deserialize, Serialize};

/// One call. Fields are in the order of their names, as Solidity reads them.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Vector {
    evidence: Bytes,
    name: String,
    outcome: String,
    statement: B256,
}

/// The vectors of one step.
pub(crate) struct File {
    step: Step,
    name: &'static str,
    vectors: Vec<Vector>,
}

impl File {
    pub(crate) fn new(name: &'static str, code: &Bytes) -> Self {
        Self::of(name, Step::new(code))
    }

    pub(crate) fn of(name: &'static str, step: Step) -> Self {
        Self { step, name, vectors: Vec::new() }
    }

    /// A call that has to come to this.
    pub(crate) fn add(&mut self, name: &str, accusation: &Accusation, outcome: &str) {
        let have = word(&self.step.prove(accusation).0);
        assert_eq!(have, outcome, "{}: {name}", self.name);
        let Accusation { statement, evidence } = accusation.clone();
        self.vectors.push(Vector { evidence, name: name.into(), outcome: outcome.into(), statement });
    }

    /// Compares with the committed file, or writes it.
    pub(crate) fn close(self) {
        let path = format!("{}/vectors/steps/{}.json", env!("CARGO_MANIFEST_DIR"), self.name);
        let text = format!("{}\n", serde_json::to_string_pretty(&self.vectors).unwrap());
        if std::env::var("HEADFRAME_WRITE_VECTORS").is_ok_and(|value| value == "true") {
            std::fs::create_dir_all(std::path::Path::new(&path).parent().unwrap()).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        assert!(std::fs::read_to_string(&path).unwrap() == text, "{path} is not what the builders make");
    }
}

fn word(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Fault(name) => name.clone(),
        Outcome::NothingWrong => "NothingWrong".into(),
        Outcome::OutOfShape => "OutOfShape".into(),
        Outcome::Refused(bytes) => match bytes.get(..4) {
            Some(selector) if selector == NotCommitted::SELECTOR => "NotCommitted".into(),
            Some(selector) if selector == OtherStatement::SELECTOR => "OtherStatement".into(),
            Some(selector) if selector == NotSigned::SELECTOR => "NotSigned".into(),
            Some(_) => "Panic".into(),
            None => "Malformed".into(),
        },
    }
}

/// The accusation with its evidence changed, still about the same statement.
fn changed<E>(accusation: &Accusation, change: impl FnOnce(&mut E)) -> Accusation
where
    E: SolValue + From<<E::SolType as alloy::sol_types::SolType>::RustType>,
{
    let mut evidence = E::abi_decode(&accusation.evidence).unwrap();
    change(&mut evidence);
    Accusation { statement: accusation.statement, evidence: evidence.abi_encode().into() }
}

/// Cut off, or about another statement: refused whatever the step.
fn spoilt(file: &mut File, honest: &Accusation) {
    let half = honest.evidence.slice(..honest.evidence.len() / 2);
    file.add("half of the evidence", &Accusation { evidence: half, ..honest.clone() }, "Malformed");
    file.add("another statement", &Accusation { statement: !honest.statement, ..honest.clone() }, "OtherStatement");
}
