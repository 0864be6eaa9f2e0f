//! Stand-ins for the worker program.

use std::path::{Path, PathBuf};

/// One that says its FFmpeg makes H.264 only, and otherwise is the real one.
pub(crate) fn h264_only(dir: &Path) -> PathBuf {
    let program = dir.join("h264-only");
    let real = Path::new(env!("CARGO_BIN_EXE_headframe")).with_file_name("headframe-codec");
    let list = r#"[{"codec":"h264","encoder":"libx264"}]"#;
    let script = format!("#!/bin/sh\n[ \"$1\" = codecs ] && echo '{list}' && exit\nexec {} \"$@\"\n", real.display());
    // Written by another process: a child that is started meanwhile would hold our file open, and it could not be run.
    let write = r#"printf %s "$1" > "$2" && chmod +x "$2""#;
    let written = std::process::Command::new("sh").args(["-c", write, "sh", &script]).arg(&program).status();
    assert!(written.is_ok_and(|status| status.success()), "cannot write {}", program.display());
    program
}
