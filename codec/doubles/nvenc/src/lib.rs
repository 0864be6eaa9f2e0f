//! Test double of `libnvidia-encode`: encodes H.264, HEVC and AV1 with libx264, libx265 and libaom, from memory of whichever
//! CUDA library lies beside it. Strict where the real one is forgiving: version words must be those of the API that the session
//! was opened for, reserved fields zero, every buffer in the state that a call needs, everything given back before the
//! session is closed, registered memory still there.
//!
//! It is told: `api` (`13.0`), `sessions` (most at once in this process, 64), `engines` (1), `codecs`
//! (`h264,hevc,av1`; AV1 where the API has it), `system` and `speed` (1037, see `system`), `spoil` (`all`, or
//! `reconfigured`: all sessions, or those that were reconfigured, encode grey pictures whatever they are given),
//! `client` (`ffmpeg`: what FFmpeg leaves out is taken, as drivers take it: the largest size, the size of a picture,
//! colours, a version; and a session that is refused has no handle to be closed).
#![deny(unsafe_code)]

mod api;
mod check;
mod coder;
mod maker;
mod session;
mod system;
#[cfg(test)]
mod tests;

use headframe_double_ledger::{Ledger, Table};
use headframe_nv_sys::Api;

use crate::session::Session;

static LEDGER: Ledger = Ledger::new("nvenc");
static SESSIONS: Table<Session> = Table::new(0xE000_0000);

fn live() -> [(&'static str, usize); 4] {
    SESSIONS.all(|sessions| {
        let sum = |count: fn(&Session) -> usize| sessions.values().map(count).sum();
        [
            ("session", sessions.len()),
            ("registered resource", sum(|session| session.resources.len())),
            ("mapped resource", sum(|session| session.mapped.len())),
            ("bitstream buffer", sum(|session| session.buffers.len())),
        ]
    })
}

/// Major and minor number of the API that this driver has, which may be one that nobody knows.
fn driver_api() -> (u32, u32) {
    let told = LEDGER.value("api").unwrap_or_else(|| "13.0".into());
    let (major, minor) = told.split_once('.').unwrap_or((&told, "0"));
    (major.parse().unwrap_or(0), minor.parse().unwrap_or(0))
}

/// The API that a client asks for by its word, if this driver has it.
fn client_api(word: u32) -> Option<Api> {
    Api::ALL.into_iter().find(|api| api.word() == word && api.numbers() <= driver_api())
}
