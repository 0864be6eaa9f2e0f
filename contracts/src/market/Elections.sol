// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IJobMarket} from "../interfaces/IJobMarket.sol";
import {BlockHashes} from "../lib/BlockHashes.sol";
import {BlockHeader} from "../lib/BlockHeader.sol";
import {MarketStore} from "./MarketStore.sol";

/// @title Operators drawn by stake.
/// @dev What the draw depends on is fixed before its randomness is known: weights by the day, terms by their block.
/// Who waits with `elect` gains nothing but that somebody may have become unfit.
abstract contract Elections is MarketStore {
    using SafeCast for uint256;

    uint256 public constant TRIES = 8;

    function setTerms(uint96 price, uint16 maxJobs) external {
        require(price <= MOST_PRICE, IJobMarket.PriceTooHigh(price, MOST_PRICE));
        address operator = _signedFor();
        TermsRecord storage t = _terms[operator];
        (t.price, t.maxJobs, t.since) = (uint72(price), maxJobs, block.number.toUint64());
        emit IJobMarket.TermsSet(operator, price, maxJobs);
    }

    function elect(uint64 jobId, bytes calldata header) external {
        uint40 now_ = _running();
        JobRecord storage j = _jobs[jobId];
        _requireOpen(jobId, j, IJobMarket.Door.Election);
        _requireInTime(j, now_);
        Election memory e = _elections[jobId];
        require(block.number > e.blockNumber, IJobMarket.ElectionTooEarly(jobId, e.blockNumber));
        bool kept = activeSet.epoch() <= uint256(e.epoch) + 1;
        if (!kept || BlockHashes.get(e.blockNumber) == 0) return _nameElection(jobId);
        bytes32 seed = keccak256(abi.encode(BlockHeader.prevrandao(header, e.blockNumber), jobId));
        uint96 startLock = _settings.startLock;
        address operator = _drawn(j, e, seed, startLock);
        if (operator == address(0)) return _nameElection(jobId);
        TermsRecord storage t = _terms[operator];
        t.openJobs += 1;
        _assign(jobId, j, operator, t.price, _settings.version, now_ + _settings.startWindow);
        registry.lock(operator, startLock);
    }

    /// @return operator 0 when none of the draws falls on a fit one.
    function _drawn(JobRecord storage j, Election memory e, bytes32 seed, uint96 startLock)
        private
        view
        returns (address operator)
    {
        for (uint256 i = 0; i < TRIES; ++i) {
            operator = activeSet.draw(e.epoch, uint256(keccak256(abi.encode(seed, i))));
            TermsRecord memory t = _terms[operator];
            if (t.openJobs >= t.maxJobs || t.price > j.maxPrice || t.since >= e.blockNumber) continue;
            if (registry.isActive(operator) && registry.free(operator) >= startLock) return operator;
        }
        return address(0);
    }
}
