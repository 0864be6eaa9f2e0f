//! What a node is started with, and why it may not start.

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use std::path::PathBuf;
use std::time::Duration;

/// What a node is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen, such as `/ip4/0.0.0.0/tcp/4001` and `/ip4/0.0.0.0/udp/4001/quic-v1`.
    pub listen: Vec<Multiaddr>,
    /// Whom to stay connected to, best with `/p2p/PEER` at the end: then nobody else can answer there.
    pub bootstrap: Vec<Multiaddr>,
    /// The identity; made when missing, mode 0600.
    pub key_file: PathBuf,
    /// The gossip topics taken part in.
    pub topics: Vec<String>,
    /// Bounds.
    pub limits: Limits,
    /// Whether loopback and private addresses may be listened on and dialled: for a laptop, a test or a LAN.
    pub allow_private: bool,
}

/// Bounds on what peers can make this node do.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections of both directions.
    pub connections: u32,
    /// Connections to one peer.
    pub per_peer: u32,
    /// Handshakes at a time, of either direction.
    pub pending: u32,
    /// The longest message, in bytes, at most 60 KiB.
    pub message_bytes: usize,
    /// Messages that one peer may send in a row.
    pub burst: u32,
    /// Messages per second from one peer in the long run. More are dropped, not forwarded.
    pub per_second: f64,
    /// Rejected messages after which a peer is shut out for `ban`.
    pub strikes: u32,
    /// How long it is shut out.
    pub ban: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            per_peer: 4,
            pending: 64,
            message_bytes: 16 << 10,
            burst: 100,
            per_second: 20.0,
            strikes: 8,
            ban: Duration::from_secs(600),
        }
    }
}

/// Room that gossipsub needs around a message: signature, key, topic, framing.
const ENVELOPE: usize = 4 << 10;
/// The longest gossip frame sent or taken.
pub(crate) const MAX_FRAME: usize = 64 << 10;
/// Topics one node takes part in.
const MAX_TOPICS: usize = 64;
const MAX_TOPIC_BYTES: usize = 128;

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The key file.
    #[error("node key {path}: {why}", path = .path.display())]
    Key {
        /// Where it is.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {why}")]
    Listen {
        /// As configured.
        address: Multiaddr,
        /// What is wrong.
        why: String,
    },
    /// An address of a private network without leave for it.
    #[error("{0} is a private or loopback address; set `allow_private` to use such addresses on purpose")]
    Private(Multiaddr),
    /// A setting out of range.
    #[error("swarm setting {name}: {why}")]
    Setting {
        /// Which.
        name: &'static str,
        /// What is wrong.
        why: String,
    },
}

impl Config {
    pub(crate) fn validate(&self) -> Result<(), StartError> {
        let setting = |name, why: &str| Err(StartError::Setting { name, why: why.into() });
        let limits = &self.limits;
        if !(1..=MAX_FRAME - ENVELOPE).contains(&limits.message_bytes) {
            return setting("limits.message_bytes", "must be between 1 and 61440");
        }
        if limits.per_second.is_nan() || limits.per_second <= 0.0 || limits.burst == 0 || limits.strikes == 0 {
            return setting("limits", "burst, per_second and strikes must be above zero");
        }
        let fits = |topic: &String| (1..=MAX_TOPIC_BYTES).contains(&topic.len());
        if self.topics.len() > MAX_TOPICS || !self.topics.iter().all(fits) {
            return setting("topics", "at most 64, of 1 to 128 bytes each");
        }
        // Listening on every interface (0.0.0.0, ::) is no private address: which ones there are is the host's matter.
        let all = self.listen.iter().chain(&self.bootstrap);
        match all.filter(|address| is_private(address)).find(|_| !self.allow_private) {
            Some(address) => Err(StartError::Private(address.clone())),
            None => Ok(()),
        }
    }
}

fn is_private(address: &Multiaddr) -> bool {
    address.iter().any(|part| match part {
        Protocol::Ip4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        Protocol::Ip6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
        Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => name == "localhost",
        _ => false,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn config(listen: &str, bootstrap: &str) -> Config {
        let list = |text: &str| text.split_whitespace().map(|address| address.parse().unwrap()).collect();
        Config {
            listen: list(listen),
            bootstrap: list(bootstrap),
            key_file: "node.key".into(),
            topics: vec!["/t/1".into()],
            limits: Limits::default(),
            allow_private: false,
        }
    }

    #[test]
    fn private_addresses_need_leave() {
        for (listen, bootstrap, fine) in [
            ("/ip4/0.0.0.0/tcp/0 /ip6/::/udp/0/quic-v1", "/dns/boot.example/tcp/4001 /ip4/8.8.8.8/tcp/1", true),
            ("/ip4/127.0.0.1/tcp/0", "", false),
            ("", "/ip4/10.1.2.3/tcp/4001", false),
            ("", "/ip6/fd00::1/udp/4001/quic-v1", false),
            ("", "/dns4/localhost/tcp/4001", false),
        ] {
            let config = config(listen, bootstrap);
            assert_eq!(config.validate().is_ok(), fine, "{listen} {bootstrap}");
            assert!(Config { allow_private: true, ..config }.validate().is_ok());
        }
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let mut config = config("", "");
        config.limits.message_bytes = 64 << 10;
        assert!(config.validate().unwrap_err().to_string().contains("message_bytes"));
        config.limits = Limits { per_second: f64::NAN, ..Limits::default() };
        assert!(config.validate().is_err());
        config.limits = Limits::default();
        config.topics = vec![String::new()];
        assert!(config.validate().unwrap_err().to_string().contains("topics"));
    }
}
