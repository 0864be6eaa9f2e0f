// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Board, DisputeFixture} from "../DisputeFixture.sol";
import {IBonds} from "../../src/interfaces/IBonds.sol";
import {IClaimBook} from "../../src/interfaces/IClaimBook.sol";
import {IDisputeGame} from "../../src/interfaces/IDisputeGame.sol";
import {Answers} from "../../src/steps/Answers.sol";
import {IStepVerifier} from "../../src/steps/IStepVerifier.sol";

contract DisputeGameTest is DisputeFixture {
    using Board for bytes32[][];

    uint256 internal constant COUNT = 300; // nine levels: 16, 16 and 2 children
    uint256 internal constant FULL_BOND = 70e18; // BOND and a tenth of LOCK
    bytes32[][] internal tree;
    bytes32 internal root;

    function setUp() public override {
        super.setUp();
        tree = board(COUNT);
        root = rootOf(COUNT, tree.top());
        putClaim(CLAIM, root);
    }

    function expect(bytes memory err) internal {
        vm.expectRevert(err);
    }

    function expectPartial(bytes4 selector) internal {
        vm.expectPartialRevert(selector);
    }

    // ---- opening ----

    function test_open_takesTheBondAndHoldsTheClaim() public {
        vm.assertEq(game.bondFor(CLAIM), FULL_BOND);
        uint256 id = open(ALICE, root);
        IDisputeGame.Game memory g = gameOf(id);
        vm.assertEq(g.claimId, CLAIM);
        vm.assertEq(g.slot, 3);
        vm.assertEq(uint256(g.subject.what), uint256(IDisputeGame.What.Decoded));
        vm.assertEq(g.subject.rung, 1);
        vm.assertEq(g.challenger, ALICE);
        vm.assertEq(g.bond, FULL_BOND);
        vm.assertEq(g.node, root);
        vm.assertEq(uint256(g.turn), uint256(IDisputeGame.Side.Operator));
        expectStatus(id, IDisputeGame.Status.Open);
        vm.assertEq(token.balanceOf(address(game)), FULL_BOND);
        vm.assertEq(book.claimInfo(CLAIM).holds, 1);
        vm.assertEq(game.turnUntil(id), block.timestamp + CLOCK);
        vm.assertEq(game.game(id + 1).claimId, 0);
    }

    function test_open_bondIsRoundedUpAndDoublesFromTheThirdHoldOn() public {
        IClaimBook.Claim memory c = book.claimInfo(CLAIM);
        c.lock = 1e18 + 1;
        book.put(CLAIM, c);
        vm.assertEq(game.bondFor(CLAIM), 50.1e18 + 1e12);
        c.lock = LOCK;
        uint256[6] memory times = [uint256(1), 1, 1, 2, 4, 8];
        for (uint256 i = 0; i < times.length; ++i) {
            c.holds = uint8(i);
            book.put(CLAIM, c);
            vm.assertEq(game.bondFor(CLAIM), FULL_BOND * times[i]);
        }
        c.holds = 14;
        book.put(CLAIM, c);
        vm.assertEq(game.bondFor(CLAIM), FULL_BOND << 12);
        c.holds = 15;
        book.put(CLAIM, c);
        expect(abi.encodeWithSelector(IDisputeGame.TooManyGames.selector, CLAIM));
        game.bondFor(CLAIM);
        Answers.Answer memory answer = answerWith(root);
        expect(abi.encodeWithSelector(IDisputeGame.TooManyGames.selector, CLAIM));
        game.open(CLAIM, 3, answeredWith(answer), answer, decoded());
    }

    function test_open_aFourthChallengerIsNotKeptOut() public {
        address[4] memory who = [ALICE, BOB, CAROL, op(5)];
        vm.prank(op(5));
        token.approve(address(game), type(uint256).max);
        uint256 before = token.balanceOf(op(5));
        for (uint256 i = 0; i < 4; ++i) {
            open(who[i], root);
        }
        vm.assertEq(book.claimInfo(CLAIM).holds, 4);
        vm.assertEq(before - token.balanceOf(op(5)), 2 * FULL_BOND);
    }

    function test_open_revertsUnlessContestable() public {
        Answers.Answer memory answer = answerWith(root);
        IClaimBook.Claim memory c = book.claimInfo(CLAIM);
        vm.warp(c.contestUntil + 1);
        expect(abi.encodeWithSelector(IDisputeGame.NotContestable.selector, CLAIM));
        game.open(CLAIM, 3, answeredWith(answer), answer, decoded());
        vm.warp(c.contestUntil);
        open(ALICE, root);
        for (uint256 s = 0; s <= uint256(type(IClaimBook.ClaimState).max); ++s) {
            if (s == uint256(IClaimBook.ClaimState.Revealed)) continue;
            c.state = IClaimBook.ClaimState(s);
            book.put(CLAIM, c);
            vm.prank(BOB);
            expect(abi.encodeWithSelector(IDisputeGame.NotContestable.selector, CLAIM));
            game.open(CLAIM, 3, answeredWith(answer), answer, decoded());
        }
    }

    function test_open_revertsForOtherAnswers() public {
        Answers.Answer memory answer = answerWith(root);
        IClaimBook.Answered memory answered = answeredWith(answer);
        answered.openings[0] ^= bytes32(uint256(1));
        vm.prank(ALICE);
        expectPartial(IDisputeGame.OtherAnswers.selector);
        game.open(CLAIM, 3, answered, answer, decoded());

        answered = answeredWith(answer);
        answer.cascade = true;
        vm.prank(ALICE);
        expectPartial(IDisputeGame.OtherDigest.selector);
        game.open(CLAIM, 3, answered, answer, decoded());
    }

    function test_open_revertsForNoSuchSubject() public {
        Answers.Answer memory answer = answerWith(root);
        IClaimBook.Answered memory answered = answeredWith(answer);
        expect(abi.encodeWithSelector(IDisputeGame.NoSuchSubject.selector, 8, 1));
        vm.prank(ALICE);
        game.open(CLAIM, 8, answered, answer, decoded());
        expect(abi.encodeWithSelector(IDisputeGame.NoSuchSubject.selector, 3, 1));
        vm.prank(ALICE);
        game.open(CLAIM, 3, answered, answer, IDisputeGame.Subject(IDisputeGame.What.Source, 1));
        expect(abi.encodeWithSelector(IDisputeGame.NoSuchSubject.selector, 3, 5));
        vm.prank(ALICE);
        game.open(CLAIM, 3, answered, answer, IDisputeGame.Subject(IDisputeGame.What.Scaled, 5));
    }

    function test_open_everySubjectHasItsRoot() public {
        Answers.Answer memory answer = answerWith(root);
        bytes32[4] memory roots =
            [answer.source, answer.rungs[4].scaled, answer.rungs[4].decoded, answer.rungs[4].errors];
        for (uint256 w = 0; w < 4; ++w) {
            IDisputeGame.Subject memory subject = IDisputeGame.Subject(IDisputeGame.What(w), w == 0 ? 0 : 4);
            vm.prank(ALICE);
            uint256 id = game.open(CLAIM, 3, answeredWith(answer), answer, subject);
            vm.assertEq(gameOf(id).node, roots[w]);
            vm.assertEq(uint256(gameOf(id).subject.what), w);
            bool judged = subject.what == IDisputeGame.What.Errors;
            expectStatus(id, judged ? IDisputeGame.Status.AtLeaf : IDisputeGame.Status.Open);
            vm.assertEq(judge.summoned(id), judged ? 1 : 0);
        }
    }

    function test_open_revertsForTheSameThingAgain() public {
        uint256 id = open(ALICE, root);
        descend(ALICE, id, COUNT, tree, 42);
        judge.decide(game, id, true);
        Answers.Answer memory answer = answerWith(root);
        IClaimBook.Answered memory answered = answeredWith(answer);
        vm.prank(ALICE);
        expect(abi.encodeWithSelector(IDisputeGame.GameExists.selector, id));
        game.open(CLAIM, 3, answered, answer, decoded());
        open(BOB, root);
    }

    function test_open_revertsWithoutTokens() public {
        Answers.Answer memory answer = answerWith(root);
        IClaimBook.Answered memory answered = answeredWith(answer);
        vm.prank(address(0x1234));
        expectPartial(bytes4(keccak256("ERC20InsufficientAllowance(address,uint256,uint256)")));
        game.open(CLAIM, 3, answered, answer, decoded());
    }

    // ---- bisecting ----

    function test_bisect_anyoneMayOpenTheCommittedTree() public {
        uint256 id = open(ALICE, root);
        bytes32 position = gameOf(id).position;
        vm.prank(address(0x9999));
        game.bisect(id, position, uint32(COUNT), tree.children(9, 0));
        IDisputeGame.Game memory g = gameOf(id);
        vm.assertEq(g.node, tree.top());
        vm.assertEq(g.count, COUNT);
        vm.assertEq(g.level, 9);
        vm.assertEq(uint256(g.turn), uint256(IDisputeGame.Side.Challenger));
        vm.assertTrue(g.position != position);
    }

    function test_bisect_revertsForAnotherTree() public {
        uint256 id = open(ALICE, root);
        bytes32 position = gameOf(id).position;
        bytes32[] memory row = tree.children(9, 0);
        row[7] ^= bytes32(uint256(1));
        expectPartial(IDisputeGame.NotTheTree.selector);
        game.bisect(id, position, uint32(COUNT), row);
        row = tree.children(9, 0);
        expectPartial(IDisputeGame.NotTheTree.selector);
        game.bisect(id, position, uint32(COUNT - 1), row);
        expect(abi.encodeWithSelector(IDisputeGame.BadMove.selector));
        game.bisect(id, position, 0, row);
        expect(abi.encodeWithSelector(IDisputeGame.BadMove.selector));
        game.bisect(id, position, 65537, row);
        expect(abi.encodeWithSelector(IDisputeGame.BadMove.selector));
        game.bisect(id, position, uint32(COUNT), new bytes32[](8));
        bytes32[] memory one = new bytes32[](1);
        one[0] = tree.top();
        expect(abi.encodeWithSelector(IDisputeGame.BadMove.selector));
        game.bisect(id, position, uint32(COUNT), one);
    }

    function test_bisect_revertsWhenTheCountChanges() public {
        uint256 id = open(ALICE, root);
        bisectHonestly(id, COUNT, tree);
        choose(ALICE, id, tree.children(9, 0), 5);
        IDisputeGame.Game memory g = gameOf(id);
        bytes32[] memory row = tree.children(g.level, g.first);
        expect(abi.encodeWithSelector(IDisputeGame.BadMove.selector));
        game.bisect(id, g.position, uint32(COUNT + 1), row);
        row[0] = 0;
        expectPartial(IDisputeGame.NotTheTree.selector);
        game.bisect(id, g.position, uint32(COUNT), row);
    }

    function test_bisect_largestSegment() public {
        // 65536 equal pictures: every level has one hash.
        bytes32[17] memory same;
        same[0] = keccak256("still");
        for (uint256 i = 1; i < 17; ++i) {
            same[i] = keccak256(abi.encodePacked(uint8(1), same[i - 1], same[i - 1]));
        }
        uint64 claimId = CLAIM + 1;
        putClaim(claimId, rootOf(65536, same[16]));
        uint256 id = openOn(ALICE, claimId, rootOf(65536, same[16]));
        for (uint256 level = 16; level > 0; level -= 4) {
            bytes32[] memory row = new bytes32[](16);
            for (uint256 i = 0; i < 16; ++i) {
                row[i] = same[level - 4];
            }
            bisect(id, 65536, row);
            choose(ALICE, id, row, 15);
        }
        vm.assertEq(gameOf(id).first, 65535);
        expectStatus(id, IDisputeGame.Status.AtLeaf);
    }

    // ---- choosing ----

    function test_choose_goesDownToThePicture() public {
        for (uint256 k = 0; k < 3; ++k) {
            uint256 leaf = [uint256(0), 177, COUNT - 1][k];
            uint256 id = open([ALICE, BOB, CAROL][k], root);
            descend([ALICE, BOB, CAROL][k], id, COUNT, tree, leaf);
            IDisputeGame.Game memory g = gameOf(id);
            vm.assertEq(g.first, leaf);
            vm.assertEq(g.level, 0);
            vm.assertEq(g.node, tree[0][leaf]);
            expectStatus(id, IDisputeGame.Status.AtLeaf);
            vm.assertEq(judge.summoned(id), 1);
            vm.assertEq(game.turnUntil(id), 0);
        }
    }

    function test_choose_revertsForAnotherHashOrPath() public {
        uint256 id = open(ALICE, root);
        bisectHonestly(id, COUNT, tree);
        bytes32 position = gameOf(id).position;
        bytes32[] memory row = tree.children(9, 0);
        bytes32[] memory path = Board.path(row, 4);
        vm.startPrank(ALICE);
        expectPartial(IDisputeGame.NotTheTree.selector);
        game.choose(id, position, 4, row[5], path);
        expectPartial(IDisputeGame.NotTheTree.selector);
        game.choose(id, position, 5, row[4], path);
        expect(abi.encodeWithSelector(IStepVerifier.OutOfShape.selector));
        game.choose(id, position, 16, row[4], path);
        expect(abi.encodeWithSelector(IStepVerifier.OutOfShape.selector));
        game.choose(id, position, 0, row[0], new bytes32[](3));
        vm.stopPrank();
    }

    function test_choose_paddingIsDecidedAtOnce() public {
        // Zero, as it must be: the challenger loses without a judge.
        uint256 id = open(ALICE, root);
        descend(ALICE, id, COUNT, tree, COUNT);
        expectStatus(id, IDisputeGame.Status.OperatorWon);
        vm.assertEq(judge.summoned(id), 0);
        // Anything else: the operator loses.
        bytes32[][] memory other = board(COUNT);
        other[0][511] = keccak256("behind the last picture");
        Board.grow(other);
        uint64 claimId = CLAIM + 1;
        putClaim(claimId, rootOf(COUNT, other.top()));
        id = openOn(ALICE, claimId, rootOf(COUNT, other.top()));
        descend(ALICE, id, COUNT, other, 511);
        expectStatus(id, IDisputeGame.Status.ChallengerWon);
        vm.assertEq(judge.summoned(id), 0);
        vm.assertEq(book.punished(claimId), 1);
    }

    function test_choose_onePictureIsItsOwnTop() public {
        bytes32[][] memory single = board(1);
        uint64 claimId = CLAIM + 1;
        putClaim(claimId, rootOf(1, single.top()));
        uint256 id = openOn(ALICE, claimId, rootOf(1, single.top()));
        bisectHonestly(id, 1, single);
        choose(ALICE, id, single.children(0, 0), 0);
        expectStatus(id, IDisputeGame.Status.AtLeaf);
        vm.assertEq(gameOf(id).node, single[0][0]);
    }

    function test_moves_revertOutOfTurnOrFromOthers() public {
        uint256 id = open(ALICE, root);
        bytes32 position = gameOf(id).position;
        bytes32[] memory row = tree.children(9, 0);
        bytes32[] memory path = Board.path(row, 0);
        bytes memory notTheirs =
            abi.encodeWithSelector(IDisputeGame.NotOnTurn.selector, id, IDisputeGame.Side.Challenger);
        vm.startPrank(ALICE);
        expect(notTheirs);
        game.choose(id, position, 0, row[0], path);
        expect(notTheirs);
        game.disputeCount(id, position);
        vm.stopPrank();
        bisectHonestly(id, COUNT, tree);
        position = gameOf(id).position;
        expect(abi.encodeWithSelector(IDisputeGame.NotOnTurn.selector, id, IDisputeGame.Side.Operator));
        game.bisect(id, position, uint32(COUNT), row);
        vm.startPrank(BOB);
        expect(abi.encodeWithSelector(IDisputeGame.NotChallenger.selector, id, BOB));
        game.choose(id, position, 0, row[0], path);
        expect(abi.encodeWithSelector(IDisputeGame.NotChallenger.selector, id, BOB));
        game.disputeCount(id, position);
        vm.stopPrank();
        uint256 none = id ^ 1;
        expect(abi.encodeWithSelector(IDisputeGame.NotOnTurn.selector, none, IDisputeGame.Side.Operator));
        game.bisect(none, position, uint32(COUNT), row);
    }

    function test_moves_nameThePositionTheyWereMadeFor() public {
        uint256 id = open(ALICE, root);
        bytes32 old = gameOf(id).position;
        bytes32[] memory row = tree.children(9, 0);
        bisectHonestly(id, COUNT, tree);
        bytes32 expected = gameOf(id).position;
        vm.prank(ALICE);
        expect(abi.encodeWithSelector(IDisputeGame.OtherPosition.selector, expected, old));
        game.choose(id, old, 0, row[0], Board.path(row, 0));
        vm.prank(ALICE);
        expect(abi.encodeWithSelector(IDisputeGame.OtherPosition.selector, expected, old));
        game.disputeCount(id, old);
        choose(ALICE, id, row, 0);
        bytes32[] memory below = tree.children(5, 0);
        expect(abi.encodeWithSelector(IDisputeGame.OtherPosition.selector, gameOf(id).position, expected));
        game.bisect(id, expected, uint32(COUNT), below);
    }

    // ---- the count ----

    function test_disputeCount_goesToTheJudge() public {
        uint256 id = open(ALICE, root);
        bisectHonestly(id, COUNT, tree);
        bytes32 position = gameOf(id).position;
        vm.prank(ALICE);
        game.disputeCount(id, position);
        expectStatus(id, IDisputeGame.Status.AtCount);
        vm.assertEq(judge.summoned(id), 1);
        judge.decide(game, id, false);
        expectStatus(id, IDisputeGame.Status.ChallengerWon);
    }

    function test_disputeCount_revertsAfterTheFirstChoice() public {
        uint256 id = open(ALICE, root);
        bisectHonestly(id, COUNT, tree);
        choose(ALICE, id, tree.children(9, 0), 0);
        bisectHonestly(id, COUNT, tree);
        bytes32 position = gameOf(id).position;
        vm.prank(ALICE);
        expect(abi.encodeWithSelector(IDisputeGame.BadMove.selector));
        game.disputeCount(id, position);
        choose(ALICE, id, tree.children(5, 0), 1); // another than the first
        bisectHonestly(id, COUNT, tree);
        position = gameOf(id).position;
        vm.prank(ALICE);
        expect(abi.encodeWithSelector(IDisputeGame.BadMove.selector));
        game.disputeCount(id, position);
    }

    // ---- the judge ----

    function test_decide_operatorRight() public {
        uint256 supply = token.totalSupply();
        uint256 id = open(ALICE, root);
        descend(ALICE, id, COUNT, tree, 42);
        judge.decide(game, id, true);
        expectStatus(id, IDisputeGame.Status.OperatorWon);
        vm.assertEq(book.claimInfo(CLAIM).holds, 0);
        vm.assertEq(book.punished(CLAIM), 0);
        vm.assertEq(game.owed(op(0)), FULL_BOND / 2);
        vm.assertEq(supply - token.totalSupply(), FULL_BOND / 2);
        uint256 before = token.balanceOf(op(0));
        vm.prank(op(0));
        game.withdraw();
        vm.assertEq(token.balanceOf(op(0)) - before, FULL_BOND / 2);
        vm.assertEq(token.balanceOf(address(game)), 0);
        vm.prank(op(0));
        expect(abi.encodeWithSelector(IBonds.NothingToWithdraw.selector, op(0)));
        game.withdraw();
    }

    function test_decide_challengerRight() public {
        uint256 id = open(ALICE, root);
        descend(ALICE, id, COUNT, tree, 42);
        judge.decide(game, id, false);
        expectStatus(id, IDisputeGame.Status.ChallengerWon);
        vm.assertEq(book.punished(CLAIM), 1);
        vm.assertEq(registry.bounty(ALICE), LOCK / 4);
        vm.assertEq(registry.bounty(address(judge)), LOCK / 4);
        vm.assertEq(game.owed(ALICE), FULL_BOND);
        vm.prank(ALICE);
        game.withdraw();
        vm.assertEq(token.balanceOf(address(game)), 0);
        vm.assertEq(gameOf(id).bond, 0);
    }

    function test_decide_revertsForOthersAndTooEarly() public {
        uint256 id = open(ALICE, root);
        expect(abi.encodeWithSelector(IDisputeGame.NotJudge.selector, address(this)));
        game.decide(id, true);
        expect(abi.encodeWithSelector(IDisputeGame.NotOpen.selector, id));
        judge.decide(game, id, true);
        descend(ALICE, id, COUNT, tree, 42);
        judge.decide(game, id, true);
        expect(abi.encodeWithSelector(IDisputeGame.NotOpen.selector, id));
        judge.decide(game, id, false);
    }

    // ---- clocks ----

    function test_timeout_operatorAtTheLastSecondAndOneLater() public {
        uint256 id = open(ALICE, root);
        uint256 until = game.turnUntil(id);
        vm.assertEq(until, block.timestamp + CLOCK);
        vm.warp(until);
        expect(abi.encodeWithSelector(IDisputeGame.NotYet.selector, id, until));
        game.timeout(id);
        bisectHonestly(id, COUNT, tree); // just in time
        vm.assertEq(gameOf(id).spent[0], CLOCK);

        uint256 late = open(BOB, root);
        until = game.turnUntil(late);
        bytes32 position = gameOf(late).position;
        vm.warp(until + 1);
        bytes32[] memory row = tree.children(9, 0);
        expect(abi.encodeWithSelector(IDisputeGame.TooLate.selector, late, until));
        game.bisect(late, position, uint32(COUNT), row);
        game.timeout(late);
        expectStatus(late, IDisputeGame.Status.ChallengerWon);
        vm.assertEq(registry.bounty(BOB), LOCK / 4);
        vm.assertEq(registry.bounty(address(judge)), 0, "nobody judged");
    }

    function test_timeout_challengerAtTheLastSecondAndOneLater() public {
        uint256 id = open(ALICE, root);
        bisectHonestly(id, COUNT, tree);
        uint256 until = game.turnUntil(id);
        vm.assertEq(until, block.timestamp + CLOCK);
        vm.warp(until);
        expect(abi.encodeWithSelector(IDisputeGame.NotYet.selector, id, until));
        game.timeout(id);
        choose(ALICE, id, tree.children(9, 0), 0); // just in time
        vm.assertEq(gameOf(id).spent[1], CLOCK);
        bisectHonestly(id, COUNT, tree);
        until = game.turnUntil(id);
        vm.assertEq(until, block.timestamp + FLOOR);
        bytes32 position = gameOf(id).position;
        vm.warp(until + 1);
        bytes32[] memory row = tree.children(5, 0);
        vm.prank(ALICE);
        expect(abi.encodeWithSelector(IDisputeGame.TooLate.selector, id, until));
        game.choose(id, position, 0, row[0], Board.path(row, 0));
        vm.prank(ALICE);
        expect(abi.encodeWithSelector(IDisputeGame.TooLate.selector, id, until));
        game.disputeCount(id, position);
        game.timeout(id);
        expectStatus(id, IDisputeGame.Status.OperatorWon);
        vm.assertEq(book.punished(CLAIM), 0);
    }

    function test_clock_isSharedByAllMovesOfASideAndFloored() public {
        uint256 id = open(ALICE, root);
        vm.warp(block.timestamp + 20 hours);
        bisectHonestly(id, COUNT, tree);
        vm.warp(block.timestamp + 10 hours);
        choose(ALICE, id, tree.children(9, 0), 0);
        vm.assertEq(gameOf(id).spent[0], 20 hours);
        vm.assertEq(gameOf(id).spent[1], 10 hours);
        vm.assertEq(game.turnUntil(id), block.timestamp + 4 hours);
        vm.warp(block.timestamp + 4 hours - 1);
        bisectHonestly(id, COUNT, tree);
        vm.assertEq(game.turnUntil(id), block.timestamp + 14 hours);
        choose(ALICE, id, tree.children(5, 0), 0);
        vm.assertEq(gameOf(id).spent[0], CLOCK - 1);
        vm.assertEq(game.turnUntil(id), block.timestamp + FLOOR); // a second is left: the floor
    }

    function test_timeout_revertsWhenNotOpen() public {
        expect(abi.encodeWithSelector(IDisputeGame.NotOpen.selector, 5));
        game.timeout(5);
        uint256 id = open(ALICE, root);
        descend(ALICE, id, COUNT, tree, 42);
        pass(30 days);
        expect(abi.encodeWithSelector(IDisputeGame.NotOpen.selector, id));
        game.timeout(id);
    }

    // ---- several games ----

    function test_games_theFirstThatWinsEndsTheClaimAndTheOthersHaveNoLoser() public {
        uint256 alices = open(ALICE, root);
        uint256 bobs = open(BOB, root);
        uint256 carols = open(CAROL, root);
        descend(ALICE, alices, COUNT, tree, 42);
        descend(CAROL, carols, COUNT, tree, 41);
        expect(abi.encodeWithSelector(IDisputeGame.ClaimGoesOn.selector, CLAIM));
        game.close(bobs);
        judge.decide(game, alices, false);
        // Bob's is closed; Carol's hears the verdict for the operator too late.
        game.close(bobs);
        expectStatus(bobs, IDisputeGame.Status.Void);
        vm.assertEq(game.owed(BOB), FULL_BOND);
        judge.decide(game, carols, true);
        expectStatus(carols, IDisputeGame.Status.Void);
        vm.assertEq(game.owed(CAROL), FULL_BOND);
        judge.decide(game, carols, true); // does nothing
        expect(abi.encodeWithSelector(IDisputeGame.NotOpen.selector, carols));
        game.close(carols);
        vm.assertEq(book.punished(CLAIM), 1);
        vm.assertEq(game.owed(op(0)), 0);
    }

    function test_games_closedAtTheJudgeOrTimedOutAfterTheClaimEnded() public {
        uint256 alices = open(ALICE, root);
        uint256 bobs = open(BOB, root);
        uint256 carols = open(CAROL, root);
        descend(ALICE, alices, COUNT, tree, 42);
        bisectHonestly(bobs, COUNT, tree);
        bytes32 position = gameOf(bobs).position;
        vm.prank(BOB);
        game.disputeCount(bobs, position);
        bisectHonestly(carols, COUNT, tree);
        book.end(CLAIM);
        game.close(alices);
        game.close(bobs);
        pass(CLOCK + 1);
        game.timeout(carols); // the challenger is on turn, and loses nothing
        address[3] memory who = [ALICE, BOB, CAROL];
        uint256[3] memory ids = [alices, bobs, carols];
        for (uint256 i = 0; i < 3; ++i) {
            expectStatus(ids[i], IDisputeGame.Status.Void);
            vm.assertEq(game.owed(who[i]), FULL_BOND);
            vm.prank(who[i]);
            game.withdraw();
        }
        vm.assertEq(token.balanceOf(address(game)), 0);
    }

    function test_close_revertsForNoGame() public {
        expect(abi.encodeWithSelector(IDisputeGame.NotOpen.selector, 9));
        game.close(9);
    }

    // ---- governance ----

    function test_setParams_withinBoundsForLaterGames() public {
        uint256 id = open(ALICE, root);
        IDisputeGame.Params memory p = IDisputeGame.Params(2 hours, 20 minutes, 7e18, 0);
        expect(abi.encodeWithSelector(IBonds.NotAdmin.selector, address(this)));
        game.setParams(p);
        vm.prank(ADMIN);
        game.setParams(p);
        vm.assertEq(game.params().clock, 2 hours);
        vm.assertEq(game.turnUntil(id), block.timestamp + CLOCK);
        vm.assertEq(game.bondFor(CLAIM), 7e18);
        uint256 later = open(BOB, root);
        vm.assertEq(game.turnUntil(later), block.timestamp + 2 hours);
        vm.assertEq(gameOf(later).clock, 2 hours);
        vm.assertEq(gameOf(later).floor, 20 minutes);
    }

    function test_setParams_revertsOutOfBounds() public {
        IDisputeGame.Params memory p;
        vm.startPrank(ADMIN);
        for (uint256 field = 0; field < 4; ++field) {
            for (uint256 up = 0; up < 2; ++up) {
                p = gameParams();
                if (field == 0) p.clock = up == 1 ? 24 hours + 1 : 1 hours - 1;
                if (field == 1) p.floor = up == 1 ? 1 hours + 1 : 10 minutes - 1;
                if (field == 2) p.bond = up == 1 ? 1e24 + 1 : 1e18 - 1;
                if (field == 3 && up == 0) continue; // nothing is below 0
                if (field == 3) p.bondShare = 2001;
                expectPartial(IBonds.ParamOutOfBounds.selector);
                game.setParams(p);
            }
        }
        vm.stopPrank();
    }

    function test_reach_isThatOfTheBounds() public view {
        vm.assertEq(game.reach(), 2 * (24 hours + 4 * 1 hours) + 3 days);
    }
}
