// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IStakeRegistry} from "../interfaces/IStakeRegistry.sol";

/// @title Takes fees for operators and pays treasury, operator and delegators, each on demand.
/// @dev Coins held >= owed to accounts + the delegators' part that the registry has been told of. What rounding keeps
/// back of the latter stays here: less than one wei for each 2^64 shares of the pool whenever fees vest.
contract FeeRouter {
    using SafeCast for uint256;

    uint256 public constant MOST_PROTOCOL_FEE = 500; // in 1e-4
    uint256 private constant WHOLE = 1e4;

    IStakeRegistry public immutable registry;
    address public immutable treasury;
    uint256 public immutable protocolFee; // in 1e-4
    mapping(address account => uint256) public owed;

    event Routed(address indexed operator, uint256 toTreasury, uint256 toOwner, uint256 toDelegators);
    event Paid(address indexed account, uint256 amount);

    error ProtocolFeeTooLarge(uint256 fee, uint256 limit);
    error NothingOwed(address account);

    constructor(IStakeRegistry registry_, address treasury_, uint256 protocolFee_) {
        require(protocolFee_ <= MOST_PROTOCOL_FEE, ProtocolFeeTooLarge(protocolFee_, MOST_PROTOCOL_FEE));
        (registry, treasury, protocolFee) = (registry_, treasury_, protocolFee_);
    }

    /// @notice Anyone: a fee for the work of `operator`. What rounding leaves goes to the operator's owner.
    function route(address operator) external payable {
        uint256 toTreasury = msg.value * protocolFee / WHOLE;
        uint256 rest = msg.value - toTreasury;
        uint256 toDelegators = registry.creditFees(operator, rest.toUint128());
        owed[treasury] += toTreasury;
        owed[registry.ownerOf(operator)] += rest - toDelegators;
        emit Routed(operator, toTreasury, rest - toDelegators, toDelegators);
    }

    /// @notice Pays what the caller earned as a delegator in the operator's pool of this nonce.
    function claim(address operator, uint32 nonce) external {
        _pay(msg.sender, registry.takeFees(operator, msg.sender, nonce));
    }

    /// @notice Pays what the caller is owed as an owner or the treasury.
    function withdraw() external {
        withdrawFor(msg.sender);
    }

    /// @notice Anyone: pays what `account` is owed to it and to nobody else, so that a rig pays an owner whose key is cold.
    /// An account that refuses coins stays owed what it is owed; no other is held up.
    function withdrawFor(address account) public {
        uint256 amount = owed[account];
        owed[account] = 0;
        _pay(account, amount);
    }

    function _pay(address account, uint256 amount) private {
        require(amount > 0, NothingOwed(account));
        emit Paid(account, amount);
        Address.sendValue(payable(account), amount);
    }
}
