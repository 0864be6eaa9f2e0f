// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Auctions} from "./Auctions.sol";
import {Elections} from "./Elections.sol";
import {MarketStore} from "./MarketStore.sol";

/// @title The code of auctions and elections. JobMarket makes it and runs it on its own storage; by itself it holds nothing.
contract MarketDoors is Auctions, Elections {
    constructor(Parts memory parts) MarketStore(parts) {}
}
