// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Answers} from "../steps/Answers.sol";

/// @title What can be ordered. Append-only: a profile is known by the hash of its content, and never changes.
/// @notice The registry keeps no more than that a profile was added and is sound; who needs the content brings it along,
/// and the hash proves it. The event has it whole.
interface IProfileRegistry {
    /// What the chain can check of one rendition.
    struct Rung {
        uint32 width; // even, 2..=16384
        uint32 height;
        uint256 profiles; // bit n: H.264 profile_idc n may be used
        uint8 level; // the highest level_idc
        uint32 maxBytesPerSecond; // of the rendition, over a segment
        Answers.Limits limits; // of squared errors
    }

    struct Profile {
        uint8 filter; // a curve of steps/Curve.sol
        bool cascade; // small rungs are made from larger ones
        bytes32 ladder; // hash of everything else that was agreed: codec, encoder, rates, predicate
        Rung[] rungs; // 1..=16
    }

    event ProfileAdded(bytes32 indexed id, Profile profile);

    error BadProfile();

    /// @notice Anyone; adding one again does nothing.
    /// @return id keccak256(abi.encode(profile)).
    function add(Profile calldata profile) external returns (bytes32 id);

    function known(bytes32 id) external view returns (bool);
}
