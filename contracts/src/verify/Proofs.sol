// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Answers} from "../steps/Answers.sol";
import {ClaimTree} from "../steps/ClaimTree.sol";
import {EquivocationStep} from "../steps/EquivocationStep.sol";
import {HeaderStep} from "../steps/HeaderStep.sol";
import {IStepVerifier} from "../steps/IStepVerifier.sol";
import {LeafStep} from "../steps/LeafStep.sol";
import {IClaimBook} from "../interfaces/IClaimBook.sol";
import {IProfileRegistry} from "../interfaces/IProfileRegistry.sol";
import {IStakeRegistry} from "../interfaces/IStakeRegistry.sol";
import {Availability} from "./Availability.sol";
import {Shape} from "./Shape.sol";

/// @title Proofs that one call settles: what the accused is bound to comes from the chain, the rest is the steps' matter.
/// @dev The evidence passes through as it came: its hash is the ticket's and a step alone decodes it.
abstract contract Proofs is Availability {
    using SafeCast for uint256;

    uint256 internal constant STAKE_PART = 20; // of the own stake that equivocation costs: one part in so many
    bytes32 private constant WRONG_ERROR = "wrong error"; // of ErrorSumStep
    bytes32 private constant CLAIMED_OTHERWISE = "claimed otherwise"; // of EquivocationStep

    IStepVerifier public immutable leafStep;
    IStepVerifier public immutable scaleStep;
    IStepVerifier public immutable errorSumStep;
    IStepVerifier public immutable headerStep;
    IStepVerifier public immutable equivocationStep;

    mapping(bytes32 ticket => uint256) public ticketBlock;
    mapping(bytes32 offence => bool) private _punished;

    struct Steps {
        IStepVerifier leaf;
        IStepVerifier scale;
        IStepVerifier errorSum;
        IStepVerifier header;
        IStepVerifier equivocation;
    }

    /// Evidence for Header: the answer and the profile say what a rendition's headers have to show.
    struct Headers {
        Answers.Answer answer;
        IProfileRegistry.Profile profile;
        uint8 rung;
        bytes evidence; // HeaderStep's
    }

    /// Evidence for Shape.
    struct Shapes {
        Answers.Answer answer;
        IProfileRegistry.Profile profile;
    }

    constructor(Steps memory steps) {
        (leafStep, scaleStep, errorSumStep) = (steps.leaf, steps.scale, steps.errorSum);
        (headerStep, equivocationStep) = (steps.header, steps.equivocation);
    }

    function reserve(bytes32 ticket) external {
        require(ticketBlock[ticket] == 0, AlreadyReserved(ticket)); // or else others could make it younger
        ticketBlock[ticket] = block.number;
        emit Reserved(ticket);
    }

    function prove(
        uint64 claimId,
        uint256 slot,
        IClaimBook.Answered calldata answered,
        Step step,
        bytes calldata evidence,
        address finder
    ) external {
        IClaimBook.Claim memory c = book.claimInfo(claimId);
        require(c.state == IClaimBook.ClaimState.Revealed, ClaimInState(claimId, c.state));
        require(block.timestamp <= c.contestUntil || c.holds > 0, TooLate(c.contestUntil));
        _requireAnswered(claimId, c.answers, answered);
        require(slot < answered.digests.length, NoSuchSeat(slot, 0));
        bytes32 digest = answered.digests[slot];

        bytes32 fault;
        if (step == Step.Scale) fault = scaleStep.prove(digest, evidence);
        else if (step == Step.ErrorSum) fault = errorSumStep.prove(digest, evidence);
        else if (step == Step.Leaf) fault = _leaf(c, claimId, slot, answered.openings[slot], digest, evidence);
        else if (step == Step.Header) fault = _header(c.jobId, digest, evidence);
        else fault = _shape(c.jobId, digest, evidence);

        if (_isOfTheDigest(step, fault)) wrongDigest[claimId] = digest;
        emit Proved(claimId, slot, step, fault, finder);
        book.punish(claimId, IClaimBook.Fault.Proof, _cuts(evidence, finder));
    }

    function proveEquivocation(uint64 jobId, address signer, uint64 claimId, bytes calldata evidence, address finder)
        external
    {
        EquivocationStep.Accused memory accused;
        (accused.domain, accused.operator, accused.claim.jobId) = (market.domainSeparator(), signer, jobId);
        IClaimBook.Claim memory c;
        if (claimId != 0) {
            c = book.claimInfo(claimId);
            accused.claim = _claim(c);
        }
        address operator = market.job(jobId).operator;
        bool its = operator != address(0) && (claimId == 0 || (c.jobId == jobId && c.operator == operator));
        require(its, NotItsJob(operator, jobId));
        require(_keys.answersFor(operator, signer), NotItsKey(operator, signer));

        bytes32 fault = equivocationStep.prove(keccak256(abi.encode(accused)), evidence);
        // Two receipts say nothing of a claim.
        require((fault == CLAIMED_OTHERWISE) == (claimId != 0), OtherFault(fault));
        uint64 seq = _segment(evidence);
        bytes32 offence = keccak256(abi.encode(operator, jobId, seq));
        require(!_punished[offence], AlreadyPunished(operator, jobId, seq));
        _punished[offence] = true;

        IStakeRegistry.Cut[] memory cuts = _cuts(evidence, finder);
        uint256 taken = claimId != 0 && _isRunning(c.state)
            ? book.punish(claimId, IClaimBook.Fault.Proof, cuts)
            : registry.slash(operator, _penalty(operator), 0, cuts, IStakeRegistry.Jail.Strike);
        emit Equivocated(jobId, operator, seq, fault, taken);
    }

    // ---- statements ----

    function _leaf(
        IClaimBook.Claim memory c,
        uint64 claimId,
        uint256 slot,
        bytes32 opening,
        bytes32 digest,
        bytes calldata evidence
    ) private view returns (bytes32) {
        LeafStep.Drawn memory drawn = LeafStep.Drawn({
            domain: market.domainSeparator(),
            client: market.job(c.jobId).client,
            claim: _claim(c),
            draw: book.draws(claimId)[slot],
            opening: opening,
            answer: digest
        });
        return leafStep.prove(keccak256(abi.encode(drawn)), evidence);
    }

    function _header(uint64 jobId, bytes32 digest, bytes calldata evidence) private view returns (bytes32) {
        Headers memory h = abi.decode(evidence, (Headers));
        _requireOrdered(jobId, digest, h.answer, h.profile);
        // A ladder of another length is a fault of its own.
        require(h.rung < h.answer.rungs.length && h.rung < h.profile.rungs.length, NoSuchRung(h.rung));
        IProfileRegistry.Rung memory rung = h.profile.rungs[h.rung];
        HeaderStep.Ordered memory ordered = HeaderStep.Ordered({
            content: h.answer.rungs[h.rung].content,
            profiles: rung.profiles,
            level: rung.level,
            width: rung.width,
            height: rung.height
        });
        return headerStep.prove(keccak256(abi.encode(ordered)), h.evidence);
    }

    function _shape(uint64 jobId, bytes32 digest, bytes calldata evidence) private view returns (bytes32 fault) {
        Shapes memory s = abi.decode(evidence, (Shapes));
        _requireOrdered(jobId, digest, s.answer, s.profile);
        fault = Shape.judge(s.answer, s.profile);
        require(fault != 0, NothingWrong());
    }

    function _requireOrdered(
        uint64 jobId,
        bytes32 digest,
        Answers.Answer memory answer,
        IProfileRegistry.Profile memory profile
    ) private view {
        bytes32 given = keccak256(abi.encode(answer));
        require(given == digest, OtherAnswer(given));
        given = keccak256(abi.encode(profile));
        require(given == market.job(jobId).profile, OtherProfile(given));
    }

    function _claim(IClaimBook.Claim memory c) private pure returns (ClaimTree.Claim memory) {
        return ClaimTree.Claim(c.jobId, c.first, c.count, c.totalUnits, c.root);
    }

    // ---- consequences ----

    /// @dev Whether the digest is false in itself. Everything else may be a true account of bad work, which an honest
    /// verifier gives as well.
    function _isOfTheDigest(Step step, bytes32 fault) private pure returns (bool) {
        return step == Step.Scale || step == Step.Shape || (step == Step.ErrorSum && fault == WRONG_ERROR);
    }

    function _cuts(bytes calldata evidence, address finder) private view returns (IStakeRegistry.Cut[] memory) {
        uint256 since = ticketBlock[keccak256(abi.encode(keccak256(evidence), finder))];
        bool counts = since != 0 && since < block.number;
        return counts ? _bounty(finder) : new IStakeRegistry.Cut[](0);
    }

    function _isRunning(IClaimBook.ClaimState state) private pure returns (bool) {
        return state != IClaimBook.ClaimState.None && state < IClaimBook.ClaimState.Settled;
    }

    function _penalty(address operator) private view returns (uint128) {
        IStakeRegistry.Operator memory o = registry.operatorInfo(operator);
        uint256 part = Math.ceilDiv(uint256(o.bonded) + o.thawing, STAKE_PART);
        return (book.params().minLock + part).toUint128();
    }

    /// @dev The number of the segment: both kinds of detail begin with the receipt that was signed.
    function _segment(bytes calldata evidence) private pure returns (uint64) {
        EquivocationStep.Evidence memory e = abi.decode(evidence, (EquivocationStep.Evidence));
        if (e.kind == EquivocationStep.Kind.TwoReceipts) return abi.decode(e.detail, (EquivocationStep.TwoReceipts)).a.seq;
        return abi.decode(e.detail, (EquivocationStep.ReceiptAndLeaf)).receipt.seq;
    }
}
