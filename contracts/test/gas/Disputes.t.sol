// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Board, DisputeFixture} from "../DisputeFixture.sol";
import {DisputedClaimFixture} from "../DisputedClaimFixture.sol";
import {JuryFixture} from "../JuryFixture.sol";

/// @dev Whole transactions on cold storage (run with --isolate), over a double of the claim book. Another game is open, so
/// that no balance is fresh; eight segments are drawn and the answer has five rungs.
contract DisputesGas is DisputeFixture {
    using Board for bytes32[][];

    uint256 internal constant COUNT = 600;
    bytes32[][] internal tree;
    bytes32 internal root;

    function setUp() public override {
        super.setUp();
        tree = board(COUNT);
        root = rootOf(COUNT, tree.top());
        putClaim(CLAIM, root);
        open(BOB, root);
    }

    function measure(string memory name, uint256 target) internal {
        vm.assertLe(vm.snapshotGasLastCall("disputes", name), target, name);
    }

    function test_gas_game() public {
        uint256 id = open(ALICE, root);
        measure("start", 140_000);
        bisectHonestly(id, COUNT, tree);
        measure("operator's first move", 60_000);
        choose(ALICE, id, tree.children(10, 0), 7);
        measure("challenger's move", 50_000);
        bisectHonestly(id, COUNT, tree);
        measure("operator's move", 60_000);
        choose(ALICE, id, tree.children(6, gameOf(id).first), 3);
        bisectHonestly(id, COUNT, tree);
        choose(ALICE, id, tree.children(2, gameOf(id).first), 1);
        measure("challenger's last move, before the judge is summoned", 75_000);
        judge.decide(game, id, true);
        measure("verdict for the operator", 115_000);
    }

    function test_gas_convicted() public {
        uint256 id = open(ALICE, root);
        pass(CLOCK + 1);
        game.timeout(id);
        measure("operator's time is out", 310_000);
        vm.prank(ALICE);
        game.withdraw();
        measure("withdraw a bond", 45_000);
    }
}

contract JuryGas is JuryFixture {
    function measure(string memory name, uint256 target) internal {
        vm.assertLe(vm.snapshotGasLastCall("disputes", name), target, name);
    }

    function test_gas_trial() public {
        sealWith(id, 5);
        measure("seal a jury's seed", 125_000);
        vote(0, false);
        vote(1, false);
        measure("vote", 150_000);
        for (uint256 seat = 2; seat < 14; ++seat) {
            vote(seat, false);
        }
        endStage();
        for (uint256 seat = 0; seat < 14; ++seat) {
            reveal(seat, false);
        }
        measure("reveal a vote", 60_000);
        jury.reportAbsent(id, 14);
        measure("report an absent juror", 250_000);
        endStage();
        finish();
        measure("finish a trial that convicts", 400_000);
        jury.takeReward(id, 0);
        jury.takeReward(id, 1);
        measure("a juror's reward", 65_000);
    }
}

contract DisputedClaimGas is DisputedClaimFixture {
    function test_gas_startOnAClaim() public {
        openGame();
        uint256 used = vm.snapshotGasLastCall("disputes", "start on a claim, two rungs, first game of all");
        vm.assertLe(used, 140_000, "first game");
        vm.prank(BOB);
        token.approve(address(disputes), type(uint256).max);
        openGameAs(BOB);
        used = vm.snapshotGasLastCall("disputes", "start on a claim, two rungs");
        vm.assertLe(used, 140_000, "another game");
    }
}
