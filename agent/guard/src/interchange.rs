//! The interchange format: all that a guard database holds, as JSON that people and other programs can read.
//!
//! `docs/slashing-protection.md` describes it, `vectors/` holds cases that any implementation can run. The records are
//! also what the audit chain hashes, as their compact JSON with the fields in the order given here.

use crate::rules::{self, NotSafe, Pinned};
use headframe_market::{Address, Addresses, B256, Bytes, Role};
use serde::{Deserialize, Serialize};
use std::io::Read;

/// What the field `format` says.
pub const FORMAT: &str = "headframe-guard";
/// The only version there is.
pub const VERSION: u32 = 1;
/// A longer document is not read: five million segments fit.
pub const MAX_DOCUMENT: u64 = 4 << 30;

/// A whole database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u32,
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Hash of block 0.
    pub genesis: B256,
    /// The contracts.
    pub contracts: Addresses,
    /// Whose signatures these are.
    pub address: Address,
    /// `operator` or `client`.
    pub role: RoleName,
    /// Starts and backups of the database so far.
    pub generation: u64,
    /// The database that this comes from signs nothing more: no statement is missing here.
    #[serde(rename = "final")]
    pub is_final: bool,
    /// Length and last hash of the audit chain, for people to compare; not imported.
    pub audit: Head,
    /// Account nonces below were used before the database; `null` when nobody has told yet.
    pub nonce_floor: Option<u64>,
    /// Account nonces and the calls they are bound to, rising.
    pub nonces: Vec<Nonce>,
    /// Jobs, rising.
    pub jobs: Vec<Job>,
}

/// The end of an audit chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Number of entries.
    pub entries: u64,
    /// Hash of the last, zeros for none.
    pub hash: B256,
}

/// See [`Role`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RoleName {
    /// Transcodes and claims.
    Operator,
    /// Orders and pays.
    Client,
}

/// An account nonce and the one call it is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nonce {
    /// The nonce.
    pub nonce: u64,
    /// keccak256(recipient || value as 16 bytes || calldata).
    pub call: B256,
    /// A word for people.
    pub kind: String,
}

/// What was signed for one job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Its number.
    pub job: u64,
    /// Who ordered; `null` when nothing was signed and only the floor is known.
    pub client: Option<Address>,
    /// Nothing new is signed for segments below.
    pub floor: u64,
    /// Receipts (operator) or orders (client), rising; there may be gaps.
    pub segments: Vec<Statement>,
    /// Claims, rising.
    pub claims: Vec<Claim>,
}

/// One segment's order, and an operator's receipt for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// Segment number.
    pub seq: u64,
    /// Content root of the source.
    pub src_root: B256,
    /// Its length.
    pub src_bytes: u64,
    /// Its duration.
    pub duration_ms: u32,
    /// The receipt; `null` in a client's database.
    pub receipt: Option<Receipt>,
}

/// The operator's side of a [`Statement`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The client's signature under the order, 65 bytes r || s || v.
    pub client_signature: Bytes,
    /// Root over the renditions.
    pub out_root: B256,
    /// Work done.
    pub units: u64,
    /// Length of the renditions.
    pub out_bytes: u64,
}

/// A claim that was signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// First segment.
    pub first: u64,
    /// Number of segments.
    pub count: u32,
    /// Root of the Merkle-sum tree.
    pub root: B256,
    /// All its units.
    pub units: u64,
    /// The account nonce it is bound to.
    pub nonce: u64,
}

/// Why a document is not taken over. Nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Not a document of this format and version.
    #[error("not a document of headframe-guard, version {VERSION}: {0}")]
    Format(String),
    /// It contradicts itself or the rules.
    #[error("the document is not whole: {0}")]
    Broken(String),
    /// Document and database hold different statements for one thing: both were signed.
    #[error(
        "{0}: the document and the database hold different statements, and both were signed with this key. Whoever has \
         both signatures can show them; no import mends that. Stop using the key, and find out which two signers ran"
    )]
    Contradiction(String),
    /// Another chain, contract, key or role; or the database itself.
    #[error(transparent)]
    NotSafe(#[from] NotSafe),
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Operator => Self::Operator,
            RoleName::Client => Self::Client,
        }
    }
}

impl From<Role> for RoleName {
    fn from(role: Role) -> Self {
        match role {
            Role::Operator => Self::Operator,
            Role::Client => Self::Client,
        }
    }
}

impl Document {
    /// Reads a document and checks what can be checked without a database.
    pub fn read(from: impl Read) -> Result<Self, ImportError> {
        let mut text = Vec::new();
        let read = from.take(MAX_DOCUMENT + 1).read_to_end(&mut text);
        read.map_err(|error| ImportError::Format(error.to_string()))?;
        if text.len() as u64 > MAX_DOCUMENT {
            return Err(ImportError::Format(format!("longer than {MAX_DOCUMENT} bytes")));
        }
        let document: Self = serde_json::from_slice(&text).map_err(|error| ImportError::Format(error.to_string()))?;
        document.check()?;
        Ok(document)
    }

    /// Format and version, and that everything rises.
    pub fn check(&self) -> Result<(), ImportError> {
        if (self.format.as_str(), self.version) != (FORMAT, VERSION) {
            return Err(ImportError::Format(format!("it says {:?}, version {}", self.format, self.version)));
        }
        let broken = |what: String| Err(ImportError::Broken(what));
        if !self.nonces.is_sorted_by(|a, b| a.nonce < b.nonce) {
            return broken("nonces do not rise".into());
        }
        if !self.jobs.is_sorted_by(|a, b| a.job < b.job) {
            return broken("jobs do not rise".into());
        }
        for job in &self.jobs {
            let id = job.job;
            if !job.segments.is_sorted_by(|a, b| a.seq < b.seq) {
                return broken(format!("segments of job {id} do not rise"));
            }
            if !job.claims.is_sorted_by(|a, b| a.first.saturating_add(a.count.into()) <= b.first) {
                return broken(format!("claims of job {id} overlap or do not rise"));
            }
            if job.client.is_none() && !job.segments.is_empty() {
                return broken(format!("job {id} has segments and no client"));
            }
            if job.floor > rules::NO_SEGMENT.0 || job.segments.iter().any(|one| one.seq >= rules::NO_SEGMENT.0) {
                return broken(format!("job {id} has a segment number past 2^32"));
            }
            let receipts = self.role == RoleName::Operator;
            if job.segments.iter().any(|one| one.receipt.is_some() != receipts) || (!receipts && !job.claims.is_empty())
            {
                return broken(format!("job {id} has statements of the other role"));
            }
        }
        Ok(())
    }

    /// What the database is bound to.
    pub fn pinned(&self) -> Pinned {
        let Self { chain_id, genesis, contracts: addresses, address, role, .. } = *self;
        Pinned { chain_id, genesis, addresses, address, role: role.into() }
    }
}
