//! Whole segments: a ladder or an error, within small limits.
#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use headframe_codec::{Ladder, Limits, engine};

static LADDER: LazyLock<Ladder> = LazyLock::new(|| {
    let json = r#"[{"name":"a","width":96,"height":54,"bitrate_bps":100000,"preset":"density"}]"#;
    serde_json::from_str(json).expect("a valid ladder")
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let limits = Limits { frame_pixels: 1 << 18, frames: 32, wall: Duration::from_secs(10), ..Limits::default() };
    if let Ok(out) = engine::transcode(&LADDER, data, &[], &limits) {
        assert!(out.renditions.iter().all(|made| made.frames == out.source.frames));
    }
});
