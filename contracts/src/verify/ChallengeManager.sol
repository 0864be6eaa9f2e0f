// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Proofs} from "./Proofs.sol";
import {VerifyBase} from "./VerifyBase.sol";

/// @title Verifiers and proofs: see IChallengeManager for the rules, docs/protocol.md for the reasons.
/// @dev A slasher of the registry: it locks and takes the stake of verifiers, and of operators that equivocate outside of a
/// claim. What a claim costs is the book's matter. Coins are verifiers' rewards alone.
contract ChallengeManager is Proofs {
    constructor(Parts memory parts, Steps memory steps, Params memory p, Bounds memory bounds)
        VerifyBase(parts, bounds)
        Proofs(steps)
    {
        _setParams(p);
    }
}
