//! Real nodes on loopback: offers travel, junk does not, and a restarted peer is found again.
#![allow(clippy::unwrap_used)]

use headframe_swarm::offer::{Decimal, Hex};
use headframe_swarm::{
    Config, JobOffer, Limits, Message, Multiaddr, Node, OFFERS_TOPIC, PublishError, Published, StartError, Verdict,
};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::time::timeout;

const LONG: Duration = Duration::from_secs(15);

fn config(dir: &Path, name: &str, listen: &str, bootstrap: &[Multiaddr]) -> Config {
    Config {
        listen: listen.split_whitespace().map(|address| address.parse().unwrap()).collect(),
        bootstrap: bootstrap.to_vec(),
        key_file: dir.join(name),
        topics: vec![OFFERS_TOPIC.into()],
        limits: Limits::default(),
        allow_private: true,
    }
}

/// Takes valid offers only.
fn strict(_: &str, bytes: &[u8]) -> Verdict {
    if JobOffer::decode(bytes).is_ok() { Verdict::Accept } else { Verdict::Reject }
}

/// Takes anything: a peer without rules.
fn lax(_: &str, _: &[u8]) -> Verdict {
    Verdict::Accept
}

fn offer(job: u64) -> Vec<u8> {
    let offer = JobOffer {
        chain_id: 31337,
        market: Hex([3; 20]),
        job,
        endpoint: None,
        profile: Hex([1; 32]),
        max_price: Decimal(5),
        start_until: 100,
    };
    offer.encode().unwrap()
}

/// The node's address with its identity, so that nobody else can answer for it.
fn named(node: &Node) -> Multiaddr {
    let address = node.listen_addrs().into_iter().next().unwrap();
    address.with_p2p(node.local_peer_id()).unwrap()
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(timeout(LONG, waiting).await.is_ok(), "never: {what}");
}

/// Publishes new offers, counted from `job`, until one of them arrives: a mesh takes a moment to form.
async fn deliver(from: &Node, inbox: &mut broadcast::Receiver<Message>, job: u64) -> Message {
    let delivering = async {
        for job in job.. {
            match from.publish(OFFERS_TOPIC, offer(job)).await {
                Ok(_) | Err(PublishError::NoPeers(_)) => {}
                Err(error) => panic!("{error}"),
            }
            if let Ok(message) = timeout(Duration::from_millis(100), inbox.recv()).await {
                return message.unwrap();
            }
        }
        unreachable!()
    };
    timeout(LONG, delivering).await.expect("no offer arrives")
}

#[tokio::test]
async fn offers_reach_peers_of_peers_over_tcp_and_quic() {
    for listen in ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"] {
        let dir = tempfile::tempdir().unwrap();
        let hub = Node::start(config(dir.path(), "hub", listen, &[]), strict).await.unwrap();
        let alice = Node::start(config(dir.path(), "alice", "", &[named(&hub)]), strict).await.unwrap();
        let carol = Node::start(config(dir.path(), "carol", "", &[named(&hub)]), strict).await.unwrap();
        let mut inbox = carol.subscribe();
        let got = deliver(&alice, &mut inbox, 1).await;
        assert_eq!((got.topic.as_str(), got.from), (OFFERS_TOPIC, alice.local_peer_id()), "{listen}");
        assert!(JobOffer::decode(&got.bytes).is_ok());
        assert_eq!(carol.peers(), [hub.local_peer_id()]);
        assert_eq!(alice.publish(OFFERS_TOPIC, got.bytes).await, Ok(Published::Duplicate));
        let stats = hub.stats();
        assert_eq!((stats.peers, stats.connections_in, stats.connections_out, stats.rejected), (2, 2, 0, 0));
        assert!(stats.accepted > 0 && stats.bytes_in > 0);
        for node in [&alice, &hub, &carol] {
            timeout(LONG, node.shutdown()).await.unwrap();
            node.shutdown().await;
        }
        assert_eq!(alice.publish(OFFERS_TOPIC, offer(1)).await, Err(PublishError::Closed));
    }
}

#[tokio::test]
async fn what_is_invalid_or_too_long_goes_no_further_and_its_sender_is_shut_out_for_a_while() {
    let dir = tempfile::tempdir().unwrap();
    let mut limits = Limits { message_bytes: 2048, strikes: 4, ban: Duration::from_secs(2), ..Limits::default() };
    let listen = "/ip4/127.0.0.1/tcp/0";
    let hub = Config { limits: limits.clone(), ..config(dir.path(), "hub", listen, &[]) };
    let hub = Node::start(hub, strict).await.unwrap();
    limits.message_bytes = 60 << 10;
    let rogue = Config { limits, ..config(dir.path(), "rogue", "", &[named(&hub)]) };
    let rogue = Node::start(rogue, lax).await.unwrap();
    let seen = Arc::new(Mutex::new(vec![]));
    let note = seen.clone();
    let carol = config(dir.path(), "carol", "", &[named(&hub)]);
    let carol = Node::start(carol, move |_: &str, bytes: &[u8]| {
        note.lock().unwrap().push(bytes.to_vec());
        Verdict::Accept
    });
    let carol = carol.await.unwrap();
    let mut inbox = carol.subscribe();
    deliver(&rogue, &mut inbox, 1).await; // the path is open

    for junk in [vec![b'{'; 100], vec![b'x'; 3000], vec![b'y'; 50_000]] {
        assert_eq!(rogue.publish(OFFERS_TOPIC, junk).await, Ok(Published::Sent));
    }
    until("three rejected", || hub.stats().rejected == 3).await;
    let too_long = vec![0; (60 << 10) + 1];
    assert!(matches!(rogue.publish(OFFERS_TOPIC, too_long).await, Err(PublishError::TooLarge { .. })));
    assert!(matches!(hub.publish(OFFERS_TOPIC, vec![b'{']).await, Err(PublishError::Invalid(_))));
    assert!(matches!(hub.publish("/other", offer(1)).await, Err(PublishError::UnknownTopic(_))));
    deliver(&hub, &mut inbox, 1000).await; // came later and is there, so the junk is not on its way
    assert!(seen.lock().unwrap().iter().all(|bytes| JobOffer::decode(bytes).is_ok()), "junk was forwarded");

    rogue.publish(OFFERS_TOPIC, b"the fourth".to_vec()).await.unwrap();
    until("the rogue is shut out", || hub.stats().banned == 1 && !hub.peers().contains(&rogue.local_peer_id())).await;
    until("it is let in again", || hub.stats().banned == 0 && hub.peers().contains(&rogue.local_peer_id())).await;
    assert!(hub.peers().contains(&carol.local_peer_id()));
}

#[tokio::test]
async fn a_flood_is_cut_to_the_allowance() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { burst: 10, per_second: 1.0, ..Limits::default() };
    let hub = Config { limits, ..config(dir.path(), "hub", "/ip4/127.0.0.1/tcp/0", &[]) };
    let hub = Node::start(hub, strict).await.unwrap();
    let flooder = Node::start(config(dir.path(), "flooder", "", &[named(&hub)]), strict).await.unwrap();
    let (mut sent, mut job) = (0, 0);
    while sent < 60 {
        job += 1;
        match flooder.publish(OFFERS_TOPIC, offer(job)).await {
            Ok(_) => sent += 1,
            Err(PublishError::NoPeers(_)) => tokio::time::sleep(Duration::from_millis(10)).await,
            Err(error) => panic!("{error}"),
        }
    }
    until("all have come", || hub.stats().accepted + hub.stats().rate_limited == 60).await;
    assert!((10..20).contains(&hub.stats().accepted), "{:?}", hub.stats());
    assert_eq!(hub.stats().banned, 0);
}

#[tokio::test]
async fn a_restarted_bootstrap_peer_is_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Node::start(config(dir.path(), "hub", "/ip4/127.0.0.1/tcp/0", &[]), strict).await.unwrap();
    let address = named(&hub);
    let unnamed = hub.listen_addrs();
    let alice = Node::start(config(dir.path(), "alice", "", &unnamed), strict).await.unwrap();
    let carol = Node::start(config(dir.path(), "carol", "", &[address]), strict).await.unwrap();
    let mut inbox = carol.subscribe();
    deliver(&alice, &mut inbox, 1).await;
    let (id, listen) = (hub.local_peer_id(), hub.listen_addrs()[0].to_string());
    hub.shutdown().await;
    until("both notice", || alice.peers().is_empty() && carol.peers().is_empty()).await;
    assert!(matches!(alice.publish(OFFERS_TOPIC, offer(500)).await, Err(PublishError::NoPeers(_))));
    until("a dial fails", || carol.stats().connections_out_failed > 0).await;

    let hub = Node::start(config(dir.path(), "hub", &listen, &[]), strict).await.unwrap();
    assert_eq!(hub.local_peer_id(), id, "the identity did not last");
    deliver(&alice, &mut inbox, 1000).await;
    assert_eq!(hub.peers().len(), 2);
}

#[tokio::test]
async fn nobody_else_can_answer_for_a_named_peer_and_bad_settings_do_not_start() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Node::start(config(dir.path(), "hub", "/ip4/127.0.0.1/tcp/0", &[]), strict).await.unwrap();
    let stranger = Node::start(config(dir.path(), "stranger", "", &[]), strict).await.unwrap();
    let wrong = hub.listen_addrs()[0].clone().with_p2p(stranger.local_peer_id()).unwrap();
    let alice = Node::start(config(dir.path(), "alice", "", &[wrong]), strict).await.unwrap();
    until("the impostor is refused", || alice.stats().connections_out_failed > 0).await;
    assert!(alice.peers().is_empty());

    let listen = "/ip4/127.0.0.1/tcp/0";
    let public = Config { allow_private: false, ..config(dir.path(), "x", listen, &[]) };
    assert!(matches!(Node::start(public, strict).await, Err(StartError::Private(_))));
    let elsewhere = config(dir.path(), "x", "/ip4/192.0.2.1/tcp/0", &[]); // no interface of any machine has it
    assert!(matches!(Node::start(elsewhere, strict).await, Err(StartError::Listen { .. })));
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("/ip4/127.0.0.1/tcp/{}", other.local_addr().unwrap().port());
    let error = Node::start(config(dir.path(), "x", &taken, &[]), strict).await.unwrap_err();
    assert!(matches!(error, StartError::Listen { .. }), "{error}");
    let quic = "/ip4/127.0.0.1/udp/0/quic-v1";
    let quic = Node::start(config(dir.path(), "quic", quic, &[]), strict).await.unwrap();
    for node in [&hub, &quic] {
        let own = node.listen_addrs()[0].to_string();
        let second = Node::start(config(dir.path(), "x", &own, &[]), strict).await;
        assert!(matches!(second, Err(StartError::Listen { .. })), "two nodes on {own}");
    }
}
