// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IActiveSet} from "../interfaces/IActiveSet.sol";
import {IStakeRegistry} from "../interfaces/IStakeRegistry.sol";
import {SumTree} from "./SumTree.sol";

/// @title Slots and draws: see IActiveSet.
/// @dev Holds no stake; the registry creates it and keeps it up to date. Nothing loops over slots but `members`.
contract ActiveSet is IActiveSet {
    using SafeCast for uint256;
    using SumTree for SumTree.Tree;

    uint256 public constant MAX_SLOTS = 256;
    uint256 public constant EPOCH = 1 days;
    uint256 public constant WEIGHT_UNIT = 4e18; // weights in the tree are rounded down to it
    uint256 public constant MAX_TRIES = 8;
    uint256 private constant DISPLACE_NUM = 11;
    uint256 private constant DISPLACE_DEN = 10;

    IStakeRegistry public immutable registry;
    uint256 public immutable slots;
    uint256 private immutable _dayZero;

    SumTree.Tree private _tree;
    uint256 private _taken; // bit i: slot i is held
    mapping(address operator => Seat) private _seats;
    mapping(uint256 slot => Holder[3]) private _holders; // the newest first

    struct Holder {
        address operator;
        uint16 from; // epoch
    }

    constructor(uint256 slots_) {
        require(slots_ > 0 && slots_ <= MAX_SLOTS, BadSlotCount(slots_, MAX_SLOTS));
        registry = IStakeRegistry(msg.sender);
        slots = slots_;
        _dayZero = block.timestamp / EPOCH - 2; // the epoch before the first needs a number above 0
    }

    function update(address operator, uint256 weight, bool eligible, bool enter) external {
        require(msg.sender == address(registry), NotRegistry(msg.sender));
        Seat memory seat = _seats[operator];
        if (seat.slot == 0) {
            if (eligible && enter) _enterFree(operator, weight);
            else if (!eligible && seat.activeUntil != 0) delete _seats[operator];
        } else if (eligible) {
            _tree.set(seat.slot - 1, weight / WEIGHT_UNIT, epoch() + 1);
        } else {
            _leave(operator, seat.slot - 1);
        }
    }

    function activate(address operator) external {
        uint256 weight = _requireStandby(operator);
        require(_enterFree(operator, weight), NoFreeSlot(slots));
    }

    function displace(address operator, uint256 slot) external {
        uint256 mine = _requireStandby(operator);
        address other = _holders[slot][0].operator;
        (uint256 theirs,) = registry.standing(other);
        uint256 unused = _freeSlot();
        require(unused >= slots, SlotIsFree(unused));
        require(slot < slots, NoSuchSlot(slot));
        uint256 needed = Math.ceilDiv(theirs * DISPLACE_NUM, DISPLACE_DEN);
        require(mine >= needed, NotEnoughToDisplace(mine, needed));

        uint256 now_ = epoch();
        Seat memory lost = _seats[other];
        bool works = lost.activeFrom <= now_; // or else it never began
        _seats[other].slot = 0;
        if (works) _seats[other].activeUntil = now_.toUint16();
        emit Displaced(other, operator, slot);
        _enter(operator, mine, slot, now_ + 1);
        _seats[operator].after_ = works ? other : lost.after_;
    }

    // ---- views ----

    function epoch() public view returns (uint256) {
        return block.timestamp / EPOCH - _dayZero;
    }

    function seatOf(address operator) external view returns (Seat memory) {
        return _seats[operator];
    }

    function seated(address operator) external view returns (bool) {
        Seat memory seat = _seats[operator];
        uint256 now_ = epoch();
        return (seat.slot != 0 && seat.activeFrom <= now_) || seat.activeUntil == now_;
    }

    function members() external view returns (address[] memory out) {
        out = new address[](slots);
        (uint256 count, uint256 now_) = (0, epoch());
        for (uint256 slot = 0; slot < slots; ++slot) {
            address operator = _holders[slot][0].operator;
            if (_seats[operator].activeFrom > now_) {
                // Whoever is about to lose this slot is active in it to the end of the epoch, unless it found another.
                operator = _seats[operator].after_;
                if (_seats[operator].activeUntil != now_) continue;
            }
            if (registry.isActive(operator)) out[count++] = operator;
        }
        // The rest of the list was never filled.
        assembly ("memory-safe") {
            mstore(out, count)
        }
    }

    function totalWeight(uint256 during) external view returns (uint256) {
        if (during != epoch() + 1) _requireKept(during);
        return _tree.total(during) * WEIGHT_UNIT;
    }

    function slotIn(uint256 during, uint256 slot) external view returns (address operator, uint256 weight) {
        _requireKept(during);
        require(slot < slots, NoSuchSlot(slot));
        return (_holderAt(slot, during), _tree.weightOf(slot, during) * WEIGHT_UNIT);
    }

    function draw(uint256 during, uint256 random) public view returns (address) {
        _requireKept(during);
        uint256 total = _tree.total(during);
        if (total == 0) return address(0);
        return _holderAt(_tree.find(random % total, during), during);
    }

    function elect(uint256 during, bytes32 seed, uint256 tries) external view returns (address) {
        require(tries <= MAX_TRIES, TooManyTries(tries, MAX_TRIES));
        for (uint256 i = 0; i < tries; ++i) {
            address drawn = draw(during, uint256(keccak256(abi.encode(seed, i))));
            if (registry.isActive(drawn)) return drawn;
        }
        return address(0);
    }

    // ---- steps ----

    /// @dev One that was displaced and is active to the end of the epoch may look for another slot, too.
    function _requireStandby(address operator) private view returns (uint256 weight) {
        require(msg.sender == operator || msg.sender == registry.ownerOf(operator), NotOwner(operator, msg.sender));
        bool eligible;
        (weight, eligible) = registry.standing(operator);
        require(eligible && _seats[operator].slot == 0, NotStandby(operator));
    }

    /// @return entered False when all slots are held.
    function _enterFree(address operator, uint256 weight) private returns (bool entered) {
        uint256 slot = _freeSlot();
        if (slot >= slots) return false;
        _taken |= 1 << slot;
        _enter(operator, weight, slot, epoch());
        return true;
    }

    function _enter(address operator, uint256 weight, uint256 slot, uint256 from) private {
        uint256 next = epoch() + 1;
        Seat storage seat = _seats[operator];
        seat.slot = (slot + 1).toUint16();
        seat.activeFrom = from.toUint16();
        if (from < next) seat.activeUntil = 0; // of another slot
        _hold(slot, operator, next);
        _tree.set(slot, weight / WEIGHT_UNIT, next);
        emit Activated(operator, slot, from);
    }

    function _leave(address operator, uint256 slot) private {
        uint256 next = epoch() + 1;
        delete _seats[operator];
        _taken &= ~(1 << slot);
        _hold(slot, address(0), next);
        _tree.set(slot, 0, next);
        emit Deactivated(operator, slot);
    }

    /// @dev Keeps who held the slot in the running epoch and the one before.
    function _hold(uint256 slot, address operator, uint256 from) private {
        Holder[3] storage holders = _holders[slot];
        if (holders[0].from != from) {
            holders[2] = holders[1];
            holders[1] = holders[0];
        }
        holders[0] = Holder(operator, from.toUint16());
    }

    function _holderAt(uint256 slot, uint256 during) private view returns (address) {
        Holder[3] storage holders = _holders[slot];
        for (uint256 i = 0; i < 2; ++i) {
            if (holders[i].from <= during) return holders[i].operator;
        }
        return holders[2].operator;
    }

    /// @return The lowest free slot, or MAX_SLOTS when there is none.
    function _freeSlot() private view returns (uint256) {
        uint256 unused = ~_taken;
        if (unused == 0) return MAX_SLOTS;
        return Math.log2(unused & (~unused + 1));
    }

    function _requireKept(uint256 during) private view {
        uint256 now_ = epoch();
        require(during == now_ || during + 1 == now_, EpochNotKept(during, now_));
    }
}
