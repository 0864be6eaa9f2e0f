//! The one configuration. Its docs are the manual, its [`Default`] is the manual's default.
//!
//! Read from a TOML file, then from `HEADFRAME_*` variables, then from flags; unknown keys are errors. Secrets are paths.

use headframe_chain::outbox::{Budgets, OTHER};
use headframe_codec::ladder::{Container, Ladder};
use headframe_codec::worker::{Cards, Vulkan};
use headframe_market::pricing::Pricing;
use headframe_market::{Action, Address, Price, Wei, machine::client::EscrowRules, machine::operator::ClaimRules};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Everything a node or a gateway can be told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Everything that must survive a restart lives here.
    pub state_dir: PathBuf,
    /// The chain and the contracts.
    pub chain: Chain,
    /// The signer that holds the key.
    pub signer: Signer,
    /// Health, metrics and status for the operator.
    pub admin: Admin,
    /// Peer-to-peer network.
    pub p2p: P2p,
    /// Transcoding workers.
    pub codec: Codec,
    /// What is kept for players.
    pub hls: Hls,
    /// The rig: `headframe run`.
    pub node: Node,
    /// The broadcaster's side: `headframe gateway`.
    pub gateway: Gateway,
}

/// The chain and the contracts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Chain {
    /// JSON-RPC addresses, best first. What safety rests on is asked of all of them.
    pub rpc: Vec<String>,
    /// How many of them must agree before claims are made. 0: more than half.
    pub quorum: usize,
    /// The deployment file: addresses, chain id, first block. Written by whoever deployed the contracts.
    pub deployment: PathBuf,
    /// Blocks on top before an effect counts as safe.
    pub confirmations: u64,
    /// How often the head is asked for.
    #[serde(with = "humantime_serde")]
    pub poll: Duration,
    /// The most bid per gas, in wei, for what has a deadline.
    pub max_gas_price: Wei,
    /// The most bid per gas, in wei, for what can wait: settling, withdrawing, upkeep.
    pub max_gas_price_unhurried: Wei,
    /// The most spent on fees in a day (UTC, by the chain's clock), in wei by kind of transaction; `other` for each kind
    /// that is not named. A kind that is left out of the file keeps its default.
    pub budgets: BTreeMap<String, Wei>,
    /// The account's transactions before this state directory was made were nobody's who still uses the key. A flag.
    #[serde(skip)]
    pub take_over: bool,
}

/// The signer that holds the key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Signer {
    /// Socket of a signer that runs already (a systemd unit, say). Empty: one is started.
    pub socket: PathBuf,
    /// Keystore (Web3 Secret Storage v3 or EIP-2335) for a signer started here.
    pub keystore: PathBuf,
    /// File with the keystore's password for a signer started here.
    pub password_file: PathBuf,
    /// The most one transaction may cost in fees.
    pub max_fee: Wei,
    /// Who alone may become the owner of stake and fees (`headframe stake owner`), for a signer started here: a cold wallet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Address>,
}

/// Health, metrics and status.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    /// Serves `/healthz`, `/readyz`, `/metrics`, `/status`. Keep it on loopback: it has no password.
    pub listen: SocketAddr,
}

/// Peer-to-peer network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct P2p {
    /// Multiaddresses to listen on, TCP and QUIC. Empty: no peer-to-peer.
    pub listen: Vec<String>,
    /// Multiaddresses of peers to start from.
    pub bootstrap: Vec<String>,
    /// Accept peers at private addresses (a test network).
    pub allow_private: bool,
}

/// Transcoding workers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Codec {
    /// The worker program. Empty: `headframe-codec` beside this one.
    pub program: PathBuf,
    /// Worker processes, each doing one segment at a time. 0: one for every two cores, and one more if there are two.
    pub workers: usize,
    /// A segment that takes longer than this is given up.
    #[serde(with = "humantime_serde")]
    pub deadline: Duration,
    /// Graphics cards that transcode: `all` that work, `none`, or a list of UUIDs.
    pub cards: Cards,
    /// A card without CUDA that scales for the workers: `auto` where that is less work for the processors, `none`, or
    /// the name or UUID of one.
    pub vulkan: Vulkan,
}

/// What is kept for players.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hls {
    /// Segments listed in a playlist and kept on disk, 3 or more.
    pub window: usize,
}

/// The rig.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Node {
    /// Takes segments from gateways and serves HLS to players.
    pub listen: SocketAddr,
    /// How others reach `listen`; announced on chain. Empty: `listen` itself, where that is one address.
    pub service_uri: String,
    /// The price asked: a fixed one, or one that follows the costs.
    pub pricing: Pricing,
    /// When work is claimed.
    pub claims: ClaimRules,
    /// Have the day's new tokens minted, every day: without a transaction in time they are lost.
    pub rewards: bool,
    /// Stake to keep bonded, in the token's smallest unit, as a decimal string. Missing stake is bonded at start.
    pub bond: String,
    /// Earned fees are withdrawn once they exceed this.
    pub withdraw_above: Wei,
    /// Ladders this rig offers. An order is bid for only when it orders one of these, and the worker program can make it.
    pub ladders: Vec<Ladder>,
    /// Segments in hand at once, all jobs together.
    pub max_in_hand: usize,
    /// Bytes of disk for sources and renditions that may still be asked for; full, no more work is taken. An hour of one
    /// stream is about 4 GB until it is claimed, and little after that.
    pub evidence: u64,
}

/// The broadcaster's side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gateway {
    /// RTMP: `rtmp://HOST:PORT/live/KEY`.
    pub rtmp: SocketAddr,
    /// Serves HLS and the watch page.
    pub listen: SocketAddr,
    /// Who may publish.
    pub streams: Vec<Stream>,
    /// The ladder that is ordered.
    pub ladder: Ladder,
    /// The most paid per unit (1000 output pixels).
    pub max_price: Price,
    /// Segments drawn of a long claim, 1..=8.
    pub samples: u8,
    /// How the job's escrow is filled.
    pub escrow: EscrowRules,
    /// A publisher may be gone this long before the job is closed.
    #[serde(with = "humantime_serde")]
    pub grace: Duration,
    /// An operator that does not deliver for this long loses the stream to another.
    #[serde(with = "humantime_serde")]
    pub give_up: Duration,
    /// Accepted segments that may wait for delivery, per stream. When they do, new ones are refused: players see a gap.
    pub spool: usize,
}

/// A publisher's right to a stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    /// The secret in the publish URL.
    pub key: String,
    /// The public name in playback URLs. Never the key.
    pub id: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            state_dir: "/var/lib/headframe".into(),
            chain: Chain::default(),
            signer: Signer::default(),
            admin: Admin::default(),
            p2p: P2p::default(),
            codec: Codec::default(),
            hls: Hls::default(),
            node: Node::default(),
            gateway: Gateway::default(),
        }
    }
}

/// A thousandth of a coin.
const MILLI: u128 = 1_000_000_000_000_000;

impl Default for Chain {
    fn default() -> Self {
        // A proof that is not made costs stake: its budget is the last to end.
        let budgets =
            [("answer", 2_000), ("reveal", 2_000), ("claim", 500), ("seal", 500), ("settle", 500), (OTHER, 100)];
        Self {
            rpc: Vec::new(),
            quorum: 0,
            deployment: PathBuf::new(),
            confirmations: 2,
            poll: Duration::from_secs(1),
            max_gas_price: Wei(500_000_000_000),
            max_gas_price_unhurried: Wei(100_000_000_000),
            budgets: budgets.into_iter().map(|(kind, milli)| (kind.to_owned(), Wei(milli * MILLI))).collect(),
            take_over: false,
        }
    }
}

impl Chain {
    /// The budgets as the outbox keeps them.
    pub(crate) fn budgets(&self) -> Budgets {
        let mut limits = Self::default().budgets;
        limits.extend(self.budgets.clone());
        Budgets::new(limits)
    }
}

impl Default for Signer {
    fn default() -> Self {
        let nothing = PathBuf::new;
        Self { socket: nothing(), keystore: nothing(), password_file: nothing(), max_fee: Wei(50 * MILLI), owner: None }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: ([127, 0, 0, 1], 7935).into() }
    }
}

impl Default for P2p {
    fn default() -> Self {
        let listen = ["/ip4/0.0.0.0/tcp/8936", "/ip4/0.0.0.0/udp/8936/quic-v1"];
        Self { listen: listen.map(String::from).into(), bootstrap: Vec::new(), allow_private: false }
    }
}

impl Default for Codec {
    fn default() -> Self {
        Self {
            program: PathBuf::new(),
            workers: 0,
            deadline: Duration::from_secs(30),
            cards: Cards::All,
            vulkan: Vulkan::Auto,
        }
    }
}

impl Default for Hls {
    fn default() -> Self {
        Self { window: 30 }
    }
}

/// 1 gwei per 1000 output pixels.
const DEFAULT_PRICE: u128 = 1_000_000_000;

fn price(wei: u128) -> Price {
    Price::new(wei).unwrap_or(Price::MAX)
}

impl Default for Node {
    fn default() -> Self {
        Self {
            listen: ([0, 0, 0, 0], 8935).into(),
            service_uri: String::new(),
            pricing: Pricing { price: price(DEFAULT_PRICE), cost: None },
            claims: ClaimRules { batch: 150, max_wait_blocks: 600 },
            rewards: true,
            bond: "0".into(),
            withdraw_above: Wei(10_000_000_000_000_000),
            ladders: vec![Ladder::standard()],
            max_in_hand: 8,
            evidence: 32 << 30,
        }
    }
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            rtmp: ([0, 0, 0, 0], 1935).into(),
            listen: ([0, 0, 0, 0], 8080).into(),
            streams: Vec::new(),
            ladder: Ladder::standard(),
            max_price: price(10 * DEFAULT_PRICE),
            samples: 8,
            escrow: EscrowRules { deposit: Wei(50_000_000_000_000_000), low_water: Wei(10_000_000_000_000_000) },
            grace: Duration::from_secs(30),
            give_up: Duration::from_secs(60),
            spool: 64,
        }
    }
}

/// Which part of the configuration a role needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    /// `headframe run`
    Node,
    /// `headframe gateway`
    Gateway,
    /// `headframe gateway --local`
    LocalGateway,
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML, or has a key or value that is not known.
    #[error("{path}: {source}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Line, column and what is wrong.
        source: Box<toml::de::Error>,
    },
    /// Values that cannot work together, all at once.
    #[error("the configuration cannot be used:\n  - {}", .0.join("\n  - "))]
    Invalid(Vec<String>),
}

impl Config {
    /// Reads `path`; without one, the defaults.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let Some(path) = path else { return Ok(Self::default()) };
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.into(), source })?;
        toml::from_str(&text).map_err(|source| ConfigError::Parse { path: path.into(), source: Box::new(source) })
    }

    /// Reports every problem at once.
    pub fn validate(&self, role: For) -> Result<(), ConfigError> {
        let mut wrong = Vec::new();
        let mut need = |ok: bool, text: &str| {
            if !ok {
                wrong.push(text.to_owned());
            }
        };
        need(self.hls.window >= 3, "hls.window: players need 3 segments or more");
        need(!self.codec.deadline.is_zero(), "codec.deadline: must be longer than 0 s");
        let no_name = matches!(&self.codec.vulkan, Vulkan::Named(name) if name.trim().is_empty());
        need(!no_name, "codec.vulkan: auto, none, or the name or UUID of a device");
        if role != For::LocalGateway {
            need(!self.chain.rpc.is_empty(), "chain.rpc: name at least one JSON-RPC address");
            need(
                self.chain.quorum <= self.chain.rpc.len(),
                "chain.quorum: more than there are addresses in chain.rpc, so no claim would ever be made",
            );
            let known = |kind: &String| kind == OTHER || Action::KINDS.contains(&kind.as_str());
            need(
                self.chain.budgets.keys().all(known),
                &format!("chain.budgets: a kind is not known; there are: {OTHER} {}", Action::KINDS.join(" ")),
            );
            need(self.chain.deployment.is_file(), "chain.deployment: no such file (the contracts' addresses)");
            need(
                !self.signer.socket.as_os_str().is_empty()
                    || self.signer.keystore.is_file() && self.signer.password_file.is_file(),
                "signer: set `socket` to a running signer, or `keystore` and `password_file` to existing files \
                 (make a key with `headframe keys new`)",
            );
        }
        match role {
            For::Node => {
                need((1..=4096).contains(&self.node.claims.batch), "node.claims.batch: must be 1..=4096");
                need(self.bond().is_some(), "node.bond: not a whole number of the token's smallest unit");
                need(
                    !self.node.service_uri.is_empty() || !self.node.listen.ip().is_unspecified(),
                    "node.service_uri: say how gateways reach this rig, such as http://rig.example.org:8935; it is \
                     announced on chain, and node.listen alone does not tell",
                );
                need(!self.node.ladders.is_empty(), "node.ladders: name at least one ladder");
                need(
                    self.node.ladders.iter().all(is_served),
                    "node.ladders: only container = \"mpegts\" is served so far",
                );
                need(self.node.max_in_hand > 0, "node.max_in_hand: must be 1 or more");
            }
            For::Gateway | For::LocalGateway => {
                let gateway = &self.gateway;
                need(!gateway.streams.is_empty(), "gateway.streams: no stream key is configured, nobody could publish");
                let public = gateway.streams.iter().all(|s| !s.key.is_empty() && s.key != s.id);
                need(public, "gateway.streams: a key is empty or equal to its public id; viewers could publish");
                let mut names: Vec<_> = gateway.streams.iter().flat_map(|s| [&s.key, &s.id]).collect();
                names.sort();
                names.dedup();
                need(names.len() == 2 * gateway.streams.len(), "gateway.streams: keys and ids must all differ");
                need((1..=8).contains(&gateway.samples), "gateway.samples: must be 1..=8");
                need(gateway.spool > 0, "gateway.spool: must be 1 or more");
                need(is_served(&gateway.ladder), "gateway.ladder: only container = \"mpegts\" is served so far");
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(ConfigError::Invalid(wrong)) }
    }

    /// The stake to keep bonded, `None` when it is not a number.
    pub fn bond(&self) -> Option<u128> {
        self.node.bond.replace('_', "").parse().ok()
    }
}

/// Whether the playlists can list what this ladder makes.
fn is_served(ladder: &Ladder) -> bool {
    ladder.renditions().iter().all(|rendition| rendition.container == Container::Mpegts)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_an_error_with_its_place() {
        let wrong = toml::from_str::<Config>("[node]\nlissen = \"0.0.0.0:1\"\n").unwrap_err();
        assert!(wrong.to_string().contains("lissen") && wrong.to_string().contains("line 2"), "{wrong}");
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let mut config = Config::default();
        config.hls.window = 1;
        config.codec.vulkan = String::new().into();
        let told = config.validate(For::Node).unwrap_err().to_string();
        for word in ["hls.window", "codec.vulkan", "chain.rpc", "chain.deployment", "signer"] {
            assert!(told.contains(word), "{word} missing in: {told}");
        }
    }

    #[test]
    fn what_is_left_out_of_a_section_keeps_its_default() {
        let some = toml::from_str::<Config>("[chain]\nrpc = [\"http://a\"]\n[chain.budgets]\nclaim = \"7\"\n").unwrap();
        assert_eq!((some.chain.confirmations, some.chain.poll), (2, Duration::from_secs(1)));
        let budgets = some.chain.budgets();
        assert_eq!(budgets.limit("claim"), Some(Wei(7)));
        assert_eq!(budgets.limit("answer"), Some(Wei(2_000 * MILLI)));
        assert_eq!(budgets.limit("bond"), Some(Wei(100 * MILLI)));
        let signer = toml::from_str::<Config>("[signer]\nkeystore = \"a\"\n").unwrap().signer;
        assert_eq!(signer.max_fee, Wei(50 * MILLI));
    }

    #[test]
    fn a_card_that_scales_is_a_word_or_a_name() {
        let codec = |text: &str| toml::from_str::<Config>(text).map(|config| config.codec.vulkan);
        assert_eq!(codec("").unwrap(), Vulkan::Auto);
        assert_eq!(codec("[codec]\nvulkan = \"none\"\n").unwrap(), Vulkan::None);
        let named = codec("[codec]\nvulkan = \"AMD Radeon RX 580\"\n").unwrap();
        assert_eq!(named, Vulkan::Named("AMD Radeon RX 580".to_owned()));
        assert!(codec("[codec]\nvulkan = [\"auto\"]\n").is_err());
    }

    #[test]
    fn a_price_alone_is_fixed_and_the_costs_shown_in_the_installed_file_make_it_move() {
        let pricing = |text: &str| toml::from_str::<Config>(text).map(|config| config.node.pricing);
        let fixed = pricing("[node.pricing]\nprice = \"7\"\n").unwrap();
        assert_eq!(fixed, Pricing { price: price(7), cost: None });
        let keys = ["[node.pricing.cost]", "energy_price", "watts", "units_per_second", "margin_percent"];
        let installed = include_str!("../../systemd/headframe.toml");
        let shown =
            |key: &str| installed.lines().find_map(|line| line.strip_prefix('#').filter(|it| it.starts_with(key)));
        let shown: Vec<_> = keys.into_iter().filter_map(shown).collect();
        let moving = format!("[node.pricing]\nprice = \"7\"\n{}\n", shown.join("\n"));
        assert_eq!(pricing(&moving).unwrap().cost.unwrap().watts, 450);
        assert!(pricing(&format!("{moving}wats = 1\n")).unwrap_err().to_string().contains("wats"));
        let partly = pricing(&moving.replace("watts", "#watts")).unwrap_err().to_string();
        assert!(partly.contains("missing field `watts`"), "{partly}");
        assert!(pricing(&moving.replace("400_000", "0")).is_err());
    }

    #[test]
    fn a_budget_for_no_kind_and_a_quorum_of_nobody_are_refused() {
        let mut config = Config::default();
        config.chain.budgets.insert("clam".into(), Wei(1));
        config.chain.quorum = 1;
        let told = config.validate(For::Node).unwrap_err().to_string();
        assert!(told.contains("chain.budgets") && told.contains("chain.quorum"), "{told}");
    }

    #[test]
    fn a_key_that_is_public_is_refused() {
        let mut config = Config::default();
        config.gateway.streams = vec![Stream { key: "same".into(), id: "same".into() }];
        let told = config.validate(For::LocalGateway).unwrap_err().to_string();
        assert!(told.contains("public id"), "{told}");
    }

    #[test]
    fn a_ladder_that_cannot_be_listed_is_refused() {
        let mut rungs = Ladder::standard().renditions().to_vec();
        rungs[0].container = Container::Cmaf;
        let mut config = Config::default();
        config.gateway.ladder = Ladder::new(rungs).unwrap();
        config.node.ladders = vec![config.gateway.ladder.clone()];
        for (role, key) in [(For::Node, "node.ladders: only"), (For::LocalGateway, "gateway.ladder: only")] {
            let told = config.validate(role).unwrap_err().to_string();
            assert!(told.contains(key), "{told}");
        }
    }

    /// The file that `./run install` puts down is the manual: it must show every key with its default.
    #[test]
    fn the_installed_file_is_the_default_but_for_the_paths_of_the_units() {
        let text = include_str!("../../systemd/headframe.toml");
        let mut installed: Config = toml::from_str(text).unwrap();
        let default = Config::default();
        assert_eq!(std::mem::take(&mut installed.chain.deployment), Path::new("/etc/headframe/deployment.json"));
        assert_eq!(std::mem::take(&mut installed.signer.socket), Path::new("/run/headframe-signer/signer.sock"));
        assert_eq!(installed, default);
        let Ok(toml::Value::Table(all)) = toml::Value::try_from(&default) else { panic!("not a table") };
        for (section, keys) in all {
            for key in keys.as_table().into_iter().flat_map(|keys| keys.keys()) {
                let shown = text.contains(&format!("\n{key} = ")) || text.contains(&format!("[{section}.{key}]"));
                assert!(shown, "{section}.{key} is not shown in systemd/headframe.toml");
            }
        }
    }

    #[test]
    fn the_default_survives_toml() {
        let text = toml::to_string(&Config::default()).unwrap();
        assert_eq!(toml::from_str::<Config>(&text).unwrap(), Config::default());
    }
}
