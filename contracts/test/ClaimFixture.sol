// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {HeaderRlp} from "./HeaderRlp.sol";
import {JudgeDouble} from "./JudgeDouble.sol";
import {MarketFixture} from "./MarketFixture.sol";
import {Packed} from "./Packed.sol";
import {Tree} from "./Tree.sol";
import {IClaimBook} from "../src/interfaces/IClaimBook.sol";
import {IJobMarket} from "../src/interfaces/IJobMarket.sol";
import {Work} from "../src/lib/Work.sol";
import {ClaimBook} from "../src/market/ClaimBook.sol";

/// @dev The market with its real claim book, short windows, doubles of the judges, and honest claims of rig(0).
abstract contract ClaimFixture is MarketFixture {
    uint32 internal constant LONG = 256;
    uint256 internal constant LINKS = 8; // of the client's hash chain
    address internal constant TIMELOCK = address(0x717E10C);

    address internal immutable operator = rig(0);
    ClaimBook internal book;
    JudgeDouble internal judges; // the challenge manager
    JudgeDouble internal game;

    function setUp() public virtual override {
        super.setUp();
        bond(operator, 9 * MIN_SELF);
    }

    function challengesAddress() internal virtual override returns (address) {
        judges = new JudgeDouble();
        game = new JudgeDouble();
        return address(judges);
    }

    /// @dev The market comes next, without a call in between: with --isolate each takes a number of ours.
    function bookAddress() internal virtual override returns (address) {
        book = newBook(claimParams(), leastClaim(), mostClaim());
        return address(book);
    }

    function nameBook() internal virtual override {
        vm.assertEq(address(book.market()), address(market));
        registry.announceSlasher(address(book), book.reach()); // active at once: nobody has bonded
    }

    function newBook(IClaimBook.Params memory p, IClaimBook.Params memory least, IClaimBook.Params memory most)
        internal
        returns (ClaimBook)
    {
        IJobMarket next = IJobMarket(vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 1));
        return new ClaimBook(next, registry, address(judges), address(game), TIMELOCK, p, least, most);
    }

    function claimParams() internal pure virtual returns (IClaimBook.Params memory) {
        return IClaimBook.Params({
            seedDelay: 3,
            preimageWindow: 100,
            answerWindow: 1000,
            attestWindow: 500,
            revealWindow: 200,
            contestWindow: 800,
            minLock: 10e18,
            verifierLock: 5e18,
            lockNum: 1000,
            lockDen: 3,
            verifierShare: 200
        });
    }

    function leastClaim() internal pure virtual returns (IClaimBook.Params memory) {
        return IClaimBook.Params({
            seedDelay: 1,
            preimageWindow: 50,
            answerWindow: 400,
            attestWindow: 200,
            revealWindow: 100,
            contestWindow: 300,
            minLock: 1e18,
            verifierLock: 1e18,
            lockNum: 1,
            lockDen: 1,
            verifierShare: 0
        });
    }

    function mostClaim() internal pure virtual returns (IClaimBook.Params memory) {
        return IClaimBook.Params({
            seedDelay: 64,
            preimageWindow: 400,
            answerWindow: 8 hours,
            attestWindow: 12 hours,
            revealWindow: 4 hours,
            contestWindow: 36 hours,
            minLock: 100e18,
            verifierLock: 1000e18,
            lockNum: 1e9,
            lockDen: 1e9,
            verifierShare: 500
        });
    }

    // ---- jobs ----

    /// @dev Of rig(i), at PRICE.
    function activeJob(uint256 i, uint256 escrow, uint8 k, bytes32 tip) internal returns (uint64 jobId) {
        IJobMarket.JobOrder memory order = newOrder();
        (order.k, order.seedTip) = (k, tip);
        IJobMarket.Bid memory bid = newBid(market.orderHash(order), i);
        bytes memory signature = signedBid(bid, i);
        vm.prank(client);
        jobId = market.openWithBid{value: escrow}(order, bid, signature);
        start(jobId, i);
    }

    function activeJob(uint256 escrow, uint8 k) internal returns (uint64) {
        return activeJob(0, escrow, k, 0);
    }

    /// @dev Link n of the chain: link 0 is its secret, link LINKS the tip that the job begins with.
    function link(uint256 n) internal pure returns (bytes32 out) {
        out = keccak256("the client's secret");
        for (uint256 i = 0; i < n; ++i) {
            out = keccak256(abi.encode(out));
        }
    }

    // ---- time ----

    function header(uint256 number) internal pure returns (bytes memory) {
        return HeaderRlp.header(keccak256(abi.encode(number)), 4, mixOf(number), 7);
    }

    function seedOf(uint256 seedBlock, bytes32 preimage, uint64 claimId) internal pure returns (bytes32) {
        return bytes32(uint256(uint80(uint256(keccak256(abi.encode(mixOf(seedBlock), preimage, claimId))))));
    }

    function mixOf(uint256 number) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode("prevrandao", number)));
    }

    /// @dev To the block behind `number`, which gets the hash of its header.
    function rollPast(uint256 number) internal {
        if (block.number <= number) vm.roll(number + 1);
        vm.setBlockhash(number, keccak256(header(number)));
    }

    // ---- claims ----

    function receipts(uint64 jobId, uint64 first, uint32 count) internal pure returns (Work.Receipt[] memory r) {
        r = new Work.Receipt[](count);
        for (uint32 i = 0; i < count; ++i) {
            r[i] = receipt(jobId, first + i);
        }
    }

    /// @dev The operator's receipt; everything in it follows from job and segment.
    function receipt(uint64 jobId, uint64 seq) internal pure returns (Work.Receipt memory) {
        bytes32 h = keccak256(abi.encode(jobId, seq));
        uint64 units = uint64(bound(uint256(h), 1000, 300_000));
        return Work.Receipt(jobId, seq, h, keccak256(abi.encode(h)), units, units * 2);
    }

    function submit(uint64 jobId, uint32 count) internal returns (uint64 claimId) {
        uint64 first = market.job(jobId).nextSeq;
        (bytes32 root, uint64 total) = Tree.root(receipts(jobId, first, count));
        vm.prank(operator);
        return book.claim(jobId, first, count, root, total);
    }

    function seal(uint64 claimId, bytes32 preimage) internal {
        uint64 seedBlock = book.claimInfo(claimId).seedBlock;
        rollPast(seedBlock);
        book.seal(claimId, header(seedBlock), preimage);
    }

    function submitAndSeal(uint64 jobId, uint32 count) internal returns (uint64 claimId) {
        claimId = submit(jobId, count);
        seal(claimId, 0);
    }

    function answer(uint64 claimId) internal {
        Work.Opening[] memory openings = honest(claimId);
        bytes32[] memory commitments = commitmentsOf(claimId);
        vm.prank(operator);
        book.answer(claimId, Packed.openings(claimId, openings), commitments);
    }

    function reveal(uint64 claimId) internal {
        IClaimBook.Answered memory a = answered(claimId);
        (bytes32[] memory digests, bytes32[] memory salts_) = (digestsOf(claimId), saltsOf(claimId));
        vm.prank(operator);
        book.reveal(claimId, a, digests, salts_);
    }

    function submitAndAnswer(uint64 jobId, uint32 count) internal returns (uint64 claimId) {
        claimId = submitAndSeal(jobId, count);
        answer(claimId);
    }

    function submitAndReveal(uint64 jobId, uint32 count) internal returns (uint64 claimId) {
        claimId = submitAndAnswer(jobId, count);
        vm.warp(book.claimInfo(claimId).attestUntil + 1);
        reveal(claimId);
    }

    // ---- what an honest operator sends ----

    function honest(uint64 claimId) internal view returns (Work.Opening[] memory openings) {
        IClaimBook.Claim memory c = book.claimInfo(claimId);
        Work.Receipt[] memory r = receipts(c.jobId, c.first, c.count);
        uint64[] memory drawn = book.draws(claimId);
        openings = new Work.Opening[](drawn.length);
        for (uint256 i = 0; i < drawn.length; ++i) {
            openings[i] = opening(r, Tree.holder(r, drawn[i]));
        }
    }

    function opening(Work.Receipt[] memory r, uint256 index) internal view returns (Work.Opening memory o) {
        o.leaf = r[index];
        (o.srcBytes, o.durationMs) = (4321, 2000);
        o.clientSig = signed(CLIENT_KEY, segmentDigest(o));
        o.path = Tree.path(r, index);
    }

    function segmentDigest(Work.Opening memory o) internal view returns (bytes32) {
        return book.segmentDigest(o.leaf.jobId, o.leaf.seq, o.leaf.srcRoot, o.srcBytes, o.durationMs);
    }

    function digestsOf(uint64 claimId) internal view returns (bytes32[] memory) {
        return wordsOf(claimId, "digest");
    }

    function saltsOf(uint64 claimId) internal view returns (bytes32[] memory) {
        return wordsOf(claimId, "salt");
    }

    function wordsOf(uint64 claimId, string memory kind) internal view returns (bytes32[] memory out) {
        out = new bytes32[](book.claimInfo(claimId).drawn);
        for (uint256 j = 0; j < out.length; ++j) {
            out[j] = keccak256(abi.encode(kind, claimId, j));
        }
    }

    function commitmentsOf(uint64 claimId) internal view returns (bytes32[] memory out) {
        (bytes32[] memory digests, bytes32[] memory salts_) = (digestsOf(claimId), saltsOf(claimId));
        out = new bytes32[](digests.length);
        for (uint256 j = 0; j < out.length; ++j) {
            out[j] = keccak256(abi.encode(digests[j], salts_[j], claimId, j, operator));
        }
    }

    function hashesOf(uint64 claimId) internal view returns (bytes32[] memory out) {
        Work.Opening[] memory openings = honest(claimId);
        out = new bytes32[](openings.length);
        for (uint256 j = 0; j < out.length; ++j) {
            out[j] = keccak256(abi.encode(openings[j]));
        }
    }

    /// @dev As the book keeps it between answer and reveal.
    function answered(uint64 claimId) internal view returns (IClaimBook.Answered memory) {
        return IClaimBook.Answered(hashesOf(claimId), commitmentsOf(claimId));
    }

    function revealed(uint64 claimId) internal view returns (IClaimBook.Answered memory) {
        return IClaimBook.Answered(hashesOf(claimId), digestsOf(claimId));
    }

    function inState(uint64 claimId, IClaimBook.ClaimState state_) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(IClaimBook.ClaimNotInState.selector, claimId, state_);
    }

    function claimState(uint64 claimId) internal view returns (IClaimBook.ClaimState) {
        return book.claimInfo(claimId).state;
    }
}
