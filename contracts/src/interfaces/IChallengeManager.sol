// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Answers} from "../steps/Answers.sol";
import {IClaimBook} from "./IClaimBook.sol";
import {IProfileRegistry} from "./IProfileRegistry.sol";

/// @title Drawn verifiers, and whoever can prove that a claim is wrong.
/// @notice Two verifiers are drawn for each drawn segment, by the claim's seed, among operators that have enlisted. They fetch
/// source and renditions, compute the answer themselves and commit to its hash before the operator reveals its own.
/// A difference keeps nobody's money by itself: it tells everybody where to look, and who differs has to prove or dispute.
///
/// A verifier's seat: Drawn -attest-> Committed -revealAttestation-> Revealed (agrees, differs or misses data) or Absent.
interface IChallengeManager {
    enum Step {
        Leaf, // units and places, LeafStep
        Scale,
        ErrorSum,
        Header,
        Shape // the answer is not one to the ordered profile
    }

    struct Params {
        uint128 verifierLock; // stake of an enlisted operator
        uint16 absences; // of the last 20 seats that cost a tenth of verifierLock
        uint32 publishWindow; // to publish what verifiers miss
    }

    struct Seat {
        address verifier;
        bytes32 commitment;
        bool revealed;
        bytes32 digest;
    }

    /// What a verifier could not get: chunk `index` (16 KiB) of the source, or of rendition `rung`.
    struct Missing {
        bool source;
        uint8 rung;
        uint32 index;
    }

    event Enlisted(address indexed operator, uint256 fromEpoch);
    event Resigned(address indexed operator, uint256 fromEpoch);
    event Attested(uint64 indexed claimId, uint256 slot, uint256 which, address indexed verifier);
    event AttestationRevealed(uint64 indexed claimId, uint256 slot, uint256 which, bytes32 digest, bool agrees);
    event DataMissing(uint64 indexed claimId, uint256 slot, Missing missing, uint40 publishUntil);
    event Published(uint64 indexed claimId, uint256 slot);
    event Absent(uint64 indexed claimId, uint256 slot, uint256 which, address indexed verifier);
    event Proved(uint64 indexed claimId, uint256 slot, Step step, bytes32 fault, address finder);
    event Equivocated(uint64 indexed jobId, address indexed operator, uint64 seq, uint256 taken);
    event VerifierSlashed(address indexed verifier, uint256 taken);

    // ---- verifiers ----

    /// @notice Operator's signer: locks verifierLock; drawn from the next epoch on.
    function enlist() external;

    /// @notice Operator's signer: drawn no more from the next epoch on; the lock is free once no seat can be judged any more.
    function resign() external;
    function takeLock(address operator) external;

    /// @notice A drawn verifier's signer, while Answered and up to attestUntil: keccak256(abi.encode(digest, salt, claimId, slot, which, verifier)).
    function attest(uint64 claimId, uint256 slot, uint256 which, bytes32 commitment) external;

    /// @notice After attestUntil, up to revealUntil. A verifier that could not get a piece reveals missingDigest(missing).
    function revealAttestation(uint64 claimId, uint256 slot, uint256 which, bytes32 digest, bytes32 salt) external;

    /// @notice A verifier's part of the verifiers' share of a settled claim's fee: equal parts for all that revealed.
    function takeReward(uint64 claimId, uint256 slot, uint256 which) external;

    /// @notice Anyone, after revealUntil while the draw can be repeated: this seat did not attest or not reveal.
    function reportAbsent(uint64 claimId, uint256 slot, uint256 which) external;

    // ---- what was not at hand ----

    /// @notice Anyone, within the contest window: both verifiers of the slot miss the same piece. Holds the claim.
    function demand(uint64 claimId, uint256 slot, Missing calldata missing) external;

    /// @notice Operator, within publishWindow: the piece, and the way from it to the root in the opened leaf.
    function publish(uint64 claimId, uint256 slot, bytes calldata proof) external;

    /// @notice Anyone, after publishWindow: the claim ends as Withheld.
    function slashWithheld(uint64 claimId, uint256 slot) external;

    // ---- proofs ----

    /// @notice Reserves a finder's reward: keccak256(abi.encode(keccak256(evidence), finder)). It counts from the next block.
    function reserve(bytes32 ticket) external;

    /// @notice Anyone, from the reveal to the end of the contest window: one call that convicts. Without a ticket of an earlier block
    /// nothing is paid and all that is taken is burned: who copies a proof from the queue of transactions gains nothing.
    function prove(
        uint64 claimId,
        uint256 slot,
        IClaimBook.Answered calldata answered,
        Step step,
        bytes calldata evidence,
        address finder
    ) external;

    /// @notice Anyone: two receipts that differ, or a receipt that differs from a claimed leaf. The evidence is EquivocationStep's;
    /// `signer` is the key that signed, `claimId` is 0 for two receipts.
    function proveEquivocation(uint64 jobId, address signer, uint64 claimId, bytes calldata evidence, address finder)
        external;

    /// @notice Anyone: a verifier revealed the digest that was proved wrong. It loses its lock, half to the caller.
    function slashAttester(uint64 claimId, uint256 slot, uint256 which) external;

    // ---- views ----

    /// @notice Who is drawn, or 0 when 8 draws fell on nobody fit: not enlisted, the claim's operator, of its owner, or the
    /// slot's other verifier.
    function verifierOf(uint64 claimId, uint256 slot, uint256 which) external view returns (address);
    function seat(uint64 claimId, uint256 slot, uint256 which) external view returns (Seat memory);
    function missingDigest(Missing calldata missing) external pure returns (bytes32);
    function params() external view returns (Params memory);

    /// @notice How many of the claim's seats have revealed.
    function revealedCount(uint64 claimId) external view returns (uint256);

    /// @notice Longest time by which demands keep a claim beyond its contest window, over all parameters within the bounds.
    function longestHold() external view returns (uint32);

    /// @notice The market alone, when a claim is settled: what its verifiers share, which is IClaimBook.verifiersPart.
    function deposit(uint64 claimId) external payable;
}
