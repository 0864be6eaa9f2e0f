//! The strategies of `headframe_market::dispute` against the contract, in an EVM within this process: who follows them with
//! the right pictures does not lose. Around the contract stand doubles of book, registry, token and judge.
//! `HEADFRAME_DISPUTE_GAMES=10000 cargo test -p headframe-contracts --test disputes` plays that many of each kind.

#![allow(clippy::unwrap_used)]

use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use alloy::sol_types::{SolCall, SolEvent, SolValue};
use bindings::{Answers, DisputeGame, IClaimBook, IDisputeGame};
use headframe_market::ClaimId;
use headframe_market::dispute::{self, Board, Choice, Clock, Position, Side, Subject, What};
use revm::context::result::{ExecutionResult, Output};
use revm::context::{Context, TxEnv};
use revm::database::{CacheDB, EmptyDB};
use revm::primitives::TxKind;
use revm::primitives::hardfork::SpecId;
use revm::state::{AccountInfo, Bytecode};
use revm::{ExecuteCommitEvm, MainBuilder, MainContext, MainnetEvm};

#[allow(missing_docs, clippy::too_many_arguments)]
mod bindings {
    alloy::sol!(
        #[sol(all_derives = true)]
        DisputeGame,
        "artifacts/DisputeGame.json"
    );
}

const BOOK: Address = Address::repeat_byte(0xb0);
const REGISTRY: Address = Address::repeat_byte(0x4e);
const TOKEN: Address = Address::repeat_byte(0x70);
const JUDGE: Address = Address::repeat_byte(0x1d);
const OPERATOR: Address = Address::repeat_byte(0x09);
const CHALLENGER: Address = Address::repeat_byte(0xc4);
/// `IDisputeGame.Status`.
const OPEN: u8 = 1;
const AT_LEAF: u8 = 2;
const AT_COUNT: u8 = 3;
const OPERATOR_WON: u8 = 4;
const CHALLENGER_WON: u8 = 5;
const CLAIM: u64 = 7 << 32 | 300;
const SLOT: u16 = 2;
const RUNG: u8 = 1;
const BEGIN: u64 = 2_000_000_000;
const PARAMS: (u32, u32) = (86_400, 3_600);
/// The most gas that a transaction may have (EIP-7825).
const GAS: u64 = 16_777_216;

/// A contract that answers every call with these words.
fn says(words: &[U256]) -> Bytes {
    let data: Vec<u8> = words.iter().flat_map(U256::to_be_bytes::<32>).collect();
    let length = u16::try_from(data.len()).unwrap().to_be_bytes();
    // PUSH2 length, PUSH1 where the data begins, PUSH0, CODECOPY, PUSH2 length, PUSH0, RETURN
    let mut code = vec![0x61, length[0], length[1], 0x60, 12, 0x5f, 0x39, 0x61, length[0], length[1], 0x5f, 0xf3];
    code.extend(data);
    code.into()
}

/// A judge that tells the game its share, and passes on to it what anybody else sends.
fn judge(game: Address) -> Bytes {
    const FAIL: u8 = 63;
    const SHARE: u8 = 67;
    let mut code = vec![0x33, 0x73]; // CALLER, PUSH20
    code.extend(game);
    code.extend([0x14, 0x60, SHARE, 0x57]); // EQ, PUSH1, JUMPI
    code.extend([0x36, 0x5f, 0x5f, 0x37]); // CALLDATACOPY(0, 0, CALLDATASIZE)
    code.extend([0x5f, 0x5f, 0x36, 0x5f, 0x5f, 0x73]); // no result, all calldata, no value, PUSH20
    code.extend(game);
    code.extend([0x5a, 0xf1, 0x15, 0x60, FAIL, 0x57, 0x00]); // GAS, CALL, ISZERO, PUSH1, JUMPI, STOP
    code.extend([0x5b, 0x5f, 0x5f, 0xfd]); // revert
    code.extend([0x5b, 0x61, 0x09, 0xc4, 0x5f, 0x52, 0x60, 0x20, 0x5f, 0xf3]); // return 2500
    code.into()
}

/// A claim as `IClaimBook.contestAndLock` tells of it. Who is paid for it the registry's double does not ask.
fn claim(answers: B256) -> [U256; 5] {
    const REVEALED: u8 = 4;
    let (until, held, lock) = (U256::from(u64::MAX >> 24), U256::ZERO, U256::from(10).pow(U256::from(20)));
    [U256::from(REVEALED), until, held, answers.into(), lock]
}

/// One game on a chain of its own.
struct Arena {
    evm: MainnetEvm<revm::handler::MainnetContext<CacheDB<EmptyDB>>>,
    contract: Address,
    game: U256,
    now: u64,
    /// What the operator opened last.
    opened: Vec<B256>,
}

impl Arena {
    /// Opens a game about pictures with this root.
    fn new(root: B256) -> Self {
        let rung = |decoded| Answers::Rung { width: 640, height: 360, decoded, ..Default::default() };
        let answer = Answers::Answer { rungs: vec![rung(B256::ZERO), rung(root)], ..Default::default() };
        let mut digests = vec![B256::ZERO; 4];
        digests[usize::from(SLOT)] = keccak256(answer.abi_encode());
        let answered = IClaimBook::Answered { openings: vec![B256::ZERO; 4], digests };

        let contract = CHALLENGER.create(0);
        let mut db = CacheDB::new(EmptyDB::new());
        let doubles = [
            (BOOK, says(&claim(keccak256(answered.abi_encode())))),
            (REGISTRY, says(&[U256::from_be_slice(OPERATOR.as_slice())])),
            (TOKEN, says(&[U256::from(1)])),
            (JUDGE, judge(contract)),
        ];
        for (at, code) in doubles {
            let code = Bytecode::new_raw(code);
            let account = AccountInfo { code_hash: code.hash_slow(), code: Some(code), ..Default::default() };
            db.insert_account_info(at, account);
        }
        let context = Context::mainnet().modify_cfg_chained(|cfg| {
            cfg.set_spec_and_mainnet_gas_params(SpecId::PRAGUE);
            cfg.disable_nonce_check = true;
        });
        let evm = context.with_db(db).build_mainnet();
        let mut arena = Self { evm, contract, game: U256::ZERO, now: BEGIN, opened: Vec::new() };
        let (clock, floor) = PARAMS;
        let params = IDisputeGame::Params { clock, floor, bond: 1_000_000_000_000, bondShare: 1000 };
        let arguments = (BOOK, REGISTRY, TOKEN, JUDGE, OPERATOR, params.clone(), params.clone(), params);
        let code = [&DisputeGame::BYTECODE[..], &arguments.abi_encode_params()].concat();
        match arena.transact(CHALLENGER, TxKind::Create, code.into()) {
            ExecutionResult::Success { output: Output::Create(_, Some(at)), .. } => assert_eq!(at, contract),
            other => panic!("the game does not deploy: {other:?}"),
        }
        let about =
            Subject { claim: ClaimId(CLAIM), challenger: CHALLENGER, slot: SLOT, what: What::Decoded, rung: RUNG };
        arena.game = about.game();
        let subject = IDisputeGame::Subject { what: about.what as u8, rung: RUNG };
        let slot = U256::from(SLOT);
        let open = DisputeGame::openCall { claimId: CLAIM, slot, answered, answer, subject };
        assert!(arena.send(CHALLENGER, &open), "the game does not open");
        assert_eq!(arena.position(), Position::opened(root));
        arena
    }

    fn transact(&mut self, caller: Address, kind: TxKind, data: Bytes) -> ExecutionResult {
        self.evm.ctx.block.timestamp = U256::from(self.now);
        let transaction = TxEnv::builder().caller(caller).gas_limit(GAS).gas_price(0).value(U256::ZERO).kind(kind);
        self.evm.transact_commit(transaction.data(data).build().unwrap()).unwrap()
    }

    /// Whether the contract takes the call.
    fn send<C: SolCall>(&mut self, caller: Address, call: &C) -> bool {
        let result = self.transact(caller, TxKind::Call(self.contract), call.abi_encode().into());
        for log in result.logs() {
            if let Ok(event) = DisputeGame::Bisected::decode_log(log) {
                self.opened = event.data.children;
            }
        }
        result.is_success()
    }

    fn judged(&mut self, operator_right: bool) {
        let call = DisputeGame::decideCall { gameId: self.game, operatorRight: operator_right };
        let result = self.transact(OPERATOR, TxKind::Call(JUDGE), call.abi_encode().into());
        assert!(result.is_success());
    }

    fn view<C: SolCall>(&mut self, call: &C) -> C::Return {
        match self.transact(OPERATOR, TxKind::Call(self.contract), call.abi_encode().into()) {
            ExecutionResult::Success { output, .. } => C::abi_decode_returns(output.data()).unwrap(),
            other => panic!("{}: {other:?}", C::SIGNATURE),
        }
    }

    fn state(&mut self) -> IDisputeGame::Game {
        self.view(&DisputeGame::gameCall { gameId: self.game })
    }

    /// Where it stands, checked against the contract's own hash of it and its deadline.
    fn position(&mut self) -> Position {
        let game = self.state();
        let turn = if game.turn == 0 { Side::Operator } else { Side::Challenger };
        let position = Position { node: game.node, count: game.count, first: game.first, level: game.level, turn };
        if game.status == OPEN {
            assert_eq!(position.hash(self.game), game.position);
            let (whole, floor) = PARAMS;
            let clock = Clock { whole, floor, spent: game.spent[turn as usize] };
            let until: u64 = self.view(&DisputeGame::turnUntilCall { gameId: self.game }).to();
            assert_eq!(clock.until(game.lastMove.to()), until);
        }
        position
    }

    /// Part of the time that the side on turn has, or all of it.
    fn wait(&mut self, dice: &mut Dice) {
        let until: u64 = self.view(&DisputeGame::turnUntilCall { gameId: self.game }).to();
        self.now = match dice.below(3) {
            0 => until,
            1 => self.now + dice.below((until - self.now + 1) as usize) as u64,
            _ => self.now,
        };
    }

    fn bisect(&mut self, position: &Position, count: u32, children: Vec<B256>) -> bool {
        let position = position.hash(self.game);
        self.send(OPERATOR, &DisputeGame::bisectCall { gameId: self.game, position, count, children })
    }

    fn choose(&mut self, position: &Position, choice: Choice) -> bool {
        let (game, position) = (self.game, position.hash(self.game));
        match choice {
            Choice::Count => self.send(CHALLENGER, &DisputeGame::disputeCountCall { gameId: game, position }),
            Choice::Child { child, hash, path } => {
                let child = U256::from(child);
                self.send(CHALLENGER, &DisputeGame::chooseCall { gameId: game, position, child, hash, path })
            }
            Choice::Nothing => panic!("nothing differs"),
        }
    }

    /// The side on turn lets its time run out: refused in its last second, and right one later.
    fn run_out(&mut self) {
        self.now = self.view(&DisputeGame::turnUntilCall { gameId: self.game }).to();
        assert!(!self.send(OPERATOR, &DisputeGame::timeoutCall { gameId: self.game }));
        self.now += 1;
        assert!(self.send(OPERATOR, &DisputeGame::timeoutCall { gameId: self.game }));
    }

    /// An honest judge.
    fn judge(&mut self, frames: &[B256]) {
        let game = self.state();
        if game.status == AT_COUNT {
            self.judged(game.count as usize == frames.len());
        } else if game.status == AT_LEAF {
            self.judged(frames.get(game.first as usize) == Some(&game.node));
        }
    }
}

/// Numbers that look random and are the same in every run of one seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }

    /// 1 to 4096, as likely small as large, often a power of two.
    fn count(&mut self) -> usize {
        let most = 1 << self.below(13);
        if self.below(3) == 0 { most } else { 1 + self.below(most) }
    }
}

fn games() -> u64 {
    std::env::var("HEADFRAME_DISPUTE_GAMES").ok().and_then(|text| text.parse().ok()).unwrap_or(400)
}

fn frames(count: usize) -> Vec<B256> {
    (0..count).map(|frame| keccak256(frame.to_be_bytes())).collect()
}

fn children(position: &Position, said: &Board) -> Vec<B256> {
    let level = if position.count == 0 { said.depth() } else { position.level };
    said.row(level, position.first).unwrap().to_vec()
}

/// Any child of what was opened, right or wrong: the challenger's own tree differs everywhere.
fn any_child(position: &Position, opened: &[B256], dice: &mut Dice) -> Choice {
    let mut doubted = opened.to_vec();
    let child = dice.below(doubted.len());
    doubted[child] ^= B256::repeat_byte(1);
    let other = Board::new(doubted).unwrap();
    let position = Position { level: other.depth(), first: 0, count: other.count(), ..*position };
    match dispute::choose(&other, &position, opened).unwrap() {
        Choice::Child { child: found, .. } if found as usize != child => {
            panic!("another child than the first that differs")
        }
        choice => choice,
    }
}

#[test]
fn an_honest_operator_never_loses() {
    for seed in 0..games() {
        let mut dice = Dice(seed);
        let right = frames(dice.count());
        let own = Board::new(right.clone()).unwrap();
        let mut arena = Arena::new(own.root());
        while arena.state().status == OPEN {
            let position = arena.position();
            if position.turn == Side::Operator {
                arena.wait(&mut dice);
                let opening = dispute::open(&own, &position).unwrap();
                assert!(
                    arena.bisect(&position, opening.count, opening.children),
                    "seed {seed}: a fair move was refused"
                );
                continue;
            }
            let opened = arena.opened.clone();
            match dice.below(8) {
                0 => arena.run_out(),
                1 if position.level == own.depth() => assert!(arena.choose(&position, Choice::Count)),
                _ => {
                    let choice = any_child(&position, &opened, &mut dice);
                    assert!(arena.choose(&position, choice), "seed {seed}");
                }
            }
        }
        arena.judge(&right);
        assert_eq!(arena.state().status, OPERATOR_WON, "seed {seed}, {} pictures", right.len());
    }
}

#[test]
fn an_honest_challenger_of_a_wrong_claim_never_loses() {
    for seed in 0..games() {
        let mut dice = Dice(seed << 32);
        let right = frames(dice.count());
        let own = Board::new(right.clone()).unwrap();
        let mut wrong = right.clone();
        match dice.below(4) {
            0 => wrong = frames(1 + (right.len() + dice.below(4095)) % 4096),
            1 => wrong.iter_mut().for_each(|frame| *frame = keccak256(*frame)),
            2 if right.len() > 1 => wrong.rotate_left(1),
            _ => wrong[dice.below(right.len())] = B256::ZERO,
        }
        let said = Board::new(wrong).unwrap();
        let mut arena = Arena::new(said.root());
        while arena.state().status == OPEN {
            let position = arena.position();
            if position.turn == Side::Challenger {
                arena.wait(&mut dice);
                let choice = dispute::choose(&own, &position, &arena.opened).unwrap();
                assert!(arena.choose(&position, choice), "seed {seed}: a fair move was refused");
                continue;
            }
            let opening = children(&position, &said);
            match dice.below(8) {
                0 => arena.run_out(),
                1 => {
                    // The right tree is not the one that was committed to.
                    let refused = dispute::open(&own, &position).is_err();
                    assert!(
                        refused && !arena.bisect(&position, own.count(), children(&Position::opened(own.root()), &own))
                    );
                }
                _ => assert!(arena.bisect(&position, said.count(), opening)),
            }
        }
        arena.judge(&right);
        assert_eq!(arena.state().status, CHALLENGER_WON, "seed {seed}, {} pictures", right.len());
    }
}
