//! H.264 sequence parameter sets and AAC configurations: no panic, sizes within what is promised, and the ADTS header
//! says what the configuration says, read back by the table of ISO/IEC 13818-7.
#![no_main]

use headframe_media::{aac::AacConfig, h264};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(picture) = h264::picture_info(data) {
        assert!((1..=16_384).contains(&picture.width) && (1..=16_384).contains(&picture.height));
        assert!(picture.codec.len() == 11 && picture.codec.starts_with("avc1."));
    }
    if let Ok(config) = AacConfig::parse(data) {
        let payload = data.iter().map(|byte| usize::from(*byte)).sum::<usize>();
        let Some(header) = config.adts_header(payload) else { return assert!(payload + 7 >= 1 << 13) };
        let word = header.iter().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
        let field = |from: u32, bits: u32| word >> (56 - from - bits) & ((1 << bits) - 1);
        assert_eq!(field(0, 12), 0xfff);
        let rates = [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];
        assert_eq!(rates.get(field(18, 4) as usize), Some(&config.rate()));
        let channels = match field(23, 3) {
            7 => 8,
            other => other,
        };
        assert_eq!((channels, field(30, 13)), (u64::from(config.channels()), payload as u64 + 7));
        assert!(matches!(config.samples(), 960 | 1024));
    }
});
