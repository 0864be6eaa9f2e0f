//! Whatever is asked in whatever order: what got a signature never contradicts itself.

use crate::support::*;
use headframe_guard::rules::NotSafe;
use headframe_market::{Action, B256, JobId, Role, SegmentNo};
use proptest::prelude::*;
use std::collections::HashMap;

#[derive(Clone, Debug)]
enum Step {
    Receipt { job: u64, seq: u64, variant: u8 },
    Claim { job: u64, first: u64, count: u32, nonce: u64 },
    Bond { wei: u128, nonce: u64 },
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (1..3u64, 0..10u64, 0..8u8).prop_map(|(job, seq, variant)| Step::Receipt { job, seq, variant }),
        8 => (1..3u64, 0..10u64, 1..5u32, 0..8u64)
            .prop_map(|(job, first, count, nonce)| Step::Claim { job, first, count, nonce }),
        2 => (1..3u128, 0..8u64).prop_map(|(wei, nonce)| Step::Bond { wei, nonce }),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn signed_statements_never_contradict_each_other(steps in prop::collection::vec(step(), 20..80)) {
        let mut rig = Rig::new(Role::Operator);
        let mut contents = HashMap::new();
        let mut calls = HashMap::new();
        let mut owners: HashMap<(u64, u64), (u64, u64)> = HashMap::new();
        for step in steps {
            match step {
                Step::Receipt { job, seq, variant } => {
                    let mut ask = ask(JobId(job), seq);
                    // Mostly the content that claims name, sometimes another.
                    if variant == 0 {
                        ask.receipt.out_root = B256::ZERO;
                    }
                    let hash = ask.receipt.signing_hash(&domain());
                    match rig.receipt(ask) {
                        Ok(_) => prop_assert_eq!(*contents.entry((job, seq)).or_insert(hash), hash),
                        Err(_) => prop_assert!(contents.contains_key(&(job, seq)), "refused the first content"),
                    }
                }
                Step::Claim { job, first, count, nonce } => {
                    let action = claim(JobId(job), first, count);
                    let input = action.call(&addresses()).input;
                    let honest = |seq| contents.get(&(job, seq)) == Some(&ask(JobId(job), seq).receipt.signing_hash(&domain()));
                    if rig.transaction(action, nonce).is_ok() {
                        prop_assert_eq!(calls.entry(nonce).or_insert_with(|| input.clone()), &input);
                        for seq in first..first + u64::from(count) {
                            prop_assert!(honest(seq), "claimed segment {} without its receipt", seq);
                            prop_assert_eq!(*owners.entry((job, seq)).or_insert((first, nonce)), (first, nonce));
                        }
                        prop_assert!(first == 0 || owners.contains_key(&(job, first - 1)), "a gap before {}", first);
                    }
                }
                Step::Bond { wei, nonce } => {
                    let action = Action::Bond { amount: wei, nth: 0 };
                    let input = action.call(&addresses()).input;
                    match rig.transaction(action, nonce) {
                        Ok(_) => prop_assert_eq!(calls.entry(nonce).or_insert_with(|| input.clone()), &input),
                        Err(error) => {
                            let refused = matches!(error, NotSafe::Refused { .. });
                            prop_assert!(refused && calls.contains_key(&nonce));
                        }
                    }
                }
                Step::Reopen => rig = rig.reopened(),
            }
        }
        let kept = |job| rig.store.receipts(JobId(job), SegmentNo(0), 100).unwrap().len();
        prop_assert_eq!(kept(1) + kept(2), contents.len());
    }
}
