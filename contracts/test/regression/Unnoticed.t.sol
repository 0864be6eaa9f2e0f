// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {StakeFixture} from "../StakeFixture.sol";
import {StepVectors} from "../StepVectors.sol";
import {IStakeRegistry} from "../../src/interfaces/IStakeRegistry.sol";
import {Answers} from "../../src/steps/Answers.sol";
import {AvcHeaders} from "../../src/steps/AvcHeaders.sol";
import {ErrorSumStep} from "../../src/steps/ErrorSumStep.sol";
import {ErrorTree} from "../../src/steps/ErrorTree.sol";
import {IStepVerifier} from "../../src/steps/IStepVerifier.sol";
import {SumPath} from "../../src/steps/SumPath.sol";
import {TransportStream} from "../../src/steps/TransportStream.sol";

/// @dev Changes to the sources that no test noticed when they were tried (test.sh --mutate), and the tests that do now.
contract UnnoticedStakeTest is StakeFixture {
    function fill() internal {
        for (uint256 i = 0; i < 3; ++i) {
            bond(op(i), MIN_SELF);
        }
    }

    function test_displaced_worksToTheEndOfTheEpochWhoeverPokesIt() public {
        fill();
        bond(op(3), 1100e18);
        vm.prank(op(3));
        set.displace(op(3), 0);
        registry.poke(op(0));
        vm.assertTrue(registry.isActive(op(0)));
        nextEpoch();
        vm.assertTrue(!registry.isActive(op(0)));
    }

    /// @dev op(3) came too late for a slot, and then one got free.
    modifier besideAFreeSlot() {
        fill();
        bond(op(3), 2000e18);
        jail(op(0), IStakeRegistry.Jail.Short);
        _;
        vm.assertTrue(!registry.isActive(op(3)));
        vm.assertEq(stateOf(op(3)), uint256(IStakeRegistry.State.Standby));
    }

    function test_slash_takesNoFreeSlotForTheSlashed() public besideAFreeSlot {
        slash(op(3), 1e18);
    }

    function test_retireSlasher_tellsOfIt() public {
        vm.expectEmit(address(registry));
        emit IStakeRegistry.SlasherRetired(address(this));
        registry.retireSlasher(address(this));
    }

    function test_unbond_tellsOfIt() public {
        bond(op(0), MIN_SELF);
        vm.expectEmit(address(registry));
        emit IStakeRegistry.Unbonded(op(0), 1e18, uint40(block.timestamp + UNBOND));
        unbond(op(0), 1e18);
    }

    function test_unbond_takesNoFreeSlot() public besideAFreeSlot {
        unbond(op(3), 1e18);
    }

    function test_slash_dustOfAWipedThawIsTheOperatorsAgain() public {
        bond(op(0), MIN_SELF);
        unbond(op(0), MIN_SELF);
        slash(op(0), MIN_SELF - 1e11);
        vm.assertEq(info(op(0)).thawing, 0);
        vm.assertEq(info(op(0)).bonded, 1e11);
    }

    function test_slash_tellsOfTheJail() public {
        bond(op(0), MIN_SELF);
        vm.expectEmit(address(registry));
        emit IStakeRegistry.Jailed(op(0), uint40(block.timestamp + 14 days), 1);
        jail(op(0), IStakeRegistry.Jail.Strike);
    }

    function test_withdraw_tellsWhatWasPaidAndNotWhatWasKept() public {
        bond(op(0), MIN_SELF);
        registry.lock(op(0), 600e18);
        unbond(op(0), 400e18);
        slash(op(0), 200e18); // 120 of what is bonded: 480 are left under locks of 600
        pass(UNBOND);
        vm.expectEmit(address(registry));
        emit IStakeRegistry.Withdrawn(op(0), 200e18);
        withdraw(op(0));
        vm.assertEq(info(op(0)).bonded, 600e18);
    }

    function test_acceptAdmin_isTold() public {
        registry.proposeAdmin(ALICE);
        vm.expectEmit(address(registry));
        emit IStakeRegistry.AdminChanged(ALICE);
        vm.prank(ALICE);
        registry.acceptAdmin();
    }

    function test_undelegate_lowersTheWeight() public {
        bond(op(0), MIN_SELF);
        delegate(ALICE, op(0), 500e18);
        vm.assertEq(set.totalWeight(set.epoch() + 1), 1500e18);
        undelegateAll(ALICE, op(0));
        vm.assertEq(set.totalWeight(set.epoch() + 1), 1000e18);
    }

    function test_elect_triesNoMoreThanAsked() public {
        bond(op(0), MIN_SELF);
        nextEpoch();
        uint256 epoch = set.epoch();
        vm.assertEq(set.elect(epoch, 0, 0), address(0));
        vm.assertEq(set.elect(epoch, 0, 1), op(0));
    }
}

contract UnnoticedStepsTest is StepVectors {
    bytes internal constant HIGH = hex"6764001fac2e5014016e40"; // High 3.1, 1280 x 720
    ErrorSumStep internal step;

    function setUp() public {
        step = new ErrorSumStep();
    }

    function sequence(bytes memory stream) external pure returns (AvcHeaders.Sequence memory) {
        return AvcHeaders.sequence(stream, 0);
    }

    function unit(bytes memory data) external pure returns (bytes memory) {
        return TransportStream.unit(data, 0);
    }

    function beginsVideo(bytes memory data) external pure returns (bool) {
        return TransportStream.beginsVideo(data, 0);
    }

    /// @dev A packet of 188 bytes of stream 0x100, filled up with `fill`.
    function packet(bytes memory begin, bytes1 fill) internal pure returns (bytes memory out) {
        out = new bytes(188);
        for (uint256 i = 0; i < 188; ++i) {
            out[i] = i < begin.length ? begin[i] : fill;
        }
    }

    function test_sequence_ofTheHighProfile() public view {
        AvcHeaders.Sequence memory s = this.sequence(HIGH);
        vm.assertEq(s.profile, 100);
        vm.assertEq(s.level, 31);
        vm.assertTrue(s.chroma == 1 && s.depth == 8, "format");
        vm.assertTrue(s.width == 1280 && s.height == 720, "size");
    }

    function test_sequence_endsWhereTheNextUnitBegins() public {
        bytes memory rest = new bytes(40);
        for (uint256 i = 0; i < 40; ++i) {
            rest[i] = 0xff;
        }
        vm.expectRevert(IStepVerifier.OutOfShape.selector);
        this.sequence(bytes.concat(hex"6764001fac", hex"000001", rest));
        // The same bytes without the start code would be a set.
        this.sequence(bytes.concat(hex"6764001fac", hex"0000ff", rest));
    }

    function test_unit_isThePayloadOfItsPacketsAlone() public view {
        bytes memory first = packet(hex"47410010000001e000008000" hex"00", 0xaa);
        bytes memory stuffing = packet(hex"4701002064", 0xcc); // an adaptation field of 100 bytes, and no payload
        bytes memory second = packet(hex"47010010", 0xbb);
        bytes memory out = this.unit(bytes.concat(first, stuffing, second));
        vm.assertEq(out.length, 175 + 184);
        for (uint256 i = 0; i < out.length; ++i) {
            vm.assertTrue(out[i] == (i < 175 ? bytes1(0xaa) : bytes1(0xbb)), "bytes");
        }
    }

    function test_beginsVideo_wantsTheByteThatPacketsBeginWith() public {
        bytes memory data = packet(hex"47410010000001e000008000" hex"00", 0xaa);
        vm.assertTrue(this.beginsVideo(data));
        data[0] = 0x46;
        vm.expectRevert(IStepVerifier.OutOfShape.selector);
        this.beginsVideo(data);
    }

    // ---- an error as large as the limit is within it ----

    function verdict(Answers.Limits memory l, ErrorSumStep.Kind kind) internal view returns (string memory) {
        SumPath.Node[3] memory planes = [
            SumPath.Node(ErrorTree.leaf(10), 10),
            SumPath.Node(ErrorTree.leaf(15), 15),
            SumPath.Node(ErrorTree.leaf(5), 5)
        ];
        ErrorTree.FrameNode memory top = ErrorTree.frame(planes);
        Answers.Answer memory a;
        a.rungs = new Answers.Rung[](1);
        (a.rungs[0].width, a.rungs[0].height) = (32, 32);
        (a.rungs[0].errors, a.rungs[0].limits) = (ErrorTree.root(1, top), keccak256(abi.encode(l)));
        ErrorTree.FrameOpening memory frame = ErrorTree.FrameOpening(0, 1, planes, new ErrorTree.FrameNode[](0));
        ErrorSumStep.Evidence memory e;
        (e.answer, e.kind) = (a, kind);
        if (kind == ErrorSumStep.Kind.FrameLimit) {
            e.detail = abi.encode(ErrorSumStep.FrameLimit(l, frame));
        } else if (kind == ErrorSumStep.Kind.SegmentLimit) {
            e.detail = abi.encode(ErrorSumStep.SegmentLimit(l, 1, top));
        } else {
            ErrorTree.TileOpening memory tile = ErrorTree.TileOpening(15, new SumPath.Node[](0));
            e.detail = abi.encode(ErrorSumStep.TileLimit(l, 1, 0, 0, frame, tile));
        }
        return outcome(step, keccak256(abi.encode(a)), abi.encode(e));
    }

    function test_limits_areExceededByMoreAlone() public view {
        Answers.Limits memory l = Answers.Limits(10, 15, 10, 20, 10, 20);
        vm.assertEq(verdict(l, ErrorSumStep.Kind.TileLimit), "NothingWrong");
        vm.assertEq(verdict(l, ErrorSumStep.Kind.FrameLimit), "NothingWrong");
        vm.assertEq(verdict(l, ErrorSumStep.Kind.SegmentLimit), "NothingWrong");
        vm.assertEq(verdict(Answers.Limits(10, 14, 10, 20, 10, 20), ErrorSumStep.Kind.TileLimit), "tile limit");
        vm.assertEq(verdict(Answers.Limits(10, 15, 9, 20, 10, 20), ErrorSumStep.Kind.FrameLimit), "frame limit");
        vm.assertEq(verdict(Answers.Limits(10, 15, 10, 19, 10, 20), ErrorSumStep.Kind.FrameLimit), "frame limit");
        vm.assertEq(verdict(Answers.Limits(10, 15, 10, 20, 9, 20), ErrorSumStep.Kind.SegmentLimit), "segment limit");
        vm.assertEq(verdict(Answers.Limits(10, 15, 10, 20, 10, 19), ErrorSumStep.Kind.SegmentLimit), "segment limit");
    }
}
