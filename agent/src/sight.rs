//! Shows the signer what the chain has of its key, at the start and on every block (rules G3 and G8): whoever else uses the
//! key is found at once, and claims are signed only while the account can pay for their answers.

use crate::chain_view::{ChainView, ViewError};
use crate::signer::{SignerError, SignerHandle};
use crate::wiring::Unsafe;
use headframe_chain::Head;
use headframe_guard::Sight;
use headframe_guard::protocol::SeenClaim;
use headframe_market::machine::ClaimView;
use headframe_market::{Address, BlockNo, ClaimId, Role};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// Blocks that are searched again, to find what a reorganisation moved to a block looked at before.
const OVERLAP: u64 = 64;
/// Without a new block the chain is looked at this often.
const LOOK_ANYWAY: Duration = Duration::from_secs(15);

/// What was seen so far. Rebuilt from the chain at every start.
pub(crate) struct Lookout {
    chain: ChainView,
    signer: SignerHandle,
    me: Address,
    role: Role,
    seen_to: BlockNo,
    /// Claims that a quorum has shown.
    known: BTreeMap<ClaimId, SeenClaim>,
    open: BTreeSet<ClaimId>,
}

impl Lookout {
    pub(crate) fn new(chain: ChainView, signer: SignerHandle, role: Role) -> Self {
        let (me, seen_to) = (signer.address(), chain.since);
        Self { chain, signer, me, role, seen_to, known: BTreeMap::new(), open: BTreeSet::new() }
    }

    /// Looks once. The inner error is the signer's: when it is [`SignerError::Unsafe`] the process must end.
    ///
    /// Only what a quorum shows is told: one provider that invents a claim or a transaction must not end the process. Below a
    /// quorum nothing is told, so no new claim is signed, and proofs need no sight.
    pub(crate) async fn look(&mut self, head: BlockNo) -> Result<Result<(), SignerError>, ViewError> {
        // The nonce first: a transaction of ours that is mined meanwhile is no stranger, since it was recorded before.
        let nonces = self.chain.rpc().nonces(self.me).await?;
        if !nonces.quorum {
            return Ok(Ok(()));
        }
        let nonce = nonces.value.mined;
        let balance = self.chain.balance(self.me).await?;
        let (mut claims, mut sure) = (Vec::new(), true);
        if self.role == Role::Operator {
            let from = BlockNo(self.seen_to.0.saturating_sub(OVERLAP).max(self.chain.since.0));
            for (id, seen) in self.chain.claims_made(self.me, from, head).await? {
                if self.known.get(&id) != Some(&seen) {
                    let said = self.chain.claim_said(id).await?;
                    let is_it = |claim: &ClaimView| claim.is_of(seen.root) && claim.count == seen.count;
                    sure &= said.quorum;
                    if !said.quorum || !said.value.first().is_some_and(is_it) {
                        tracing::warn!(claim = %id, "an event tells of a claim that a quorum does not show");
                        continue;
                    }
                    self.known.insert(id, seen);
                    self.open.insert(id);
                }
                claims.push(seen);
            }
            for id in self.open.clone() {
                let said = self.chain.claim_said(id).await?;
                if said.quorum && said.value.first().is_some_and(|claim| claim.state.is_over()) {
                    self.open.remove(&id);
                }
            }
        }
        let open_claims = u32::try_from(self.open.len()).unwrap_or(u32::MAX);
        let told = self.signer.see(Sight { nonce, balance, open_claims, claims }).await;
        if told.is_ok() && sure {
            self.seen_to = head;
        }
        Ok(told)
    }

    /// Looks at every block until stopped. May be dropped at any await.
    pub(crate) async fn run(
        mut self,
        mut heads: watch::Receiver<Head>,
        stop: CancellationToken,
        fatal: mpsc::Sender<anyhow::Error>,
    ) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_ANYWAY) => {}
                changed = heads.changed() => if changed.is_err() { return },
            }
            let head = heads.borrow_and_update().number;
            match self.look(head).await {
                Ok(Ok(())) => {}
                Ok(Err(SignerError::Unsafe(reason))) => {
                    let _ = fatal.send(Unsafe(reason).into()).await; // nobody listens any more only when we stop anyway
                    return;
                }
                Ok(Err(error)) => tracing::warn!(%error, "the signer cannot be told what the chain shows"),
                Err(error) => tracing::warn!(%error, "the chain cannot be read for the signer"),
            }
        }
    }
}
