//! How coarsely a decoded H.264 picture was quantised, macroblock by macroblock: libavcodec tells it on request.

use std::ffi::c_int;
use std::mem::offset_of;

use ffmpeg_next::ffi;

use super::decoder::Decoder;
use super::picture::Picture;

/// The head of `AVVideoEncParams` (libavutil/video_enc_params.h), as far as it is read.
#[repr(C)]
struct Params {
    nb_blocks: u32,
    blocks_offset: usize,
    block_size: usize,
    kind: c_int,
    qp: i32,
}

/// `AVVideoBlockParams`.
#[repr(C)]
struct Block {
    place: [c_int; 4],
    delta_qp: i32,
}

impl Decoder {
    /// Asks for [`Picture::squared_step`] of the pictures to come.
    pub(crate) fn export_quantisers(&mut self) {
        self.0.context.get().export_side_data |= ffi::AV_CODEC_EXPORT_DATA_VIDEO_ENC_PARAMS;
    }
}

impl Picture {
    /// The mean over all macroblocks of the squared quantiser step, times 1024; `None` if the decoder does not tell.
    pub(crate) fn squared_step(&self) -> Option<u64> {
        let kind = ffi::AVFrameSideDataType::AV_FRAME_DATA_VIDEO_ENC_PARAMS;
        // SAFETY: the frame is live; the function only looks for an entry.
        let entry = unsafe { ffi::av_frame_get_side_data(self.frame.get(), kind) };
        // SAFETY: null, or an entry that the frame owns and nobody changes while `self` is borrowed.
        let entry = unsafe { entry.as_ref() }?;
        if entry.data.is_null() {
            return None;
        }
        // SAFETY: an entry's `data` has `size` readable bytes for as long as the frame lives.
        mean(unsafe { std::slice::from_raw_parts(entry.data, entry.size) })
    }
}

fn mean(bytes: &[u8]) -> Option<u64> {
    let word = |at: usize| Some(i32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let size = |at: usize| Some(usize::from_ne_bytes(bytes.get(at..at + size_of::<usize>())?.try_into().ok()?));
    let count = u32::try_from(word(offset_of!(Params, nb_blocks))?).ok()? as usize;
    let qp = word(offset_of!(Params, qp))?;
    let blocks = bytes.get(size(offset_of!(Params, blocks_offset))?..)?;
    let mut sum = 0;
    for block in blocks.chunks_exact(size(offset_of!(Params, block_size))?.max(size_of::<Block>())).take(count) {
        let delta = block.get(offset_of!(Block, delta_qp)..)?.first_chunk()?;
        sum += squared_step(qp.saturating_add(i32::from_ne_bytes(*delta)));
    }
    sum.checked_div(count as u64)
}

/// The squared quantiser step of H.264 (table 8-15 of the standard in the common form), times 1024: 0.625 to 224.
fn squared_step(qp: i32) -> u64 {
    const FIRST: [u64; 6] = [400, 484, 676, 784, 1024, 1296];
    let qp = qp.clamp(0, 51) as usize;
    FIRST[qp % 6] << (2 * (qp / 6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_double_every_six() {
        assert_eq!(squared_step(4), 1024);
        assert_eq!(squared_step(10), 4 * 1024);
        assert_eq!(squared_step(51), 224 * 224 * 1024);
        assert_eq!(squared_step(-3), squared_step(0));
    }

    #[test]
    fn short_tables_are_refused() {
        for len in [0, 4, 31, 40] {
            assert_eq!(mean(&vec![0; len]), None, "{len}");
        }
    }
}
