// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IActiveSet} from "../interfaces/IActiveSet.sol";
import {IChallengeManager} from "../interfaces/IChallengeManager.sol";
import {IClaimBook} from "../interfaces/IClaimBook.sol";
import {IJobMarket} from "../interfaces/IJobMarket.sol";
import {IOperatorKeys} from "../interfaces/IOperatorKeys.sol";
import {IStakeRegistry} from "../interfaces/IStakeRegistry.sol";
import {EvidenceReader} from "./EvidenceReader.sol";

/// @title What every part of the challenge manager shares: who is asked, parameters, and a word for each claim.
abstract contract VerifyBase is IChallengeManager {
    uint256 internal constant SEATS = 2; // for each drawn segment
    uint16 internal constant BOUNTY_SHARE = 5000; // of what is taken, in 1e-4: the most that the registry credits

    IStakeRegistry public immutable registry;
    IJobMarket public immutable market;
    IClaimBook public immutable book;
    address public immutable admin;
    EvidenceReader public immutable reader;
    IActiveSet internal immutable _set;
    IOperatorKeys internal immutable _keys;

    Params private _params;
    Params private _least;
    Params private _most;
    mapping(uint64 claimId => Docket) internal _dockets;

    struct Docket {
        uint16 revealed; // seats
        uint16 demands; // that are open
        uint40 heldUntil; // what was published can be looked at up to here
        bool held; // by us, in the book
        bytes20 wrong; // of the digest that was proved wrong, as much as one word has room for; a claim ends with the first
    }

    struct Bounds {
        Params least;
        Params most;
    }

    /// Whom it works with.
    struct Parts {
        IStakeRegistry registry;
        IJobMarket market;
        IClaimBook book;
        EvidenceReader reader;
        address admin;
    }

    constructor(Parts memory parts, Bounds memory bounds) {
        (registry, market, book, reader) = (parts.registry, parts.market, parts.book, parts.reader);
        (_set, _keys, admin) = (parts.registry.activeSet(), parts.registry.keys(), parts.admin);
        (_least, _most) = (bounds.least, bounds.most);
    }

    function setParams(Params calldata p) external {
        require(msg.sender == admin, NotAdmin(msg.sender));
        _setParams(p);
    }

    function params() public view returns (Params memory) {
        return _params;
    }

    function longestHold() external view returns (uint32) {
        return 2 * _most.publishWindow; // to publish, and to look at it
    }

    function _setParams(Params memory p) internal {
        _requireWithin(p.verifierLock, _least.verifierLock, _most.verifierLock);
        _requireWithin(p.absences, _least.absences, _most.absences);
        _requireWithin(p.publishWindow, _least.publishWindow, _most.publishWindow);
        _params = p;
        emit ParamsChanged(p);
    }

    function _requireWithin(uint256 value, uint256 least, uint256 most) private pure {
        require(value >= least && value <= most, ParamOutOfBounds(value, least, most));
    }

    /// @dev Reverts unless what the operator revealed can be contested: up to contestUntil, `longer` while anything holds the
    /// claim.
    /// @return answers What the book keeps of it.
    function _requireContestable(uint64 claimId, bool longer) internal view returns (bytes32) {
        (IClaimBook.ClaimState state, uint40 until, uint8 holds, bytes32 answers) = book.contest(claimId);
        require(state == IClaimBook.ClaimState.Revealed, ClaimInState(claimId, state));
        require(block.timestamp <= until || (longer && holds > 0), TooLate(until));
        return answers;
    }

    function _requireAnswered(uint64 claimId, bytes32 answers, IClaimBook.Answered calldata a) internal pure {
        require(keccak256(abi.encode(a)) == answers, NotAnswered(claimId));
    }

    function _answers(uint64 claimId) internal view returns (bytes32 answers) {
        (,,, answers) = book.contest(claimId);
    }

    function _bounty(address to) internal pure returns (IStakeRegistry.Cut[] memory cuts) {
        cuts = new IStakeRegistry.Cut[](1);
        cuts[0] = IStakeRegistry.Cut(to, BOUNTY_SHARE);
    }
}
