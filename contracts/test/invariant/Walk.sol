// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base} from "../Base.sol";

/// @dev Random walks that forge makes: each step is one call of one function of a handler.
abstract contract Walk is Base {
    struct Selector {
        address addr;
        bytes4[] selectors;
    }

    /// The handler, and its function.
    function walker() internal view virtual returns (address handler, bytes4 step);

    function targetContracts() public view returns (address[] memory out) {
        out = new address[](1);
        (out[0],) = walker();
    }

    function targetSelectors() public view returns (Selector[] memory out) {
        (address handler, bytes4 step) = walker();
        out = new Selector[](1);
        out[0] = Selector(handler, new bytes4[](1));
        out[0].selectors[0] = step;
    }
}
