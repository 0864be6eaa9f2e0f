// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IStakeRegistry} from "./IStakeRegistry.sol";
import {Work} from "../lib/Work.sol";

/// @title Claims: how finished work becomes money, and what is lost when it was not done.
/// @notice A claim: Submitted -seal-> Sealed -answer-> Answered -reveal-> Revealed -settle-> Settled.
///   Submitted or Sealed past answerUntil, Answered past revealUntil: slashMissed -> Missed.
///   Not over and proved or judged wrong: punish -> Slashed.
/// Each claim reserves its fee and locks its collateral when submitted, and gives both up exactly once, when it ends.
/// Times are seconds of block.timestamp, fixed by the parameters of the moment the claim was made.
interface IClaimBook {
    enum ClaimState {
        None,
        Submitted,
        Sealed,
        Answered,
        Revealed,
        Settled,
        Missed,
        Slashed
    }

    enum Fault {
        Proof, // S2: lock and 5 % of the operator's own stake, a strike
        Verdict, // S3: the lock, a short jail
        Withheld // S1: the lock: 40 % to the client, 10 % to the caller
    }

    struct Params {
        uint16 seedDelay; // blocks from the claim to the block whose randomness draws
        uint32 preimageWindow; // without the client's preimage a claim is sealed only after it
        uint32 answerWindow; // from the claim
        uint32 attestWindow; // from the answer
        uint32 revealWindow; // then
        uint32 contestWindow; // then
        uint128 minLock; // this and the next in millionths of a token
        uint128 verifierLock; // of each drawn segment, what verifying it twice is worth in stake
        uint64 lockNum; // stake for a wei of fee: lockNum / lockDen; half of it for claims of longClaim segments and more
        uint64 lockDen;
        uint16 verifierShare; // of a fee, in 1e-4, to those who verified it
    }

    struct Claim {
        uint64 jobId;
        address client;
        address operator;
        uint64 first;
        uint32 count;
        uint64 totalUnits;
        bytes32 root; // keccak256(abi.encode(top of the tree, client, operator))
        ClaimState state;
        uint16 drawn; // how many segments
        uint128 fee;
        uint128 lock;
        uint64 seedBlock; // 0 once answered
        bytes32 seed; // 80 bits; 0 until sealed
        uint16 epoch; // in which it was made; verifiers are drawn by its weights
        uint40 answerUntil; // last second for each
        uint40 attestUntil; // these are 0 until answered
        uint40 revealUntil;
        uint40 contestUntil;
        uint8 holds; // disputes and demands that keep it from being settled, at most 15 of each
        bytes32 answers; // see answer and reveal
    }

    /// What was answered and revealed for all drawn segments, in order; the book keeps the hash of it alone.
    struct Answered {
        bytes32[] openings; // hash of each Work.Opening
        bytes32[] digests; // commitments, once revealed the digests
    }

    /// @dev `root` as it was given, not bound. What follows from the job's price and the parameters is in claimInfo.
    event ClaimSubmitted(
        uint64 indexed claimId,
        uint64 indexed jobId,
        address indexed operator,
        uint32 count,
        bytes32 root,
        uint64 totalUnits
    );
    event ClaimSealed(uint64 indexed claimId, bytes32 seed);
    event ClaimAnswered(uint64 indexed claimId, bytes32[] openings, bytes32[] commitments);
    event ClaimRevealed(uint64 indexed claimId, bytes32[] digests);
    event ClaimSettled(uint64 indexed claimId, address indexed operator, uint256 fee);
    event ClaimMissed(uint64 indexed claimId, address indexed operator, uint256 taken);
    event ClaimSlashed(uint64 indexed claimId, address indexed operator, Fault fault, uint256 taken);
    event ParamsChanged(uint16 version, Params params);

    error NotAdmin(address caller);
    error NotJudge(address caller);
    error NotOperator(uint64 jobId, address caller);
    error ParamOutOfBounds(uint256 value, uint256 least, uint256 most);
    error BadBounds();
    error BadCount(uint256 count, uint256 limit);
    error ZeroUnits();
    error ClaimNotInState(uint64 claimId, ClaimState state);
    error TooEarly(uint64 claimId, uint256 last); // second or block that has to be over
    error TooLate(uint64 claimId, uint256 last); // second that is over
    error EarlierClaimUnsealed(uint64 claimId, uint64 earlier);
    error PreimageTooLate(uint64 claimId, uint256 last);
    error WrongLength(uint64 claimId, uint256 expected, uint256 given);
    error OpeningOutsideClaim(uint64 jobId, uint64 seq);
    error NotInClaim(uint64 jobId, uint64 seq); // not its leaf, not ordered by its client, or not opened by its operator
    error DrawNotCovered(uint64 seq, uint64 drawn, uint64 offset, uint64 units);
    error NotWhatWasAnswered(uint64 claimId);
    error WrongReveal(uint64 claimId, uint256 slot);
    error Held(uint64 claimId, uint256 holds);
    error NotHeld(uint64 claimId, address judge);

    /// @notice Operator: asks payment for segments [first, first + count) of a job, which start at its nextSeq.
    /// @param root Top of their tree. The book keeps it bound to the client and the operator.
    /// @return claimId jobId << 32 | first.
    function claim(uint64 jobId, uint64 first, uint32 count, bytes32 root, uint64 totalUnits)
        external
        returns (uint64 claimId);

    /// @notice Anyone, after seedBlock, up to answerUntil: seed = the lowest 80 bits of
    /// keccak256(abi.encode(prevrandao of seedBlock, preimage, claimId)).
    /// The claims of a job are sealed in their order, so that nobody chooses which link of the chain goes into which claim;
    /// one that was not sealed in time keeps up those behind it to its answerUntil.
    /// @param header RLP of seedBlock's header, which the chain's history of hashes proves.
    /// @param preimage Next link of the client's hash chain up to preimageWindow after the claim, 0 later or without a chain.
    function seal(uint64 claimId, bytes calldata header, bytes32 preimage) external;

    /// @notice Operator, up to answerUntil: opens the drawn segments, opening j covering unit draws(claimId)[j], and commits
    /// to what it says of each: keccak256(abi.encode(digest, salt, claimId, j, operator)).
    /// The book keeps keccak256(abi.encode(Answered(hashes of the openings, commitments))), a hash being
    /// keccak256(abi.encode(Work.Opening)).
    /// @param openings One behind the other without padding, big-endian: place in the claim 2 bytes, srcRoot 32, outRoot 32,
    /// units 8, outBytes 8, srcBytes 8, durationMs 4, the client's signature 65, and for each level hash 32 and sum 8.
    function answer(uint64 claimId, bytes calldata openings, bytes32[] calldata commitments) external;

    /// @notice Operator, after attestUntil, up to revealUntil: the digests, each the hash of an Answers.Answer.
    /// The book keeps keccak256(abi.encode(Answered(hashes of the openings, digests))).
    function reveal(uint64 claimId, Answered calldata answered, bytes32[] calldata digests, bytes32[] calldata salts)
        external;

    /// @notice Anyone, after contestUntil, while nothing holds it: pays the fee and frees the collateral.
    function settle(uint64 claimId) external;

    /// @notice Anyone: no answer or no reveal in time. 40 % of the lock to the client, 10 % to the caller, the rest is burned.
    function slashMissed(uint64 claimId) external;

    // ---- judges alone: the challenge manager and the dispute game ----

    /// @notice Up to contestUntil: keeps a Revealed claim from being settled. At most 15 holds of each judge at a time.
    function hold(uint64 claimId) external;

    /// @notice Gives up one hold of the caller's. Of a claim that is over there are none, and nothing happens.
    function letGo(uint64 claimId) external;

    /// @notice Ends a claim that is not over: takes what the fault costs, gives the fee back to the escrow.
    /// @param cuts Shares of what is taken, half of it at most; without meaning for Withheld, but for cuts[0].to, the caller.
    function punish(uint64 claimId, Fault fault, IStakeRegistry.Cut[] calldata cuts) external returns (uint256 taken);

    // ---- governance ----

    /// @notice Within bounds; claims that were made before keep theirs.
    function setParams(Params calldata params) external;

    // ---- views ----

    function claimInfo(uint64 claimId) external view returns (Claim memory);

    /// @notice Who is paid for it; cheaper than claimInfo, and of a claim that was never made as well.
    function operatorOf(uint64 claimId) external view returns (address);

    /// @notice What of it decides whether and until when its answers can be contested; cheaper than claimInfo.
    function contest(uint64 claimId) external view returns (ClaimState state, uint40 until, uint8 held, bytes32 answers);

    /// @notice The same, and what the claim has locked while it is Revealed.
    function contestAndLock(uint64 claimId)
        external
        view
        returns (ClaimState state, uint40 until, uint8 held, bytes32 answers, uint128 lock);

    /// @notice The drawn unit offsets: keccak256(abi.encode(seed, j)) % totalUnits. Reverts until sealed.
    function draws(uint64 claimId) external view returns (uint64[] memory);

    /// @notice Reverts unless this is what the claim's `answers` is the hash of.
    function requireAnswered(uint64 claimId, Answered calldata answered) external view;
    function params() external view returns (Params memory);

    /// @notice Wei of a Settled claim's fee that those share who verified it, if any revealed; 0 in other states.
    function verifiersPart(uint64 claimId) external view returns (uint128);

    /// @notice Longest time from a lock to the last slash, over all parameters within the bounds. For the stake registry.
    function reach() external view returns (uint32);
    function segmentDigest(uint64 jobId, uint64 seq, bytes32 srcRoot, uint64 srcBytes, uint32 durationMs)
        external
        view
        returns (bytes32);
    function receiptDigest(Work.Receipt calldata receipt) external view returns (bytes32);
}
