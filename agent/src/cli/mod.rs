//! The command line. Few flags: what a role does is in its configuration file.

mod claims;
mod doctor;
mod fees;
mod guard;
mod how;
mod job;
mod keys;
mod preview;
mod stake;
mod status;
#[cfg(test)]
mod tree;
mod tx;

use crate::config::{Config, ConfigError, For};
use crate::demo::{self, DemoArgs};
use crate::gateway::Mode;
use crate::reload::Source;
use crate::wiring::Unsafe;
use clap::{Args, Parser, Subcommand, ValueEnum};
use headframe_codec::worker::{Cards, Vulkan};
use std::path::PathBuf;

/// Turns a mining rig into a live-video transcoder that earns on an open market.
///
/// Try it on this machine, with no account and no configuration: `headframe demo`.
/// A rig runs `headframe run`, a broadcaster `headframe gateway`.
#[derive(Parser, Debug)]
#[command(version, max_term_width = 110, after_help = EXIT_CODES)]
pub struct Cli {
    /// How logs are written to standard error
    #[arg(long, global = true, env = "HEADFRAME_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// Which events are logged: error, warn, info, debug, or a filter such as `headframe=debug,libp2p=warn`
    #[arg(long, global = true, env = "HEADFRAME_LOG", default_value = "info")]
    log: String,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str =
    "Exit codes: 0 ok, 1 failure, 2 usage, 78 bad configuration, 79 not safe to run (a person must look).";

const GUARD: &str = "Stop the signer first: systemctl stop headframe headframe-signer. Run as root, or as the signer's user.\n\n\
    Exit codes: 0 done, 1 failure, 2 usage, 79 the database or what was asked is not safe; the text says what to do.\n\n\
    Examples:\n  \
    sudo headframe guard check\n  \
    sudo headframe guard backup /mnt/stick/guard-1.sqlite\n  \
    sudo headframe guard forget --config /etc/headframe/headframe.toml --dry-run\n  \
    sudo headframe guard export --move -o guard.json        # then on the new machine: headframe guard import guard.json";

const DOCTOR: &str = "Nothing is changed. A line for each check: ok, warn (it works, but worse than it could) or FAIL, with the cause, \
    and below it what to do.\n\n\
    Exit codes: 0 nothing failed, 1 something did, 2 usage.\n\n\
    Examples:\n  \
    sudo headframe doctor\n  \
    headframe doctor --config headframe.toml --role gateway --json";

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run a rig: bid for jobs, transcode, serve, claim the fees
    Run(RunArgs),
    /// Run a broadcaster's gateway: RTMP in, transcoding from the market (or this machine), HLS out
    Gateway(GatewayArgs),
    /// The whole market on this machine, with a real clip, watched step by step
    Demo(DemoArgs),
    /// Only the dev chain with the contracts, for building against
    Devnet(demo::DevnetArgs),
    /// Make, import, list and protect the keys that sign
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Export, import, rebuild, back up and check what the key has signed
    #[command(subcommand, after_help = GUARD)]
    Guard(guard::GuardCommand),
    /// What a running rig or gateway is doing
    Status(status::StatusArgs),
    /// The jobs of a running rig: list, show, release; and what a job would earn
    #[command(subcommand, after_help = job::HELP)]
    Job(job::JobCommand),
    /// The claims of a running rig: list, show, make, settle
    #[command(subcommand, after_help = claims::HELP)]
    Claims(claims::ClaimsCommand),
    /// The stake of a running rig: show, bond, unbond, withdraw, owner, activate
    #[command(subcommand, after_help = stake::HELP)]
    Stake(stake::StakeCommand),
    /// What a running rig has earned: show, withdraw
    #[command(subcommand, after_help = fees::HELP)]
    Fees(fees::FeesCommand),
    /// The transactions of a running rig or gateway: list, show, bump, cancel, resume
    #[command(subcommand, after_help = tx::HELP)]
    Tx(tx::TxCommand),
    /// Check what this machine needs: programs, sandbox, memory, disk, clock, chain, graphics cards
    #[command(after_help = DOCTOR)]
    Doctor(doctor::DoctorArgs),
    /// Look at the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Args, Debug)]
struct ConfigArg {
    /// The configuration file
    #[arg(short, long, env = "HEADFRAME_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Args, Debug)]
struct RunArgs {
    #[command(flatten)]
    config: ConfigArg,
    #[command(flatten)]
    cards: CardsArg,
    #[command(flatten)]
    account: AccountArg,
}

#[derive(Args, Debug)]
struct AccountArg {
    /// Begin although the key's account has made transactions that the state directory does not know: nobody else uses the
    /// key any more. Needed once, for a key that was used elsewhere before
    #[arg(long)]
    take_over_account: bool,
}

#[derive(Args, Debug)]
struct CardsArg {
    /// Graphics cards that transcode, instead of codec.cards: all, none, or UUIDs with commas between them
    #[arg(long, env = "HEADFRAME_CARDS", value_name = "CARDS")]
    cards: Option<Cards>,
    /// The card without CUDA that scales for the processors, instead of codec.vulkan: auto, none, or a name or UUID
    #[arg(long, env = "HEADFRAME_VULKAN", value_name = "CARD")]
    vulkan: Option<Vulkan>,
}

#[derive(Args, Debug)]
struct GatewayArgs {
    #[command(flatten)]
    config: ConfigArg,
    #[command(flatten)]
    cards: CardsArg,
    #[command(flatten)]
    account: AccountArg,
    /// Transcode on this machine: a plain media server, no chain, no keys
    #[arg(long)]
    local: bool,
    /// With --local and no configuration: the stream key to publish with
    #[arg(long, env = "HEADFRAME_STREAM_KEY", value_name = "KEY", requires = "local")]
    stream_key: Option<String>,
}

#[derive(Subcommand, Debug)]
enum ConfigCommand {
    /// Print every key with its default
    Default {
        /// As JSON instead of TOML
        #[arg(long)]
        json: bool,
    },
    /// Check a file for a role and report every problem
    Check {
        #[command(flatten)]
        config: ConfigArg,
        /// For which role
        #[arg(long, value_enum, default_value_t = RoleArg::Node)]
        role: RoleArg,
        /// As JSON: `problems`, empty when it is good
        #[arg(long)]
        json: bool,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RoleArg {
    Node,
    Gateway,
    LocalGateway,
}

impl RoleArg {
    fn role(self) -> For {
        match self {
            Self::Node => For::Node,
            Self::Gateway => For::Gateway,
            Self::LocalGateway => For::LocalGateway,
        }
    }
}

/// Starts logging to standard error, until what it gives is dropped.
#[must_use]
pub fn start_log(cli: &Cli) -> impl Drop + use<> {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_new(&cli.log).unwrap_or_else(|_| EnvFilter::new("info"));
    // The demo tells its story on standard output; the processes that it starts have logs of their own.
    let filter =
        if matches!(cli.command, Command::Demo(_)) && cli.log == "info" { EnvFilter::new("error") } else { filter };
    crate::log::start(filter, matches!(cli.log_format, LogFormat::Json))
}

/// Runs the command.
pub async fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Run(args) => {
            let source = source(&args.config, For::Node);
            let mut config = source.read()?;
            args.cards.apply(&mut config);
            config.chain.take_over = args.account.take_over_account;
            crate::node::run(config, source).await
        }
        Command::Gateway(args) => gateway(args).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Devnet(args) => demo::devnet(args).await,
        Command::Keys(command) => keys::run(command),
        Command::Guard(command) => guard::run(command).await,
        Command::Status(args) => status::run(args).await,
        Command::Job(command) => job::run(command).await,
        Command::Claims(command) => claims::run(command).await,
        Command::Stake(command) => stake::run(command).await,
        Command::Fees(command) => fees::run(command).await,
        Command::Tx(command) => tx::run(command).await,
        Command::Doctor(args) => doctor::run(args).await,
        Command::Config(ConfigCommand::Default { json: false }) => {
            print!("{}", toml::to_string_pretty(&Config::default())?);
            Ok(())
        }
        Command::Config(ConfigCommand::Default { json: true }) => {
            println!("{}", serde_json::to_string_pretty(&Config::default())?);
            Ok(())
        }
        Command::Config(ConfigCommand::Check { config, role, json }) => check(&config, role, json),
    }
}

fn check(config: &ConfigArg, role: RoleArg, json: bool) -> anyhow::Result<()> {
    let read = source(config, role.role()).read();
    if json {
        let problems = match &read {
            Ok(_) => Vec::new(),
            Err(ConfigError::Invalid(problems)) => problems.clone(),
            Err(error) => vec![error.to_string()],
        };
        println!("{}", serde_json::json!({ "problems": problems }));
    }
    read?;
    if !json {
        println!("ok");
    }
    Ok(())
}

async fn gateway(args: GatewayArgs) -> anyhow::Result<()> {
    if !args.local {
        let source = source(&args.config, For::Gateway);
        let mut config = source.read()?;
        config.chain.take_over = args.account.take_over_account;
        return crate::gateway::run(config, source, Mode::Market).await;
    }
    let mut config = Config::load(args.config.config.as_deref())?;
    args.cards.apply(&mut config);
    if args.config.config.is_none() {
        config.state_dir = std::env::temp_dir().join(format!("headframe-local-{}", std::process::id()));
    }
    let given = args.stream_key.is_some();
    if given && !config.gateway.streams.is_empty() {
        let reason = "--stream-key goes with no configured gateway.streams; give one or the other";
        return Err(ConfigError::Invalid(vec![reason.into()]).into());
    }
    let tell_key = config.gateway.streams.is_empty();
    if tell_key {
        let key = args.stream_key.map_or_else(crate::wiring::random_key, Ok)?;
        config.gateway.streams.push(crate::config::Stream { key, id: "live".into() });
    }
    config.validate(For::LocalGateway)?;
    let source = source(&args.config, For::LocalGateway);
    crate::gateway::run(config, source, Mode::Local { tell_key }).await
}

impl CardsArg {
    fn apply(self, config: &mut Config) {
        if let Some(cards) = self.cards {
            config.codec.cards = cards;
        }
        if let Some(vulkan) = self.vulkan {
            config.codec.vulkan = vulkan;
        }
    }
}

fn source(arg: &ConfigArg, role: For) -> Source {
    Source { path: arg.config.clone(), role }
}

/// An error with its causes, each told once: many already name theirs.
pub fn told(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(|cause| cause.to_string()) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(cause.trim()) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// The exit code for an error: 78 for a bad configuration, 79 when it is not safe to run, else 1.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    if error.chain().any(|cause| cause.is::<Unsafe>()) {
        79
    } else if error.chain().any(|cause| cause.is::<ConfigError>()) {
        78
    } else {
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn cards_can_be_chosen_by_flag() {
        let mut config = Config::default();
        for (flag, due) in [("none", "none"), ("GPU-01234567-89ab-cdef-0123-456789abcdef", "GPU-01234567")] {
            let cli = Cli::parse_from(["headframe", "run", "--cards", flag]);
            let Command::Run(args) = cli.command else { panic!("not a run") };
            args.cards.apply(&mut config);
            assert!(config.codec.cards.to_string().starts_with(due), "{:?}", config.codec.cards);
        }
        assert!(Cli::try_parse_from(["headframe", "run", "--cards", "best"]).is_err());
        for (flag, due) in
            [("none", Vulkan::None), ("AMD Radeon RX 580", Vulkan::Named("AMD Radeon RX 580".to_owned()))]
        {
            let cli = Cli::parse_from(["headframe", "gateway", "--local", "--vulkan", flag]);
            let Command::Gateway(args) = cli.command else { panic!("not a gateway") };
            args.cards.apply(&mut config);
            assert_eq!(config.codec.vulkan, due);
        }
    }

    #[test]
    fn a_cause_that_was_told_is_not_told_again() {
        let inner = anyhow::anyhow!("disk full").context("cannot write x: disk full").context("saving");
        assert_eq!(told(&inner), "saving: cannot write x: disk full");
    }

    #[test]
    fn each_class_of_error_has_its_exit_code() {
        assert_eq!(exit_code(&anyhow::Error::new(Unsafe("lost database".into())).context("starting")), 79);
        assert_eq!(exit_code(&anyhow::Error::new(ConfigError::Invalid(vec![]))), 78);
        assert_eq!(exit_code(&anyhow::anyhow!("other")), 1);
    }
}
