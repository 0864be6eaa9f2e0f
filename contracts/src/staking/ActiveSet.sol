// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IActiveSet} from "../interfaces/IActiveSet.sol";
import {IStakeRegistry} from "../interfaces/IStakeRegistry.sol";
import {SumTree} from "./SumTree.sol";

/// @title Slots and draws: see IActiveSet.
/// @dev Holds no stake; the registry creates it and keeps it up to date. Nothing loops over slots but `members`. Operators
/// are numbered as they first bond, so that whoever held a slot lately, in three epochs, fits into its one word.
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
    uint256 private immutable _spans; // of the tree, that slots can reach

    SumTree.Tree private _tree;
    uint256 private _taken; // bit i: slot i is held
    uint256 private _count; // of operators ever numbered
    mapping(uint256 number => address) private _operators; // 0 is nobody
    mapping(address operator => Seat) private _seats;
    mapping(uint256 slot => Slot) private _slots;

    /// @dev Numbers of operators, and epochs.
    struct Slot {
        uint32 holder;
        uint16 since;
        uint32 before; // held it until `since`
        uint16 beforeSince;
        uint32 earlier; // held it until `beforeSince`
        uint32 leaver; // was displaced and works in it to the end of `leaves`
        uint16 leaves;
    }

    constructor(uint256 slots_) {
        require(slots_ > 0 && slots_ <= MAX_SLOTS, BadSlotCount(slots_, MAX_SLOTS));
        registry = IStakeRegistry(msg.sender);
        slots = slots_;
        _spans = Math.ceilDiv(slots_, SumTree.SPAN);
        _dayZero = block.timestamp / EPOCH - 2; // the epoch before the first needs a number above 0
    }

    function update(address operator, uint256 weight, bool eligible, bool enter) external {
        require(msg.sender == address(registry), NotRegistry(msg.sender));
        Seat memory seat = _seats[operator];
        if (seat.slot != 0) {
            if (eligible) _tree.set(seat.slot - 1, weight / WEIGHT_UNIT, epoch() + 1);
            else _leave(operator, seat);
            return;
        }
        if (enter && seat.number == 0) {
            uint256 number = ++_count;
            _seats[operator].number = number.toUint32();
            _operators[number] = operator;
        }
        if (eligible && enter) _enterFree(operator, weight);
        else if (!eligible && seat.activeUntil != 0) _clear(operator, seat);
    }

    function activate(address operator) external {
        uint256 weight = _requireStandby(operator);
        require(_enterFree(operator, weight), NoFreeSlot(slots));
    }

    function displace(address operator, uint256 slot) external {
        uint256 mine = _requireStandby(operator);
        uint256 unused = _freeSlot();
        require(unused >= slots, SlotIsFree(unused));
        require(slot < slots, NoSuchSlot(slot));
        Slot memory s = _slots[slot];
        address other = _operators[s.holder];
        (uint256 theirs,) = registry.standing(other);
        uint256 needed = Math.ceilDiv(theirs * DISPLACE_NUM, DISPLACE_DEN);
        require(mine >= needed, NotEnoughToDisplace(mine, needed));

        uint256 now_ = epoch();
        Seat memory lost = _seats[other];
        lost.slot = 0;
        if (lost.activeFrom <= now_) {
            (lost.activeUntil, lost.leaving) = (now_.toUint16(), (slot + 1).toUint16());
            (s.leaver, s.leaves) = (s.holder, lost.activeUntil);
        } // or else it never began
        _seats[other] = lost;
        emit Displaced(other, operator, slot);
        _enter(operator, mine, slot, s, now_ + 1);
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
            Slot memory s = _slots[slot];
            address operator = _operators[s.holder];
            if (_leaverWorks(slot, s, now_)) operator = _operators[s.leaver];
            else if (_seats[operator].activeFrom > now_) continue;
            if (registry.isActive(operator)) out[count++] = operator;
        }
        // The rest of the list was never filled.
        assembly ("memory-safe") {
            mstore(out, count)
        }
    }

    function totalWeight(uint256 during) external view returns (uint256) {
        if (during != epoch() + 1) _requireKept(during);
        return _tree.total(_spans, during) * WEIGHT_UNIT;
    }

    function slotIn(uint256 during, uint256 slot) external view returns (address operator, uint256 weight) {
        _requireKept(during);
        require(slot < slots, NoSuchSlot(slot));
        return (_holderAt(slot, during), _tree.weightOf(slot, during) * WEIGHT_UNIT);
    }

    function weightIn(uint256 during, address operator) external view returns (uint256) {
        _requireKept(during);
        Seat memory seat = _seats[operator];
        if (seat.slot == 0) return 0;
        uint256 slot = seat.slot - 1;
        // Whoever enters a slot is its holder from the next epoch on, so the slot need not be asked about later ones.
        if (seat.activeFrom >= during && _numberAt(slot, during) != seat.number) return 0;
        return _tree.weightOf(slot, during) * WEIGHT_UNIT;
    }

    function draw(uint256 during, uint256 random) public view returns (address) {
        _requireKept(during);
        uint256 total = _tree.total(_spans, during);
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
        Slot memory s = _slots[slot];
        uint256 now_ = epoch();
        // Whoever held it last may have gone before it began, while the one it displaced still works there.
        _enter(operator, weight, slot, s, _leaverWorks(slot, s, now_) ? now_ + 1 : now_);
        return true;
    }

    function _enter(address operator, uint256 weight, uint256 slot, Slot memory s, uint256 from) private {
        Seat memory seat = _seats[operator];
        (seat.slot, seat.activeFrom) = ((slot + 1).toUint16(), from.toUint16());
        if (from <= epoch()) (seat.activeUntil, seat.leaving) = (0, 0); // of another slot
        _seats[operator] = seat;
        _hold(slot, s, seat.number, weight);
        emit Activated(operator, slot, from);
    }

    function _leave(address operator, Seat memory seat) private {
        uint256 slot = seat.slot - 1;
        _clear(operator, seat);
        _taken &= ~(1 << slot);
        _hold(slot, _slots[slot], 0, 0);
        emit Deactivated(operator, slot);
    }

    function _clear(address operator, Seat memory seat) private {
        _seats[operator] = Seat(seat.number, 0, 0, 0, 0);
    }

    /// @dev From the next epoch on. Keeps who held the slot in the running epoch and the one before.
    function _hold(uint256 slot, Slot memory s, uint32 number, uint256 weight) private {
        uint16 next = (epoch() + 1).toUint16();
        if (s.since != next) {
            (s.earlier, s.before, s.beforeSince) = (s.before, s.holder, s.since);
            s.since = next;
        }
        s.holder = number;
        _slots[slot] = s;
        _tree.set(slot, weight / WEIGHT_UNIT, next);
    }

    function _holderAt(uint256 slot, uint256 during) private view returns (address) {
        return _operators[_numberAt(slot, during)];
    }

    function _numberAt(uint256 slot, uint256 during) private view returns (uint32) {
        Slot memory s = _slots[slot];
        if (s.since <= during) return s.holder;
        return s.beforeSince <= during ? s.before : s.earlier;
    }

    /// @dev Whether one that was displaced from the slot works in it to the end of the running epoch.
    function _leaverWorks(uint256 slot, Slot memory s, uint256 now_) private view returns (bool) {
        return s.leaves == now_ && _seats[_operators[s.leaver]].leaving == slot + 1;
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
