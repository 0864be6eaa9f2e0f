//! Test double of `libnvcuvid`: a parser that finds pictures and a decoder that decodes them, both with libavcodec, into
//! memory of whichever CUDA library lies beside it. Strict where the real one is forgiving: a context must be current,
//! pictures must be decoded before they are mapped and given back before the decoder is, and a decoder must be made as the
//! parser said.
//!
//! Where the real parser takes any pieces of a stream, this one wants one whole access unit with each call, and to be told that
//! it is whole. Of FFmpeg (`client=ffmpeg`) it is not told and waits for the next one, as the real one must. A picture's
//! description for the decoder has the access unit and no more; the decoder takes no other. Pictures are not scaled.
//!
//! It is told: `codecs` (`h264,hevc,vp9,av1`), `decoders` (1), `width` and `height` (4096, the largest pictures),
//! `wrong` (codecs of which the first sample of every picture is off), `client`, `system` and `speed` (1450, see `system` of the ledger).
#![deny(unsafe_code)]

mod api;
mod decoder;
mod libav;
mod looked_up;
mod parser;

use headframe_double_ledger::{Ledger, Table};

use crate::decoder::Decoder;
use crate::parser::Parser;

static LEDGER: Ledger = Ledger::new("cuvid");
static DECODERS: Table<Decoder> = Table::new(0xDEC0_0000);
/// Taken out of the table while they call back, because callbacks use the decoders.
static PARSERS: Table<Option<Parser>> = Table::new(0xBA55_0000);

fn live() -> [(&'static str, usize); 3] {
    let mapped = DECODERS.all(|all| all.values().map(Decoder::mapped).sum());
    [("decoder", DECODERS.len()), ("parser", PARSERS.len()), ("mapped picture", mapped)]
}
