//! Whether openings are the segments that were drawn, as they were claimed and ordered.

use super::{Claim, Refusal, ensure, orders};
use crate::action::Opening;
use crate::machine::draws;
use crate::merkle;
use crate::receipt::Segment;
use crate::typed_data::Domain;
use crate::units::{ClaimId, Units};
use alloy_primitives::Address;

pub(super) fn check(
    domain: &Domain,
    client: Address,
    id: ClaimId,
    claim: &Claim,
    openings: &[Opening],
) -> Result<(), Refusal> {
    let levels = claim.count.next_power_of_two().trailing_zeros() as usize;
    let drawn = draws(claim.seed, claim.drawn.into(), Units(claim.units));
    for (opening, offset) in openings.iter().zip(drawn) {
        let receipt = &opening.receipt;
        let index = receipt.seq.0.checked_sub(id.first().0).filter(|&index| index < claim.count.into());
        let index = index.filter(|_| receipt.job == id.job()).ok_or(Refusal::OpeningOutsideClaim)?;
        ensure(opening.path.len() == levels, Refusal::WrongPathLength)?;
        let (root, before) = merkle::open(&receipt.leaf(), index, &opening.path).ok_or(Refusal::SumTooLarge)?;
        ensure(root.hash == claim.root && root.sum == claim.units, Refusal::NotInClaim)?;
        let covered = offset >= before && offset - before < receipt.units.0;
        ensure(covered, Refusal::DrawNotCovered)?;
        let order = Segment {
            job: receipt.job,
            seq: receipt.seq,
            src_root: receipt.src_root,
            src_bytes: opening.src_bytes,
            duration_ms: opening.duration_ms,
        };
        let signer = orders::signer(order.signing_hash(domain), &opening.client_signature);
        ensure(signer == Some(client), Refusal::WrongClientSignature)?;
    }
    Ok(())
}
