// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {StakeFixture} from "./StakeFixture.sol";
import {IClaimBook} from "../src/interfaces/IClaimBook.sol";
import {IDisputeGame} from "../src/interfaces/IDisputeGame.sol";
import {IJudge} from "../src/interfaces/IJudge.sol";
import {IStakeRegistry} from "../src/interfaces/IStakeRegistry.sol";
import {Answers} from "../src/steps/Answers.sol";
import {IndexTree} from "../src/steps/IndexTree.sol";
import {DisputeGame} from "../src/verify/DisputeGame.sol";

/// @dev A double of the claim book: it knows the claims that a test puts in, and takes stake as the real one does.
contract BookDouble {
    IStakeRegistry internal immutable registry;
    mapping(uint64 claimId => IClaimBook.Claim) internal claims;
    mapping(uint64 claimId => uint256) public punished;

    constructor(IStakeRegistry registry_) {
        registry = registry_;
    }

    function put(uint64 claimId, IClaimBook.Claim memory claim) external {
        claims[claimId] = claim;
        registry.lock(claim.operator, claim.lock);
    }

    /// @dev As if somebody had proved it wrong.
    function end(uint64 claimId) external {
        claims[claimId].state = IClaimBook.ClaimState.Slashed;
    }

    function claimInfo(uint64 claimId) external view returns (IClaimBook.Claim memory) {
        return claims[claimId];
    }

    function contest(uint64 claimId) external view returns (IClaimBook.ClaimState, uint40, uint8, bytes32) {
        IClaimBook.Claim storage c = claims[claimId];
        return (c.state, c.contestUntil, c.holds, c.answers);
    }

    function operatorOf(uint64 claimId) external view returns (address) {
        return claims[claimId].operator;
    }

    function contestAndLock(uint64 claimId)
        external
        view
        returns (IClaimBook.ClaimState, uint40, uint8, bytes32, uint128)
    {
        IClaimBook.Claim storage c = claims[claimId];
        return (c.state, c.contestUntil, c.holds, c.answers, c.lock);
    }

    function hold(uint64 claimId) external {
        ++claims[claimId].holds;
    }

    function letGo(uint64 claimId) external {
        --claims[claimId].holds;
    }

    function punish(uint64 claimId, IClaimBook.Fault fault, IStakeRegistry.Cut[] calldata cuts)
        external
        returns (uint256 taken)
    {
        IClaimBook.Claim storage c = claims[claimId];
        require(c.state == IClaimBook.ClaimState.Revealed && fault == IClaimBook.Fault.Verdict);
        c.state = IClaimBook.ClaimState.Slashed;
        ++punished[claimId];
        taken = registry.slash(c.operator, c.lock, c.lock, cuts, IStakeRegistry.Jail.Short);
    }
}

/// @dev A double of the jury, which says what a test makes it say.
contract JuryDouble is IJudge {
    uint16 public constant share = 2500;
    uint32 public constant reach = 3 days;
    mapping(uint256 gameId => uint256) public summoned;

    function summon(uint256 gameId) external {
        ++summoned[gameId];
    }

    function decide(IDisputeGame game, uint256 gameId, bool operatorRight) external {
        game.decide(gameId, operatorRight);
    }
}

/// @dev A tree kept whole, as both sides of a dispute have one: levels[0] are the padded leaves.
library Board {
    function build(bytes32[] memory leaves) internal pure returns (bytes32[][] memory levels) {
        uint256 depth = 0;
        while (1 << depth < leaves.length) ++depth;
        levels = new bytes32[][](depth + 1);
        levels[0] = new bytes32[](1 << depth);
        for (uint256 i = 0; i < leaves.length; ++i) {
            levels[0][i] = leaves[i];
        }
        grow(levels);
    }

    /// @dev Hashes everything above the padded leaves anew.
    function grow(bytes32[][] memory levels) internal pure {
        for (uint256 level = 1; level < levels.length; ++level) {
            bytes32[] memory below = levels[level - 1];
            bytes32[] memory row = new bytes32[](below.length / 2);
            for (uint256 i = 0; i < row.length; ++i) {
                row[i] = IndexTree.node(below[2 * i], below[2 * i + 1]);
            }
            levels[level] = row;
        }
    }

    function top(bytes32[][] memory levels) internal pure returns (bytes32) {
        return levels[levels.length - 1][0];
    }

    /// @dev Up to 16 nodes, four levels below the node that has `level` levels below it and begins at leaf `first`.
    function children(bytes32[][] memory levels, uint256 level, uint256 first)
        internal
        pure
        returns (bytes32[] memory out)
    {
        uint256 depth = level < 4 ? level : 4;
        out = new bytes32[](1 << depth);
        for (uint256 i = 0; i < out.length; ++i) {
            out[i] = levels[level - depth][(first >> (level - depth)) + i];
        }
    }

    /// @dev From one of 1, 2, 4, 8 or 16 children to the node above all.
    function path(bytes32[] memory row, uint256 child) internal pure returns (bytes32[] memory out) {
        bytes32[][] memory levels = build(row);
        out = new bytes32[](levels.length - 1);
        for (uint256 i = 0; i < out.length; ++i) {
            out[i] = levels[i][(child >> i) ^ 1];
        }
    }
}

/// @dev The game over doubles of the claim book and of the judge, on the real registry and token. One claim, by op(0).
abstract contract DisputeFixture is StakeFixture {
    using Board for bytes32[][];

    uint64 internal constant CLAIM = 7 << 32 | 300;
    uint128 internal constant LOCK = 200e18;
    uint128 internal constant BOND = 50e18;
    uint32 internal constant CLOCK = 24 hours;
    uint32 internal constant FLOOR = 1 hours;
    address internal constant CAROL = address(0xCA201);
    address internal constant ADMIN = address(0xAD);

    BookDouble internal book;
    JuryDouble internal judge;
    DisputeGame internal game;

    function setUp() public virtual override {
        vm.warp(2_000_000_000);
        deployStake(slots());
        book = new BookDouble(registry);
        registry.announceSlasher(address(book), REACH);
        deployGame();
        bond(op(0), 5 * MIN_SELF);
        address[3] memory challengers = [ALICE, BOB, CAROL];
        for (uint256 i = 0; i < challengers.length; ++i) {
            token.transfer(challengers[i], 1e6 * 1e18);
            vm.prank(challengers[i]);
            token.approve(address(game), type(uint256).max);
        }
    }

    function slots() internal pure virtual returns (uint256) {
        return 3;
    }

    function deployGame() internal virtual {
        judge = new JuryDouble();
        game = newGame(judge);
    }

    function newGame(IJudge by) internal returns (DisputeGame) {
        return new DisputeGame(
            IClaimBook(address(book)), registry, token, by, ADMIN, gameParams(), leastParams(), mostParams()
        );
    }

    function gameParams() internal pure returns (IDisputeGame.Params memory) {
        return IDisputeGame.Params(CLOCK, FLOOR, BOND, 1000);
    }

    function leastParams() internal pure returns (IDisputeGame.Params memory) {
        return IDisputeGame.Params(1 hours, 10 minutes, 1e18, 0);
    }

    function mostParams() internal pure returns (IDisputeGame.Params memory) {
        return IDisputeGame.Params(24 hours, 1 hours, 1e6 * 1e18, 2000);
    }

    // ---- claims and trees ----

    /// @dev A right tree of `count` pictures.
    function board(uint256 count) internal pure returns (bytes32[][] memory) {
        bytes32[] memory leaves = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            leaves[i] = keccak256(abi.encode("picture", i));
        }
        return Board.build(leaves);
    }

    function rootOf(uint256 count, bytes32 top) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(uint8(3), uint32(count), top));
    }

    /// @dev Five rungs; the pictures that rung 1 decodes to are those of `root`.
    function answerWith(bytes32 root) internal pure returns (Answers.Answer memory answer) {
        answer.source = keccak256("source");
        answer.rungs = new Answers.Rung[](5);
        for (uint256 i = 0; i < 5; ++i) {
            Answers.Rung memory r = answer.rungs[i];
            (r.width, r.height) = (1280, 720);
            (r.scaled, r.errors) = (keccak256(abi.encode("scaled", i)), keccak256(abi.encode("errors", i)));
            (r.decoded, r.limits) = (keccak256(abi.encode("decoded", i)), keccak256(abi.encode("limits", i)));
        }
        answer.rungs[1].decoded = root;
    }

    /// @dev Eight drawn segments, of which number 3 has the answer.
    function answeredWith(Answers.Answer memory answer) internal pure returns (IClaimBook.Answered memory a) {
        (a.openings, a.digests) = (new bytes32[](8), new bytes32[](8));
        for (uint256 j = 0; j < 8; ++j) {
            a.openings[j] = keccak256(abi.encode("opening", j));
            a.digests[j] = keccak256(abi.encode("digest", j));
        }
        a.digests[3] = keccak256(abi.encode(answer));
    }

    function putClaim(uint64 claimId, bytes32 root) internal {
        IClaimBook.Claim memory c;
        (c.jobId, c.first, c.count) = (claimId >> 32, claimId & type(uint32).max, 600);
        (c.operator, c.lock, c.drawn) = (op(0), LOCK, 8);
        c.state = IClaimBook.ClaimState.Revealed;
        c.contestUntil = uint40(block.timestamp + 24 hours);
        c.answers = keccak256(abi.encode(answeredWith(answerWith(root))));
        book.put(claimId, c);
    }

    function decoded() internal pure returns (IDisputeGame.Subject memory) {
        return IDisputeGame.Subject(IDisputeGame.What.Decoded, 1);
    }

    // ---- moves ----

    function open(address who, bytes32 root) internal returns (uint256) {
        return openOn(who, CLAIM, root);
    }

    function openOn(address who, uint64 claimId, bytes32 root) internal returns (uint256) {
        Answers.Answer memory answer = answerWith(root);
        vm.prank(who);
        return game.open(claimId, 3, answeredWith(answer), answer, decoded());
    }

    function gameOf(uint256 id) internal view returns (IDisputeGame.Game memory) {
        return game.game(id);
    }

    function bisect(uint256 id, uint256 count, bytes32[] memory children) internal {
        bytes32 position = gameOf(id).position;
        vm.prank(op(0));
        game.bisect(id, position, uint32(count), children);
    }

    /// @dev What the tree holds there.
    function bisectHonestly(uint256 id, uint256 count, bytes32[][] memory tree) internal {
        IDisputeGame.Game memory g = gameOf(id);
        uint256 level = g.count == 0 ? tree.length - 1 : g.level;
        bisect(id, count, tree.children(level, g.first));
    }

    function choose(address who, uint256 id, bytes32[] memory children, uint256 child) internal {
        bytes32 position = gameOf(id).position;
        bytes32[] memory path = Board.path(children, child);
        vm.prank(who);
        game.choose(id, position, child, children[child], path);
    }

    /// @dev Down to a picture.
    function descend(address who, uint256 id, uint256 count, bytes32[][] memory tree, uint256 leaf) internal {
        while (gameOf(id).status == IDisputeGame.Status.Open) {
            bisectHonestly(id, count, tree);
            IDisputeGame.Game memory g = gameOf(id);
            bytes32[] memory row = tree.children(g.level, g.first);
            uint256 depth = g.level < 4 ? g.level : 4;
            choose(who, id, row, (leaf - g.first) >> (g.level - depth));
        }
    }

    function statusOf(uint256 id) internal view returns (uint256) {
        return uint256(gameOf(id).status);
    }

    function expectStatus(uint256 id, IDisputeGame.Status status) internal view {
        vm.assertEq(statusOf(id), uint256(status), "status");
    }
}
