// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ClaimFixture} from "./ClaimFixture.sol";
import {Tree} from "./Tree.sol";
import {IJobMarket} from "../src/interfaces/IJobMarket.sol";
import {Work} from "../src/lib/Work.sol";
import {MerkleSum} from "../src/lib/MerkleSum.sol";

/// @dev The committed vectors are what these contracts compute; the Rust side reads the same files.
/// HEADFRAME_WRITE_VECTORS=true writes them anew.
contract VectorsTest is ClaimFixture {
    function check(string memory path, string memory json) internal {
        if (vm.envOr("HEADFRAME_WRITE_VECTORS", false)) vm.writeFile(path, json);
        vm.assertEq(vm.readFile(path), json);
    }

    function num(string memory key, uint256 value) internal pure returns (string memory) {
        return string.concat('"', key, '": ', vm.toString(value));
    }

    function hex32(string memory key, bytes32 value) internal pure returns (string memory) {
        return string.concat('"', key, '": "', vm.toString(value), '"');
    }

    function join2(string memory a, string memory b) internal pure returns (string memory) {
        return bytes(a).length == 0 ? b : string.concat(a, ", ", b);
    }

    function fields(Work.Receipt memory r) internal pure returns (string memory out) {
        out = join2(num("jobId", r.jobId), num("seq", r.seq));
        out = join2(out, hex32("srcRoot", r.srcRoot));
        out = join2(out, hex32("outRoot", r.outRoot));
        return join2(join2(out, num("units", r.units)), num("outBytes", r.outBytes));
    }

    /// @dev At the same address however the tests are run: how many numbers of ours were taken before differs with --isolate
    /// and without the optimiser.
    function bookAddress() internal override returns (address) {
        vm.setNonce(address(this), 1_000_000);
        return super.bookAddress();
    }

    // ---- EIP-712 ----

    function segment(uint64 jobId, uint64 seq, uint64 srcBytes, uint32 ms) internal view returns (string memory out) {
        bytes32 srcRoot = keccak256(abi.encode("source", seq));
        bytes32 digest = book.segmentDigest(jobId, seq, srcRoot, srcBytes, ms);
        out = join2(join2(num("jobId", jobId), num("seq", seq)), hex32("srcRoot", srcRoot));
        out = join2(join2(out, num("srcBytes", srcBytes)), num("durationMs", ms));
        string memory signature = vm.toString(signed(CLIENT_KEY, digest));
        out = join2(out, string.concat(hex32("digest", digest), ', "signature": "', signature, '"'));
        return string.concat("    {", out, "}");
    }

    function receiptVector(uint64 jobId, uint64 seq) internal view returns (string memory) {
        Work.Receipt memory r = receipt(jobId, seq);
        if (seq > 9) (r.units, r.outBytes) = (type(uint64).max, type(uint64).max);
        bytes32 digest = book.receiptDigest(r);
        string memory signature = vm.toString(signed(RIG_KEY, digest));
        string memory out = join2(fields(r), hex32("digest", digest));
        return string.concat("    {", out, ', "signature": "', signature, '"}');
    }

    function text(string memory key, bytes memory value) internal pure returns (string memory) {
        return string.concat('"', key, '": "', vm.toString(value), '"');
    }

    function account(string memory key, address value) internal pure returns (string memory) {
        return string.concat('"', key, '": "', vm.toString(value), '"');
    }

    function orderVector(IJobMarket.JobOrder memory o) internal view returns (string memory out) {
        bytes32 digest = market.orderHash(o);
        out = join2(account("client", o.client), hex32("profile", o.profile));
        out = join2(join2(out, num("maxPrice", o.maxPrice)), num("deadline", o.deadline));
        out = join2(join2(out, num("k", o.k)), hex32("seedTip", o.seedTip));
        out = join2(join2(out, num("salt", o.salt)), hex32("digest", digest));
        return string.concat("    {", join2(out, text("signature", signed(CLIENT_KEY, digest))), "}");
    }

    function bidVector(IJobMarket.Bid memory b) internal view returns (string memory out) {
        bytes32 digest = market.bidHash(b);
        out = join2(hex32("order", b.order), account("operator", b.operator));
        out = join2(join2(out, num("price", b.price)), num("expiry", b.expiry));
        out = join2(join2(out, num("nonce", b.nonce)), hex32("digest", digest));
        return string.concat("    {", join2(out, text("signature", signed(RIG_KEY, digest))), "}");
    }

    function orders() internal view returns (string memory) {
        IJobMarket.JobOrder memory least;
        least.client = client;
        IJobMarket.JobOrder memory usual =
            IJobMarket.JobOrder(client, keccak256("profile"), 2e9, 2_000_003_600, 8, link(LINKS), 77);
        IJobMarket.JobOrder memory most = IJobMarket.JobOrder(
            client,
            bytes32(type(uint256).max),
            type(uint64).max,
            type(uint40).max,
            255,
            bytes32(type(uint256).max),
            type(uint64).max
        );
        return string.concat(orderVector(least), ",\n", orderVector(usual), ",\n", orderVector(most));
    }

    function bids() internal view returns (string memory) {
        IJobMarket.Bid memory least;
        least.operator = operator;
        IJobMarket.Bid memory usual = IJobMarket.Bid(keccak256("order"), operator, 1e9, 2_000_000_060, 78);
        IJobMarket.Bid memory most =
            IJobMarket.Bid(bytes32(type(uint256).max), operator, type(uint64).max, type(uint40).max, type(uint64).max);
        return string.concat(bidVector(least), ",\n", bidVector(usual), ",\n", bidVector(most));
    }

    function test_vectors_typedData() public {
        string memory out = string.concat("{\n  ", num("chainId", block.chainid), ",\n");
        out = string.concat(out, '  "market": "', vm.toString(address(market)), '",\n');
        out = string.concat(out, '  "client": "', vm.toString(client), '",\n');
        out = string.concat(out, '  "operator": "', vm.toString(operator), '",\n');
        out = string.concat(out, '  "orders": [\n', orders(), '\n  ],\n  "bids": [\n', bids(), "\n  ],\n");
        out = string.concat(out, '  "segments": [\n', segment(1, 0, 0, 0), ",\n", segment(2, 77, 1_234_567, 2000));
        out = string.concat(out, ",\n", segment(type(uint64).max, type(uint64).max, type(uint64).max, type(uint32).max));
        out = string.concat(out, '\n  ],\n  "receipts": [\n', receiptVector(1, 0), ",\n", receiptVector(2, 7));
        out = string.concat(out, ",\n", receiptVector(type(uint64).max, type(uint64).max), "\n  ]\n}\n");
        check("vectors/typed_data.json", out);
    }

    // ---- Merkle-sum trees ----

    function proof(Work.Receipt[] memory r, uint256 index) internal pure returns (string memory out) {
        Work.Sibling[] memory path = Tree.path(r, index);
        for (uint256 i = 0; i < path.length; ++i) {
            out = join2(out, string.concat("{", join2(hex32("hash", path[i].hash), num("sum", path[i].sum)), "}"));
        }
    }

    function treeVector(uint32 count) internal pure returns (string memory out) {
        Work.Receipt[] memory r = receipts(7, 100, count);
        if (count == 5) r[2].units = 0; // a segment without work
        (bytes32 root, uint64 total) = Tree.root(r);
        out = string.concat("  {", join2(hex32("root", root), num("totalUnits", total)), ', "leaves": [\n');
        uint64 offset = 0;
        for (uint256 i = 0; i < count; ++i) {
            bytes32 h = MerkleSum.leaf(r[i].jobId, r[i].seq, r[i].srcRoot, r[i].outRoot, r[i].units, r[i].outBytes);
            string memory one = join2(join2(fields(r[i]), num("offset", offset)), hex32("leaf", h));
            one = string.concat("    {", one, ', "path": [', proof(r, i), "]}");
            out = string.concat(out, one, i + 1 < count ? ",\n" : "\n  ]}");
            offset += r[i].units;
        }
    }

    function test_vectors_merkleSum() public {
        string memory out = string.concat("[\n", treeVector(1), ",\n", treeVector(2), ",\n", treeVector(3), ",\n");
        out = string.concat(out, treeVector(5), ",\n", treeVector(8), "\n]\n");
        check("vectors/merkle_sum.json", out);
    }

    // ---- seeds and draws, taken from real claims ----

    function drawVector(uint8 k, uint32 count, uint64 units, uint256 links) internal returns (string memory out) {
        uint64 jobId = freeJob(k, links == 0 ? bytes32(0) : link(links));
        vm.prank(operator);
        uint64 claimId = book.claim(jobId, 0, count, keccak256("root"), units);
        bytes32 preimage = links == 0 ? bytes32(0) : link(links - 1);
        seal(claimId, preimage);
        uint64[] memory drawn = book.draws(claimId);
        string memory list = "";
        for (uint256 i = 0; i < drawn.length; ++i) {
            list = join2(list, vm.toString(drawn[i]));
        }
        out = join2(num("claimId", claimId), hex32("prevrandao", bytes32(mixOf(book.claimInfo(claimId).seedBlock))));
        out = join2(join2(out, hex32("preimage", preimage)), hex32("seed", book.claimInfo(claimId).seed));
        out = join2(join2(out, num("k", k)), join2(num("count", count), num("totalUnits", units)));
        return string.concat("  {", out, ', "draws": [', list, "]}");
    }

    /// @dev Work for nothing, so that the units may be as many as there are.
    function freeJob(uint8 k, bytes32 tip) internal returns (uint64 jobId) {
        IJobMarket.JobOrder memory order = newOrder();
        (order.k, order.seedTip) = (k, tip);
        IJobMarket.Bid memory bid = newBid(market.orderHash(order), 0);
        bid.price = 0;
        bytes memory signature = signedBid(bid, 0);
        vm.prank(client);
        jobId = market.openWithBid(order, bid, signature);
        start(jobId, 0);
    }

    function test_vectors_draws() public {
        string memory out = string.concat("[\n", drawVector(4, 1, 1, 0), ",\n", drawVector(8, 3, 12_345, 5), ",\n");
        out = string.concat(out, drawVector(8, 4096, type(uint64).max, 2), ",\n", drawVector(3, 256, 99, 0), ",\n");
        out = string.concat(out, drawVector(8, 255, 98, 1), ",\n", drawVector(2, 900, 1_000_003, 0), ",\n");
        out = string.concat(out, drawVector(1, 300, 5, 0), "\n]\n");
        check("vectors/draws.json", out);
    }
}
