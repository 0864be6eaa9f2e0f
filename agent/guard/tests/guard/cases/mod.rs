//! The cases of `vectors/`: what is asked and what must come of it, written down here by hand and there as JSON.

mod interchange;

use crate::support::*;
use headframe_guard::protocol::{ReceiptRequest, Request, SeenClaim, Sight, TransactionRequest};
use headframe_guard::rules::CLAIM_GAS;
use headframe_market::{Action, Address, B256, Bytes, JobId, Role, SegmentNo, Units, Wei};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) about: String,
    /// Private key of the signer, of worth to nobody.
    pub(crate) key: B256,
    pub(crate) role: String,
    pub(crate) max_fee_wei: u64,
    pub(crate) steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Step {
    /// A request as it goes over the socket.
    Ask { request: Value, expect: String },
    /// The signer ends and starts again.
    Restart,
    /// The signer ends and its database file with all beside it is gone.
    Lose,
    /// The database retires, as `headframe guard export --move` makes it.
    Retire,
    /// A document is imported; where there is no database, into a new one.
    Import { document: Value, expect: String },
    /// What is exported, without generation and audit.
    Export { expect: Value },
}

fn step(request: &Request, expect: &str) -> Step {
    Step::Ask { request: serde_json::to_value(request).unwrap(), expect: expect.into() }
}

fn enter() -> Vec<Step> {
    vec![step(&Request::Hello(hello(&[])), "admitted"), step(&Request::See(sight(0)), "seen")]
}

fn receipt(ask: ReceiptRequest, expect: &str) -> Step {
    step(&Request::SignReceipt(ask), expect)
}

fn receipts(job: JobId, range: std::ops::Range<u64>) -> Vec<Step> {
    range.map(|seq| receipt(ask(job, seq), "signed")).collect()
}

fn transaction(action: Action, nonce: u64, expect: &str) -> Step {
    step(&Request::SignTransaction(send(action, nonce)), expect)
}

fn see(nonce: u64, claims: Vec<SeenClaim>, expect: &str) -> Step {
    step(&Request::See(Sight { claims, ..sight(nonce) }), expect)
}

fn changed(seq: u64, change: fn(&mut ReceiptRequest)) -> ReceiptRequest {
    let mut ask = ask(JOB, seq);
    change(&mut ask);
    ask
}

/// Signed anew, so that only the content is odd.
fn reordered(seq: u64, change: fn(&mut ReceiptRequest)) -> ReceiptRequest {
    let mut ask = changed(seq, change);
    ask.order_signature = sign_order(&secret(0x22), &ask.order);
    ask
}

fn claim_with(change: fn(&mut Action)) -> Action {
    let mut action = claim(JOB, 0, 4);
    change(&mut action);
    action
}

/// The cases so far.
struct Cases(Vec<(&'static str, Case)>);

impl Cases {
    fn add(&mut self, name: &'static str, about: &str, role: &str, steps: Vec<Step>) {
        let (key, max_fee_wei) = (B256::repeat_byte(0x11), 100_000_000_000_000_000);
        let (about, role) = (about.into(), role.into());
        self.0.push((name, Case { about, key, role, max_fee_wei, steps }));
    }
}

fn run(more: Vec<Step>) -> Vec<Step> {
    [enter(), more].concat()
}

fn after(count: u64, more: Vec<Step>) -> Vec<Step> {
    [enter(), receipts(JOB, 0..count), more].concat()
}

fn other_output(seq: u64) -> ReceiptRequest {
    changed(seq, |ask| ask.receipt.out_root = B256::ZERO)
}

fn bond(amount: u128) -> Action {
    Action::Bond { amount, nth: 0 }
}

fn first() -> Step {
    transaction(claim(JOB, 0, 4), 0, "signed")
}

pub(crate) fn cases() -> Vec<(&'static str, Case)> {
    let mut all = Cases(Vec::new());
    signing(&mut all);
    interchange::cases(&mut all);
    all.0
}

fn signing(all: &mut Cases) {
    // Receipts.
    all.add(
        "receipt-again",
        "the same receipt has the same signature, now and after a restart",
        "operator",
        [after(1, receipts(JOB, 0..1)), vec![Step::Restart], run(receipts(JOB, 0..1))].concat(),
    );
    all.add(
        "receipt-other-output",
        "G6: another output for a signed segment",
        "operator",
        after(1, vec![receipt(other_output(0), "G6")]),
    );
    all.add(
        "receipt-other-units",
        "G6: other work for a signed segment",
        "operator",
        after(1, vec![receipt(changed(0, |ask| ask.receipt.units.0 += 1), "G6")]),
    );
    all.add(
        "receipt-other-length",
        "G6: another length for a signed segment",
        "operator",
        after(1, vec![receipt(changed(0, |ask| ask.receipt.out_bytes += 1), "G6")]),
    );
    all.add(
        "receipt-other-order",
        "G6: the client ordered the segment twice, differently",
        "operator",
        after(1, vec![receipt(reordered(0, |ask| ask.order.duration_ms += 1), "G6")]),
    );
    all.add(
        "receipt-after-restart",
        "G6: a restart forgets nothing",
        "operator",
        [after(1, vec![Step::Restart]), run(vec![receipt(other_output(0), "G6")])].concat(),
    );
    all.add(
        "receipt-out-of-order",
        "receipts may come in any order",
        "operator",
        run(vec![receipt(ask(JOB, 5), "signed"), receipt(ask(JOB, 1), "signed"), receipt(other_output(5), "G6")]),
    );
    all.add(
        "receipt-stranger",
        "G2: the order is signed by somebody else",
        "operator",
        run(vec![receipt(
            {
                let mut ask = ask(JOB, 0);
                ask.order_signature = sign_order(&secret(0x33), &ask.order);
                ask
            },
            "G2",
        )]),
    );
    all.add(
        "receipt-malformed-signature",
        "G2: the order is not signed",
        "operator",
        run(vec![receipt(changed(0, |ask| ask.order_signature = Bytes::from_static(&[1; 65])), "G2")]),
    );
    all.add(
        "receipt-other-source",
        "G2: the receipt is for another source than the order",
        "operator",
        run(vec![receipt(changed(0, |ask| ask.receipt.src_root = B256::ZERO), "G2")]),
    );
    all.add(
        "receipt-other-segment",
        "G2: the receipt is for another segment than the order",
        "operator",
        run(vec![receipt(changed(0, |ask| ask.receipt.seq = SegmentNo(1)), "G2")]),
    );
    all.add(
        "receipt-second-client",
        "G2: a job keeps the client of its first receipt",
        "operator",
        after(
            1,
            vec![receipt(
                {
                    let mut ask = ask(JOB, 1);
                    ask.client = Address::from_public_key(secret(0x33).verifying_key());
                    ask.order_signature = sign_order(&secret(0x33), &ask.order);
                    ask
                },
                "G2",
            )],
        ),
    );
    all.add(
        "receipt-absurd-work",
        "more units than a segment can have",
        "operator",
        run(vec![receipt(changed(0, |ask| ask.receipt.units = Units(1 << 40)), "request")]),
    );
    all.add(
        "receipt-by-a-client",
        "a client's key signs no receipts",
        "client",
        run(vec![receipt(ask(JOB, 0), "role")]),
    );
    all.add(
        "before-hello",
        "nothing is signed before the agent has said where it is",
        "operator",
        vec![receipt(ask(JOB, 0), "request")],
    );

    // A client's orders.
    let ordered = |change: fn(&mut headframe_market::Segment), expect: &str| {
        let mut one = order(JOB, 0);
        change(&mut one);
        step(&Request::SignSegment(one), expect)
    };
    all.add(
        "order-again",
        "the same order has the same signature",
        "client",
        run(vec![ordered(|_| (), "signed"), ordered(|_| (), "signed")]),
    );
    all.add(
        "order-other-source",
        "G6: a client orders one content per segment",
        "client",
        run(vec![ordered(|_| (), "signed"), ordered(|one| one.src_root = B256::ZERO, "G6")]),
    );
    all.add("order-by-an-operator", "an operator's key orders nothing", "operator", run(vec![ordered(|_| (), "role")]));

    // Claims.
    all.add(
        "claim",
        "a claim of all receipts, and the next one",
        "operator",
        after(8, vec![first(), transaction(claim(JOB, 4, 4), 1, "signed")]),
    );
    all.add(
        "claim-again",
        "the same claim under the same nonce may be sent again",
        "operator",
        [after(4, vec![first(), first(), Step::Restart]), run(vec![first()])].concat(),
    );
    all.add(
        "claim-overlap",
        "G1: ranges do not overlap",
        "operator",
        after(
            8,
            vec![
                first(),
                transaction(claim(JOB, 3, 2), 1, "G1"),
                transaction(claim(JOB, 0, 8), 1, "G1"),
                transaction(claim(JOB, 1, 2), 1, "G1"),
            ],
        ),
    );
    all.add(
        "claim-other-nonce",
        "G1: a claim stays with its nonce",
        "operator",
        after(4, vec![first(), transaction(claim(JOB, 0, 4), 1, "G1")]),
    );
    all.add(
        "claim-gap",
        "G1: claims follow each other",
        "operator",
        after(8, vec![transaction(claim(JOB, 1, 2), 0, "G1"), first(), transaction(claim(JOB, 5, 2), 1, "G1")]),
    );
    all.add(
        "claim-without-receipt",
        "G2: every claimed segment has its receipt",
        "operator",
        after(
            3,
            vec![
                receipt(ask(JOB, 4), "signed"),
                transaction(claim(JOB, 0, 5), 0, "G2"),
                transaction(claim(JobId(8), 0, 1), 0, "G2"),
            ],
        ),
    );
    all.add(
        "claim-more-units",
        "G2: a claim has the units of its receipts",
        "operator",
        after(
            4,
            vec![transaction(
                claim_with(|action| {
                    if let Action::Claim { units, .. } = action {
                        units.0 += 1
                    }
                }),
                0,
                "G2",
            )],
        ),
    );
    all.add(
        "claim-other-root",
        "G2: a claim has the root of its receipts",
        "operator",
        after(
            4,
            vec![transaction(
                claim_with(|action| {
                    if let Action::Claim { root, .. } = action {
                        *root = B256::ZERO
                    }
                }),
                0,
                "G2",
            )],
        ),
    );
    all.add(
        "claim-empty",
        "a claim covers at least one segment",
        "operator",
        after(
            4,
            vec![transaction(
                claim_with(|action| {
                    if let Action::Claim { count, .. } = action {
                        *count = 0
                    }
                }),
                0,
                "request",
            )],
        ),
    );
    all.add(
        "claim-too-long",
        "a claim covers at most 4096 segments",
        "operator",
        after(
            4,
            vec![transaction(
                claim_with(|action| {
                    if let Action::Claim { count, .. } = action {
                        *count = 4097
                    }
                }),
                0,
                "request",
            )],
        ),
    );
    all.add(
        "claim-unseen-account",
        "G3: no claim before the account was seen",
        "operator",
        [
            vec![step(&Request::Hello(hello(&[])), "admitted")],
            receipts(JOB, 0..4),
            vec![transaction(claim(JOB, 0, 4), 0, "G3")],
        ]
        .concat(),
    );
    let TransactionRequest { gas_limit, max_fee_per_gas, .. } = send(claim(JOB, 0, 4), 0);
    let need = max_fee_per_gas.0 * u128::from(gas_limit + CLAIM_GAS);
    let has = |balance, open_claims, expect| {
        step(&Request::See(Sight { balance: Wei(balance), open_claims, ..sight(0) }), expect)
    };
    all.add(
        "claim-poor",
        "G3: no claim without the means to answer for it and for those that are open",
        "operator",
        after(
            4,
            vec![
                has(need - 1, 0, "seen"),
                transaction(claim(JOB, 0, 4), 0, "G3"),
                has(need, 1, "seen"),
                transaction(claim(JOB, 0, 4), 0, "G3"),
                has(need, 0, "seen"),
                first(),
                has(0, 9, "seen"),
                first(),
            ],
        ),
    );

    // Account nonces.
    all.add(
        "nonce-other-call",
        "G10: a nonce stays with one call",
        "operator",
        [
            run(vec![
                transaction(bond(5), 3, "signed"),
                transaction(bond(6), 3, "G10"),
                transaction(Action::WithdrawStake { nth: 0 }, 3, "G10"),
                Step::Restart,
            ]),
            run(vec![transaction(bond(6), 3, "G10"), transaction(bond(5), 3, "signed")]),
        ]
        .concat(),
    );
    let dearer = TransactionRequest { max_fee_per_gas: Wei(2 * max_fee_per_gas.0), ..send(bond(5), 3) };
    all.add(
        "nonce-higher-fee",
        "a replacement may change the fees",
        "operator",
        run(vec![transaction(bond(5), 3, "signed"), step(&Request::SignTransaction(dearer), "signed")]),
    );
    let top_up = |wei| Action::TopUp { job: JOB, amount: Wei(wei), nth: 0 };
    all.add(
        "nonce-other-value",
        "G10: the coin sent along is part of the call",
        "client",
        run(vec![transaction(top_up(1), 0, "signed"), transaction(top_up(2), 0, "G10")]),
    );
    all.add(
        "nonce-from-before",
        "G10: nonces that were used before the database",
        "operator",
        vec![
            step(&Request::Hello(hello(&[])), "admitted"),
            see(3, vec![], "seen"),
            transaction(bond(1), 2, "G10"),
            transaction(bond(1), 3, "signed"),
        ],
    );
    all.add(
        "fee-cap",
        "no transaction may cost more than the ceiling",
        "operator",
        run(vec![step(
            &Request::SignTransaction(TransactionRequest { gas_limit: u64::MAX, ..send(bond(1), 0) }),
            "fee-cap",
        )]),
    );
    let operator = rig_key().address();
    let reward = |nonce, expect| transaction(Action::Reward { operator, epoch: 5 }, nonce, expect);
    all.add("reward", "the day's new tokens are asked for", "operator", run(vec![reward(0, "signed")]));
    let mut without = hello(&[]);
    without.addresses.rewards = Address::ZERO;
    all.add(
        "reward-without-a-contract",
        "nothing is sent to a contract that the database is not pinned to; it is, as soon as an agent names it",
        "operator",
        vec![
            step(&Request::Hello(without), "admitted"),
            step(&Request::See(sight(0)), "seen"),
            reward(0, "request"),
            step(&Request::Hello(hello(&[])), "admitted"),
            reward(0, "signed"),
        ],
    );
    all.add(
        "owner-unconfigured",
        "nobody is proposed as the owner of stake and fees but whom the signer was started with: here, nobody",
        "operator",
        run(vec![transaction(
            Action::ProposeOwner { operator, owner: Address::repeat_byte(0xc0), nth: 0 },
            0,
            "owner",
        )]),
    );
    all.add(
        "action-of-the-other-role",
        "a key does what its role does",
        "client",
        run(vec![transaction(bond(1), 0, "role")]),
    );

    // Where and when.
    let moved = |change: fn(&mut headframe_guard::Hello)| {
        let mut other = hello(&[]);
        change(&mut other);
        step(&Request::Hello(other), "unsafe G7")
    };
    all.add("other-chain", "G7: a database serves one chain", "operator", run(vec![moved(|hello| hello.chain_id = 1)]));
    all.add(
        "other-genesis",
        "G7: also when the chain was made anew",
        "operator",
        run(vec![moved(|hello| hello.genesis = B256::ZERO)]),
    );
    all.add(
        "other-contract",
        "G7: a database serves one deployment",
        "operator",
        run(vec![moved(|hello| hello.addresses.market = Address::ZERO)]),
    );
    all.add(
        "nothing-after-unsafe",
        "once it is unsafe nothing is signed",
        "operator",
        run(vec![moved(|hello| hello.chain_id = 1), receipt(ask(JOB, 0), "unsafe G7")]),
    );
    all.add(
        "foreign-nonce",
        "G8: a transaction that was not signed here",
        "operator",
        run(vec![transaction(bond(1), 0, "signed"), see(1, vec![], "seen"), see(2, vec![], "unsafe G8")]),
    );
    let Action::Claim { root, .. } = claim(JOB, 0, 4) else { unreachable!() };
    let seen = |root| SeenClaim { job: JOB, first: SegmentNo(0), count: 4, root };
    all.add(
        "own-claim",
        "G8: a claim that was signed here",
        "operator",
        after(4, vec![first(), see(1, vec![seen(root)], "seen")]),
    );
    all.add(
        "foreign-claim",
        "G8: a claim that was not signed here",
        "operator",
        after(4, vec![first(), see(1, vec![seen(B256::ZERO)], "unsafe G8")]),
    );
    all.add(
        "moved",
        "G8: a database that was moved elsewhere",
        "operator",
        after(1, vec![Step::Retire, Step::Restart, step(&Request::Hello(hello(&[])), "unsafe G8")]),
    );
    all.add(
        "lost-database",
        "G9: the key has a job on chain, and there is no database",
        "operator",
        vec![step(&Request::Hello(hello(&[(JOB, 0)])), "unsafe G9")],
    );
    all.add(
        "old-database",
        "G9: the chain shows more claimed segments than the database",
        "operator",
        after(4, vec![first(), Step::Restart, step(&Request::Hello(hello(&[(JOB, 5)])), "unsafe G9")]),
    );
}
