//! The libp2p side put together: transports, protocols and their bounds. Nothing here decides what a message means.

use crate::config::{Config, Limits, MAX_FRAME, StartError};
use libp2p::allow_block_list::{self, BlockedPeers};
use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::gossipsub::{
    self, IdentTopic, IdentityTransform, MessageAuthenticity, MessageId, PeerScoreParams, PeerScoreThresholds,
    TopicScoreParams, ValidationMode, WhitelistSubscriptionFilter,
};
use libp2p::identity::Keypair;
use libp2p::swarm::NetworkBehaviour;
use libp2p::{Swarm, SwarmBuilder, identify, noise, ping, tcp, yamux};
use sha2::{Digest, Sha256};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

const PROTOCOL: &str = "/headframe/1";
/// Quiet partners stay: gossip has pauses.
const IDLE: Duration = Duration::from_secs(60);

pub(crate) type Gossip = gossipsub::Behaviour<IdentityTransform, WhitelistSubscriptionFilter>;

/// Limits come first: what they deny never reaches the protocols.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    pub(crate) limits: connection_limits::Behaviour,
    pub(crate) blocked: allow_block_list::Behaviour<BlockedPeers>,
    pub(crate) identify: identify::Behaviour,
    pub(crate) ping: ping::Behaviour,
    pub(crate) gossip: Gossip,
}

pub(crate) fn build(key: Keypair, config: &Config) -> Result<Swarm<Behaviour>, StartError> {
    let setting = |name| move |why: String| StartError::Setting { name, why };
    let behaviour = Behaviour {
        limits: connection_limits::Behaviour::new(limits(&config.limits)),
        blocked: allow_block_list::Behaviour::default(),
        identify: identify::Behaviour::new(
            identify::Config::new(PROTOCOL.into(), key.public())
                .with_agent_version(concat!("headframe/", env!("CARGO_PKG_VERSION")).into())
                // Addresses told by peers are never dialled: a liar could point us at anybody.
                .with_cache_size(0),
        ),
        ping: ping::Behaviour::default(),
        gossip: gossip(key.clone(), config).map_err(setting("gossip"))?,
    };
    // QUIC brings its own TLS provider, so no process-wide one is needed for these transports.
    let transports = |key: Keypair| -> io::Result<_> {
        let noise_failed = |error: noise::Error| io::Error::other(error.to_string());
        Ok(SwarmBuilder::with_existing_identity(key)
            .with_tokio()
            .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)
            .map_err(noise_failed)?
            .with_quic())
    };
    let failed = |error: io::Error| StartError::Setting { name: "transport", why: error.to_string() };
    // A machine without a resolver's configuration can still use addresses that need none.
    let swarm = match transports(key.clone()).map_err(failed)?.with_dns() {
        Ok(builder) => builder
            .with_behaviour(|_| behaviour)
            .map_err(|error| setting("behaviour")(error.to_string()))?
            .with_swarm_config(|config| config.with_idle_connection_timeout(IDLE))
            .build(),
        Err(error) => {
            tracing::warn!(%error, "no name resolution for peers; only numeric addresses can be dialled");
            transports(key)
                .map_err(failed)?
                .with_behaviour(|_| behaviour)
                .map_err(|error| setting("behaviour")(error.to_string()))?
                .with_swarm_config(|config| config.with_idle_connection_timeout(IDLE))
                .build()
        }
    };
    Ok(swarm)
}

fn limits(limits: &Limits) -> ConnectionLimits {
    ConnectionLimits::default()
        .with_max_pending_incoming(Some(limits.pending))
        .with_max_pending_outgoing(Some(limits.pending))
        .with_max_established(Some(limits.connections))
        // Some room is left for connections of our own choice.
        .with_max_established_incoming(Some(limits.connections.saturating_sub(limits.connections / 8)))
        .with_max_established_per_peer(Some(limits.per_peer))
}

fn gossip(key: Keypair, config: &Config) -> Result<Gossip, String> {
    let settings = gossipsub::ConfigBuilder::default()
        .validation_mode(ValidationMode::Strict)
        .validate_messages()
        .message_id_fn(|message| {
            let mut hash = Sha256::new();
            hash.update(message.topic.as_str());
            hash.update([0]);
            hash.update(&message.data);
            MessageId::new(&hash.finalize())
        })
        // The same for every node: a longer frame ends the stream. What is too long for this node is rejected later.
        .max_transmit_size(MAX_FRAME)
        .build()
        .map_err(|error| error.to_string())?;
    let topics: Vec<_> = config.topics.iter().map(IdentTopic::new).collect();
    let ours = WhitelistSubscriptionFilter(topics.iter().map(IdentTopic::hash).collect());
    let mut gossip = Gossip::new_with_subscription_filter(MessageAuthenticity::Signed(key), settings, ours)?;

    let mut scores = PeerScoreParams::default();
    if config.allow_private {
        // On one machine or behind one router, sharing an address says nothing.
        let shared = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        scores.ip_colocation_factor_whitelist.extend(shared);
    }
    for topic in &topics {
        let params = TopicScoreParams {
            // Offers are rare, so silence is no fault. An invalid message is one, remembered for a minute; about nine
            // of them get a peer ignored here even where the strikes allow more.
            mesh_message_deliveries_weight: 0.0,
            mesh_failure_penalty_weight: 0.0,
            time_in_mesh_cap: 10.0,
            time_in_mesh_quantum: Duration::from_secs(60),
            first_message_deliveries_cap: 10.0,
            invalid_message_deliveries_weight: -2.0,
            invalid_message_deliveries_decay: 0.93,
            ..TopicScoreParams::default()
        };
        scores.topics.insert(topic.hash(), params);
    }
    gossip.with_peer_score(scores, PeerScoreThresholds::default())?;
    for topic in &topics {
        gossip.subscribe(topic).map_err(|error| error.to_string())?;
    }
    Ok(gossip)
}
