// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IClaimBook} from "../interfaces/IClaimBook.sol";

/// @title The parameters of claims: every version there was, and the bounds of all to come.
/// @dev A claim keeps the number of the version it was made under, so its clocks, its lock and its verifiers' share never
/// change. Two words a version; the running one's first, all that `claim` needs of it, is kept once more.
abstract contract ClaimParams is IClaimBook {
    using SafeCast for uint256;

    uint256 internal constant WHOLE = 1e4;
    uint32 internal constant LONG_CLAIM = 256; // segments; from here on all k are drawn and half the lock is enough
    uint256 internal constant SHORT_DRAWN = 2;
    /// ActiveSet draws by the weights of the running epoch and the last, so attesting ends less than an epoch after the claim.
    uint256 internal constant DRAWABLE = 1 days;

    uint256 private constant FIELDS = 11;
    uint256 private constant LOCK_UNIT = 1e12; // a millionth of a token: minLock and verifierLock are multiples of it

    address public immutable admin;
    Lock internal _latest;
    mapping(uint256 version => Terms) internal _terms;
    uint256[FIELDS] private _least; // Params, in their order
    uint256[FIELDS] private _most;
    uint256 internal immutable _windows; // all of a claim's at their longest

    /// @dev Params, packed: a word of what is fixed when a claim is made, and one of what comes later.
    struct Terms {
        Lock lock;
        uint24 preimageWindow;
        uint24 attestWindow;
        uint24 revealWindow;
        uint24 contestWindow;
        uint16 verifierShare;
    }

    struct Lock {
        uint16 version;
        uint16 seedDelay;
        uint64 num;
        uint56 den;
        uint40 least; // in LOCK_UNIT
        uint40 verifier;
        uint24 answerWindow;
    }

    /// @dev Bounds that contradict themselves let no first version in.
    constructor(address admin_, Params memory first, Params memory least, Params memory most) {
        bool windows =
            least.seedDelay > 0 && least.attestWindow > 0 && least.revealWindow > 0 && least.contestWindow > 0;
        bool drawable = uint256(most.answerWindow) + most.attestWindow < DRAWABLE;
        // So that a claim that nobody can seal any more leaves no link of the chain to choose for: see _requireInOrder.
        bool ordered = most.preimageWindow <= least.answerWindow;
        require(windows && drawable && ordered && least.lockDen > 0 && most.verifierShare <= WHOLE, BadBounds());
        admin = admin_;
        _packed(0, most); // fits
        (_least, _most) = (_values(least), _values(most));
        _windows = uint256(most.answerWindow) + most.attestWindow + most.revealWindow + most.contestWindow;
        _setParams(1, first);
    }

    function setParams(Params calldata p) external {
        require(msg.sender == admin, NotAdmin(msg.sender));
        _setParams((uint256(_latest.version) + 1).toUint16(), p);
    }

    function params() external view returns (Params memory) {
        Terms storage t = _terms[_latest.version];
        return Params({
            seedDelay: t.lock.seedDelay,
            preimageWindow: t.preimageWindow,
            answerWindow: t.lock.answerWindow,
            attestWindow: t.attestWindow,
            revealWindow: t.revealWindow,
            contestWindow: t.contestWindow,
            minLock: uint128(t.lock.least * LOCK_UNIT),
            verifierLock: uint128(t.lock.verifier * LOCK_UNIT),
            lockNum: t.lock.num,
            lockDen: t.lock.den,
            verifierShare: t.verifierShare
        });
    }

    // ---- what follows from them ----

    function _drawn(uint32 count, uint8 k) internal pure returns (uint256) {
        return count >= LONG_CLAIM ? k : Math.min(Math.min(SHORT_DRAWN, k), count);
    }

    /// @dev `fee` fits 128 bits, so the product fits 192.
    function _lockOf(Lock memory l, uint256 fee, uint32 count, uint256 drawn) internal pure returns (uint128) {
        uint256 den = count >= LONG_CLAIM ? 2 * uint256(l.den) : l.den;
        uint256 lock = Math.ceilDiv(fee * l.num, den) + drawn * 2 * l.verifier * LOCK_UNIT;
        return Math.max(l.least * LOCK_UNIT, lock).toUint128();
    }

    // ---- setting ----

    function _setParams(uint16 version, Params memory p) private {
        uint256[FIELDS] memory values = _values(p);
        for (uint256 i = 0; i < FIELDS; ++i) {
            _requireWithin(values[i], _least[i], _most[i]);
        }
        _requireWithin(p.preimageWindow, 0, p.answerWindow / 2); // who seals without the link needs time, too
        _requireWithin(p.minLock % LOCK_UNIT + p.verifierLock % LOCK_UNIT, 0, 0);
        Terms memory t = _packed(version, p);
        _terms[version] = t;
        _latest = t.lock;
        emit ParamsChanged(version, p);
    }

    function _requireWithin(uint256 value, uint256 least, uint256 most) private pure {
        require(value >= least && value <= most, ParamOutOfBounds(value, least, most));
    }

    function _values(Params memory p) private pure returns (uint256[FIELDS] memory) {
        return abi.decode(abi.encode(p), (uint256[11]));
    }

    function _packed(uint16 version, Params memory p) private pure returns (Terms memory t) {
        t.lock.version = version;
        t.lock.seedDelay = p.seedDelay;
        t.preimageWindow = uint256(p.preimageWindow).toUint24();
        t.attestWindow = uint256(p.attestWindow).toUint24();
        t.revealWindow = uint256(p.revealWindow).toUint24();
        t.contestWindow = uint256(p.contestWindow).toUint24();
        t.verifierShare = p.verifierShare;
        t.lock.answerWindow = uint256(p.answerWindow).toUint24();
        (t.lock.num, t.lock.den) = (p.lockNum, uint256(p.lockDen).toUint56());
        t.lock.least = (p.minLock / LOCK_UNIT).toUint40();
        t.lock.verifier = (p.verifierLock / LOCK_UNIT).toUint40();
    }
}
