// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IChallengeManager} from "../interfaces/IChallengeManager.sol";
import {IDisputeGame} from "../interfaces/IDisputeGame.sol";
import {IJobMarket} from "../interfaces/IJobMarket.sol";
import {IStakeRegistry} from "../interfaces/IStakeRegistry.sol";
import {BlockHeader} from "../lib/BlockHeader.sol";
import {MerkleSum} from "../lib/MerkleSum.sol";
import {SignedTypes} from "../lib/SignedTypes.sol";
import {Work} from "../lib/Work.sol";
import {ClaimBase} from "./ClaimBase.sol";
import {ClaimFaults} from "./ClaimFaults.sol";
import {ClaimHead, Head} from "./ClaimHead.sol";
import {ClaimParams} from "./ClaimParams.sol";
import {Openings} from "./Openings.sol";

/// @title The claim book: see IClaimBook for the rules. This file is the way of a claim that goes well.
/// @dev Holds no coins and no stake: fees are the market's, locks the registry's. State is written before either is called,
/// and neither calls back.
contract ClaimBook is ClaimFaults {
    using SafeCast for uint256;

    uint32 public constant MAX_COUNT = 4096;

    /// @dev What the market says of a new claim.
    struct Reserved {
        address client;
        address operator;
        uint128 fee;
        uint8 k;
        uint32 before;
        uint256 drawn;
    }

    constructor(
        IJobMarket market_,
        IStakeRegistry registry_,
        address challenges_,
        address game_,
        address admin_,
        Params memory first,
        Params memory least,
        Params memory most
    ) ClaimParams(admin_, first, least, most) ClaimBase(market_, registry_) ClaimFaults(challenges_, game_) {}

    // ---- claim ----

    function claim(uint64 jobId, uint64 first, uint32 count, bytes32 root, uint64 totalUnits)
        external
        returns (uint64 claimId)
    {
        require(count > 0 && count <= MAX_COUNT, BadCount(count, MAX_COUNT));
        require(totalUnits > 0, ZeroUnits());
        Reserved memory r;
        (r.client, r.operator, r.fee, r.k, r.before) = market.reserve(jobId, first, count, totalUnits);
        claimId = jobId << 32 | first; // the market knows no job and no segment beyond 32 bits
        r.drawn = _drawn(count, r.k);
        Lock memory l = _latest;
        uint40 seedBlock = (block.number + l.seedDelay).toUint40();
        Head h = ClaimHead.submitted(totalUnits, count, r.before, r.drawn, l.version);
        _claims[claimId].head = h.claimed(seedBlock, block.timestamp.toUint40(), l.answerWindow);
        _claims[claimId].root = MerkleSum.bound(root, r.client, r.operator);
        emit ClaimSubmitted(claimId, jobId, r.operator, count, root, totalUnits);
        bool signs = registry.lockSigned(r.operator, msg.sender, _lockOf(l, r.fee, count, r.drawn));
        require(signs, NotOperator(jobId, msg.sender));
    }

    // ---- seal ----

    function seal(uint64 claimId, bytes calldata header, bytes32 preimage) external {
        Head h = _requireState(claimId, ClaimState.Submitted);
        require(block.number > h.seedBlock(), TooEarly(claimId, h.seedBlock()));
        _requireBy(claimId, h.answerUntil());
        _requireInOrder(claimId, h.before());
        uint256 preimageUntil = h.claimedAt() + _terms[h.version()].preimageWindow;
        bytes32 seed = _seed(BlockHeader.prevrandao(header, h.seedBlock()), preimage, claimId);
        _claims[claimId].word = seed;
        emit ClaimSealed(claimId, seed);
        // Within the window with the link and behind it without: at no time is there a choice of two seeds.
        if (block.timestamp <= preimageUntil) market.popSeed(_jobOf(claimId), preimage);
        else require(preimage == 0, PreimageTooLate(claimId, preimageUntil));
    }

    /// @dev As many bits as the head has room for once it is answered. Nobody chooses any of them, so what matters is that
    /// they cannot be foreseen.
    function _seed(uint256 random, bytes32 preimage, uint64 claimId) private pure returns (bytes32) {
        return bytes32(uint256(uint80(uint256(keccak256(abi.encode(random, preimage, claimId))))));
    }

    /// @dev The job's previous claim has its seed, or can never have one. So who holds a link of the client's chain cannot try
    /// it on several claims.
    function _requireInOrder(uint64 claimId, uint16 before) private view {
        if (before == 0) return;
        Record storage earlier = _claims[claimId - before];
        Head p = earlier.head;
        if (p.state() != ClaimState.Submitted || block.timestamp > p.answerUntil()) return;
        require(earlier.word != 0, EarlierClaimUnsealed(claimId, claimId - before));
    }

    // ---- answer and reveal ----

    function answer(uint64 claimId, bytes calldata openings, bytes32[] calldata commitments) external {
        Record storage c = _claims[claimId];
        (Head h, bytes32 seed) = (c.head, c.word);
        bool sealed_ = h.state() == ClaimState.Submitted && seed != 0;
        require(sealed_, ClaimNotInState(claimId, _stateOf(c, h)));
        _requireBy(claimId, h.answerUntil());
        _requireLength(claimId, h.drawn(), commitments.length);

        Openings.Claimed memory claimed = Openings.Claimed({
            domain: SignedTypes.domain(address(market)),
            operator: keys.operatorOf(msg.sender), // or somebody, whose root it is not
            claimId: claimId,
            count: h.count(),
            totalUnits: h.totalUnits(),
            root: c.root,
            seed: seed
        });
        bytes32[] memory hashes = Openings.check(claimed, openings, commitments.length);
        c.head = h.answered(block.timestamp.toUint40(), uint80(uint256(seed)));
        c.word = keccak256(abi.encode(Answered(hashes, commitments)));
        emit ClaimAnswered(claimId, hashes, commitments);
    }

    function reveal(uint64 claimId, Answered calldata answered, bytes32[] calldata digests, bytes32[] calldata salts)
        external
    {
        Head h = _requireState(claimId, ClaimState.Answered);
        _requireAfter(claimId, _attestUntil(h));
        _requireBy(claimId, _revealUntil(h));
        _requireLength(claimId, h.drawn(), digests.length);
        _requireLength(claimId, h.drawn(), salts.length);
        address operator = operatorOf(claimId);
        _requireSigner(claimId, operator);
        requireAnswered(claimId, answered);
        for (uint256 j = 0; j < digests.length; ++j) {
            bytes32 commitment = keccak256(abi.encode(digests[j], salts[j], claimId, j, operator));
            require(commitment == answered.digests[j], WrongReveal(claimId, j));
        }
        _claims[claimId].head = h.to(ClaimState.Revealed);
        _claims[claimId].word = keccak256(abi.encode(Answered(answered.openings, digests)));
        emit ClaimRevealed(claimId, digests);
    }

    /// @dev A replaced key signs for nobody.
    function _requireSigner(uint64 claimId, address operator) private view {
        require(keys.operatorOf(msg.sender) == operator, NotOperator(_jobOf(claimId), msg.sender));
    }

    function _requireLength(uint64 claimId, uint256 expected, uint256 given) private pure {
        require(given == expected, WrongLength(claimId, expected, given));
    }

    // ---- settle ----

    function settle(uint64 claimId) external {
        Head h = _requireState(claimId, ClaimState.Revealed);
        _requireAfter(claimId, _contestUntil(h));
        require(h.holds() == 0, Held(claimId, _sum(h.holds())));
        _claims[claimId].head = h.to(ClaimState.Settled);
        Stakes memory s = _stakes(claimId, h);
        bool verified = IChallengeManager(challenges).revealedCount(claimId) > 0;
        emit ClaimSettled(claimId, s.operator, s.fee);
        try registry.release(s.operator, s.lock) {}
        catch (bytes memory why) {
            _requireEnded(why);
        }
        market.pay(_jobOf(claimId), claimId, s.fee, verified ? _verifiersPart(h, s.fee) : 0);
    }

    // ---- views ----

    function claimInfo(uint64 claimId) external view returns (Claim memory out) {
        Record storage c = _claims[claimId];
        Head h = c.head;
        if (h.state() == ClaimState.None) return out;
        (address client, address operator, uint96 price) = market.parties(_jobOf(claimId));
        Stakes memory s = _worth(h, operator, price);
        (out.jobId, out.first, out.count) = (_jobOf(claimId), _firstOf(claimId), h.count());
        (out.client, out.operator, out.fee, out.lock) = (client, operator, s.fee, s.lock);
        (out.totalUnits, out.root, out.seed, out.answers) = (h.totalUnits(), c.root, _seedOf(c, h), _answersOf(c, h));
        (out.state, out.drawn, out.holds, out.epoch) = (_stateOf(c, h), h.drawn(), _sum(h.holds()), _epochOf(h));
        out.answerUntil = h.claimedAt() + _terms[h.version()].lock.answerWindow;
        if (!h.wasAnswered()) {
            out.seedBlock = h.seedBlock();
            return out;
        }
        (out.attestUntil, out.revealUntil, out.contestUntil) = (_attestUntil(h), _revealUntil(h), _contestUntil(h));
    }

    function operatorOf(uint64 claimId) public view returns (address operator) {
        (operator,) = market.assignment(_jobOf(claimId));
    }

    function contest(uint64 claimId)
        external
        view
        returns (ClaimState state, uint40 until, uint8 held, bytes32 answers)
    {
        Record storage c = _claims[claimId];
        return _contest(c, c.head);
    }

    function contestAndLock(uint64 claimId)
        external
        view
        returns (ClaimState state, uint40 until, uint8 held, bytes32 answers, uint128 lock)
    {
        Record storage c = _claims[claimId];
        Head h = c.head;
        (state, until, held, answers) = _contest(c, h);
        if (state == ClaimState.Revealed) lock = _stakes(claimId, h).lock;
    }

    function _contest(Record storage c, Head h) private view returns (ClaimState, uint40 until, uint8, bytes32) {
        if (h.wasAnswered()) until = _contestUntil(h);
        return (_stateOf(c, h), until, _sum(h.holds()), _answersOf(c, h));
    }

    function draws(uint64 claimId) external view returns (uint64[] memory out) {
        Record storage c = _claims[claimId];
        Head h = c.head;
        bytes32 seed = _seedOf(c, h);
        require(seed != 0, ClaimNotInState(claimId, h.state()));
        out = new uint64[](h.drawn());
        for (uint256 j = 0; j < out.length; ++j) {
            out[j] = Openings.drawn(seed, j, h.totalUnits());
        }
    }

    function requireAnswered(uint64 claimId, Answered calldata answered) public view {
        bytes32 given = keccak256(abi.encode(answered));
        Record storage c = _claims[claimId];
        require(given == _answersOf(c, c.head), NotWhatWasAnswered(claimId));
    }

    function verifiersPart(uint64 claimId) external view returns (uint128) {
        Head h = _claims[claimId].head;
        if (h.state() != ClaimState.Settled) return 0;
        return _verifiersPart(h, _stakes(claimId, h).fee);
    }

    function reach() external view returns (uint32) {
        uint256 judging = Math.max(IChallengeManager(challenges).longestHold(), IDisputeGame(game).reach());
        return (_windows + judging).toUint32();
    }

    function segmentDigest(uint64 jobId, uint64 seq, bytes32 srcRoot, uint64 srcBytes, uint32 durationMs)
        external
        view
        returns (bytes32)
    {
        return _digest(SignedTypes.segment(jobId, seq, srcRoot, srcBytes, durationMs));
    }

    function receiptDigest(Work.Receipt calldata receipt) external view returns (bytes32) {
        return _digest(SignedTypes.receipt(receipt));
    }

    function _digest(bytes32 structHash) private view returns (bytes32) {
        return MessageHashUtils.toTypedDataHash(SignedTypes.domain(address(market)), structHash);
    }
}
