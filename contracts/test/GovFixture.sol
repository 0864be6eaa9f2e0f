// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base} from "./Base.sol";
import {StakeFixture} from "./StakeFixture.sol";
import {IPausable} from "../src/interfaces/IPausable.sol";
import {IRewards} from "../src/interfaces/IRewards.sol";
import {IStakeRegistry} from "../src/interfaces/IStakeRegistry.sol";
import {Guardian} from "../src/gov/Guardian.sol";
import {StakeGovernor} from "../src/gov/StakeGovernor.sol";
import {StakeVotes} from "../src/gov/StakeVotes.sol";
import {IHandover, Timelock} from "../src/gov/Timelock.sol";
import {Rewards} from "../src/token/Rewards.sol";
import {Token} from "../src/token/Token.sol";

/// @dev Contracts that others have to know before they are there. Calls of a test under --isolate count in the test's own
/// nonce.
contract Creator is Base {
    function next(uint256 nonce) external view returns (address) {
        return vm.computeCreateAddress(address(this), nonce);
    }

    function create(bytes memory code) external returns (address made) {
        assembly ("memory-safe") {
            made := create(0, add(code, 0x20), mload(code))
            if iszero(made) {
                let free := mload(0x40)
                returndatacopy(free, 0, returndatasize())
                revert(free, returndatasize())
            }
        }
    }
}

/// @dev The whole of governance around a registry, in the order of a real deployment. This contract remains a slasher.
abstract contract GovFixture is StakeFixture {
    uint256 internal constant SUPPLY = 1e9 * 1e18;
    uint48 internal constant VOTING_DELAY = 2 days;
    uint32 internal constant VOTING_PERIOD = 5 days;
    uint256 internal constant DELAY = 3 days;
    uint256 internal constant LEAST_QUORUM = 1500e18;
    uint32 internal constant RATE = 100_000;
    address internal constant GUARD = address(0x6A4D);

    Creator internal creator;
    Rewards internal rewards;
    StakeVotes internal votes;
    Timelock internal timelock;
    StakeGovernor internal governor;
    Guardian internal guardian;

    function setUp() public virtual override {
        vm.warp(2_000_000_000);
        deployGovernance(3);
    }

    function deployGovernance(uint256 slots) internal {
        creator = new Creator();
        (address timelockToBe, address governorToBe) = (creator.next(2), creator.next(3));
        deployStake(slots);
        bytes memory arguments = abi.encode(registry, timelockToBe, RATE, rewardParams());
        rewards = Rewards(creator.create(bytes.concat(type(Rewards).creationCode, arguments)));
        votes = new StakeVotes(registry);
        guardian = new Guardian(timelockToBe, GUARD, new IPausable[](0));
        registry.setVotes(address(votes));
        registry.proposeAdmin(timelockToBe);
        IHandover[] memory handed = new IHandover[](1);
        handed[0] = IHandover(address(registry));
        arguments = abi.encode(DELAY, governorToBe, handed);
        timelock = Timelock(payable(creator.create(bytes.concat(type(Timelock).creationCode, arguments))));
        arguments = abi.encode(votes, timelock, governorParams());
        governor = StakeGovernor(payable(creator.create(bytes.concat(type(StakeGovernor).creationCode, arguments))));
    }

    function oneHolder(uint256 supply) internal override returns (Token) {
        address[] memory holders = new address[](1);
        uint256[] memory amounts = new uint256[](1);
        (holders[0], amounts[0]) = (address(this), supply);
        return new Token(holders, amounts, creator.next(1), cap());
    }

    function cap() internal view virtual returns (uint256) {
        return 2 * SUPPLY;
    }

    function rewardParams() internal pure returns (IRewards.Params memory) {
        return IRewards.Params({target: 5000, step: 500, most: 261_120});
    }

    function governorParams() internal pure returns (StakeGovernor.Params memory) {
        return StakeGovernor.Params(VOTING_DELAY, VOTING_PERIOD, 1000e18, 30, LEAST_QUORUM);
    }

    function enrol(address operator) internal {
        vm.prank(registry.ownerOf(operator));
        registry.enrol(operator, true);
    }

    function enrolled(uint256 i, uint128 amount) internal returns (address operator) {
        operator = op(i);
        bond(operator, amount);
        enrol(operator);
    }

    function changeOwner(address operator, address owner) internal {
        vm.prank(registry.ownerOf(operator));
        registry.proposeOwner(operator, owner);
        vm.prank(owner);
        registry.acceptOwner(operator);
    }

    // ---- one call, decided on ----

    struct Decision {
        address[] targets;
        uint256[] values;
        bytes[] calls;
        uint256 id;
    }

    function decision(address target, bytes memory call) internal view returns (Decision memory d) {
        (d.targets, d.values, d.calls) = (new address[](1), new uint256[](1), new bytes[](1));
        (d.targets[0], d.calls[0]) = (target, call);
        d.id = governor.hashProposal(d.targets, d.values, d.calls, keccak256("why"));
    }

    function propose(address who, Decision memory d) internal {
        vm.prank(who);
        governor.propose(d.targets, d.values, d.calls, "why");
    }

    function vote(address who, Decision memory d) internal {
        vm.prank(who);
        governor.castVote(d.id, 1);
    }

    function queue(Decision memory d) internal {
        governor.queue(d.targets, d.values, d.calls, keccak256("why"));
    }

    function execute(Decision memory d) internal {
        governor.execute(d.targets, d.values, d.calls, keccak256("why"));
    }

    /// @dev Up to the moment when anyone may execute it. `who` has a majority.
    function decide(address who, Decision memory d) internal {
        propose(who, d);
        pass(VOTING_DELAY + 1);
        vote(who, d);
        pass(VOTING_PERIOD);
        queue(d);
        pass(DELAY);
    }

    function params(uint128 minSelf) internal pure returns (IStakeRegistry.Params memory) {
        return IStakeRegistry.Params(minSelf, UNBOND);
    }
}
