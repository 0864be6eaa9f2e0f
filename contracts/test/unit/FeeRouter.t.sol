// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {StakeFixture} from "../StakeFixture.sol";
import {FeeRouter} from "../../src/staking/FeeRouter.sol";

/// @dev An owner that tries, each time it is paid, to be paid once more and to have another paid.
contract Greedy {
    FeeRouter internal immutable ROUTER;
    address internal immutable OTHER;
    uint256 public refused;

    constructor(FeeRouter router, address other) {
        (ROUTER, OTHER) = (router, other);
    }

    receive() external payable {
        if (again(abi.encodeCall(ROUTER.withdrawFor, (address(this))))) return;
        if (again(abi.encodeCall(ROUTER.withdraw, ()))) return;
        ROUTER.withdrawFor(OTHER);
    }

    function again(bytes memory data) internal returns (bool ok) {
        bytes memory answer;
        (ok, answer) = address(ROUTER).call(data);
        bytes memory wanted = abi.encodeWithSelector(FeeRouter.NothingOwed.selector, address(this));
        if (!ok && keccak256(answer) == keccak256(wanted)) refused += 1;
    }
}

/// @dev An owner that takes coins only when it likes.
contract Moody {
    error NotToday();

    bool public takes;

    function agree() external {
        takes = true;
    }

    receive() external payable {
        if (!takes) revert NotToday();
    }
}

contract FeeRouterTest is StakeFixture {
    function setUp() public override {
        super.setUp();
        bond(op(0), MIN_SELF);
        bond(op(1), MIN_SELF);
    }

    function nothingOwed(address account) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(FeeRouter.NothingOwed.selector, account);
    }

    /// @dev A fee without delegators: all but the treasury's percent is its owner's.
    function ownedBy(address operator, address owner) internal {
        vm.prank(operator);
        registry.proposeOwner(operator, owner);
        vm.prank(owner);
        registry.acceptOwner(operator);
        router.route{value: 1 ether}(operator);
        vm.assertEq(router.owed(owner), 0.99 ether);
    }

    function test_withdraw_paysTheCaller() public {
        router.route{value: 1 ether}(op(0));
        uint256 before = op(0).balance;
        vm.prank(op(0));
        router.withdraw();
        vm.assertEq(op(0).balance - before, 0.99 ether);
        vm.prank(op(0));
        vm.expectRevert(nothingOwed(op(0)));
        router.withdraw();
    }

    function test_withdrawFor_paysTheAccountWhoeverCalls() public {
        router.route{value: 1 ether}(op(0));
        (uint256 before, uint256 callers) = (op(0).balance, ALICE.balance);
        vm.prank(ALICE);
        vm.expectEmit(address(router));
        emit FeeRouter.Paid(op(0), 0.99 ether);
        router.withdrawFor(op(0));
        vm.assertEq(op(0).balance - before, 0.99 ether);
        vm.assertEq(ALICE.balance, callers);
        vm.assertEq(router.owed(op(0)), 0);
        before = TREASURY.balance;
        router.withdrawFor(TREASURY);
        vm.assertEq(TREASURY.balance - before, 0.01 ether);
        vm.assertEq(address(router).balance, 0);
    }

    function test_withdrawFor_revertsWhenTheAccountIsOwedNothing() public {
        router.route{value: 1 ether}(op(0));
        vm.prank(op(0)); // who is owed something itself
        vm.expectRevert(nothingOwed(op(1)));
        router.withdrawFor(op(1));
        router.withdrawFor(op(0));
        vm.expectRevert(nothingOwed(op(0)));
        router.withdrawFor(op(0));
    }

    /// What delegators may claim is none of it.
    function test_withdrawFor_leavesTheDelegatorsPart() public {
        delegate(ALICE, op(0), 1000e18);
        router.route{value: 1 ether}(op(0));
        router.withdrawFor(op(0));
        router.withdrawFor(TREASURY);
        vm.assertEq(address(router).balance, 0.495 ether);
        vm.expectRevert(nothingOwed(ALICE));
        router.withdrawFor(ALICE);
    }

    function test_withdrawFor_anOwnerThatCallsBackIsPaidOnce() public {
        Greedy greedy = new Greedy(router, op(1));
        ownedBy(op(0), address(greedy));
        router.route{value: 1 ether}(op(1));
        uint256 before = op(1).balance;
        router.withdrawFor(address(greedy));
        vm.assertEq(greedy.refused(), 2, "both ways");
        vm.assertEq(address(greedy).balance, 0.99 ether);
        vm.assertEq(op(1).balance - before, 0.99 ether, "and the other by its call");
        vm.assertEq(address(router).balance, router.owed(TREASURY));
    }

    function test_withdrawFor_whoRefusesCoinsHurtsItselfAlone() public {
        Moody moody = new Moody();
        ownedBy(op(0), address(moody));
        router.route{value: 1 ether}(op(1));
        vm.expectRevert(abi.encodeWithSelector(Moody.NotToday.selector));
        router.withdrawFor(address(moody));
        vm.assertEq(router.owed(address(moody)), 0.99 ether, "it is still owed");
        router.withdrawFor(op(1));
        router.withdrawFor(TREASURY);
        router.route{value: 1 ether}(op(0));
        moody.agree();
        router.withdrawFor(address(moody));
        vm.assertEq(address(moody).balance, 1.98 ether);
    }
}
