//! The steps of claims and of their judges.

use crate::choose::Step;
use crate::headers::random_hash;
use crate::history::{History, Work};
use alloy::primitives::B256;
use headframe_market::action::{Opening, Secret};
use headframe_market::machine::{ClaimState, JobState, draws};
use headframe_market::merkle::SumTree;
use headframe_market::receipt::Segment;
use headframe_market::rules::{Call, Claim, Cut, Fault, Job};
use headframe_market::{ClaimId, JobId, Receipt, SegmentNo, Units, packed};

impl History<'_> {
    pub(crate) fn for_work(&mut self, id: JobId, job: &Job) -> Step {
        let open: Vec<ClaimId> = self
            .site
            .model
            .claims
            .iter()
            .filter(|(claim, of)| claim.job() == id && !of.state.is_over())
            .map(|(claim, _)| *claim)
            .collect();
        let signer = self.site.model.stake.signer_of(job.operator);
        let draining = job.state == JobState::Draining;
        let claims = if open.is_empty() { 0 } else { 24 };
        match self.dice.weighted(&[(0, claims), (1, if draining { 2 } else { 8 }), (2, 1), (3, 1), (4, 1)]) {
            0 => {
                let id = *self.dice.of(&open);
                let claim = self.site.model.claims[&id].clone();
                self.for_claim(id, &claim)
            }
            1 => (signer, self.claim(id, job)),
            2 if draining => {
                self.after_clock(job.until);
                (job.client, Call::Reclaim { job: id })
            }
            2 if self.dice.one_in(3) => {
                self.after_clock(job.deadline);
                (self.anyone(), Call::CloseJob { job: id })
            }
            2 => (job.client, Call::CloseJob { job: id }),
            3 => (signer, Call::ReleaseJob { job: id }),
            _ => (self.anyone(), Call::RouteFees { operator: job.operator }),
        }
    }

    pub(crate) fn claim(&mut self, id: JobId, job: &Job) -> Call {
        let count = if self.dice.one_in(40) { self.dice.between(255, 260) } else { self.dice.between(1, 6) } as u32;
        let first = job.next_seq;
        let most = if count > 6 { 60 } else { 5_000 };
        let receipts: Vec<Receipt> = (0..u64::from(count))
            .map(|n| Receipt {
                job: id,
                seq: SegmentNo(first.0 + n),
                src_root: random_hash(&mut self.dice),
                out_root: B256::repeat_byte(2),
                units: Units(self.dice.between(if n == 0 { 1 } else { 0 }, most)),
                out_bytes: 1000 + n,
            })
            .collect();
        let tree = SumTree::new(&receipts.iter().map(Receipt::leaf).collect::<Vec<_>>()).unwrap();
        let root = tree.root();
        self.made = Some(Work { receipts, tree, said: None });
        Call::Claim { job: id, first: first.0, count, root: root.hash, units: root.sum }
    }

    pub(crate) fn for_claim(&mut self, id: ClaimId, claim: &Claim) -> Step {
        let late = match claim.state {
            ClaimState::Submitted | ClaimState::Sealed => claim.answer_until(),
            _ => claim.reveal_until(),
        };
        if claim.state != ClaimState::Revealed && self.dice.one_in(12) {
            self.after(late);
            return (self.anyone(), Call::SlashMissed { claim: id });
        }
        let judges = [self.site.model.roles.challenges, self.site.model.roles.game];
        if self.dice.one_in(14) {
            return (*self.dice.of(&judges), self.punish(id));
        }
        let signer = self.site.model.stake.signer_of(claim.operator);
        match claim.state {
            ClaimState::Submitted => {
                self.after_block(claim.seed_block.0);
                let tip = self.site.model.jobs[&id.job()].seed_tip;
                let link = self.links.get(&tip).copied().unwrap_or_default();
                let preimage = if tip.is_zero() || (link.is_zero() || self.dice.one_in(5)) { B256::ZERO } else { link };
                if preimage.is_zero() && !tip.is_zero() {
                    self.after(claim.preimage_until());
                }
                let header = self.headers.get(&claim.seed_block).cloned().unwrap_or_default();
                (self.anyone(), Call::Seal { claim: id, header, preimage })
            }
            ClaimState::Sealed => (signer, self.answer(id, claim)),
            ClaimState::Answered => {
                self.after(claim.attest_until());
                (signer, self.reveal(id))
            }
            _ => match self.dice.below(8) {
                0 | 1 => (*self.dice.of(&judges), Call::Hold { claim: id }),
                2 | 3 => {
                    let holder = claim.holds.iter().position(|&holds| holds > 0).unwrap_or(self.dice.below(2));
                    (judges[holder], Call::LetGo { claim: id })
                }
                _ => {
                    if self.dice.one_in(2) {
                        let revealed = self.dice.between(0, 4);
                        self.attest(id, revealed);
                    }
                    self.after(claim.contest_until());
                    (self.anyone(), Call::Settle { claim: id })
                }
            },
        }
    }

    pub(crate) fn punish(&mut self, claim: ClaimId) -> Call {
        let fault = *self.dice.of(&[Fault::Proof, Fault::Verdict, Fault::Withheld]);
        Call::Punish { claim, fault, cuts: self.cuts() }
    }

    pub(crate) fn cuts(&mut self) -> Vec<Cut> {
        let share = self.dice.weighted(&[(5000, 5), (2500, 3), (5001, 1), (0, 1)]);
        let mut cuts = vec![Cut { to: self.anyone(), share }];
        if share == 2500 {
            cuts.push(Cut { to: self.anyone(), share: 2400 });
        }
        cuts
    }

    pub(crate) fn answer(&mut self, id: ClaimId, claim: &Claim) -> Call {
        let offsets = draws(claim.seed, claim.drawn.into(), Units(claim.units));
        let client = self.site.model.jobs[&id.job()].client;
        let mut openings = Vec::new();
        for offset in offsets {
            let Some(work) = self.works.get(&id) else { continue };
            let index = work.tree.index_at(offset).unwrap_or(0);
            let (receipt, path) = (work.receipts[index].clone(), work.tree.path(index).unwrap_or_default());
            let order = Segment {
                job: receipt.job,
                seq: receipt.seq,
                src_root: receipt.src_root,
                src_bytes: 777_777,
                duration_ms: 2000,
            };
            let client_signature = self.sign(client, order.signing_hash(&self.site.model.domain));
            openings.push(Opening { receipt, src_bytes: 777_777, duration_ms: 2000, client_signature, path });
        }
        let secrets: Vec<Secret> = openings
            .iter()
            .map(|_| Secret { digest: random_hash(&mut self.dice), salt: random_hash(&mut self.dice) })
            .collect();
        let said = secrets.iter().enumerate().map(|(slot, secret)| secret.commitment(id, slot, claim.operator));
        let commitments = said.collect();
        if let Some(work) = self.works.get_mut(&id) {
            work.said = Some((openings.iter().map(Opening::hash).collect(), secrets));
        }
        Call::Answer { claim: id, openings: packed::pack(id, &openings), commitments }
    }

    pub(crate) fn reveal(&mut self, id: ClaimId) -> Call {
        let operator = self.site.model.claims[&id].operator;
        let said = self.works.get(&id).and_then(|work| work.said.clone());
        let (openings, secrets) = said.unwrap_or_default();
        let commitments = secrets.iter().enumerate().map(|(slot, secret)| secret.commitment(id, slot, operator));
        Call::Reveal {
            claim: id,
            openings,
            commitments: commitments.collect(),
            digests: secrets.iter().map(|secret| secret.digest).collect(),
            salts: secrets.iter().map(|secret| secret.salt).collect(),
        }
    }
}
