// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IDisputeGame} from "../interfaces/IDisputeGame.sol";

/// @title What a game is about, as one number: see IDisputeGame. What need not be stored costs nothing.
library GameId {
    function make(uint64 claimId, address challenger, uint16 slot, IDisputeGame.Subject memory subject)
        internal
        pure
        returns (uint256)
    {
        return uint256(claimId) | uint256(uint160(challenger)) << 64 | uint256(uint8(subject.what)) << 224
            | uint256(subject.rung) << 232 | uint256(slot) << 240;
    }

    function claimOf(uint256 gameId) internal pure returns (uint64) {
        return uint64(gameId);
    }

    function challengerOf(uint256 gameId) internal pure returns (address) {
        return address(uint160(gameId >> 64));
    }

    function slotOf(uint256 gameId) internal pure returns (uint16) {
        return uint16(gameId >> 240);
    }

    /// @dev Of a game that was opened.
    function subjectOf(uint256 gameId) internal pure returns (IDisputeGame.Subject memory) {
        return IDisputeGame.Subject(IDisputeGame.What(uint8(gameId >> 224)), uint8(gameId >> 232));
    }
}
