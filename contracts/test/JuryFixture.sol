// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Board, DisputeFixture} from "./DisputeFixture.sol";
import {HeaderRlp} from "./HeaderRlp.sol";
import {IClaimBook} from "../src/interfaces/IClaimBook.sol";
import {IDisputeGame} from "../src/interfaces/IDisputeGame.sol";
import {IJury} from "../src/interfaces/IJury.sol";
import {Jury} from "../src/verify/Jury.sol";

/// @dev The game with its real jury, over a double of the claim book: op(0) works, op(1) to op(7) are enlisted. A game by
/// ALICE is at its only picture, and the jury is summoned.
abstract contract JuryFixture is DisputeFixture {
    using Board for bytes32[][];

    uint128 internal constant JUROR_LOCK = 100e18;
    uint128 internal constant APPEAL_BOND = 30e18;
    uint16 internal constant DELAY = 8;
    uint32 internal constant VOTE = 18 hours;
    uint32 internal constant REVEAL = 6 hours;
    uint32 internal constant APPEAL = 24 hours;

    Jury internal jury;
    uint256 internal id;
    bytes32 internal root;

    function setUp() public virtual override {
        super.setUp();
        for (uint256 i = 1; i < 8; ++i) {
            bond(op(i), 2 * MIN_SELF);
            approveJury(op(i));
            enlist(op(i));
        }
        approveJury(op(0));
        approveJury(ALICE);
        nextEpoch();
        bytes32[][] memory tree = board(1);
        root = rootOf(1, tree.top());
        putClaim(CLAIM, root);
        id = toTheJury(ALICE, CLAIM);
    }

    function slots() internal pure override returns (uint256) {
        return 16;
    }

    function deployGame() internal override {
        uint64 nonce = vm.getNonce(address(this));
        jury = Jury(vm.computeCreateAddress(address(this), nonce + 1));
        game = newGame(jury);
        jury = new Jury(
            IDisputeGame(address(game)),
            IClaimBook(address(book)),
            registry,
            token,
            ADMIN,
            juryParams(),
            IJury.Params(1, 1 hours, 1 hours, 1 hours, 1e18, 1e18),
            IJury.Params(64, VOTE, REVEAL, APPEAL, 1e24, 1e24)
        );
        vm.assertEq(address(game.judge()), address(jury));
        registry.announceSlasher(address(jury), REACH);
    }

    function juryParams() internal pure returns (IJury.Params memory) {
        return IJury.Params(DELAY, VOTE, REVEAL, APPEAL, JUROR_LOCK, APPEAL_BOND);
    }

    function approveJury(address who) internal {
        vm.prank(who);
        token.approve(address(jury), type(uint256).max);
    }

    function enlist(address who) internal {
        vm.prank(who);
        jury.enlist();
    }

    function toTheJury(address who, uint64 claimId) internal returns (uint256 gameId) {
        gameId = openOn(who, claimId, root);
        bytes32[][] memory tree = board(1);
        bisectHonestly(gameId, 1, tree);
        choose(who, gameId, tree.children(0, 0), 0);
    }

    // ---- a round ----

    /// @dev Lets the seed's block pass.
    function sealWith(uint256 gameId, uint256 random) internal {
        uint64 number = jury.trial(gameId).seedBlock;
        bytes memory header = HeaderRlp.header(bytes32(random), 3, random, 7);
        if (block.number <= number) vm.roll(number + 1);
        vm.setBlockhash(number, keccak256(header));
        jury.seal(gameId, header);
    }

    function saltOf(uint256 seat) internal pure returns (bytes32) {
        return keccak256(abi.encode("salt", seat));
    }

    function vote(uint256 seat, bool right) internal {
        address juror = jury.jurorOf(id, seat);
        bytes32 commitment = keccak256(abi.encode(right, saltOf(seat), id, seat, juror));
        vm.prank(juror);
        jury.vote(id, seat, commitment);
    }

    function reveal(uint256 seat, bool right) internal {
        jury.revealVote(id, seat, right, saltOf(seat));
    }

    function stageOf(uint256 gameId) internal view returns (IJury.Stage) {
        return jury.trial(gameId).stage;
    }

    function expectStage(IJury.Stage stage) internal view {
        vm.assertEq(uint256(stageOf(id)), uint256(stage), "stage");
    }

    function endStage() internal {
        vm.warp(jury.trial(id).until + 1);
    }

    /// @dev Votes and reveals: the first `wrong` of `voted` seats say wrong, the others right. Ends behind revealing.
    function round(uint256 random, uint256 from, uint256 voted, uint256 wrong) internal {
        sealWith(id, random);
        for (uint256 i = 0; i < voted; ++i) {
            vote(from + i, i >= wrong);
        }
        endStage();
        for (uint256 i = 0; i < voted; ++i) {
            reveal(from + i, i >= wrong);
        }
        endStage();
    }

    function appeal(address who) internal {
        vm.prank(who);
        jury.appeal(id);
    }

    function finish() internal {
        if (stageOf(id) == IJury.Stage.Appealable) endStage();
        jury.finish(id);
    }
}
