//! What segments are, for `headframe-bench gpu`: in this process, so that a card can be measured on a kernel that has no sandbox
//! for workers. Only for files that the person trusts, as all of that.

use std::path::PathBuf;

use headframe_codec::{Ladder, SourceInfo, engine};

use crate::gpu_test::limits;
use crate::streams;

/// Prints what each is as a JSON array, in their order.
pub(crate) fn run(segments: &[PathBuf]) -> Result<(), String> {
    let rungs = Ladder::standard();
    let smallest = rungs.renditions().iter().min_by_key(|rung| rung.height).cloned();
    let ladder = Ladder::new(smallest.into_iter().collect()).map_err(|error| error.to_string())?;
    let look = |(bytes, path): (Vec<u8>, &PathBuf)| {
        let made = engine::transcode(&ladder, &bytes, &[], &limits());
        made.map(|made| made.source).map_err(|error| format!("{}: {error}", path.display()))
    };
    let bytes = streams::read(segments)?.into_iter();
    let sources: Vec<SourceInfo> = bytes.zip(segments).map(look).collect::<Result<_, _>>()?;
    println!("{}", serde_json::json!(sources));
    Ok(())
}
