// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Proof} from "./Proof.sol";
import {FeeRouter} from "../../src/staking/FeeRouter.sol";
import {IStakeRegistry} from "../../src/interfaces/IStakeRegistry.sol";
import {StakeRegistry} from "../../src/staking/StakeRegistry.sol";
import {Token} from "../../src/token/Token.sol";
import {ErrorSumStep} from "../../src/steps/ErrorSumStep.sol";

/// @dev A double of the registry for the router alone: gives delegators the part it was told to.
contract RegistryDouble {
    uint256 public part;

    function tell(uint256 part_) external {
        part = part_;
    }

    function creditFees(address, uint128 amount) external view returns (uint128) {
        return uint128(part < amount ? part : amount);
    }

    function ownerOf(address operator) external pure returns (address) {
        return operator;
    }
}

/// @dev The registry with stake that nobody had to bond.
contract RichRegistry is StakeRegistry {
    constructor(Token token_) StakeRegistry(token_, 4, Params(100e18, 14 days)) {}

    function give(address operator, uint128 bonded, uint128 delegated) external {
        _accounts[operator].status = Status.Exiting; // in no slot: weights are another proof
        _accounts[operator].bonded = uint96(bonded);
        _accounts[operator].active.assets = uint96(delegated);
        _accounts[operator].active.shares = delegated; // a thousandth of par: far from being wiped
    }
}

contract SumsProof is Proof {
    address internal constant OPERATOR = address(0xA);
    address internal constant TREASURY = address(0xB);
    ErrorSumStep internal step;
    RegistryDouble internal double;
    FeeRouter internal router;
    RichRegistry internal registry;
    Token internal token;

    function setUp() public {
        vm.warp(1_700_000_000); // epochs are counted from the day before the registry's first
        step = new ErrorSumStep();
        double = new RegistryDouble();
        router = new FeeRouter(IStakeRegistry(address(double)), TREASURY, 100);
        address[] memory holders = new address[](1);
        uint256[] memory amounts = new uint256[](1);
        (holders[0], amounts[0]) = (address(this), 1e9 * 1e18);
        token = new Token(holders, amounts, address(0), 1e9 * 1e18);
        registry = new RichRegistry(token);
        registry.announceSlasher(address(this), 1 days);
        token.transfer(address(registry), 1e9 * 1e18);
    }

    /// The parts of a fee add up to it, for every fee of 2^96 wei and less and whatever delegators get.
    function check_partsOfAFeeAddUp(uint96 fee, uint128 part) public {
        lemmaQuotient(uint256(fee) * 100, 10_000);
        double.tell(part);
        vm.deal(address(this), fee);
        router.route{value: fee}(OPERATOR);
        uint256 toDelegators = double.creditFees(OPERATOR, uint128(fee - router.owed(TREASURY)));
        assert(router.owed(TREASURY) + router.owed(OPERATOR) + toDelegators == fee);
    }

    /// A slash takes min(amount, own stake + a tenth of the delegators'), first the operator's, and burns all without cuts.
    /// Nothing thaws here: with that, products of unknowns come in.
    function check_slashTakesTheLesser(uint96 amount, uint88 bonded, uint88 delegated) public {
        vm.assume(uint256(bonded) + delegated <= 1e9 * 1e18);
        lemmaQuotient(delegated, 10);
        lemmaChooses(amount, bonded);
        if (amount > bonded) lemmaChooses(uint256(amount) - bonded, delegated / 10);
        registry.give(OPERATOR, bonded, delegated);
        uint256 supply = token.totalSupply();
        uint256 taken = registry.slash(OPERATOR, amount, 0, new IStakeRegistry.Cut[](0), IStakeRegistry.Jail.No);
        uint256 most = uint256(bonded) + delegated / 10;
        assert(taken == (amount < most ? amount : most));
        IStakeRegistry.Operator memory o = registry.operatorInfo(OPERATOR);
        assert(o.bonded == (amount < bonded ? bonded - amount : 0));
        assert(uint256(o.bonded) + o.delegated + taken == uint256(bonded) + delegated);
        registry.burnSlashed();
        assert(token.totalSupply() == supply - taken);
    }

    /// The assembly is the plain sum, for all bytes and whatever stands behind the end.
    function check_squaredErrorIsThePlainSum(bytes32[2] memory x, bytes32[2] memory y) public view {
        uint8[7] memory lengths = [0, 1, 8, 31, 32, 33, 64];
        for (uint256 i = 0; i < 7; ++i) {
            (bytes memory a, bytes memory b) = (abi.encodePacked(x), abi.encodePacked(y));
            uint256 length = lengths[i];
            assembly ("memory-safe") {
                mstore(a, length)
                mstore(b, length)
            }
            assert(step.squaredError(a, b) == uint64(plain(a, b))); // at most 65,025 a byte: nothing is cut off
        }
    }

    function plain(bytes memory a, bytes memory b) internal pure returns (uint256 sum) {
        unchecked {
            for (uint256 i = 0; i < a.length; ++i) {
                uint256 d = uint256(uint8(a[i])) - uint8(b[i]); // wraps, and its square comes back
                sum += d * d;
            }
        }
    }
}
