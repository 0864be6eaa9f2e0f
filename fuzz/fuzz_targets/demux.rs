//! Containers: no panic, no more bytes out than in, but for what takes the place of lengths and headers in MP4.
#![no_main]

use headframe_codec::{mp4, source};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(media) = source::demux(data) {
        let units = media.video.iter().chain(media.audio.iter().flat_map(|track| &track.units));
        let (count, bytes) = units.fold((0, 0), |(count, bytes), unit| (count + 1, bytes + unit.data.len()));
        // A start code of four bytes for a length of one, and a delimiter or header in front of each sample.
        let most = if mp4::is(data) { 4 * data.len() + 16 * count } else { data.len() };
        assert!(bytes <= most, "{bytes} bytes in {count} units of {}", data.len());
    }
});
