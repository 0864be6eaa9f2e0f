// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Contents} from "./Contents.sol";
import {HeaderRlp} from "./HeaderRlp.sol";
import {MarketFixture} from "./MarketFixture.sol";
import {Packed} from "./Packed.sol";
import {StepVectors} from "./StepVectors.sol";
import {Tree} from "./Tree.sol";
import {IChallengeManager} from "../src/interfaces/IChallengeManager.sol";
import {IClaimBook} from "../src/interfaces/IClaimBook.sol";
import {IJobMarket} from "../src/interfaces/IJobMarket.sol";
import {IProfileRegistry} from "../src/interfaces/IProfileRegistry.sol";
import {Work} from "../src/lib/Work.sol";
import {ClaimBook} from "../src/market/ClaimBook.sol";
import {Answers} from "../src/steps/Answers.sol";
import {EquivocationStep} from "../src/steps/EquivocationStep.sol";
import {ErrorSumStep} from "../src/steps/ErrorSumStep.sol";
import {HeaderStep} from "../src/steps/HeaderStep.sol";
import {LeafStep} from "../src/steps/LeafStep.sol";
import {Pictures} from "../src/steps/Pictures.sol";
import {ScaleStep} from "../src/steps/ScaleStep.sol";
import {ChallengeManager} from "../src/verify/ChallengeManager.sol";
import {EvidenceReader} from "../src/verify/EvidenceReader.sol";
import {OrderedHeaderStep} from "../src/verify/OrderedHeaderStep.sol";
import {Proofs} from "../src/verify/Proofs.sol";
import {ShapeStep} from "../src/verify/ShapeStep.sol";
import {VerifyBase} from "../src/verify/VerifyBase.sol";

/// @dev A double of the dispute game: the book asks it for its reach, and tests hold claims as it.
contract GameDouble {
    uint32 public constant reach = 5 days;
}

/// @dev The whole market but for the dispute game: six enlisted verifiers, and an operator and a client whose keys the tests
/// hold.
abstract contract VerifyFixture is MarketFixture, StepVectors {
    address internal constant TIMELOCK = address(0x717E10C);
    uint64 internal constant UNITS = 1000; // of each segment
    uint128 internal constant VERIFIER_LOCK = 100e18;
    uint32 internal constant PUBLISH = 400;
    uint256 internal constant CROWD = 6;
    uint256 internal constant SOURCE_BYTES = 40_000;
    IClaimBook.Fault internal constant PROOF = IClaimBook.Fault.Proof;

    address internal immutable operator = rig(0);

    ClaimBook internal book;
    EvidenceReader internal reader;
    GameDouble internal game;
    Proofs.Steps internal steps;
    bytes32[] internal contents; // of the renditions
    bytes32 internal sourceRoot;
    uint40 internal jobTime = 365 days;

    mapping(uint64 => mapping(uint256 => bytes32)) internal digestOf; // where tests set another one
    mapping(uint64 => bytes32[]) internal openingHashes;
    mapping(uint64 => bytes32[]) internal digests;

    function setUp() public virtual override {
        vm.warp(2_000_000_000 / uint256(1 days) * 1 days + 1 hours);
        vm.roll(1000);
        deployStake(8);
        sourceRoot = Contents.root(Contents.fill(SOURCE_BYTES));
        contents.push(Contents.root(Contents.fill(100)));
        contents.push(Contents.root(Contents.fill(20_000)));
        deployMarket();
        profileId = profiles.add(profile());
        join(operator, 10 * MIN_SELF);
        for (uint256 i = 0; i < CROWD; ++i) {
            bond(op(i), 2 * MIN_SELF);
            vm.prank(op(i));
            challenges.enlist();
        }
        nextEpoch();
        pass(1 hours);
    }

    /// @dev Each knows the others before they are there: book, manager and market are made one after the other.
    function challengesAddress() internal override returns (address) {
        (game, reader, steps) = (new GameDouble(), new EvidenceReader(), newSteps());
        uint256 nonce = vm.getNonce(address(this));
        IJobMarket next = IJobMarket(vm.computeCreateAddress(address(this), nonce + 2));
        book = new ClaimBook(
            next,
            registry,
            vm.computeCreateAddress(address(this), nonce + 1),
            address(game),
            TIMELOCK,
            claimParams(),
            leastClaimParams(),
            mostClaimParams()
        );
        VerifyBase.Parts memory whole = VerifyBase.Parts(registry, next, book, reader, TIMELOCK);
        return address(new ChallengeManager(whole, steps, verifyParams(), verifyBounds()));
    }

    function bookAddress() internal view override returns (address) {
        return address(book);
    }

    function nameBook() internal override {
        vm.assertEq(address(book.market()), address(market));
        vm.assertEq(book.challenges(), address(challenges));
        registry.announceSlasher(address(book), book.reach());
        registry.announceSlasher(address(challenges), challenges.reach());
    }

    function newSteps() internal returns (Proofs.Steps memory out) {
        (out.leaf, out.scale, out.errorSum) = (new LeafStep(), new ScaleStep(), new ErrorSumStep());
        (out.header, out.shape) = (new OrderedHeaderStep(new HeaderStep()), new ShapeStep());
        out.equivocation = new EquivocationStep();
    }

    function verifyParams() internal pure returns (IChallengeManager.Params memory) {
        return IChallengeManager.Params(VERIFIER_LOCK, 3, PUBLISH);
    }

    function verifyBounds() internal pure returns (VerifyBase.Bounds memory) {
        return
            VerifyBase.Bounds(IChallengeManager.Params(10e18, 2, 100), IChallengeManager.Params(1000e18, 20, 12 hours));
    }

    function claimParams() internal pure virtual returns (IClaimBook.Params memory) {
        return IClaimBook.Params(3, 100, 1000, 500, 200, 800, 10e18, 5e18, 1000, 3, 200);
    }

    function leastClaimParams() internal pure returns (IClaimBook.Params memory) {
        return IClaimBook.Params(1, 50, 400, 200, 100, 300, 1e18, 1e18, 1, 1, 0);
    }

    function mostClaimParams() internal pure returns (IClaimBook.Params memory) {
        return IClaimBook.Params(64, 400, 8 hours, 12 hours, 4 hours, 36 hours, 100e18, 1000e18, 1e9, 1e9, 500);
    }

    // ---- orders and answers ----

    function limits() internal pure returns (Answers.Limits memory) {
        return Answers.Limits(1000, 2000, 3000, 4000, 5000, 6000);
    }

    function profile() internal pure returns (IProfileRegistry.Profile memory p) {
        (p.filter, p.cascade, p.ladder) = (1, true, "ladder");
        p.rungs = new IProfileRegistry.Rung[](2);
        p.rungs[0] = IProfileRegistry.Rung(1280, 720, 1 << 100, 31, 1e6, limits());
        p.rungs[1] = IProfileRegistry.Rung(640, 360, 1 << 66, 30, 1e5, limits());
    }

    /// @dev Every rung decodes to one picture, so that a segment's units are those of two.
    function answer() internal pure returns (Answers.Answer memory a) {
        (a.source, a.filter, a.cascade) = ("source", 1, true);
        a.rungs = new Answers.Rung[](2);
        for (uint256 i = 0; i < 2; ++i) {
            Answers.Rung memory rung = a.rungs[i];
            (rung.width, rung.height) = i == 0 ? (uint32(1280), uint32(720)) : (uint32(640), uint32(360));
            (rung.content, rung.scaled, rung.errors) = (bytes32("content"), bytes32("scaled"), bytes32("errors"));
            rung.decoded = Pictures.segmentRoot(1, "top");
            rung.limits = keccak256(abi.encode(limits()));
        }
    }

    function digestFor(Answers.Answer memory a) internal pure returns (bytes32) {
        return keccak256(abi.encode(a));
    }

    // ---- claims ----

    function openJob(uint8 k, bytes32 of_) internal returns (uint64 jobId) {
        IJobMarket.JobOrder memory order = newOrder();
        (order.k, order.profile, order.seedTip) = (k, of_, 0);
        order.deadline += jobTime;
        IJobMarket.Bid memory bid = newBid(market.orderHash(order), 0);
        bytes memory signature = signedBid(bid, 0);
        vm.prank(client);
        jobId = market.openWithBid{value: 1 ether}(order, bid, signature);
        start(jobId, 0);
    }

    function openJob() internal returns (uint64) {
        return openJob(4, profileId);
    }

    function receipt(uint64 jobId, uint64 seq) internal view virtual returns (Work.Receipt memory) {
        return Work.Receipt(jobId, seq, sourceRoot, keccak256(abi.encodePacked(contents)), UNITS, 20_100);
    }

    function receipts(uint64 jobId, uint64 first, uint32 count) internal view returns (Work.Receipt[] memory r) {
        r = new Work.Receipt[](count);
        for (uint32 i = 0; i < count; ++i) {
            r[i] = receipt(jobId, first + i);
        }
    }

    function submit(uint64 jobId, uint32 count) internal returns (uint64 claimId) {
        uint64 first = market.job(jobId).nextSeq;
        (bytes32 root, uint64 total) = Tree.root(receipts(jobId, first, count));
        vm.prank(operator);
        return book.claim(jobId, first, count, root, total);
    }

    function seal(uint64 claimId) internal {
        uint256 number = book.claimInfo(claimId).seedBlock;
        bytes memory header = HeaderRlp.header(bytes32(number), 4, uint256(keccak256(abi.encode(number))), 7);
        if (block.number <= number) vm.roll(number + 1);
        vm.setBlockhash(number, keccak256(header));
        book.seal(claimId, header, 0);
    }

    function answerClaim(uint64 claimId) internal {
        Work.Opening[] memory openings = openingsOf(claimId);
        bytes32[] memory commitments = new bytes32[](openings.length);
        for (uint256 j = 0; j < openings.length; ++j) {
            bytes32 digest = digestOf[claimId][j];
            if (digest == 0) digest = digestFor(answer());
            digests[claimId].push(digest);
            openingHashes[claimId].push(keccak256(abi.encode(openings[j])));
            commitments[j] = keccak256(abi.encode(digest, bytes32("salt"), claimId, j, operator));
        }
        vm.prank(operator);
        book.answer(claimId, Packed.openings(claimId, openings), commitments);
    }

    function revealClaim(uint64 claimId) internal {
        uint256 from = uint256(info(claimId).attestUntil) + 1;
        if (block.timestamp < from) vm.warp(from);
        IClaimBook.Answered memory a = answered(claimId);
        bytes32[] memory salts = new bytes32[](a.digests.length);
        for (uint256 j = 0; j < salts.length; ++j) {
            salts[j] = "salt";
            a.digests[j] = keccak256(abi.encode(a.digests[j], salts[j], claimId, j, operator));
        }
        bytes32[] memory revealed = digests[claimId];
        vm.prank(operator);
        book.reveal(claimId, a, revealed, salts);
    }

    /// @dev A claim of the given job, answered.
    function toAnswered(uint64 jobId, uint32 count) internal returns (uint64 claimId) {
        claimId = submit(jobId, count);
        seal(claimId);
        answerClaim(claimId);
    }

    function toAnswered() internal returns (uint64) {
        return toAnswered(openJob(), 5);
    }

    /// @dev Answered with one digest for all slots, and revealed.
    function toRevealed(uint64 jobId, uint32 count, bytes32 digest) internal returns (uint64 claimId) {
        claimId = submit(jobId, count);
        seal(claimId);
        for (uint256 j = 0; j < info(claimId).drawn; ++j) {
            digestOf[claimId][j] = digest;
        }
        answerClaim(claimId);
        revealClaim(claimId);
    }

    /// @dev As the book keeps it once revealed.
    function answered(uint64 claimId) internal view returns (IClaimBook.Answered memory) {
        return IClaimBook.Answered(openingHashes[claimId], digests[claimId]);
    }

    function openingsOf(uint64 claimId) internal view returns (Work.Opening[] memory openings) {
        IClaimBook.Claim memory c = info(claimId);
        Work.Receipt[] memory r = receipts(c.jobId, c.first, c.count);
        uint64[] memory drawn = book.draws(claimId);
        openings = new Work.Opening[](drawn.length);
        for (uint256 i = 0; i < drawn.length; ++i) {
            openings[i] = opening(r, Tree.holder(r, drawn[i]));
        }
    }

    function opening(Work.Receipt[] memory r, uint256 index) internal view returns (Work.Opening memory o) {
        o.leaf = r[index];
        (o.srcBytes, o.durationMs) = (uint64(SOURCE_BYTES), 2000);
        bytes32 order = book.segmentDigest(o.leaf.jobId, o.leaf.seq, o.leaf.srcRoot, o.srcBytes, o.durationMs);
        o.clientSig = signed(CLIENT_KEY, order);
        o.path = Tree.path(r, index);
    }

    function settle(uint64 claimId) internal {
        vm.warp(uint256(info(claimId).contestUntil) + 1);
        book.settle(claimId);
    }

    function info(uint64 claimId) internal view returns (IClaimBook.Claim memory) {
        return book.claimInfo(claimId);
    }

    function claimState(uint64 claimId) internal view returns (uint256) {
        return uint256(info(claimId).state);
    }

    // ---- verifiers ----

    function attest(uint64 claimId, uint256 slot, uint256 which, bytes32 digest) internal returns (address who) {
        who = challenges.verifierOf(claimId, slot, which);
        vm.prank(who);
        challenges.attest(claimId, slot, which, seal(digest, claimId, slot, which, who));
    }

    function attestBoth(uint64 claimId, uint256 slot, bytes32 digest) internal {
        attest(claimId, slot, 0, digest);
        attest(claimId, slot, 1, digest);
    }

    function show(uint64 claimId, uint256 slot, uint256 which, bytes32 digest) internal {
        challenges.revealAttestation(claimId, slot, which, digest, "verifier's salt");
    }

    function showBoth(uint64 claimId, uint256 slot, bytes32 digest) internal {
        show(claimId, slot, 0, digest);
        show(claimId, slot, 1, digest);
    }

    function seal(bytes32 digest, uint64 claimId, uint256 slot, uint256 which, address who)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(digest, bytes32("verifier's salt"), claimId, slot, which, who));
    }

    // ---- proofs ----

    function prove(uint64 claimId, uint256 slot, IChallengeManager.Step step, bytes memory evidence) internal {
        IClaimBook.Answered memory a = answered(claimId);
        challenges.prove(claimId, slot, a, step, evidence, FINDER);
    }

    function reserveTicket(bytes memory evidence, address finder) internal {
        challenges.reserve(keccak256(abi.encode(keccak256(evidence), finder)));
        vm.roll(block.number + 1);
    }

    function vector(string memory file, string memory name) internal view returns (Vector memory) {
        Vector[] memory all = read(file);
        for (uint256 i = 0; i < all.length; ++i) {
            if (same(all[i].name, name)) return all[i];
        }
        revert(name);
    }
}
