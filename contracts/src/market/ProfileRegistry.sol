// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IProfileRegistry} from "../interfaces/IProfileRegistry.sol";
import {Answers} from "../steps/Answers.sol";
import {Curve} from "../steps/Curve.sol";

/// @title See IProfileRegistry.
contract ProfileRegistry is IProfileRegistry {
    using SafeCast for uint256;

    bytes32[] private _ids;
    mapping(bytes32 id => uint32) private _numbers;

    function add(Profile calldata profile) external returns (bytes32 id) {
        id = keccak256(abi.encode(profile));
        if (known(id)) return id;
        require(profile.filter <= Curve.LANCZOS3, BadProfile());
        require(profile.rungs.length > 0 && profile.rungs.length <= Answers.MAX_RUNGS, BadProfile());
        for (uint256 i = 0; i < profile.rungs.length; ++i) {
            Rung calldata rung = profile.rungs[i];
            require(_isSide(rung.width) && _isSide(rung.height), BadProfile());
            require(rung.profiles != 0 && rung.level != 0 && rung.maxBytesPerSecond != 0, BadProfile());
        }
        _ids.push(id);
        uint32 number = _ids.length.toUint32();
        _numbers[id] = number;
        emit ProfileAdded(id, number, profile);
    }

    function known(bytes32 id) public view returns (bool) {
        return _numbers[id] != 0;
    }

    function numberOf(bytes32 id) external view returns (uint32 number) {
        number = _numbers[id];
        require(number != 0, UnknownProfile(id));
    }

    function idOf(uint32 number) external view returns (bytes32) {
        require(number > 0 && number <= _ids.length, NoSuchProfile(number));
        return _ids[number - 1];
    }

    function _isSide(uint32 samples) private pure returns (bool) {
        return samples > 0 && samples % 2 == 0 && samples <= Curve.MAX_SIDE;
    }
}
