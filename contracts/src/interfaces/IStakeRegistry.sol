// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IActiveSet} from "./IActiveSet.sol";
import {IOperatorKeys} from "./IOperatorKeys.sol";

/// @title Who may work, and what they can lose.
/// @notice Amounts of stake are 1e-18 tokens; times are seconds since 1970; an epoch is a day.
/// An operator is known by the address that first bonded. `docs/protocol.md` draws the states.
///
/// The operator's own stake is `bonded` (of which `locked` backs open work) and `thawing` (on its way out). Delegators
/// own shares of two pools, one bonded and one thawing. All four can be slashed until they are withdrawn.
interface IStakeRegistry {
    enum State {
        None, // never seen
        Idle, // bonded less than minSelf
        Standby, // could take a slot
        Active, // has one
        Jailed, // until jailedUntil
        Exiting, // takes no new jobs; work is still locked
        Exited // no work is locked any more; bonding starts anew
    }

    enum Jail {
        No,
        Short, // 3 days; for verdicts that rest on people
        Strike // 14 days, then 60, then for good
    }

    enum SlasherState {
        None,
        Announced,
        Active, // may lock, release and slash
        Retired, // may release, and slash for its reach
        Ended // may release only; anyone may free what it has locked
    }

    struct Params {
        uint128 minSelf; // least own stake of an operator that works
        uint32 unbond; // seconds from leaving to withdrawing
    }

    struct Operator {
        State state;
        address owner; // cold: may take stake out
        uint128 bonded;
        uint128 locked;
        uint128 thawing;
        uint128 delegated;
        uint128 delegatedShares;
        uint128 delegatedThawing;
        uint128 rewardsVesting; // not yet part of any stake
        uint16 rewardCut; // of the delegators' rewards, in 1e-4
        uint16 feeCut; // of the delegators' part of fees, in 1e-4
        uint16 slot; // its number plus one; 0 has none
        bool active; // may take jobs now
        uint8 strikes;
        uint40 jailedUntil;
        uint32 poolNonce; // how often the delegators' pool was wiped out
        string serviceUri;
    }

    struct Thaw {
        uint128 amount; // worth now; 0 when void
        uint40 readyAt;
    }

    /// @dev `share` of what is taken goes to `to`, in 1e-4.
    struct Cut {
        address to;
        uint16 share;
    }

    event Registered(address indexed operator, string serviceUri);
    event OwnerProposed(address indexed operator, address owner);
    event OwnerChanged(address indexed operator, address owner);
    event CutsAnnounced(address indexed operator, uint16 rewardCut, uint16 feeCut, uint40 from);
    event Bonded(address indexed operator, uint256 amount);
    event Unbonded(address indexed operator, uint256 amount, uint40 readyAt);
    event Withdrawn(address indexed operator, uint256 amount);
    event Delegated(address indexed operator, address indexed owner, uint256 amount, uint256 shares);
    event Undelegated(address indexed operator, address indexed owner, uint256 amount, uint256 shares, uint40 readyAt);
    event DelegationWithdrawn(address indexed operator, address indexed owner, uint256 amount);
    event Exiting(address indexed operator);
    event Slashed(
        address indexed operator, address indexed slasher, uint256 fromSelf, uint256 fromDelegators, uint256 burned
    );
    event Jailed(address indexed operator, uint40 until, uint8 strikes);
    event PoolWiped(address indexed operator, uint32 nonce, bool thawing);
    /// @dev By `notify` alone: of new tokens IRewards.Rewarded tells, and the token's Transfer.
    event Notified(address indexed operator, uint256 amount);
    event Vested(address indexed operator, uint256 toSelf, uint256 toDelegators);
    event FeesCredited(address indexed operator, uint256 amount, uint256 toDelegators);
    event SlasherAnnounced(address indexed slasher, uint32 reach, uint256 usableAt);
    event SlasherActivated(address indexed slasher);
    event SlasherRetired(address indexed slasher);
    event ParamsChanged(uint128 minSelf, uint32 unbond);
    event AdminProposed(address indexed admin);
    event AdminChanged(address indexed admin);
    event RouterSet(address indexed router);
    event VotesSet(address indexed votes);
    event Enrolled(address indexed operator, bool on);

    error SupplyTooLarge(uint256 supply, uint256 limit);
    error ParamOutOfBounds(uint256 value, uint256 least, uint256 most);
    error NotAdmin(address caller);
    error NotOwner(address operator, address caller);
    error NotProposed(address caller);
    error KeyInUse(address key, address operator);
    error ServiceUriTooLong(uint256 length, uint256 limit);
    error CutTooLarge(uint256 cut, uint256 limit);
    error ZeroAmount();
    error NotAccepting(address operator, State state);
    error DelegationTooSmall(uint256 amount, uint256 least);
    error InsufficientFree(address operator, uint256 free, uint256 wanted);
    error InsufficientShares(uint256 held, uint256 wanted);
    error NothingToWithdraw(address account);
    error SlasherInState(address slasher, SlasherState state);
    error SlasherTooEarly(address slasher, uint256 usableAt);
    error ReleaseTooLarge(address operator, uint256 locked, uint256 wanted);
    error CutsTooLarge(uint256 sum, uint256 limit);
    error NotRouter(address caller);
    error NotToken(address caller);
    error NotKeys(address caller);
    error AlreadyRewarded(address operator, uint256 epoch);
    error RouterAlreadySet(address router);
    error VotesAlreadySet(address votes);
    error OutOfGas(); // the votes of an enrolled operator need up to 260k more

    // ---- the operator itself ----

    /// @notice Bonds for the caller, which becomes an operator by it, and takes a free slot when entitled.
    function bond(uint128 amount) external;

    /// @notice Its owner: bonds for `operator`.
    function bondFor(address operator, uint128 amount) external;

    /// @notice Starts the thaw of free stake of the caller, an operator that owns itself.
    function unbond(uint128 amount) external;

    /// @notice Its owner: the same for `operator`.
    function unbondFor(address operator, uint128 amount) external;

    /// @notice Pays out what has thawed. What the locks lack after a slash stays, as bonded stake.
    function withdraw() external;

    function withdrawFor(address operator) external;

    /// @notice Its owner: gives the slot up and takes no new jobs. It alone may bond again, once nothing is locked.
    function exit(address operator) external;

    /// @notice Anyone: brings an operator's vested rewards, weight and slot up to date.
    function poke(address operator) external;

    // ---- names and keys ----

    /// @notice The operator: where clients find it, at most 256 bytes. Allowed before bonding.
    function register(string calldata serviceUri) external;

    /// @notice Its owner proposes another owner, which accepts.
    function proposeOwner(address operator, address owner) external;

    function acceptOwner(address operator) external;

    /// @notice The contract of the keys alone.
    function setSigner(address operator, address signer) external;

    /// @notice Its owner: which part of their rewards and fees delegators leave to the operator. Holds after `unbond`
    /// seconds, so that they can leave first.
    function announceCuts(address operator, uint16 rewardCut, uint16 feeCut) external;

    /// @notice Its owner: has the operator's own bonded stake vote, by its owner, or no longer. See IStakeVotes.
    function enrol(address operator, bool on) external;

    // ---- delegators ----

    /// @notice Buys shares of the operator's pool with at least MIN_DELEGATION.
    function delegate(address operator, uint128 amount) external returns (uint128 shares);

    /// @notice Starts the thaw of shares. What remains must be nothing or worth MIN_DELEGATION.
    function undelegate(address operator, uint128 shares) external;

    /// @notice Pays out what has thawed and clears requests that a wipe made void.
    function withdrawDelegation(address operator) external;

    /// @notice Anyone: gives the operator and its delegators a reward of at least MIN_DELEGATION that vests over a day.
    function notify(address operator, uint128 amount) external;

    /// @notice The token alone, which has just minted the amount for the registry: the operator's reward for an epoch, of any
    /// size. Reverts for an epoch that is not after the last one it was rewarded for.
    function notifyMinted(address operator, uint128 amount, uint16 epoch) external;

    /// @notice Pays out what the caller got of slashes, and burns what they left.
    function takeBounty() external;

    /// @notice Anyone: burns what slashes took and credited to nobody. Until then it is in the supply, and nobody's.
    function burnSlashed() external;

    // ---- slashers: markets and dispute games ----

    /// @notice Active slasher: backs work with `amount` of the operator's free stake.
    function lock(address operator, uint128 amount) external;

    /// @notice The same, if the operator is active; or else nothing.
    /// @return active Whether it is.
    /// @return signer Who signs for it now.
    function lockActive(address operator, uint128 amount) external returns (bool active, address signer);

    /// @notice The same, if this key signs for the operator now; or else nothing.
    function lockSigned(address operator, address key, uint128 amount) external returns (bool signs);

    /// @notice Slasher: undoes its own lock.
    function release(address operator, uint128 amount) external;

    /// @notice Slasher: gives up its own lock of `unlock` (or what is left of it) and takes `amount` or what there is: first
    /// of the operator's stake, bonded and thawing alike, then up to a tenth of the delegators'. `cuts` are credited
    /// (half of the loss at most), the rest is nobody's and waits for `burnSlashed`. Never reverts for lack of stake.
    function slash(address operator, uint128 amount, uint128 unlock, Cut[] calldata cuts, Jail jail)
        external
        returns (uint256 taken);

    /// @notice Anyone: frees what an ended slasher has still locked.
    function freeEnded(address operator, address slasher) external;

    // ---- the fee router ----

    /// @notice Router only: splits a fee between operator and delegators; their part vests over a day.
    function creditFees(address operator, uint128 amount) external returns (uint128 toDelegators);

    /// @notice Router only: everything `account` has earned with its shares of the pool of this nonce.
    function takeFees(address operator, address account, uint32 nonce) external returns (uint256 amount);

    // ---- governance ----

    /// @notice Admin: `reach` is the longest time from a lock to the last slash that can follow. It may act unbond + 2
    /// days later, or at once while nobody has ever bonded.
    function announceSlasher(address slasher, uint32 reach) external;

    /// @notice Anyone, once the delay is over.
    function activateSlasher(address slasher) external;

    /// @notice Admin: no more locks.
    function retireSlasher(address slasher) external;

    function setParams(Params calldata params) external;
    function setRouter(address router) external;

    /// @notice Admin, once: who is told of enrolled operators' stake.
    function setVotes(address votes) external;
    function proposeAdmin(address admin) external;
    function acceptAdmin() external;

    // ---- views ----

    function operatorInfo(address operator) external view returns (Operator memory);

    /// @notice Holds a slot and may take jobs now.
    function isActive(address operator) external view returns (bool);

    /// @notice bonded - locked, or 0 when a slash took stake from under a lock.
    function free(address operator) external view returns (uint256);

    /// @notice The operator's, bonded and thawing, without its delegators'.
    function ownStake(address operator) external view returns (uint256);
    function lockedBy(address operator, address slasher) external view returns (uint256);
    function selfThaws(address operator) external view returns (Thaw[] memory);

    /// @notice The caller-facing deadline of an operator: when the first thaw that is not void is ready or the jail opens;
    /// 0 for none.
    function nextDeadline(address operator) external view returns (uint256);

    /// @notice The last epoch for which new tokens were minted for the operator; 0 for none.
    function lastRewarded(address operator) external view returns (uint256 epoch);

    /// @notice Shares in the current pool and what they are worth.
    function delegation(address operator, address account) external view returns (uint256 shares, uint256 amount);
    function delegationThaws(address operator, address account) external view returns (Thaw[] memory);

    /// @notice Wei that `takeFees` would give now, but for what an owner gets while nobody has shares.
    function feesOf(address operator, address account, uint32 nonce) external view returns (uint256);
    function bounty(address account) external view returns (uint256);

    /// @notice Weight, min(bonded + delegated, 4 x bonded), and whether it may hold a slot: joined, not jailed, and with minSelf
    /// bonded.
    function standing(address operator) external view returns (uint256 weight, bool eligible);

    function ownerOf(address operator) external view returns (address);

    /// @notice The hot key that acts for it now. It stands here and not with the other keys, because every bid and every claim
    /// asks for it together with a lock.
    function signerOf(address operator) external view returns (address);
    function isOperator(address account) external view returns (bool);

    /// @notice Slots and draws.
    function activeSet() external view returns (IActiveSet);

    /// @notice Hot keys, present and replaced, and peer identities.
    function keys() external view returns (IOperatorKeys);
    function slasherState(address slasher) external view returns (SlasherState);
    function params() external view returns (Params memory);
}
