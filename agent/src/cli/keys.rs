//! `headframe keys`: make, import, list and protect the keys that sign. The key itself is only ever used by the signer.

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use headframe_guard::keys::{self, Cost, Format, Key, Password, Source};
use std::io::{IsTerminal, Write};
use std::path::PathBuf;

#[derive(Subcommand, Debug)]
pub(super) enum KeysCommand {
    /// Make a new key
    New {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        protection: Protection,
        /// Name of the file, without `.json`. By default the address
        #[arg(long)]
        name: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Take over an existing key: 64 hexadecimal digits, or a keystore (Web3 version 3, or EIP-2335)
    Import {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        protection: Protection,
        /// Name of the file, without `.json`. By default the address
        #[arg(long)]
        name: Option<String>,
        /// The file to import; `-` reads hexadecimal digits from standard input
        #[arg(value_name = "FILE")]
        from: PathBuf,
        /// The file is a keystore, protected with the password in this file
        #[arg(long, value_name = "FILE")]
        from_password_file: Option<PathBuf>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Print a key's address and public key
    Public {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        present: Present,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Change the password of a key
    Password {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        present: Present,
        /// File with the new password. Without it the password is asked for
        #[arg(long, value_name = "FILE")]
        new_password_file: Option<PathBuf>,
        /// Make guessing the password cheap: for test networks only
        #[arg(long)]
        light: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// List the keys
    List {
        #[command(flatten)]
        place: Place,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args, Debug)]
pub(super) struct Place {
    /// The folder with the keystores
    #[arg(long, env = "HEADFRAME_KEYS", default_value = "/etc/headframe/keys", value_name = "DIR")]
    keys: PathBuf,
}

/// A key that is there, and what opens it.
#[derive(Args, Debug)]
pub(super) struct Present {
    /// Name of the key, as `headframe keys list` shows it
    #[arg(long)]
    name: String,
    /// File with its password. Without it the password is asked for
    #[arg(long, value_name = "FILE", conflicts_with = "password_credential")]
    password_file: Option<PathBuf>,
    /// Name of the systemd credential with its password
    #[arg(long, value_name = "NAME")]
    password_credential: Option<String>,
}

impl Present {
    fn path(&self, place: &Place) -> anyhow::Result<PathBuf> {
        let found = keys::list(&place.keys)?.into_iter().find(|key| key.name == self.name);
        let found = found.with_context(|| format!("no key {:?} in {}", self.name, place.keys.display()))?;
        Ok(found.path)
    }

    fn password(&self) -> anyhow::Result<Password> {
        match (&self.password_file, &self.password_credential) {
            (Some(file), _) => Ok(Password::File(file.clone())),
            (None, Some(name)) => Ok(Password::Credential(name.clone())),
            (None, None) => Ok(Password::Given(hidden("Password of the key: ")?)),
        }
    }
}

#[derive(Args, Debug)]
pub(super) struct Protection {
    /// File with the new key's password. Without it the password is asked for
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// How the key is written down
    #[arg(long, value_enum, default_value_t = FormatName::V3)]
    format: FormatName,
    /// Make guessing the password cheap: for test networks only
    #[arg(long)]
    light: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatName {
    /// Web3 Secret Storage, version 3: every Ethereum wallet reads it
    V3,
    /// EIP-2335 (version 4), the envelope of validators' keys, here around an account's
    Eip2335,
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Self {
        match name {
            FormatName::V3 => Self::V3,
            FormatName::Eip2335 => Self::Eip2335,
        }
    }
}

impl Protection {
    fn password(&self) -> anyhow::Result<Password> {
        new_password(self.password_file.as_ref())
    }

    fn cost(&self) -> Cost {
        cost(self.light)
    }
}

fn new_password(file: Option<&PathBuf>) -> anyhow::Result<Password> {
    file.map_or_else(prompt, |file| Ok(Password::File(file.clone())))
}

fn cost(light: bool) -> Cost {
    if light { Cost::Light } else { Cost::Standard }
}

pub(super) fn run(command: KeysCommand) -> anyhow::Result<()> {
    match command {
        KeysCommand::New { place, protection, name, json } => {
            let (password, format) = (protection.password()?, protection.format.into());
            let made = keys::new(&place.keys, name.as_deref(), &password, format, protection.cost())?;
            told(&made, json)?;
        }
        KeysCommand::Import { place, protection, name, from, from_password_file, json } => {
            let source = match from_password_file {
                Some(password) => Source::Keystore(from, Password::File(password)),
                None if from.as_os_str() == "-" => Source::Stdin,
                None => Source::Hex(from),
            };
            let (password, format) = (protection.password()?, protection.format.into());
            let made = keys::import(&place.keys, name.as_deref(), &source, &password, format, protection.cost())?;
            told(&made, json)?;
        }
        KeysCommand::Public { place, present, json } => {
            let path = present.path(&place)?;
            let key = Key::unlock(&path, &present.password()?)?;
            if json {
                let line =
                    serde_json::json!({ "name": present.name, "address": key.address(), "public": key.public() });
                println!("{line:#}");
            } else {
                println!("{}  {}", key.address(), key.public());
            }
        }
        KeysCommand::Password { place, present, new_password_file, light, json } => {
            let path = present.path(&place)?;
            let (old, new) = (present.password()?, new_password(new_password_file.as_ref())?);
            let address = keys::change_password(&path, &old, &new, cost(light))?;
            told(&keys::KeyFile { name: present.name, path, address: Some(address) }, json)?;
        }
        KeysCommand::List { place, json } => {
            let found = keys::list(&place.keys)?;
            if json {
                println!("{}", serde_json::to_string_pretty(&found.iter().map(in_json).collect::<Vec<_>>())?);
            } else if found.is_empty() {
                println!("no keys in {}; make one with `headframe keys new`", place.keys.display());
            }
            for key in found.iter().filter(|_| !json) {
                let address = key.address.map_or("(address not named)".into(), |address| address.to_string());
                println!("{address}  {}", key.path.display());
            }
        }
    }
    Ok(())
}

fn in_json(key: &keys::KeyFile) -> serde_json::Value {
    serde_json::json!({ "name": key.name, "address": key.address, "path": key.path })
}

fn told(key: &keys::KeyFile, json: bool) -> anyhow::Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(&in_json(key))?);
    } else {
        let address = key.address.map_or_else(String::new, |address| address.to_string());
        println!("{address}  {}", key.path.display());
    }
    eprintln!("Keep a copy of this file and of its password apart from this machine: nobody can restore them.");
    Ok(())
}

/// Asks twice on the terminal. The typed password is not shown.
fn prompt() -> anyhow::Result<Password> {
    let first = hidden("Password for the new key: ")?;
    let again = hidden("The same again: ")?;
    anyhow::ensure!(*first == *again, "the two differ; nothing was written");
    anyhow::ensure!(!first.is_empty(), "an empty password protects nothing");
    Ok(Password::Given(first))
}

fn hidden(question: &str) -> anyhow::Result<zeroize::Zeroizing<String>> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    anyhow::ensure!(std::io::stdin().is_terminal(), "no terminal to ask for a password; use --password-file");
    eprint!("{question}");
    std::io::stderr().flush()?;
    let terminal = std::io::stdin();
    let before = tcgetattr(&terminal).context("the terminal cannot be read")?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&terminal, OptionalActions::Flush, &silent)?;
    let mut line = zeroize::Zeroizing::new(String::new());
    let read = terminal.read_line(&mut line);
    tcsetattr(&terminal, OptionalActions::Flush, &before)?;
    eprintln!();
    read?;
    let typed = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(typed);
    Ok(line)
}
