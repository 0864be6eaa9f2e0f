//! Every command can be read by a program, and none that costs or destroys something does it by accident: held against the
//! whole command line, so that a new command has to be put into one of these lists.

use super::Cli;
use clap::{Command, CommandFactory};
use std::collections::BTreeSet;

/// Run until they are stopped, and say what they do in logs and on their admin address.
const SERVE: &[&str] = &["run", "gateway", "devnet"];
/// Their output is JSON whatever is asked.
const WRITE_JSON: &[&str] = &["guard export"];
/// Show something, or write a new file beside what is there.
const SAFE: &[&str] = &[
    "demo",
    "doctor",
    "status",
    "config default",
    "config check",
    "keys new",
    "keys import",
    "keys public",
    "keys list",
    "keys password",
    "guard import",
    "guard backup",
    "guard check",
    "job preview",
    "job list",
    "job show",
    "claims list",
    "claims show",
    "stake show",
    "fees show",
    "tx list",
    "tx show",
];
/// Cost money, or cannot be undone: with a dry run, and a question.
const CAREFUL: &[&str] = &[
    "guard forget",
    "job release",
    "claims make",
    "claims settle",
    "stake bond",
    "stake unbond",
    "stake withdraw",
    "stake owner",
    "stake activate",
    "fees withdraw",
    "tx bump",
    "tx cancel",
    "tx resume",
];
/// Cannot be undone either, and is asked for by typing the key's address.
const TYPED: &[&str] = &["guard rebuild"];

/// The commands that do something themselves, by their names.
fn leaves(command: &Command, before: &str, found: &mut Vec<(String, Command)>) {
    for child in command.get_subcommands().filter(|child| child.get_name() != "help") {
        let name = format!("{before} {}", child.get_name()).trim().to_owned();
        match child.has_subcommands() {
            true => leaves(child, &name, found),
            false => found.push((name, child.clone())),
        }
    }
}

fn all() -> Vec<(String, Command)> {
    let mut cli = Cli::command();
    cli.build();
    let mut found = Vec::new();
    leaves(&cli, "", &mut found);
    found
}

fn has(command: &Command, flag: &str) -> bool {
    command.get_arguments().any(|argument| argument.get_long() == Some(flag))
}

#[test]
fn every_command_is_in_one_list_and_the_lists_name_no_other() {
    let known: Vec<&str> = [SERVE, WRITE_JSON, SAFE, CAREFUL, TYPED].concat();
    let once: BTreeSet<&str> = known.iter().copied().collect();
    assert_eq!(once.len(), known.len(), "a command is in two lists");
    let all = all();
    let there: BTreeSet<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
    let (new, gone): (Vec<_>, Vec<_>) = (there.difference(&once).collect(), once.difference(&there).collect());
    assert!(new.is_empty(), "say in cli/tree.rs whether they cost money or destroy something: {new:?}");
    assert!(gone.is_empty(), "no longer commands: {gone:?}");
}

#[test]
fn every_command_that_shows_or_does_something_has_json() {
    for (name, command) in all().iter().filter(|(name, _)| ![SERVE, WRITE_JSON].concat().contains(&name.as_str())) {
        assert!(has(command, "json"), "headframe {name} has no --json");
    }
}

#[test]
fn what_costs_money_or_cannot_be_undone_has_a_dry_run_and_a_question() {
    for (name, command) in all() {
        let due = CAREFUL.contains(&name.as_str());
        assert_eq!((has(&command, "dry-run"), has(&command, "yes")), (due, due), "headframe {name}: --dry-run, --yes");
    }
}
