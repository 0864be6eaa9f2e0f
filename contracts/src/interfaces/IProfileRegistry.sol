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

    event ProfileAdded(bytes32 indexed id, uint32 number, Profile profile);

    error BadProfile();
    error UnknownProfile(bytes32 id);
    error NoSuchProfile(uint32 number);

    /// @notice Anyone; adding one again does nothing. Sound: a known curve, 1 to 16 rungs with even sides of 2 to 16384 samples,
    /// and of each at least one allowed H.264 profile, a level and a byte a second.
    /// @return id keccak256(abi.encode(profile)).
    function add(Profile calldata profile) external returns (bytes32 id);

    function known(bytes32 id) external view returns (bool);

    /// @notice 1 for the first that was added, and so on: what jobs keep of it. Reverts for an unknown one.
    function numberOf(bytes32 id) external view returns (uint32);
    function idOf(uint32 number) external view returns (bytes32);
}
