//! The only player and broadcaster protocols of Headframe: RTMP in, HLS out.
//!
//! A stream's way: [`ingest::rtmp`] takes a publisher's bytes, [`clock`] puts its frames on one timeline that survives
//! reconnects, [`segmenter`] cuts it at IDR frames, [`mux::mpegts`] writes each piece as a self-contained transport
//! stream. Whoever transcodes them hands the renditions to [`origin`], which keeps and lists them, and [`serve::http`]
//! shows them to players. [`lint`] judges playlists by the text of RFC 8216.
//!
//! This crate knows neither money nor chain nor codecs: it moves compressed frames and never decodes one.

#![forbid(unsafe_code)]

pub mod aac;
pub mod clock;
pub mod h264;
pub mod id;
pub mod ingest;
pub mod lint;
pub mod mux;
pub mod origin;
pub mod playlist;
pub mod segmenter;
pub mod serve;

pub use clock::{TICKS_PER_SECOND, Ticks};
pub use id::StreamId;
