//! Key files: making, importing and listing them. What `headframe keys new|import|list` does.

use super::keystore::{self, Keystore};
use super::{Cost, Format, Key, KeyError, Password};
use headframe_market::Address;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// A keystore file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFile {
    /// Its name: the file's without `.json`.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// The address it names; `None` when it names none, as some programs write it.
    pub address: Option<Address>,
}

/// Where a key is imported from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A file that holds the private key as 64 hexadecimal digits, `0x` before them or not.
    Hex(PathBuf),
    /// The same from standard input.
    Stdin,
    /// A keystore of either format with its present password. It is written anew under the new one.
    Keystore(PathBuf, Password),
}

/// Makes a new key in `folder` (created with mode 0700) under `name`, by default its address.
pub fn new(
    folder: &Path,
    name: Option<&str>,
    password: &Password,
    format: Format,
    cost: Cost,
) -> Result<KeyFile, KeyError> {
    save(folder, name, &Key::generate()?, password, format, cost)
}

/// Takes a key over into `folder`, as [`new`].
pub fn import(
    folder: &Path,
    name: Option<&str>,
    source: &Source,
    password: &Password,
    format: Format,
    cost: Cost,
) -> Result<KeyFile, KeyError> {
    let key = match source {
        Source::Keystore(path, present) => Key::unlock(path, present)?,
        Source::Hex(path) => {
            let failed = |source| KeyError::File { path: path.clone(), source };
            from_hex(File::open(path).map_err(failed)?, path)?
        }
        Source::Stdin => from_hex(io::stdin().lock(), Path::new("standard input"))?,
    };
    save(folder, name, &key, password, format, cost)
}

/// Writes the keystore at `path` anew under another password, in the format that it has. The old file is there until the new one is on the disk.
pub fn change_password(path: &Path, present: &Password, new: &Password, cost: Cost) -> Result<Address, KeyError> {
    let failed = |source| KeyError::File { path: path.into(), source };
    let file = Keystore::read(path)?;
    let key = file.open(path, &present.read()?)?;
    let text = keystore::encrypt(&key, &new.read()?, file.format(), cost)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let draft = folder.join(format!(".password.{:016x}.new", rand::random::<u64>()));
    let write = || {
        let owner = fs::metadata(path)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(text.as_bytes())?;
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
        }
        file.sync_all()?;
        fs::rename(&draft, path)?;
        File::open(folder)?.sync_all()
    };
    write().inspect_err(|_| drop(fs::remove_file(&draft))).map_err(failed)?;
    Ok(key.address())
}

/// The keystores in `folder` by name. Other files are left out; a folder that does not exist holds none.
pub fn list(folder: &Path) -> Result<Vec<KeyFile>, KeyError> {
    let failed = |source| KeyError::File { path: folder.into(), source };
    let mut found = Vec::new();
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        entries => entries.map_err(failed)?,
    };
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()).filter(|name| !name.starts_with('.')) else {
            continue;
        };
        let name = name.strip_suffix(".json").unwrap_or(name).to_owned();
        if let (true, Ok(file)) = (path.is_file(), Keystore::read(&path)) {
            found.push(KeyFile { name, path, address: file.address() });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn from_hex(from: impl Read, path: &Path) -> Result<Key, KeyError> {
    let mut text = Zeroizing::new(Vec::with_capacity(256));
    from.take(255).read_to_end(&mut text).map_err(|source| KeyError::File { path: path.into(), source })?;
    let digits = text.trim_ascii();
    let digits = digits.strip_prefix(b"0x").unwrap_or(digits);
    let mut secret = Zeroizing::new([0u8; 32]);
    alloy_primitives::hex::decode_to_slice(digits, &mut *secret).map_err(|_| KeyError::NotAKey)?;
    Key::from_bytes(&secret)
}

/// Written aside, synchronised and then linked to its name, which must be free.
fn save(
    folder: &Path,
    name: Option<&str>,
    key: &Key,
    password: &Password,
    format: Format,
    cost: Cost,
) -> Result<KeyFile, KeyError> {
    let name = name.map_or_else(|| format!("{:x}", key.address()), str::to_owned);
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.len() > 64 || !name.chars().all(allowed) {
        return Err(KeyError::Name(name));
    }
    let path = folder.join(format!("{name}.json"));
    if path.symlink_metadata().is_ok() {
        return Err(KeyError::Exists(path)); // before the costly derivation; the link below decides
    }
    let text = keystore::encrypt(key, &password.read()?, format, cost)?;
    let draft = folder.join(format!(".{name}.{:016x}.new", rand::random::<u64>()));
    let write = || {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        let linked = fs::hard_link(&draft, &path);
        fs::remove_file(&draft)?;
        linked?;
        File::open(folder)?.sync_all()
    };
    match write() {
        Ok(()) => Ok(KeyFile { name, path, address: Some(key.address()) }),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(KeyError::Exists(path)),
        Err(source) => Err(KeyError::File { path, source }),
    }
}
