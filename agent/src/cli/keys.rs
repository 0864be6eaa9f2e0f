//! `headframe keys`: make, import and list the keys that sign. The key itself is only ever used by the signer.

use anyhow::Context;
use clap::{Args, Subcommand};
use headframe_guard::keys::{self, Cost, Password, Source};
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
    },
    /// Take over an existing key: 64 hexadecimal digits, or a Web3 keystore (version 3)
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

#[derive(Args, Debug)]
pub(super) struct Protection {
    /// File with the new key's password. Without it the password is asked for
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Make guessing the password cheap: for test networks only
    #[arg(long)]
    light: bool,
}

impl Protection {
    fn password(&self) -> anyhow::Result<Password> {
        match &self.password_file {
            Some(file) => Ok(Password::File(file.clone())),
            None => prompt(),
        }
    }

    fn cost(&self) -> Cost {
        if self.light { Cost::Light } else { Cost::Standard }
    }
}

pub(super) fn run(command: KeysCommand) -> anyhow::Result<()> {
    match command {
        KeysCommand::New { place, protection, name } => {
            let made = keys::new(&place.keys, name.as_deref(), &protection.password()?, protection.cost())?;
            told(&made);
        }
        KeysCommand::Import { place, protection, name, from, from_password_file } => {
            let source = match from_password_file {
                Some(password) => Source::Keystore(from, Password::File(password)),
                None if from.as_os_str() == "-" => Source::Stdin,
                None => Source::Hex(from),
            };
            let password = protection.password()?;
            let made = keys::import(&place.keys, name.as_deref(), &source, &password, protection.cost())?;
            told(&made);
        }
        KeysCommand::List { place, json } => {
            let found = keys::list(&place.keys)?;
            if json {
                let line = |key: &keys::KeyFile| serde_json::json!({ "name": key.name, "address": key.address, "path": key.path });
                println!("{}", serde_json::to_string_pretty(&found.iter().map(line).collect::<Vec<_>>())?);
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

fn told(key: &keys::KeyFile) {
    let address = key.address.map_or_else(String::new, |address| address.to_string());
    println!("{address}  {}", key.path.display());
    eprintln!("Keep a copy of this file and of its password apart from this machine: nobody can restore them.");
}

/// Asks twice on the terminal. The typed password is not shown.
fn prompt() -> anyhow::Result<Password> {
    anyhow::ensure!(std::io::stdin().is_terminal(), "no terminal to ask for a password; use --password-file");
    let first = hidden("Password for the new key: ")?;
    let again = hidden("The same again: ")?;
    anyhow::ensure!(*first == *again, "the two differ; nothing was written");
    anyhow::ensure!(!first.is_empty(), "an empty password protects nothing");
    Ok(Password::Given(first))
}

fn hidden(question: &str) -> anyhow::Result<zeroize::Zeroizing<String>> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
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
