// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {IClaimBook} from "../interfaces/IClaimBook.sol";
import {Verifiers} from "./Verifiers.sol";

/// @title The seats of drawn verifiers: what they commit to and reveal, what they are paid, and what absence or a wrong
/// digest costs.
abstract contract Seats is Verifiers {
    mapping(uint64 claimId => mapping(uint256 place => StoredSeat)) private _seats; // place: SEATS * slot + which

    struct StoredSeat {
        address verifier;
        SeatState state;
        bool paid;
        bool slashed;
        bytes32 word; // the commitment, once revealed the digest
    }

    function attest(uint64 claimId, uint256 slot, uint256 which, bytes32 commitment) external {
        IClaimBook.Claim memory c = book.claimInfo(claimId);
        require(c.state == IClaimBook.ClaimState.Answered, ClaimInState(claimId, c.state));
        require(block.timestamp <= c.attestUntil, TooLate(c.attestUntil));
        require(commitment != 0, ZeroCommitment());
        StoredSeat storage s = _stored(claimId, slot, which);
        require(s.state == SeatState.Drawn, SeatInState(claimId, slot, which, s.state));
        address drawn = _drawn(claimId, c, slot, which);
        require(drawn != address(0) && _keys.operatorOf(msg.sender) == drawn, NotDrawn(drawn, msg.sender));
        (s.verifier, s.state, s.word) = (drawn, SeatState.Committed, commitment);
        emit Attested(claimId, slot, which, drawn);
    }

    function revealAttestation(uint64 claimId, uint256 slot, uint256 which, bytes32 digest, bytes32 salt) external {
        IClaimBook.Claim memory c = book.claimInfo(claimId);
        // Whatever became of the claim meanwhile: a verifier answers for what it committed to.
        require(block.timestamp > c.attestUntil, TooEarly(uint256(c.attestUntil) + 1));
        require(block.timestamp <= c.revealUntil, TooLate(c.revealUntil));
        StoredSeat storage s = _stored(claimId, slot, which);
        require(s.state == SeatState.Committed, SeatInState(claimId, slot, which, s.state));
        address operator = s.verifier;
        bytes32 commitment = keccak256(abi.encode(digest, salt, claimId, slot, which, operator));
        require(commitment == s.word, WrongReveal());
        (s.state, s.word) = (SeatState.Revealed, digest);
        _dockets[claimId].revealed += 1;
        _served(operator);
        emit AttestationRevealed(claimId, slot, which, operator, digest);
    }

    function reportAbsent(uint64 claimId, uint256 slot, uint256 which) external {
        IClaimBook.Claim memory c = book.claimInfo(claimId);
        require(c.attestUntil != 0, ClaimInState(claimId, c.state));
        require(block.timestamp > c.revealUntil, TooEarly(uint256(c.revealUntil) + 1));
        StoredSeat storage s = _stored(claimId, slot, which);
        address operator = s.verifier;
        if (s.state == SeatState.Drawn) {
            // A claim that ended early may not have left it the time to attest.
            require(c.state != IClaimBook.ClaimState.Slashed, ClaimInState(claimId, c.state));
            operator = _drawn(claimId, c, slot, which);
            require(operator != address(0), NoSuchSeat(slot, which));
            s.verifier = operator;
        } else {
            require(s.state == SeatState.Committed, SeatInState(claimId, slot, which, s.state));
            uint256 last = uint256(c.epoch) + 1;
            require(_set.epoch() <= last, TooLate(last));
        }
        s.state = SeatState.Absent;
        emit Absent(claimId, slot, which, operator);
        _missed(operator);
    }

    function slashAttester(uint64 claimId, uint256 slot, uint256 which) external {
        StoredSeat storage s = _stored(claimId, slot, which);
        bytes32 digest = s.word;
        bytes20 proved = wrongDigest(claimId);
        bool wrong = s.state == SeatState.Revealed && proved != 0 && bytes20(digest) == proved;
        require(wrong, NotProvedWrong(claimId, digest));
        address operator = s.verifier;
        Verifier storage v = _verifiers[operator];
        // The lock that backs this seat, and not one of a later enlistment.
        bool backed = !s.slashed && v.lock > 0 && _isEnlisted(v, book.claimInfo(claimId).epoch);
        require(backed, NothingToTake());
        s.slashed = true;
        _take(operator, v, v.lock, _bounty(msg.sender));
    }

    // ---- rewards ----

    function deposit(uint64) external payable {
        require(msg.sender == address(market), NotMarket(msg.sender)); // the book remembers how much
    }

    function takeReward(uint64 claimId, uint256 slot, uint256 which, IClaimBook.Answered calldata answered) external {
        StoredSeat storage s = _stored(claimId, slot, which);
        require(s.state == SeatState.Revealed && !s.paid, NothingToTake());
        uint256 amount = rewardOf(claimId);
        require(amount > 0, NothingToTake());
        _requireAnswered(claimId, _answers(claimId), answered);
        s.paid = true;
        // Who could be paid for any 32 bytes would verify nothing.
        address to = s.word == answered.digests[slot] ? registry.ownerOf(s.verifier) : admin;
        emit RewardTaken(claimId, slot, which, to, amount);
        Address.sendValue(payable(to), amount);
    }

    // ---- views ----

    function verifierOf(uint64 claimId, uint256 slot, uint256 which) external view returns (address) {
        address taken = _stored(claimId, slot, which).verifier;
        return taken != address(0) ? taken : _drawn(claimId, book.claimInfo(claimId), slot, which);
    }

    function seat(uint64 claimId, uint256 slot, uint256 which) public view returns (Seat memory out) {
        StoredSeat storage s = _stored(claimId, slot, which);
        (out.verifier, out.state, out.paid, out.slashed) = (s.verifier, s.state, s.paid, s.slashed);
        if (out.state == SeatState.Revealed) out.digest = s.word;
        else out.commitment = s.word;
    }

    function revealedCount(uint64 claimId) external view returns (uint256) {
        return _dockets[claimId].revealed;
    }

    function wrongDigest(uint64 claimId) public view returns (bytes20) {
        return _dockets[claimId].wrong;
    }

    function rewardOf(uint64 claimId) public view returns (uint256) {
        uint256 parts = _dockets[claimId].revealed;
        return parts == 0 ? 0 : book.verifiersPart(claimId) / parts;
    }

    function missingDigest(Missing calldata missing) public view returns (bytes32) {
        return reader.missingDigest(missing);
    }

    /// @dev What the seat's verifier has revealed; 0 if it has not.
    function _revealed(uint64 claimId, uint256 slot, uint256 which) internal view returns (bytes32) {
        StoredSeat storage s = _stored(claimId, slot, which);
        return s.state == SeatState.Revealed ? s.word : bytes32(0);
    }

    function _stored(uint64 claimId, uint256 slot, uint256 which) private view returns (StoredSeat storage) {
        require(which < SEATS, NoSuchSeat(slot, which));
        return _seats[claimId][SEATS * slot + which];
    }

    /// @dev Of a seat that nobody has taken.
    function _drawn(uint64 claimId, IClaimBook.Claim memory c, uint256 slot, uint256 which)
        private
        view
        returns (address)
    {
        require(c.seed != 0 && slot < c.drawn, NoSuchSeat(slot, which));
        if (which == 0) return _find(c, slot, 0, address(0));
        address other = _seats[claimId][SEATS * slot].verifier;
        return _find(c, slot, 1, other != address(0) ? other : _find(c, slot, 0, address(0)));
    }
}
