// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IJobMarket} from "../interfaces/IJobMarket.sol";
import {IStakeRegistry} from "../interfaces/IStakeRegistry.sol";
import {MarketStore} from "./MarketStore.sol";

/// @title Sealed bids: commit, reveal, award.
/// @dev A commitment is kept under the operator and names it, the job, the market and the chain: nobody can reveal what
/// another committed to. Who leads is locked, so that a revealed bid is no free option.
abstract contract Auctions is MarketStore {
    using SafeCast for uint256;

    uint256 public constant UNREVEALED_LOSS = 10; // one part in so many of the deposit

    function commitBid(uint64 jobId, bytes32 commitment) external payable {
        JobRecord storage j = _jobs[jobId];
        _requireOpen(jobId, j, IJobMarket.Door.Auction);
        AuctionRecord storage a = _auctions[jobId];
        require(_clock() <= a.commitUntil, IJobMarket.CommitWindowOver(jobId, a.commitUntil));
        uint256 deposit = _versions[j.version].deposit;
        require(msg.value == deposit, IJobMarket.WrongDeposit(msg.value, deposit));
        address operator = _signedFor();
        _requireActive(operator);
        SealedBid storage s = _sealed[jobId][operator];
        require(s.payer == address(0), IJobMarket.AlreadyCommitted(jobId, operator));
        (s.commitment, s.payer, s.deposit) = (commitment, msg.sender, uint96(deposit)); // its bound is that of a parameter
        a.commits += 1; // no more than operators that were active within the window
        emit IJobMarket.BidCommitted(jobId, operator);
    }

    function revealBid(uint64 jobId, uint96 price, bytes32 salt) external {
        JobRecord storage j = _jobs[jobId];
        _requireOpen(jobId, j, IJobMarket.Door.Auction);
        AuctionRecord storage a = _auctions[jobId];
        (uint40 now_, uint40 from, uint40 until) = (_clock(), a.commitUntil, a.revealUntil);
        require(now_ > from && now_ <= until, IJobMarket.RevealWindowClosed(jobId, from, until));
        address operator = _signedFor();
        SealedBid storage s = _sealed[jobId][operator];
        bytes32 given = keccak256(abi.encode(block.chainid, address(this), jobId, operator, price, salt));
        require(s.commitment == given, IJobMarket.OtherCommitment(jobId, operator));
        _owed[s.payer] += s.deposit;
        (s.commitment, s.deposit) = (0, 0); // the payer stays: no second bid
        if (!a.revealed) {
            a.revealed = true;
            a.beacon = uint160(uint256(keccak256(abi.encode(block.prevrandao, jobId))));
        }
        emit IJobMarket.BidRevealed(jobId, operator, price);
        if (price <= j.maxPrice && _leads(a, operator, price)) _lead(j, a, operator, price);
    }

    function awardAuction(uint64 jobId) external {
        uint40 now_ = _running();
        JobRecord storage j = _jobs[jobId];
        _requireOpen(jobId, j, IJobMarket.Door.Auction);
        AuctionRecord storage a = _auctions[jobId];
        require(now_ > a.revealUntil, IJobMarket.AuctionRunning(jobId, a.revealUntil));
        address best = a.best;
        if (best != address(0) && now_ <= j.deadline && registry.isActive(best)) {
            uint16 version = j.version; // the one under which it was locked
            _assign(jobId, j, best, a.bestPrice, version, now_ + _versions[version].startWindow);
        } else {
            _openDoor(jobId, j);
            if (best != address(0)) _unlock(best, _startLock(j));
        }
    }

    function takeDeposit(uint64 jobId) external {
        uint40 revealUntil = _auctions[jobId].revealUntil;
        require(_clock() > revealUntil, IJobMarket.AuctionRunning(jobId, revealUntil));
        address operator = _signedFor();
        SealedBid storage s = _sealed[jobId][operator];
        uint256 deposit = s.deposit;
        require(deposit > 0, IJobMarket.NoDeposit(jobId, operator));
        s.deposit = 0;
        uint256 kept = revealUntil == 0 ? 0 : deposit / UNREVEALED_LOSS;
        _owed[_jobs[jobId].client] += kept;
        _owed[s.payer] += deposit - kept;
        emit IJobMarket.DepositTaken(jobId, operator, kept);
    }

    function _leads(AuctionRecord storage a, address operator, uint96 price) private view returns (bool) {
        if (a.best == address(0) || price < a.bestPrice) return true;
        return price == a.bestPrice && _lot(a.beacon, operator) < _lot(a.beacon, a.best);
    }

    function _lot(uint160 beacon, address operator) private pure returns (bytes32) {
        return keccak256(abi.encode(beacon, operator));
    }

    /// @dev Passes over who cannot be bound.
    function _lead(JobRecord storage j, AuctionRecord storage a, address operator, uint96 price) private {
        uint128 startLock = _startLock(j);
        if (!registry.isActive(operator) || registry.free(operator) < startLock) return;
        if (registry.slasherState(address(this)) != IStakeRegistry.SlasherState.Active) return;
        address former = a.best;
        (a.best, a.bestPrice) = (operator, uint72(price)); // at most maxPrice
        if (former != address(0)) _unlock(former, startLock);
        registry.lock(operator, startLock);
    }
}
