// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {StakeFixture} from "../StakeFixture.sol";
import {IActiveSet} from "../../src/interfaces/IActiveSet.sol";
import {IStakeRegistry} from "../../src/interfaces/IStakeRegistry.sol";
import {StakeRegistry} from "../../src/staking/StakeRegistry.sol";
import {ThawQueue} from "../../src/staking/ThawQueue.sol";
import {FeeRouter} from "../../src/staking/FeeRouter.sol";
import {Token} from "../../src/token/Token.sol";

/// @dev Shows the raw shares behind thaw requests.
contract OpenRegistry is StakeRegistry {
    using ThawQueue for ThawQueue.Queue;

    constructor(Token token_, uint256 slots_, Params memory p) StakeRegistry(token_, slots_, p) {}

    function thawPools(address operator) external view returns (uint256 own, uint256 delegated) {
        return (_accounts[operator].selfThaw.shares, _accounts[operator].thaw.shares);
    }

    function ownRequests(address operator) external view returns (uint256) {
        return _sum(_selfThaws[operator], _accounts[operator].selfThaw.nonce);
    }

    function requests(address operator, address owner) external view returns (uint256) {
        return _sum(_thaws[operator][owner], _accounts[operator].thaw.nonce);
    }

    function _sum(ThawQueue.Queue storage queue, uint32 nonce) private view returns (uint256 shares) {
        ThawQueue.Request[] memory list = queue.open();
        for (uint256 i = 0; i < list.length; ++i) {
            if (list[i].nonce == nonce) shares += list[i].shares;
        }
    }
}

/// @dev Random operators, delegators, slashers and governance. Every step is a low-level call, so a refusal is counted and
/// nothing is undone; after each step the rules that speak of one step are checked, those of states by the invariants.
contract StakeHandler is StakeFixture {
    uint256 internal constant OPERATORS = 4;
    uint256 internal constant DELEGATORS = 3;
    uint256 public constant SLASHERS = 3;
    uint256 internal constant STEPS = 20;

    enum Step {
        Bond,
        Unbond,
        Withdraw,
        Exit,
        Activate,
        Displace,
        Poke,
        Cuts,
        Delegate,
        Undelegate,
        WithdrawDelegation,
        Notify,
        Lock,
        Release,
        Slash,
        Route,
        ClaimFees,
        PayOwner,
        Params,
        Wait
    }

    uint256[STEPS] public calls; // that reached a contract; a step that finds nothing to act on makes none
    uint256[STEPS] public successes;
    string public broken; // the first rule that a step broke
    mapping(address operator => mapping(address slasher => uint256)) public lockedNow; // given and not given up
    mapping(uint256 epoch => uint256) internal frozen; // total weight + 1, when first seen
    uint256 public burned;
    uint256 public unburned; // taken by slashes and nobody's
    uint256 public claimed; // wei that delegators took from the router
    uint256 public routed; // wei for delegators
    uint64 internal nonce;
    Step internal current;

    constructor() {
        vm.warp(2_000_000_000);
        deployStake(2); // fewer slots than operators: displacement happens
        for (uint256 i = 0; i < OPERATORS; ++i) {
            bond(op(i), MIN_SELF + uint128(i) * 300e18);
        }
        for (uint256 i = 0; i < DELEGATORS; ++i) {
            fund(holder(i));
            delegate(holder(i), op(i), 100e18);
        }
    }

    function setUp() public override {}

    function newRegistry(uint256 slots) internal override returns (StakeRegistry) {
        return new OpenRegistry(token, slots, IStakeRegistry.Params(MIN_SELF, UNBOND));
    }

    function parts() external view returns (OpenRegistry, IActiveSet, Token, FeeRouter) {
        return (OpenRegistry(address(registry)), set, token, router);
    }

    /// @dev One more than have their locks in one word.
    function nameThisSlasher() internal override {
        for (uint256 i = 0; i < SLASHERS; ++i) {
            registry.announceSlasher(slasher(i), REACH);
        }
    }

    function slasher(uint256 i) public view returns (address) {
        return i % SLASHERS == 0 ? address(this) : address(uint160(0x51A500 + i % SLASHERS));
    }

    /// @return by One that has a lock, if any has: without that the walk would strand its operators behind locks.
    function locker(uint256 dice, address operator) internal view returns (address by) {
        for (uint256 i = 0; i < SLASHERS; ++i) {
            by = slasher((dice >> 128) % SLASHERS + i);
            if (lockedNow[operator][by] > 0) return by;
        }
    }

    function operators() external pure returns (address[] memory out) {
        out = new address[](OPERATORS);
        for (uint256 i = 0; i < OPERATORS; ++i) {
            out[i] = op(i);
        }
    }

    function holders() external pure returns (address[] memory out) {
        out = new address[](DELEGATORS);
        for (uint256 i = 0; i < DELEGATORS; ++i) {
            out[i] = holder(i);
        }
    }

    function holder(uint256 i) internal pure returns (address) {
        return address(uint160(0xDE1E00 + i % DELEGATORS));
    }

    // ---- one random step ----

    function step(uint256 dice) external {
        uint8[46] memory weighted = [
            0,
            0,
            0,
            1,
            1,
            2,
            2,
            3,
            4,
            4,
            4,
            4,
            4,
            4,
            5,
            5,
            5,
            6,
            7,
            8,
            8,
            8,
            9,
            9,
            9,
            10,
            10,
            11,
            11,
            12,
            12,
            13,
            14,
            14,
            14,
            14,
            15,
            15,
            16,
            16,
            17,
            17,
            18,
            19,
            19,
            19
        ];
        current = Step(weighted[dice % 46]);
        dice = uint256(keccak256(abi.encode(dice, ++nonce)));
        address operator = op((dice >> 200) % OPERATORS);
        address owner = holder(dice >> 208);
        uint256[] memory before = prices();
        bytes32 others = othersThan(owner);
        bool covered = info(operator).bonded >= info(operator).locked;
        bool ok = run(dice, operator, owner);
        if (ok) successes[uint256(current)] += 1;
        bool leaves = ok && (current == Step.Unbond || current == Step.Withdraw);
        if (leaves && covered && info(operator).bonded < info(operator).locked) breaks("left from under a lock");
        bool loses = current == Step.Slash && ok;
        if (!loses && current != Step.Wait) noPriceFell(before);
        if (!loses && others != othersThan(owner)) breaks("a third party changed a position");
        weightsStandStill();
    }

    function run(uint256 dice, address operator, address owner) internal returns (bool) {
        if (current <= Step.Cuts) return runOperator(dice, operator);
        if (current <= Step.Notify) return runDelegator(dice, operator, owner);
        if (current <= Step.Slash) return runSlasher(dice, operator);
        if (current == Step.Route) return route(dice, operator);
        if (current == Step.ClaimFees) return claimFees(operator, owner);
        if (current == Step.PayOwner) return payOwner(dice, operator, owner);
        if (current == Step.Params) {
            uint128 minSelf = uint128(500e18 + (dice % 3) * 250e18);
            uint32 unbond_ = uint32(10 days + dice % 10 days);
            return send(
                address(this),
                address(registry),
                abi.encodeCall(registry.setParams, (IStakeRegistry.Params(minSelf, unbond_)))
            );
        }
        calls[uint256(current)] += 1;
        pass(dice % (dice % 4 == 0 ? 16 days : 1 days));
        return true;
    }

    function send(address from, address to, bytes memory data) internal returns (bool ok) {
        calls[uint256(current)] += 1;
        vm.prank(from);
        (ok,) = to.call(data);
    }

    function runOperator(uint256 dice, address who) internal returns (bool) {
        address to = address(registry);
        uint128 amount = uint128(1 + dice % 600e18);
        if (current == Step.Bond) return send(who, to, abi.encodeCall(registry.bond, (amount)));
        if (current == Step.Unbond) return send(who, to, abi.encodeCall(registry.unbond, (amount)));
        if (current == Step.Withdraw) {
            if (registry.selfThaws(who).length == 0) return false;
            if (dice % 2 == 0) pass(UNBOND);
            return send(who, to, abi.encodeCall(registry.withdraw, ()));
        }
        if (current == Step.Exit) return send(who, to, abi.encodeCall(registry.exit, (who)));
        if (current == Step.Poke) return send(who, to, abi.encodeCall(registry.poke, (who)));
        if (current == Step.Cuts) {
            uint16 cut = uint16(dice % 10_500);
            return send(who, to, abi.encodeCall(registry.announceCuts, (who, cut, cut / 2)));
        }
        if (current == Step.Displace) return info(who).slot == 0 && displace(dice, who);
        if (set.members().length == 2 && dice % 32 != 0) return false;
        for (uint256 i = 0; i < OPERATORS && !standby(who); ++i) {
            who = op((dice + i) % OPERATORS);
        }
        if (!standby(who) && dice % 16 != 0) return false;
        return send(who, address(set), abi.encodeCall(set.activate, (who)));
    }

    function standby(address who) internal view returns (bool) {
        return info(who).state == IStakeRegistry.State.Standby && info(who).slot == 0;
    }

    function displace(uint256 dice, address who) internal returns (bool ok) {
        uint256 slot = dice % 2;
        address other;
        for (uint256 i = 0; i < OPERATORS; ++i) {
            if (info(op(i)).slot == slot + 1) other = op(i);
        }
        registry.poke(other);
        registry.poke(who);
        uint256 theirs = weightOf(other);
        if (weightOf(who) * 10 < theirs * 11 && dice % 4 != 0) {
            uint256 lacking = theirs * 11 / 10 + 1 - weightOf(who);
            vm.prank(who);
            try registry.bond(uint128(lacking)) {} catch {} // an exiting one may not
        }
        if (!standby(who) && dice % 8 != 0) return false;
        if (other == address(0)) return false;
        bool working = registry.isActive(other);
        ok = send(who, address(set), abi.encodeCall(set.displace, (who, slot)));
        bool enough = weightOf(who) * 10 >= theirs * 11;
        if (!ok && enough && standby(who) && held() == 2) breaks("refused one with enough");
        if (!ok) return false;
        if (!enough) breaks("displaced with less than a tenth more");
        if (info(who).slot != slot + 1 || info(other).slot != 0) breaks("the slot did not change hands");
        if (working && !registry.isActive(other)) breaks("displaced before the epoch ended");
        if (set.seatOf(who).activeFrom != set.epoch() + 1) breaks("began before the next epoch");
    }

    function held() internal view returns (uint256 count) {
        for (uint256 i = 0; i < OPERATORS; ++i) {
            if (info(op(i)).slot != 0) count += 1;
        }
    }

    function runDelegator(uint256 dice, address operator, address owner) internal returns (bool) {
        address to = address(registry);
        uint128 amount = uint128(1e17 + dice % 400e18);
        if (current == Step.Delegate) return send(owner, to, abi.encodeCall(registry.delegate, (operator, amount)));
        if (current == Step.Undelegate) {
            uint128 shares = sharesOf(owner, operator);
            if (shares == 0) return false;
            if (dice % 3 != 0) shares = uint128(1 + dice % shares);
            return send(owner, to, abi.encodeCall(registry.undelegate, (operator, shares)));
        }
        if (current == Step.WithdrawDelegation) {
            if (registry.delegationThaws(operator, owner).length == 0) return false;
            if (dice % 2 == 0) pass(UNBOND);
            return send(owner, to, abi.encodeCall(registry.withdrawDelegation, (operator)));
        }
        amount = uint128(5e17 + dice % 30e18);
        return send(owner, to, abi.encodeCall(registry.notify, (operator, amount)));
    }

    function runSlasher(uint256 dice, address operator) internal returns (bool ok) {
        address to = address(registry);
        uint128 amount = uint128(dice % 300e18);
        if (current == Step.Lock) {
            address by = slasher(dice >> 128);
            ok = send(by, to, abi.encodeCall(registry.lock, (operator, amount)));
            if (ok) lockedNow[operator][by] += amount;
            if (ok && info(operator).locked > info(operator).bonded) breaks("locked more than there is");
            return ok;
        }
        if (current == Step.Release) {
            address by = locker(dice, operator);
            uint256 held = lockedNow[operator][by];
            if (held == 0) return false;
            amount = uint128(dice % 4 == 0 ? held : 1 + dice % held);
            ok = send(by, to, abi.encodeCall(registry.release, (operator, amount)));
            if (ok) lockedNow[operator][by] -= amount;
            return ok;
        }
        return slashStep(dice, operator, amount);
    }

    function slashStep(uint256 dice, address operator, uint128 amount) internal returns (bool ok) {
        if (dice % 16 == 0) amount *= 100;
        registry.poke(operator);
        uint256 most = slashable(operator);
        uint256 bounties = registry.bounty(FINDER);
        IStakeRegistry.Cut[] memory cuts = new IStakeRegistry.Cut[](1);
        cuts[0] = IStakeRegistry.Cut(FINDER, uint16(dice % 5001));
        address by = locker(dice, operator);
        uint128 unlock = uint128(lockedNow[operator][by] / (1 + dice % 3));
        IStakeRegistry.Operator memory before = info(operator);
        IStakeRegistry.Jail how = IStakeRegistry.Jail(dice % 24 == 0 ? 2 : dice % 24 == 1 ? 1 : 0);
        ok = send(by, address(registry), abi.encodeCall(registry.slash, (operator, amount, unlock, cuts, how)));
        if (!ok) breaks("a slash reverted");
        lockedNow[operator][by] -= unlock;
        uint256 taken = amount < most ? amount : most;
        uint256 credited = registry.bounty(FINDER) - bounties;
        unburned += taken - credited;
        if (credited * 2 > taken) breaks("more than half was credited");
        lossesAreEven(before, info(operator));
        if (dice % 2 == 1) burnStep(dice % 4 == 1 || registry.bounty(FINDER) == 0);
    }

    /// @dev By anybody, or by who takes a bounty.
    function burnStep(bool alone) internal {
        uint256 supply = token.totalSupply();
        vm.prank(FINDER);
        if (alone) registry.burnSlashed();
        else registry.takeBounty();
        burned += supply - token.totalSupply();
        unburned -= supply - token.totalSupply();
        if (unburned != 0) breaks("not all that slashes left was burned");
    }

    /// @dev Unless a pool was wiped: what is left in one goes to the operator.
    function lossesAreEven(IStakeRegistry.Operator memory a, IStakeRegistry.Operator memory b) internal {
        bool wiped = a.poolNonce != b.poolNonce || (a.thawing > 0 && b.thawing == 0);
        if (wiped || (a.delegatedThawing > 0 && b.delegatedThawing == 0)) return;
        bool own = isEven(a.bonded, a.thawing, b.bonded, b.thawing);
        bool others = isEven(a.delegated, a.delegatedThawing, b.delegated, b.delegatedThawing);
        if (!own || !others) breaks("what thaws and what stays lost at different rates");
    }

    /// @dev In proportion, and less than a wei more of what thaws.
    function isEven(uint256 stayed, uint256 thawed, uint256 stays, uint256 thaws) internal pure returns (bool) {
        (uint256 ofThawing, uint256 ofStaying) = ((thawed - thaws) * stayed, (stayed - stays) * thawed);
        return ofThawing >= ofStaying && ofThawing - ofStaying <= stayed + thawed;
    }

    function route(uint256 dice, address operator) internal returns (bool) {
        uint256 fee = 1 + dice % 1 ether;
        vm.deal(address(this), address(this).balance + fee);
        calls[uint256(current)] += 1;
        uint256 before = router.owed(TREASURY) + router.owed(operator);
        (bool ok,) = address(router).call{value: fee}(abi.encodeCall(router.route, (operator)));
        if (ok) routed += fee - (router.owed(TREASURY) + router.owed(operator) - before);
        return ok;
    }

    function claimFees(address operator, address owner) internal returns (bool ok) {
        if (registry.feesOf(operator, owner, info(operator).poolNonce) == 0) return false;
        uint256 before = owner.balance;
        ok = send(owner, address(router), abi.encodeCall(router.claim, (operator, info(operator).poolNonce)));
        claimed += owner.balance - before;
    }

    /// @dev Pushed by somebody else: the account gets what it was owed, and whoever pushes gets nothing.
    function payOwner(uint256 dice, address operator, address pusher) internal returns (bool ok) {
        address account = dice % 4 == 0 ? TREASURY : operator;
        uint256 due = router.owed(account);
        if (due == 0) return false;
        (uint256 paid, uint256 pushers) = (account.balance, pusher.balance);
        ok = send(pusher, address(router), abi.encodeCall(router.withdrawFor, (account)));
        if (account.balance - paid != due || router.owed(account) != 0) {
            breaks("an account was not paid what it was owed");
        }
        if (pusher.balance != pushers) breaks("somebody else was paid");
    }

    // ---- rules of single steps ----

    function breaks(string memory rule) internal {
        if (bytes(broken).length == 0) broken = rule;
    }

    /// @dev What 1e21 shares of each pool are worth, with 1e9 as the unit.
    function prices() internal view returns (uint256[] memory out) {
        out = new uint256[](OPERATORS);
        for (uint256 i = 0; i < OPERATORS; ++i) {
            IStakeRegistry.Operator memory o = info(op(i));
            if (o.delegatedShares > 0) out[i] = (uint256(o.delegated) + 1) * 1e30 / (uint256(o.delegatedShares) + 1e3);
        }
    }

    function noPriceFell(uint256[] memory before) internal {
        uint256[] memory after_ = prices();
        for (uint256 i = 0; i < OPERATORS; ++i) {
            if (after_[i] != 0 && after_[i] < before[i]) breaks("a share lost value without a slash");
        }
    }

    /// @dev Shares and thaws of everybody but `owner`.
    function othersThan(address owner) internal view returns (bytes32 h) {
        for (uint256 i = 0; i < DELEGATORS; ++i) {
            address who = holder(i);
            if (who == owner) continue;
            for (uint256 j = 0; j < OPERATORS; ++j) {
                OpenRegistry open = OpenRegistry(address(registry));
                uint256 thaws = open.requests(op(j), who);
                uint256 count = registry.delegationThaws(op(j), who).length;
                h = keccak256(abi.encode(h, sharesOf(who, op(j)), thaws, count));
            }
        }
    }

    /// @dev The weights of an epoch do not change once it has begun, nor while it is kept.
    function weightsStandStill() internal {
        uint256 e = set.epoch();
        uint256 total = set.totalWeight(e) + 1;
        if (frozen[e] == 0) frozen[e] = total;
        if (frozen[e] != total) breaks("weights moved within an epoch");
        if (frozen[e - 1] != 0 && frozen[e - 1] != set.totalWeight(e - 1) + 1) breaks("the last epoch was forgotten");
    }
}
