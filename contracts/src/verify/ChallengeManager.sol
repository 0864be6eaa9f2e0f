// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IClaimBook} from "../interfaces/IClaimBook.sol";
import {IJobMarket} from "../interfaces/IJobMarket.sol";
import {IStakeRegistry} from "../interfaces/IStakeRegistry.sol";
import {Proofs} from "./Proofs.sol";
import {VerifyBase} from "./VerifyBase.sol";

/// @title Verifiers and proofs: see IChallengeManager for the rules, docs/protocol.md for the reasons.
/// @dev A slasher of the registry: it locks and takes the stake of verifiers, and of operators that equivocate outside of a
/// claim. What a claim costs is the book's matter. Coins are verifiers' rewards alone.
contract ChallengeManager is Proofs {
    constructor(
        IStakeRegistry registry_,
        IJobMarket market_,
        IClaimBook book_,
        address admin_,
        Steps memory steps,
        Params memory p,
        Bounds memory bounds
    ) VerifyBase(registry_, market_, book_, admin_, bounds) Proofs(steps) {
        _setParams(p);
    }
}
