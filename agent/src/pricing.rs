//! What the pricing rule is applied to: the work that a ladder amounts to, and what gas costs now.

use headframe_chain::outbox::FeePolicy;
use headframe_chain::{Rpc, RpcError};
use headframe_codec::ladder::{Fps, Ladder};
use headframe_market::machine::{drawn, operator::ClaimRules};
use headframe_market::pricing::ClaimWork;
use headframe_market::{Units, Wei};

/// An order does not say how many pictures a second its source has, where the ladder keeps the source's rate.
pub(crate) const USUAL_FPS: Fps = Fps { num: 30, den: 1 };
/// Nor how long segments are: gateways cut after this many seconds.
const SEGMENT_SECONDS: u64 = 2;

/// The units of an hour of `ladder`, at `source` pictures a second where it keeps the source's rate.
pub(crate) fn units_per_hour(ladder: &Ladder, source: Fps) -> Units {
    Units(units_per_segment(ladder, source).0.saturating_mul(3600 / SEGMENT_SECONDS))
}

/// A claim of such a job as [`ClaimRules::batch`] has it, where up to `samples` segments are drawn of it.
pub(crate) fn claim_work(ladder: &Ladder, source: Fps, rules: &ClaimRules, samples: u8) -> ClaimWork {
    let units = units_per_segment(ladder, source).0.saturating_mul(u64::from(rules.batch));
    ClaimWork { units: Units(units), drawn: drawn(samples, rules.batch) }
}

fn units_per_segment(ladder: &Ladder, source: Fps) -> Units {
    let rung = |fps: Fps| {
        let frames = SEGMENT_SECONDS * u64::from(fps.num) / u64::from(fps.den.max(1));
        u32::try_from(frames).unwrap_or(u32::MAX)
    };
    let sizes = ladder.renditions().iter().map(|it| (rung(it.fps.unwrap_or(source)), it.width, it.height));
    Units::of_segment(sizes).unwrap_or(Units(u64::MAX))
}

/// What gas costs in a block with this base fee, with the tip that the outbox would offer.
pub(crate) async fn gas_price(rpc: &Rpc, base_fee: u128) -> Result<Wei, RpcError> {
    let tip = FeePolicy::default().tip(rpc.suggested_tip().await?);
    Ok(Wei(base_fee.saturating_add(tip)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_a_full_batch_of_two_second_segments() {
        let rules = ClaimRules { batch: 150, max_wait_blocks: 600 };
        // 1,664,160 luma samples in a picture of each rung, 60 pictures: 99,849.6 units, rounded down.
        let ladder = Ladder::standard();
        assert_eq!(units_per_hour(&ladder, USUAL_FPS), Units(99_849 * 1800));
        assert_eq!(claim_work(&ladder, USUAL_FPS, &rules, 8), ClaimWork { units: Units(99_849 * 150), drawn: 2 });
        let long = ClaimRules { batch: 300, ..rules };
        assert_eq!(claim_work(&ladder, USUAL_FPS, &long, 8).drawn, 8);
    }

    #[test]
    fn a_ladder_with_a_rate_of_its_own_does_not_ask_for_the_source() {
        let mut rungs = Ladder::standard().renditions().to_vec();
        rungs.truncate(1);
        rungs[0].fps = Some(Fps { num: 30_000, den: 1001 });
        let ladder = Ladder::new(rungs).unwrap();
        assert_eq!(units_per_hour(&ladder, Fps { num: 60, den: 1 }), Units(426 * 240 * 59 / 1000 * 1800));
    }
}
