//! Whether openings are the segments that were drawn, as they were claimed and ordered.

use super::{Claim, Refusal, ensure, orders};
use crate::action::Opening;
use crate::machine::draws;
use crate::merkle;
use crate::packed::unpack;
use crate::receipt::Segment;
use crate::typed_data::Domain;
use crate::units::{ClaimId, Units};
use alloy_primitives::Address;

/// What the packed openings of a claim say, if `operator` may say it.
pub(super) fn check(
    domain: &Domain,
    operator: Option<Address>,
    id: ClaimId,
    claim: &Claim,
    packed: &[u8],
) -> Result<Vec<Opening>, Refusal> {
    let levels = claim.count.next_power_of_two().trailing_zeros() as usize;
    let openings = unpack(id, packed, claim.drawn.into()).ok_or(Refusal::WrongLength)?;
    ensure(openings.iter().all(|opening| opening.path.len() == levels), Refusal::WrongLength)?;
    let drawn = draws(claim.seed, claim.drawn.into(), Units(claim.units));
    for (opening, offset) in openings.iter().zip(drawn) {
        let receipt = &opening.receipt;
        let index = receipt.seq.0 - id.first().0;
        ensure(index < claim.count.into(), Refusal::OpeningOutsideClaim)?;
        let (root, before) = merkle::open(&receipt.leaf(), index, &opening.path).ok_or(Refusal::SumTooLarge)?;
        ensure(root.sum == claim.units, Refusal::NotInClaim)?;
        let covered = offset >= before && offset - before < receipt.units.0;
        ensure(covered, Refusal::DrawNotCovered)?;
        let order = Segment {
            job: receipt.job,
            seq: receipt.seq,
            src_root: receipt.src_root,
            src_bytes: opening.src_bytes,
            duration_ms: opening.duration_ms,
        };
        // One comparison tells that the leaf is in the tree, the order the client's and the opening the operator's.
        let client =
            orders::signer(order.signing_hash(domain), &opening.client_signature).ok_or(Refusal::NotInClaim)?;
        let operator = operator.ok_or(Refusal::NotInClaim)?;
        ensure(merkle::bound(root.hash, client, operator) == claim.root, Refusal::NotInClaim)?;
    }
    Ok(openings)
}
