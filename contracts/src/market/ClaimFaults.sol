// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IStakeRegistry} from "../interfaces/IStakeRegistry.sol";
import {ClaimBase} from "./ClaimBase.sol";
import {Head} from "./ClaimHead.sol";

/// @title How a claim ends badly: S1 by the clock, S2 and S3 by its judges, which may also keep it open.
/// @dev Nothing here sends coins: the fee becomes escrow again, and the registry credits what it takes.
abstract contract ClaimFaults is ClaimBase {
    using SafeCast for uint256;

    uint256 private constant MOST_HOLDS = 0xf; // of each judge, which fills its half of the byte
    uint16 private constant CLIENT_SHARE = 4000; // of S1, in 1e-4
    uint16 private constant CALLER_SHARE = 1000;
    uint256 private constant PROOF_SHARE = 500; // of own stake, in 1e-4
    uint8 private constant CHALLENGE_HOLD = 1;
    uint8 private constant GAME_HOLD = 1 << 4;

    address public immutable challenges;
    address public immutable game;

    constructor(address challenges_, address game_) {
        (challenges, game) = (challenges_, game_);
    }

    function slashMissed(uint64 claimId) external {
        Head h = _claims[claimId].head;
        if (h.state() == ClaimState.Answered) {
            _requireAfter(claimId, _revealUntil(h));
        } else {
            require(h.state() == ClaimState.Submitted, ClaimNotInState(claimId, h.state())); // or sealed
            _requireAfter(claimId, h.answerUntil());
        }
        _claims[claimId].head = h.to(ClaimState.Missed);
        (address client, address operator, uint96 price) = market.parties(_jobOf(claimId));
        Stakes memory s = _worth(h, operator, price);
        uint256 taken = _slash(s, s.lock, _missedCuts(client, msg.sender), IStakeRegistry.Jail.No);
        emit ClaimMissed(claimId, s.operator, taken);
        market.restore(_jobOf(claimId), s.fee);
    }

    // ---- judges ----

    function hold(uint64 claimId) external {
        uint8 one = _holdOf(msg.sender);
        Head h = _requireState(claimId, ClaimState.Revealed);
        _requireBy(claimId, _contestUntil(h));
        uint256 mine = h.holds() / one & MOST_HOLDS;
        require(mine < MOST_HOLDS, Held(claimId, mine));
        _claims[claimId].head = h.withHolds(h.holds() + one);
    }

    function letGo(uint64 claimId) external {
        uint8 one = _holdOf(msg.sender);
        Head h = _claims[claimId].head;
        if (h.state() > ClaimState.Revealed) return;
        require(h.holds() / one & MOST_HOLDS > 0, NotHeld(claimId, msg.sender));
        _claims[claimId].head = h.withHolds(h.holds() - one);
    }

    function punish(uint64 claimId, Fault fault, IStakeRegistry.Cut[] calldata cuts) external returns (uint256 taken) {
        _holdOf(msg.sender);
        Head h = _claims[claimId].head;
        bool open = h.state() >= ClaimState.Submitted && h.state() <= ClaimState.Revealed;
        require(open, ClaimNotInState(claimId, h.state()));
        _claims[claimId].head = h.to(ClaimState.Slashed).withHolds(0);

        Stakes memory s = _stakes(claimId, h);
        if (fault == Fault.Proof) {
            taken = _slash(s, s.lock + _shareOfOwn(s.operator), cuts, IStakeRegistry.Jail.Strike);
        } else if (fault == Fault.Verdict) {
            taken = _slash(s, s.lock, cuts, IStakeRegistry.Jail.Short);
        } else {
            (address client,,) = market.parties(_jobOf(claimId));
            taken = _slash(s, s.lock, _missedCuts(client, cuts[0].to), IStakeRegistry.Jail.No);
        }
        emit ClaimSlashed(claimId, s.operator, fault, taken);
        market.restore(_jobOf(claimId), s.fee);
    }

    function _sum(uint8 holds) internal pure returns (uint8) {
        return (holds & 0xf) + (holds >> 4);
    }

    /// @return One hold of the caller's, as it is counted.
    function _holdOf(address caller) private view returns (uint8) {
        if (caller == challenges) return CHALLENGE_HOLD;
        require(caller == game, NotJudge(caller));
        return GAME_HOLD;
    }

    function _missedCuts(address client, address caller) private pure returns (IStakeRegistry.Cut[] memory cuts) {
        cuts = new IStakeRegistry.Cut[](2);
        cuts[0] = IStakeRegistry.Cut(client, CLIENT_SHARE);
        cuts[1] = IStakeRegistry.Cut(caller, CALLER_SHARE);
    }

    function _shareOfOwn(address operator) private view returns (uint128) {
        return Math.ceilDiv(registry.ownStake(operator) * PROOF_SHARE, WHOLE).toUint128();
    }

    function _slash(Stakes memory s, uint128 amount, IStakeRegistry.Cut[] memory cuts, IStakeRegistry.Jail jail)
        private
        returns (uint256)
    {
        try registry.slash(s.operator, amount, s.lock, cuts, jail) returns (uint256 taken) {
            return taken;
        } catch (bytes memory why) {
            _requireEnded(why);
            return 0;
        }
    }
}
