// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IOperatorKeys} from "../interfaces/IOperatorKeys.sol";
import {IStakeRegistry} from "../interfaces/IStakeRegistry.sol";

/// @title Hot keys and peer identities of operators: see IOperatorKeys.
/// @dev Holds no stake; owners and present signers are the registry's.
contract OperatorKeys is IOperatorKeys {
    using SafeCast for uint256;

    IStakeRegistry public immutable registry;
    mapping(address operator => bytes32) public peerOf;
    mapping(address operator => address) public proposedSigner;
    mapping(address key => Key) private _keys;

    struct Key {
        address operator; // 0: never named
        uint40 retiredAt;
    }

    constructor(IStakeRegistry registry_) {
        registry = registry_;
    }

    function bindPeer(bytes32 peerId) external {
        address operator = operatorOf(msg.sender);
        require(operator != address(0), NotSigner(msg.sender));
        peerOf[operator] = peerId;
        emit PeerBound(operator, peerId);
    }

    function proposeSigner(address operator, address signer) external {
        require(msg.sender == registry.ownerOf(operator), NotOwner(operator, msg.sender));
        proposedSigner[operator] = signer;
        emit SignerProposed(operator, signer);
    }

    function acceptSigner(address operator) external {
        require(msg.sender == proposedSigner[operator], NotProposed(msg.sender));
        address bound = _keys[msg.sender].operator;
        bool unused = bound == address(0) && !registry.isOperator(msg.sender);
        require(unused || bound == operator || msg.sender == operator, KeyInUse(msg.sender, bound));
        _keys[signerOf(operator)] = Key(operator, block.timestamp.toUint40());
        _keys[msg.sender] = Key(operator, 0);
        proposedSigner[operator] = address(0);
        emit SignerChanged(operator, msg.sender);
        registry.setSigner(operator, msg.sender);
    }

    function signerOf(address operator) public view returns (address) {
        return registry.signerOf(operator);
    }

    function operatorOf(address key) public view returns (address) {
        Key memory k = _keys[key];
        if (k.operator == address(0)) return key;
        return k.retiredAt == 0 ? k.operator : address(0);
    }

    function boundTo(address key) external view returns (address) {
        return _keys[key].operator;
    }

    function answersFor(address operator, address key) external view returns (bool) {
        Key memory k = _keys[key];
        if (k.operator == address(0)) return key == operator;
        if (k.operator != operator) return false;
        return k.retiredAt == 0 || block.timestamp <= uint256(k.retiredAt) + registry.params().unbond;
    }
}
