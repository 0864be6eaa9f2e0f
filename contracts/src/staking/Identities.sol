// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {StakeBase} from "./StakeBase.sol";
import {VestingStream} from "./VestingStream.sol";

/// @title The owner of an operator, where it serves, and what it keeps of its delegators' income.
/// @dev At first an operator is its own owner. A cold one lets a rig hold no key that can take stake out.
abstract contract Identities is StakeBase {
    using VestingStream for VestingStream.Stream;

    uint256 internal constant MAX_URI_BYTES = 256;

    mapping(address operator => Identity) internal _identities;

    struct Identity {
        address owner; // 0: the operator itself
        address proposedOwner;
        address signer; // 0: the operator itself
        string serviceUri;
    }

    function register(string calldata serviceUri) external {
        uint256 length = bytes(serviceUri).length;
        require(length <= MAX_URI_BYTES, ServiceUriTooLong(length, MAX_URI_BYTES));
        _identities[msg.sender].serviceUri = serviceUri;
        emit Registered(msg.sender, serviceUri);
    }

    function setSigner(address operator, address signer) external {
        require(msg.sender == address(keys), NotKeys(msg.sender));
        _identities[operator].signer = signer;
    }

    function proposeOwner(address operator, address owner) external {
        _requireOwner(operator);
        _identities[operator].proposedOwner = owner;
        emit OwnerProposed(operator, owner);
    }

    function acceptOwner(address operator) external {
        Identity storage identity = _identities[operator];
        require(msg.sender == identity.proposedOwner, NotProposed(msg.sender));
        (identity.owner, identity.proposedOwner) = (msg.sender, address(0));
        emit OwnerChanged(operator, msg.sender);
        Account storage a = _accounts[operator];
        if (a.flags & ENROLLED != 0) _tellVotes(operator, a, true);
    }

    function enrol(address operator, bool on) external {
        _requireOwner(operator);
        Account storage a = _accounts[operator];
        a.flags = on ? a.flags | ENROLLED : a.flags & ~ENROLLED;
        emit Enrolled(operator, on);
        _tellVotes(operator, a, on);
    }

    function announceCuts(address operator, uint16 rewardCut, uint16 feeCut) external {
        _requireOwner(operator);
        require(rewardCut <= WHOLE, CutTooLarge(rewardCut, WHOLE));
        require(feeCut <= WHOLE, CutTooLarge(feeCut, WHOLE));
        Account storage a = _accounts[operator];
        _accrue(operator, a);
        uint40 from = _readyAt();
        a.rewards.announceCut(rewardCut, from);
        a.fees.announceCut(feeCut, from);
        emit CutsAnnounced(operator, rewardCut, feeCut, from);
        _update(operator, a, false);
    }

    function ownerOf(address operator) public view override returns (address) {
        address owner = _identities[operator].owner;
        return owner == address(0) ? operator : owner;
    }

    function signerOf(address operator) public view returns (address) {
        address signer = _identities[operator].signer;
        return signer == address(0) ? operator : signer;
    }
}
