// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base} from "../Base.sol";
import {IGuardian} from "../../src/interfaces/IGuardian.sol";
import {IPausable} from "../../src/interfaces/IPausable.sol";
import {Guardian} from "../../src/gov/Guardian.sol";

/// @dev A double of a market, with the clock that IPausable asks for.
contract PausableDouble is IPausable {
    uint256 public since; // of the last pause
    uint256 public until;
    uint256 public stood; // seconds in earlier pauses
    bool public refuses;

    function refuse() external {
        refuses = true;
    }

    function pause(uint40 until_) external {
        require(!refuses);
        stood += until - since;
        (since, until) = (block.timestamp, until_);
    }

    function unpause() external {
        require(!refuses);
        until = block.timestamp;
    }

    function paused() external view returns (bool) {
        return block.timestamp < until;
    }

    function clock() external view returns (uint256) {
        uint256 now_ = block.timestamp;
        return now_ - stood - ((now_ < until ? now_ : until) - since);
    }
}

contract GuardianTest is Base {
    address internal constant KEY = address(0x6A4D);
    address internal constant OTHER = address(0xBAD);
    Guardian internal guardian; // whose admin this contract is
    PausableDouble internal market;
    uint256 internal start;

    function setUp() public {
        vm.warp(2_000_000_000);
        start = block.timestamp;
        market = new PausableDouble();
        IPausable[] memory targets = new IPausable[](1);
        targets[0] = market;
        guardian = new Guardian(address(this), KEY, targets);
    }

    function pause(uint256 duration) internal {
        vm.prank(KEY);
        guardian.pause(duration);
    }

    function test_pause_endsByItself() public {
        vm.assertEq(guardian.pausedUntil(), 0);
        pause(7 days);
        vm.assertTrue(market.paused());
        vm.assertEq(guardian.pausedUntil(), start + 7 days);
        vm.warp(start + 7 days - 1);
        vm.assertTrue(market.paused());
        vm.assertEq(market.clock(), start);
        vm.warp(start + 7 days);
        vm.assertTrue(!market.paused());
        vm.assertEq(market.clock(), start);
        vm.warp(start + 7 days + 5);
        vm.assertEq(market.clock(), start + 5);
    }

    function test_pause_isTheKeysForSevenDaysAtMost() public {
        vm.expectRevert(abi.encodeWithSelector(IGuardian.NotKey.selector, address(this)));
        guardian.pause(1);
        vm.expectRevert(abi.encodeWithSelector(IGuardian.BadDuration.selector, 0, 7 days));
        pause(0);
        vm.expectRevert(abi.encodeWithSelector(IGuardian.BadDuration.selector, 7 days + 1, 7 days));
        pause(7 days + 1);
    }

    function test_pause_onceInThirtyDays() public {
        pause(7 days);
        vm.assertEq(guardian.nextPause(), start + 30 days);
        vm.warp(start + 30 days - 1);
        vm.expectRevert(abi.encodeWithSelector(IGuardian.TooSoon.selector, start + 30 days));
        pause(7 days);
        vm.warp(start + 30 days);
        pause(1 days);
        vm.warp(start + 40 days);
        vm.assertEq(market.clock(), start + 32 days);
    }

    function test_unpause_endsItAndSavesNothingUp() public {
        vm.expectRevert(IGuardian.NotPaused.selector);
        guardian.unpause();
        pause(7 days);
        vm.warp(start + 1 days);
        vm.expectRevert(abi.encodeWithSelector(IGuardian.NotKey.selector, OTHER));
        vm.prank(OTHER);
        guardian.unpause();
        vm.prank(KEY);
        guardian.unpause();
        vm.assertEq(guardian.pausedUntil(), start + 1 days);
        vm.assertTrue(!market.paused());
        vm.expectRevert(IGuardian.NotPaused.selector);
        guardian.unpause();
        vm.expectRevert(abi.encodeWithSelector(IGuardian.TooSoon.selector, start + 30 days));
        pause(6 days);
        vm.warp(start + 30 days);
        pause(7 days);
        guardian.unpause(); // the admin may, too
        vm.assertTrue(!market.paused());
    }

    function test_pause_oneThatRefusesDoesNotKeepTheOthersRunning() public {
        PausableDouble second = new PausableDouble();
        guardian.addTarget(second);
        market.refuse();
        vm.expectEmit(address(guardian));
        emit IGuardian.TargetFailed(market);
        pause(2 days);
        vm.assertTrue(second.paused() && !market.paused());
        vm.expectEmit(address(guardian));
        emit IGuardian.TargetFailed(market);
        guardian.unpause();
        vm.assertTrue(!second.paused());
    }

    function test_key_isReplacedByTheAdminAlone() public {
        vm.expectRevert(abi.encodeWithSelector(IGuardian.NotAdmin.selector, KEY));
        vm.prank(KEY);
        guardian.setKey(OTHER);
        guardian.setKey(OTHER);
        vm.assertEq(guardian.key(), OTHER);
        vm.expectRevert(abi.encodeWithSelector(IGuardian.NotKey.selector, KEY));
        pause(1 days);
    }

    function test_targets_areTheAdmins() public {
        vm.startPrank(KEY);
        vm.expectRevert(abi.encodeWithSelector(IGuardian.NotAdmin.selector, KEY));
        guardian.addTarget(market);
        vm.expectRevert(abi.encodeWithSelector(IGuardian.NotAdmin.selector, KEY));
        guardian.removeTarget(market);
        vm.stopPrank();
        vm.expectRevert(abi.encodeWithSelector(IGuardian.NoSuchContract.selector, OTHER));
        guardian.addTarget(IPausable(OTHER));
        vm.expectRevert(abi.encodeWithSelector(IGuardian.AlreadyTarget.selector, market));
        guardian.addTarget(market);
        PausableDouble second = new PausableDouble();
        vm.expectRevert(abi.encodeWithSelector(IGuardian.NotTarget.selector, second));
        guardian.removeTarget(second);
        guardian.addTarget(second);
        guardian.removeTarget(market);
        vm.assertEq(guardian.targets().length, 1);
        vm.assertEq(address(guardian.targets()[0]), address(second));
        pause(1 days);
        vm.assertTrue(second.paused() && !market.paused());
    }

    function test_targets_areEightAtMost() public {
        for (uint256 i = 1; i < 8; ++i) {
            guardian.addTarget(new PausableDouble());
        }
        PausableDouble ninth = new PausableDouble();
        vm.expectRevert(abi.encodeWithSelector(IGuardian.TooManyTargets.selector, 8));
        guardian.addTarget(ninth);
    }
}
