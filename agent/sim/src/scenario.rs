//! What a seed stands for: the market's windows, the jobs, and what goes wrong how often.

use crate::dice::Dice;
use headframe_market::rules::{ClaimParams, MarketParams};
use serde::Serialize;

/// 1e18.
pub(crate) const TOKEN: u128 = 1_000_000_000_000_000_000;
/// Wei in a gwei.
pub(crate) const GWEI: u128 = 1_000_000_000;
/// Seconds between two blocks.
pub(crate) const SLOT: u64 = 12;
/// How deep a reorganisation may be: what is deeper is final.
pub(crate) const FINAL_DEPTH: u64 = 64;

/// One protection taken away, to see that the checks notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Broken {
    /// What the guard refuses is signed all the same.
    Guard,
    /// The outbox forgets everything in a crash.
    Outbox,
    /// Deadlines are not told, and proofs bid no more than what can wait.
    Urgency,
}

/// Troubles of one kind, as frequent as they come in any run, and no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Focus {
    /// Reorganisations of 1 to 64 blocks.
    Reorgs,
    /// Providers that fail, all but one at once, and those that lie.
    Rpc,
    /// Gas a hundredfold, blocks that take nothing of ours, a pool that forgets.
    Gas,
    /// A crash at any write, and kills between them.
    Crashes,
    /// The shortest windows, late work, a chain that stands still, and a rig that is down for long.
    Deadlines,
}

/// How much of a rig's life one run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Length {
    /// One job or two of some segments: many different lives in little time.
    #[default]
    Short,
    /// Up to three jobs of up to forty segments.
    Long,
}

/// A job that a client will order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JobPlan {
    /// Seconds after the start.
    pub(crate) at: u64,
    pub(crate) segments: u64,
    pub(crate) every_ms: u64,
    /// The client's place in the list.
    pub(crate) client: usize,
    /// Orders another source for a number that has its receipt, now and then.
    pub(crate) rude: bool,
}

/// What a provider may lie about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Lie {
    /// The chain as it was some blocks ago.
    StaleHead,
    /// Blocks that are not there.
    InventedHead,
    /// No receipts.
    HiddenReceipts,
    /// Receipts of what only waits.
    FakeReceipts,
    /// No events.
    HiddenEvents,
    /// A claim that nobody made.
    InventedClaim,
    /// Claims further along than they are.
    WrongViews,
    /// Too much gas, or a revert.
    WrongEstimates,
    /// One transaction more.
    WrongNonces,
    /// Another header than the block's.
    WrongHeaders,
    /// Takes transactions and passes none on.
    Swallows,
    /// Another balance, another tip.
    WrongMoney,
}

impl Lie {
    pub(crate) const ALL: [Self; 12] = [
        Self::StaleHead,
        Self::InventedHead,
        Self::HiddenReceipts,
        Self::FakeReceipts,
        Self::HiddenEvents,
        Self::InventedClaim,
        Self::WrongViews,
        Self::WrongEstimates,
        Self::WrongNonces,
        Self::WrongHeaders,
        Self::Swallows,
        Self::WrongMoney,
    ];
}

/// Everything that a seed decides before the run.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) broken: Option<Broken>,
    pub(crate) providers: usize,
    /// Between two looks at the head; the outbox takes two thirds of it.
    pub(crate) poll_ms: u64,
    pub(crate) market: MarketParams,
    pub(crate) claims: ClaimParams,
    pub(crate) samples: u8,
    pub(crate) batch: u32,
    pub(crate) max_wait_blocks: u64,
    pub(crate) jobs: Vec<JobPlan>,
    /// Mean number of write points between two crashes; 0: none.
    pub(crate) crash_every: u64,
    /// In a thousand blocks: a kill at any moment.
    pub(crate) kills: u64,
    /// Seconds that the rig stays down, at most.
    pub(crate) down: u64,
    /// In a thousand blocks.
    pub(crate) reorgs: u64,
    pub(crate) reorg_depth: u64,
    /// In a thousand blocks, for each provider.
    pub(crate) flaps: u64,
    /// In a thousand blocks: all providers but one go.
    pub(crate) blackouts: u64,
    /// In a thousand blocks; one provider at a time.
    pub(crate) lies: u64,
    pub(crate) base_fee: u128,
    /// In a thousand blocks: gas a hundredfold for a while.
    pub(crate) spikes: u64,
    /// In a thousand: a block takes nothing of ours.
    pub(crate) unwilling: u64,
    /// In a thousand blocks: the pool forgets.
    pub(crate) drops: u64,
    /// In a thousand blocks: none for a while, or many at once.
    pub(crate) halts: u64,
    /// In a thousand segments: work that fails, comes late, comes out otherwise.
    pub(crate) failing: u64,
    pub(crate) late: u64,
    pub(crate) otherwise: u64,
    /// In a thousand deliveries: the client asks for an old one again.
    pub(crate) repeats: u64,
}

impl Scenario {
    pub(crate) fn draw(dice: &mut Dice, length: Length, broken: Option<Broken>) -> Self {
        let often = |dice: &mut Dice, most: u64| if dice.permille(400) { 0 } else { dice.range(1, most) };
        let windows = |start, drain| MarketParams {
            start_window: start,
            drain_window: drain,
            commit_window: 30,
            reveal_window: 30,
            election_delay: 3,
            start_lock: 10 * TOKEN,
            deposit: TOKEN / 100,
        };
        let answer_window = u32::try_from(dice.pick(&[600, 900, 1800])).unwrap_or(600);
        let claims = ClaimParams {
            seed_delay: u16::try_from(dice.pick(&[1, 3, 16])).unwrap_or(1),
            preimage_window: answer_window / 2,
            answer_window,
            attest_window: u32::try_from(dice.range(60, 240)).unwrap_or(60),
            reveal_window: u32::try_from(dice.pick(&[600, 900])).unwrap_or(600),
            contest_window: u32::try_from(dice.range(60, 240)).unwrap_or(60),
            min_lock: 10 * TOKEN,
            verifier_lock: TOKEN / 2,
            lock_num: 3,
            lock_den: 2,
            verifier_share: 200,
        };
        let jobs = (0..dice.range(1, 3)).map(|n| JobPlan {
            at: n * dice.range(0, 300),
            segments: dice.range(4, 40),
            every_ms: dice.pick(&[2_000, 4_000, 10_000]),
            client: usize::try_from(dice.below(2)).unwrap_or(0),
            rude: dice.permille(300),
        });
        let jobs = jobs.collect();
        let long = Self {
            broken,
            providers: dice.pick(&[3, 3, 3, 3, 1, 5]),
            poll_ms: 3_000,
            market: windows(300, 900),
            claims,
            samples: u8::try_from(dice.range(1, 8)).unwrap_or(1),
            batch: u32::try_from(dice.range(2, 20)).unwrap_or(2),
            max_wait_blocks: dice.range(2, 20),
            jobs,
            crash_every: if dice.permille(350) { 0 } else { dice.pick(&[60, 200, 600, 2_000]) },
            kills: often(dice, 20),
            down: dice.pick(&[20, 60, 240]),
            reorgs: often(dice, 40),
            reorg_depth: dice.pick(&[1, 3, 8, 24, FINAL_DEPTH, FINAL_DEPTH]),
            flaps: often(dice, 40),
            blackouts: often(dice, 10),
            lies: often(dice, 40),
            base_fee: u128::from(dice.range(1, 20)) * GWEI / 4,
            spikes: often(dice, 15),
            unwilling: often(dice, 500),
            drops: often(dice, 50),
            halts: often(dice, 15),
            failing: often(dice, 100),
            late: often(dice, 100),
            otherwise: dice.pick(&[0, 200, 1000]),
            repeats: often(dice, 60),
        };
        if length == Length::Long { long } else { long.shortened() }
    }

    /// The same work with troubles of one kind alone.
    pub(crate) fn with_only(self, focus: Focus) -> Self {
        let calm = Self {
            crash_every: 0,
            kills: 0,
            reorgs: 0,
            flaps: 0,
            blackouts: 0,
            lies: 0,
            spikes: 0,
            unwilling: 0,
            drops: 0,
            halts: 0,
            failing: 0,
            late: 0,
            otherwise: 0,
            repeats: 0,
            ..self
        };
        match focus {
            Focus::Reorgs => Self { reorgs: 40, reorg_depth: FINAL_DEPTH, ..calm },
            Focus::Rpc => Self { flaps: 40, blackouts: 10, lies: 40, ..calm },
            Focus::Gas => Self { spikes: 15, unwilling: 500, drops: 50, ..calm },
            Focus::Crashes => Self { crash_every: 60, kills: 20, repeats: 60, ..calm },
            Focus::Deadlines => {
                let (answer_window, reveal_window) = (600, 600);
                let claims = ClaimParams { answer_window, preimage_window: 300, reveal_window, ..calm.claims };
                Self { claims, halts: 15, late: 100, kills: 5, down: 240, ..calm }
            }
        }
    }

    /// The same troubles in less work.
    fn shortened(mut self) -> Self {
        self.jobs.truncate(1 + usize::from(self.samples > 6));
        for job in &mut self.jobs {
            job.segments = 2 + job.segments / 4;
        }
        self.batch = 2 + self.batch / 4;
        self.crash_every *= 3;
        self.poll_ms *= 2;
        self
    }
}

/// The most that one proof may bid for gas, and what can wait.
pub(crate) const CAPS: (u128, u128) = (500 * GWEI, 100 * GWEI);
