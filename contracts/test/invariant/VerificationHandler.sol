// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Contents} from "../Contents.sol";
import {VerifyFixture} from "../VerifyFixture.sol";
import {EquivocationStep} from "../../src/steps/EquivocationStep.sol";
import {Work} from "../../src/lib/Work.sol";
import {IChallengeManager} from "../../src/interfaces/IChallengeManager.sol";
import {IClaimBook} from "../../src/interfaces/IClaimBook.sol";
import {ChallengeManager} from "../../src/verify/ChallengeManager.sol";
import {EvidenceReader} from "../../src/verify/EvidenceReader.sol";

/// @dev Random verifiers, finders and an operator that lies now and then, on the whole market. A step looks for a claim or
/// a verifier in a fitting state first, so that most calls succeed and the walk gets deep; a refusal is counted and undoes
/// nothing.
contract VerificationHandler is VerifyFixture {
    enum Step {
        Claim,
        Attest,
        RevealClaim,
        Show,
        ReportAbsent,
        Demand,
        Publish,
        DemandAnswer,
        PublishAnswer,
        SlashWithheld,
        Release,
        Prove,
        Settle,
        TakeReward,
        SlashAttester,
        Enlist,
        Resign,
        TakeLock,
        Equivocate,
        Wait
    }

    uint256 internal constant RECENT = 6; // claims that a step looks at
    uint256[20] public calls;
    uint256[20] public successes;
    uint64[] public claims;
    mapping(uint64 => address[4]) public seats; // as they were drawn when the claim was answered
    mapping(address => uint256) public lockOf; // what a verifier should have locked
    mapping(uint64 => mapping(uint256 => bool[2])) internal demanded; // bytes, answer
    Step internal current;
    uint256 internal nonce;
    uint64 internal jobId;
    uint64 internal nextPair; // segments of two receipts, far from those claimed
    Vector internal wrong;

    constructor() {
        jobTime = 36_500 days;
        super.setUp();
        jobId = openJob();
        wrong = vector("scale", "last sample of plane 0");
        nextPair = 1 << 20;
        for (uint256 i = 0; i < CROWD; ++i) {
            lockOf[op(i)] = VERIFIER_LOCK;
        }
    }

    function setUp() public override {}

    /// @dev Long enough for several steps in each window.
    function claimParams() internal pure override returns (IClaimBook.Params memory p) {
        p = super.claimParams();
        (p.attestWindow, p.revealWindow, p.contestWindow) = (900, 900, 1200);
    }

    function parts() external view returns (IChallengeManager, IClaimBook) {
        return (challenges, book);
    }

    function lockedNow(uint256 i) external view returns (address who, uint256 locked, uint256 expected) {
        who = op(i);
        return (who, registry.lockedBy(who, address(challenges)), lockOf[who]);
    }

    function claimCount() external view returns (uint256) {
        return claims.length;
    }

    // ---- one random step ----

    function step(uint256 dice) external {
        uint8[56] memory weighted = [
            0,
            0,
            0,
            1,
            1,
            1,
            1,
            1,
            1,
            1,
            1,
            1,
            1,
            2,
            2,
            2,
            2,
            3,
            3,
            3,
            3,
            3,
            3,
            3,
            3,
            4,
            4,
            5,
            5,
            5,
            5,
            5,
            5,
            6,
            6,
            6,
            6,
            7,
            8,
            9,
            10,
            10,
            10,
            11,
            11,
            12,
            12,
            13,
            13,
            14,
            14,
            15,
            16,
            17,
            18,
            19
        ];
        current = Step(weighted[dice % 56]);
        dice = uint256(keccak256(abi.encode(dice, ++nonce)));
        run(dice);
        if (dice % 4 == 0) pass(1 + (dice >> 8) % 120);
    }

    function run(uint256 dice) internal returns (bool) {
        if (current == Step.Claim) return claim(dice);
        if (current == Step.Wait) {
            pass(1 + dice % 20 minutes);
            return count(true);
        }
        if (current == Step.Equivocate) return equivocate();
        if (current >= Step.Enlist) return onVerifier(op(dice % CROWD));
        for (uint256 i = 0; i < RECENT && i < claims.length; ++i) {
            uint64 id = claims[claims.length - 1 - i];
            (bool any, bool all) = (false, true);
            for (uint256 place = 0; place < 4; ++place) {
                uint256 seat = (place + dice) % 4;
                (bool fit, bool ok) = onSeat(id, seat / 2, seat % 2, dice >> 16);
                (any, all) = (any || fit, all && (ok || !fit));
                // All verifiers of a claim attest and reveal at once, or few slots would have both.
                if (fit && current != Step.Attest && current != Step.Show) break;
            }
            if (any) return all;
        }
        return false;
    }

    function send(address from, address to, bytes memory data) internal returns (bool ok) {
        vm.prank(from);
        (ok,) = to.call(data);
        count(ok);
    }

    function count(bool ok) internal returns (bool) {
        calls[uint256(current)] += 1;
        if (ok) successes[uint256(current)] += 1;
        return ok;
    }

    function sendHere(bytes memory data) internal returns (bool) {
        return send(FINDER, address(challenges), data);
    }

    /// @dev Submitted, sealed and answered, with a lie in some slots.
    function claim(uint256 dice) internal returns (bool) {
        if (claims.length > 0 && dice % 4 > 0) {
            // One after the other, mostly, so that each has its verifiers.
            if (info(claims[claims.length - 1]).state == IClaimBook.ClaimState.Answered) return false;
        }
        if (registry.free(operator) < 100e18) bond(operator, 1000e18);
        uint64 id = submit(jobId, 5);
        seal(id);
        for (uint256 slot = 0; slot < 2; ++slot) {
            if ((dice >> slot) % 6 == 0) digestOf[id][slot] = wrong.statement;
        }
        answerClaim(id);
        claims.push(id);
        for (uint256 seat = 0; seat < 4; ++seat) {
            seats[id][seat] = challenges.verifierOf(id, seat / 2, seat % 2);
        }
        return count(true);
    }

    function onSeat(uint64 id, uint256 slot, uint256 which, uint256 dice) internal returns (bool fit, bool ok) {
        IClaimBook.Claim memory c = info(id);
        if (current <= Step.ReportAbsent) return onWindow(id, c, slot, which, dice);
        if (current <= Step.Release) return onDemand(id, c, slot, which);
        IChallengeManager.Seat memory s = challenges.seat(id, slot, which);
        bool revealed = c.state == IClaimBook.ClaimState.Revealed;
        if (current == Step.Prove) {
            fit = revealed && digests[id][slot] == wrong.statement && block.timestamp <= c.contestUntil;
            if (!fit) return (false, false);
            if (dice % 2 == 0) reserveOnce();
            IClaimBook.Answered memory a = answered(id);
            IChallengeManager.Step scale = IChallengeManager.Step.Scale;
            ok = sendHere(abi.encodeCall(challenges.prove, (id, slot, a, scale, wrong.evidence, FINDER)));
        } else if (current == Step.Settle) {
            fit = revealed && c.holds == 0 && block.timestamp > c.contestUntil;
            if (!fit) return (false, false);
            ok = send(FINDER, address(book), abi.encodeCall(book.settle, (id)));
        } else if (current == Step.TakeReward) {
            fit = c.state == IClaimBook.ClaimState.Settled && isRevealed(s) && !s.paid;
            if (fit) ok = sendHere(abi.encodeCall(challenges.takeReward, (id, slot, which, answered(id))));
        } else {
            fit = isRevealed(s) && !s.slashed && bytes20(s.digest) == challenges.wrongDigest(id) && s.digest != 0;
            if (!fit || challenges.verifier(s.verifier).lock == 0) return (false, false);
            ok = sendHere(abi.encodeCall(challenges.slashAttester, (id, slot, which)));
            if (ok) lockOf[s.verifier] = 0;
        }
    }

    function isRevealed(IChallengeManager.Seat memory s) internal pure returns (bool) {
        return s.state == IChallengeManager.SeatState.Revealed;
    }

    function reserveOnce() internal {
        bytes32 ticket = keccak256(abi.encode(keccak256(wrong.evidence), FINDER));
        if (challenges.ticketBlock(ticket) != 0) return;
        challenges.reserve(ticket);
        vm.roll(block.number + 1);
    }

    // ---- the windows of a claim ----

    function onWindow(uint64 id, IClaimBook.Claim memory c, uint256 slot, uint256 which, uint256 dice)
        internal
        returns (bool fit, bool ok)
    {
        IChallengeManager.Seat memory s = challenges.seat(id, slot, which);
        if (current == Step.Attest) {
            fit = c.state == IClaimBook.ClaimState.Answered && s.state == IChallengeManager.SeatState.Drawn
                && block.timestamp <= c.attestUntil && seats[id][2 * slot + which] != address(0);
            if (!fit) return (false, false);
            bytes32 sealed_ = seal(word(id, slot, which), id, slot, which, seats[id][2 * slot + which]);
            bytes memory call = abi.encodeCall(challenges.attest, (id, slot, which, sealed_));
            ok = send(seats[id][2 * slot + which], address(challenges), call);
        } else if (current == Step.RevealClaim) {
            fit = c.state == IClaimBook.ClaimState.Answered && block.timestamp <= c.revealUntil
                && (block.timestamp > c.attestUntil || dice % 8 == 0);
            if (!fit) return (false, false);
            revealClaim(id);
            ok = count(true);
        } else if (current == Step.Show) {
            fit = s.state == IChallengeManager.SeatState.Committed && block.timestamp > c.attestUntil
                && block.timestamp <= c.revealUntil;
            if (!fit) return (false, false);
            bytes32 digest = word(id, slot, which);
            ok = sendHere(abi.encodeCall(challenges.revealAttestation, (id, slot, which, digest, "verifier's salt")));
        } else {
            bool late = s.state == IChallengeManager.SeatState.Committed
                || (s.state == IChallengeManager.SeatState.Drawn && c.state != IClaimBook.ClaimState.Slashed);
            fit = late && block.timestamp > c.revealUntil && set.epoch() <= uint256(c.epoch) + 1
                && seats[id][2 * slot + which] != address(0) && dice % 4 == 0;
            if (!fit) return (false, false);
            address who = seats[id][2 * slot + which];
            uint256 before = challenges.verifier(who).absences;
            ok = sendHere(abi.encodeCall(challenges.reportAbsent, (id, slot, which)));
            if (ok && ones(before) == 2) lockOf[who] -= (lockOf[who] + 9) / 10;
        }
    }

    function ones(uint256 bits) internal pure returns (uint256 count) {
        for (bits &= (1 << 19) - 1; bits != 0; bits >>= 1) {
            count += bits & 1;
        }
    }

    /// @dev What the seat's verifier says: both of a slot miss the same, or it is what the operator says, right or wrong, or
    /// something else.
    function word(uint64 id, uint256 slot, uint256 which) internal view returns (bytes32) {
        uint256 kind = uint256(keccak256(abi.encode(id, slot))) % 4;
        if (kind < 2) return challenges.missingDigest(missing(id));
        return kind == 2 && which == 0 ? bytes32("something else") : digests[id][slot];
    }

    function missing(uint64 id) internal pure returns (IChallengeManager.Missing memory) {
        return IChallengeManager.Missing(true, 0, uint32(id % 4)); // of three chunks
    }

    // ---- demands ----

    function onDemand(uint64 id, IClaimBook.Claim memory c, uint256 slot, uint256 which)
        internal
        returns (bool fit, bool ok)
    {
        bool revealed = c.state == IClaimBook.ClaimState.Revealed;
        if (current == Step.Demand || current == Step.DemandAnswer) {
            if (!revealed || block.timestamp > c.contestUntil) return (false, false);
            bytes32 said = challenges.seat(id, slot, which).digest;
            return current == Step.Demand ? demand(id, slot, which, said) : demandAnswer(id, slot, which, said);
        }
        if (current == Step.SlashWithheld) {
            fit = revealed && (isDue(id, slot, false) || isDue(id, slot, true));
            if (fit) ok = sendHere(abi.encodeCall(challenges.slashWithheld, (id, slot)));
        } else if (current == Step.Release) {
            (bool held, uint40 until) = challenges.held(id);
            fit = held && until != 0 && block.timestamp > until && !anyOpen(id);
            if (fit) ok = sendHere(abi.encodeCall(challenges.release, (id)));
        } else {
            return publish(id, slot);
        }
    }

    function demand(uint64 id, uint256 slot, uint256 which, bytes32 said) internal returns (bool fit, bool ok) {
        bytes32 digest = challenges.missingDigest(missing(id));
        fit = said == digest && challenges.seat(id, slot, 1 - which).digest == digest && !demanded[id][slot][0];
        if (!fit) return (false, false);
        ok = sendHere(abi.encodeCall(challenges.demand, (id, slot, missing(id))));
        demanded[id][slot][0] = ok;
    }

    function demandAnswer(uint64 id, uint256 slot, uint256 which, bytes32 said) internal returns (bool fit, bool ok) {
        fit = said != 0 && said != digests[id][slot] && !demanded[id][slot][1];
        if (!fit) return (false, false);
        ok = sendHere(abi.encodeCall(challenges.demandAnswer, (id, slot, which, answered(id))));
        demanded[id][slot][1] = ok;
    }

    function publish(uint64 id, uint256 slot) internal returns (bool fit, bool ok) {
        bool answer_ = current == Step.PublishAnswer;
        uint40 until = challenges.publishUntil(id, slot, answer_);
        fit = until != 0 && block.timestamp <= until;
        if (!fit || (answer_ && digests[id][slot] != digestFor(answer()))) return (false, false);
        bytes memory piece = answer_ ? abi.encode(answer()) : publication(id, slot);
        bytes memory call = answer_
            ? abi.encodeCall(challenges.publishAnswer, (id, slot, piece))
            : abi.encodeCall(challenges.publish, (id, slot, piece));
        ok = sendHere(call);
    }

    function isDue(uint64 id, uint256 slot, bool answer_) internal view returns (bool) {
        uint40 until = challenges.publishUntil(id, slot, answer_);
        return until != 0 && block.timestamp > until;
    }

    function anyOpen(uint64 id) public view returns (bool open_) {
        for (uint256 slot = 0; slot < 2; ++slot) {
            open_ = open_ || challenges.publishUntil(id, slot, false) != 0;
            open_ = open_ || challenges.publishUntil(id, slot, true) != 0;
        }
    }

    function publication(uint64 id, uint256 slot) internal view returns (bytes memory) {
        EvidenceReader.Publication memory p;
        (p.answered, p.opening, p.missing) = (answered(id), openingsOf(id)[slot], missing(id));
        p.chunk = Contents.opening(Contents.fill(SOURCE_BYTES), p.missing.index);
        return abi.encode(p);
    }

    // ---- verifiers and keys ----

    function onVerifier(address who) internal returns (bool ok) {
        IChallengeManager.Verifier memory v = challenges.verifier(who);
        if (current == Step.Enlist) {
            if (v.from != 0) return false;
            if (registry.free(who) < MIN_SELF) bond(who, MIN_SELF);
            ok = send(who, address(challenges), abi.encodeCall(challenges.enlist, ()));
            if (ok) lockOf[who] = VERIFIER_LOCK;
        } else if (current == Step.Resign) {
            if (v.from == 0 || v.until != 0 || nonce % 3 > 0) return false;
            ok = send(who, address(challenges), abi.encodeCall(challenges.resign, ()));
        } else {
            if (v.until == 0 || nonce % 4 > 0) return false;
            if (block.timestamp < v.freeAt) vm.warp(v.freeAt);
            ok = sendHere(abi.encodeCall(challenges.takeLock, (who)));
            if (ok) lockOf[who] = 0;
        }
    }

    function equivocate() internal returns (bool) {
        EquivocationStep.TwoReceipts memory two;
        (two.a, two.b) = (receipt(jobId, ++nextPair), receipt(jobId, nextPair));
        two.b.units += 1;
        two.signatureA = signed(RIG_KEY, book.receiptDigest(two.a));
        two.signatureB = signed(RIG_KEY, book.receiptDigest(two.b));
        EquivocationStep.Accused memory accused;
        (accused.domain, accused.operator, accused.claim.jobId) = (market.domainSeparator(), operator, jobId);
        bytes memory evidence =
            abi.encode(EquivocationStep.Evidence(accused, EquivocationStep.Kind.TwoReceipts, abi.encode(two)));
        return sendHere(abi.encodeCall(challenges.proveEquivocation, (jobId, operator, 0, evidence, FINDER)));
    }
}
