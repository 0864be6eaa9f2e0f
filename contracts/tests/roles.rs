//! The whole role graph of a deployment, on a real development chain: after it no account has any right left, every
//! admin is the timelock, and only the governor makes the timelock act.

#![allow(clippy::unwrap_used)]

mod net;

use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use alloy::providers::{PendingTransactionBuilder, Provider};
use alloy::rpc::types::TransactionRequest;
use alloy::sol_types::SolCall;
use headframe_contracts::{DeployError, DevChain, Fault, Params, Relation, deploy, set_balance};
use headframe_contracts::{Guardian, IRewards, IStakeRegistry, Rewards, StakeGovernor, StakeRegistry, Timelock, Token};
use net::{COIN, Net, SUPPLY, account};

impl Net {
    /// Sends as any account at all, which a development chain allows.
    async fn as_account(&self, from: Address, to: Address, input: Bytes) -> bool {
        let () = self.provider.raw_request("anvil_impersonateAccount".into(), (from,)).await.unwrap();
        set_balance(&self.provider, from, COIN).await.unwrap();
        let request = TransactionRequest::default().from(from).to(to).input(input.into()).gas_limit(1_000_000);
        let hash: B256 = self.provider.raw_request("eth_sendTransaction".into(), (request,)).await.unwrap();
        let sent = PendingTransactionBuilder::new(self.provider.root().clone(), hash);
        sent.get_receipt().await.unwrap().status()
    }
}

#[tokio::test]
async fn after_a_deployment_the_timelock_is_every_admin_and_the_governor_alone_proposes() {
    let net = Net::start(Params::devnet()).await;
    net.at.verify(&net.provider).await.unwrap();
    assert_eq!(net.faults().await, []);

    // What the file of parameters asked for is there.
    let (g, w) = (&net.params.governance, &net.params.rewards);
    let governor = StakeGovernor::new(net.at.governor, &net.provider);
    assert_eq!(governor.votingDelay().call().await.unwrap(), U256::from(g.voting_delay_seconds));
    assert_eq!(governor.votingPeriod().call().await.unwrap(), U256::from(g.voting_period_seconds));
    assert_eq!(governor.proposalThreshold().call().await.unwrap(), U256::from(g.proposal_threshold));
    assert_eq!(governor.quorumNumerator_1().call().await.unwrap(), U256::from(g.quorum_percent));
    assert_eq!(governor.leastQuorum().call().await.unwrap(), U256::from(g.least_quorum));
    let timelock = Timelock::new(net.at.timelock, &net.provider);
    assert_eq!(timelock.getMinDelay().call().await.unwrap(), U256::from(g.timelock_delay_seconds));
    let guardian = Guardian::new(net.at.guardian, &net.provider);
    assert_eq!(guardian.key().call().await.unwrap(), g.guardian);
    let rewards = Rewards::new(net.at.rewards, &net.provider);
    assert_eq!(rewards.lastEpoch().call().await.unwrap().rate, w.first_rate);
    let params = rewards.params().call().await.unwrap();
    assert_eq!((params.target, params.step, params.most), (w.target, w.step, w.most));
    let token = Token::new(net.at.token, &net.provider);
    assert_eq!(token.cap().call().await.unwrap(), U256::from(net.params.token.cap));
    let (supply, crumb) = (U256::from(SUPPLY), U256::ONE);
    assert_eq!(token.balanceOf(net.at.game).call().await.unwrap(), crumb, "no empty word");
    assert_eq!(token.totalSupply().call().await.unwrap(), supply + crumb, "the minter keeps nothing");

    // Nothing was scheduled, by anybody, before the governor was there.
    let scheduled = timelock.CallScheduled_filter().from_block(net.at.block).query().await.unwrap();
    assert!(scheduled.is_empty());
}

#[tokio::test]
async fn the_deployer_has_no_right_left_and_neither_has_the_governor_by_itself() {
    let net = Net::start(Params::devnet()).await;
    let at = &net.at;
    let role = Timelock::new(at.timelock, &net.provider).PROPOSER_ROLE().call().await.unwrap();
    let params = IStakeRegistry::Params { minSelf: net.params.registry.min_self, unbond: 14 * 86_400 };
    let rewards = IRewards::Params { target: 5000, step: 1, most: 1 };
    let reward = Token::mintRewardCall { registry: at.registry, operator: at.token, amount: 1, epoch: 1 };
    for who in [net.deployer, at.governor, at.guardian] {
        let calls: [(&str, Address, Vec<u8>); 12] = [
            ("setParams", at.registry, StakeRegistry::setParamsCall { p: params.clone() }.abi_encode()),
            ("setVotes", at.registry, StakeRegistry::setVotesCall { votes_: who }.abi_encode()),
            ("setRouter", at.registry, StakeRegistry::setRouterCall { router_: who }.abi_encode()),
            ("announce", at.registry, StakeRegistry::announceSlasherCall { slasher: who, reach: 1 }.abi_encode()),
            ("retire", at.registry, StakeRegistry::retireSlasherCall { slasher: at.market }.abi_encode()),
            ("proposeAdmin", at.registry, StakeRegistry::proposeAdminCall { admin_: who }.abi_encode()),
            ("acceptAdmin", at.registry, StakeRegistry::acceptAdminCall {}.abi_encode()),
            ("mint", at.token, Token::mintCall { to: who, amount: U256::from(1) }.abi_encode()),
            ("mintReward", at.token, reward.abi_encode()),
            ("rewards", at.rewards, Rewards::setParamsCall { p: rewards.clone() }.abi_encode()),
            ("setKey", at.guardian, Guardian::setKeyCall { key_: who }.abi_encode()),
            ("grantRole", at.timelock, Timelock::grantRoleCall { role, account: who }.abi_encode()),
        ];
        for (name, to, input) in calls {
            assert!(!net.as_account(who, to, input.into()).await, "{name} by {who}");
        }
    }
    assert_eq!(net.faults().await, []);
    // The same call goes through from the one admin: the refusals above were about who asked.
    let call = StakeRegistry::setParamsCall { p: params }.abi_encode();
    assert!(net.as_account(at.timelock, at.registry, call.into()).await);
}

#[tokio::test]
async fn a_role_that_somebody_has_or_lacks_is_named() {
    let net = Net::start(Params::devnet()).await;
    let at = &net.at;
    let timelock = Timelock::new(at.timelock, &net.provider);
    let proposer = timelock.PROPOSER_ROLE().call().await.unwrap();
    let stranger = Address::repeat_byte(0x57);
    let grant = Timelock::grantRoleCall { role: proposer, account: stranger }.abi_encode();
    assert!(net.as_account(at.timelock, at.timelock, grant.into()).await);
    assert_eq!(net.faults().await, [Fault::Extra { role: proposer, account: stranger }]);
    let revoke = Timelock::revokeRoleCall { role: proposer, account: at.governor }.abi_encode();
    assert!(net.as_account(at.timelock, at.timelock, revoke.into()).await);
    let revoke = Timelock::revokeRoleCall { role: proposer, account: stranger }.abi_encode();
    assert!(net.as_account(at.timelock, at.timelock, revoke.into()).await);
    let expected = Fault::Lacking { role: proposer, account: at.governor };
    assert_eq!(net.faults().await, std::slice::from_ref(&expected));
    assert!(expected.to_string().contains("lacks the role"), "{expected}");

    let propose = StakeRegistry::proposeAdminCall { admin_: stranger }.abi_encode();
    assert!(net.as_account(at.timelock, at.registry, propose.into()).await);
    let accept = StakeRegistry::acceptAdminCall {}.abi_encode();
    assert!(net.as_account(stranger, at.registry, accept.into()).await);
    let admin = Relation { what: "the registry's admin", expected: at.timelock, found: stranger };
    assert_eq!(net.faults().await, [Fault::Related(admin), expected]);
}

#[tokio::test]
async fn a_decision_of_the_operators_acts_through_the_timelock() {
    let net = Net::start(Params::devnet()).await;
    let (at, me, provider) = (&net.at, net.deployer, &net.provider);
    let registry = StakeRegistry::new(at.registry, provider);
    let token = Token::new(at.token, provider);
    let stake = 5000 * COIN;
    token.approve(at.registry, U256::from(stake)).send().await.unwrap().get_receipt().await.unwrap();
    registry.bond(stake).send().await.unwrap().get_receipt().await.unwrap();
    registry.enrol(me, true).send().await.unwrap().get_receipt().await.unwrap();
    net.wait(1).await;

    let governor = StakeGovernor::new(at.governor, provider);
    let params = IStakeRegistry::Params { minSelf: 500 * COIN, unbond: net.params.registry.unbond_seconds };
    let input: Bytes = StakeRegistry::setParamsCall { p: params }.abi_encode().into();
    let (targets, values, calls) = (vec![at.registry], vec![U256::ZERO], vec![input]);
    let why = keccak256("less stake for a start");
    let id = governor.hashProposal(targets.clone(), values.clone(), calls.clone(), why).call().await.unwrap();
    let proposal = governor.propose(targets.clone(), values.clone(), calls.clone(), "less stake for a start".into());
    assert!(proposal.send().await.unwrap().get_receipt().await.unwrap().status());
    let g = &net.params.governance;
    net.wait(u64::from(g.voting_delay_seconds) + 2).await;
    assert!(governor.castVote(id, 1).send().await.unwrap().get_receipt().await.unwrap().status());
    net.wait(g.voting_period_seconds.into()).await;
    let queue = governor.queue(targets.clone(), values.clone(), calls.clone(), why);
    assert!(queue.send().await.unwrap().get_receipt().await.unwrap().status());
    net.wait(u64::from(g.timelock_delay_seconds) - 60).await;
    let execute = || governor.execute(targets.clone(), values.clone(), calls.clone(), why);
    assert!(execute().call().await.is_err(), "a minute too early");
    net.wait(60).await;
    assert!(execute().send().await.unwrap().get_receipt().await.unwrap().status());
    assert_eq!(registry.params().call().await.unwrap().minSelf, 500 * COIN);

    // Days have passed: what the operator earned by being active is minted for it.
    let rewards = Rewards::new(at.rewards, provider);
    let before = token.totalSupply().call().await.unwrap();
    rewards.reward(me).send().await.unwrap().get_receipt().await.unwrap();
    let minted = token.totalSupply().call().await.unwrap() - before;
    assert_eq!(U256::from(registry.operatorInfo(me).call().await.unwrap().rewardsVesting), minted);
    assert!(minted > U256::from(COIN));
}

#[tokio::test]
async fn another_account_than_the_providers_is_noticed_at_the_first_step() {
    let chain = DevChain::start(0, None).unwrap();
    let (_, provider) = account(&chain, 1).await;
    let error = deploy(&provider, Address::repeat_byte(9), &Params::devnet(), &[]).await.unwrap_err();
    assert!(matches!(error, DeployError::Misplaced { step: "deploying the token", .. }), "{error}");
}
