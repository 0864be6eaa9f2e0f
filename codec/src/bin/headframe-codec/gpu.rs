//! What the NVIDIA cards of this machine can do.

use std::path::PathBuf;

use headframe_codec::nvidia::{Capabilities, DeviceCapabilities, Source};

pub(crate) fn run(libraries: Option<PathBuf>, json: bool) {
    let found = Capabilities::probe(&libraries.map_or(Source::System, Source::Folder));
    if json {
        println!("{:#}", serde_json::json!(found));
        return;
    }
    let pair = |version: Option<(u32, u32)>| version.map(|(major, minor)| format!("{major}.{minor}"));
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "none".into());
    let unnamed = found.cuda.map(|_| "of unknown version".to_owned());
    println!("driver {}, CUDA {}", or_none(found.driver.or(unnamed)), or_none(pair(found.cuda)));
    println!("NVENC API {}", or_none(found.encode_api));
    for device in &found.devices {
        card(device);
    }
    for card in &found.broken {
        let name = card.uuid.as_deref().unwrap_or("of unknown number");
        println!("card {}, {name}: BROKEN: {}", card.ordinal, card.reason);
    }
    if !found.doubles.is_empty() {
        println!("TEST DOUBLE: {} only stand in for NVIDIA's; this is said of no card", found.doubles.join(", "));
    }
    for problem in &found.problems {
        println!("problem: {problem}");
    }
}

fn card(card: &DeviceCapabilities) {
    let info = &card.info;
    let (major, minor) = info.compute;
    println!("{} {} at {}, compute {major}.{minor}, {} MiB", info.uuid, info.name, info.pci, info.memory_bytes >> 20);
    for it in &card.decodes {
        let (codec, bits, (width, height), engines) = (it.codec, it.bit_depth, it.max, it.engines);
        println!("  decodes {codec} in {bits} bits up to {width}x{height}, decoders: {engines}");
    }
    for it in &card.encodes {
        let (codec, (width, height), engines) = (it.codec.name(), it.max, it.engines);
        let bits = if it.ten_bit { "8 or 10" } else { "8" };
        println!("  encodes {codec} in {bits} bits up to {width}x{height}, encoders: {engines}");
    }
    for problem in &card.problems {
        println!("  problem: {problem}");
    }
}
