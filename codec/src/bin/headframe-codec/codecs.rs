//! What can be ordered of this machine.

use headframe_codec::{Codec, engine};

pub(crate) fn run(json: bool) {
    let made = engine::codecs();
    if json {
        let list: Vec<_> =
            made.iter().map(|codec| serde_json::json!({ "codec": codec, "encoder": codec.encoder() })).collect();
        println!("{:#}", serde_json::Value::from(list));
        return;
    }
    for codec in Codec::ALL {
        let state = if made.contains(&codec) { "yes" } else { "no: this FFmpeg was built without it" };
        println!("{:<5} {:<10} {state}", codec.name(), codec.encoder());
    }
}
