// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {HeaderRlp} from "./HeaderRlp.sol";
import {JudgeDouble} from "./JudgeDouble.sol";
import {MarketDouble} from "./MarketDouble.sol";
import {StakeFixture} from "./StakeFixture.sol";
import {Tree} from "./Tree.sol";
import {IClaimBook} from "../src/interfaces/IClaimBook.sol";
import {IJobMarket} from "../src/interfaces/IJobMarket.sol";
import {Work} from "../src/lib/Work.sol";
import {ClaimBook} from "../src/market/ClaimBook.sol";

/// @dev A claim book with short windows, a funded client and an operator whose keys the tests hold, and honest claims.
abstract contract ClaimFixture is StakeFixture {
    uint256 internal constant CLIENT_KEY = 0xC11E;
    uint256 internal constant OPERATOR_KEY = 0x09E2;
    uint96 internal constant PRICE = 1e9;
    uint32 internal constant LONG = 256;
    uint256 internal constant LINKS = 8; // of the client's hash chain

    address internal immutable client = vm.addr(CLIENT_KEY);
    address internal immutable operator = vm.addr(OPERATOR_KEY);
    address internal constant STRANGER = address(0x5712A96E2);
    address internal constant TIMELOCK = address(0x717E10C);

    MarketDouble internal market;
    ClaimBook internal book;
    JudgeDouble internal challenges;
    JudgeDouble internal game;

    function setUp() public virtual override {
        super.setUp();
        vm.roll(1000);
        deployMarket();
        registry.announceSlasher(address(book), book.reach()); // active at once: nobody has bonded
        fund(operator);
        bond(operator, 10 * MIN_SELF);
        vm.deal(client, 1e6 ether);
    }

    function deployMarket() internal {
        market = new MarketDouble();
        challenges = new JudgeDouble();
        game = new JudgeDouble();
        book = newBook(testParams(), leastParams(), mostParams());
    }

    function newBook(IClaimBook.Params memory p, IClaimBook.Params memory least, IClaimBook.Params memory most)
        internal
        returns (ClaimBook)
    {
        return new ClaimBook(
            IJobMarket(address(market)), registry, address(challenges), address(game), TIMELOCK, p, least, most
        );
    }

    function testParams() internal pure returns (IClaimBook.Params memory) {
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

    function leastParams() internal pure returns (IClaimBook.Params memory) {
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

    function mostParams() internal pure returns (IClaimBook.Params memory) {
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

    function openActive(uint256 escrow, uint8 k, bytes32 tip) internal returns (uint64) {
        vm.prank(client);
        return market.open{value: escrow}(client, operator, PRICE, k, tip);
    }

    function openActive(uint256 escrow, uint8 k) internal returns (uint64) {
        return openActive(escrow, k, 0);
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

    function mixOf(uint256 number) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode("prevrandao", number)));
    }

    /// @dev To the block behind `number`, which gets the hash of its header.
    function rollPast(uint256 number) internal {
        if (block.number <= number) vm.roll(number + 1);
        vm.setBlockhash(number, keccak256(header(number)));
    }

    function warpTo(uint256 time) internal {
        vm.warp(time);
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

    function nextSeq(uint64 jobId) internal view returns (uint64 seq) {
        (,,,, seq,,,,) = market.jobs(jobId);
    }

    function submit(uint64 jobId, uint32 count) internal returns (uint64 claimId) {
        uint64 first = nextSeq(jobId);
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
        book.answer(claimId, openings, commitments);
    }

    function reveal(uint64 claimId) internal {
        IClaimBook.Answered memory a = answered(claimId);
        (bytes32[] memory digests, bytes32[] memory salts) = (digestsOf(claimId), saltsOf(claimId));
        vm.prank(operator);
        book.reveal(claimId, a, digests, salts);
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
        (bytes32[] memory digests, bytes32[] memory salts) = (digestsOf(claimId), saltsOf(claimId));
        out = new bytes32[](digests.length);
        for (uint256 j = 0; j < out.length; ++j) {
            out[j] = keccak256(abi.encode(digests[j], salts[j], claimId, j, operator));
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

    function stateOf(uint64 claimId) internal view returns (uint256) {
        return uint256(book.claimInfo(claimId).state);
    }
}
