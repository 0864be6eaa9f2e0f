//! The two strategies. Who follows them with the right pictures does not lose.

use super::board::{Board, fold, path, root};
use super::{Position, Side};
use alloy_primitives::B256;

/// What the operator, or anybody for it, sends with `bisect`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Pictures.
    pub count: u32,
    /// Of the node.
    pub children: Vec<B256>,
}

/// What a challenger does on its turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// `disputeCount`: there should be another number of pictures.
    Count,
    /// `choose`: the first child that should be another.
    Child {
        /// Its number in the row.
        child: u32,
        /// What the operator says that it is.
        hash: B256,
        /// The siblings up to the node.
        path: Vec<B256>,
    },
    /// Nothing is wrong with what was opened: the game is lost, unless the claim ends otherwise.
    Nothing,
}

/// Why there is no move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// The other side is on turn.
    #[error("{0:?} is on turn")]
    OtherTurn(Side),
    /// The pictures are not those that the game is about.
    #[error("the node {0} is not in the tree over these pictures")]
    OtherTree(B256),
    /// What is said to have been opened does not hash to the node: whoever told of it is wrong.
    #[error("the children do not make the node {0}")]
    OtherChildren(B256),
}

/// The operator's move, from what it committed to.
pub fn open(own: &Board, position: &Position) -> Result<Opening, Mismatch> {
    if position.turn != Side::Operator {
        return Err(Mismatch::OtherTurn(position.turn));
    }
    let (count, begin) = (own.count(), position.count == 0);
    let level = if begin { own.depth() } else { position.level };
    let children = own.row(level, position.first).ok_or(Mismatch::OtherTree(position.node))?;
    let made = fold(children).map(|node| if begin { root(count, node) } else { node });
    if made != Some(position.node) {
        return Err(Mismatch::OtherTree(position.node));
    }
    Ok(Opening { count, children: children.to_vec() })
}

/// The challenger's move: `right` are the pictures as they should be, `opened` the children in the operator's last move.
pub fn choose(right: &Board, position: &Position, opened: &[B256]) -> Result<Choice, Mismatch> {
    if position.turn != Side::Challenger {
        return Err(Mismatch::OtherTurn(position.turn));
    }
    if position.count != right.count() {
        return Ok(Choice::Count);
    }
    if fold(opened) != Some(position.node) {
        return Err(Mismatch::OtherChildren(position.node));
    }
    let row = right.row(position.level, position.first).filter(|row| row.len() == opened.len());
    let row = row.ok_or(Mismatch::OtherTree(position.node))?;
    let Some(child) = opened.iter().zip(row).position(|(said, right)| said != right) else {
        return Ok(Choice::Nothing);
    };
    let number = u32::try_from(child).unwrap_or(u32::MAX); // below 16
    Ok(Choice::Child { child: number, hash: opened[child], path: path(opened, child) })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use alloy_primitives::keccak256;

    fn board(count: usize, wrong: Option<usize>) -> Board {
        let mut frames: Vec<B256> = (0..count).map(|frame| keccak256(frame.to_be_bytes())).collect();
        if let Some(frame) = wrong {
            frames[frame] = keccak256("wrong");
        }
        Board::new(frames).unwrap()
    }

    fn after(position: Position, opening: &Opening, board: &Board) -> Position {
        let level = if position.count == 0 { board.depth() } else { position.level };
        let node = fold(&opening.children).unwrap();
        Position { node, count: opening.count, level, turn: Side::Challenger, ..position }
    }

    /// Both sides to the end: the leaf and its hash, or `None` when there is nothing to choose.
    fn play(said: &Board, right: &Board) -> Option<(u32, B256)> {
        let mut position = Position::opened(said.root());
        loop {
            let opening = open(said, &position).unwrap();
            position = after(position, &opening, said);
            let Choice::Child { child, hash, .. } = choose(right, &position, &opening.children).unwrap() else {
                return None;
            };
            position.level -= position.level.min(4);
            position.first += child << position.level;
            (position.node, position.turn) = (hash, Side::Operator);
            if position.level == 0 {
                return Some((position.first, hash));
            }
        }
    }

    #[test]
    fn every_single_wrong_picture_is_found() {
        for count in [1, 2, 5, 16, 17, 60, 130] {
            let right = board(count, None);
            assert_eq!(play(&right, &right), None);
            for wrong in 0..count {
                let found = play(&board(count, Some(wrong)), &right);
                assert_eq!(found, Some((wrong as u32, keccak256("wrong"))), "{wrong} of {count}");
            }
        }
    }

    #[test]
    fn a_wrong_count_is_disputed_first() {
        let (said, right) = (board(60, None), board(61, None));
        let position = Position::opened(said.root());
        let opening = open(&said, &position).unwrap();
        let position = after(position, &opening, &said);
        assert_eq!(choose(&right, &position, &opening.children), Ok(Choice::Count));
    }

    #[test]
    fn refusals() {
        let own = board(60, None);
        let position = Position::opened(own.root());
        assert_eq!(choose(&own, &position, &[]), Err(Mismatch::OtherTurn(Side::Operator)));
        let other = board(60, Some(7));
        assert_eq!(open(&other, &position), Err(Mismatch::OtherTree(own.root())));
        let opening = open(&own, &position).unwrap();
        let position = after(position, &opening, &own);
        assert_eq!(open(&own, &position), Err(Mismatch::OtherTurn(Side::Challenger)));
        let mut children = opening.children;
        children[3] = B256::ZERO;
        assert_eq!(choose(&own, &position, &children), Err(Mismatch::OtherChildren(position.node)));
        let below = Position { first: 3, level: 2, turn: Side::Operator, ..position };
        assert_eq!(open(&own, &below), Err(Mismatch::OtherTree(position.node)));
    }
}
