//! Codecs as the driver numbers them.

use std::fmt;

use headframe_nv_sys::cuvid::{self, cudaVideoCodec};
use headframe_nv_sys::nvenc::{GUID, NV_ENC_CODEC_AV1_GUID, NV_ENC_CODEC_H264_GUID, NV_ENC_CODEC_HEVC_GUID};
use serde::Serialize;

use crate::ladder::Codec;
use crate::ts::VideoKind;

/// What the card's decoder may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum VideoCodec {
    /// ITU-T H.264.
    H264,
    /// ITU-T H.265.
    Hevc,
    /// VP9.
    Vp9,
    /// AV1.
    Av1,
}

impl From<VideoKind> for VideoCodec {
    fn from(kind: VideoKind) -> Self {
        match kind {
            VideoKind::H264 => Self::H264,
            VideoKind::Hevc => Self::Hevc,
            VideoKind::Av1 => Self::Av1,
            VideoKind::Vp9 => Self::Vp9,
        }
    }
}

impl VideoCodec {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::H264, Self::Hevc, Self::Vp9, Self::Av1];

    pub(super) fn id(self) -> cudaVideoCodec {
        match self {
            Self::H264 => cuvid::cudaVideoCodec_H264,
            Self::Hevc => cuvid::cudaVideoCodec_HEVC,
            Self::Vp9 => cuvid::cudaVideoCodec_VP9,
            Self::Av1 => cuvid::cudaVideoCodec_AV1,
        }
    }
}

impl fmt::Display for VideoCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::H264 => "h264",
            Self::Hevc => "hevc",
            Self::Vp9 => "vp9",
            Self::Av1 => "av1",
        })
    }
}

/// The encoder's name of a codec.
pub(super) fn guid(codec: Codec) -> GUID {
    match codec {
        Codec::H264 => NV_ENC_CODEC_H264_GUID,
        Codec::Hevc => NV_ENC_CODEC_HEVC_GUID,
        Codec::Av1 => NV_ENC_CODEC_AV1_GUID,
    }
}
