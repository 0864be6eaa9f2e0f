//! The contracts as the deployer wires them, with short windows. The challenge manager and the dispute game are doubles:
//! they say how many verifiers revealed a claim, take the verifiers' part, and their calls are made by the test.

use crate::evm::{Evm, State};
use alloy::primitives::{Address, B256, U256, address, bytes};
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::SolConstructor;
use headframe_contracts::bindings::{
    ClaimBook, FeeRouter, IClaimBook, IJobMarket, IStakeRegistry, JobMarket, MarketStore, ProfileRegistry,
    StakeRegistry, Token,
};
use headframe_market::profile::{Limits, Profile, Rung};
use headframe_market::rules::{Call, ClaimParams, Market, MarketParams, Now, Roles, Stake};
use headframe_market::typed_data::Domain;
use headframe_market::{Action, Addresses, BlockNo, Timestamp};
use std::collections::BTreeMap;

pub(crate) const TOKEN: u128 = 1_000_000_000_000_000_000;
const MIN_SELF: u128 = 1000 * TOKEN;
const START_TIME: u64 = 1_800_000_000;
const START_BLOCK: u64 = 20_000;
const DEPLOYER: Address = Address::repeat_byte(0xde);
const DOUBLE: Address = Address::repeat_byte(0xd0);
const CHALLENGES: Address = address!("00000000000000000000000000000000000c4a11");
const GAME: Address = address!("0000000000000000000000000000000000006a3e");
/// Another slasher, such as the jury: one more double.
pub(crate) const ELSEWHERE: Address = address!("000000000000000000000000000000000000e15e");

/// The deployed contracts, the model at the same moment, and who acts.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) model: Market,
    pub(crate) at: Addresses,
    pub(crate) active_set: Address,
    pub(crate) keys: Address,
    pub(crate) profile: B256,
    pub(crate) time: u64,
    pub(crate) block: u64,
    /// Epoch of the active set less the day since 1970.
    pub(crate) epoch_zero: u64,
    pub(crate) clients: Vec<PrivateKeySigner>,
    pub(crate) operators: Vec<PrivateKeySigner>,
    /// Keys that may become an operator's hot key. The first one is that of the first operator.
    pub(crate) spare: Vec<PrivateKeySigner>,
    pub(crate) stranger: Address,
}

/// The site, and the chain's state from which every history begins.
pub(crate) fn deploy() -> (Site, State) {
    let mut evm = Evm::empty();
    let (time, block) = (START_TIME, START_BLOCK);
    evm.at(block, time, B256::repeat_byte(7));
    let keys = |from: u8, count: u8| {
        (from..from + count).map(|n| PrivateKeySigner::from_bytes(&B256::repeat_byte(n)).unwrap()).collect::<Vec<_>>()
    };
    let (clients, operators, spare) = (keys(0x11, 2), keys(0x21, 4), keys(0x31, 2));
    let stranger = Address::repeat_byte(0x5a);
    let (admin, guardian) = (Address::repeat_byte(0xad), Address::repeat_byte(0x6d));
    let who = clients.iter().chain(&operators).chain(&spare).map(PrivateKeySigner::address);
    for account in who.chain([stranger, admin, guardian, DEPLOYER]) {
        evm.fund(account);
    }
    // Answers every call with the word at storage slot calldata[4..36], and takes coins. The judges delegate to it (EIP-7702),
    // because an account with code of its own could not send transactions.
    evm.insert_code(DOUBLE, bytes!("6004355460005260206000f3"));
    for judge in [CHALLENGES, GAME, ELSEWHERE] {
        evm.insert_code(judge, [&[0xef, 1, 0], &DOUBLE[..]].concat().into());
    }

    let [market, book] = [5, 6].map(|nonce| DEPLOYER.create(nonce));
    let supply = U256::from(1_000_000_000 * TOKEN);
    let holders: Vec<Address> = operators.iter().map(PrivateKeySigner::address).collect();
    let amounts = vec![supply / U256::from(4); 4];
    let args = Token::constructorCall { holders, amounts, minter_: Address::ZERO, cap_: supply };
    let token = evm.create(DEPLOYER, with(&Token::BYTECODE, &args));
    let p = IStakeRegistry::Params { minSelf: MIN_SELF, unbond: 14 * 86_400 };
    let args = StakeRegistry::constructorCall { token_: token, slots_: U256::from(16), p };
    let registry = evm.create(DEPLOYER, with(&StakeRegistry::BYTECODE, &args));
    let args = FeeRouter::constructorCall { registry_: registry, treasury_: admin, protocolFee_: U256::from(100) };
    let router = evm.create(DEPLOYER, with(&FeeRouter::BYTECODE, &args));
    evm.call(DEPLOYER, registry, &StakeRegistry::setRouterCall { router_: router }).unwrap();
    let profiles = evm.create(DEPLOYER, ProfileRegistry::BYTECODE.to_vec());
    let parts = MarketStore::Parts { registry, profiles, challenges: CHALLENGES, router, book, guardian, admin };
    let [first, least, most] = market_params().map(|p| market_abi(&p));
    let args = JobMarket::constructorCall { parts, least, most, p: first };
    assert_eq!(evm.create(DEPLOYER, with(&JobMarket::BYTECODE, &args)), market);
    let [first, least, most] = claim_params().map(|p| claim_abi(&p));
    let args = ClaimBook::constructorCall {
        market_: market,
        registry_: registry,
        challenges_: CHALLENGES,
        game_: GAME,
        admin_: admin,
        first,
        least,
        most,
    };
    assert_eq!(evm.create(DEPLOYER, with(&ClaimBook::BYTECODE, &args)), book);

    let at = Addresses { token, registry, market, book, profiles, router, ..Addresses::default() };
    let domain = Domain { chain_id: 1, market };
    let mut stake = Stake::new(MIN_SELF);
    let reaches = [
        (market, evm.view(market, &JobMarket::reachCall {})),
        (book, evm.view(book, &ClaimBook::reachCall {})),
        (ELSEWHERE, 10 * 86_400),
    ];
    for (slasher, reach) in reaches {
        evm.call(DEPLOYER, registry, &StakeRegistry::announceSlasherCall { slasher, reach }).unwrap();
        stake.name_slasher(slasher, reach);
    }
    let roles = Roles { admin, guardian, book, challenges: CHALLENGES, game: GAME, router, registry_admin: DEPLOYER };
    let mut model = Market::new(domain, roles, stake, market_params(), claim_params());
    let profile = profile();
    let add = Action::AddProfile { profile: profile.clone() }.call(&at);
    evm.send(DEPLOYER, add.to, 0, add.input.to_vec()).unwrap();
    model.profiles.insert(profile.id());
    let active_set = evm.view(registry, &StakeRegistry::activeSetCall {});
    let keys = evm.view(registry, &StakeRegistry::keysCall {});
    let epoch: U256 = evm.view(active_set, &headframe_contracts::bindings::ActiveSet::epochCall {});
    for operator in &operators {
        let approve = Token::approveCall { spender: registry, value: U256::MAX };
        assert!(evm.call(operator.address(), token, &approve).unwrap());
    }
    let epoch_zero = time / 86_400 - epoch.to::<u64>();
    let mut site = Site {
        model,
        at,
        active_set,
        keys,
        profile: profile.id(),
        time,
        block,
        epoch_zero,
        clients,
        operators,
        spare,
        stranger,
    };
    begin(&mut evm, &mut site);
    let state = evm.state().clone();
    (site, state)
}

/// Three of the operators bond, and the first names another key as its hot one. A day goes by, because weights count from
/// the next day on.
fn begin(evm: &mut Evm, site: &mut Site) {
    let [first, second, third] = [0, 1, 2].map(|n: usize| site.operators[n].address());
    let hot = site.spare[0].address();
    let calls = [
        (first, Call::Bond { amount: 5000 * TOKEN }),
        (second, Call::Bond { amount: 1500 * TOKEN }),
        (third, Call::Bond { amount: 1100 * TOKEN }),
        (first, Call::ProposeSigner { operator: first, signer: hot }),
        (hot, Call::AcceptSigner { operator: first }),
    ];
    for (caller, call) in calls {
        let (time, block, hashes) = (Timestamp(site.time), BlockNo(site.block), BTreeMap::new());
        let now = Now { time, block, random: B256::ZERO, hashes: &hashes };
        site.model.apply(&now, caller, &call).unwrap();
        let (to, value, data) = crate::abi::transaction(site, &call);
        evm.send(caller, to, value, data).unwrap();
    }
    site.time += 86_400;
    site.block += 7_200;
}

fn with<A: SolConstructor>(code: &[u8], args: &A) -> Vec<u8> {
    [code, &args.abi_encode()].concat()
}

/// First, least and most.
fn market_params() -> [MarketParams; 3] {
    let windows = |start, drain, commit, reveal, election_delay, start_lock, deposit| MarketParams {
        start_window: start,
        drain_window: drain,
        commit_window: commit,
        reveal_window: reveal,
        election_delay,
        start_lock,
        deposit,
    };
    [
        windows(60, 600, 30, 30, 3, 10 * TOKEN, TOKEN / 100),
        windows(10, 60, 5, 5, 1, 0, 0),
        windows(600, 86_400, 300, 300, 64, 1000 * TOKEN, TOKEN),
    ]
}

fn claim_params() -> [ClaimParams; 3] {
    let params = |seed_delay, windows: [u32; 5], min_lock, verifier_lock, lock: (u64, u64), verifier_share| {
        let [preimage_window, answer_window, attest_window, reveal_window, contest_window] = windows;
        ClaimParams {
            seed_delay,
            preimage_window,
            answer_window,
            attest_window,
            reveal_window,
            contest_window,
            min_lock,
            verifier_lock,
            lock_num: lock.0,
            lock_den: lock.1,
            verifier_share,
        }
    };
    [
        params(3, [120, 600, 60, 120, 300], 10 * TOKEN, TOKEN / 2, (3, 2), 200),
        params(1, [0, 300, 1, 1, 1], 0, 0, (1, 1), 0),
        params(32, [300, 7200, 3600, 3600, 7200], 500 * TOKEN, 10 * TOKEN, (1 << 40, 1 << 40), 500),
    ]
}

pub(crate) fn market_abi(p: &MarketParams) -> IJobMarket::Params {
    IJobMarket::Params {
        startWindow: p.start_window,
        drainWindow: p.drain_window,
        commitWindow: p.commit_window,
        revealWindow: p.reveal_window,
        electionDelay: p.election_delay,
        startLock: p.start_lock,
        deposit: p.deposit,
    }
}

pub(crate) fn claim_abi(p: &ClaimParams) -> IClaimBook::Params {
    IClaimBook::Params {
        seedDelay: p.seed_delay,
        preimageWindow: p.preimage_window,
        answerWindow: p.answer_window,
        attestWindow: p.attest_window,
        revealWindow: p.reveal_window,
        contestWindow: p.contest_window,
        minLock: p.min_lock,
        verifierLock: p.verifier_lock,
        lockNum: p.lock_num,
        lockDen: p.lock_den,
        verifierShare: p.verifier_share,
    }
}

fn profile() -> Profile {
    let limits =
        Limits { tile_luma: 1, tile_chroma: 1, frame_luma: 1, frame_chroma: 1, segment_luma: 1, segment_chroma: 1 };
    let rung = Rung { width: 64, height: 64, profiles: vec![100], level: 40, max_bytes_per_second: 1 << 20, limits };
    Profile { filter: 0, cascade: false, ladder: B256::repeat_byte(1), rungs: vec![rung] }
}
