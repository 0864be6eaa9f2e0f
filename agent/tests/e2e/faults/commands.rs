//! What a person asks a working rig, and tells it, with the real program: all of it as JSON, and nothing by accident.

use super::*;

impl Market {
    /// `headframe ARGUMENTS --json` at the first rig, with nobody at a terminal: exit code, answer, and what was said.
    pub(super) async fn asked(&self, arguments: &[&str]) -> (i32, Value, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_headframe"));
        command.args(arguments).args(["--json", "--admin", &self.cluster.nodes[0].admin]).stdin(Stdio::null());
        let output = command.output().await.unwrap();
        let answer = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (output.status.code().unwrap(), answer, String::from_utf8_lossy(&output.stderr).into_owned())
    }

    async fn answer(&self, arguments: &[&str]) -> Value {
        let (code, answer, said) = self.asked(arguments).await;
        assert_eq!(code, 0, "{arguments:?}: {said}");
        answer
    }

    async fn refused(&self, arguments: &[&str], because: &str) {
        let (code, answer, said) = self.asked(arguments).await;
        assert_eq!((code, said.contains(because)), (1, true), "{arguments:?}: {said} {answer}");
    }

    /// The one step of a dry run.
    async fn planned(&self, arguments: &[&str]) -> Value {
        let answer = self.answer(&[arguments, &["--dry-run"]].concat()).await;
        let steps = answer["steps"].as_array().unwrap();
        assert!(steps.len() == 1 && steps[0]["intent"].is_null(), "{answer}");
        steps[0].clone()
    }

    async fn mined(&mut self, key: &str) {
        self.until(&format!("{key} is mined"), 60, async |market: &Self| {
            // What the rig has yet to ask for is not known.
            let (_, shown, _) = market.asked(&["tx", "show", key]).await;
            ["mined", "safe", "final"].contains(&shown["state"].as_str().unwrap_or_default())
        })
        .await;
    }
}

/// What is asked changes nothing, and what cannot be is said before it is done.
pub(super) async fn looked_at(market: &Market) {
    let me = market.cluster.nodes[0].address.to_string();
    let jobs = market.answer(&["job", "list"]).await;
    assert_eq!((&jobs["jobs"][0]["id"], &jobs["jobs"][0]["state"]), (&1.into(), &"active".into()), "{jobs}");
    let job = market.answer(&["job", "show", "1"]).await;
    assert_eq!((&job["job"]["id"], &job["here"]["wish"]), (&1.into(), &"none".into()), "{job}");
    let stake = market.answer(&["stake", "show"]).await;
    assert_eq!(stake["stake"]["bonded"], "5000000000000000000000", "{stake}");
    let fees = market.answer(&["fees", "show"]).await;
    assert!(
        fees["owner"] == fees["operator"] && fees["operator"].as_str().unwrap().eq_ignore_ascii_case(&me),
        "{fees}"
    );
    let list = market.answer(&["tx", "list"]).await;
    let started = |tx: &Value| tx["key"] == "start_job:1";
    assert!(list["transactions"].as_array().unwrap().iter().any(started) && list["held"].is_null(), "{list}");

    let unbond = market.planned(&["stake", "unbond", "1"]).await;
    assert!(unbond["gas"].as_u64() > Some(21_000) && unbond["cost_wei"].is_string(), "{unbond}");
    assert!(unbond["refused"].as_str().unwrap().contains("node.bond"), "{unbond}");
    let bump = market.planned(&["tx", "bump", "start_job:1"]).await;
    assert!(bump["refused"].as_str().unwrap().contains("in no block"), "{bump}");
    assert!(market.planned(&["tx", "cancel", "start_job:1"]).await["refused"].is_string());
    assert_eq!(market.planned(&["tx", "resume"]).await["refused"], "nothing is held back");
    market.refused(&["stake", "unbond", "1", "--yes"], "node.bond").await;
    market.refused(&["job", "release", "2", "--yes"], "there is no job 2").await;
    market.refused(&["claims", "settle", "7", "--yes"], "there is no claim 7").await;
    let release = market.planned(&["job", "release", "1"]).await;
    assert!(release["key"] == "release_job:1" && release["cost_wei"].is_string(), "{release}");
    market.refused(&["job", "release", "1"], "nobody is there to be asked").await;
    assert_eq!(market.answer(&["job", "show", "1"]).await["here"]["wish"], "none", "nothing of this was done");
}

/// Claims less than a batch of the job, leaves it while it is in work, and takes out what it has earned.
pub(super) async fn left(market: &mut Market) {
    let mut claimed = None;
    market
        .until("a claim of what waits", 120, async |market: &Market| {
            // Nothing may wait just now, or a batch may be on its way.
            let (code, made, _) = market.asked(&["claims", "make", "1", "--yes"]).await;
            claimed = (code == 0).then(|| made["steps"][0].clone());
            claimed.is_some()
        })
        .await;
    let claimed = claimed.unwrap();
    let key = claimed["key"].as_str().unwrap();
    assert!(key.starts_with("claim:1:") && claimed["intent"]["key"] == key, "{claimed}");
    market.mined(key).await;
    let mut claims = Value::Null;
    market
        .until("the claim is listed", 30, async |market: &Market| {
            claims = market.answer(&["claims", "list", "--limit", "1"]).await;
            !claims["claims"][0].is_null()
        })
        .await;
    let id = claims["claims"][0]["id"].to_string();
    let claim = market.answer(&["claims", "show", &id]).await;
    assert_eq!(claim["claim"]["job"], 1, "{claim}");
    let early = market.planned(&["claims", "settle", &id]).await;
    assert!(early["refused"].is_string(), "a claim is settled before it can be: {early}");

    let left = market.answer(&["job", "release", "1", "--yes"]).await;
    assert!(left["steps"][0]["intent"]["key"].is_string(), "{left}");
    market.mined("release_job:1").await;
    let (code, _, said) = market.asked(&["job", "release", "1", "--yes"]).await;
    assert!(code == 1 && (said.contains("released already") || said.contains("is closed")), "{said}");
    // The broadcaster goes on with another job, which this rig may win again.
    let before = market.stream().await["segments"].as_u64().unwrap();
    market.delivered("demo", before + 2).await;
    assert_eq!(market.stream().await["job"]["id"], 2);

    market
        .until("a claim is paid", 180, async |market: &Market| {
            market.answer(&["fees", "show"]).await["earned_wei"] != "0"
        })
        .await;
    let plan = market.answer(&["fees", "withdraw", "--dry-run"]).await;
    assert_eq!(plan["steps"].as_array().unwrap().len(), 2, "{plan}");
    let taken = market.answer(&["fees", "withdraw", "--yes"]).await;
    let key = taken["steps"][1]["intent"]["key"].as_str().unwrap().to_owned();
    assert!(key.starts_with("withdraw_fees:"), "{taken}");
    market.mined(&key).await;
}
