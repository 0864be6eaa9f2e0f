//! Parts of commitments as the step contracts open them.

use super::abi::{Frame, FrameErrorOpening, FrameOpening, FrameSums, SumNode, TileErrorOpening, TileOpening};
use crate::commit::errors::FrameNode;
use crate::commit::{Errors, Pictures};
use crate::merkle::Node;

/// A frame of a segment's pictures.
pub(super) fn frame(of: &Pictures, index: usize) -> Option<FrameOpening> {
    let (picture, planes) = (of.picture(index)?, of.plane_tops(index)?);
    let (width, height) = picture.size();
    let (chroma, bits, time) = (picture.chroma() as u8, picture.bits(), picture.time());
    let frame = Frame { width, height, chroma, bits, time, planes };
    Some(FrameOpening { index: u32::try_from(index).ok()?, count: of.count(), frame, path: of.path(index) })
}

/// A tile of a frame.
pub(super) fn tile(of: &Pictures, index: usize, plane: usize, column: usize, row: usize) -> Option<TileOpening> {
    let picture = of.picture(index)?;
    let (across, down) = picture.tiles(plane);
    let path = of.tile_path(index, plane, column, row).filter(|_| column < across && row < down)?;
    Some(TileOpening { samples: picture.tile(plane, column, row).into(), path })
}

/// A frame of a segment's errors.
pub(super) fn frame_errors(of: &Errors, index: usize) -> Option<FrameErrorOpening> {
    let planes = of.frame(index)?.tops().map(sum_node);
    let path = of.path(index).into_iter().map(frame_sums).collect();
    Some(FrameErrorOpening { index: u32::try_from(index).ok()?, count: of.count(), planes, path })
}

/// The error of a tile.
pub(super) fn tile_error(of: &Errors, frame: usize, plane: usize, tile: usize) -> Option<TileErrorOpening> {
    let frame = of.frame(frame)?;
    let path = frame.path(plane, tile)?.into_iter().map(sum_node).collect();
    Some(TileErrorOpening { value: frame.tile(plane, tile)?, path })
}

pub(super) fn frame_sums(node: FrameNode) -> FrameSums {
    FrameSums { hash: node.hash, luma: node.luma, chroma: node.chroma }
}

pub(super) fn sum_node(node: Node) -> SumNode {
    SumNode { hash: node.hash, sum: node.sum }
}
