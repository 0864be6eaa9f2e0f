// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {BlockHashes} from "../lib/BlockHashes.sol";
import {BlockHeader} from "../lib/BlockHeader.sol";
import {Assignments} from "./Assignments.sol";

/// @title Operators drawn by stake.
/// @dev Everything the draw depends on but the randomness is fixed before it: weights by the day, terms by their block.
/// Who waits with `elect` gains nothing but that somebody may have become unfit.
abstract contract Elections is Assignments {
    using SafeCast for uint256;

    uint256 public constant TRIES = 8;

    mapping(uint64 jobId => Election) private _elections;

    struct Election {
        uint64 blockNumber;
        uint16 epoch; // whose weights count
    }

    function setTerms(uint96 price, uint16 maxJobs) external {
        require(price <= MOST_PRICE, PriceTooHigh(price, MOST_PRICE));
        address operator = _signedFor();
        TermsRecord storage t = _terms[operator];
        (t.price, t.maxJobs, t.since) = (uint256(price).toUint72(), maxJobs, block.number.toUint64());
        emit TermsSet(operator, price, maxJobs);
    }

    function elect(uint64 jobId, bytes calldata header) external {
        Settings memory s = _running();
        JobRecord storage j = _jobs[jobId];
        _requireOpen(jobId, j, Door.Election);
        uint40 now_ = _clock(s);
        require(now_ <= j.deadline, DeadlineOver(j.deadline, now_));
        Election memory e = _elections[jobId];
        require(block.number > e.blockNumber, ElectionTooEarly(jobId, e.blockNumber));
        bool kept = activeSet.epoch() <= uint256(e.epoch) + 1;
        if (!kept || BlockHashes.get(e.blockNumber) == 0) return _nameElection(jobId);
        uint256 random = BlockHeader.prevrandao(header, e.blockNumber);
        address operator = _drawn(jobId, j, e, random, s.startLock);
        if (operator == address(0)) return _nameElection(jobId);
        TermsRecord storage t = _terms[operator];
        t.openJobs += 1;
        _assign(jobId, j, operator, t.price, s.version, now_ + s.startWindow);
        registry.lock(operator, s.startLock);
    }

    function electionBlock(uint64 jobId) external view returns (uint64) {
        return _elections[jobId].blockNumber;
    }

    function terms(address operator) external view returns (Terms memory) {
        TermsRecord storage t = _terms[operator];
        return Terms(t.price, t.maxJobs, t.openJobs);
    }

    function _nameElection(uint64 jobId) internal {
        uint256 number = block.number + _versions[_settings.version].electionDelay;
        _elections[jobId] = Election(number.toUint64(), activeSet.epoch().toUint16());
        emit ElectionNamed(jobId, number.toUint64());
    }

    /// @return operator 0 when none of the draws falls on a fit one.
    function _drawn(uint64 jobId, JobRecord storage j, Election memory e, uint256 random, uint96 startLock)
        private
        view
        returns (address operator)
    {
        bytes32 seed = keccak256(abi.encode(random, jobId));
        for (uint256 i = 0; i < TRIES; ++i) {
            operator = activeSet.draw(e.epoch, uint256(keccak256(abi.encode(seed, i))));
            TermsRecord memory t = _terms[operator];
            if (t.openJobs >= t.maxJobs || t.price > j.maxPrice || t.since >= e.blockNumber) continue;
            if (registry.isActive(operator) && registry.free(operator) >= startLock) return operator;
        }
        return address(0);
    }
}
