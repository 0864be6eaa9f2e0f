//! The node's identity: an ed25519 key in a file that only its owner can read. It signs gossip and handshakes; it is
//! worth no money.

use crate::config::StartError;
use libp2p::identity::Keypair;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Reads the key, or makes one where there is no file yet.
pub(crate) fn load_or_create(path: &Path) -> Result<Keypair, StartError> {
    let failed = |error: io::Error| StartError::Key { path: path.to_owned(), why: error.to_string() };
    let bad = |why: String| StartError::Key { path: path.to_owned(), why };
    match File::open(path) {
        Ok(file) => {
            let mode = file.metadata().map_err(failed)?.mode();
            if mode & 0o077 != 0 {
                return Err(bad(format!("others can read it (mode {:o}); chmod 600 it", mode & 0o777)));
            }
            let mut bytes = Vec::new();
            file.take(1024).read_to_end(&mut bytes).map_err(failed)?;
            let key = Keypair::from_protobuf_encoding(&bytes);
            key.map_err(|_| bad("it holds no node key; restore it, or remove it to get a new identity".into()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(path).map_err(failed),
        Err(error) => Err(failed(error)),
    }
}

fn create(path: &Path) -> io::Result<Keypair> {
    let key = Keypair::generate_ed25519();
    let bytes = key.to_protobuf_encoding().map_err(io::Error::other)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    // Written beside it and moved into place, so that a crash leaves no half key.
    let fresh = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    File::open(folder)?.sync_all()?;
    Ok(key)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_lasts_and_is_guarded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/node.key");
        let first = load_or_create(&path).unwrap().public();
        assert_eq!(load_or_create(&path).unwrap().public(), first);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(load_or_create(&path).unwrap_err().to_string().contains("chmod"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, b"nonsense").unwrap();
        assert!(load_or_create(&path).unwrap_err().to_string().contains("no node key"));
    }
}
