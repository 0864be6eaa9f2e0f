// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ClaimFixture} from "./ClaimFixture.sol";
import {Board} from "./DisputeFixture.sol";
import {JudgeDouble} from "./JudgeDouble.sol";
import {Packed} from "./Packed.sol";
import {IClaimBook} from "../src/interfaces/IClaimBook.sol";
import {IDisputeGame} from "../src/interfaces/IDisputeGame.sol";
import {IJury} from "../src/interfaces/IJury.sol";
import {Work} from "../src/lib/Work.sol";
import {Answers} from "../src/steps/Answers.sol";
import {DisputeGame} from "../src/verify/DisputeGame.sol";
import {Jury} from "../src/verify/Jury.sol";

/// @dev A revealed claim on the real market with its real book, game and jury; one of its answers is about COUNT pictures.
abstract contract DisputedClaimFixture is ClaimFixture {
    using Board for bytes32[][];

    uint256 internal constant COUNT = 60;
    uint256 internal constant WRONG = 37;

    DisputeGame internal disputes;
    Jury internal jury;
    bytes32[][] internal tree;
    uint64 internal claimId;
    uint256 internal slot;

    /// @dev Game and jury come before the book, which asks them how long they take.
    function challengesAddress() internal override returns (address) {
        judges = new JudgeDouble();
        uint256 nonce = vm.getNonce(address(this));
        address predictedJury = vm.computeCreateAddress(address(this), nonce + 1);
        IClaimBook predictedBook = IClaimBook(vm.computeCreateAddress(address(this), nonce + 2));
        IDisputeGame.Params memory p = IDisputeGame.Params(24 hours, 1 hours, 50e18, 1000);
        disputes = new DisputeGame(predictedBook, registry, token, Jury(predictedJury), address(this), p, p, p);
        IJury.Params memory j = IJury.Params(8, 18 hours, 6 hours, 24 hours, 100e18, 30e18);
        jury = new Jury(IDisputeGame(address(disputes)), predictedBook, registry, token, address(this), j, j, j);
        game = JudgeDouble(address(disputes)); // the book's fixture knows it by this name
        return address(judges);
    }

    function deployMarket() internal override {
        super.deployMarket();
        registry.announceSlasher(address(jury), 9 days); // active at once: nobody has bonded
    }

    function setUp() public virtual override {
        super.setUp();
        vm.assertEq(address(jury), address(disputes.judge()));
        vm.assertEq(address(book), address(disputes.book()));
        for (uint256 i = 1; i < 3; ++i) {
            bond(rig(i), 50 * MIN_SELF);
            vm.prank(rig(i));
            jury.enlist();
        }
        nextEpoch();
        token.transfer(address(disputes), 1); // as the deployer does
        vm.prank(ALICE);
        token.approve(address(disputes), type(uint256).max);
        claimId = submitAndSeal(activeJob(1 ether, 8), 300);
        bytes32[] memory leaves = new bytes32[](COUNT);
        for (uint256 i = 0; i < COUNT; ++i) {
            leaves[i] = keccak256(abi.encode("picture", i));
        }
        tree = Board.build(leaves);
        slot = 1;
        answerAndReveal();
    }

    function answerOf() internal view returns (Answers.Answer memory a) {
        a.source = keccak256(abi.encodePacked(uint8(3), uint32(COUNT), tree.top()));
        a.rungs = new Answers.Rung[](2);
    }

    function withAnswer(bytes32[] memory words) internal view returns (bytes32[] memory) {
        words[slot] = keccak256(abi.encode(answerOf()));
        return words;
    }

    function answerAndReveal() internal {
        Work.Opening[] memory openings = honest(claimId);
        bytes32[] memory digests = withAnswer(digestsOf(claimId));
        bytes32[] memory salts_ = saltsOf(claimId);
        bytes32[] memory commitments = new bytes32[](digests.length);
        for (uint256 j = 0; j < digests.length; ++j) {
            commitments[j] = keccak256(abi.encode(digests[j], salts_[j], claimId, j, operator));
        }
        IClaimBook.Answered memory a = IClaimBook.Answered(hashesOf(claimId), commitments);
        vm.prank(operator);
        book.answer(claimId, Packed.openings(claimId, openings), commitments);
        vm.warp(book.claimInfo(claimId).attestUntil + 1);
        vm.prank(operator);
        book.reveal(claimId, a, digests, salts_);
    }

    function openGame() internal returns (uint256 id) {
        return openGameAs(ALICE);
    }

    function openGameAs(address challenger) internal returns (uint256 id) {
        IClaimBook.Answered memory a = IClaimBook.Answered(hashesOf(claimId), withAnswer(digestsOf(claimId)));
        Answers.Answer memory answer_ = answerOf();
        IDisputeGame.Subject memory subject = IDisputeGame.Subject(IDisputeGame.What.Source, 0);
        vm.prank(challenger);
        id = disputes.open(claimId, slot, a, answer_, subject);
    }

    /// @dev Down to picture WRONG.
    function toTheJury() internal returns (uint256 id) {
        id = openGame();
        while (disputes.game(id).status == IDisputeGame.Status.Open) {
            IDisputeGame.Game memory g = disputes.game(id);
            bytes32[] memory row = tree.children(g.count == 0 ? tree.length - 1 : g.level, g.first);
            vm.prank(operator);
            disputes.bisect(id, g.position, uint32(COUNT), row);
            g = disputes.game(id);
            uint256 child = (WRONG - g.first) >> (g.level < 4 ? 0 : g.level - 4);
            vm.prank(ALICE);
            disputes.choose(id, g.position, child, row[child], Board.path(row, child));
        }
    }

    function judge(uint256 id, bool right) internal {
        uint64 number = jury.trial(id).seedBlock;
        rollPast(number);
        jury.seal(id, header(number));
        uint256 votes = 0;
        for (uint256 seat = 0; seat < 15; ++seat) {
            address juror = jury.jurorOf(id, seat);
            if (juror == address(0)) continue;
            ++votes;
            bytes32 commitment = keccak256(abi.encode(right, bytes32(seat), id, seat, juror));
            vm.prank(juror);
            jury.vote(id, seat, commitment);
        }
        vm.assertGe(votes, 11, "a quorum is drawn");
        vm.warp(jury.trial(id).until + 1);
        for (uint256 seat = 0; seat < 15; ++seat) {
            if (jury.jurorOf(id, seat) != address(0)) jury.revealVote(id, seat, right, bytes32(seat));
        }
        vm.warp(jury.trial(id).until + 1);
        vm.warp(jury.trial(id).until + 1);
        jury.finish(id);
    }
}
