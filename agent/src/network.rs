//! The peer-to-peer side of the roles: job offers out and in.

use crate::config::P2p;
use anyhow::Context;
use headframe_market::machine::JobView;
use headframe_market::typed_data::Domain;
use headframe_swarm::offer::{Decimal, Hex};
use headframe_swarm::{JobOffer, Limits, Node, OFFERS_TOPIC as TOPIC, Verdict};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::{broadcast, mpsc};

/// A running node of the overlay.
#[derive(Clone)]
pub(crate) struct Network {
    node: Arc<Node>,
}

impl Network {
    /// Starts it. `None` when the configuration has no addresses to listen on.
    pub(crate) async fn start(config: &P2p, dir: &Path, chain: Option<Domain>) -> anyhow::Result<Option<Self>> {
        if config.listen.is_empty() {
            return Ok(None);
        }
        let addresses = |texts: &[String]| {
            let parse = |text: &String| text.parse().with_context(|| format!("`{text}` is not a multiaddress"));
            texts.iter().map(parse).collect::<anyhow::Result<Vec<_>>>()
        };
        let validate = move |topic: &str, bytes: &[u8]| {
            if topic != TOPIC {
                return Verdict::Ignore;
            }
            match (JobOffer::decode(bytes), chain) {
                (Err(_), _) => Verdict::Reject,
                // Another market's offers are honest, and none of our business.
                (Ok(offer), Some(domain)) if !is_of(&offer, &domain) => Verdict::Ignore,
                (Ok(_), _) => Verdict::Accept,
            }
        };
        let node = Node::start(
            headframe_swarm::Config {
                listen: addresses(&config.listen).context("p2p.listen")?,
                bootstrap: addresses(&config.bootstrap).context("p2p.bootstrap")?,
                key_file: dir.join("node.key"),
                topics: vec![TOPIC.into()],
                allow_private: config.allow_private,
                limits: Limits::default(),
            },
            validate,
        );
        let node = node.await.context("the peer-to-peer node cannot start")?;
        Ok(Some(Self { node: Arc::new(node) }))
    }

    /// Tells the network about an open job. `true` when a peer took it.
    pub(crate) async fn offer(&self, domain: &Domain, job: &JobView) -> bool {
        let offer = JobOffer {
            chain_id: domain.chain_id,
            market: Hex(domain.market.into_array()),
            job: job.id.0,
            endpoint: None,
            profile: Hex(job.profile.0),
            max_price: Decimal(job.max_price.wei()),
            start_until: job.start_until.0,
        };
        let published = match offer.encode() {
            Ok(bytes) => self.node.publish(TOPIC, bytes).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match published {
            Ok(_) => {
                tracing::info!(job = %job.id, peers = self.peers(), "job offered to the network");
                true
            }
            Err(error) => {
                tracing::debug!(job = %job.id, error, "no peer heard the offer; rigs find the job on chain");
                false
            }
        }
    }

    /// Offers of this market, from now on. A listener that falls behind loses the oldest.
    pub(crate) fn offers(&self) -> mpsc::Receiver<JobOffer> {
        let (send, offers) = mpsc::channel(64);
        let mut messages = self.node.subscribe();
        tokio::spawn(async move {
            loop {
                match messages.recv().await {
                    Ok(message) => {
                        if let Ok(offer) = JobOffer::decode(&message.bytes)
                            && send.send(offer).await.is_err()
                        {
                            return;
                        }
                    }
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return,
                }
            }
        });
        offers
    }

    /// Connected peers.
    pub(crate) fn peers(&self) -> usize {
        self.node.peers().len()
    }

    /// For `/status`.
    pub(crate) fn json(&self) -> Value {
        let texts = |items: Vec<String>| items;
        json!({
            "peer_id": self.node.local_peer_id().to_string(),
            "listen": texts(self.node.listen_addrs().iter().map(ToString::to_string).collect()),
            "peers": texts(self.node.peers().iter().map(ToString::to_string).collect()),
        })
    }

    /// Leaves the network.
    pub(crate) async fn shutdown(&self) {
        self.node.shutdown().await;
    }
}

fn is_of(offer: &JobOffer, domain: &Domain) -> bool {
    offer.chain_id == domain.chain_id && offer.market.0 == domain.market.into_array()
}
