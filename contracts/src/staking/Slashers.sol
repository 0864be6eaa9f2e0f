// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {StakeBase} from "./StakeBase.sol";

/// @title Which contracts may lock and slash, and since when.
/// @dev A new one waits until everybody who does not trust it can have left. A retired one can still judge what it has
/// locked, for its reach, and gives back locks for ever.
abstract contract Slashers is StakeBase {
    using SafeCast for uint256;

    mapping(address slasher => Slasher) private _slashers;

    struct Slasher {
        uint32 reach;
        uint40 announcedAt;
        bool active;
        uint40 retiredAt;
        uint8 place; // its locks are in Account.places from this bit less 1; 0 for those in _locks
    }

    function announceSlasher(address slasher, uint32 reach) external onlyAdmin {
        Slasher storage s = _slashers[slasher];
        _requireState(slasher, SlasherState.None, SlasherState.None);
        _requireWithin(reach, 0, _settings.unbond - MARGIN);
        if (reach > _settings.longestReach) _settings.longestReach = reach;
        s.reach = reach;
        s.announcedAt = block.timestamp.toUint40();
        emit SlasherAnnounced(slasher, reach, _usableAt(s));
        if (!_settings.everBonded) _activate(slasher, s); // nobody has anything to lose
    }

    function activateSlasher(address slasher) external {
        Slasher storage s = _slashers[slasher];
        _requireState(slasher, SlasherState.Announced, SlasherState.Announced);
        uint256 usableAt = _usableAt(s);
        require(block.timestamp >= usableAt, SlasherTooEarly(slasher, usableAt));
        _activate(slasher, s);
    }

    function retireSlasher(address slasher) external onlyAdmin {
        Slasher storage s = _slashers[slasher];
        _requireState(slasher, SlasherState.Active, SlasherState.Active);
        s.retiredAt = block.timestamp.toUint40();
        emit SlasherRetired(slasher);
    }

    function slasherState(address slasher) public view returns (SlasherState) {
        Slasher memory s = _slashers[slasher];
        if (s.announcedAt == 0) return SlasherState.None;
        if (!s.active) return SlasherState.Announced;
        if (s.retiredAt == 0) return SlasherState.Active;
        return block.timestamp <= s.retiredAt + s.reach ? SlasherState.Retired : SlasherState.Ended;
    }

    /// @dev As _requireState with Active alone, for the calls that lock.
    /// @return Its place.
    function _requireActive(address slasher) internal view returns (uint256) {
        Slasher storage s = _slashers[slasher];
        if (!s.active || s.retiredAt != 0) revert SlasherInState(slasher, slasherState(slasher));
        return s.place;
    }

    function _placeOf(address slasher) internal view returns (uint256) {
        return _slashers[slasher].place;
    }

    /// @dev As _requireState with Active and Retired, for the call that slashes.
    function _requireJudge(address slasher) internal view {
        Slasher storage s = _slashers[slasher];
        if (!s.active || s.retiredAt != 0) _requireState(slasher, SlasherState.Retired, SlasherState.Retired);
    }

    function _requireState(address slasher, SlasherState least, SlasherState most) internal view {
        SlasherState state = slasherState(slasher);
        require(state >= least && state <= most, SlasherInState(slasher, state));
    }

    /// @dev The first two, which are the market and its book, lock and release with every job and every claim.
    function _activate(address slasher, Slasher storage s) private {
        s.active = true;
        uint8 taken = _settings.places;
        if (taken < PLACES) (s.place, _settings.places) = (96 * taken + 1, taken + 1);
        emit SlasherActivated(slasher);
    }

    /// @dev By the longest unbonding time there ever was: stake that began to thaw under it must be out, too.
    function _usableAt(Slasher storage s) private view returns (uint256) {
        return uint256(s.announcedAt) + _settings.longestUnbond + MARGIN;
    }
}
