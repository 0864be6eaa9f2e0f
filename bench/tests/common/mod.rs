//! What the tests of the program share.

use std::path::PathBuf;
use std::process::Output;

pub(crate) const LADDER: &str = r#"[{"name":"180p","width":320,"height":180,"bitrate_bps":300000},
    {"name":"90p","width":160,"height":90,"bitrate_bps":100000}]"#;

pub(crate) fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The codec program; nothing and one line where it is not built.
pub(crate) fn codec() -> Option<PathBuf> {
    let codec = std::env::var_os("HEADFRAME_CODEC")
        .map(PathBuf::from)
        .unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_headframe-bench")).with_file_name("headframe-codec"));
    if codec.is_file() {
        return Some(codec);
    }
    println!("skipped: {} is not built (cargo build -p headframe-codec)", codec.display());
    None
}
