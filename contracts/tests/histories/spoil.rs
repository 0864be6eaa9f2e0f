//! Arguments that are not what they should be.

use crate::history::History;
use alloy::primitives::{B256, U256};
use headframe_market::action::Opening;
use headframe_market::merkle::Node;
use headframe_market::rules::{Call, Cut};
use headframe_market::{ClaimId, Price, Timestamp, packed};

impl History<'_> {
    /// One argument is not what it should be.
    pub(crate) fn spoil(&mut self, call: &mut Call) {
        let n = self.dice.below(8);
        match call {
            Call::OpenJob { order, .. } | Call::OpenJobFor { order, .. } | Call::OpenWithBid { order, .. } => match n {
                0 => order.samples = *self.dice.of(&[0, 9]),
                1 => order.max_price = Price::new(1 << 72).unwrap(),
                2 => order.deadline = Timestamp(self.site.model.clock(&self.now())),
                3 => order.profile = B256::repeat_byte(9),
                4 => order.deadline = Timestamp(order.deadline.0.min(self.site.model.clock(&self.now()) + 20)),
                _ => order.salt += 1 << 40,
            },
            Call::AcceptBid { bid, .. } => match n {
                0 => bid.price = Price::new(bid.price.wei() + 5_000).unwrap(),
                1 => bid.expiry = Timestamp(self.site.time - 1),
                2 => bid.nonce = U256::from(1),
                3 => bid.order = B256::repeat_byte(3),
                _ => bid.operator = *self.dice.of(&[self.site.stranger, self.site.operators[1].address()]),
            },
            Call::CommitBid { value, .. } | Call::TopUp { value, .. } => *value = u128::from(n > 3),
            Call::RevealBid { price, .. } => *price += 1,
            Call::SetTerms { price, .. } => *price = 1 << 72,
            Call::Elect { header, .. } | Call::Seal { header, .. } if n < 4 => {
                *header = [&header[..], &[0]].concat().into();
            }
            Call::Seal { preimage, .. } => *preimage = if n < 6 { B256::ZERO } else { B256::repeat_byte(5) },
            Call::ExtendJob { job, deadline } => {
                let old = self.site.model.jobs.get(job).map_or(0, |job| job.deadline);
                *deadline = Timestamp(old);
            }
            Call::Claim { first, count, root, units, .. } => match n {
                0 => *first += 1,
                1 => *count = *self.dice.of(&[0, 4097]),
                2 => *units = 0,
                3 => *units = u64::MAX,
                4 => *first = 1 << 32,
                5 => *count += 3,
                6 => *units += 1,
                _ => *root = B256::repeat_byte(4),
            },
            Call::Answer { claim, openings, commitments } => {
                let Some(mut all) = packed::unpack(*claim, openings, commitments.len()) else { return };
                self.spoil_answer(&mut all, commitments, n);
                *openings = packed::pack(*claim, &all);
            }
            Call::Reveal { openings, commitments, digests, salts, .. } => {
                let list = [digests, salts, openings, commitments].into_iter().nth(n % 4);
                if let Some(list) = list
                    && list.pop().is_some()
                    && n < 6
                {
                    list.push(B256::repeat_byte(8));
                }
            }
            Call::Punish { cuts, .. } => {
                *cuts = if n < 2 {
                    vec![]
                } else {
                    vec![cuts.first().copied().unwrap_or(Cut { to: self.site.stranger, share: 1 }); 3]
                }
            }
            _ => {}
        }
    }

    pub(crate) fn spoil_answer(&mut self, openings: &mut Vec<Opening>, commitments: &mut Vec<B256>, n: usize) {
        let Some(opening) = openings.first_mut() else { return };
        match n {
            0 => opening.receipt.seq.0 += 4096,
            1 => opening.path.push(Node::default()),
            2 => opening.receipt.units.0 += 1,
            3 => opening.duration_ms += 1,
            4 => {
                commitments.pop();
            }
            5 => {
                let extra = opening.clone();
                openings.push(extra);
            }
            6 => {
                if let Some(node) = opening.path.first_mut() {
                    node.sum = u64::MAX;
                }
            }
            _ => {
                // Another segment of the claim than the drawn one.
                let id = ClaimId::of(opening.receipt.job, opening.receipt.seq);
                let work = self
                    .works
                    .values()
                    .find(|work| work.receipts.iter().any(|receipt| ClaimId::of(receipt.job, receipt.seq) == id));
                let Some(work) = work else { return };
                let index = self.dice.below(work.receipts.len());
                opening.receipt = work.receipts[index].clone();
                opening.path = work.tree.path(index).unwrap_or_default();
            }
        }
    }
}
