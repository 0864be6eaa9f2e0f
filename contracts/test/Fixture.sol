// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base} from "./Base.sol";
import {Tree} from "./Tree.sol";
import {IJobMarket} from "../src/interfaces/IJobMarket.sol";
import {IStakeRegistry} from "../src/interfaces/IStakeRegistry.sol";
import {JobMarket} from "../src/JobMarket.sol";
import {StakeRegistry} from "../src/staking/StakeRegistry.sol";
import {Token} from "../src/token/Token.sol";

/// @dev A market with short windows, one funded client, and operators whose keys the tests hold.
abstract contract Fixture is Base {
    uint256 internal constant CLIENT_KEY = 0xC11E;
    uint256 internal constant OPERATOR_KEY = 0x09E2;
    uint128 internal constant MIN_BOND = 1000e18;
    uint128 internal constant MIN_LOCK = 10e18;
    uint128 internal constant START_LOCK = 7e18;
    uint32 internal constant UNBOND = 14 days;
    uint32 internal constant REACH = 2 days;
    uint96 internal constant PRICE = 1e9;
    bytes32 internal constant PROFILE = keccak256("profile");

    address internal immutable client = vm.addr(CLIENT_KEY);
    address internal immutable operator = vm.addr(OPERATOR_KEY);
    address internal immutable stranger = address(0x5712A96E2);
    Token internal token;
    StakeRegistry internal registry;
    JobMarket internal market;

    function setUp() public virtual {
        vm.roll(1000);
        vm.warp(2_000_000_000);
        deploySystem(3);
        vm.deal(client, 1000 ether);
        vm.deal(stranger, 1000 ether);
        join(operator, MIN_BOND);
    }

    function deploySystem(uint32 slots) internal {
        address[] memory holders = new address[](1);
        uint256[] memory amounts = new uint256[](1);
        (holders[0], amounts[0]) = (address(this), 1e9 * 1e18);
        token = new Token(holders, amounts, address(0), amounts[0]);
        registry = new StakeRegistry(token, slots, IStakeRegistry.Params(MIN_BOND, UNBOND));
        market = new JobMarket(registry, testParams());
        registry.announceSlasher(address(market), REACH); // active at once: nobody has bonded
    }

    function testParams() internal pure returns (IJobMarket.Params memory) {
        return IJobMarket.Params({
            bidWindow: 8,
            startWindow: 10,
            seedDelay: 3,
            answerWindow: 40,
            contestWindow: 4,
            drainWindow: 30,
            minLock: MIN_LOCK,
            startLock: START_LOCK,
            lockPerWeiNum: 1000,
            lockPerWeiDen: 3
        });
    }

    function join(address who, uint128 amount) internal {
        token.transfer(who, amount);
        vm.prank(who);
        token.approve(address(registry), amount);
        vm.prank(who);
        registry.bond(amount);
    }

    // ---- jobs ----

    function open(uint256 escrow, uint8 k) internal returns (uint64 jobId) {
        vm.prank(client);
        return market.openJob{value: escrow}(PROFILE, 2 * PRICE, k);
    }

    function openAndBid(uint256 escrow, uint8 k) internal returns (uint64 jobId) {
        jobId = open(escrow, k);
        vm.prank(operator);
        market.bid(jobId, PRICE);
    }

    function openAndAward(uint256 escrow, uint8 k) internal returns (uint64 jobId) {
        jobId = openAndBid(escrow, k);
        vm.prank(client);
        market.award(jobId, operator);
    }

    function openActive(uint256 escrow, uint8 k) internal returns (uint64 jobId) {
        jobId = openAndAward(escrow, k);
        vm.prank(operator);
        market.claimJob(jobId);
    }

    // ---- claims ----

    /// @dev The operator's receipts for a range; everything in them follows from job and segment.
    function receipts(uint64 jobId, uint64 first, uint32 count) internal pure returns (IJobMarket.Receipt[] memory r) {
        r = new IJobMarket.Receipt[](count);
        for (uint32 i = 0; i < count; ++i) {
            r[i] = receipt(jobId, first + i);
        }
    }

    function receipt(uint64 jobId, uint64 seq) internal pure returns (IJobMarket.Receipt memory) {
        bytes32 h = keccak256(abi.encode(jobId, seq));
        uint64 units = uint64(bound(uint256(h), 1000, 300_000));
        return IJobMarket.Receipt(jobId, seq, h, keccak256(abi.encode(h)), units, units * 2);
    }

    function submit(uint64 jobId, uint32 count) internal returns (uint64 claimId) {
        uint64 first = market.job(jobId).nextSeq;
        (bytes32 root, uint64 total) = Tree.root(receipts(jobId, first, count));
        vm.prank(operator);
        return market.claim(jobId, first, count, root, total);
    }

    function rollPast(uint64 blockNumber) internal {
        if (block.number <= blockNumber) vm.roll(uint256(blockNumber) + 1); // never back
    }

    function submitAndSeal(uint64 jobId, uint32 count) internal returns (uint64 claimId) {
        claimId = submit(jobId, count);
        rollPast(market.claimInfo(claimId).seedBlock);
        market.seal(claimId);
    }

    function submitAndAnswer(uint64 jobId, uint32 count) internal returns (uint64 claimId) {
        claimId = submitAndSeal(jobId, count);
        IJobMarket.Opening[] memory openings = honest(claimId);
        vm.prank(operator);
        market.answer(claimId, openings);
    }

    function honest(uint64 claimId) internal view returns (IJobMarket.Opening[] memory openings) {
        IJobMarket.Claim memory c = market.claimInfo(claimId);
        IJobMarket.Receipt[] memory r = receipts(c.jobId, c.first, c.count);
        uint64[] memory drawn = market.draws(claimId);
        openings = new IJobMarket.Opening[](drawn.length);
        for (uint256 i = 0; i < drawn.length; ++i) {
            openings[i] = opening(r, Tree.holder(r, drawn[i]));
        }
    }

    function opening(IJobMarket.Receipt[] memory r, uint256 index) internal view returns (IJobMarket.Opening memory o) {
        IJobMarket.Receipt memory it = r[index];
        (o.seq, o.srcRoot, o.outRoot, o.units, o.outBytes) = (it.seq, it.srcRoot, it.outRoot, it.units, it.outBytes);
        (o.srcBytes, o.durationMs) = (4321, 2000);
        bytes32 digest = market.segmentDigest(it.jobId, it.seq, it.srcRoot, o.srcBytes, o.durationMs);
        o.clientSig = signed(CLIENT_KEY, digest);
        o.path = Tree.path(r, index);
    }

    function stakeOf(address who) internal view returns (IStakeRegistry.Operator memory) {
        return registry.operatorInfo(who);
    }
}
