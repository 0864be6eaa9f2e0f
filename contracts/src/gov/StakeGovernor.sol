// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Governor} from "@openzeppelin/contracts/governance/Governor.sol";
import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";
import {GovernorCountingSimple} from "@openzeppelin/contracts/governance/extensions/GovernorCountingSimple.sol";
import {GovernorSettings} from "@openzeppelin/contracts/governance/extensions/GovernorSettings.sol";
import {GovernorTimelockControl} from "@openzeppelin/contracts/governance/extensions/GovernorTimelockControl.sol";
import {GovernorVotes} from "@openzeppelin/contracts/governance/extensions/GovernorVotes.sol";
import {
    GovernorVotesQuorumFraction
} from "@openzeppelin/contracts/governance/extensions/GovernorVotesQuorumFraction.sol";
import {IVotes} from "@openzeppelin/contracts/governance/utils/IVotes.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @title Operators decide, by their own stake: OpenZeppelin's governor with bounds.
/// @notice A voter's weight is the smaller of its votes when voting began and its votes when it casts: who was jailed or
/// has left meanwhile decides nothing. A quorum is a percentage of all votes, and never less than a fixed amount, so that
/// the first few who enrol do not decide for all. Times are seconds, votes 1e-18 tokens.
contract StakeGovernor is
    Governor,
    GovernorSettings,
    GovernorCountingSimple,
    GovernorVotes,
    GovernorVotesQuorumFraction,
    GovernorTimelockControl
{
    struct Params {
        uint48 votingDelay; // from a proposal to the vote, 1 to 14 days
        uint32 votingPeriod; // 3 to 30 days
        uint256 proposalThreshold; // votes of whoever proposes, 100 to 1,000,000 tokens
        uint256 quorumPercent; // of all votes, 10 to 60
        uint256 leastQuorum; // votes; for ever
    }

    uint256 public immutable leastQuorum;

    error ParamOutOfBounds(uint256 value, uint256 least, uint256 most);
    error NotProposer(address timelock);
    error TimelockIsFixed();
    error NoVotes(address account);

    /// @param timelock_ Must have this contract as its proposer already.
    constructor(IVotes votes, TimelockController timelock_, Params memory p)
        Governor("Headframe")
        GovernorSettings(p.votingDelay, p.votingPeriod, p.proposalThreshold)
        GovernorVotes(votes)
        GovernorVotesQuorumFraction(p.quorumPercent)
        GovernorTimelockControl(timelock_)
    {
        require(timelock_.hasRole(timelock_.PROPOSER_ROLE(), address(this)), NotProposer(address(timelock_)));
        leastQuorum = p.leastQuorum;
    }

    function quorum(uint256 timepoint) public view override(Governor, GovernorVotesQuorumFraction) returns (uint256) {
        return Math.max(super.quorum(timepoint), leastQuorum);
    }

    /// @notice Another timelock would be the admin of nothing.
    function updateTimelock(TimelockController) public pure override {
        revert TimelockIsFixed();
    }

    // ---- votes ----

    function _getVotes(address account, uint256 timepoint, bytes memory params)
        internal
        view
        override(Governor, GovernorVotes)
        returns (uint256)
    {
        return Math.min(super._getVotes(account, timepoint, params), token().getVotes(account));
    }

    function _countVote(uint256 id, address account, uint8 support, uint256 weight, bytes memory params)
        internal
        override(Governor, GovernorCountingSimple)
        returns (uint256)
    {
        require(weight > 0, NoVotes(account));
        return super._countVote(id, account, support, weight, params);
    }

    // ---- bounds ----

    function _setVotingDelay(uint48 value) internal override {
        _requireWithin(value, 1 days, 14 days);
        super._setVotingDelay(value);
    }

    function _setVotingPeriod(uint32 value) internal override {
        _requireWithin(value, 3 days, 30 days);
        super._setVotingPeriod(value);
    }

    function _setProposalThreshold(uint256 value) internal override {
        _requireWithin(value, 100e18, 1e6 * 1e18);
        super._setProposalThreshold(value);
    }

    function _updateQuorumNumerator(uint256 value) internal override {
        _requireWithin(value, 10, 60);
        super._updateQuorumNumerator(value);
    }

    function _requireWithin(uint256 value, uint256 least, uint256 most) private pure {
        require(value >= least && value <= most, ParamOutOfBounds(value, least, most));
    }

    // ---- which of its parents answers ----

    function state(uint256 id) public view override(Governor, GovernorTimelockControl) returns (ProposalState) {
        return super.state(id);
    }

    function proposalNeedsQueuing(uint256 id) public view override(Governor, GovernorTimelockControl) returns (bool) {
        return super.proposalNeedsQueuing(id);
    }

    function proposalThreshold() public view override(Governor, GovernorSettings) returns (uint256) {
        return super.proposalThreshold();
    }

    function _queueOperations(
        uint256 id,
        address[] memory targets,
        uint256[] memory values,
        bytes[] memory calls,
        bytes32 description
    ) internal override(Governor, GovernorTimelockControl) returns (uint48) {
        return super._queueOperations(id, targets, values, calls, description);
    }

    function _executeOperations(
        uint256 id,
        address[] memory targets,
        uint256[] memory values,
        bytes[] memory calls,
        bytes32 description
    ) internal override(Governor, GovernorTimelockControl) {
        super._executeOperations(id, targets, values, calls, description);
    }

    function _cancel(address[] memory targets, uint256[] memory values, bytes[] memory calls, bytes32 description)
        internal
        override(Governor, GovernorTimelockControl)
        returns (uint256)
    {
        return super._cancel(targets, values, calls, description);
    }

    function _executor() internal view override(Governor, GovernorTimelockControl) returns (address) {
        return super._executor();
    }
}
