// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ClaimTree} from "../steps/ClaimTree.sol";
import {EquivocationStep} from "../steps/EquivocationStep.sol";
import {IStepVerifier} from "../steps/IStepVerifier.sol";
import {LeafStep} from "../steps/LeafStep.sol";
import {IClaimBook} from "../interfaces/IClaimBook.sol";
import {IStakeRegistry} from "../interfaces/IStakeRegistry.sol";
import {Availability} from "./Availability.sol";
import {OrderedAnswer} from "./OrderedAnswer.sol";

/// @title Proofs that one call settles: what the accused is bound to comes from the chain, the rest is the steps' matter.
/// @dev The evidence passes through as it came: its hash is the ticket's and a step alone decodes it.
abstract contract Proofs is Availability {
    bytes32 private constant WRONG_ERROR = "wrong error"; // of ErrorSumStep
    bytes32 private constant CLAIMED_OTHERWISE = "claimed otherwise"; // of EquivocationStep

    IStepVerifier public immutable leafStep;
    IStepVerifier public immutable scaleStep;
    IStepVerifier public immutable errorSumStep;
    IStepVerifier public immutable headerStep;
    IStepVerifier public immutable shapeStep;
    IStepVerifier public immutable equivocationStep;

    mapping(bytes32 ticket => uint256) public ticketBlock;
    mapping(bytes32 offence => bool) private _punished;

    struct Steps {
        IStepVerifier leaf;
        IStepVerifier scale;
        IStepVerifier errorSum;
        IStepVerifier header; // OrderedHeaderStep
        IStepVerifier shape;
        IStepVerifier equivocation;
    }

    constructor(Steps memory steps) {
        (leafStep, scaleStep, errorSumStep) = (steps.leaf, steps.scale, steps.errorSum);
        (headerStep, shapeStep, equivocationStep) = (steps.header, steps.shape, steps.equivocation);
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
        _requireAnswered(claimId, _requireContestable(claimId, true), answered);
        require(slot < answered.digests.length, NoSuchSeat(slot, 0));
        bytes32 digest = answered.digests[slot];

        bytes32 fault;
        if (step == Step.Scale) fault = scaleStep.prove(digest, evidence);
        else if (step == Step.ErrorSum) fault = errorSumStep.prove(digest, evidence);
        else if (step == Step.Leaf) fault = _leaf(claimId, slot, answered.openings[slot], digest, evidence);
        else if (step == Step.Header) fault = headerStep.prove(_ordered(claimId, digest), evidence);
        else fault = shapeStep.prove(_ordered(claimId, digest), evidence);

        if (_isOfTheDigest(step, fault)) _dockets[claimId].wrong = bytes20(digest);
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
        (, address operator,) = market.parties(jobId);
        bool its = operator != address(0) && (claimId == 0 || (c.jobId == jobId && c.operator == operator));
        require(its, NotItsJob(operator, jobId));
        require(_keys.answersFor(operator, signer), NotItsKey(operator, signer));

        bytes32 fault = equivocationStep.prove(keccak256(abi.encode(accused)), evidence);
        // Two receipts say nothing of a claim.
        require((fault == CLAIMED_OTHERWISE) == (claimId != 0), OtherFault(fault));
        uint64 seq = reader.segment(evidence);
        // A claim that is not over ends by it whatever was paid before: else two receipts made up for it would be its shield.
        require(_isFirst(operator, jobId, seq) || _isRunning(c.state), AlreadyPunished(operator, jobId, seq));

        IStakeRegistry.Cut[] memory cuts = _cuts(evidence, finder);
        uint256 taken =
            _isRunning(c.state) ? book.punish(claimId, IClaimBook.Fault.Proof, cuts) : _slash(operator, cuts);
        emit Equivocated(jobId, operator, seq, fault, taken);
    }

    function _isFirst(address operator, uint64 jobId, uint64 seq) private returns (bool first) {
        bytes32 offence = keccak256(abi.encode(operator, jobId, seq));
        first = !_punished[offence];
        _punished[offence] = true;
    }

    // ---- statements ----

    function _leaf(uint64 claimId, uint256 slot, bytes32 opening, bytes32 digest, bytes calldata evidence)
        private
        view
        returns (bytes32)
    {
        IClaimBook.Claim memory c = book.claimInfo(claimId);
        LeafStep.Drawn memory drawn = LeafStep.Drawn({
            domain: market.domainSeparator(),
            claim: _claim(c),
            draw: book.draws(claimId)[slot],
            opening: opening,
            answer: digest
        });
        return leafStep.prove(keccak256(abi.encode(drawn)), evidence);
    }

    /// @dev Of the job's profile and what was answered to it.
    function _ordered(uint64 claimId, bytes32 digest) private view returns (bytes32) {
        return OrderedAnswer.statement(digest, market.profileOf(claimId >> 32));
    }

    function _claim(IClaimBook.Claim memory c) private pure returns (ClaimTree.Claim memory) {
        return ClaimTree.Claim(c.jobId, c.client, c.operator, c.first, c.count, c.totalUnits, c.root);
    }

    // ---- consequences ----

    function _slash(address operator, IStakeRegistry.Cut[] memory cuts) private returns (uint256) {
        uint128 amount = reader.equivocationCost(registry, book, operator);
        return registry.slash(operator, amount, 0, cuts, IStakeRegistry.Jail.Strike);
    }

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
}
