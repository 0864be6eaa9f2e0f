//! Key files that somebody put into the folder: listing them names an address that the file's text holds, or none, and
//! takes no password. (Deriving a key from a password is left out: by design it takes a second.)
#![no_main]

use std::sync::LazyLock;

use headframe_guard::keys;

static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder"));

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    std::fs::write(FOLDER.path().join("key.json"), data).expect("a file");
    for found in keys::list(FOLDER.path()).expect("the folder is there") {
        assert_eq!(found.name, "key");
        let text = String::from_utf8_lossy(data).to_lowercase();
        if let Some(address) = found.address {
            // JSON may spell digits as escapes, and EIP-2335 names a public key.
            assert!(text.contains(&format!("{address:x}")[2..]) || text.contains("pubkey") || text.contains("\\u"));
        }
    }
});
