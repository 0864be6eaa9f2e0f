//! EIP-2335 keystores: the EIP's vectors, round trips, passwords, and files that are not ours.

use headframe_guard::keys::{self, Cost, Format, Key, KeyError, Password, Source};
use serde_json::{Value, json};
use std::path::PathBuf;
use tempfile::TempDir;
use zeroize::Zeroizing;

fn password(text: &str) -> Password {
    Password::Given(Zeroizing::new(text.into()))
}

/// One file in a folder.
struct Place {
    folder: TempDir,
    path: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("key.json");
        Self { folder, path }
    }

    fn open(&self, text: &str, by: &str) -> Result<Key, KeyError> {
        std::fs::write(&self.path, text).unwrap();
        Key::unlock(&self.path, &password(by))
    }

    fn made(&self) -> Value {
        let made = keys::new(self.folder.path(), Some("made"), &password("a"), Format::Eip2335, Cost::Light).unwrap();
        let text = std::fs::read(&made.path).unwrap();
        std::fs::remove_file(made.path).unwrap();
        serde_json::from_slice(&text).unwrap()
    }
}

/// The test cases of EIP-2335: password, secret and files. Both files are of one secret and, as the EIP is about them, name
/// its public key on BLS12-381.
const PASSWORD: &str = "𝔱𝔢𝔰𝔱𝔭𝔞𝔰𝔰𝔴𝔬𝔯𝔡🔑";
const SECRET: &str = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f";

fn vectors() -> [Value; 2] {
    let salt = "d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3";
    let file = |kdf: Value, checksum: &str, cipher: &str| {
        json!({
            "crypto": {
                "kdf": kdf,
                "checksum": { "function": "sha256", "params": {}, "message": checksum },
                "cipher": {
                    "function": "aes-128-ctr", "params": { "iv": "264daa3f303d7259501c93d997d84fe6" }, "message": cipher,
                },
            },
            "description": "a test case",
            "pubkey": "9612d7a727c9d0a22e185a1c768478dfe919cada9266988cb32359c11f2b7b27f4ae4040902382ae2910c15e2b420d07",
            "path": "m/12381/60/0/0",
            "uuid": "64625def-3331-4eea-ab6f-782f3ed16a83",
            "version": 4,
        })
    };
    let scrypt = json!({ "dklen": 32, "n": 262_144, "p": 1, "r": 8, "salt": salt });
    let pbkdf2 = json!({ "dklen": 32, "c": 262_144, "prf": "hmac-sha256", "salt": salt });
    [
        file(
            json!({ "function": "scrypt", "params": scrypt, "message": "" }),
            "d2217fe5f3e9a1e34581ef8a78f7c9928e436d36dacc5e846690a5581e8ea484",
            "06ae90d55fe0a6e9c5c3bc5b170827b2e5cce3929ed3f116c2811e6366dfe20f",
        ),
        file(
            json!({ "function": "pbkdf2", "params": pbkdf2, "message": "" }),
            "8a9f5d9912ed7e75ea794bc5a89bca5f193721d30868ade6f73043c6ea6febf1",
            "cee03fde2af33149775b7223e7845e4fb2c8ae1792e5f99fe9ecf474cc8c16ad",
        ),
    ]
}

#[test]
fn the_eips_own_files_open_when_they_do_not_name_a_bls_key() {
    let place = Place::new();
    let mut secret = [0; 32];
    alloy_primitives::hex::decode_to_slice(SECRET, &mut secret).unwrap();
    let expected = Key::from_bytes(&secret).unwrap().address();
    for mut file in vectors() {
        file.as_object_mut().unwrap().remove("pubkey");
        let text = file.to_string();
        assert_eq!(place.open(&text, PASSWORD).unwrap().address(), expected);
        // The EIP's "encoded password", and one whose control codes go.
        assert_eq!(place.open(&text, "testpassword🔑").unwrap().address(), expected);
        assert_eq!(place.open(&text, "test\u{7f}pass\u{85}word\t🔑").unwrap().address(), expected);
        assert!(matches!(place.open(&text, "testpassword"), Err(KeyError::WrongPassword { .. })));
        assert_eq!(keys::list(place.folder.path()).unwrap()[0].address, None, "it names no key");
    }
}

#[test]
fn a_validators_key_is_refused_before_its_password() {
    let place = Place::new();
    for file in vectors() {
        // The wrong password would say something else.
        let refused = place.open(&file.to_string(), "wrong").unwrap_err();
        assert!(matches!(refused, KeyError::Format { .. }), "{refused}");
        assert!(refused.to_string().contains("BLS12-381 key of a validator"), "{refused}");
        assert_eq!(keys::list(place.folder.path()).unwrap(), [], "it is none of ours");
    }
}

#[test]
fn a_key_is_made_listed_and_opened_and_its_file_says_what_it_is() {
    let folder = TempDir::new().unwrap();
    let made = keys::new(folder.path(), Some("rig"), &password("a"), Format::Eip2335, Cost::Light).unwrap();
    let key = Key::unlock(&made.path, &password("a")).unwrap();
    assert_eq!(Some(key.address()), made.address);
    assert_eq!(keys::list(folder.path()).unwrap(), std::slice::from_ref(&made));
    let text: Value = serde_json::from_slice(&std::fs::read(&made.path).unwrap()).unwrap();
    assert_eq!((&text["version"], &text["path"]), (&json!(4), &json!("")));
    let functions = ["kdf", "checksum", "cipher"].map(|module| text["crypto"][module]["function"].as_str().unwrap());
    assert_eq!(functions, ["scrypt", "sha256", "aes-128-ctr"]);
    let point = alloy_primitives::hex::decode(text["pubkey"].as_str().unwrap()).unwrap();
    assert_eq!((point.len(), &point[1..]), (33, &key.public()[1..33]));
    assert!(text["description"].as_str().unwrap().contains(&key.address().to_string()));
    assert_eq!(text["uuid"].as_str().unwrap().len(), 36);
}

#[test]
fn a_key_moves_between_the_formats_and_keeps_its_own_under_a_new_password() {
    let folder = TempDir::new().unwrap();
    let version = |path: &PathBuf| -> Value {
        let text: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        text["version"].clone()
    };
    let made = keys::new(folder.path(), Some("one"), &password("a"), Format::Eip2335, Cost::Light).unwrap();
    let source = Source::Keystore(made.path.clone(), password("a"));
    let old = keys::import(folder.path(), Some("two"), &source, &password("b"), Format::V3, Cost::Light).unwrap();
    let source = Source::Keystore(old.path.clone(), password("b"));
    let new =
        keys::import(folder.path(), Some("three"), &source, &password("c"), Format::Eip2335, Cost::Light).unwrap();
    assert_eq!([old.address, new.address], [made.address; 2]);
    assert_eq!([&made.path, &old.path, &new.path].map(version), [json!(4), json!(3), json!(4)]);
    for (path, present) in [(&old.path, "b"), (&new.path, "c")] {
        let before = version(path);
        let address = keys::change_password(path, &password(present), &password("d"), Cost::Light).unwrap();
        assert_eq!((Some(address), version(path)), (made.address, before));
        assert_eq!(Key::unlock(path, &password("d")).unwrap().address(), address);
        assert!(matches!(Key::unlock(path, &password(present)), Err(KeyError::WrongPassword { .. })));
    }
}

#[test]
fn a_password_is_the_same_however_its_letters_are_composed() {
    let folder = TempDir::new().unwrap();
    let (composed, apart) = (password("caf\u{e9}"), password("cafe\u{301}"));
    let made = keys::new(folder.path(), Some("new"), &composed, Format::Eip2335, Cost::Light).unwrap();
    assert!(Key::unlock(&made.path, &apart).is_ok());
    // Version 3 takes the bytes as they are.
    let made = keys::new(folder.path(), Some("old"), &composed, Format::V3, Cost::Light).unwrap();
    assert!(matches!(Key::unlock(&made.path, &apart), Err(KeyError::WrongPassword { .. })));
    let nothing = keys::new(folder.path(), Some("none"), &password("\u{7f}\u{85}"), Format::Eip2335, Cost::Light);
    assert!(matches!(nothing, Err(KeyError::Password(_))), "{nothing:?}");
}

#[test]
fn files_that_are_no_keystores_are_refused_without_harm() {
    let place = Place::new();
    let good = place.made();
    assert!(place.open(&good.to_string(), "a").is_ok());
    assert!(matches!(place.open(&good.to_string(), "b"), Err(KeyError::WrongPassword { .. })));
    let other = place.made()["pubkey"].clone();
    let edits = [
        ("/crypto/kdf/params/n", json!(1_073_741_824)),
        ("/crypto/kdf/params/n", json!(4097)),
        ("/crypto/kdf/params/r", json!(4_000_000_000u32)),
        ("/crypto/kdf/params/p", json!(1000)),
        ("/crypto/kdf/params/dklen", json!(16)),
        ("/crypto/kdf/params/salt", json!("zz")),
        ("/crypto/kdf/params", json!({ "dklen": 32 })),
        ("/crypto/kdf/params", json!({ "dklen": 32, "c": 4_000_000_000u32, "prf": "hmac-sha256", "salt": "00" })),
        ("/crypto/kdf/function", json!("argon2")),
        ("/crypto/kdf", json!({ "function": "scrypt", "message": "" })),
        ("/crypto/checksum/function", json!("keccak256")),
        ("/crypto/checksum/message", json!("00")),
        ("/crypto/checksum/params", json!({ "salt": "00" })),
        ("/crypto/cipher/function", json!("aes-256-ctr")),
        ("/crypto/cipher/params/iv", json!("00")),
        ("/crypto/cipher/message", json!("")),
        ("/crypto/cipher/message", json!("00".repeat(64))),
        ("/pubkey", other),
        ("/pubkey", json!("00".repeat(33))),
        ("/pubkey", json!("11".repeat(20))),
        ("/pubkey", json!("zz")),
        ("/version", json!(5)),
        ("/version", json!(3)),
    ];
    for (field, value) in edits {
        let mut odd = good.clone();
        *odd.pointer_mut(field).unwrap() = value.clone();
        let outcome = place.open(&odd.to_string(), "a");
        assert!(matches!(outcome, Err(KeyError::Format { .. })), "{field} = {value}: {outcome:?}");
    }
    let pbkdf2 = json!({ "dklen": 32, "c": 4_000_000_000u32, "prf": "hmac-sha256", "salt": "00" });
    let mut slow = good.clone();
    slow["crypto"]["kdf"] = json!({ "function": "pbkdf2", "params": pbkdf2, "message": "" });
    let outcome = place.open(&slow.to_string(), "a");
    assert!(matches!(&outcome, Err(KeyError::Format { reason, .. }) if reason.contains("rounds")), "{outcome:?}");
    let text = good.to_string();
    for cut in [0, 1, text.len() / 2, text.len() - 1] {
        assert!(matches!(place.open(&text[..cut], "a"), Err(KeyError::Format { .. })), "cut at {cut}");
    }
}

#[test]
fn fields_that_nobody_knows_are_passed_over_beside_the_cryptography_and_refused_in_it() {
    let place = Place::new();
    let mut file = place.made();
    file["name"] = json!("rig");
    assert!(place.open(&file.to_string(), "a").is_ok());
    let mut odd = file.clone();
    odd["crypto"]["pepper"] = json!({});
    assert!(matches!(place.open(&odd.to_string(), "a"), Err(KeyError::Format { .. })));
    file["crypto"]["kdf"]["rounds"] = json!(2);
    assert!(matches!(place.open(&file.to_string(), "a"), Err(KeyError::Format { .. })));
}
