// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {MarketClock} from "./MarketClock.sol";

/// @title What clients and operators sign, and which of it was used up.
/// @dev Orders and bids are read once, into memory: the compiler checks a field of calldata each time that it is read.
abstract contract Orders is MarketClock, EIP712 {
    bytes32 private constant ORDER = keccak256(
        "JobOrder(address client,bytes32 profile,uint96 maxPrice,uint40 deadline,uint8 k,bytes32 seedTip,uint256 salt)"
    );
    bytes32 private constant BID =
        keccak256("Bid(bytes32 order,address operator,uint96 price,uint40 expiry,uint256 nonce)");

    mapping(bytes32 order => bool) private _relayed;
    mapping(address operator => mapping(uint256 word => uint256)) private _usedNonces;

    constructor() EIP712("Headframe", "1") {}

    function cancelBids(uint256 word, uint256 mask) external {
        address operator = _signedFor();
        _usedNonces[operator][word] |= mask;
        emit BidsCancelled(operator, word, mask);
    }

    function bidUsed(address operator, uint256 nonce) external view returns (bool) {
        return _usedNonces[operator][nonce >> 8] >> (nonce & 0xff) & 1 == 1;
    }

    function domainSeparator() external view returns (bytes32) {
        return _domainSeparatorV4();
    }

    function orderHash(JobOrder memory order) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(ORDER, order)));
    }

    function bidHash(Bid memory bid) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(BID, bid)));
    }

    /// @dev A signed order opens one job for whoever relays it.
    function _useOrder(address client, bytes32 id, bytes calldata signature) internal {
        _requireSignature(client, id, signature);
        require(!_relayed[id], OrderUsed(id));
        _relayed[id] = true;
    }

    /// @dev The bid's nonce is used up.
    function _useBid(Bid memory bid) internal {
        require(block.timestamp <= bid.expiry, BidExpired(bid.expiry));
        (uint256 word, uint256 bit) = (bid.nonce >> 8, 1 << (bid.nonce & 0xff));
        uint256 used = _usedNonces[bid.operator][word];
        require(used & bit == 0, BidUsed(bid.operator, bid.nonce));
        _usedNonces[bid.operator][word] = used | bit;
    }

    /// @dev 65 bytes with a low s, or the recovered signer is 0, which nobody is. Who signs for an operator counts as it is
    /// now: a key that was replaced since binds nobody.
    function _requireSignature(address signer, bytes32 digest, bytes calldata signature) internal pure {
        (address given,,) = ECDSA.tryRecoverCalldata(digest, signature);
        require(given == signer && given != address(0), WrongSignature(signer, given));
    }
}
