// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IClaimBook} from "./IClaimBook.sol";

/// @title Drawn verifiers, and whoever can prove that a claim is wrong.
/// @notice Two verifiers are drawn for each drawn segment, by the claim's seed, among operators that have enlisted. They fetch
/// source and renditions, compute the answer themselves and commit to its hash before the operator reveals its own.
/// A difference keeps nobody's money by itself: it tells everybody where to look, and who differs has to prove or dispute.
/// Epochs are those of the active set, stake is 1e-18 tokens, times are seconds of block.timestamp.
///
/// A verifier's seat: Drawn -attest-> Committed -revealAttestation-> Revealed; Drawn or Committed -reportAbsent-> Absent.
/// A demand for data: demand -publish-> Published; -slashWithheld-> the claim has ended.
interface IChallengeManager {
    enum Step {
        Leaf, // units and places, LeafStep
        Scale,
        ErrorSum,
        Header,
        Shape // the answer is not one to the ordered profile
    }

    enum SeatState {
        Drawn, // or not drawn at all
        Committed,
        Revealed,
        Absent
    }

    struct Params {
        uint128 verifierLock; // stake of an operator that enlists from now on
        uint16 absences; // of the last 20 seats that cost a tenth of its lock
        uint32 publishWindow; // to publish what verifiers miss, and then to look at it
    }

    struct Seat {
        address verifier; // 0 before it has attested or was reported
        SeatState state;
        bool paid;
        bool slashed;
        bytes32 commitment; // until revealed
        bytes32 digest; // once revealed
    }

    struct Verifier {
        address owner; // when it enlisted
        uint16 from; // first epoch in which it may be drawn; 0: not enlisted
        uint16 until; // first epoch in which it may no longer; 0: none
        uint24 absences; // of the last 20 seats that are over, a bit each, the last one lowest
        uint128 lock;
        uint40 freeAt; // takeLock, once resigned
    }

    /// What a verifier could not get: chunk `index` (16 KiB) of the source, or of rendition `rung`.
    struct Missing {
        bool source;
        uint8 rung; // without meaning for the source
        uint32 index;
    }

    event Enlisted(address indexed operator, uint256 fromEpoch, uint256 lock);
    event Resigned(address indexed operator, uint256 fromEpoch, uint40 freeAt);
    event LockTaken(address indexed operator, uint256 lock);
    event Attested(uint64 indexed claimId, uint256 slot, uint256 which, address indexed verifier);
    event AttestationRevealed(
        uint64 indexed claimId, uint256 slot, uint256 which, address indexed verifier, bytes32 digest
    );
    event RewardTaken(uint64 indexed claimId, uint256 slot, uint256 which, address indexed to, uint256 amount);
    event DataMissing(uint64 indexed claimId, uint256 slot, Missing missing, uint40 publishUntil);
    event AnswerMissing(uint64 indexed claimId, uint256 slot, bytes32 digest, uint40 publishUntil);
    event Published(uint64 indexed claimId, uint256 slot, uint40 heldUntil);
    event AnswerPublished(uint64 indexed claimId, uint256 slot, uint40 heldUntil);
    event Absent(uint64 indexed claimId, uint256 slot, uint256 which, address indexed verifier);
    event Reserved(bytes32 indexed ticket);
    event Proved(uint64 indexed claimId, uint256 slot, Step step, bytes32 fault, address finder);
    event Equivocated(uint64 indexed jobId, address indexed operator, uint64 seq, bytes32 fault, uint256 taken);
    event VerifierSlashed(address indexed verifier, uint256 taken);
    event ParamsChanged(Params params);

    error NotAdmin(address caller);
    error NotMarket(address caller);
    error ParamOutOfBounds(uint256 value, uint256 least, uint256 most);
    error AlreadyEnlisted(address operator);
    error NotEnlisted(address operator);
    error TooEarly(uint256 from);
    error TooLate(uint256 until);
    /// The claim is in a state in which this cannot be done. Settled, Missed and Slashed are final.
    error ClaimInState(uint64 claimId, IClaimBook.ClaimState state);
    error NoSuchSeat(uint256 slot, uint256 which);
    error NotDrawn(address verifier, address caller);
    error SeatInState(uint64 claimId, uint256 slot, uint256 which, SeatState state);
    error ZeroCommitment();
    error WrongReveal();
    error NothingToTake();
    error NotAnswered(uint64 claimId);
    /// The two verifiers of the slot have not both revealed that they miss this.
    error NotMissing(uint64 claimId, uint256 slot);
    /// The verifier revealed what the operator did.
    error NoDifference(bytes32 digest);
    error AlreadyDemanded(uint64 claimId, uint256 slot);
    error NothingDemanded(uint64 claimId, uint256 slot);
    /// This is not what is committed in the opened leaf, or not what was demanded.
    error NotThePiece();
    error StillHeld(uint64 claimId);
    error AlreadyReserved(bytes32 ticket);
    error NotItsJob(address operator, uint64 jobId);
    error NotItsKey(address operator, address signer);
    error OtherFault(bytes32 fault);
    error AlreadyPunished(address operator, uint64 jobId, uint64 seq);
    error NotProvedWrong(uint64 claimId, bytes32 digest);

    // ---- verifiers ----

    /// @notice Operator's signer: locks verifierLock; drawn from the next epoch on.
    function enlist() external;

    /// @notice Operator's signer: drawn no more from the next epoch on; the lock is free once no seat can be judged any more.
    /// Only then may it enlist again.
    function resign() external;

    /// @notice Anyone, from `freeAt` on.
    function takeLock(address operator) external;

    /// @notice A drawn verifier's signer, while Answered and up to attestUntil: keccak256(abi.encode(digest, salt, claimId, slot, which, verifier)).
    function attest(uint64 claimId, uint256 slot, uint256 which, bytes32 commitment) external;

    /// @notice Anyone who knows it, after attestUntil, up to revealUntil. A verifier that could not get a piece reveals missingDigest(missing).
    function revealAttestation(uint64 claimId, uint256 slot, uint256 which, bytes32 digest, bytes32 salt) external;

    /// @notice Anyone: pays a seat's part of the verifiers' share of a settled claim's fee: equal parts for all seats that revealed,
    /// rounded down. It goes to the verifier's owner if its digest is the operator's, or else to the admin.
    function takeReward(uint64 claimId, uint256 slot, uint256 which, IClaimBook.Answered calldata answered) external;

    /// @notice Anyone, after revealUntil while the draw can be repeated: this seat did not attest or not reveal.
    function reportAbsent(uint64 claimId, uint256 slot, uint256 which) external;

    // ---- what was not at hand ----

    /// @notice Anyone, once Revealed and up to contestUntil, once for each slot: both verifiers of the slot miss the same
    /// piece. Holds the claim.
    function demand(uint64 claimId, uint256 slot, Missing calldata missing) external;

    /// @notice Anyone, but first of all the operator, within publishWindow: the piece, and the way from it to the root in the
    /// opened leaf; or that there is no such piece. The claim is held for publishWindow more.
    /// @param proof ABI encoding of an EvidenceReader.Publication.
    function publish(uint64 claimId, uint256 slot, bytes calldata proof) external;

    /// @notice Anyone, once Revealed and up to contestUntil, once for each slot: verifier `which` revealed another digest
    /// than the operator, and so may need the operator's answer to prove it wrong. Holds the claim.
    function demandAnswer(uint64 claimId, uint256 slot, uint256 which, IClaimBook.Answered calldata answered) external;

    /// @notice Anyone, but first of all the operator, within publishWindow: what the digest is the hash of. The claim is held
    /// for publishWindow more.
    /// @param answer ABI encoding of an Answers.Answer.
    function publishAnswer(uint64 claimId, uint256 slot, bytes calldata answer) external;

    /// @notice Anyone, after publishWindow: the claim ends as Withheld.
    function slashWithheld(uint64 claimId, uint256 slot) external;

    /// @notice Anyone: nothing is demanded any more, and what was published could be looked at.
    function release(uint64 claimId) external;

    // ---- proofs ----

    /// @notice Reserves a finder's reward: keccak256(abi.encode(keccak256(evidence), finder)). It counts from the next block.
    function reserve(bytes32 ticket) external;

    /// @notice Anyone, while Revealed up to contestUntil, or longer while something holds the claim: one call that convicts.
    /// Without a ticket of an earlier block nothing is paid and all that is taken is burned: who copies a proof from the
    /// queue of transactions gains nothing.
    /// @param evidence That of the step's contract; for Header that of OrderedHeaderStep.
    function prove(
        uint64 claimId,
        uint256 slot,
        IClaimBook.Answered calldata answered,
        Step step,
        bytes calldata evidence,
        address finder
    ) external;

    /// @notice Anyone: two receipts that differ, or a receipt that differs from a claimed leaf. The evidence is EquivocationStep's;
    /// `signer` is the key that signed; for two receipts `claimId` is 0, and of the Accused's claim the job alone is set. A claim that is not over ends by it.
    function proveEquivocation(uint64 jobId, address signer, uint64 claimId, bytes calldata evidence, address finder)
        external;

    /// @notice Anyone: a verifier revealed the digest that was proved wrong. It loses its lock, half to the caller.
    function slashAttester(uint64 claimId, uint256 slot, uint256 which) external;

    // ---- the market alone ----

    /// @notice When a claim is settled: what its verifiers share, which is IClaimBook.verifiersPart.
    function deposit(uint64 claimId) external payable;

    // ---- governance ----

    /// @notice Within bounds; demands that run keep their time, and enlisted verifiers their lock.
    function setParams(Params calldata params) external;

    // ---- views ----

    /// @notice Who is drawn, or 0 when 8 draws fell on nobody fit: not enlisted for the claim's epoch, the claim's operator,
    /// of its owner (as both enlisted), or the slot's other verifier. Reverts once the draw can no longer be repeated, unless
    /// the seat was taken or reported.
    function verifierOf(uint64 claimId, uint256 slot, uint256 which) external view returns (address);
    function seat(uint64 claimId, uint256 slot, uint256 which) external view returns (Seat memory);
    function verifier(address operator) external view returns (Verifier memory);

    /// @notice Seats of the claim that revealed.
    function revealedCount(uint64 claimId) external view returns (uint256);

    /// @notice Wei for each seat that revealed; 0 until the claim is settled.
    function rewardOf(uint64 claimId) external view returns (uint256);

    /// @notice Last second of the time to publish, 0 if nothing is demanded.
    function publishUntil(uint64 claimId, uint256 slot, bool answer) external view returns (uint40);

    /// @notice Whether demands hold the claim, and at least until when if they do.
    function held(uint64 claimId) external view returns (bool yes, uint40 until);

    /// @notice First 20 bytes of the digest of the claim that was proved wrong, or 0. Where only the work was, and not what is
    /// said of it, it is 0.
    function wrongDigest(uint64 claimId) external view returns (bytes20);

    /// @notice The block in which it was reserved, or 0.
    function ticketBlock(bytes32 ticket) external view returns (uint256);
    function missingDigest(Missing calldata missing) external view returns (bytes32);
    function params() external view returns (Params memory);

    /// @notice Longest time by which demands can keep a claim beyond its contest window, over all parameters within the bounds.
    function longestHold() external view returns (uint32);

    /// @notice Longest time from a verifier's resignation to the last slash for one of its seats. For the stake registry.
    function reach() external view returns (uint32);
}
