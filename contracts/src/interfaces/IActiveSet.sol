// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title A fixed number of slots, who holds them, and draws among the holders by weight.
/// @notice Epochs are days. Whoever takes a free slot is active at once; whoever displaces another is from the next epoch
/// on, and the other stays until then. So does whoever takes a slot that became free before the other was out of it: a
/// slot never has two active operators. Draws see neither before the next epoch.
interface IActiveSet {
    struct Seat {
        uint32 number; // of the operator, counted from 1 as they first bond
        uint16 slot; // its number plus one; 0 has none
        uint16 activeFrom; // epoch
        uint16 activeUntil; // last epoch in a slot that was lost to another operator; 0 for none
        uint16 leaving; // the slot it was lost in, plus one
    }

    event Activated(address indexed operator, uint256 slot, uint256 epoch);
    event Displaced(address indexed operator, address indexed by, uint256 slot);
    event Deactivated(address indexed operator, uint256 slot);

    error NotRegistry(address caller);
    error BadSlotCount(uint256 slots, uint256 limit);
    error NotOwner(address operator, address caller);
    error NotStandby(address operator);
    error NoFreeSlot(uint256 slots);
    error SlotIsFree(uint256 slot);
    error NoSuchSlot(uint256 slot);
    error NotEnoughToDisplace(uint256 weight, uint256 needed);
    error TooManyTries(uint256 tries, uint256 limit);
    error EpochNotKept(uint256 epoch, uint256 current);

    /// @notice Registry only, after every change of stake or standing: the new weight counts from the next epoch, and who
    /// is no longer eligible leaves its slot now. With `enter`, when it bonds, an eligible operator takes a free slot.
    function update(address operator, uint256 weight, bool eligible, bool enter) external;

    /// @notice The operator or its owner: takes a free slot.
    function activate(address operator) external;

    /// @notice The operator or its owner: takes the slot of one with less than 1/1.1 of its weight, from the next epoch
    /// on. Only while no slot is free.
    function displace(address operator, uint256 slot) external;

    function seatOf(address operator) external view returns (Seat memory);

    /// @notice Whether it holds a slot in the running epoch. `IStakeRegistry.isActive` also asks for its standing.
    function seated(address operator) external view returns (bool);

    /// @notice The active operators, in the order of their slots.
    function members() external view returns (address[] memory);

    /// @notice The operator that a random number falls on, in proportion to the weights at the beginning of an epoch, the
    /// current or the last one. It may have lost its slot since; 0 when nobody had one.
    function draw(uint256 during, uint256 random) external view returns (address);

    /// @notice Up to `tries` (at most 8) draws from one seed until one falls on an operator active now; 0 when none does.
    function elect(uint256 during, bytes32 seed, uint256 tries) external view returns (address);

    /// @notice Who held a slot at the beginning of an epoch, the current or the last one, and with which weight, in 1e-18
    /// tokens rounded down to 4 tokens.
    function slotIn(uint256 during, uint256 slot) external view returns (address operator, uint256 weight);

    /// @notice The weight with which an operator held, at the beginning of such an epoch, the slot that it holds now; or 0.
    function weightIn(uint256 during, address operator) external view returns (uint256 weight);

    /// @notice In 1e-18 tokens, each operator's part rounded down to 4 tokens; of the next epoch, as it would begin now.
    function totalWeight(uint256 during) external view returns (uint256);
    function epoch() external view returns (uint256);
    function slots() external view returns (uint256);
}
