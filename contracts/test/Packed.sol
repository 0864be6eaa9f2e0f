// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Work} from "../src/lib/Work.sol";

/// @dev Openings as IClaimBook.answer takes them.
library Packed {
    /// @dev What cannot be said in it is left away: another job, and a segment that is further from the first than 16 bits.
    function openings(uint64 claimId, Work.Opening[] memory all) internal pure returns (bytes memory out) {
        for (uint256 i = 0; i < all.length; ++i) {
            Work.Opening memory o = all[i];
            Work.Receipt memory leaf = o.leaf;
            uint16 place;
            unchecked {
                place = uint16(leaf.seq - uint32(claimId));
            }
            bytes memory head = abi.encodePacked(place, leaf.srcRoot, leaf.outRoot, leaf.units, leaf.outBytes);
            out = bytes.concat(out, head, abi.encodePacked(o.srcBytes, o.durationMs), o.clientSig, path(o.path));
        }
    }

    function path(Work.Sibling[] memory all) internal pure returns (bytes memory out) {
        for (uint256 i = 0; i < all.length; ++i) {
            out = bytes.concat(out, abi.encodePacked(all[i].hash, all[i].sum));
        }
    }
}
