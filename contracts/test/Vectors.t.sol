// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Fixture} from "./Fixture.sol";
import {Tree} from "./Tree.sol";
import {IJobMarket} from "../src/interfaces/IJobMarket.sol";
import {MerkleSum} from "../src/lib/MerkleSum.sol";

/// @dev The committed vectors are what these contracts compute; the Rust side reads the same files.
/// HEADFRAME_WRITE_VECTORS=true writes them anew.
contract VectorsTest is Fixture {
    function check(string memory path, string memory text) internal {
        if (vm.envOr("HEADFRAME_WRITE_VECTORS", false)) vm.writeFile(path, text);
        vm.assertEq(vm.readFile(path), text);
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

    function fields(IJobMarket.Receipt memory r) internal pure returns (string memory out) {
        out = join2(num("jobId", r.jobId), num("seq", r.seq));
        out = join2(out, hex32("srcRoot", r.srcRoot));
        out = join2(out, hex32("outRoot", r.outRoot));
        return join2(join2(out, num("units", r.units)), num("outBytes", r.outBytes));
    }

    // ---- EIP-712 ----

    function segment(uint64 jobId, uint64 seq, uint64 srcBytes, uint32 ms) internal view returns (string memory out) {
        bytes32 srcRoot = keccak256(abi.encode("source", seq));
        bytes32 digest = market.segmentDigest(jobId, seq, srcRoot, srcBytes, ms);
        out = join2(join2(num("jobId", jobId), num("seq", seq)), hex32("srcRoot", srcRoot));
        out = join2(join2(out, num("srcBytes", srcBytes)), num("durationMs", ms));
        string memory signature = vm.toString(signed(CLIENT_KEY, digest));
        out = join2(out, string.concat(hex32("digest", digest), ', "signature": "', signature, '"'));
        return string.concat("    {", out, "}");
    }

    function receiptVector(uint64 jobId, uint64 seq) internal view returns (string memory) {
        IJobMarket.Receipt memory r = receipt(jobId, seq);
        if (seq > 9) (r.units, r.outBytes) = (type(uint64).max, type(uint64).max);
        bytes32 digest = market.receiptDigest(r);
        string memory signature = vm.toString(signed(OPERATOR_KEY, digest));
        string memory out = join2(fields(r), hex32("digest", digest));
        return string.concat("    {", out, ', "signature": "', signature, '"}');
    }

    function test_vectors_typedData() public {
        string memory out = string.concat("{\n  ", num("chainId", block.chainid), ",\n");
        out = string.concat(out, '  "market": "', vm.toString(address(market)), '",\n');
        out = string.concat(out, '  "client": "', vm.toString(client), '",\n');
        out = string.concat(out, '  "operator": "', vm.toString(operator), '",\n');
        out = string.concat(out, '  "segments": [\n', segment(1, 0, 0, 0), ",\n", segment(2, 77, 1_234_567, 2000));
        out = string.concat(out, ",\n", segment(type(uint64).max, type(uint64).max, type(uint64).max, type(uint32).max));
        out = string.concat(out, '\n  ],\n  "receipts": [\n', receiptVector(1, 0), ",\n", receiptVector(2, 7));
        out = string.concat(out, ",\n", receiptVector(type(uint64).max, type(uint64).max), "\n  ]\n}\n");
        check("vectors/typed_data.json", out);
    }

    // ---- Merkle-sum trees ----

    function proof(IJobMarket.Receipt[] memory r, uint256 index) internal pure returns (string memory out) {
        IJobMarket.Sibling[] memory path = Tree.path(r, index);
        for (uint256 i = 0; i < path.length; ++i) {
            out = join2(out, string.concat("{", join2(hex32("hash", path[i].hash), num("sum", path[i].sum)), "}"));
        }
    }

    function treeVector(uint32 count) internal pure returns (string memory out) {
        IJobMarket.Receipt[] memory r = receipts(7, 100, count);
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

    function drawVector(uint8 k, uint32 count, uint64 units) internal returns (string memory out) {
        uint64 jobId = open(1, k);
        vm.prank(operator);
        market.bid(jobId, 0); // free work, so that the units may be as large as they get
        vm.prank(client);
        market.award(jobId, operator);
        vm.prank(operator);
        market.claimJob(jobId);
        vm.prank(operator);
        uint64 claimId = market.claim(jobId, 0, count, keccak256("root"), units);
        uint64 seedBlock = market.claimInfo(claimId).seedBlock;
        rollPast(seedBlock);
        market.seal(claimId);
        uint64[] memory drawn = market.draws(claimId);
        string memory list = "";
        for (uint256 i = 0; i < drawn.length; ++i) {
            list = join2(list, vm.toString(drawn[i]));
        }
        out = join2(num("claimId", claimId), hex32("blockHash", blockhash(seedBlock)));
        out = join2(out, hex32("seed", market.claimInfo(claimId).seed));
        out = join2(join2(out, num("k", k)), join2(num("count", count), num("totalUnits", units)));
        return string.concat("  {", out, ', "draws": [', list, "]}");
    }

    function test_vectors_draws() public {
        string memory out = string.concat("[\n", drawVector(4, 1, 1), ",\n", drawVector(8, 3, 12_345), ",\n");
        out = string.concat(out, drawVector(16, 4096, type(uint64).max), ",\n", drawVector(2, 900, 1_000_003), "\n]\n");
        check("vectors/draws.json", out);
    }
}
