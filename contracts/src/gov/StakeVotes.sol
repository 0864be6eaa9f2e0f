// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";
import {IStakeRegistry} from "../interfaces/IStakeRegistry.sol";
import {IStakeVotes} from "../interfaces/IStakeVotes.sol";

/// @title The history of operators' votes: see IStakeVotes.
/// @dev Moves nothing and calls nobody. The sum over all accounts is the total at every second, because both change by the
/// same difference.
contract StakeVotes is IStakeVotes {
    using Checkpoints for Checkpoints.Trace208;
    using SafeCast for uint256;

    IStakeRegistry public immutable registry;

    mapping(address operator => Entry) private _entries;
    mapping(address account => Checkpoints.Trace208) private _votes; // of all its operators
    Checkpoints.Trace208 private _total;

    struct Entry {
        address owner; // who had the votes when they last changed
        uint96 amount; // stake is below 2^92
    }

    constructor(IStakeRegistry registry_) {
        registry = registry_;
    }

    function record(address operator, address owner, uint256 amount) external {
        require(msg.sender == address(registry), NotRegistry(msg.sender));
        Entry memory was = _entries[operator];
        if (was.owner == owner && was.amount == amount) return;
        _entries[operator] = Entry(owner, uint96(amount)); // fits: the registry keeps it in as many bits
        uint48 now_ = clock();
        if (was.owner == owner) {
            _move(_votes[owner], now_, was.amount, amount);
        } else {
            _move(_votes[was.owner], now_, was.amount, 0);
            _move(_votes[owner], now_, 0, amount);
        }
        _move(_total, now_, was.amount, amount);
        emit VotesRecorded(operator, owner, amount);
    }

    // ---- views ----

    function votesOf(address operator) external view returns (address owner, uint256 amount) {
        Entry memory entry = _entries[operator];
        return (entry.owner, entry.amount);
    }

    function getVotes(address account) external view returns (uint256) {
        return _votes[account].latest();
    }

    function getPastVotes(address account, uint256 timepoint) external view returns (uint256) {
        return _votes[account].upperLookupRecent(_past(timepoint));
    }

    function getPastTotalSupply(uint256 timepoint) external view returns (uint256) {
        return _total.upperLookupRecent(_past(timepoint));
    }

    function numCheckpoints(address account) external view returns (uint256) {
        return _votes[account].length();
    }

    function delegates(address account) external pure returns (address) {
        return account;
    }

    function clock() public view returns (uint48) {
        return block.timestamp.toUint48();
    }

    // solhint-disable-next-line func-name-mixedcase
    function CLOCK_MODE() external pure returns (string memory) {
        return "mode=timestamp";
    }

    // ---- what IVotes knows and stake does not ----

    function delegate(address) external pure {
        revert VotesCannotBeGiven();
    }

    function delegateBySig(address, uint256, uint256, uint8, bytes32, bytes32) external pure {
        revert VotesCannotBeGiven();
    }

    // ---- steps ----

    /// @dev Sums of amounts of 96 bits, of which there are fewer than 2^112.
    function _move(Checkpoints.Trace208 storage trace, uint48 now_, uint256 less, uint256 more) private {
        if (less == more) return;
        trace.push(now_, uint208(trace.latest() + more - less));
    }

    /// @dev What holds at the end of a second is known when it is over.
    function _past(uint256 timepoint) private view returns (uint48) {
        require(timepoint < clock(), NotYetPast(timepoint, clock()));
        return timepoint.toUint48();
    }
}
