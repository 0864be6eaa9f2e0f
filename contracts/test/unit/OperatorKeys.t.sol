// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {StakeFixture} from "../StakeFixture.sol";
import {IOperatorKeys} from "../../src/interfaces/IOperatorKeys.sol";
import {IStakeRegistry} from "../../src/interfaces/IStakeRegistry.sol";

contract OperatorKeysTest is StakeFixture {
    address internal constant HOT = address(0x407);
    address internal constant NEXT = address(0x408);

    function setUp() public override {
        super.setUp();
        bond(op(0), MIN_SELF);
    }

    function change(address signer) internal {
        vm.prank(op(0));
        keys.proposeSigner(op(0), signer);
        vm.prank(signer);
        keys.acceptSigner(op(0));
    }

    function test_signer_isTheOperatorUntilAnotherAccepts() public {
        vm.assertEq(keys.signerOf(op(0)), op(0));
        vm.assertEq(keys.operatorOf(op(0)), op(0));
        vm.assertTrue(keys.answersFor(op(0), op(0)));
        vm.prank(op(0));
        keys.proposeSigner(op(0), HOT);
        vm.assertEq(keys.proposedSigner(op(0)), HOT);
        vm.assertEq(keys.operatorOf(HOT), HOT, "not accepted yet");
        vm.assertTrue(!keys.answersFor(op(0), HOT));
        vm.prank(HOT);
        keys.acceptSigner(op(0));
        vm.assertEq(keys.signerOf(op(0)), HOT);
        vm.assertEq(keys.operatorOf(HOT), op(0));
        vm.assertEq(keys.boundTo(HOT), op(0));
        vm.assertEq(keys.operatorOf(op(0)), address(0), "its own key was replaced");
    }

    function test_signer_aReplacedOneStaysAnswerableForTheUnbondingTime() public {
        change(HOT);
        change(NEXT);
        vm.assertEq(keys.operatorOf(HOT), address(0));
        pass(UNBOND);
        vm.assertTrue(keys.answersFor(op(0), HOT) && keys.answersFor(op(0), op(0)));
        pass(1);
        vm.assertTrue(!keys.answersFor(op(0), HOT) && !keys.answersFor(op(0), op(0)));
        vm.assertTrue(keys.answersFor(op(0), NEXT) && !keys.answersFor(op(1), NEXT));
        change(HOT); // its own former key again
        vm.assertEq(keys.operatorOf(HOT), op(0));
        change(op(0)); // and itself
        vm.assertEq(keys.operatorOf(op(0)), op(0));
        vm.assertEq(keys.operatorOf(HOT), address(0));
    }

    /// The key that will sign may be named before there is any bond.
    function test_signer_namedBeforeTheFirstBond() public {
        vm.prank(op(1));
        keys.proposeSigner(op(1), HOT);
        vm.prank(HOT);
        keys.acceptSigner(op(1));
        vm.assertEq(keys.boundTo(op(1)), op(1));
        bond(op(1), MIN_SELF);
        vm.assertEq(keys.operatorOf(HOT), op(1));
        vm.assertEq(keys.operatorOf(op(1)), address(0), "its own key was replaced");
    }

    function test_signer_noKeyServesTwoOperators() public {
        change(HOT);
        bond(op(1), MIN_SELF);
        vm.startPrank(op(1));
        keys.proposeSigner(op(1), HOT);
        keys.proposeSigner(op(1), op(0)); // an operator
        vm.stopPrank();
        vm.prank(op(0));
        vm.expectRevert(abi.encodeWithSelector(IOperatorKeys.KeyInUse.selector, op(0), op(0)));
        keys.acceptSigner(op(1));
        vm.prank(op(1));
        keys.proposeSigner(op(1), HOT);
        vm.prank(HOT);
        vm.expectRevert(abi.encodeWithSelector(IOperatorKeys.KeyInUse.selector, HOT, op(0)));
        keys.acceptSigner(op(1));
        bond(op(2), MIN_SELF);
        vm.prank(op(1));
        keys.proposeSigner(op(1), op(2)); // an operator that no key was ever named for
        vm.prank(op(2));
        vm.expectRevert(abi.encodeWithSelector(IOperatorKeys.KeyInUse.selector, op(2), address(0)));
        keys.acceptSigner(op(1));
        fund(HOT);
        vm.expectRevert(abi.encodeWithSelector(IStakeRegistry.KeyInUse.selector, HOT, op(0)));
        bond(HOT, MIN_SELF);
        bond(op(0), 1); // an operator with another signer may bond on
    }

    function test_signer_onlyTheOwnerProposesAndOnlyTheProposedAccepts() public {
        vm.expectRevert(abi.encodeWithSelector(IOperatorKeys.NotOwner.selector, op(0), address(this)));
        keys.proposeSigner(op(0), HOT);
        vm.expectRevert(abi.encodeWithSelector(IOperatorKeys.NotProposed.selector, address(this)));
        keys.acceptSigner(op(0));
    }

    function test_bindPeer_isForTheSignerAlone() public {
        change(HOT);
        vm.prank(HOT);
        keys.bindPeer(bytes32(uint256(7)));
        vm.assertEq(keys.peerOf(op(0)), bytes32(uint256(7)));
        vm.prank(op(0));
        vm.expectRevert(abi.encodeWithSelector(IOperatorKeys.NotSigner.selector, op(0)));
        keys.bindPeer(bytes32(uint256(8)));
    }
}
