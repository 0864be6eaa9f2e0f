//! Keystores: round trips, the field's files, and files that are none.

use crate::support::secret;
use headframe_guard::keys::{self, Cost, Key, KeyError, Password, Source};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;
use zeroize::Zeroizing;

fn password(text: &str) -> Password {
    Password::Given(Zeroizing::new(text.into()))
}

#[test]
fn new_import_list_and_unlock() {
    let folder = TempDir::new().unwrap();
    let store = folder.path().join("deep/keys");
    assert_eq!(keys::list(&store).unwrap(), []);
    let made = keys::new(&store, None, &password("a"), Cost::Light).unwrap();
    let key = Key::unlock(&made.path, &password("a")).unwrap();
    assert_eq!(Some(key.address()), made.address);
    assert_eq!(made.name, format!("{:x}", key.address()));

    let again = Source::Keystore(made.path.clone(), password("a"));
    let copy = keys::import(&store, Some("copy"), &again, &password("b"), Cost::Light).unwrap();
    assert_eq!(Key::unlock(&copy.path, &password("b")).unwrap().address(), key.address());
    assert!(matches!(Key::unlock(&copy.path, &password("a")), Err(KeyError::WrongPassword { .. })));
    let taken = keys::new(&store, Some("copy"), &password("c"), Cost::Light);
    assert!(matches!(taken, Err(KeyError::Exists(_))), "{taken:?}");

    std::fs::write(store.join("notes.txt"), "no key").unwrap();
    let mut listed = keys::list(&store).unwrap();
    listed.sort_by_key(|one| one.name != "copy");
    assert_eq!(listed, [copy.clone(), made.clone()]);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&store), mode(&made.path), mode(&copy.path)), (0o700, 0o600, 0o600));
    let other = keys::new(&store, None, &password("a"), Cost::Light).unwrap();
    assert_ne!(other.address, made.address);
}

#[test]
fn the_default_cost_is_the_fields_standard() {
    let folder = TempDir::new().unwrap();
    let made = keys::new(folder.path(), None, &password("a"), Cost::default()).unwrap();
    let text: serde_json::Value = serde_json::from_slice(&std::fs::read(made.path).unwrap()).unwrap();
    assert_eq!(text["crypto"]["kdfparams"]["n"], 1 << 18);
    assert_eq!(text["crypto"]["kdfparams"]["r"], 8);
}

#[test]
fn hexadecimal_keys_with_and_without_prefix() {
    let folder = TempDir::new().unwrap();
    let import = |text: &str, name| {
        let file = folder.path().join(format!("{name}.hex"));
        std::fs::write(&file, text).unwrap();
        keys::import(&folder.path().join("keys"), Some(name), &Source::Hex(file), &password("a"), Cost::Light)
    };
    let digits = "22".repeat(32);
    let expected = Some(headframe_market::Address::from_public_key(secret(0x22).verifying_key()));
    assert_eq!(import(&digits, "plain").unwrap().address, expected);
    assert_eq!(import(&format!("  0x{digits}\n"), "prefixed").unwrap().address, expected);
    for (name, bad) in
        [("short", "1234"), ("zero", &"00".repeat(32)), ("order", &"ff".repeat(32)), ("text", &"xy".repeat(32))]
    {
        assert!(matches!(import(bad, name), Err(KeyError::NotAKey)), "{name}");
    }
    assert!(matches!(import(&digits, "../escape"), Err(KeyError::File { .. } | KeyError::Name(_))));
    assert!(matches!(keys::new(folder.path(), Some(".x"), &password("a"), Cost::Light), Err(KeyError::Name(_))));
}

/// The first file of the Web3 Secret Storage definition, under "testpassword". Its second asks for scrypt with r = 1 and
/// N = 2^18, which RFC 7914 rules out.
const DEFINITION: &str = r#"{"crypto":{"cipher":"aes-128-ctr","cipherparams":{"iv":"6087dab2f9fdbbfaddc31a909735c1e6"},
    "ciphertext":"5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46","kdf":"pbkdf2","kdfparams":{"c":262144,
    "dklen":32,"prf":"hmac-sha256","salt":"ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd"},
    "mac":"517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2"},
    "id":"3198bc9c-6672-5ab3-d995-4942343ae5b6","version":3}"#;

#[test]
fn the_definitions_own_file_opens() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("pbkdf2");
    std::fs::write(&path, DEFINITION).unwrap();
    let key = Key::unlock(&path, &password("testpassword")).unwrap();
    assert_eq!(key.address().to_string().to_lowercase(), "0x008aeeda4d805471df9b2a5b0f38a0c3bcba786b");
    assert_eq!(keys::list(folder.path()).unwrap()[0].address, None, "it names no address");
}

#[test]
fn the_fields_own_program_reads_ours_and_we_read_its() {
    let folder = TempDir::new().unwrap();
    let made = keys::new(folder.path(), Some("ours"), &password("a"), Cost::Light).unwrap();
    let theirs = alloy_signer_local::LocalSigner::decrypt_keystore(&made.path, "a").unwrap();
    assert_eq!(Some(theirs.address()), made.address);
    let mut random = alloy_signer_local_rng();
    let (signer, id) =
        alloy_signer_local::LocalSigner::new_keystore(folder.path(), &mut random, "b", Some("theirs")).unwrap();
    assert!(!id.is_empty());
    let key = Key::unlock(&folder.path().join("theirs"), &password("b")).unwrap();
    assert_eq!(key.address(), signer.address());
}

#[test]
fn files_that_are_no_keystores_are_refused_without_harm() {
    let folder = TempDir::new().unwrap();
    let made = keys::new(folder.path(), None, &password("a"), Cost::Light).unwrap();
    let good: serde_json::Value = serde_json::from_slice(&std::fs::read(&made.path).unwrap()).unwrap();
    let path = folder.path().join("odd");
    let open = |text: &str| {
        std::fs::write(&path, text).unwrap();
        Key::unlock(&path, &password("a"))
    };
    assert!(open(&good.to_string()).is_ok());
    let edits = [
        ("/crypto/kdfparams/n", "1073741824"),
        ("/crypto/kdfparams/n", "4097"),
        ("/crypto/kdfparams/n", "0"),
        ("/crypto/kdfparams/r", "4000000000"),
        ("/crypto/kdfparams/p", "0"),
        ("/crypto/kdfparams/p", "1000"),
        ("/crypto/kdfparams/dklen", "8"),
        ("/crypto/kdfparams/salt", "\"zz\""),
        ("/crypto/kdf", "\"argon2\""),
        ("/crypto/cipher", "\"aes-256-cbc\""),
        ("/crypto/cipherparams/iv", "\"00\""),
        ("/crypto/ciphertext", "\"\""),
        ("/crypto/mac", "\"00\""),
        ("/version", "1"),
        ("/address", "\"00000000000000000000000000000000000000aa\""),
    ];
    for (field, value) in edits {
        let mut odd = good.clone();
        *odd.pointer_mut(field).unwrap() = serde_json::from_str(value).unwrap();
        let outcome = open(&odd.to_string());
        assert!(matches!(outcome, Err(KeyError::Format { .. })), "{field} = {value}: {outcome:?}");
    }
    // Few mixing blocks and many to be mixed take as much.
    let mut wide = good.clone();
    wide["crypto"]["kdfparams"]["n"] = 2.into();
    wide["crypto"]["kdfparams"]["r"] = (1 << 22).into();
    wide["crypto"]["kdfparams"]["p"] = 16.into();
    assert!(matches!(open(&wide.to_string()), Err(KeyError::Format { .. })));
    let rounds = DEFINITION.replace("\"c\":262144", "\"c\":4000000000");
    for text in ["", "{}", "null", &"[".repeat(60_000), &" ".repeat(70_000), &rounds] {
        assert!(matches!(open(text), Err(KeyError::Format { .. })));
    }
    assert!(matches!(Key::unlock(&folder.path().join("none"), &password("a")), Err(KeyError::File { .. })));
}

#[test]
fn passwords_come_from_files_and_print_as_stars() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "two words \nsecond line").unwrap();
    assert_eq!(*Password::File(file.clone()).read().unwrap(), "two words ");
    std::fs::write(&file, "\n").unwrap();
    assert!(matches!(Password::File(file).read(), Err(KeyError::Password(_))));
    assert_eq!(format!("{:?}", password("hidden")), "Given(***)");
    let shown = format!("{:?}", crate::support::rig_key());
    assert!(shown.contains("address") && !shown.contains("1111"), "{shown}");
}

/// The generator that the field's crate asks for (rand 0.8), through its curve library.
fn alloy_signer_local_rng() -> k256::elliptic_curve::rand_core::OsRng {
    k256::elliptic_curve::rand_core::OsRng
}
