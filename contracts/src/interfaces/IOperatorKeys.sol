// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Which hot key acts and signs for an operator, and its identity among peers.
/// @notice At first an operator is its own signer. A replaced signer stays answerable for the unbonding time, so that an
/// operator cannot shake off what it has signed; no key ever serves two operators.
interface IOperatorKeys {
    event PeerBound(address indexed operator, bytes32 peerId);
    event SignerProposed(address indexed operator, address signer);
    event SignerChanged(address indexed operator, address signer);

    error NotOwner(address operator, address caller);
    error NotProposed(address caller);
    error NotSigner(address caller);
    error KeyInUse(address key, address operator);

    /// @notice Signer: the ed25519 public key of the operator's libp2p identity.
    function bindPeer(bytes32 peerId) external;

    /// @notice The operator's owner proposes another signer, which accepts: nobody can take a key that is not theirs.
    function proposeSigner(address operator, address signer) external;

    function acceptSigner(address operator) external;

    function peerOf(address operator) external view returns (bytes32);
    function proposedSigner(address operator) external view returns (address);
    function signerOf(address operator) external view returns (address);

    /// @notice The operator that this key signs for now. A key that nobody named signs for itself; a replaced one for 0.
    function operatorOf(address key) external view returns (address);

    /// @notice The operator that this key has ever been named for, or 0.
    function boundTo(address key) external view returns (address);

    /// @notice Whether the operator answers for what the key has signed: its signer, or one replaced not longer than the
    /// unbonding time ago.
    function answersFor(address operator, address key) external view returns (bool);
}
