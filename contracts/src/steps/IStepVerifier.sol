// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title A fraud proof that one call settles.
/// @notice A step takes one statement that somebody is bound to, and evidence that it is false. It holds no storage, moves
/// no money and asks nobody: the same call has the same result for ever, so that a caller may slash on it.
/// A statement is the hash of a structure that each step names; the evidence carries that structure, so a caller needs to
/// know one word. What a step proves, and what it does not, is in docs/fraud-proofs.md of the repository.
interface IStepVerifier {
    /// The evidence is sound and everything it shows is as it should be.
    error NothingWrong();
    /// The evidence is about another statement.
    error OtherStatement(bytes32 statement, bytes32 given);
    /// An opening does not lead to this commitment.
    error NotCommitted(bytes32 root);
    /// The evidence is cut wrongly: a path of another length, a place outside, a piece that is missing or too many.
    error OutOfShape();

    /// @notice Returns what is wrong, in a few words, or reverts.
    /// @param statement Hash of the structure that the accused is bound to; the caller takes it from its own storage.
    /// @param evidence ABI encoding of the step's own evidence.
    function prove(bytes32 statement, bytes calldata evidence) external view returns (bytes32 fault);
}
