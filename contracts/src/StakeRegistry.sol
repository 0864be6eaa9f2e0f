// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IStakeRegistry} from "./interfaces/IStakeRegistry.sol";
import {Token} from "./Token.sol";

/// @title Stake of operators, and the fixed number of slots they compete for.
/// @dev Knows nothing of jobs: the market decides what is locked, released and taken.
contract StakeRegistry is IStakeRegistry {
    using SafeCast for uint256;
    using SafeERC20 for Token;

    uint256 public constant MAX_SLOTS = 64; // the search for the smallest member reads them all
    uint256 public constant MAX_URI_BYTES = 256;

    Token public immutable token;
    address public immutable deployer;
    uint128 public immutable minBond;
    uint32 public immutable slots;
    uint32 public immutable thawBlocks;

    address public market;
    address[] private _active;
    mapping(address operator => Stake) private _stakes;
    mapping(address operator => string) private _uris;

    struct Stake {
        uint128 bonded;
        uint128 thawing;
        uint128 locked;
        uint64 thawReadyBlock;
        uint8 slot; // index in _active plus one; 0 is not active
    }

    modifier onlyMarket() {
        require(msg.sender == market, NotMarket(msg.sender));
        _;
    }

    constructor(Token token_, uint128 minBond_, uint32 slots_, uint32 thawBlocks_) {
        require(slots_ > 0 && slots_ <= MAX_SLOTS, BadSlotCount(slots_, MAX_SLOTS));
        token = token_;
        deployer = msg.sender;
        minBond = minBond_;
        slots = slots_;
        thawBlocks = thawBlocks_;
    }

    function setMarket(address market_) external {
        require(msg.sender == deployer, NotDeployer(msg.sender));
        require(market == address(0), MarketAlreadySet(market));
        market = market_;
        emit MarketSet(market_);
    }

    function register(string calldata serviceUri) external {
        uint256 length = bytes(serviceUri).length;
        require(length <= MAX_URI_BYTES, ServiceUriTooLong(length, MAX_URI_BYTES));
        _uris[msg.sender] = serviceUri;
        emit Registered(msg.sender, serviceUri);
    }

    function bond(uint128 amount) external {
        require(amount > 0, ZeroAmount());
        _stakes[msg.sender].bonded += amount;
        emit Bonded(msg.sender, amount);
        _tryActivate(msg.sender);
        token.safeTransferFrom(msg.sender, address(this), amount);
    }

    function activate() external {
        uint256 needed = _tryActivate(msg.sender);
        require(needed == 0, NoSlot(msg.sender, _stakes[msg.sender].bonded, needed));
    }

    function unbond(uint128 amount) external {
        require(amount > 0, ZeroAmount());
        Stake storage stake = _stakes[msg.sender];
        _requireFree(msg.sender, stake, amount);
        stake.bonded -= amount;
        stake.thawing += amount;
        uint64 ready = (block.number + thawBlocks).toUint64();
        stake.thawReadyBlock = ready;
        emit Unbonded(msg.sender, amount, ready);
        _dropIfTooSmall(msg.sender, stake);
    }

    function withdraw() external {
        Stake storage stake = _stakes[msg.sender];
        require(block.number >= stake.thawReadyBlock, StillThawing(msg.sender, stake.thawReadyBlock));
        // After a slash the bonded stake can be smaller than the locks; thawed stake then stands in for it.
        uint256 kept = Math.saturatingSub(stake.locked, stake.bonded);
        uint256 amount = Math.saturatingSub(stake.thawing, kept);
        require(amount > 0, NothingToWithdraw(msg.sender));
        stake.thawing -= amount.toUint128();
        emit Withdrawn(msg.sender, amount);
        token.safeTransfer(msg.sender, amount);
    }

    function lock(address operator, uint128 amount) external onlyMarket {
        Stake storage stake = _stakes[operator];
        _requireFree(operator, stake, amount);
        stake.locked += amount;
    }

    function release(address operator, uint128 amount) external onlyMarket {
        _stakes[operator].locked -= amount;
    }

    function slash(address operator, uint128 amount, uint128 unlock, address finder)
        external
        onlyMarket
        returns (uint256 taken)
    {
        Stake storage stake = _stakes[operator];
        (uint128 bonded, uint128 thawing) = (stake.bonded, stake.thawing);
        uint128 fromBonded = amount < bonded ? amount : bonded;
        uint128 rest = amount - fromBonded;
        uint128 fromThawing = rest < thawing ? rest : thawing;
        stake.bonded = bonded - fromBonded;
        stake.thawing = thawing - fromThawing;
        stake.locked = Math.saturatingSub(stake.locked, unlock).toUint128();
        _dropIfTooSmall(operator, stake);

        taken = uint256(fromBonded) + fromThawing;
        uint256 reward = finder == address(0) || finder == address(this) ? 0 : taken / 2;
        emit Slashed(operator, taken, finder, reward);
        // Our own token has no hooks, and neither call can fail while the balances add up.
        if (reward > 0) token.safeTransfer(finder, reward);
        if (taken > reward) token.burn(taken - reward);
    }

    function operatorInfo(address operator) external view returns (Operator memory) {
        Stake storage s = _stakes[operator];
        return Operator(s.bonded, s.thawing, s.locked, s.thawReadyBlock, s.slot != 0, _uris[operator]);
    }

    function isActive(address operator) external view returns (bool) {
        return _stakes[operator].slot != 0;
    }

    function activeSet() external view returns (address[] memory) {
        return _active;
    }

    function free(address operator) external view returns (uint256) {
        return _free(_stakes[operator]);
    }

    function _free(Stake storage stake) private view returns (uint256) {
        return Math.saturatingSub(stake.bonded, stake.locked);
    }

    function _requireFree(address operator, Stake storage stake, uint128 amount) private view {
        uint256 available = _free(stake);
        require(amount <= available, InsufficientFree(operator, available, amount));
    }

    /// @return needed 0 when the operator has a slot now, else the bonded stake that would get it one.
    function _tryActivate(address operator) private returns (uint256 needed) {
        Stake storage stake = _stakes[operator];
        if (stake.slot != 0) return 0;
        uint128 bonded = stake.bonded;
        if (bonded < minBond) return minBond;
        if (_active.length < slots) {
            _active.push(operator);
            stake.slot = _active.length.toUint8();
        } else {
            (uint256 index, uint128 smallest) = _smallest();
            if (bonded <= smallest) return uint256(smallest) + 1;
            address displaced = _active[index];
            _active[index] = operator;
            stake.slot = (index + 1).toUint8();
            _stakes[displaced].slot = 0;
            emit Deactivated(displaced);
        }
        emit Activated(operator);
    }

    function _smallest() private view returns (uint256 index, uint128 bonded) {
        uint256 length = _active.length; // at most MAX_SLOTS
        bonded = type(uint128).max;
        for (uint256 i = 0; i < length; ++i) {
            uint128 other = _stakes[_active[i]].bonded;
            if (other < bonded) (index, bonded) = (i, other);
        }
    }

    function _dropIfTooSmall(address operator, Stake storage stake) private {
        uint256 slot = stake.slot;
        if (slot == 0 || stake.bonded >= minBond) return;
        address last = _active[_active.length - 1];
        _active[slot - 1] = last;
        _stakes[last].slot = slot.toUint8();
        _active.pop();
        stake.slot = 0; // after the move: `last` may be the operator
        emit Deactivated(operator);
    }
}
