//! A bad line between broadcaster, rig and chain, made by the kernel's packet filter in a network namespace of the test's own.
//! As root, with nft and ip; elsewhere the test is skipped and says so.

use super::*;

fn nft(rules: &str) {
    let done = std::process::Command::new("nft").arg(rules).output().unwrap();
    assert!(done.status.success(), "nft {rules}: {}", String::from_utf8_lossy(&done.stderr));
}

/// Of what goes to or from these ports on this machine, `percent` is lost.
fn lose(percent: u32, ports: &[u16]) {
    nft("flush chain inet bad line");
    if percent == 0 {
        return;
    }
    let share = if percent == 100 { String::new() } else { format!("numgen random mod 100 < {percent}") };
    let ports = ports.iter().map(u16::to_string).collect::<Vec<_>>().join(",");
    for side in ["sport", "dport"] {
        nft(&format!("add rule inet bad line tcp {side} {{ {ports} }} {share} drop"));
    }
}

/// What goes to or from this port gets no more than 64 kbit/s: what is too much is lost, as in a modem's queue.
fn thin(port: u16) {
    nft("flush chain inet bad line");
    for side in ["sport", "dport"] {
        nft(&format!("add rule inet bad line tcp {side} {port} limit rate over 8 kbytes/second drop"));
    }
}

fn port(url: &str) -> u16 {
    url.rsplit(':').next().unwrap().trim_end_matches('/').parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_loses_packets_or_everything_or_is_too_thin_costs_no_segment_and_no_claim() {
    let prepare = "ip link set lo up && nft add table inet probe";
    let name = "bad_line::a_line_that_loses_packets_or_everything_or_is_too_thin_costs_no_segment_and_no_claim";
    if own_namespace(name, &["--net"], prepare).await {
        return;
    }
    nft("add table inet bad; add chain inet bad line { type filter hook input priority 0; }");
    let mut market = Market::start().await;
    let (rig, chain) = (port(&market.cluster.nodes[0].http), port(&market.cluster.rpc_url));

    lose(10, &[rig, chain]);
    let push = market.publish();
    market.delivered("demo", 3).await;

    // Nobody reaches the rig, and nobody the chain.
    lose(100, &[rig, chain]);
    tokio::time::sleep(Duration::from_secs(20)).await;
    market.cluster.check().unwrap();
    lose(0, &[rig, chain]);
    let before = market.accepted();
    market.delivered("demo", before + 2).await;
    lose(10, &[rig, chain]);
    market.delivered("demo", before + 4).await;

    // A line on which no segment fits into its own time. The chain is reached by another one, or no claim could be kept.
    thin(rig);
    tokio::time::sleep(Duration::from_secs(15)).await;
    market.cluster.check().unwrap();
    lose(0, &[rig, chain]);
    let before = market.accepted();
    market.delivered("demo", before + 2).await;
    market.settle(push).await;
}
