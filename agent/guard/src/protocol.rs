//! What agent and signer say to each other, and the frames it travels in.
//!
//! A frame is `HFS1`, the length of its body as a big-endian `u32` of at most [`MAX_FRAME`], and the body as JSON. Each
//! request is answered by exactly one response, in order. Requests are typed: there is none that signs a given hash.

use crate::rules::Rule;
use headframe_market::machine::claim::Evidence;
use headframe_market::merkle::Leaf;
use headframe_market::{Action, Address, Addresses, B256, Bid, Bytes, JobId, Receipt, Role, Segment, SegmentNo, Wei};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::io::{self, Read, Write};
use std::path::PathBuf;

/// The longest body in bytes. The longest honest one, a page of receipts, is half of it.
pub const MAX_FRAME: u32 = 1 << 20;
/// The most receipts asked for at once.
pub const MAX_RECEIPTS: u32 = 4096;
/// The most rows in one response, so that it fits a frame; clients ask for the rest.
pub const PAGE: u32 = 1024;
const MAGIC: [u8; 4] = *b"HFS1";

/// Where the agent believes to be, and what the chain shows of the key's past. Opens every connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Hash of block 0.
    pub genesis: B256,
    /// The contracts.
    pub addresses: Addresses,
    /// Every job that this key has taken (operator) or for which it has ordered (client), with the job's next unclaimed
    /// segment on chain. A job with nothing claimed counts too: receipts for it may have been signed.
    pub claims_on_chain: Vec<(JobId, SegmentNo)>,
}

/// What the chain shows of the key at one head. Told after every [`Hello`] and on every block: before a claim is signed,
/// and to notice at once that somebody else uses the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sight {
    /// Transactions of the account in blocks, which is its next nonce.
    pub nonce: u64,
    /// Its native coin.
    pub balance: Wei,
    /// Its claims that are neither settled nor lost.
    pub open_claims: u32,
    /// Its claims, or those that are new since the last sight; at most [`PAGE`] at once.
    pub claims: Vec<SeenClaim>,
}

/// A claim as the chain shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeenClaim {
    /// The job.
    pub job: JobId,
    /// First segment.
    pub first: SegmentNo,
    /// Number of segments.
    pub count: u32,
    /// Root of its tree.
    pub root: B256,
}

/// Asks for a receipt's signature, with the order it answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiptRequest {
    /// What the client ordered.
    pub order: Segment,
    /// The client's signature under it, 65 bytes r || s || v.
    pub order_signature: Bytes,
    /// The job's client as the chain shows it.
    pub client: Address,
    /// What was delivered.
    pub receipt: Receipt,
}

/// Asks for a signed EIP-1559 transaction. The signer builds the call from the action itself.
///
/// For a nonce used before, only the three gas fields may differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransactionRequest {
    /// What it does.
    pub action: Action,
    /// Account nonce.
    pub nonce: u64,
    /// Gas limit.
    pub gas_limit: u64,
    /// Ceiling per gas, tip included.
    pub max_fee_per_gas: Wei,
    /// Ceiling of the tip per gas.
    pub max_priority_fee_per_gas: Wei,
}

/// A request. [`Request::Identify`] and [`Request::Status`] are answered before a [`Request::Hello`], the others after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Which key is this?
    Identify,
    /// Health and counts.
    Status,
    /// See [`Hello`].
    Hello(Hello),
    /// See [`Sight`].
    See(Sight),
    /// See [`ReceiptRequest`].
    SignReceipt(ReceiptRequest),
    /// A client's order.
    SignSegment(Segment),
    /// An operator's offer for a job.
    SignBid(Bid),
    /// See [`TransactionRequest`].
    SignTransaction(TransactionRequest),
    /// Kept evidence of `job` from segment `from` on, at most `limit` and at most [`PAGE`] rows, gaps left out.
    Receipts {
        /// The job.
        job: JobId,
        /// First segment.
        from: SegmentNo,
        /// 1 to [`MAX_RECEIPTS`].
        limit: u32,
    },
    /// Jobs with an id of at least `from`, at most [`PAGE`].
    Jobs {
        /// Least job id.
        from: JobId,
    },
    /// A certification report's signature, see [`headframe_market::typed_data::bench_report_hash`].
    SignReport {
        /// Name and version of the tool, at most 64 bytes.
        tool: String,
        /// SHA-256 of the report.
        report_sha256: B256,
    },
}

/// Answers a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// To [`Request::Identify`] and [`Request::Hello`].
    Identity(Identity),
    /// To [`Request::Status`].
    Status(Status),
    /// To [`Request::See`]: all of it was signed here.
    Seen,
    /// 65 bytes r || s || v, v 27 or 28.
    Signature(Bytes),
    /// A signed transaction.
    Transaction(SignedTransaction),
    /// To [`Request::Receipts`].
    Receipts(Vec<KeptReceipt>),
    /// To [`Request::Jobs`].
    Jobs(Vec<JobCounts>),
    /// This request breaks a rule.
    Refused {
        /// Which.
        rule: Rule,
        /// Why.
        reason: String,
    },
    /// Nothing is signed any more; the signer exits with code 79.
    Unsafe {
        /// What happened and what to do.
        reason: String,
    },
    /// Not done and not signed, but trying again may work: a full disk, too many connections.
    Failed {
        /// Why.
        reason: String,
    },
}

/// Whose signatures come from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The key's address.
    pub address: Address,
    /// What it does.
    pub role: Role,
}

/// The signer's state, for health pages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The database is open and answers, and nothing unsafe was seen.
    pub healthy: bool,
    /// Whether a database exists; the first [`Hello`] creates it.
    pub database_open: bool,
    /// Its path.
    pub database: PathBuf,
    /// The key.
    pub address: Address,
    /// Its role.
    pub role: Role,
    /// Receipts or orders on record.
    pub segments: u64,
    /// Claims on record.
    pub claims: u64,
    /// Account nonces on record.
    pub nonces: u64,
}

/// An EIP-1559 transaction ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedTransaction {
    /// For `eth_sendRawTransaction`.
    pub raw: Bytes,
    /// Its hash.
    pub hash: B256,
}

/// A receipt with the order it answers: all that an opening needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptReceipt {
    /// The receipt as it is claimed.
    pub leaf: Leaf,
    /// Source length as the client signed it.
    pub src_bytes: u64,
    /// Duration as the client signed it.
    pub duration_ms: u32,
    /// The client's signature, 65 bytes r || s || v.
    pub client_signature: Bytes,
}

/// A job in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobCounts {
    /// The job.
    pub job: JobId,
    /// Who pays for it.
    pub client: Address,
    /// Segments in claims; the next claim begins at this number.
    pub claimed: u64,
    /// Receipts (a client: orders) past the claimed ones, gaps not counted.
    pub unclaimed: u64,
    /// Units of those.
    pub unclaimed_units: u64,
    /// One past the highest segment number on record.
    pub end: SegmentNo,
}

impl From<KeptReceipt> for Evidence {
    fn from(kept: KeptReceipt) -> Self {
        let KeptReceipt { leaf, src_bytes, duration_ms, client_signature } = kept;
        Self { leaf, src_bytes, duration_ms, client_signature }
    }
}

/// Writes one frame.
pub fn write_frame(to: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    let mut frame = [MAGIC, [0; 4]].concat();
    serde_json::to_writer(&mut frame, message)?;
    let body = u32::try_from(frame.len() - 8).ok().filter(|len| *len <= MAX_FRAME);
    let body = body.ok_or_else(|| invalid(format!("a message of {} bytes exceeds a frame", frame.len() - 8)))?;
    frame[4..8].copy_from_slice(&body.to_be_bytes());
    to.write_all(&frame)?;
    to.flush()
}

/// Reads one frame's body; `None` at a clean end. Takes memory only for bytes that have arrived.
pub fn read_body(from: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut header = Vec::with_capacity(8);
    from.take(8).read_to_end(&mut header)?;
    if header.is_empty() {
        return Ok(None);
    }
    let Ok(header) = <[u8; 8]>::try_from(header) else { return Err(io::ErrorKind::UnexpectedEof.into()) };
    let [magic @ .., a, b, c, d] = header;
    let length = u32::from_be_bytes([a, b, c, d]);
    if magic != MAGIC {
        return Err(invalid("not a frame of this protocol (HFS1): agent and signer must be of one version".into()));
    }
    if length > MAX_FRAME {
        return Err(invalid(format!("a frame of {length} bytes; at most {MAX_FRAME} are read")));
    }
    let mut body = Vec::new();
    from.take(u64::from(length)).read_to_end(&mut body)?;
    if body.len() as u64 != u64::from(length) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(body))
}

/// Reads one message; `None` at a clean end.
pub fn read_frame<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<Option<T>> {
    match read_body(from)? {
        Some(body) => Ok(Some(serde_json::from_slice(&body)?)),
        None => Ok(None),
    }
}

fn invalid(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
