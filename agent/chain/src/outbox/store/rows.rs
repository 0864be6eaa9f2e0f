//! Rows as values, and values as columns.

use super::{Attempt, Entry, Result, StoreError};
use crate::outbox::fees::Fees;
use crate::outbox::intent::{Deadline, Intent, Rank, State};
use alloy::primitives::B256;
use headframe_market::{Action, BlockNo, Timestamp, Wei};
use rusqlite::Row;
use rusqlite::types::Type;

/// What [`entry`] reads, in its order.
pub(super) const COLUMNS: &str = "id, key, kind, state, created_block, nonce, gas_limit, max_fee, max_priority, hash, attempts, \
                       sent_block, block, block_hash, gas_used, fee, error, done_block, action, priority, deadline_block, \
                       deadline_time";

/// From [`COLUMNS`].
pub(super) fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let action: Option<String> = row.get(18)?;
    let action = action.map(|text| serde_json::from_str(&text).map_err(|error| unreadable(18, error))).transpose()?;
    let intent = Intent {
        key: row.get(1)?,
        kind: row.get(2)?,
        state: state(row, 3)?,
        created_block: BlockNo(number(row, 4)?),
        deadline: Deadline {
            block: maybe(row, 20, number)?.map(BlockNo),
            time: maybe(row, 21, number)?.map(Timestamp),
        },
        nonce: maybe(row, 5, number)?,
        hash: maybe(row, 9, hash)?,
        attempts: row.get(10)?,
        block: maybe(row, 12, number)?.map(BlockNo),
        gas_used: maybe(row, 14, number)?,
        fee: maybe(row, 15, wide)?.map(Wei),
        error: row.get(16)?,
        done_block: maybe(row, 17, number)?.map(BlockNo),
    };
    Ok(Entry {
        id: row.get(0)?,
        intent,
        action,
        rank: Rank::from_order(row.get(19)?),
        gas_limit: maybe(row, 6, number)?.unwrap_or_default(),
        fees: Fees {
            max_fee: maybe(row, 7, wide)?.unwrap_or_default(),
            max_priority: maybe(row, 8, wide)?.unwrap_or_default(),
        },
        sent_block: BlockNo(maybe(row, 11, number)?.unwrap_or_default()),
        hurried: maybe(row, 11, number)?.is_none(),
        block_hash: maybe(row, 13, hash)?,
    })
}

/// From a hash and raw bytes.
pub(super) fn attempt(row: &Row<'_>) -> rusqlite::Result<Attempt> {
    Ok(Attempt { hash: hash(row, 0)?, raw: row.get::<_, Vec<u8>>(1)?.into() })
}

fn maybe<T>(row: &Row<'_>, at: usize, read: fn(&Row<'_>, usize) -> rusqlite::Result<T>) -> rusqlite::Result<Option<T>> {
    match row.get_ref(at)? {
        rusqlite::types::ValueRef::Null => Ok(None),
        _ => read(row, at).map(Some),
    }
}

pub(super) fn state(row: &Row<'_>, at: usize) -> rusqlite::Result<State> {
    let name: String = row.get(at)?;
    State::from_name(&name).ok_or_else(|| unreadable(at, format!("unknown state {name:?}")))
}

fn hash(row: &Row<'_>, at: usize) -> rusqlite::Result<B256> {
    let bytes: Vec<u8> = row.get(at)?;
    B256::try_from(bytes.as_slice()).map_err(|error| unreadable(at, error))
}

/// Amounts of 128 bits are stored as decimal text.
pub(super) fn wide(row: &Row<'_>, at: usize) -> rusqlite::Result<u128> {
    let text: String = row.get(at)?;
    text.parse().map_err(|error: std::num::ParseIntError| unreadable(at, error))
}

pub(super) fn number(row: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(at)?;
    u64::try_from(value).map_err(|error| unreadable(at, error))
}

/// SQLite integers are signed. Nonces, heights and gas stay far below 2^63; a provider that claims more is cut here.
pub(super) fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn json(action: &Action) -> Result<String> {
    let text = serde_json::to_string(action);
    text.map_err(|error| StoreError::Sqlite(rusqlite::Error::ToSqlConversionFailure(error.into())))
}

fn unreadable(at: usize, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(at, Type::Text, error.into())
}
