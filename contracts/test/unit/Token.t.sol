// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base} from "../Base.sol";
import {Token} from "../../src/token/Token.sol";

contract TokenTest is Base {
    uint256 internal constant KEY = 0xA11CE;

    function make(uint256 holders, uint256 amounts, uint256 cap) internal returns (Token) {
        address[] memory h = new address[](holders);
        uint256[] memory a = new uint256[](amounts);
        for (uint256 i = 0; i < holders; ++i) {
            h[i] = vm.addr(KEY + i);
        }
        for (uint256 i = 0; i < amounts; ++i) {
            a[i] = 100 * (i + 1);
        }
        return new Token(h, a, address(this), cap);
    }

    function test_constructor_mintsTheFirstSupply() public {
        Token token = make(2, 2, 300);
        vm.assertEq(token.totalSupply(), 300);
        vm.assertEq(token.balanceOf(vm.addr(KEY + 1)), 200);
        vm.assertEq(token.symbol(), "HFS");
        vm.assertEq(token.minter(), address(this));
        vm.assertEq(token.cap(), 300);
    }

    function test_constructor_revertsWhenListsDiffer() public {
        vm.expectRevert(abi.encodeWithSelector(Token.HoldersAndAmountsDiffer.selector, 2, 1));
        make(2, 1, 300);
    }

    function test_constructor_revertsAboveTheCap() public {
        vm.expectRevert(abi.encodeWithSelector(Token.CapExceeded.selector, 300, 299));
        make(2, 2, 299);
    }

    function test_mint_isTheMintersAlone() public {
        Token token = make(1, 1, 300);
        token.mint(address(1), 200);
        vm.assertEq(token.balanceOf(address(1)), 200);
        vm.expectRevert(abi.encodeWithSelector(Token.NotMinter.selector, address(1)));
        vm.prank(address(1));
        token.mint(address(1), 1);
        Token fixed_ = new Token(new address[](0), new uint256[](0), address(0), 300);
        vm.expectRevert(abi.encodeWithSelector(Token.NotMinter.selector, address(this)));
        fixed_.mint(address(1), 1);
    }

    function test_mint_staysBelowTheCapAndBurningMakesRoom() public {
        Token token = make(1, 1, 300);
        token.mint(address(this), 200);
        vm.expectRevert(abi.encodeWithSelector(Token.CapExceeded.selector, 301, 300));
        token.mint(address(this), 1);
        token.burn(1);
        token.mint(address(this), 1);
        vm.assertEq(token.totalSupply(), 300);
    }

    function test_permit_setsTheAllowance() public {
        Token token = make(1, 1, 100);
        address owner = vm.addr(KEY);
        bytes32 typehash =
            keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        bytes32 s = keccak256(abi.encode(typehash, owner, address(this), 60, 0, block.timestamp));
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), s));
        (uint8 v, bytes32 r, bytes32 ss) = vm.sign(KEY, digest);
        token.permit(owner, address(this), 60, block.timestamp, v, r, ss);
        vm.assertEq(token.allowance(owner, address(this)), 60);
        token.transferFrom(owner, address(1), 60);
        vm.assertEq(token.balanceOf(address(1)), 60);
    }
}
