// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IActiveSet} from "../interfaces/IActiveSet.sol";
import {IOperatorKeys} from "../interfaces/IOperatorKeys.sol";
import {IStakeRegistry} from "../interfaces/IStakeRegistry.sol";
import {IStakeVotes} from "../interfaces/IStakeVotes.sol";
import {Token} from "../token/Token.sol";
import {ActiveSet} from "./ActiveSet.sol";
import {OperatorKeys} from "./OperatorKeys.sol";
import {SharePool} from "./SharePool.sol";
import {SumTree} from "./SumTree.sol";
import {VestingStream} from "./VestingStream.sol";

/// @title What every part of the registry shares: accounts, parameters, and the vesting of rewards and fees.
/// @dev Tokens held = bonded + thawing of all operators + both pools of their delegators + rewards vesting + bounties +
/// what slashes have taken and nobody has burned yet.
abstract contract StakeBase is IStakeRegistry {
    using SafeCast for uint256;
    using VestingStream for VestingStream.Stream;

    uint256 internal constant WEIGHT_CAP = 4;
    uint256 internal constant MAX_SUPPLY = SumTree.MAX_TOTAL * 4e18; // 4.29e9 tokens, in ActiveSet.WEIGHT_UNIT
    uint256 internal constant MIN_DELEGATION = 1e18;
    uint256 public constant MARGIN = 2 days; // that stakers have beyond any window
    uint256 internal constant WHOLE = 1e4;
    uint8 internal constant PLACES = 2;
    uint256 internal constant KEPT = 1 << 255; // in Account.places: a lock of an idle operator does not fill an empty word
    uint256 internal constant FEE_SHIFT = 64;
    uint256 internal constant VOTES_GAS = 250_000; // what telling the votes may cost; they need about 160k at most

    // What governance may set: see setParams.
    uint256 internal constant LEAST_MIN_SELF = 100e18;
    uint256 internal constant MOST_MIN_SELF = 1e6 * 1e18;
    uint256 internal constant LEAST_UNBOND = 7 days;
    uint256 internal constant MOST_UNBOND = 60 days;

    Token public immutable token;
    IActiveSet public immutable activeSet;
    IOperatorKeys public immutable keys;

    address public admin;
    address public proposedAdmin;
    address public router;
    Settings internal _settings;
    mapping(address operator => Account) internal _accounts;
    mapping(address operator => mapping(uint32 nonce => mapping(address owner => Position))) internal _positions;
    mapping(address operator => mapping(uint32 nonce => uint128)) internal _lastFeeIndex; // of wiped pools
    mapping(address operator => mapping(address account => uint256)) internal _feesEarned;

    /// @dev Two words. A change of stake reads the first alone, for the votes as well.
    struct Settings {
        address votes;
        uint88 minSelf; // at most MOST_MIN_SELF
        bool everBonded;
        // ----
        uint32 unbond;
        uint32 longestUnbond;
        uint32 longestReach;
        uint8 places; // given to slashers
        uint96 unburned; // taken by slashes and nobody's; a part of the supply, so below MAX_SUPPLY
    }

    enum Status {
        None,
        Joined,
        Exiting
    }

    /// @dev Amounts of stake fit into 96 bits: MAX_SUPPLY is below 2^92. The first word, and no other, is read by every call
    /// that changes stake.
    struct Account {
        uint96 bonded;
        uint96 locked; // by slashers without a place
        uint40 jailedUntil;
        Status status;
        uint8 strikes;
        uint8 flags; // the bits below; the others are free
        uint256 places; // locks of the first two slashers, 96 bits each: one word to write instead of two; and KEPT
        SharePool.Pool active;
        SharePool.Pool thaw;
        SharePool.Pool selfThaw;
        uint128 feeIndex; // wei of each share of the active pool, times 2^64
        VestingStream.Stream rewards;
        VestingStream.Stream fees; // the delegators' part, wei
    }

    // Without the first two the streams are empty and need not vest; with the third the votes are told of every change.
    uint8 internal constant REWARDS_VEST = 1;
    uint8 internal constant FEES_VEST = 2;
    uint8 internal constant ENROLLED = 4;

    struct Position {
        uint128 shares;
        uint128 feeIndex;
    }

    // Each check is code once, not once for each function: the registry is as large as a contract may be.
    modifier onlyAdmin() {
        _requireAdmin();
        _;
    }

    modifier onlyRouter() {
        _requireRouter();
        _;
    }

    constructor(Token token_, uint256 slots_, Params memory p) {
        uint256 supply = token_.cap(); // never more
        require(supply <= MAX_SUPPLY, SupplyTooLarge(supply, MAX_SUPPLY));
        token = token_;
        activeSet = new ActiveSet(slots_);
        keys = new OperatorKeys(this);
        admin = msg.sender;
        _setParams(p);
    }

    // ---- governance ----

    function setParams(Params calldata p) external onlyAdmin {
        _setParams(p);
    }

    function setRouter(address router_) external onlyAdmin {
        require(router == address(0), RouterAlreadySet(router));
        router = router_;
        emit RouterSet(router_);
    }

    function setVotes(address votes_) external onlyAdmin {
        require(_settings.votes == address(0), VotesAlreadySet(_settings.votes));
        _settings.votes = votes_;
        emit VotesSet(votes_);
    }

    function proposeAdmin(address admin_) external onlyAdmin {
        proposedAdmin = admin_;
        emit AdminProposed(admin_);
    }

    function acceptAdmin() external {
        require(msg.sender == proposedAdmin, NotProposed(msg.sender));
        (admin, proposedAdmin) = (msg.sender, address(0));
        emit AdminChanged(msg.sender);
    }

    function params() external view returns (Params memory) {
        return Params(_settings.minSelf, _settings.unbond);
    }

    function votes() external view returns (address) {
        return _settings.votes;
    }

    function _setParams(Params memory p) private {
        uint256 leastUnbond = Math.max(LEAST_UNBOND, _settings.longestReach + MARGIN);
        _requireWithin(p.minSelf, LEAST_MIN_SELF, MOST_MIN_SELF);
        _requireWithin(p.unbond, leastUnbond, MOST_UNBOND);
        (_settings.minSelf, _settings.unbond) = (uint88(p.minSelf), p.unbond);
        if (p.unbond > _settings.longestUnbond) _settings.longestUnbond = p.unbond;
        emit ParamsChanged(p.minSelf, p.unbond);
    }

    function _requireWithin(uint256 value, uint256 least, uint256 most) internal pure {
        require(value >= least && value <= most, ParamOutOfBounds(value, least, most));
    }

    function _requireAdmin() private view {
        require(msg.sender == admin, NotAdmin(msg.sender));
    }

    function _requireRouter() private view {
        require(msg.sender == router, NotRouter(msg.sender));
    }

    // ---- rewards and fees ----

    /// @dev Comes before every change of the pools, so that what vests goes to those who held shares meanwhile.
    function _accrue(address operator, Account storage a) internal {
        uint8 flags = a.flags;
        if (flags & REWARDS_VEST != 0) _accrueRewards(operator, a);
        if (flags & FEES_VEST != 0) _accrueFees(operator, a);
    }

    function _accrueRewards(address operator, Account storage a) private {
        VestingStream.Stream memory s = a.rewards.load();
        _vestRewards(operator, a, s);
        _writeRewards(a, s);
    }

    /// @dev What has vested becomes stake. The caller writes the stream.
    function _vestRewards(address operator, Account storage a, VestingStream.Stream memory s) internal {
        uint256 bonded = a.bonded;
        if (bonded == 0 && a.active.shares == 0) return s.pause();
        uint256 amount = s.settle();
        if (amount == 0) return;
        uint256 toDelegators = _delegatorsPart(a, amount, s.cutNow());
        a.bonded = (bonded + amount - toDelegators).toUint96();
        if (toDelegators > 0) a.active.assets += uint96(toDelegators);
        emit Vested(operator, amount - toDelegators, toDelegators);
    }

    function _accrueFees(address operator, Account storage a) internal {
        VestingStream.Stream memory s = a.fees.load();
        _vestFees(operator, a, s);
        _writeFees(a, s);
    }

    function _vestFees(address operator, Account storage a, VestingStream.Stream memory s) internal {
        uint128 amount = s.settle();
        if (amount == 0) return;
        uint128 shares = a.active.shares;
        if (shares == 0) _feesEarned[operator][ownerOf(operator)] += amount;
        else a.feeIndex = _indexAfter(a.feeIndex, amount, shares);
    }

    function _writeRewards(Account storage a, VestingStream.Stream memory s) internal {
        a.rewards = s;
        _flag(a, REWARDS_VEST, s.left > 0);
    }

    function _writeFees(Account storage a, VestingStream.Stream memory s) internal {
        a.fees = s;
        _flag(a, FEES_VEST, s.left > 0);
    }

    function _flag(Account storage a, uint8 bit, bool on) private {
        uint8 was = a.flags;
        uint8 flags = on ? was | bit : was & ~bit;
        if (flags != was) a.flags = flags;
    }

    /// @dev What the index of the pool of this nonce would be if its fees were accrued now.
    function _feeIndex(address operator, Account storage a, uint32 nonce) internal view returns (uint128 index) {
        if (nonce != a.active.nonce) return _lastFeeIndex[operator][nonce];
        index = a.feeIndex;
        uint128 shares = a.active.shares;
        if (shares != 0) index = _indexAfter(index, a.fees.load().vested(block.timestamp), shares);
    }

    /// @dev It stops at the largest value rather than revert: no amount of coins may keep a slash from going through.
    function _indexAfter(uint128 index, uint128 amount, uint128 shares) private pure returns (uint128) {
        return Math.min(index + (uint256(amount) << FEE_SHIFT) / shares, type(uint128).max).toUint128();
    }

    /// @dev Their part by stake, less the operator's cut, rounded down. `amount` fits into 128 bits, all others into 96.
    function _delegatorsPart(Account storage a, uint256 amount, uint256 cut) internal view returns (uint256) {
        (uint256 delegated, uint256 shares) = (a.active.assets, a.active.shares);
        if (shares == 0) return 0;
        unchecked {
            uint256 byStake = amount * delegated / (delegated + a.bonded);
            return byStake * (WHOLE - cut) / WHOLE;
        }
    }

    function _cuts(Account storage a) internal view returns (uint16 rewardCut, uint16 feeCut) {
        return (a.rewards.load().cutNow(), a.fees.load().cutNow());
    }

    /// @dev Comes before every change of the position's shares.
    function _settleFees(address operator, address owner, Position storage position, uint128 index) internal {
        if (index == position.feeIndex) return;
        uint256 earned = _feesSince(position, index);
        position.feeIndex = index;
        if (earned > 0) _feesEarned[operator][owner] += earned;
    }

    function _feesSince(Position memory position, uint128 index) internal pure returns (uint256) {
        return uint256(position.shares) * (index - position.feeIndex) >> FEE_SHIFT;
    }

    // ---- standing ----

    function poke(address operator) external {
        Account storage a = _accounts[operator];
        _accrue(operator, a);
        _update(operator, a, false);
    }

    function standing(address operator) external view returns (uint256 weight, bool eligible) {
        Account storage a = _accounts[operator];
        return (_weight(a), _eligible(a));
    }

    function isActive(address operator) public view returns (bool) {
        return _eligible(_accounts[operator]) && activeSet.seated(operator);
    }

    function isOperator(address account) external view returns (bool) {
        return _accounts[account].status != Status.None;
    }

    /// @dev After every change of stake or standing.
    function _update(address operator, Account storage a, bool enter) internal {
        activeSet.update(operator, _weight(a), _eligible(a), enter);
        if (a.flags & ENROLLED != 0) _tellVotes(operator, a, true);
    }

    /// @dev What happens there stays there: no revert, no appetite for gas and no data from it can undo a slash. Who
    /// starves it of gas by sending too little undoes the whole call instead, so no slash leaves votes behind.
    function _tellVotes(address operator, Account storage a, bool enrolled) internal {
        bool counts = enrolled && a.status == Status.Joined && block.timestamp >= a.jailedUntil;
        uint256 amount = counts ? a.bonded : 0;
        bytes memory data = abi.encodeCall(IStakeVotes.record, (operator, ownerOf(operator), amount));
        address to = _settings.votes;
        require(gasleft() > VOTES_GAS * 66 / 64, OutOfGas()); // a 64th stays here, and a call costs 2600
        assembly ("memory-safe") {
            pop(call(VOTES_GAS, to, 0, add(data, 0x20), mload(data), 0, 0))
        }
    }

    function _state(address operator, Account storage a) internal view returns (State) {
        if (a.status == Status.None) return State.None;
        if (a.status == Status.Exiting) return _locked(a) == 0 ? State.Exited : State.Exiting;
        if (block.timestamp < a.jailedUntil) return State.Jailed;
        if (a.bonded < _settings.minSelf) return State.Idle;
        return activeSet.seated(operator) ? State.Active : State.Standby;
    }

    /// @dev Apart from its conditions, because a `require` evaluates what its error says even if it holds.
    function _refuse(address operator, Account storage a) internal view {
        revert NotAccepting(operator, _state(operator, a));
    }

    function ownerOf(address operator) public view virtual returns (address);

    function _requireOwner(address operator) internal view {
        require(msg.sender == ownerOf(operator), NotOwner(operator, msg.sender));
    }

    function _eligible(Account storage a) internal view returns (bool) {
        return a.status == Status.Joined && block.timestamp >= a.jailedUntil && a.bonded >= _settings.minSelf;
    }

    /// @return part The amount, which fits into what is free.
    function _requireFree(address operator, Account storage a, uint128 amount) internal view returns (uint96 part) {
        uint256 available = _free(a);
        require(amount <= available, InsufficientFree(operator, available, amount));
        return uint96(amount);
    }

    function _free(Account storage a) internal view returns (uint256) {
        return Math.saturatingSub(a.bonded, _locked(a));
    }

    function _locked(Account storage a) internal view returns (uint256) {
        uint256 places = a.places;
        return uint256(a.locked) + uint96(places) + uint96(places >> 96);
    }

    function _weight(Account storage a) internal view returns (uint256) {
        return Math.min(uint256(a.bonded) + a.active.assets, WEIGHT_CAP * a.bonded);
    }

    /// @dev When stake that starts to thaw now can be withdrawn.
    function _readyAt() internal view returns (uint40) {
        return (block.timestamp + _settings.unbond).toUint40();
    }
}
