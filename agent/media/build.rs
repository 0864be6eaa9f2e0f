//! Puts hls.js into the binary when `npm ci` has been run in `player/`; without it the watch page uses the native HLS of
//! the browser. Needs no network and never fails the build for the player's sake.

use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let source = Path::new("player/node_modules/hls.js/dist/hls.min.js");
    let target = Path::new(&env::var("OUT_DIR").map_err(io::Error::other)?).join("hls.min.js");
    println!("cargo::rerun-if-changed=build.rs");
    if source.is_file() {
        println!("cargo::rerun-if-changed={}", source.display());
        fs::copy(source, target)?;
    } else {
        // A path that does not exist would make cargo run this script in every build; the folder above it exists.
        println!("cargo::rerun-if-changed=player");
        println!(
            "cargo::warning=the watch page is built without hls.js and will only play where the browser itself knows HLS; \
             run `npm ci --ignore-scripts` in agent/media/player and build again"
        );
        fs::write(target, b"")?;
    }
    Ok(())
}
