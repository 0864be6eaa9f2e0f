//! Broken segments under good signatures: a client who pays, and means harm or knows no better, at a rig that works for
//! somebody else at the same time.

use super::*;
use packets::{KINDS, Random};
use std::collections::BTreeMap;
use std::io::Write;

#[path = "../../../../codec/tests/mangle/packets.rs"]
mod packets;

/// Cases of every kind of damage.
const ROUNDS: usize = 6;

/// A transport stream of a fraction of a second.
async fn source(market: &Market, name: &str, picture: &str, options: &str) -> Vec<u8> {
    let path = market.dir.path().join(name);
    let start =
        format!("-f lavfi -i {picture} -f lavfi -i sine=duration=0.6:sample_rate=48000 -c:v libx264 -preset ultrafast");
    let end = "-pix_fmt yuv420p -muxdelay 0 -muxpreload 0 -f mpegts";
    let arguments: Vec<&str> = start.split(' ').chain(options.split(' ')).chain(end.split(' ')).collect();
    ffmpeg(&[&arguments[..], &[path.to_str().unwrap()]].concat()).await;
    std::fs::read(path).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_segments_in_good_orders_harm_no_other_job() {
    let mut market = Market::start().await;
    let push = market.publish();
    market.delivered("demo", 1).await;
    let client = hire(&mut market, JobId(2)).await;
    let good = source(&market, "good.ts", "testsrc2=size=160x96:rate=15:duration=0.6", "-bf 2 -c:a aac").await;
    let other = source(&market, "other.ts", "testsrc=size=320x180:rate=15:duration=0.6", "-c:a mp2").await;

    let rig = market.cluster.nodes[0].address;
    let mut outcomes = BTreeMap::<String, u32>::new();
    let mut cases = 0;
    for round in 0..ROUNDS {
        for (kind, (name, damage)) in KINDS.iter().enumerate() {
            let broken = damage(&good, &other, &mut Random((round * KINDS.len() + kind) as u64 * 7919 + 1));
            let order = client.order(&market, cases, &broken, 600);
            let (status, body) = client.post(&market, &order, broken).await;
            assert_eq!(status, 200, "{name}, round {round}: {}", String::from_utf8_lossy(&body));
            let (head, parts) = delivery::decode(body).unwrap();
            delivery::check(&order.segment, rig, &market.cluster.chain.domain, &head, &parts).unwrap();
            // All or nothing, and nothing is billed for nothing.
            assert_eq!((head.failure.is_none(), head.receipt.units > Units(0)), (parts.len() == 4, parts.len() == 4));
            let reason = head.failure.map_or_else(|| "transcoded".to_owned(), |reason| plain(&reason));
            *outcomes.entry(reason).or_default() += 1;
            cases += 1;
        }
    }
    // Past the capture of passing tests, so that it is seen.
    let mut to = std::io::stderr();
    writeln!(to, "{cases} cases of {} kinds under good orders:", KINDS.len()).unwrap();
    outcomes.iter().for_each(|(what, count)| writeln!(to, "  {count:5}  {what}").unwrap());
    assert!(outcomes.len() >= 3 && outcomes.contains_key("transcoded"), "{outcomes:?}");

    // The other job goes on meanwhile and after, on the same workers, which are all still there.
    let stream = market.stream().await;
    assert_eq!(stream["failed"], 0, "{stream}");
    market.delivered("demo", stream["segments"].as_u64().unwrap() + 2).await;
    let status = market.cluster.status(&market.cluster.nodes[0]).await.unwrap();
    let workers = &status["workers"];
    assert_eq!((&workers["restarts"], &workers["quarantined"]), (&serde_json::json!({}), &serde_json::json!(0)));
    client.send(&market, &Action::CloseJob { job: JobId(2) }).await;
    market
        .until("the broken work is over", 120, async |market: &Market| {
            let job = market.cluster.chain.job(JobId(2)).await.unwrap();
            job.released && job.open_claims == 0
        })
        .await;
    client.send(&market, &Action::Reclaim { job: JobId(2) }).await;
    let mut push = push;
    let _ = push.kill().await;
    market
        .until("the good work is paid", 180, async |market: &Market| {
            let job = market.cluster.chain.job(JobId(1)).await.unwrap();
            job.state == JobState::Closed && job.open_claims == 0
        })
        .await;
    let stream = market.stream().await;
    assert_eq!((&stream["failed"], stream["segments"].as_u64()), (&serde_json::json!(0), Some(market.accepted())));
    market.listed_without_gaps().await;
}

/// A reason without the numbers of its case.
fn plain(reason: &str) -> String {
    let reason = reason.split_once(": ").map_or(reason, |(_, tail)| tail);
    reason.replace(|c: char| c.is_ascii_digit(), "#").replace("##", "#").replace("##", "#")
}
