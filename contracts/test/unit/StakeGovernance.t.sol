// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {StakeFixture} from "../StakeFixture.sol";
import {IActiveSet} from "../../src/interfaces/IActiveSet.sol";
import {IStakeRegistry} from "../../src/interfaces/IStakeRegistry.sol";
import {FeeRouter} from "../../src/staking/FeeRouter.sol";
import {StakeRegistry} from "../../src/staking/StakeRegistry.sol";
import {Token} from "../../src/token/Token.sol";

contract StakeGovernanceTest is StakeFixture {
    address internal constant MARKET = address(0x3A2);

    function inState(IStakeRegistry.SlasherState state) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(IStakeRegistry.SlasherInState.selector, MARKET, state);
    }

    function outOfBounds(uint256 value, uint256 least, uint256 most) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(IStakeRegistry.ParamOutOfBounds.selector, value, least, most);
    }

    // ---- construction ----

    function test_constructor_revertsOutsideItsBounds() public {
        IStakeRegistry.Params memory p = IStakeRegistry.Params(MIN_SELF, UNBOND);
        vm.expectRevert(abi.encodeWithSelector(IActiveSet.BadSlotCount.selector, 0, 256));
        new StakeRegistry(token, 0, p);
        vm.expectRevert(abi.encodeWithSelector(IActiveSet.BadSlotCount.selector, 257, 256));
        new StakeRegistry(token, 257, p);
        uint256 most = (2 ** 30 - 1) * 4e18;
        Token large = oneHolder(most + 1);
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.SupplyTooLarge.selector, most + 1, most));
        new StakeRegistry(large, 1, p);
        new StakeRegistry(oneHolder(most), 256, p);
    }

    // ---- parameters ----

    function test_params_moveWithinHardBoundsOnly() public {
        vm.expectRevert(outOfBounds(100e18 - 1, 100e18, 1e24));
        registry.setParams(IStakeRegistry.Params(100e18 - 1, UNBOND));
        vm.expectRevert(outOfBounds(1e24 + 1, 100e18, 1e24));
        registry.setParams(IStakeRegistry.Params(1e24 + 1, UNBOND));
        vm.expectRevert(outOfBounds(11 days - 1, 11 days, 60 days)); // the slasher's reach and two days
        registry.setParams(IStakeRegistry.Params(MIN_SELF, 11 days - 1));
        vm.expectRevert(outOfBounds(60 days + 1, 11 days, 60 days));
        registry.setParams(IStakeRegistry.Params(MIN_SELF, 60 days + 1));
        registry.setParams(IStakeRegistry.Params(100e18, 11 days));
        registry.setParams(IStakeRegistry.Params(1e24, 60 days));
        vm.assertEq(registry.params().minSelf, 1e24);
        vm.assertEq(registry.params().unbond, 60 days);
    }

    function test_params_aRunningThawKeepsItsTime() public {
        bond(op(0), 2 * MIN_SELF);
        unbond(op(0), 1);
        uint256 until = block.timestamp + UNBOND;
        uint32[2] memory others = [uint32(60 days), 11 days]; // neither longer nor shorter
        for (uint256 i = 0; i < 2; ++i) {
            registry.setParams(IStakeRegistry.Params(MIN_SELF, others[i]));
            vm.assertEq(registry.selfThaws(op(0))[0].readyAt, until);
        }
        uint256 before = token.balanceOf(op(0));
        pass(UNBOND - 1);
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.NothingToWithdraw.selector, op(0)));
        withdraw(op(0));
        pass(1);
        withdraw(op(0));
        vm.assertEq(token.balanceOf(op(0)), before + 1);
    }

    function test_params_aHigherMinimumTakesTheSlot() public {
        bond(op(0), MIN_SELF);
        registry.setParams(IStakeRegistry.Params(MIN_SELF + 1, UNBOND));
        vm.assertTrue(!registry.isActive(op(0)));
        vm.assertEq(info(op(0)).slot, 1);
        registry.poke(op(0));
        vm.assertEq(info(op(0)).slot, 0);
    }

    function test_admin_aloneGovernsAndHandsOverInTwoSteps() public {
        bytes memory err = abi.encodeWithSelector(IStakeRegistry.NotAdmin.selector, ALICE);
        vm.startPrank(ALICE);
        vm.expectRevert(err);
        registry.setParams(IStakeRegistry.Params(MIN_SELF, UNBOND));
        vm.expectRevert(err);
        registry.setRouter(ALICE);
        vm.expectRevert(err);
        registry.announceSlasher(ALICE, 0);
        vm.expectRevert(err);
        registry.retireSlasher(address(this));
        vm.expectRevert(err);
        registry.proposeAdmin(ALICE);
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.NotProposed.selector, ALICE));
        registry.acceptAdmin();
        vm.stopPrank();
        registry.proposeAdmin(ALICE);
        vm.assertEq(registry.admin(), address(this));
        vm.prank(ALICE);
        registry.acceptAdmin();
        vm.assertEq(registry.admin(), ALICE);
        vm.assertEq(registry.proposedAdmin(), address(0));
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.RouterAlreadySet.selector, address(router)));
        vm.prank(ALICE);
        registry.setRouter(ALICE);
    }

    // ---- slashers ----

    function test_slasher_actsAtOnceOnlyBeforeAnybodyHasBonded() public {
        registry.announceSlasher(MARKET, 1 days);
        vm.assertEq(uint256(registry.slasherState(MARKET)), uint256(IStakeRegistry.SlasherState.Active));
        vm.expectRevert(inState(IStakeRegistry.SlasherState.Active));
        registry.announceSlasher(MARKET, 1 days);
        vm.expectRevert(inState(IStakeRegistry.SlasherState.Active));
        registry.activateSlasher(MARKET);
    }

    function test_slasher_waitsUntilEverybodyCanHaveLeft() public {
        bond(op(0), MIN_SELF);
        vm.expectRevert(inState(IStakeRegistry.SlasherState.None));
        registry.activateSlasher(MARKET);
        vm.expectRevert(outOfBounds(12 days + 1, 0, 12 days));
        registry.announceSlasher(MARKET, 12 days + 1);
        registry.announceSlasher(MARKET, 12 days);
        uint256 usableAt = block.timestamp + UNBOND + 2 days;
        vm.assertEq(uint256(registry.slasherState(MARKET)), uint256(IStakeRegistry.SlasherState.Announced));
        vm.expectRevert(inState(IStakeRegistry.SlasherState.Announced));
        registry.retireSlasher(MARKET);
        vm.prank(MARKET);
        vm.expectRevert(inState(IStakeRegistry.SlasherState.Announced));
        registry.lock(op(0), 1);
        vm.warp(usableAt - 1);
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.SlasherTooEarly.selector, MARKET, usableAt));
        registry.activateSlasher(MARKET);
        vm.warp(usableAt);
        registry.activateSlasher(MARKET);
        vm.prank(MARKET);
        registry.lock(op(0), 1);
        vm.expectRevert(outOfBounds(UNBOND - 1, UNBOND, 60 days)); // its reach counts now
        registry.setParams(IStakeRegistry.Params(MIN_SELF, UNBOND - 1));
    }

    function test_slasher_aRetiredOneJudgesForItsReachAndGivesBackForEver() public {
        registry.announceSlasher(MARKET, 5 days);
        bond(op(0), MIN_SELF);
        vm.prank(MARKET);
        registry.lock(op(0), 100);
        registry.retireSlasher(MARKET);
        vm.expectRevert(inState(IStakeRegistry.SlasherState.Retired));
        registry.retireSlasher(MARKET);
        vm.startPrank(MARKET);
        vm.expectRevert(inState(IStakeRegistry.SlasherState.Retired));
        registry.lock(op(0), 1);
        pass(5 days);
        registry.slash(op(0), 10, 10, noCuts, IStakeRegistry.Jail.No);
        vm.expectRevert(inState(IStakeRegistry.SlasherState.Retired));
        registry.freeEnded(op(0), MARKET);
        pass(1);
        vm.expectRevert(inState(IStakeRegistry.SlasherState.Ended));
        registry.slash(op(0), 10, 10, noCuts, IStakeRegistry.Jail.No);
        registry.release(op(0), 30);
        vm.stopPrank();
        vm.assertEq(info(op(0)).locked, 60);
        registry.freeEnded(op(0), MARKET);
        vm.assertEq(info(op(0)).locked, 0);
    }

    // ---- the fee router ----

    function test_router_takesFivePercentAtMost() public {
        vm.expectRevert(abi.encodeWithSelector(FeeRouter.ProtocolFeeTooLarge.selector, 501, 500));
        new FeeRouter(registry, TREASURY, 501);
        vm.assertEq(new FeeRouter(registry, TREASURY, 500).protocolFee(), 500);
    }
}
