//! Keystores: round trips, the field's files, and files that are none.

use crate::support::secret;
use headframe_guard::keys::{self, Cost, Format, Key, KeyError, Password, Source};
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
    let made = keys::new(&store, None, &password("a"), Format::V3, Cost::Light).unwrap();
    let key = Key::unlock(&made.path, &password("a")).unwrap();
    assert_eq!(Some(key.address()), made.address);
    assert_eq!(made.name, format!("{:x}", key.address()));

    let again = Source::Keystore(made.path.clone(), password("a"));
    let copy = keys::import(&store, Some("copy"), &again, &password("b"), Format::V3, Cost::Light).unwrap();
    assert_eq!(Key::unlock(&copy.path, &password("b")).unwrap().address(), key.address());
    assert!(matches!(Key::unlock(&copy.path, &password("a")), Err(KeyError::WrongPassword { .. })));
    let taken = keys::new(&store, Some("copy"), &password("c"), Format::V3, Cost::Light);
    assert!(matches!(taken, Err(KeyError::Exists(_))), "{taken:?}");

    std::fs::write(store.join("notes.txt"), "no key").unwrap();
    let mut listed = keys::list(&store).unwrap();
    listed.sort_by_key(|one| one.name != "copy");
    assert_eq!(listed, [copy.clone(), made.clone()]);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&store), mode(&made.path), mode(&copy.path)), (0o700, 0o600, 0o600));
    let other = keys::new(&store, None, &password("a"), Format::V3, Cost::Light).unwrap();
    assert_ne!(other.address, made.address);
}

#[test]
fn the_default_cost_is_the_fields_standard() {
    let folder = TempDir::new().unwrap();
    let made = keys::new(folder.path(), None, &password("a"), Format::V3, Cost::default()).unwrap();
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
        keys::import(
            &folder.path().join("keys"),
            Some(name),
            &Source::Hex(file),
            &password("a"),
            Format::V3,
            Cost::Light,
        )
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
    assert!(matches!(
        keys::new(folder.path(), Some(".x"), &password("a"), Format::V3, Cost::Light),
        Err(KeyError::Name(_))
    ));
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
    let made = keys::new(folder.path(), Some("ours"), &password("a"), Format::V3, Cost::Light).unwrap();
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
    let made = keys::new(folder.path(), None, &password("a"), Format::V3, Cost::Light).unwrap();
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

#[test]
fn a_password_changes_and_the_key_stays() {
    let folder = TempDir::new().unwrap();
    let made = keys::new(folder.path(), Some("rig"), &password("a"), Format::V3, Cost::Light).unwrap();
    let wrong = keys::change_password(&made.path, &password("b"), &password("c"), Cost::Light);
    assert!(matches!(wrong, Err(KeyError::WrongPassword { .. })), "{wrong:?}");
    let empty = keys::change_password(&made.path, &password("a"), &password(""), Cost::Light);
    assert!(matches!(empty, Err(KeyError::Password(_))), "{empty:?}");
    assert!(Key::unlock(&made.path, &password("a")).is_ok(), "a failure changes nothing");
    let address = keys::change_password(&made.path, &password("a"), &password("b"), Cost::Light).unwrap();
    assert_eq!(Some(address), made.address);
    assert_eq!(Key::unlock(&made.path, &password("b")).unwrap().address(), address);
    assert!(matches!(Key::unlock(&made.path, &password("a")), Err(KeyError::WrongPassword { .. })));
    assert_eq!(std::fs::metadata(&made.path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn the_public_key_is_that_of_the_address() {
    let key = crate::support::rig_key();
    let public = key.public();
    assert_eq!((public.len(), public[0]), (65, 4));
    assert_eq!(key.address().as_slice(), &alloy_primitives::keccak256(&public[1..])[12..]);
}

/// What the key could look like to somebody who finds it.
fn shapes(secret: &[u8; 32]) -> Vec<Vec<u8>> {
    let hex = alloy_primitives::hex::encode(secret);
    let decimal = headframe_market::U256::from_be_bytes(*secret).to_string();
    let list = format!("{secret:?}");
    vec![
        secret.to_vec(),
        secret.iter().rev().copied().collect(),
        hex.to_uppercase().into(),
        hex.into(),
        decimal.into(),
        list.into(),
    ]
}

fn finds(place: &[u8], what: &[u8]) -> bool {
    place.windows(what.len()).any(|window| window == what)
}

/// A key that is planted and looked for: in environment, arguments, log at its loudest, answers, files and core dumps.
#[test]
fn a_planted_key_shows_up_nowhere() {
    for format in [Format::V3, Format::Eip2335] {
        planted(format);
    }
}

fn planted(format: Format) {
    use crate::support::*;
    use std::os::unix::process::ExitStatusExt;
    let secret: [u8; 32] = std::array::from_fn(|at| (at as u8).wrapping_mul(37).wrapping_add(101));
    let home = Home::new(headframe_market::Role::Operator);
    let file = home.path("planted.hex");
    std::fs::write(&file, alloy_primitives::hex::encode(secret)).unwrap();
    let phrase = "pass phrase 9381 planted";
    std::fs::write(home.path("password"), phrase).unwrap();
    let protection = Password::File(home.path("password"));
    let made =
        keys::import(&home.path("keys"), Some("planted"), &Source::Hex(file.clone()), &protection, format, Cost::Light)
            .unwrap();
    std::fs::remove_file(&file).unwrap();
    std::fs::remove_file(home.path("hex")).unwrap();

    let log = home.path("log");
    let mut shell = std::process::Command::new("sh");
    // Core dumps are allowed to it; it must forbid them itself.
    shell.args(["-c", "ulimit -c unlimited 2>/dev/null; exec \"$@\"", "sh"]).arg(program());
    shell.arg("--keystore").arg(&made.path).arg("--password-file").arg(home.path("password"));
    shell.arg("--database").arg(home.path("guard.db")).arg("--socket").arg(&home.arguments.socket);
    shell.args(["--role", "operator"]).env("RUST_LOG", "trace").current_dir(home.folder.path());
    shell.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
    let mut child = shell.stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
    let client = home.client();
    client.sign_receipt(ask(JOB, 0)).unwrap();
    client.sign_transaction(send(claim(JOB, 0, 1), 0)).unwrap();
    let _ = client.sign_transaction(send(headframe_market::Action::CloseJob { job: JOB }, 1)).unwrap_err();
    let answers = format!("{:?} {:?}", client.status().unwrap(), client.jobs().unwrap()).into_bytes();

    let mut places = vec![("answers".to_owned(), answers)];
    for name in ["environ", "cmdline", "status", "maps"] {
        places.push((name.into(), std::fs::read(format!("/proc/{}/{name}", child.id())).unwrap()));
    }
    assert!(finds(&places[2].1, b"--password-file"), "the arguments were read");
    let process = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
    // Not SIGQUIT: what a shell starts in the background inherits that as ignored.
    rustix::process::kill_process(process, rustix::process::Signal::ABORT).unwrap();
    let ended = child.wait().unwrap();
    assert_eq!(ended.signal(), Some(6), "it dies of what makes others dump their memory");
    assert!(!ended.core_dumped(), "a core dump carries the key away");

    std::fs::remove_file(home.path("password")).unwrap();
    for file in
        std::fs::read_dir(home.folder.path()).unwrap().map(|file| file.unwrap().path()).filter(|path| path.is_file())
    {
        places.push((file.display().to_string(), std::fs::read(&file).unwrap()));
    }
    places.push(("keystore".into(), std::fs::read(&made.path).unwrap()));
    assert!(places.iter().any(|(_, bytes)| finds(bytes, b"signer ready")), "the log was read");
    for (name, bytes) in &places {
        for shape in shapes(&secret) {
            assert!(!finds(bytes, &shape), "the key is in {name}");
        }
        assert!(!finds(bytes, phrase.as_bytes()), "the password is in {name}");
    }
}

/// The generator that the field's crate asks for (rand 0.8), through its curve library.
fn alloy_signer_local_rng() -> k256::elliptic_curve::rand_core::OsRng {
    k256::elliptic_curve::rand_core::OsRng
}
