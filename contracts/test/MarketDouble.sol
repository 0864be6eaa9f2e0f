// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// @dev A double of JobMarket for the claim book's own tests: jobs that are active at once, and nothing but the book's calls.
contract MarketDouble {
    using SafeCast for uint256;

    struct Job {
        address client;
        address operator;
        uint96 price;
        uint8 k;
        uint32 nextSeq;
        uint32 lastCount;
        uint128 escrow;
        uint128 reserved;
        bytes32 tip;
    }

    mapping(uint64 => Job) public jobs;
    uint64 public nextJobId = 1;
    uint256 public paid;
    uint256 public paidToVerifiers;

    function open(address client, address operator, uint96 price, uint8 k, bytes32 tip)
        external
        payable
        returns (uint64 jobId)
    {
        jobId = nextJobId++;
        jobs[jobId] = Job(client, operator, price, k, 0, 0, uint128(msg.value), 0, tip);
    }

    function setSeedTip(uint64 jobId, bytes32 tip) external {
        jobs[jobId].tip = tip;
    }

    function reserve(uint64 jobId, address caller, uint64 first, uint32 count, uint64 units)
        external
        returns (address operator, uint128 fee, uint8 k, uint32 before)
    {
        Job storage j = jobs[jobId];
        require(caller == j.operator && first == j.nextSeq, "double");
        fee = (uint256(units) * j.price).toUint128();
        j.escrow -= fee;
        j.reserved += fee;
        (before, j.lastCount) = (j.lastCount, count);
        j.nextSeq += count;
        return (j.operator, fee, j.k, before);
    }

    function pay(uint64 jobId, uint64, uint128 fee, uint128 toVerifiers) external {
        jobs[jobId].reserved -= fee;
        paid += fee - toVerifiers;
        paidToVerifiers += toVerifiers;
    }

    function restore(uint64 jobId, uint128 fee) external {
        jobs[jobId].reserved -= fee;
        jobs[jobId].escrow += fee;
    }

    function popSeed(uint64 jobId, bytes32 preimage) external {
        bytes32 tip = jobs[jobId].tip;
        require(tip == 0 ? preimage == 0 : keccak256(abi.encode(preimage)) == tip, "double");
        jobs[jobId].tip = preimage;
    }

    function parties(uint64 jobId) external view returns (address, address, uint96) {
        Job storage j = jobs[jobId];
        return (j.client, j.operator, j.price);
    }

    function domainSeparator() external view returns (bytes32) {
        bytes32 kind = keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
        return keccak256(abi.encode(kind, keccak256("Headframe"), keccak256("1"), block.chainid, address(this)));
    }
}
