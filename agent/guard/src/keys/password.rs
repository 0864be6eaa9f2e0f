//! Where passwords come from.

use super::KeyError;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const LONGEST: u64 = 4096;

/// A source of a password. Prompting is the caller's business: hand over what was typed as [`Password::Given`].
#[derive(Clone)]
pub enum Password {
    /// The first line of a file that only its owner can read.
    File(PathBuf),
    /// The systemd credential of this name (`LoadCredential=`), in `$CREDENTIALS_DIRECTORY`.
    Credential(String),
    /// The password itself.
    Given(Zeroizing<String>),
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Credential(name) => f.debug_tuple("Credential").field(name).finish(),
            Self::Given(_) => f.write_str("Given(***)"),
        }
    }
}

impl Password {
    /// Reads it. An empty password is none.
    pub fn read(&self) -> Result<Zeroizing<String>, KeyError> {
        let password = match self {
            Self::Given(text) => text.clone(),
            Self::File(path) => first_line(path)?,
            Self::Credential(name) => {
                let folder = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or_else(|| {
                    KeyError::Password(format!(
                        "credential {name}: not started by systemd with LoadCredential={name}:..."
                    ))
                })?;
                if name.is_empty() || name.contains('/') || name.starts_with('.') {
                    return Err(KeyError::Password(format!("{name:?} is no credential name")));
                }
                first_line(&Path::new(&folder).join(name))?
            }
        };
        if password.is_empty() {
            return Err(KeyError::Password(format!("{self:?} is empty")));
        }
        Ok(password)
    }
}

fn first_line(path: &Path) -> Result<Zeroizing<String>, KeyError> {
    let failed = |source| KeyError::File { path: path.into(), source };
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode();
    if mode & 0o007 != 0 {
        tracing::warn!(path = %path.display(), "everybody on this machine can read the password: chmod 600 it");
    }
    // At its full size from the start, so that growing leaves no copy behind.
    let mut text = Zeroizing::new(String::with_capacity(LONGEST as usize + 1));
    file.take(LONGEST + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > LONGEST {
        return Err(KeyError::Password(format!("{} is longer than {LONGEST} bytes", path.display())));
    }
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}
