// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Requests to leave, of one owner at one operator, paid in the order they were made.
/// @dev Only the owner's own calls append, so nobody else can fill the queue. The shares are of a pool that stays
/// slashable; a request made before that pool was wiped is void.
library ThawQueue {
    uint256 internal constant MAX_OPEN = 32;

    struct Request {
        uint128 shares;
        uint40 readyAt;
        uint32 nonce; // of the pool
    }

    struct Queue {
        uint64 head;
        uint64 tail;
        mapping(uint256 index => Request) requests;
    }

    error QueueFull(uint256 limit);

    function push(Queue storage queue, Request memory request) internal {
        (uint64 head, uint64 tail) = (queue.head, queue.tail);
        require(tail - head < MAX_OPEN, QueueFull(MAX_OPEN));
        queue.requests[tail] = request;
        queue.tail = tail + 1;
    }

    /// @dev Removes what is ready and what is void, up to the first request that has to wait.
    /// @return shares Of the removed requests that are not void.
    /// @return removed How many there were.
    function pop(Queue storage queue, uint256 time, uint32 nonce) internal returns (uint128 shares, uint256 removed) {
        (uint64 head, uint64 tail) = (queue.head, queue.tail);
        for (uint64 i = head; i < tail; ++i) {
            Request memory request = queue.requests[i];
            if (request.nonce == nonce) {
                if (request.readyAt > time) break;
                shares += request.shares;
            }
            delete queue.requests[i];
            ++removed;
        }
        queue.head = uint64(head + removed); // not above tail
    }

    /// @return readyAt Of the first request that is not void; 0 when there is none.
    function nextReady(Queue storage queue, uint32 nonce) internal view returns (uint40 readyAt) {
        (uint64 head, uint64 tail) = (queue.head, queue.tail);
        for (uint64 i = head; i < tail; ++i) {
            Request memory request = queue.requests[i];
            if (request.nonce == nonce) return request.readyAt;
        }
    }

    function open(Queue storage queue) internal view returns (Request[] memory list) {
        (uint64 head, uint64 tail) = (queue.head, queue.tail);
        list = new Request[](tail - head);
        for (uint64 i = head; i < tail; ++i) {
            list[i - head] = queue.requests[i];
        }
    }
}
