//! The node: a task that owns the swarm, and the handle everybody else holds.

use crate::bootstrap::Bootstrap;
use crate::config::{Config, StartError};
use crate::rate::{Allowance, Ledger};
use crate::service::{self, Behaviour, BehaviourEvent};
use crate::{Multiaddr, PeerId, key};
use futures::StreamExt;
use libp2p::gossipsub::{self, IdentTopic, MessageAcceptance, MessageId, TopicHash};
use libp2p::multiaddr::Protocol;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{DialError, SwarmEvent};
use libp2p::{Swarm, identify};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinHandle;

/// Messages kept for a subscriber that is slow; then it loses the oldest.
const INBOX: usize = 256;
/// Orders to the task that may wait.
const ORDERS: usize = 64;
/// For a listening address to show up.
const LISTEN_WAIT: Duration = Duration::from_secs(5);
/// For connections to close when the node ends.
const CLOSE_WAIT: Duration = Duration::from_secs(2);
/// Between two looks at bootstrap peers and bans.
const CHORES: Duration = Duration::from_millis(250);

/// What the caller thinks of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Deliver it and pass it on.
    Accept,
    /// Neither deliver nor pass on, and nobody is to blame: stale, or of no use here.
    Ignore,
    /// Whoever passed this on breaks the rules.
    Reject,
}

/// A message that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The topic.
    pub topic: String,
    /// Who signed the copy that arrived first. Anybody may sign anybody's words: what the bytes claim needs its own
    /// proof.
    pub from: PeerId,
    /// As published.
    pub bytes: Vec<u8>,
}

/// What became of a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// It went out.
    Sent,
    /// The same bytes went through this node within the last minute already.
    Duplicate,
}

/// Why a message was not published.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// No peer takes part in the topic right now; try again when there are [`Node::peers`].
    #[error("no peer takes part in {0} right now")]
    NoPeers(String),
    /// This node does not take part in the topic.
    #[error("{0} is none of this node's topics")]
    UnknownTopic(String),
    /// Longer than the configured bound.
    #[error("a message of {size} bytes; at most {most} are sent")]
    TooLarge {
        /// Its length.
        size: usize,
        /// The bound.
        most: usize,
    },
    /// The node's own rules would not accept it from others.
    #[error("the message breaks the rules of {0}")]
    Invalid(String),
    /// All queues are full, or the layer below failed.
    #[error("not sent: {0}")]
    Busy(String),
    /// The node has been shut down.
    #[error("the node is shut down")]
    Closed,
}

macro_rules! stats {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// What the node did since its start. All but `peers` and `banned` only grow.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Stats { $($(#[$doc])* pub $name: u64,)* }

        #[derive(Debug, Default)]
        struct Counters { $($name: AtomicU64,)* }

        impl Counters {
            fn read(&self) -> Stats {
                Stats { $($name: self.$name.load(Relaxed),)* }
            }
        }
    };
}

stats! {
    /// Connected peers.
    peers,
    /// Peers shut out at the moment.
    banned,
    /// Connections made by others.
    connections_in,
    /// Connections made by us.
    connections_out,
    /// Connections by others that failed or were denied.
    connections_in_failed,
    /// Dials that failed.
    connections_out_failed,
    /// Messages published here.
    published,
    /// Publications that failed.
    publish_failed,
    /// Messages accepted, delivered and passed on.
    accepted,
    /// Messages ignored.
    ignored,
    /// Messages rejected.
    rejected,
    /// Messages dropped because their sender sent too many.
    rate_limited,
    /// Bytes of all messages that came in.
    bytes_in,
}

type Validate = Box<dyn Fn(&str, &[u8]) -> Verdict + Send>;

enum Order {
    Publish { topic: String, bytes: Vec<u8>, done: oneshot::Sender<Result<Published, PublishError>> },
    Stop,
}

/// A running node. Cheap to clone; when the last clone is gone, so is the node.
#[derive(Clone)]
pub struct Node {
    orders: mpsc::Sender<Order>,
    shared: Arc<Shared>,
    task: Arc<tokio::sync::Mutex<Option<JoinHandle<()>>>>,
}

struct Shared {
    id: PeerId,
    messages: broadcast::Sender<Message>,
    counters: Counters,
    view: Mutex<View>,
}

#[derive(Default)]
struct View {
    peers: HashSet<PeerId>,
    listening: BTreeSet<Multiaddr>,
}

impl Shared {
    fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner) // two sets: valid after any panic
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("id", &self.shared.id).finish_non_exhaustive()
    }
}

impl Node {
    /// Starts a node and returns when it listens. `validate` sees every message of a topic before anybody else does; it
    /// runs on the node's task, so it must be quick and must not block.
    ///
    /// # Errors
    /// See [`StartError`]; the configuration is wrong, or an address is taken.
    pub async fn start(
        config: Config,
        validate: impl Fn(&str, &[u8]) -> Verdict + Send + 'static,
    ) -> Result<Self, StartError> {
        config.validate()?;
        let path = config.key_file.clone();
        let key = tokio::task::spawn_blocking(move || key::load_or_create(&path)).await;
        let key = key.map_err(|error| StartError::Setting { name: "key_file", why: error.to_string() })??;
        let swarm = service::build(key, &config)?;
        let id = *swarm.local_peer_id();
        let (orders, inbox) = mpsc::channel(ORDERS);
        let shared = Arc::new(Shared {
            id,
            messages: broadcast::channel(INBOX).0,
            counters: Counters::default(),
            view: Mutex::default(),
        });
        let limits = &config.limits;
        let ledger = Ledger::new(Allowance {
            burst: limits.burst,
            per_second: limits.per_second,
            strikes: limits.strikes,
            ban: limits.ban,
            peers: 4 * usize::try_from(limits.connections).unwrap_or(512),
        });
        let mut task = Task {
            bootstrap: Bootstrap::new(&config.bootstrap, id, Instant::now()),
            topics: config.topics.iter().map(|name| (IdentTopic::new(name).hash(), name.clone())).collect(),
            validate: Box::new(validate),
            message_bytes: limits.message_bytes,
            shared: shared.clone(),
            swarm,
            ledger,
        };
        task.listen(&config.listen).await?;
        let task = tokio::spawn(task.run(inbox));
        Ok(Self { orders, shared, task: Arc::new(tokio::sync::Mutex::new(Some(task))) })
    }

    /// Signs a message and sends it to the peers of its topic. It does not come back to this node's own subscribers.
    ///
    /// # Errors
    /// See [`PublishError`]. Dropping the future may or may not have sent it.
    pub async fn publish(&self, topic: &str, bytes: Vec<u8>) -> Result<Published, PublishError> {
        let (done, answer) = oneshot::channel();
        let order = Order::Publish { topic: topic.into(), bytes, done };
        self.orders.send(order).await.map_err(|_| PublishError::Closed)?;
        answer.await.map_err(|_| PublishError::Closed)?
    }

    /// Accepted messages from now on. A receiver that falls 256 behind is told so and loses the oldest.
    pub fn subscribe(&self) -> broadcast::Receiver<Message> {
        self.shared.messages.subscribe()
    }

    /// Connected peers, in no order.
    pub fn peers(&self) -> Vec<PeerId> {
        self.shared.view().peers.iter().copied().collect()
    }

    /// Where this node listens, with the ports that were given to it.
    pub fn listen_addrs(&self) -> Vec<Multiaddr> {
        self.shared.view().listening.iter().cloned().collect()
    }

    /// This node's identity.
    pub fn local_peer_id(&self) -> PeerId {
        self.shared.id
    }

    /// What the node did so far.
    pub fn stats(&self) -> Stats {
        self.shared.counters.read()
    }

    /// Leaves the topics, closes all connections and ends the task. Calling it again, or on another clone, is harmless.
    pub async fn shutdown(&self) {
        let _ = self.orders.send(Order::Stop).await; // gone already is as good
        if let Some(task) = self.task.lock().await.take() {
            let _ = task.await; // it ends by itself within a few seconds; a panic in it has been reported already
        }
    }
}

/// libp2p shares TCP ports (SO_REUSEPORT), so a second node on a port would silently take half of its connections.
fn free_port(address: &Multiaddr) -> std::io::Result<()> {
    let mut parts = address.iter();
    let ip: IpAddr = match parts.next() {
        Some(Protocol::Ip4(ip)) => ip.into(),
        Some(Protocol::Ip6(ip)) => ip.into(),
        _ => return Ok(()),
    };
    match parts.next() {
        Some(Protocol::Tcp(port)) if port != 0 => std::net::TcpListener::bind((ip, port)).map(drop),
        _ => Ok(()),
    }
}

struct Task {
    swarm: Swarm<Behaviour>,
    bootstrap: Bootstrap,
    ledger: Ledger<PeerId>,
    topics: HashMap<TopicHash, String>,
    validate: Validate,
    message_bytes: usize,
    shared: Arc<Shared>,
}

impl Task {
    /// Returns when each address is listened on.
    async fn listen(&mut self, addresses: &[Multiaddr]) -> Result<(), StartError> {
        for address in addresses {
            let failed = |why: String| StartError::Listen { address: address.clone(), why };
            free_port(address).map_err(|error| failed(error.to_string()))?;
            let wanted = self.swarm.listen_on(address.clone()).map_err(|error| failed(error.to_string()))?;
            let shown = async {
                loop {
                    let event = self.swarm.select_next_some().await;
                    match &event {
                        SwarmEvent::NewListenAddr { listener_id, .. } if *listener_id == wanted => {
                            self.on_event(event);
                            return Ok(());
                        }
                        SwarmEvent::ListenerClosed { listener_id, reason, .. } if *listener_id == wanted => {
                            return Err(failed(format!("{reason:?}")));
                        }
                        SwarmEvent::ListenerError { listener_id, error } if *listener_id == wanted => {
                            return Err(failed(error.to_string()));
                        }
                        _ => self.on_event(event),
                    }
                }
            };
            match tokio::time::timeout(LISTEN_WAIT, shown).await {
                Ok(shown) => shown?,
                Err(_) => return Err(failed(format!("no address within {LISTEN_WAIT:?}"))),
            }
        }
        Ok(())
    }

    async fn run(mut self, mut inbox: mpsc::Receiver<Order>) {
        let mut chores = tokio::time::interval(CHORES);
        chores.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_event(event),
                order = inbox.recv() => match order {
                    Some(Order::Publish { topic, bytes, done }) => {
                        let outcome = self.publish(&topic, bytes);
                        let counters = &self.shared.counters;
                        let counter = if outcome.is_ok() { &counters.published } else { &counters.publish_failed };
                        counter.fetch_add(1, Relaxed);
                        let _ = done.send(outcome); // the asker may have left
                    }
                    Some(Order::Stop) | None => break,
                },
                _ = chores.tick() => self.chores(),
            }
        }
        self.close().await;
    }

    async fn close(&mut self) {
        for topic in self.topics.values() {
            self.swarm.behaviour_mut().gossip.unsubscribe(&IdentTopic::new(topic));
        }
        let peers: Vec<_> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            let _ = self.swarm.disconnect_peer_id(peer); // gone already is as good
        }
        let closed = async {
            while self.swarm.network_info().num_peers() > 0 {
                let event = self.swarm.select_next_some().await;
                self.on_event(event);
            }
        };
        if tokio::time::timeout(CLOSE_WAIT, closed).await.is_err() {
            tracing::debug!("some peers did not close their connections in time");
        }
    }

    fn chores(&mut self) {
        let now = Instant::now();
        for peer in self.ledger.pardoned(now) {
            self.swarm.behaviour_mut().blocked.unblock_peer(peer);
        }
        let banned = self.swarm.behaviour().blocked.blocked_peers().len();
        self.shared.counters.banned.store(banned as u64, Relaxed);
        for (at, address) in self.bootstrap.due(now, |peer| self.swarm.is_connected(peer)) {
            let options = match address.iter().last() {
                Some(Protocol::P2p(peer)) => {
                    DialOpts::peer_id(peer).addresses(vec![address]).condition(PeerCondition::Disconnected).build()
                }
                _ => DialOpts::unknown_peer_id().address(address).build(),
            };
            let connection = options.connection_id();
            self.bootstrap.dialling(at, connection);
            if let Err(error) = self.swarm.dial(options) {
                self.dial_failed(connection, &error, now);
            }
        }
    }

    fn dial_failed(&mut self, connection: libp2p::swarm::ConnectionId, error: &DialError, now: Instant) {
        self.shared.counters.connections_out_failed.fetch_add(1, Relaxed);
        tracing::debug!(%error, "a dial failed");
        self.bootstrap.failed(connection, matches!(error, DialError::LocalPeerId { .. }), now);
    }

    fn publish(&mut self, topic: &str, bytes: Vec<u8>) -> Result<Published, PublishError> {
        let hash = IdentTopic::new(topic).hash();
        if !self.topics.contains_key(&hash) {
            return Err(PublishError::UnknownTopic(topic.into()));
        }
        if bytes.len() > self.message_bytes {
            return Err(PublishError::TooLarge { size: bytes.len(), most: self.message_bytes });
        }
        if (self.validate)(topic, &bytes) == Verdict::Reject {
            return Err(PublishError::Invalid(topic.into()));
        }
        match self.swarm.behaviour_mut().gossip.publish(hash, bytes) {
            Ok(_) => Ok(Published::Sent),
            Err(gossipsub::PublishError::Duplicate) => Ok(Published::Duplicate),
            Err(gossipsub::PublishError::NoPeersSubscribedToTopic) => Err(PublishError::NoPeers(topic.into())),
            Err(error) => Err(PublishError::Busy(error.to_string())),
        }
    }

    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        let counters = &self.shared.counters;
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Gossip(gossipsub::Event::Message {
                propagation_source,
                message_id,
                message,
            })) => self.on_message(propagation_source, &message_id, message),
            SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. })) => {
                tracing::debug!(%peer_id, agent = %info.agent_version.chars().take(64).collect::<String>(), "met a peer");
            }
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                let counter = if endpoint.is_dialer() { &counters.connections_out } else { &counters.connections_in };
                counter.fetch_add(1, Relaxed);
                self.shared.view().peers.insert(peer_id);
                self.bootstrap.connected(connection_id, peer_id);
                self.count_peers();
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, num_established, .. } => {
                if num_established == 0 {
                    self.shared.view().peers.remove(&peer_id);
                }
                self.bootstrap.closed(connection_id, Instant::now());
                self.count_peers();
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                self.dial_failed(connection_id, &error, Instant::now());
            }
            SwarmEvent::IncomingConnectionError { .. } => {
                counters.connections_in_failed.fetch_add(1, Relaxed);
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                tracing::info!(%address, "listening for peers");
                self.shared.view().listening.insert(address);
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                self.shared.view().listening.remove(&address);
            }
            SwarmEvent::ListenerClosed { addresses, reason, .. } => {
                tracing::error!(?addresses, ?reason, "no longer listening for peers");
                let mut view = self.shared.view();
                view.listening.retain(|address| !addresses.contains(address));
            }
            _ => {}
        }
    }

    fn count_peers(&self) {
        let peers = self.shared.view().peers.len() as u64;
        self.shared.counters.peers.store(peers, Relaxed);
    }

    /// Cheap checks first: the sender's allowance, the size, and only then the caller's rules.
    fn on_message(&mut self, source: PeerId, id: &MessageId, message: gossipsub::Message) {
        let (counters, now) = (&self.shared.counters, Instant::now());
        counters.bytes_in.fetch_add(message.data.len() as u64, Relaxed);
        let (verdict, counter) = match (self.topics.get(&message.topic), message.source) {
            _ if !self.ledger.spend(source, now) => (Verdict::Ignore, &counters.rate_limited),
            (Some(topic), Some(_)) if message.data.len() <= self.message_bytes => {
                match (self.validate)(topic, &message.data) {
                    Verdict::Accept => (Verdict::Accept, &counters.accepted),
                    Verdict::Ignore => (Verdict::Ignore, &counters.ignored),
                    Verdict::Reject => (Verdict::Reject, &counters.rejected),
                }
            }
            _ => (Verdict::Reject, &counters.rejected),
        };
        counter.fetch_add(1, Relaxed);
        let acceptance = match verdict {
            Verdict::Accept => MessageAcceptance::Accept,
            Verdict::Ignore => MessageAcceptance::Ignore,
            Verdict::Reject => MessageAcceptance::Reject,
        };
        self.swarm.behaviour_mut().gossip.report_message_validation_result(id, &source, acceptance);
        if let (Verdict::Accept, Some(topic), Some(from)) = (verdict, self.topics.get(&message.topic), message.source) {
            let message = Message { topic: topic.clone(), from, bytes: message.data };
            let _ = self.shared.messages.send(message); // nobody may be listening
        }
        if verdict == Verdict::Reject && self.ledger.strike(source, now) {
            tracing::warn!(peer = %source, "a peer keeps passing on invalid messages and is shut out");
            self.swarm.behaviour_mut().blocked.block_peer(source); // closes its connections too
        }
    }
}
