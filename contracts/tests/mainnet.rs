//! `params/mainnet.json`: the deployer accepts it, every value is within its bounds, and what the economics assume of the
//! main network is what the file and the contracts say.

#![allow(clippy::unwrap_used)]

mod net;

use alloy::primitives::U256;
use headframe_contracts::{
    ChallengeManager, ClaimBook, DisputeGame, JobMarket, Jury, Params, Rewards, StakeGovernor, StakeRegistry, Timelock,
};
use headframe_market::economics::Rules;
use headframe_market::rules::ClaimParams;
use net::{COIN, Net};
use serde_json::Value;

const HOUR: u64 = 3600;
/// Seconds between blocks of the chain that the file is for.
const BLOCK: u64 = 12;
/// Blocks whose hashes the chain serves (EIP-2935).
const HISTORY: u64 = 8191;

/// A parameter's value, which JSON has as a number or, where it may be large, as a string.
fn amount(value: &Value) -> u128 {
    value.as_str().map_or_else(|| value.as_u64().unwrap().into(), |text| text.parse().unwrap())
}

/// A parameter's part of 10,000.
fn share(parts: u16) -> f64 {
    f64::from(parts) / 1e4
}

#[test]
fn every_value_is_within_its_bounds() {
    let file = serde_json::to_value(Params::mainnet()).unwrap();
    let mut checked = 0;
    for (name, group) in file.as_object().unwrap() {
        let Some(first) = group.get("first") else { continue };
        for (field, value) in first.as_object().unwrap() {
            let [least, most] = ["least", "most"].map(|bound| amount(&group[bound][field]));
            let value = amount(value);
            assert!(least <= value && value <= most, "{name}.{field}: {value} is not from {least} to {most}");
            assert!(least < most, "{name}.{field} cannot be moved");
            checked += 1;
        }
    }
    assert_eq!(checked, 7 + 11 + 3 + 4 + 6, "market, claims, challenges, disputes, jury");

    // What holds beyond single values, over all that governance can choose.
    let c = Params::mainnet().claims;
    assert!(c.first.preimage_window <= c.first.answer_window / 2);
    assert!(c.most.preimage_window <= c.least.answer_window);
    assert!(c.most.answer_window + c.most.attest_window < 86_400, "verifiers are drawn by weights of a day");
    let seed = u64::from(c.most.seed_delay) * BLOCK;
    assert!(seed + HOUR < u64::from(c.least.answer_window), "time to seal, and to answer");
    assert!(u64::from(c.first.seed_delay) * BLOCK < u64::from(c.first.preimage_window) / 4, "time to bring the link");
    assert!(u64::from(c.most.answer_window) < HISTORY * BLOCK, "a header is at hand as long as it may be needed");
}

#[tokio::test]
async fn the_deployer_accepts_it_and_the_chain_says_the_same() {
    let net = Net::start(Params::mainnet()).await;
    let params = &net.params;
    net.at.verify(&net.provider).await.unwrap();
    assert_eq!(net.faults().await, []);

    let Params { market: m, claims: c, challenges: v, disputes: d, jury: j, rewards: w, governance: g, .. } = params;
    let market = JobMarket::new(net.at.market, &net.provider);
    let p = market.params().call().await.unwrap();
    assert_eq!(
        (p.startWindow, p.drainWindow, p.commitWindow, p.revealWindow, p.electionDelay, p.startLock, p.deposit),
        (
            m.first.start_window,
            m.first.drain_window,
            m.first.commit_window,
            m.first.reveal_window,
            m.first.election_delay,
            m.first.start_lock,
            m.first.deposit
        )
    );
    let book = ClaimBook::new(net.at.book, &net.provider);
    let p = book.params().call().await.unwrap();
    assert_eq!((p.seedDelay, p.preimageWindow, p.answerWindow), {
        (c.first.seed_delay, c.first.preimage_window, c.first.answer_window)
    });
    assert_eq!((p.attestWindow, p.revealWindow, p.contestWindow), {
        (c.first.attest_window, c.first.reveal_window, c.first.contest_window)
    });
    assert_eq!((p.minLock, p.verifierLock, p.lockNum, p.lockDen, p.verifierShare), {
        (c.first.min_lock, c.first.verifier_lock, c.first.lock_num, c.first.lock_den, c.first.verifier_share)
    });
    let challenges = ChallengeManager::new(net.at.challenges, &net.provider);
    let p = challenges.params().call().await.unwrap();
    assert_eq!((p.verifierLock, p.absences, p.publishWindow), {
        (v.first.verifier_lock, v.first.absences, v.first.publish_window)
    });
    let game = DisputeGame::new(net.at.game, &net.provider);
    let p = game.params().call().await.unwrap();
    assert_eq!((p.clock, p.floor, p.bond, p.bondShare), {
        (d.first.clock, d.first.floor, d.first.bond, d.first.bond_share)
    });
    let jury = Jury::new(net.at.jury, &net.provider);
    let p = jury.params().call().await.unwrap();
    assert_eq!((p.seedDelay, p.voteWindow, p.revealWindow, p.appealWindow, p.jurorLock, p.appealBond), {
        let f = &j.first;
        (f.seed_delay, f.vote_window, f.reveal_window, f.appeal_window, f.juror_lock, f.appeal_bond)
    });
    let p = Rewards::new(net.at.rewards, &net.provider).params().call().await.unwrap();
    assert_eq!((p.target, p.step, p.most), (w.target, w.step, w.most));
    let governor = StakeGovernor::new(net.at.governor, &net.provider);
    assert_eq!(governor.votingDelay().call().await.unwrap(), U256::from(g.voting_delay_seconds));
    assert_eq!(governor.votingPeriod().call().await.unwrap(), U256::from(g.voting_period_seconds));
    assert_eq!(governor.leastQuorum().call().await.unwrap(), U256::from(g.least_quorum));
    let delay = Timelock::new(net.at.timelock, &net.provider).getMinDelay().call().await.unwrap();
    assert_eq!(delay, U256::from(g.timelock_delay_seconds));

    // 11. Whoever begins to leave at the fault is still there at the last verdict, and two days longer.
    let registry = StakeRegistry::new(net.at.registry, &net.provider);
    let unbond = registry.params().call().await.unwrap().unbond;
    assert_eq!(unbond, params.registry.unbond_seconds);
    let margin = u32::try_from(registry.MARGIN().call().await.unwrap()).unwrap();
    for slasher in [net.at.market, net.at.book, net.at.challenges, net.at.jury] {
        let reach = JobMarket::new(slasher, &net.provider).reach().call().await.unwrap();
        assert!(reach > 0 && reach + margin <= unbond, "{slasher} reaches {reach} s");
    }
}

#[tokio::test]
async fn the_economics_assume_what_the_file_and_the_contracts_say() {
    let (rules, params) = (Rules::main(), Params::mainnet());
    let c = &params.claims.first;
    assert_eq!(rules.seed_delay, u32::from(c.seed_delay));
    assert!(rules.seed_delay <= params.claims.least.seed_delay.into(), "no proposer known ahead, whoever governs");
    assert_eq!(rules.verifier_share, share(c.verifier_share));
    assert_eq!(rules.absences.1, u32::from(params.challenges.first.absences));
    assert_eq!(rules.bond_share, share(params.disputes.first.bond_share));
    let stake_for_coin = c.lock_num as f64 / c.lock_den as f64;
    assert_eq!(rules.stake_for_coin, stake_for_coin);

    // Draws and locks of the model that random histories hold to the bytecode (tests/histories), least locks aside.
    let model = ClaimParams {
        seed_delay: c.seed_delay,
        preimage_window: c.preimage_window,
        answer_window: c.answer_window,
        attest_window: c.attest_window,
        reveal_window: c.reveal_window,
        contest_window: c.contest_window,
        min_lock: 0,
        verifier_lock: c.verifier_lock,
        lock_num: c.lock_num,
        lock_den: c.lock_den,
        verifier_share: c.verifier_share,
    };
    for count in [1, 2, 60, 255, 256, 1800, 4096] {
        let drawn = ClaimParams::drawn(count, 8);
        assert_eq!(rules.draws(count), u32::from(drawn), "{count} segments");
        let lock = model.lock(COIN, count, drawn).unwrap() as f64 / COIN as f64;
        assert_eq!(rules.lock(count) * rules.stake_for_coin, lock, "{count} segments");
    }

    // What is fixed in the contracts.
    let net = Net::start(params).await;
    let jury = Jury::new(net.at.jury, &net.provider);
    let trial = (jury.SEATS().call().await.unwrap(), jury.QUORUM().call().await.unwrap());
    assert_eq!(rules.trial, (trial.0.into(), trial.1.into()));
    let appeal = (jury.APPEAL_SEATS().call().await.unwrap(), jury.APPEAL_QUORUM().call().await.unwrap());
    assert_eq!(rules.appeal, (appeal.0.into(), appeal.1.into()));
    assert_eq!(U256::from(rules.juror_tries), jury.TRIES().call().await.unwrap());
    assert_eq!(rules.jurors, share(jury.share().call().await.unwrap()));
    let game = DisputeGame::new(net.at.game, &net.provider);
    assert_eq!(rules.challenger, share(game.CHALLENGER_CUT().call().await.unwrap()));
    let registry = StakeRegistry::new(net.at.registry, &net.provider);
    assert_eq!(rules.finder, share(u16::try_from(registry.MAX_CUTS().call().await.unwrap()).unwrap()));
    let market = JobMarket::new(net.at.market, &net.provider);
    assert_eq!(rules.long_draws, u32::from(market.MOST_DRAWS().call().await.unwrap()));
    let reach = ClaimBook::new(net.at.book, &net.provider).reach().call().await.unwrap();
    assert_eq!(rules.dispute_days, (f64::from(reach) / 86_400.0).ceil());
}
