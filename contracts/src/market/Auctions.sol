// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IStakeRegistry} from "../interfaces/IStakeRegistry.sol";
import {Assignments} from "./Assignments.sol";

/// @title Sealed bids: commit, reveal, award.
/// @dev A commitment is kept under the operator and names it, the job, the market and the chain: nobody can reveal what
/// another committed to. Who leads is locked, so that a revealed bid is no free option.
abstract contract Auctions is Assignments {
    using SafeCast for uint256;

    uint256 public constant UNREVEALED_LOSS = 10; // one part in so many of the deposit

    mapping(uint64 jobId => AuctionRecord) internal _auctions;
    mapping(uint64 jobId => mapping(address operator => SealedBid)) private _sealed;

    struct AuctionRecord {
        uint40 commitUntil;
        uint40 revealUntil; // 0 when the job was cancelled before
        uint16 commits;
        address best;
        uint72 bestPrice;
        bool revealed; // somebody has
        uint160 beacon; // tells equal prices apart
    }

    struct SealedBid {
        bytes32 commitment;
        address payer;
        uint96 deposit;
    }

    function commitBid(uint64 jobId, bytes32 commitment) external payable {
        JobRecord storage j = _jobs[jobId];
        _requireOpen(jobId, j, Door.Auction);
        AuctionRecord storage a = _auctions[jobId];
        require(clock() <= a.commitUntil, CommitWindowOver(jobId, a.commitUntil));
        uint256 deposit = _versions[j.version].deposit;
        require(msg.value == deposit, WrongDeposit(msg.value, deposit));
        address operator = _signedFor();
        require(registry.isActive(operator), NotActive(operator));
        SealedBid storage s = _sealed[jobId][operator];
        require(s.payer == address(0), AlreadyCommitted(jobId, operator));
        (s.commitment, s.payer, s.deposit) = (commitment, msg.sender, msg.value.toUint96());
        a.commits += 1; // no more than operators that were active within the window
        emit BidCommitted(jobId, operator);
    }

    function revealBid(uint64 jobId, uint96 price, bytes32 salt) external {
        JobRecord storage j = _jobs[jobId];
        _requireOpen(jobId, j, Door.Auction);
        AuctionRecord storage a = _auctions[jobId];
        uint40 now_ = clock();
        require(
            now_ > a.commitUntil && now_ <= a.revealUntil, RevealWindowClosed(jobId, a.commitUntil, a.revealUntil)
        );
        address operator = _signedFor();
        SealedBid storage s = _sealed[jobId][operator];
        require(s.deposit > 0 || s.commitment != 0, NoSealedBid(jobId, operator));
        bytes32 given = keccak256(abi.encode(block.chainid, address(this), jobId, operator, price, salt));
        require(s.commitment == given, OtherCommitment(jobId, operator));
        owed[s.payer] += s.deposit;
        (s.commitment, s.deposit) = (0, 0); // the payer stays: no second bid
        if (!a.revealed) {
            a.revealed = true;
            a.beacon = uint160(uint256(keccak256(abi.encode(block.prevrandao, jobId))));
        }
        emit BidRevealed(jobId, operator, price);
        if (price <= j.maxPrice && _leads(a, operator, price)) _lead(j, a, operator, price);
    }

    function awardAuction(uint64 jobId) external {
        Settings memory settings = _running();
        JobRecord storage j = _jobs[jobId];
        _requireOpen(jobId, j, Door.Auction);
        AuctionRecord storage a = _auctions[jobId];
        uint40 now_ = _clock(settings);
        require(now_ > a.revealUntil, AuctionRunning(jobId, a.revealUntil));
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
        AuctionRecord storage a = _auctions[jobId];
        require(clock() > a.revealUntil, AuctionRunning(jobId, a.revealUntil));
        address operator = _signedFor();
        SealedBid storage s = _sealed[jobId][operator];
        uint256 deposit = s.deposit;
        require(deposit > 0, NoSealedBid(jobId, operator));
        s.deposit = 0;
        uint256 kept = a.revealUntil == 0 ? 0 : deposit / UNREVEALED_LOSS;
        owed[_jobs[jobId].client] += kept;
        owed[s.payer] += deposit - kept;
        emit DepositTaken(jobId, operator, kept);
    }

    function auction(uint64 jobId) external view returns (Auction memory) {
        AuctionRecord storage a = _auctions[jobId];
        return Auction(a.commitUntil, a.revealUntil, a.commits, a.best, a.bestPrice);
    }

    function _openAuction(uint64 jobId, JobRecord storage j, uint40 now_) internal {
        Params storage p = _versions[j.version];
        AuctionRecord storage a = _auctions[jobId];
        a.commitUntil = now_ + p.commitWindow;
        a.revealUntil = a.commitUntil + p.revealWindow;
        require(j.deadline > a.revealUntil, DeadlineOver(j.deadline, a.revealUntil));
    }

    /// @dev The job is cancelled while its auction runs, or before it was awarded.
    function _endAuction(uint64 jobId, JobRecord storage j) internal {
        AuctionRecord storage a = _auctions[jobId];
        if (clock() <= a.revealUntil) a.revealUntil = 0; // nobody can reveal any more
        if (a.best != address(0)) _unlock(a.best, _startLock(j));
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
        (a.best, a.bestPrice) = (operator, uint256(price).toUint72());
        if (former != address(0)) _unlock(former, startLock);
        registry.lock(operator, startLock);
    }
}
