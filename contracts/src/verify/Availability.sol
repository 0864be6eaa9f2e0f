// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IClaimBook} from "../interfaces/IClaimBook.sol";
import {IStakeRegistry} from "../interfaces/IStakeRegistry.sol";
import {Seats} from "./Seats.sol";

/// @title What is not at hand has to be published: bytes that both verifiers of a slot miss, and the answer behind a digest.
/// @dev The book holds a claim once for all its demands. Demands come up to contestUntil, each kind once for each slot, so a
/// claim is held for no more than two publishWindows after that.
abstract contract Availability is Seats {
    using SafeCast for uint256;

    mapping(uint64 claimId => mapping(uint256 slot => Demand)) private _bytes;
    mapping(uint64 claimId => mapping(uint256 slot => Demand)) private _digests;

    struct Demand {
        uint40 until; // last second to publish; 0: never demanded
        bool published;
        bytes32 what; // missingDigest, or the operator's digest
    }

    function demand(uint64 claimId, uint256 slot, Missing calldata missing) external {
        bytes32 what = missingDigest(missing);
        bool both = _revealed(claimId, slot, 0) == what && _revealed(claimId, slot, 1) == what;
        require(both, NotMissing(claimId, slot));
        _requireContestable(claimId, false);
        uint40 until = _open(_bytes[claimId][slot], claimId, slot, what);
        emit DataMissing(claimId, slot, missing, until);
    }

    function demandAnswer(uint64 claimId, uint256 slot, uint256 which, IClaimBook.Answered calldata answered) external {
        _requireAnswered(claimId, _requireContestable(claimId, false), answered);
        require(slot < answered.digests.length, NoSuchSeat(slot, which));
        (bytes32 digest, bytes32 other) = (answered.digests[slot], _revealed(claimId, slot, which));
        require(other != 0 && other != digest, NoDifference(other));
        uint40 until = _open(_digests[claimId][slot], claimId, slot, digest);
        emit AnswerMissing(claimId, slot, digest, until);
    }

    function publish(uint64 claimId, uint256 slot, bytes calldata proof) external {
        Demand storage d = _bytes[claimId][slot];
        _requireOpen(d, claimId, slot);
        bool piece = reader.isPiece(_answers(claimId), slot, d.what, proof);
        require(piece, NotThePiece());
        emit Published(claimId, slot, _close(d, claimId));
    }

    function publishAnswer(uint64 claimId, uint256 slot, bytes calldata answer) external {
        Demand storage d = _digests[claimId][slot];
        _requireOpen(d, claimId, slot);
        require(reader.digest(answer) == d.what, NotThePiece());
        emit AnswerPublished(claimId, slot, _close(d, claimId));
    }

    function slashWithheld(uint64 claimId, uint256 slot) external {
        bool any = _isDue(_bytes[claimId][slot]) || _isDue(_digests[claimId][slot]);
        require(any, NothingDemanded(claimId, slot));
        IStakeRegistry.Cut[] memory cuts = new IStakeRegistry.Cut[](1);
        cuts[0].to = msg.sender;
        book.punish(claimId, IClaimBook.Fault.Withheld, cuts);
    }

    function release(uint64 claimId) external {
        Docket storage d = _dockets[claimId];
        require(d.held && d.demands == 0, StillHeld(claimId));
        require(block.timestamp > d.heldUntil, TooEarly(uint256(d.heldUntil) + 1));
        d.held = false;
        book.letGo(claimId);
    }

    function publishUntil(uint64 claimId, uint256 slot, bool answer) external view returns (uint40) {
        Demand storage d = answer ? _digests[claimId][slot] : _bytes[claimId][slot];
        return d.published ? 0 : d.until;
    }

    function held(uint64 claimId) external view returns (bool yes, uint40 until) {
        return (_dockets[claimId].held, _dockets[claimId].heldUntil);
    }

    function _open(Demand storage d, uint64 claimId, uint256 slot, bytes32 what) private returns (uint40 until) {
        require(d.until == 0, AlreadyDemanded(claimId, slot));
        until = (block.timestamp + params().publishWindow).toUint40();
        (d.until, d.what) = (until, what);
        Docket storage docket = _dockets[claimId];
        docket.demands += 1;
        if (docket.held) return until;
        docket.held = true;
        book.hold(claimId);
    }

    function _requireOpen(Demand storage d, uint64 claimId, uint256 slot) private view {
        require(d.until != 0 && !d.published, NothingDemanded(claimId, slot));
        require(block.timestamp <= d.until, TooLate(d.until));
    }

    function _isDue(Demand storage d) private view returns (bool) {
        return d.until != 0 && !d.published && block.timestamp > d.until;
    }

    function _close(Demand storage d, uint64 claimId) private returns (uint40 heldUntil) {
        d.published = true;
        Docket storage docket = _dockets[claimId];
        heldUntil = (block.timestamp + params().publishWindow).toUint40();
        docket.demands -= 1;
        // Parameters may have changed between two publications.
        if (heldUntil < docket.heldUntil) heldUntil = docket.heldUntil;
        docket.heldUntil = heldUntil;
    }
}
