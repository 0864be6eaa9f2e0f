//! The chain and the signer, as far as they are configured.

use super::Check;
use crate::config::Config;
use headframe_chain::{Rpc, RpcError};
use headframe_contracts::Deployment;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// How long an RPC may take to say which chain it serves.
const PATIENCE: Duration = Duration::from_secs(10);
/// How far the head may be from this machine's clock.
const AGE: i64 = 120;

pub(super) async fn all(config: &Config) -> Vec<Check> {
    let mut checks = Vec::new();
    if !config.signer.socket.as_os_str().is_empty() {
        checks.push(signer(&config.signer.socket));
    }
    let due = Deployment::load(&config.chain.deployment).ok().map(|deployment| deployment.chain_id);
    for url in &config.chain.rpc {
        checks.push(rpc(url, due).await);
    }
    checks
}

fn signer(socket: &Path) -> Check {
    match UnixStream::connect(socket) {
        Ok(_) => Check::ok("signer", format!("listens at {}", socket.display())),
        Err(error) => {
            let remedy = "sudo systemctl start headframe-signer; run this as root or a member of its group";
            Check::fail("signer", format!("{}: {error}", socket.display()), remedy)
        }
    }
}

/// `due`: the chain that the contracts are on.
async fn rpc(url: &str, due: Option<u64>) -> Check {
    let asked = async {
        let rpc = Rpc::connect(&[url.to_owned()], None).await?;
        let head = rpc.head().await?;
        Ok::<_, RpcError>((rpc.pin().chain_id, head.number.0, head.timestamp))
    };
    match tokio::time::timeout(PATIENCE, asked).await {
        Err(_) => Check::fail("rpc", format!("{} does not answer within {PATIENCE:?}", host(url)), REACH),
        Ok(Err(error)) => Check::fail("rpc", format!("{}: {error}", host(url)), REACH),
        Ok(Ok((chain, head, time))) => {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |age| age.as_secs());
            judge(&host(url), (chain, due), head, now.cast_signed() - time.cast_signed())
        }
    }
}

const REACH: &str =
    "is the address right, the node up and the way to it open? A second address in chain.rpc keeps a rig going";

/// The address without what is secret in many: user, path and query.
fn host(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let place = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let place = place.rsplit('@').next().unwrap_or_default();
    if scheme.is_empty() { place.to_owned() } else { format!("{scheme}://{place}") }
}

/// `age`: seconds from the head's time to now.
fn judge(host: &str, (chain, due): (u64, Option<u64>), head: u64, age: i64) -> Check {
    let found = format!("{host} serves chain {chain}, block {head}, {age} s old");
    match due {
        Some(due) if due != chain => {
            let remedy = "another address in chain.rpc, or the deployment file of this chain: signing for the wrong one costs stake";
            Check::fail("rpc", format!("{found}, and the contracts are on chain {due}"), remedy)
        }
        _ if age < -AGE => {
            Check::fail("rpc", format!("{found}: this machine's clock is behind"), "sudo timedatectl set-ntp true")
        }
        _ if age > AGE => {
            Check::warn("rpc", found, "the node is behind, the chain makes no blocks, or this machine's clock is wrong")
        }
        None => Check::warn(
            "rpc",
            format!("{found}; without chain.deployment nobody knows whether it is the right one"),
            "set chain.deployment",
        ),
        _ => Check::ok("rpc", found),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn the_wrong_chain_and_the_wrong_clock_fail() {
        let state = |due, age| judge("http://x", (5, due), 10, age).state;
        assert_eq!((state(Some(5), 3), state(Some(6), 3), state(None, 3)), (State::Ok, State::Fail, State::Warn));
        assert_eq!((state(Some(5), -500), state(Some(5), 500)), (State::Fail, State::Warn));
    }

    #[test]
    fn what_is_secret_in_an_address_is_not_shown() {
        assert_eq!(host("https://user:pass@rpc.example.org:8545/v3/KEY?x=KEY"), "https://rpc.example.org:8545");
        assert_eq!(host("rpc.example.org/KEY"), "rpc.example.org");
    }

    #[tokio::test]
    async fn a_node_and_a_signer_that_are_down_are_named() {
        let check = rpc("http://127.0.0.1:9/secret", None).await;
        assert!(check.state == State::Fail && !check.found.contains("secret"), "{check:?}");
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("signer.sock");
        assert_eq!(signer(&socket).state, State::Fail);
        let _listens = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert_eq!(signer(&socket).state, State::Ok);
    }
}
