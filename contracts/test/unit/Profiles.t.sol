// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {MarketFixture} from "../MarketFixture.sol";
import {IProfileRegistry} from "../../src/interfaces/IProfileRegistry.sol";

contract ProfilesTest is MarketFixture {
    function bad(IProfileRegistry.Profile memory p) internal {
        vm.expectRevert(IProfileRegistry.BadProfile.selector);
        profiles.add(p);
    }

    function test_add_isKnownByTheHashOfItsContent() public {
        IProfileRegistry.Profile memory p = testProfile();
        p.cascade = true;
        bytes32 id = keccak256(abi.encode(p));
        vm.assertTrue(!profiles.known(id));
        vm.expectEmit(address(profiles));
        emit IProfileRegistry.ProfileAdded(id, 2, p);
        vm.assertEq(profiles.add(p), id);
        vm.assertTrue(profiles.known(id));
        vm.assertEq(profiles.numberOf(id), 2);
        vm.assertEq(profiles.idOf(2), id);
        vm.assertEq(profiles.idOf(1), profileId);
    }

    function test_add_again_doesNothing() public {
        vm.assertEq(profiles.add(testProfile()), profileId);
        vm.assertEq(profiles.numberOf(profileId), 1);
        vm.expectRevert(abi.encodeWithSelector(IProfileRegistry.NoSuchProfile.selector, 2));
        profiles.idOf(2);
    }

    function test_numberOf_revertsForUnknownOnes() public {
        vm.expectRevert(abi.encodeWithSelector(IProfileRegistry.UnknownProfile.selector, bytes32("?")));
        profiles.numberOf("?");
        vm.expectRevert(abi.encodeWithSelector(IProfileRegistry.NoSuchProfile.selector, 0));
        profiles.idOf(0);
    }

    function test_add_takesWhatLiesOnTheBounds() public {
        IProfileRegistry.Profile memory p = testProfile();
        IProfileRegistry.Rung memory rung = p.rungs[0];
        (p.filter, p.rungs) = (0, new IProfileRegistry.Rung[](16));
        for (uint256 i = 0; i < 16; ++i) {
            p.rungs[i] = rung;
        }
        (rung.width, rung.height) = (16_384, 2);
        (rung.profiles, rung.level, rung.maxBytesPerSecond) = (1, 1, 1);
        bytes32 id = profiles.add(p);
        vm.assertEq(profiles.idOf(profiles.numberOf(id)), id);
    }

    function test_add_revertsWhenUnsound() public {
        IProfileRegistry.Profile memory p = testProfile();
        p.filter = 2;
        bad(p);
        p = testProfile();
        p.rungs = new IProfileRegistry.Rung[](0);
        bad(p);
        p.rungs = new IProfileRegistry.Rung[](17);
        bad(p);
        uint32[3] memory sides = [uint32(0), 721, 16_386];
        for (uint256 i = 0; i < 3; ++i) {
            p = testProfile();
            p.rungs[1].width = sides[i];
            bad(p);
            p = testProfile();
            p.rungs[1].height = sides[i];
            bad(p);
        }
        p = testProfile();
        p.rungs[0].profiles = 0;
        bad(p);
        p = testProfile();
        p.rungs[0].level = 0;
        bad(p);
        p = testProfile();
        p.rungs[0].maxBytesPerSecond = 0;
        bad(p);
    }
}
