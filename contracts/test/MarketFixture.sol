// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {HeaderRlp} from "./HeaderRlp.sol";
import {StakeFixture} from "./StakeFixture.sol";
import {IChallengeManager} from "../src/interfaces/IChallengeManager.sol";
import {IJobMarket} from "../src/interfaces/IJobMarket.sol";
import {IProfileRegistry} from "../src/interfaces/IProfileRegistry.sol";
import {IStakeRegistry} from "../src/interfaces/IStakeRegistry.sol";
import {JobMarket} from "../src/market/JobMarket.sol";
import {MarketStore} from "../src/market/MarketStore.sol";
import {ProfileRegistry} from "../src/market/ProfileRegistry.sol";
import {Answers} from "../src/steps/Answers.sol";

/// @dev A test double of the challenge manager: takes what verifiers share, and no more.
contract ChallengesDouble {
    mapping(uint64 claimId => uint256) public deposited;

    function deposit(uint64 claimId) external payable {
        deposited[claimId] += msg.value;
    }
}

/// @dev A market with short windows, a funded client, and operators (rigs) whose keys the tests hold. Whatever stands in for
/// the claim book calls as `BOOK`; who brings the real one overrides bookAddress and challengesAddress.
abstract contract MarketFixture is StakeFixture {
    uint256 internal constant CLIENT_KEY = 0xC11E;
    uint256 internal constant RIG_KEY = 0x09E2;
    uint96 internal constant PRICE = 1e9;
    uint96 internal constant MAX_PRICE = 2e9;
    uint128 internal constant START_LOCK = 7e18;
    uint96 internal constant DEPOSIT = 1 ether;
    uint40 internal constant JOB_TIME = 100_000; // from the order to its deadline
    bytes32 internal constant TIP = keccak256(abi.encode(keccak256("link")));
    address internal constant BOOK = address(0xB00C);
    address internal constant GUARDIAN = address(0x6A4D);
    address internal constant STRANGER = address(0x5712A96E2);

    address internal immutable client = vm.addr(CLIENT_KEY);
    JobMarket internal market;
    ProfileRegistry internal profiles;
    IChallengeManager internal challenges;
    bytes32 internal profileId;
    uint256 internal salts; // tells orders and bids apart

    function setUp() public virtual override {
        super.setUp();
        vm.roll(1000);
        deployMarket();
        for (uint256 i = 0; i < 3; ++i) {
            join(rig(i), MIN_SELF);
        }
    }

    function deployMarket() internal virtual {
        profiles = new ProfileRegistry();
        challenges = IChallengeManager(challengesAddress());
        MarketStore.Parts memory parts = MarketStore.Parts({
            registry: registry,
            profiles: profiles,
            challenges: challenges,
            router: router,
            book: bookAddress(),
            guardian: GUARDIAN,
            admin: address(this)
        });
        market = new JobMarket(parts, leastParams(), mostParams(), marketParams());
        registry.announceSlasher(address(market), market.reach()); // active at once: nobody has bonded
        nameBook();
        super.nameThisSlasher();
        profileId = profiles.add(testProfile());
        vm.deal(client, 1e6 ether);
        vm.deal(STRANGER, 1e6 ether);
    }

    function nameThisSlasher() internal override {} // not yet

    function nameBook() internal virtual {}

    function challengesAddress() internal virtual returns (address) {
        return address(new ChallengesDouble());
    }

    function bookAddress() internal virtual returns (address) {
        return BOOK;
    }

    // ---- parameters ----

    function marketParams() internal pure virtual returns (IJobMarket.Params memory) {
        return IJobMarket.Params({
            startWindow: 100,
            drainWindow: 300,
            commitWindow: 200,
            revealWindow: 200,
            electionDelay: 8,
            startLock: START_LOCK,
            deposit: DEPOSIT
        });
    }

    function leastParams() internal pure virtual returns (IJobMarket.Params memory) {
        return IJobMarket.Params({
            startWindow: 10,
            drainWindow: 10,
            commitWindow: 10,
            revealWindow: 10,
            electionDelay: 2,
            startLock: 1e18,
            deposit: 0
        });
    }

    function mostParams() internal pure virtual returns (IJobMarket.Params memory) {
        return IJobMarket.Params({
            startWindow: 1 hours,
            drainWindow: 1 days,
            commitWindow: 2 hours,
            revealWindow: 2 hours,
            electionDelay: 100,
            startLock: 100e18,
            deposit: 10 ether
        });
    }

    function testProfile() internal pure returns (IProfileRegistry.Profile memory p) {
        p.filter = 1;
        p.ladder = keccak256("ladder");
        p.rungs = new IProfileRegistry.Rung[](2);
        for (uint256 i = 0; i < 2; ++i) {
            p.rungs[i] = IProfileRegistry.Rung({
                width: uint32(1280 >> i),
                height: uint32(720 >> i),
                profiles: 1 << 100,
                level: 40,
                maxBytesPerSecond: 1e6,
                limits: Answers.Limits(1e6, 1e6, 1e9, 1e9, 1e12, 1e12)
            });
        }
    }

    // ---- operators ----

    function rig(uint256 i) internal pure returns (address) {
        return vm.addr(RIG_KEY + i);
    }

    function join(address who, uint128 amount) internal {
        fund(who);
        bond(who, amount);
    }

    // ---- orders and bids ----

    function newOrder() internal returns (IJobMarket.JobOrder memory) {
        return IJobMarket.JobOrder({
            client: client,
            profile: profileId,
            maxPrice: MAX_PRICE,
            deadline: market.clock() + JOB_TIME,
            k: 4,
            seedTip: TIP,
            salt: ++salts
        });
    }

    function newBid(bytes32 order, uint256 i) internal returns (IJobMarket.Bid memory) {
        return IJobMarket.Bid({
            order: order, operator: rig(i), price: PRICE, expiry: uint40(block.timestamp) + 60, nonce: ++salts
        });
    }

    function signedBid(IJobMarket.Bid memory bid, uint256 i) internal view returns (bytes memory) {
        return signed(RIG_KEY + i, market.bidHash(bid));
    }

    function orderOf(uint64 jobId) internal view returns (bytes32) {
        return bytes32(market.job(jobId).order); // the half that the market keeps
    }

    // ---- jobs, step by step ----

    function open(IJobMarket.Door door, uint256 escrow) internal returns (uint64 jobId) {
        IJobMarket.JobOrder memory order = newOrder();
        vm.prank(client);
        return market.openJob{value: escrow}(order, door);
    }

    function open(uint256 escrow) internal returns (uint64 jobId) {
        return open(IJobMarket.Door.Direct, escrow);
    }

    function accept(uint64 jobId, uint256 i) internal {
        IJobMarket.Bid memory bid = newBid(orderOf(jobId), i);
        bytes memory signature = signedBid(bid, i);
        vm.prank(client);
        market.acceptBid(jobId, bid, signature);
    }

    /// @dev Assigned to rig(i) at PRICE.
    function openAssigned(uint256 escrow, uint256 i) internal returns (uint64 jobId) {
        IJobMarket.JobOrder memory order = newOrder();
        IJobMarket.Bid memory bid = newBid(market.orderHash(order), i);
        bytes memory signature = signedBid(bid, i);
        vm.prank(client);
        return market.openWithBid{value: escrow}(order, bid, signature);
    }

    function start(uint64 jobId, uint256 i) internal {
        vm.prank(rig(i));
        market.startJob(jobId);
    }

    function openActive(uint256 escrow, uint256 i) internal returns (uint64 jobId) {
        jobId = openAssigned(escrow, i);
        start(jobId, i);
    }

    function close(uint64 jobId) internal {
        vm.prank(client);
        market.closeJob(jobId);
    }

    function release(uint64 jobId, uint256 i) internal {
        vm.prank(rig(i));
        market.releaseJob(jobId);
    }

    function reclaim(uint64 jobId) internal {
        vm.prank(client);
        market.reclaim(jobId);
    }

    /// @dev Holds the fee of `units` for the next `count` segments, as the book does for a claim.
    function reserve(uint64 jobId, uint256 i, uint32 count, uint64 units) internal returns (uint128 fee) {
        uint64 first = market.job(jobId).nextSeq;
        vm.prank(address(market.book()));
        (,, fee,,) = market.reserve(jobId, first, count, units);
    }

    // ---- auctions and elections ----

    function sealedBid(uint64 jobId, uint256 i, uint96 price) internal view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(market), jobId, rig(i), price, bytes32("salt")));
    }

    function commit(uint64 jobId, uint256 i, uint96 price) internal {
        bytes32 commitment = sealedBid(jobId, i, price);
        vm.deal(rig(i), rig(i).balance + DEPOSIT);
        vm.prank(rig(i));
        market.commitBid{value: DEPOSIT}(jobId, commitment);
    }

    function reveal(uint64 jobId, uint256 i, uint96 price) internal {
        vm.prank(rig(i));
        market.revealBid(jobId, price, "salt");
    }

    function setTerms(uint256 i, uint96 price, uint16 maxJobs) internal {
        vm.prank(rig(i));
        market.setTerms(price, maxJobs);
    }

    /// @dev A header whose prevrandao follows from its number.
    function headerOf(uint256 number) internal pure returns (bytes memory) {
        return HeaderRlp.header(bytes32(number), 4, uint256(keccak256(abi.encode("randao", number))), 7);
    }

    /// @dev Behind the block of the job's election, which gets the hash of its header.
    function elect(uint64 jobId) internal {
        uint256 number = market.electionBlock(jobId);
        if (block.number <= number) vm.roll(number + 1);
        vm.setBlockhash(number, keccak256(headerOf(number)));
        market.elect(jobId, headerOf(number));
    }

    // ---- what is so ----

    function state(uint64 jobId) internal view returns (uint256) {
        return uint256(market.job(jobId).state);
    }

    function locked(uint256 i) internal view returns (uint256) {
        return registry.lockedBy(rig(i), address(market));
    }

    function inState(uint64 jobId, IJobMarket.JobState expected) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(IJobMarket.JobNotInState.selector, jobId, expected);
    }
}
