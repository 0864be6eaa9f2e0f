//! A rig that is stopped in the middle of its work, as an upgrade does it, and one that a person tells to leave a job.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_rig_stopped_under_load_ends_cleanly_and_goes_on_where_it_was() {
    let mut market = Market::start().await;
    let push = market.publish();
    market.delivered("demo", 3).await;
    let home = market.dir.path().join("node-a");
    let process = &mut market.cluster.nodes[0].process;
    process.signal(Signal::TERM).unwrap();
    let ended = process.ended(Duration::from_secs(90)).await.unwrap();
    let log = tail(&process.log);
    assert_eq!(ended.code(), Some(0), "{log}");
    assert!(!log.contains("did not end in time"), "{log}");
    let journal = home.join("guard.db-wal");
    let closed = async |_: &Market| std::fs::metadata(&journal).map_or(0, |file| file.len()) == 0;
    market.until("the signer has brought its journal into its database", 10, closed).await;
    market.cluster.nodes[0].process.restart().unwrap();
    let before = market.accepted();
    market.delivered("demo", before + 2).await;
    assert_eq!(market.stream().await["job"]["id"], 1, "the job goes on, no new one is needed");
    commands::looked_at(&market).await;
    commands::left(&mut market).await;
    market.settle(push).await;
}
