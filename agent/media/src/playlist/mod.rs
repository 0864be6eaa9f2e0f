//! What players are told about segments. Pure text in, text out.

pub mod hls;
