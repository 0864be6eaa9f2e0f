//! Playlists, two of them apart by a NUL: the judge does not panic, points at lines that exist, and has nothing to say
//! about how a sound list became itself.
#![no_main]

use headframe_media::lint;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (before, after) = text.split_once('\0').unwrap_or((text, text));
    // An empty text is at fault in its first line.
    let lines = after.lines().count().max(1);
    let faults = lint::media(after);
    for fault in faults.iter().chain(&lint::master(after)).chain(&lint::evolution(before, after)) {
        assert!(fault.line <= lines, "{fault} of {lines}");
    }
    if faults.is_empty() {
        assert_eq!(lint::evolution(after, after), []);
    }
});
