// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base} from "../Base.sol";

/// @dev What every handler counts, for each kind of step.
interface Counts {
    function calls(uint256 kind) external view returns (uint256);
    function successes(uint256 kind) external view returns (uint256);
}

/// @dev Random walks that forge makes: each step is one call of one function of a handler.
abstract contract Walk is Base {
    uint256 internal constant NO_KIND = type(uint256).max;

    struct Selector {
        address addr;
        bytes4[] selectors;
    }

    /// The handler, and its function.
    function walker() internal view virtual returns (address handler, bytes4 step);

    /// How many kinds of steps there are, and the one that must be refused always, or NO_KIND.
    function kinds() internal pure virtual returns (uint256 count, uint256 refused);

    /// Forge calls it as each of its walks ends. A walk leaves nothing behind but this: one line for each kind of step, which
    /// test.sh adds up and judges, as a single walk may be too short for every kind.
    function afterInvariant() public {
        if (!vm.envOr("HEADFRAME_COUNT_WALKS", false)) return;
        (address handler,) = walker();
        (uint256 count, uint256 refused) = kinds();
        for (uint256 i = 0; i < count; ++i) {
            string memory numbers = string.concat(
                vm.toString(i), " ", vm.toString(Counts(handler).calls(i)), " ", vm.toString(Counts(handler).successes(i))
            );
            vm.writeLine("cache/walks", string.concat(name(), " ", numbers, i == refused ? " never" : " often"));
        }
    }

    /// The name of the handler: the first word of its lines.
    function name() internal pure virtual returns (string memory);

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
