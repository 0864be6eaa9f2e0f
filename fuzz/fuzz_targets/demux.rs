//! Transport streams: no panic, no more bytes out than in.
#![no_main]

use headframe_codec::ts;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(media) = ts::demux(data) {
        let units = media.video.iter().chain(media.audio.iter().flat_map(|track| &track.units));
        assert!(units.map(|unit| unit.data.len()).sum::<usize>() <= data.len());
    }
});
