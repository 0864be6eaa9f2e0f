//! Why a call is refused: the contracts' custom errors, by name.

macro_rules! refusals {
    ($($name:ident,)*) => {
        /// Named like the contract's error.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs)] // the interfaces say when each comes
        pub enum Refusal {
            $($name,)*
        }

        impl Refusal {
            /// All there are.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The error's name in Solidity.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }
        }

        impl std::error::Error for Refusal {}

        impl std::fmt::Display for Refusal {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

refusals! {
    // the market's
    NotAdmin, NotGuardian, NotClient, NotOperator, NotSigner, NotActive, ParamOutOfBounds, MarketPaused, NotPaused,
    PauseTooLong, PauseTooSoon, JobNotInState, OtherDoor, BadDrawCount, PriceTooHigh, DeadlineOver, DeadlineNotLater,
    OrderUsed, OtherOrder, WrongSignature, BidExpired, BidUsed, CommitWindowOver, RevealWindowClosed, AuctionRunning,
    WrongDeposit, AlreadyCommitted, NoDeposit, OtherCommitment, ElectionTooEarly, StartWindowOver, StartWindowOpen,
    DrainWindowOver, DrainWindowOpen, AlreadyReleased, ClaimsOpen, NotNextSegment, EscrowTooSmall, OtherPreimage,
    ZeroValue, NothingOwed, UnknownProfile,
    // the book's
    NotJudge, BadCount, ZeroUnits, ClaimNotInState, TooEarly, TooLate, EarlierClaimUnsealed, PreimageTooLate, WrongLength,
    OpeningOutsideClaim, NotInClaim, DrawNotCovered, NotWhatWasAnswered, WrongReveal, Held, NotHeld, HeaderOutOfReach, WrongHeader, BadHeader, SumTooLarge,
    // the registry's and the keys'
    ZeroAmount, InsufficientFree, ReleaseTooLarge, SlasherInState, CutsTooLarge, NotOwner, NotProposed, KeyInUse,
    // the language's and its libraries'
    SafeCastOverflowedUintDowncast, Panic,
}
