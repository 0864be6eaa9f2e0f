//! A whole market on one machine: dev chain, contracts, rigs and a gateway, each a real process with its own keys.
//!
//! Used by `headframe demo` and by the end-to-end tests.

use super::ports;
use crate::chain_view::ChainView;
use crate::config::{Config, Stream};
use alloy::network::EthereumWallet;
use alloy::primitives::U256;
use alloy::providers::{Provider, ProviderBuilder};
use alloy::signers::local::PrivateKeySigner;
use anyhow::{Context, bail};
use headframe_chain::Rpc;
use headframe_contracts::{Deployment, Params, anvil_program};
use headframe_guard::keys::{self, Password};
use headframe_market::{Address, Price, Wei};
use serde_json::Value;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

/// The first of anvil's well-known accounts: it deploys and funds. Worth nothing anywhere else.
pub(super) const DEV_KEY: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
const DEV_CHAIN_ID: u64 = 31_337;
/// Native coin for each party.
const COIN: u128 = 10_000_000_000_000_000_000;
/// Stake tokens for each rig, and how much of it is bonded.
const STAKE: u128 = 10_000_000_000_000_000_000_000;
const BOND: u128 = 5_000_000_000_000_000_000_000;
/// The stream key of the demo. Local to this machine.
pub const STREAM_KEY: &str = "sk_demo_broadcaster";
/// The public name of the demo's stream.
pub const STREAM_ID: &str = "demo";

/// How the market is set up.
pub struct Options {
    /// Everything is kept under this folder.
    pub dir: PathBuf,
    /// Price of each rig, in wei per unit.
    pub prices: Vec<u128>,
    /// The `headframe` to run; by default this very program.
    pub program: Option<PathBuf>,
    /// Use the usual ports when they are free.
    pub usual_ports: bool,
    /// Changes every configuration before it is written.
    pub adjust: fn(&mut Config),
}

/// A process of the market with its log file.
pub struct Process {
    /// For messages.
    pub name: String,
    /// Its standard output and error.
    pub log: PathBuf,
    command: Vec<String>,
    child: Child,
}

/// One rig or the gateway.
pub struct Party {
    /// The process.
    pub process: Process,
    /// Its account.
    pub address: Address,
    /// Where it serves players.
    pub http: String,
    /// Where it tells about itself.
    pub admin: String,
    /// Native coin after funding, before it did anything.
    pub coin_before: Wei,
}

/// A running market.
pub struct Cluster {
    /// The dev chain.
    pub anvil: Process,
    /// The dev chain's JSON-RPC.
    pub rpc_url: String,
    /// The contracts.
    pub chain: ChainView,
    /// The rigs.
    pub nodes: Vec<Party>,
    /// The broadcaster's gateway.
    pub gateway: Party,
    /// Where to publish, with the key.
    pub rtmp: String,
    /// The block at which all were funded and nothing had begun.
    pub start_block: u64,
    http: reqwest::Client,
}

impl Process {
    fn spawn(name: &str, program: &Path, args: &[String], log: PathBuf) -> anyhow::Result<Self> {
        let mut command = vec![program.display().to_string()];
        command.extend(args.iter().cloned());
        let child = Self::launch(&command, &log).with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name: name.into(), log, command, child })
    }

    fn launch(command: &[String], log: &Path) -> anyhow::Result<Child> {
        let out = File::options().create(true).append(true).open(log)?;
        Ok(Command::new(&command[0])
            .args(&command[1..])
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .process_group(0) // Ctrl-C is for the demo, which stops the others in order
            .kill_on_drop(true)
            .spawn()?)
    }

    /// Its process id while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// An error when it has ended, with the end of its log.
    pub fn check(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{} ended with {status}; the end of {}:\n{}", self.name, self.log.display(), tail(&self.log));
        }
        Ok(())
    }

    /// Sends a signal.
    pub fn signal(&self, signal: rustix::process::Signal) -> anyhow::Result<()> {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(rustix::process::Pid::from_raw);
        let pid = pid.with_context(|| format!("{} has ended", self.name))?;
        Ok(rustix::process::kill_process(pid, signal)?)
    }

    /// Ends it the hard way and waits until it is gone.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Asks it to stop and waits; after `grace` it is killed.
    pub async fn stop(&mut self, grace: Duration) -> anyhow::Result<()> {
        let _ = self.signal(rustix::process::Signal::TERM); // it may be gone already
        if tokio::time::timeout(grace, self.child.wait()).await.is_err() {
            tracing::warn!(name = self.name, "did not stop in time; killed");
            self.child.kill().await?;
        }
        Ok(())
    }

    /// Waits until it ends by itself.
    pub async fn ended(&mut self, patience: Duration) -> anyhow::Result<std::process::ExitStatus> {
        let ended = tokio::time::timeout(patience, self.child.wait()).await;
        Ok(ended.with_context(|| format!("{} still runs after {patience:?}", self.name))??)
    }

    /// Starts it again with the same command.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.child = Self::launch(&self.command, &self.log).with_context(|| format!("cannot start {}", self.name))?;
        Ok(())
    }
}

impl Cluster {
    /// Starts everything and waits until all are ready. `step` hears what happens.
    pub async fn start(options: &Options, mut step: impl FnMut(&str, String)) -> anyhow::Result<Self> {
        let dir = &options.dir;
        fs::create_dir_all(dir.join("logs"))?;
        let program = options.program.clone().map_or_else(std::env::current_exe, Ok)?;
        let mut taken = Vec::new();
        let mut port =
            |name: &str, usual: u16| ports::free(name, if options.usual_ports { usual } else { 0 }, &mut taken);
        let http = crate::wiring::http_client(Duration::from_secs(5))?;

        let chain_port = port("the dev chain", 8545)?;
        let rpc_url = format!("http://127.0.0.1:{chain_port}");
        let (anvil, deployment) = dev_chain(dir, chain_port).await?;
        let rpc = connect(&rpc_url).await?;
        step("chain", format!("anvil at {rpc_url}, chain id {DEV_CHAIN_ID}, a block every second"));
        let deployment_file = dir.join("deployment.json");
        fs::write(&deployment_file, serde_json::to_vec_pretty(&deployment)?)?;
        step(
            "contracts",
            format!("market {}, registry {}, token {}", deployment.market, deployment.registry, deployment.token),
        );

        let names: Vec<String> =
            (0..options.prices.len()).map(|i| format!("node-{}", (b'a' + i as u8) as char)).collect();
        let mut accounts = Vec::new();
        for name in names.iter().map(String::as_str).chain(["gateway"]) {
            let home = dir.join(name);
            fs::create_dir_all(&home)?;
            accounts.push(make_key(&home)?);
        }
        let bank = bank(rpc_url.parse()?)?;
        for (i, account) in accounts.iter().enumerate() {
            headframe_contracts::set_balance(&bank, *account, COIN).await.context("a party gets no coin")?;
            if i < names.len() {
                let funded = headframe_contracts::fund(&bank, &deployment, *account, STAKE, 0).await;
                funded.context("a rig gets no stake")?;
            }
        }
        tick(&rpc_url).await?;
        let chain = ChainView::new(rpc.clone(), &deployment).complete().await?;
        let start_block = rpc.head().await?.number.0;
        step("keys", format!("{} rigs and a broadcaster, funded with test money", names.len()));

        let mut bootstrap = Vec::new();
        let mut nodes = Vec::new();
        for (i, name) in names.iter().enumerate() {
            let mut config = base_config(&dir.join(name), &rpc_url, &deployment_file);
            let listen = port(name, 8935 + 10 * i as u16)?;
            config.node.listen = ([127, 0, 0, 1], listen).into();
            config.node.service_uri = format!("http://127.0.0.1:{listen}");
            config.node.pricing.price = Price::new(options.prices[i]).context("a price does not fit 96 bits")?;
            config.node.bond = BOND.to_string();
            config.node.withdraw_above = Wei(u128::MAX);
            config.node.claims.batch = 10;
            config.node.claims.max_wait_blocks = 60;
            config.codec.workers = 1;
            // All of them would want the same ones.
            config.codec.cards = headframe_codec::worker::Cards::None;
            config.codec.vulkan = headframe_codec::worker::Vulkan::None;
            let admin = port(name, 7935 + 10 * i as u16)?;
            config.admin.listen = ([127, 0, 0, 1], admin).into();
            p2p(&mut config, port(name, 9935 + 10 * i as u16)?, &mut bootstrap);
            (options.adjust)(&mut config);
            nodes.push(start_party(dir, &program, name, "run", &config, accounts[i], listen, admin, &chain).await?);
        }
        let mut config = base_config(&dir.join("gateway"), &rpc_url, &deployment_file);
        let rtmp = port("RTMP", 1935)?;
        let listen = port("the gateway", 8080)?;
        let admin = port("the gateway", 7985)?;
        config.gateway.rtmp = ([127, 0, 0, 1], rtmp).into();
        config.gateway.listen = ([127, 0, 0, 1], listen).into();
        config.gateway.streams = vec![Stream { key: STREAM_KEY.into(), id: STREAM_ID.into() }];
        config.gateway.grace = Duration::from_secs(3);
        config.gateway.samples = 4;
        config.admin.listen = ([127, 0, 0, 1], admin).into();
        p2p(&mut config, port("the gateway", 9985)?, &mut bootstrap);
        (options.adjust)(&mut config);
        let account = accounts[names.len()];
        let gateway = start_party(dir, &program, "gateway", "gateway", &config, account, listen, admin, &chain).await?;

        let rtmp = format!("rtmp://127.0.0.1:{rtmp}/live/{STREAM_KEY}");
        let mut cluster = Self { anvil, rpc_url, chain, nodes, gateway, rtmp, start_block, http };
        cluster.wait_ready(Duration::from_secs(60)).await?;
        for (node, price) in cluster.nodes.iter().zip(&options.prices) {
            step("rig", format!("{} {} asks {price} wei per 1000 pixels", node.process.name, node.address));
        }
        step(
            "gateway",
            format!("{} takes RTMP at {}", cluster.gateway.address, cluster.rtmp.replace(STREAM_KEY, "<key>")),
        );
        Ok(cluster)
    }

    async fn wait_ready(&mut self, patience: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            self.check()?;
            let mut waiting = None;
            for party in self.nodes.iter().chain([&self.gateway]) {
                let ready = self.http.get(format!("{}/readyz", party.admin)).send().await;
                match ready {
                    Ok(answer) if answer.status().is_success() => {}
                    Ok(answer) => waiting = Some((party, answer.text().await.unwrap_or_default())),
                    Err(error) => waiting = Some((party, error.to_string())),
                }
            }
            let Some((party, reason)) = waiting else { return Ok(()) };
            if Instant::now() > deadline {
                bail!("{} is not ready: {reason}\n{}", party.process.name, tail(&party.process.log));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// An error when any process has ended.
    pub fn check(&mut self) -> anyhow::Result<()> {
        self.anvil.check()?;
        self.gateway.process.check()?;
        self.nodes.iter_mut().try_for_each(|node| node.process.check())
    }

    /// What a party tells about itself.
    pub async fn status(&self, party: &Party) -> anyhow::Result<Value> {
        let answer = self.http.get(format!("{}/status", party.admin)).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }

    /// Publishes a clip at its own pace, as a broadcaster would. `looped` repeats it for ever.
    pub fn publish(&self, clip: &Path, looped: bool, log: &Path) -> anyhow::Result<Child> {
        let out = File::options().create(true).append(true).open(log)?;
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-hide_banner", "-nostdin", "-loglevel", "warning", "-re"]);
        if looped {
            ffmpeg.args(["-stream_loop", "-1"]);
        }
        ffmpeg.arg("-i").arg(clip).args(["-c", "copy", "-f", "flv"]).arg(&self.rtmp);
        ffmpeg.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out).process_group(0).kill_on_drop(true);
        ffmpeg.spawn().context("cannot start ffmpeg; install it (`./run setup`)")
    }

    /// Stops all processes, the money side first so that nothing is cut off.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        self.gateway.process.stop(Duration::from_secs(20)).await?;
        for node in &mut self.nodes {
            node.process.stop(Duration::from_secs(20)).await?;
        }
        self.anvil.stop(Duration::from_secs(5)).await
    }
}

/// The last lines of a log, for error messages.
pub fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

/// From now on the dev chain makes a block every second; before, it made one for each transaction, so that thirty contracts do not
/// take thirty seconds.
pub(super) async fn tick(rpc_url: &str) -> anyhow::Result<()> {
    let bank = bank(rpc_url.parse()?)?;
    bank.raw_request::<_, Value>("evm_setIntervalMining".into(), [1]).await.context("the dev chain does not tick")?;
    Ok(())
}

/// Starts the dev chain and puts the contracts on it.
pub(super) async fn dev_chain(dir: &Path, port: u16) -> anyhow::Result<(Process, Deployment)> {
    let program = anvil_program()?;
    let args = ["--port", &port.to_string(), "--chain-id", &DEV_CHAIN_ID.to_string(), "--silent"];
    let anvil = Process::spawn("anvil", &program, &args.map(String::from), dir.join("logs/anvil.log"))?;
    let rpc_url = format!("http://127.0.0.1:{port}");
    connect(&rpc_url).await?;
    let bank_key: PrivateKeySigner = DEV_KEY.parse()?;
    // Half of what there may ever be: the other half is for rewards.
    let holders = [(bank_key.address(), U256::from(50_000 * STAKE))];
    let deployment =
        headframe_contracts::deploy(&bank(rpc_url.parse()?)?, bank_key.address(), &Params::devnet(), &holders)
            .await
            .context("the contracts cannot be deployed")?;
    Ok((anvil, deployment))
}

/// The dev account that deploys and funds.
fn bank(rpc_url: reqwest::Url) -> anyhow::Result<impl Provider + Clone> {
    let key: PrivateKeySigner = DEV_KEY.parse()?;
    Ok(ProviderBuilder::new().wallet(EthereumWallet::from(key)).connect_http(rpc_url))
}

async fn connect(rpc_url: &str) -> anyhow::Result<Arc<Rpc>> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match Rpc::connect(&[rpc_url.to_owned()], None).await {
            Ok(rpc) => return Ok(Arc::new(rpc)),
            Err(error) if Instant::now() > deadline => return Err(error).context("the dev chain does not answer"),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

fn make_key(home: &Path) -> anyhow::Result<Address> {
    let password = home.join("password");
    write_secret(&password, "demo")?;
    let made = keys::new(home, Some("keystore"), &Password::File(password), keys::Format::V3, keys::Cost::Light)?;
    made.address.context("the new key names no address")
}

fn write_secret(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, text)?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o600))?)
}

fn base_config(home: &Path, rpc_url: &str, deployment: &Path) -> Config {
    let mut config = Config { state_dir: home.into(), ..Config::default() };
    config.chain.rpc = vec![rpc_url.into()];
    config.chain.deployment = deployment.into();
    config.chain.poll = Duration::from_millis(500);
    config.chain.confirmations = 1;
    config.signer.keystore = home.join("keystore.json");
    config.signer.password_file = home.join("password");
    config.hls.window = 300;
    config
}

fn p2p(config: &mut Config, port: u16, bootstrap: &mut Vec<String>) {
    let tcp = format!("/ip4/127.0.0.1/tcp/{port}");
    config.p2p.listen = vec![tcp.clone(), format!("/ip4/127.0.0.1/udp/{port}/quic-v1")];
    config.p2p.bootstrap.clone_from(bootstrap);
    config.p2p.allow_private = true;
    bootstrap.push(tcp);
}

#[allow(clippy::too_many_arguments)] // each is a different plain fact about one process
async fn start_party(
    dir: &Path,
    program: &Path,
    name: &str,
    role: &str,
    config: &Config,
    address: Address,
    http: u16,
    admin: u16,
    chain: &ChainView,
) -> anyhow::Result<Party> {
    let file = dir.join(format!("{name}.toml"));
    fs::write(&file, toml::to_string_pretty(config)?)?;
    let args = [role.into(), "--config".into(), file.display().to_string()];
    let coin_before = chain.balance(address).await?;
    let process = Process::spawn(name, program, &args, dir.join(format!("logs/{name}.log")))?;
    let (http, admin) = (format!("http://127.0.0.1:{http}"), format!("http://127.0.0.1:{admin}"));
    Ok(Party { process, address, http, admin, coin_before })
}
