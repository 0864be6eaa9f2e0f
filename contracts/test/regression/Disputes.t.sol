// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Board} from "../DisputeFixture.sol";
import {JuryFixture} from "../JuryFixture.sol";
import {IClaimBook} from "../../src/interfaces/IClaimBook.sol";
import {IDisputeGame} from "../../src/interfaces/IDisputeGame.sol";
import {IStakeRegistry} from "../../src/interfaces/IStakeRegistry.sol";
import {Answers} from "../../src/steps/Answers.sol";

/// @dev A wallet that is a contract and whose owner somebody else can make call it.
contract Wallet {
    function run(address to, bytes calldata data) external {
        (bool ok,) = to.call(data);
        require(ok);
    }
}

/// @dev What auditors found in other dispute games, and the traps that the design names, each as a test that ours has it not.
contract DisputeAuditsTest is JuryFixture {
    using Board for bytes32[][];

    uint256 internal constant COUNT = 40;
    uint64 internal constant OTHER = CLAIM + 1;
    bytes32[][] internal tree;
    bytes32 internal top;

    function setUp() public override {
        super.setUp();
        tree = board(COUNT);
        top = rootOf(COUNT, tree.top());
        putClaim(OTHER, top);
        vm.prank(op(5));
        token.approve(address(game), type(uint256).max);
    }

    // ---- OP's fault game ----

    /// Sherlock 2024: moves named their parent by its index, and after a reorganization hit another claim. (33)
    function test_opReorg_aMoveHitsNoOtherPosition() public {
        uint256 gameId = openOn(BOB, OTHER, top);
        bisectHonestly(gameId, COUNT, tree);
        bytes32[] memory row = tree.children(6, 0);
        // On the branch that was dropped child 1 was chosen, and the operator answered to that.
        bytes32 dropped = keccak256(
            abi.encode(gameId, row[1], COUNT, 1 << 2, 2, IDisputeGame.Status.Open, IDisputeGame.Side.Operator)
        );
        choose(BOB, gameId, row, 0);
        bytes32 position = gameOf(gameId).position;
        bytes32[] memory answer = tree.children(2, 4);
        vm.expectRevert(abi.encodeWithSelector(IDisputeGame.OtherPosition.selector, position, dropped));
        game.bisect(gameId, dropped, uint32(COUNT), answer);
        // Positions are as described, so that they can be computed ahead.
        vm.assertEq(
            position,
            keccak256(abi.encode(gameId, row[0], COUNT, 0, 2, IDisputeGame.Status.Open, IDisputeGame.Side.Operator))
        );
    }

    /// The same moves in other blocks lead to the same position: what was sent before a reorganization stays good.
    function test_opReorg_theSameMovesLeadToTheSamePosition() public {
        uint256 gameId = openOn(BOB, OTHER, top);
        bytes32 opened = gameOf(gameId).position;
        pass(3 hours);
        vm.roll(block.number + 700);
        vm.assertEq(gameOf(gameId).position, opened);
        bisectHonestly(gameId, COUNT, tree);
        vm.assertEq(
            gameOf(gameId).position,
            keccak256(
                abi.encode(gameId, tree.top(), COUNT, 0, 6, IDisputeGame.Status.Open, IDisputeGame.Side.Challenger)
            )
        );
    }

    /// Sherlock 2024: a game's number could come to mean another game. Ours says itself what it is about.
    function test_opReorg_aGameIsKnownByWhatItIsAbout() public {
        uint256 bobs = openOn(BOB, OTHER, top);
        uint256 carols = openOn(CAROL, OTHER, top);
        vm.assertTrue(bobs != carols);
        vm.assertEq(uint64(bobs), OTHER);
        vm.assertEq(address(uint160(bobs >> 64)), BOB);
        vm.assertEq(bobs >> 224, uint256(IDisputeGame.What.Decoded) | 1 << 8 | 3 << 16);
    }

    /// Sherlock 2024: the bond was owned by tx.origin. (34)
    function test_opTxOrigin_theCallerOwnsItsGameAndItsBond() public {
        Wallet wallet = new Wallet();
        token.transfer(address(wallet), 1000e18);
        Answers.Answer memory answer = answerWith(top);
        wallet.run(address(token), abi.encodeCall(token.approve, (address(game), type(uint256).max)));
        bytes memory data = abi.encodeCall(game.open, (OTHER, 3, answeredWith(answer), answer, decoded()));
        vm.prank(CAROL);
        wallet.run(address(game), data);
        uint256 gameId = uint256(OTHER) | uint256(uint160(address(wallet))) << 64 | 2 << 224 | 1 << 232 | 3 << 240;
        vm.assertEq(gameOf(gameId).challenger, address(wallet));
        book.end(OTHER);
        game.close(gameId);
        vm.assertEq(game.owed(CAROL), 0);
        vm.assertEq(game.owed(address(wallet)), game.bondFor(OTHER));
    }

    /// Offchain Labs' finding: a clock was inherited from the wrong move, so that moving won time. (35)
    function test_opClock_movingWinsNoTimeAndEachSideSpendsItsOwn() public {
        uint256 gameId = openOn(BOB, OTHER, top);
        uint256 begin = block.timestamp;
        vm.warp(game.turnUntil(gameId)); // the operator uses all of it
        bisectHonestly(gameId, COUNT, tree);
        vm.assertEq(game.turnUntil(gameId), begin + 2 * CLOCK, "the challenger's is whole");
        vm.warp(game.turnUntil(gameId));
        choose(BOB, gameId, tree.children(6, 0), 0);
        vm.assertEq(game.turnUntil(gameId), begin + 2 * CLOCK + FLOOR, "the operator has the floor");
        bisectHonestly(gameId, COUNT, tree); // at once, and what it has not used of the floor is no credit
        vm.assertEq(gameOf(gameId).spent[0], CLOCK);
        vm.assertEq(game.turnUntil(gameId), begin + 2 * CLOCK + FLOOR, "and the challenger");
    }

    /// The whole game is over in time, whoever stalls.
    function test_opClock_nobodyStallsBeyondTheReach() public {
        uint256 begin = block.timestamp;
        uint256 gameId = openOn(BOB, OTHER, top);
        while (gameOf(gameId).status == IDisputeGame.Status.Open) {
            vm.warp(game.turnUntil(gameId));
            IDisputeGame.Game memory g = gameOf(gameId);
            if (g.turn == IDisputeGame.Side.Operator) bisectHonestly(gameId, COUNT, tree);
            else choose(BOB, gameId, tree.children(g.level, g.first), 0);
        }
        id = gameId;
        approveJury(BOB);
        endStage();
        endStage();
        appeal(BOB);
        endStage();
        endStage();
        finish();
        vm.assertLe(block.timestamp - begin, game.reach() + 5, "reach");
    }

    // ---- The Graph ----

    /// A dispute's number could be used up, so that nobody could dispute the same thing again.
    function test_graph_aLostGameKeepsNobodyElseOut() public {
        uint256 sham = openOn(BOB, OTHER, top);
        bisectHonestly(sham, COUNT, tree);
        vm.warp(game.turnUntil(sham) + 1);
        game.timeout(sham);
        IClaimBook.Claim memory c = book.claimInfo(OTHER);
        c.contestUntil = uint40(block.timestamp);
        book.put(OTHER, c);
        expectStatus(sham, IDisputeGame.Status.OperatorWon);
        uint256 again = openOn(CAROL, OTHER, top);
        expectStatus(again, IDisputeGame.Status.Open);
        pass(CLOCK + 1);
        game.timeout(again);
        expectStatus(again, IDisputeGame.Status.ChallengerWon);
    }

    // ---- traps of the design ----

    /// (36) Each game is for itself: what one challenger gives away harms no other.
    function test_trap36_aShamGameDoesNotHarmAnHonestOne() public {
        uint256 sham = openOn(op(5), OTHER, top); // a friend of the operator's
        uint256 honest = openOn(CAROL, OTHER, top);
        descend(op(5), sham, COUNT, tree, COUNT + 1); // padding: it loses on purpose
        expectStatus(sham, IDisputeGame.Status.OperatorWon);
        pass(CLOCK + 1);
        game.timeout(honest);
        expectStatus(honest, IDisputeGame.Status.ChallengerWon);
        vm.assertEq(registry.bounty(CAROL), LOCK / 4);
    }

    /// (37) Games with oneself cost half of each bond, and no number of them keeps others out at the price of a few.
    function test_trap37_occupyingAClaimGetsDearer() public {
        address[4] memory shams = [op(1), op(2), op(3), op(4)];
        uint256 spent = 0;
        for (uint256 i = 0; i < 4; ++i) {
            vm.prank(shams[i]);
            token.approve(address(game), type(uint256).max);
            spent += game.bondFor(OTHER);
            openOn(shams[i], OTHER, top);
        }
        vm.assertEq(spent, (1 + 1 + 1 + 2) * 70e18);
        openOn(CAROL, OTHER, top);
    }

    /// (40) A bought verdict takes the claim's lock and three days, no more: neither own stake nor a strike.
    function test_trap40_aVerdictTakesNoMoreThanTheLock() public {
        round(5, 0, 15, 15);
        uint256 before = slashable(op(0));
        finish();
        vm.assertEq(before - slashable(op(0)), LOCK);
        IStakeRegistry.Operator memory o = registry.operatorInfo(op(0));
        vm.assertEq(o.strikes, 0);
        vm.assertEq(o.jailedUntil, block.timestamp + 3 days);
    }

    /// PoCo: a committee's votes could be copied. A commitment binds game, seat and juror.
    function test_poco_aVoteCannotBeCopied() public {
        sealWith(id, 5);
        address first = jury.jurorOf(id, 0);
        bytes32 commitment = keccak256(abi.encode(false, saltOf(0), id, uint256(0), first));
        vm.prank(first);
        jury.vote(id, 0, commitment);
        address second = jury.jurorOf(id, 1);
        vm.prank(second);
        jury.vote(id, 1, commitment);
        endStage();
        reveal(0, false);
        vm.expectPartialRevert(bytes4(keccak256("WrongReveal(uint256,uint256)")));
        jury.revealVote(id, 1, false, saltOf(0));
    }
}
