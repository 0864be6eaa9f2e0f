//! Bodies of RTMP messages: no panic, nothing comes out that did not go in, and NAL units survive being put together again.
#![no_main]

use bytes::Bytes;
use headframe_media::h264::{self, AvcConfig};
use headframe_media::ingest::flv::{self, Audio, Video};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let body = Bytes::copy_from_slice(data);
    match flv::video(&body) {
        Ok(Video::Config(config)) => check_config(&config, data.len()),
        Ok(Video::Picture { data: units, .. }) => {
            assert!(units.len() <= data.len());
            [1, 2, 4].into_iter().for_each(|size| check_units(&units, size));
        }
        _ => {}
    }
    if let Ok(Audio::Frame(frame)) = flv::audio(&body) {
        assert!(!frame.is_empty() && frame.len() < data.len());
    }
    let inside: usize = flv::aggregate(&body).iter().map(|(_, _, body)| 11 + body.len()).sum();
    assert!(inside <= data.len());
});

fn check_config(config: &AvcConfig, most: usize) {
    let sets = config.sps.iter().chain(&config.pps);
    assert!(!config.sps.is_empty() && sets.map(|set| 2 + set.len()).sum::<usize>() <= most);
    assert!(matches!(config.length_size, 1 | 2 | 4));
}

fn check_units(data: &Bytes, size: usize) {
    let Ok(units) = h264::split_units(data, size) else { return };
    assert!(units.iter().all(|unit| !unit.is_empty()));
    let mut again = Vec::new();
    for unit in &units {
        again.extend(&unit.len().to_be_bytes()[8 - size..]);
        again.extend(unit);
    }
    assert!(again.len() <= data.len());
    assert_eq!(h264::split_units(&again.into(), size), Ok(units));
}
