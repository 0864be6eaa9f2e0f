// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {GovFixture} from "../GovFixture.sol";
import {IGuardian} from "../../src/interfaces/IGuardian.sol";
import {IRewards} from "../../src/interfaces/IRewards.sol";
import {IStakeRegistry} from "../../src/interfaces/IStakeRegistry.sol";
import {Rewards} from "../../src/token/Rewards.sol";
import {StakeGovernor} from "../../src/gov/StakeGovernor.sol";
import {StakeVotes} from "../../src/gov/StakeVotes.sol";
import {StakeRegistry} from "../../src/staking/StakeRegistry.sol";
import {Token} from "../../src/token/Token.sol";

/// @dev Operators that enrol, change hands, are slashed and leave; rewards; a timelock that tries values on both sides of
/// each bound; a guardian that tries to pause too often. Refusals are counted, as in StakeHandler.
contract GovHandler is GovFixture {
    uint256 internal constant OPERATORS = 4;
    uint256 internal constant ACCOUNTS = 6; // the operators and two cold owners
    uint256 internal constant STEPS = 15;

    enum Step {
        Bond,
        Unbond,
        Exit,
        Enrol,
        Resign,
        Owner,
        Slash,
        Poke,
        Notify,
        Reward,
        StakeParams,
        RewardParams,
        Pause,
        Unpause,
        Wait
    }

    uint256[STEPS] public calls;
    uint256[STEPS] public successes;
    string public broken; // the first rule that a step broke
    mapping(address operator => bool) public enrolledNow;
    mapping(uint256 epoch => uint256) public paidIn; // parts of an epoch
    mapping(address account => mapping(uint256 time => uint256)) internal votesAt; // at the end of a second
    mapping(uint256 time => uint256) internal totalAt;
    uint256[] internal times;
    uint256 public minted;
    uint256 public burned;
    uint256 public outOfBounds; // tries that were refused as they have to be
    uint256 internal pausedAt;
    uint64 internal nonce;
    Step internal current;

    constructor() {
        vm.warp(2_000_000_000);
        deployGovernance(3);
        for (uint256 i = 0; i < OPERATORS; ++i) {
            bond(op(i), MIN_SELF + uint128(i) * 300e18);
            delegate(ALICE, op(i), 100e18);
        }
        remember();
    }

    function setUp() public override {}

    function parts() external view returns (StakeRegistry, StakeVotes, Rewards, Token, StakeGovernor) {
        return (registry, votes, rewards, token, governor);
    }

    function operator(uint256 i) public pure returns (address) {
        return op(i % OPERATORS);
    }

    function account(uint256 i) public pure returns (address) {
        i %= ACCOUNTS;
        return i < OPERATORS ? op(i) : address(uint160(0xC01D00 + i));
    }

    // ---- one random step ----

    function step(uint256 dice) external {
        uint8[32] memory weighted =
            [0, 0, 0, 0, 1, 1, 2, 3, 3, 3, 3, 4, 5, 5, 5, 6, 6, 6, 7, 7, 8, 8, 9, 9, 9, 9, 10, 11, 12, 13, 14, 14];
        current = Step(weighted[dice % 32]);
        dice = uint256(keccak256(abi.encode(dice, ++nonce)));
        address who = operator(dice >> 200);
        if (run(dice, who)) successes[uint256(current)] += 1;
        for (uint256 i = 0; i < OPERATORS; ++i) {
            onlyStandingStakeVotes(op(i));
        }
        remember();
    }

    /// @dev Brings all operators up to date, after which votes are stake exactly.
    function settle() external {
        for (uint256 i = 0; i < OPERATORS; ++i) {
            registry.poke(op(i));
        }
        remember();
    }

    function run(uint256 dice, address who) internal returns (bool) {
        if (current <= Step.Owner) return runOwner(dice, who);
        if (current == Step.Slash) return slashStep(dice, who);
        if (current == Step.Poke) return send(ALICE, address(registry), abi.encodeCall(registry.poke, (who)));
        if (current == Step.Notify) {
            uint128 amount = uint128(COIN + dice % 30e18);
            return send(ALICE, address(registry), abi.encodeCall(registry.notify, (who, amount)));
        }
        if (current == Step.Reward) return rewardStep(dice, who);
        if (current <= Step.RewardParams) return govern(dice);
        if (current <= Step.Unpause) return guard(dice);
        calls[uint256(current)] += 1;
        pass(dice % 4 == 0 ? dice % 16 days : dice % 1 days);
        return true;
    }

    function send(address from, address to, bytes memory data) internal returns (bool ok) {
        calls[uint256(current)] += 1;
        vm.prank(from);
        (ok,) = to.call(data);
    }

    function runOwner(uint256 dice, address who) internal returns (bool ok) {
        (address to, address owner) = (address(registry), registry.ownerOf(who));
        if (current == Step.Bond) {
            uint128 amount = uint128(1 + dice % 600e18);
            token.transfer(owner, amount);
            vm.prank(owner);
            token.approve(to, amount);
            return send(owner, to, abi.encodeCall(registry.bondFor, (who, amount)));
        }
        if (current == Step.Unbond) {
            return send(owner, to, abi.encodeCall(registry.unbondFor, (who, uint128(1 + dice % 600e18))));
        }
        if (current == Step.Exit) return send(owner, to, abi.encodeCall(registry.exit, (who)));
        if (current == Step.Owner) {
            address next = account(dice >> 8);
            vm.prank(owner);
            registry.proposeOwner(who, next);
            return send(next, to, abi.encodeCall(registry.acceptOwner, (who)));
        }
        bool on = current == Step.Enrol;
        if (dice % 16 == 0 && account(dice >> 8) != owner) {
            if (send(account(dice >> 8), to, abi.encodeCall(registry.enrol, (who, on)))) breaks("a stranger enrolled");
            return false;
        }
        ok = send(owner, to, abi.encodeCall(registry.enrol, (who, on)));
        enrolledNow[who] = on;
    }

    function slashStep(uint256 dice, address who) internal returns (bool ok) {
        uint128 amount = uint128(dice % 16 == 0 ? 1e24 : dice % 200e18);
        IStakeRegistry.Jail how = IStakeRegistry.Jail(dice % 6 == 0 ? 1 : 0);
        uint256 supply = token.totalSupply();
        ok = send(address(this), address(registry), abi.encodeCall(registry.slash, (who, amount, 0, noCuts, how)));
        if (!ok) breaks("a slash reverted");
        if (dice % 4 == 0) return ok; // the next one burns both
        registry.burnSlashed();
        burned += supply - token.totalSupply();
    }

    function rewardStep(uint256 dice, address who) internal returns (bool ok) {
        if (dice % 3 != 0) nextEpoch();
        uint256 supply = token.totalSupply();
        IRewards.Epoch memory before = rewards.lastEpoch();
        calls[uint256(current)] += 1;
        try rewards.reward(who) returns (uint256 part) {
            ok = true;
            IRewards.Epoch memory e = rewards.lastEpoch();
            paidIn[e.number] += part;
            if (paidIn[e.number] > e.mint) breaks("more than the epoch's mint");
            uint256 more = token.totalSupply() - supply;
            if (more != part) breaks("minted another amount");
            minted += more;
            if (e.number == before.number && e.rate != before.rate) breaks("the rate moved within an epoch");
            if (e.rate > uint256(before.rate) + rewards.params().step) breaks("the rate rose by more than a step");
            if (e.mint > supply * rewards.MOST_RATE() / 1e9) breaks("more than the highest rate");
        } catch {}
    }

    /// @dev Values on both sides of the bounds.
    function govern(uint256 dice) internal returns (bool ok) {
        if (current == Step.StakeParams) {
            uint128 minSelf = uint128(around(dice, 100e18, 1e24));
            uint32 unbond_ = uint32(around(dice >> 64, REACH + 2 days, 60 days));
            bool within = minSelf >= 100e18 && minSelf <= 1e24 && unbond_ >= 11 days && unbond_ <= 60 days;
            if (within) minSelf = 100e18 + minSelf % 900e18; // that operators can have
            bytes memory data = abi.encodeCall(registry.setParams, (IStakeRegistry.Params(minSelf, unbond_)));
            return bounded(send(address(timelock), address(registry), data), within);
        }
        IRewards.Params memory p;
        (p.target, p.step) = (uint16(around(dice, 1000, 9000)), uint32(around(dice >> 64, 0, 5000)));
        p.most = uint32(around(dice >> 128, 0, 261_120));
        bool inside = p.target >= 1000 && p.target <= 9000 && p.step <= 5000 && p.most <= 261_120;
        return bounded(send(address(timelock), address(rewards), abi.encodeCall(rewards.setParams, (p))), inside);
    }

    function bounded(bool ok, bool within) internal returns (bool) {
        if (ok != within) breaks("a parameter left its bounds, or could not be moved within them");
        if (!within) outOfBounds += 1;
        return ok;
    }

    /// @dev Mostly within.
    function around(uint256 dice, uint256 least, uint256 most) internal pure returns (uint256) {
        if (dice % 32 == 0) return most + 1 + (dice >> 8) % 100;
        if (dice % 32 == 1 && least > 0) return least - 1 - (dice >> 8) % 100;
        return bound(dice >> 8, least, most);
    }

    function guard(uint256 dice) internal returns (bool ok) {
        if (current == Step.Unpause) {
            if (block.timestamp >= guardian.pausedUntil()) return false;
            return send(GUARD, address(guardian), abi.encodeCall(guardian.unpause, ()));
        }
        if (block.timestamp < guardian.nextPause() && dice % 8 != 0) pass(guardian.nextPause() - block.timestamp);
        ok = send(GUARD, address(guardian), abi.encodeCall(IGuardian.pause, (1 + dice % 7 days)));
        if (!ok) return false;
        if (pausedAt != 0 && block.timestamp < pausedAt + 30 days) breaks("paused twice in 30 days");
        if (guardian.pausedUntil() > block.timestamp + 7 days) breaks("paused for more than 7 days");
        pausedAt = block.timestamp;
    }

    // ---- rules of single steps ----

    function breaks(string memory rule) internal {
        if (bytes(broken).length == 0) broken = rule;
    }

    /// @dev At any moment, without a poke.
    function onlyStandingStakeVotes(address who) internal {
        (, uint256 amount) = votes.votesOf(who);
        IStakeRegistry.Operator memory o = info(who);
        bool gone = o.state == IStakeRegistry.State.Jailed || o.state >= IStakeRegistry.State.Exiting;
        if (amount > 0 && (gone || !enrolledNow[who])) breaks("one that is jailed, gone or not enrolled has votes");
        if (amount > o.bonded) breaks("more votes than stake");
    }

    /// @dev Votes as this second would end now.
    function remember() internal {
        uint256 now_ = block.timestamp;
        if (times.length == 0 || times[times.length - 1] != now_) times.push(now_);
        totalAt[now_] = 0;
        for (uint256 i = 0; i < ACCOUNTS; ++i) {
            votesAt[account(i)][now_] = votes.getVotes(account(i));
            totalAt[now_] += votes.getVotes(account(i));
        }
    }

    /// @dev The history says what was the case, at the latest seconds and at some earlier ones.
    function historyHolds(uint256 dice) external view returns (bool) {
        for (uint256 i = 0; i < 24; ++i) {
            uint256 time = times[i < 12 && i < times.length ? times.length - 1 - i : (dice >> i) % times.length];
            if (time >= block.timestamp) continue;
            if (votes.getPastTotalSupply(time) != totalAt[time]) return false;
            for (uint256 j = 0; j < ACCOUNTS; ++j) {
                if (votes.getPastVotes(account(j), time) != votesAt[account(j)][time]) return false;
            }
        }
        return true;
    }
}
