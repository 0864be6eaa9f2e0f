//! Renditions from a rig that may cheat: the predicate gives the same verdict and the same evidence with its kernels and
//! threads on and off, and never lays the blame on a source that is good.
#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use headframe_codec::verify::{How, Profile, verify};
use headframe_codec::{Ladder, Limits, engine};
use headframe_kernels::Isa;

struct Order {
    source: Vec<u8>,
    profile: Profile,
}

/// The source comes from `scripts/fuzz`; whose rendition seeds the corpus is the same.
static ORDER: LazyLock<Order> = LazyLock::new(|| {
    let path = std::env::var("HEADFRAME_FUZZ_SOURCE").unwrap_or_else(|_| "fuzz/corpus/source.ts".into());
    let source = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}; run it with scripts/fuzz"));
    let json = r#"[{"name":"a","width":64,"height":36,"bitrate_bps":100000,"preset":"density"}]"#;
    let ladder: Ladder = serde_json::from_str(json).expect("a valid ladder");
    let profile = Profile::of_rung(&ladder, "a").expect("a valid profile");
    let limits = Limits::default();
    let honest = engine::transcode(&ladder, &source, &[], &limits).expect("a good source");
    let how = How { isa: Isa::Portable, threads: 1 };
    verify(&source, &honest.renditions[0].bytes, &profile, &limits, how).expect("a verdict");
    Order { source, profile }
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Order { source, profile } = &*ORDER;
    let limits = Limits { wall: Duration::from_secs(20), ..Limits::default() };
    let plain = verify(source, data, profile, &limits, How { isa: Isa::Portable, threads: 1 });
    let fast = verify(source, data, profile, &limits, How { isa: Isa::best(), threads: 1 });
    match (plain, fast) {
        (Ok(plain), Ok(fast)) => assert_eq!(plain, fast),
        other => panic!("{other:?}"),
    }
});
