//! Ladders from strangers: what is taken is written and read again as it was.
#![no_main]

use headframe_codec::Ladder;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(ladder) = serde_json::from_slice::<Ladder>(data) {
        let text = serde_json::to_string(&ladder).expect("a ladder is plain data");
        assert_eq!(serde_json::from_str::<Ladder>(&text).ok(), Some(ladder));
    }
});
