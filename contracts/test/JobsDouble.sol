// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IChallengeManager} from "../src/interfaces/IChallengeManager.sol";
import {IJobMarket} from "../src/interfaces/IJobMarket.sol";

/// @dev A double of JobMarket for tests of verification: jobs that are active at once, and nothing but what the claim book
/// and the challenge manager call. The story on the real market is in regression/Blur.t.sol.
contract JobsDouble {
    IChallengeManager public challenges;
    mapping(uint64 => IJobMarket.Job) private _jobs;
    uint64 public nextJobId = 1;

    function wire(IChallengeManager challenges_) external {
        challenges = challenges_;
    }

    function open(address client, address operator, uint96 price, uint8 k, bytes32 profile)
        external
        payable
        returns (uint64 jobId)
    {
        jobId = nextJobId++;
        IJobMarket.Job storage j = _jobs[jobId];
        (j.client, j.operator, j.price, j.k, j.profile) = (client, operator, price, k, profile);
        (j.state, j.escrow) = (IJobMarket.JobState.Active, uint128(msg.value));
    }

    function reserve(uint64 jobId, address caller, uint64 first, uint32 count, uint64 units)
        external
        returns (address operator, uint128 fee, uint8 k, uint32 before)
    {
        IJobMarket.Job storage j = _jobs[jobId];
        require(caller == j.operator && first == j.nextSeq, "double");
        fee = uint128(units) * j.price;
        (j.escrow, j.reserved, j.nextSeq) = (j.escrow - fee, j.reserved + fee, j.nextSeq + count);
        return (j.operator, fee, j.k, 0);
    }

    function pay(uint64 jobId, uint64 claimId, uint128 fee, uint128 toVerifiers) external {
        _jobs[jobId].reserved -= fee;
        if (toVerifiers > 0) challenges.deposit{value: toVerifiers}(claimId);
    }

    function restore(uint64 jobId, uint128 fee) external {
        IJobMarket.Job storage j = _jobs[jobId];
        (j.escrow, j.reserved) = (j.escrow + fee, j.reserved - fee);
    }

    function popSeed(uint64, bytes32 preimage) external pure {
        require(preimage == 0, "double");
    }

    function parties(uint64 jobId) external view returns (address, address, uint96) {
        IJobMarket.Job storage j = _jobs[jobId];
        return (j.client, j.operator, j.price);
    }

    function profileOf(uint64 jobId) external view returns (bytes32) {
        return _jobs[jobId].profile;
    }

    function job(uint64 jobId) external view returns (IJobMarket.Job memory) {
        return _jobs[jobId];
    }

    function domainSeparator() external view returns (bytes32) {
        bytes32 kind = keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
        return keccak256(abi.encode(kind, keccak256("Headframe"), keccak256("1"), block.chainid, address(this)));
    }
}
