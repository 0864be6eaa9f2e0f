//! A rig whose FFmpeg lacks an encoder that its configuration offers.

use super::stand_in::h264_only;
use super::*;
use headframe_codec::ladder::Codec;
use headframe_market::Address;

/// The picture in HEVC, small enough for a busy machine.
fn hevc() -> Ladder {
    let mut rung = Ladder::standard().renditions()[0].clone();
    rung.codec = Codec::Hevc;
    Ladder::new(vec![rung]).unwrap()
}

/// The gateway orders HEVC and the rigs offer it. The worker program of the first one is a stand-in which says that its
/// FFmpeg makes H.264 only, and otherwise is the real one.
fn one_without_hevc(config: &mut Config) {
    config.gateway.ladder = hevc();
    config.node.ladders.push(hevc());
    if config.state_dir.ends_with("node-a") {
        config.codec.program = h264_only(&config.state_dir);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rig_never_bids_for_what_it_cannot_encode() {
    // The rig that cannot is the cheaper one.
    let mut market = Market::of(vec![1_000_000_000, 2_000_000_000], one_without_hevc).await;
    let [cannot, can] = &market.cluster.nodes[..] else { panic!("two rigs") };
    let (cannot, can) = (cannot.address, can.address);
    let _push = market.publish();
    market.delivered("demo", 2).await;

    let stream = market.stream().await;
    let job = JobId(stream["job"]["id"].as_u64().unwrap());
    assert_eq!(market.cluster.chain.job(job).await.unwrap().operator, can);
    let bids = stream["job"]["bids"].as_array().unwrap().clone();
    let bidders: Vec<Address> = bids.into_iter().map(|bid| serde_json::from_value(bid[0].clone()).unwrap()).collect();
    assert_eq!(bidders, [can], "the bids are not those of the rig that can alone: not of {cannot}");

    let rig = &market.cluster.nodes[0];
    let log = std::fs::read_to_string(&rig.process.log).unwrap();
    assert!(log.contains("no bid") && log.contains("rendition 240p is hevc"), "{log}");
    let status = market.cluster.status(rig).await.unwrap();
    let not_offered: Vec<_> = status["ladders"].as_array().unwrap().iter().map(|l| l["not_offered"].as_str()).collect();
    assert_eq!(not_offered.iter().flatten().count(), 1, "{status}");
    assert_eq!((&status["ready"], &status["codecs"]), (&true.into(), &serde_json::json!(["h264"])), "{status}");
    let profiles = async |rig: &headframe::demo::cluster::Party| {
        let info = reqwest::get(format!("{}/v1/info", rig.http)).await.unwrap().text().await.unwrap();
        serde_json::from_str::<Value>(&info).unwrap()["profiles"].as_array().unwrap().len()
    };
    assert_eq!((profiles(rig).await, profiles(&market.cluster.nodes[1]).await), (1, 2));
}
