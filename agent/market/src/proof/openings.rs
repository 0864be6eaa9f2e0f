//! Parts of commitments as the step contracts open them.

use super::abi::{Frame, FrameErrorOpening, FrameOpening, FrameSums, SumNode, TileErrorOpening, TileOpening};
use crate::commit::errors::{self, FrameNode};
use crate::commit::{Errors, Hash, Pictures};
use crate::merkle::Node;
use alloy_primitives::B256;

/// A frame of a segment's pictures.
pub(super) fn frame(of: &Pictures, index: usize) -> Option<FrameOpening> {
    let (picture, planes) = (of.picture(index)?, of.plane_tops(index)?);
    let (width, height) = picture.size();
    let (chroma, bits, time) = (picture.chroma() as u8, picture.bits(), picture.time());
    let frame = Frame { width, height, chroma, bits, time, planes: planes.map(B256::from) };
    Some(FrameOpening { index: u32::try_from(index).ok()?, count: of.count(), frame, path: words(of.path(index)) })
}

/// A tile of a frame.
pub(super) fn tile(of: &Pictures, index: usize, plane: usize, column: usize, row: usize) -> Option<TileOpening> {
    let picture = of.picture(index)?;
    let (across, down) = picture.tiles(plane);
    let path = of.tile_path(index, plane, column, row).filter(|_| column < across && row < down)?;
    Some(TileOpening { samples: picture.tile(plane, column, row).into(), path: words(path) })
}

/// A frame of a segment's errors.
pub(super) fn frame_errors(of: &Errors, index: usize) -> Option<FrameErrorOpening> {
    let planes = of.frame(index)?.tops().map(sum_of_tiles);
    let path = of.path(index).into_iter().map(frame_sums).collect();
    Some(FrameErrorOpening { index: u32::try_from(index).ok()?, count: of.count(), planes, path })
}

/// The error of a tile.
pub(super) fn tile_error(of: &Errors, frame: usize, plane: usize, tile: usize) -> Option<TileErrorOpening> {
    let frame = of.frame(frame)?;
    let path = frame.path(plane, tile)?.into_iter().map(sum_of_tiles).collect();
    Some(TileErrorOpening { value: frame.tile(plane, tile)?, path })
}

pub(super) fn frame_sums(node: FrameNode) -> FrameSums {
    FrameSums { hash: node.hash.into(), luma: node.luma, chroma: node.chroma }
}

fn sum_of_tiles(node: errors::SumNode) -> SumNode {
    SumNode { hash: node.hash.into(), sum: node.sum }
}

/// Hashes as the contracts have them.
pub(super) fn words(hashes: Vec<Hash>) -> Vec<B256> {
    hashes.into_iter().map(B256::from).collect()
}

pub(super) fn sum_node(node: Node) -> SumNode {
    SumNode { hash: node.hash, sum: node.sum }
}
