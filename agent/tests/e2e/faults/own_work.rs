//! What a rig must not sign: as a second one with the same key, and for work that is not what it should be.

use super::*;
use std::collections::BTreeSet;

#[tokio::test(flavor = "multi_thread")]
async fn a_second_rig_signs_nothing_and_damaged_work_is_never_claimed() {
    let mut market = Market::start().await;
    let push = market.publish();
    market.delivered("demo", 1).await;
    a_second_rig_halts(&market).await;

    // From here on nothing that node-a keeps is what it signed for: a byte of each segment's last rendition is another.
    let segments = market.dir.path().join("node-a/evidence/segments");
    let mut damaged = BTreeSet::new();
    market
        .until("the rig doubts its work", 120, async |market: &Market| {
            for file in files_below(&segments) {
                if damaged.insert(file.clone()) {
                    damage(&file);
                }
            }
            log_of(market).contains("own work is not what was ordered")
        })
        .await;
    let before = Ledger::read(&market.cluster).await.unwrap().claims.len();
    let node = &market.cluster.nodes[0];
    let ready = reqwest::get(format!("{}/readyz", node.admin)).await.unwrap();
    assert_eq!(ready.status(), 503);
    assert!(ready.text().await.unwrap().contains("own work was wrong"));
    let metrics = reqwest::get(format!("{}/metrics", node.admin)).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("\nheadframe_own_work_doubted_total 1\n"), "{metrics}");
    // It lets the client go, and takes nothing more.
    market
        .until("the job is released", 60, async |market: &Market| {
            let job = market.cluster.chain.job(JobId(1)).await;
            job.is_ok_and(|job| job.released || job.state == JobState::Closed)
        })
        .await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(Ledger::read(&market.cluster).await.unwrap().claims.len(), before, "nothing of it is claimed");
    drop(push);
}

/// The same key on a machine of its own: another state, another guard database, the same chain.
async fn a_second_rig_halts(market: &Market) {
    let (first, home) = (market.dir.path().join("node-a"), market.dir.path().join("twin"));
    std::fs::create_dir(&home).unwrap();
    for file in ["keystore.json", "password"] {
        std::fs::copy(first.join(file), home.join(file)).unwrap();
    }
    let mut config = Config::load(Some(&market.dir.path().join("node-a.toml"))).unwrap();
    config.state_dir.clone_from(&home);
    (config.signer.keystore, config.signer.password_file) = (home.join("keystore.json"), home.join("password"));
    let anywhere = ([127, 0, 0, 1], 0).into();
    (config.node.listen, config.admin.listen, config.p2p.listen) = (anywhere, anywhere, Vec::new());
    let file = market.dir.path().join("twin.toml");
    std::fs::write(&file, toml::to_string(&config).unwrap()).unwrap();
    let twin = Command::new(env!("CARGO_BIN_EXE_headframe")).args(["run", "--config"]).arg(&file).output();
    let ended = tokio::time::timeout(Duration::from_secs(60), twin).await.expect("it halts by itself").unwrap();
    let log = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(79), "{log}");
    assert!(log.contains("G9 lost database") && log.contains("headframe guard rebuild"), "{log}");
    assert!(!home.join("guard.db").exists(), "a signature has its record, and there is none");
}

fn log_of(market: &Market) -> String {
    std::fs::read_to_string(&market.cluster.nodes[0].process.log).unwrap()
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let whole = |file: &PathBuf| file.extension().is_none();
    entries(folder).flat_map(|job| entries(&job).filter(whole).collect::<Vec<_>>()).collect()
}

fn damage(file: &Path) {
    let Ok(mut bytes) = std::fs::read(file) else { return };
    if let Some(byte) = bytes.iter_mut().rev().nth(1000) {
        *byte ^= 0x55;
    }
    std::fs::write(file, bytes).unwrap();
}
