//! What can go wrong with a segment, one error per public operation, and whose turn it is then.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::worker::Death;

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The segment is at fault: no machine will do better. Give up this segment.
    Input,
    /// Something broke that may well work next time. Retry.
    Transient,
    /// This machine is too busy, or what is asked more than it can. Send it elsewhere.
    Capacity,
    /// This machine's codec does not work. Send everything elsewhere.
    Device,
}

impl Class {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Input, Self::Transient, Self::Capacity, Self::Device];

    /// A short constant name, fit for a metric's label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Transient => "transient",
            Self::Capacity => "capacity",
            Self::Device => "device",
        }
    }
}

/// Why the engine could not transcode a segment.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EngineError {
    /// Nothing was given.
    #[error("the segment has no bytes")]
    Empty,
    /// Larger than this worker takes.
    #[error("the segment has {bytes} bytes, the limit is {limit}")]
    InputBytes {
        /// Bytes given.
        bytes: u64,
        /// [`crate::Limits::input_bytes`].
        limit: u64,
    },
    /// No program could be found.
    #[error("no usable MPEG-TS programme: {missing} is missing or damaged; send MPEG-TS that begins with PAT and PMT")]
    NotTransportStream {
        /// What was looked for.
        missing: String,
    },
    /// MP4 that makes no sense, or is not what a segment has to be.
    #[error("the MP4 file cannot be read: {what}; send fragmented MP4 that begins with its initialisation segment")]
    Mp4 {
        /// What is wrong.
        what: String,
    },
    /// There is sound and no picture.
    #[error("the segment has audio only; a ladder needs video: H.264 or HEVC, in MP4 also AV1 or VP9")]
    AudioOnly,
    /// Neither video nor audio that we know.
    #[error("the segment has no video that is read (found: {found}); send H.264 or HEVC, in MP4 also AV1 or VP9")]
    NoVideo {
        /// Stream types of the programme map, hexadecimal, those of other video with their names. Of MP4, names of sample
        /// entries.
        found: String,
    },
    /// Another video codec takes over on the way.
    #[error("the video changes from {from} to {to} within the segment; begin a new segment where it changes")]
    VideoChanges {
        /// What it is at first.
        from: String,
        /// What it becomes.
        to: String,
    },
    /// The video is encrypted.
    #[error("the video is scrambled; send it in the clear, without conditional access")]
    Scrambled,
    /// Sound that can be neither passed through nor decoded.
    #[error("audio of stream type {stream_type:#04x} is not supported; send AAC, MPEG audio, AC-3 or Opus")]
    UnsupportedAudio {
        /// From the programme map.
        stream_type: u8,
    },
    /// Pictures larger than this worker takes.
    #[error("pictures of {width}x{height} exceed the limit of {limit} samples")]
    FramePixels {
        /// Luma samples per row.
        width: u32,
        /// Rows.
        height: u32,
        /// [`crate::Limits::frame_pixels`].
        limit: u64,
    },
    /// Pictures in a format the scaler does not read.
    #[error("pictures in format {format} are not supported; send 8- or 10-bit 4:2:0, 4:2:2 or 4:4:4")]
    PixelFormat {
        /// FFmpeg's name or number of it.
        format: String,
    },
    /// More pictures than allowed.
    #[error("more than {limit} pictures in one segment; send shorter segments")]
    Frames {
        /// [`crate::Limits::frames`].
        limit: u32,
    },
    /// More work than allowed.
    #[error("the segment and its renditions exceed {limit} samples; send shorter segments or a smaller ladder")]
    Pixels {
        /// [`crate::Limits::pixels`].
        limit: u64,
    },
    /// More output than allowed.
    #[error("the renditions exceed {limit} bytes; lower the ladder's bit rates")]
    OutputBytes {
        /// [`crate::Limits::output_bytes`].
        limit: u64,
    },
    /// Nothing could be decoded.
    #[error("no picture could be decoded from {units} access units; a segment must begin with an IDR picture")]
    NoFrames {
        /// Access units found.
        units: u32,
    },
    /// Source and rendition sizes are too far apart.
    #[error("{reason}")]
    Scale {
        /// What the scaler says.
        reason: String,
    },
    /// It took too long.
    #[error("not done within {limit_ms} ms")]
    Wall {
        /// [`crate::Limits::wall`], milliseconds.
        limit_ms: u64,
    },
    /// No memory was to be had.
    #[error("{what}: out of memory; raise the worker's memory limit or send smaller pictures")]
    Memory {
        /// What was being done.
        what: String,
    },
    /// The ladder's encoders could take more memory than a worker has.
    #[error(
        "the ladder takes up to {need_mib} MiB of address space, a worker has {limit_mib}; order fewer or smaller \
        renditions, or h264"
    )]
    LadderMemory {
        /// What it takes at most, MiB.
        need_mib: u64,
        /// [`crate::Limits::memory_bytes`], MiB.
        limit_mib: u64,
    },
    /// This build of FFmpeg lacks an encoder.
    #[error(
        "this machine's FFmpeg has no encoder {encoder}; install a build that has it (Debian's has), or order a codec that \
        `headframe-codec codecs` lists"
    )]
    NoEncoder {
        /// FFmpeg's name of it.
        encoder: String,
    },
    /// A codec library refused.
    #[error("{what}: {reason} (code {code})")]
    Codec {
        /// What was being done.
        what: String,
        /// The library's code.
        code: i32,
        /// The library's words.
        reason: String,
    },
    /// A graphics card failed, or cannot do it.
    #[error("graphics card: {reason}")]
    Card {
        /// What to do about it.
        class: Class,
        /// What the driver says.
        reason: String,
    },
}

impl EngineError {
    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::Empty
            | Self::NotTransportStream { .. }
            | Self::Mp4 { .. }
            | Self::AudioOnly
            | Self::NoVideo { .. }
            | Self::VideoChanges { .. }
            | Self::Scrambled
            | Self::UnsupportedAudio { .. }
            | Self::PixelFormat { .. }
            | Self::NoFrames { .. }
            | Self::Scale { .. }
            | Self::InputBytes { .. }
            | Self::FramePixels { .. }
            | Self::Frames { .. }
            | Self::Pixels { .. }
            | Self::OutputBytes { .. } => Class::Input,
            Self::Wall { .. } | Self::Memory { .. } | Self::LadderMemory { .. } | Self::NoEncoder { .. } => {
                Class::Capacity
            }
            Self::Codec { .. } => Class::Device,
            Self::Card { class, .. } => *class,
        }
    }
}

/// Why a pool could not transcode a segment.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TranscodeError {
    /// The engine said no.
    #[error("segment {number} of stream {stream}: {source}")]
    Engine {
        /// The stream.
        stream: String,
        /// The segment.
        number: u64,
        /// The engine's reason.
        source: EngineError,
    },
    /// Its content killed two workers and is not tried again.
    #[error("segment {number} of stream {stream}: content {hash} killed two workers and is quarantined")]
    Quarantined {
        /// The stream.
        stream: String,
        /// The segment.
        number: u64,
        /// SHA-256 of the bytes, hexadecimal.
        hash: String,
    },
    /// The worker died, and so did the one that retried.
    #[error("segment {number} of stream {stream}: the codec worker died ({death}), last words: {last_words}")]
    WorkerDied {
        /// The stream.
        stream: String,
        /// The segment.
        number: u64,
        /// How it died.
        death: Death,
        /// The last lines of its standard error.
        last_words: String,
    },
    /// The caller's time is over.
    #[error("segment {number} of stream {stream}: not done within {deadline_ms} ms ({stage})")]
    Deadline {
        /// The stream.
        stream: String,
        /// The segment.
        number: u64,
        /// Time given, milliseconds.
        deadline_ms: u64,
        /// What it was waiting for.
        stage: &'static str,
    },
    /// No worker can be started at all.
    #[error("segment {number} of stream {stream}: no codec worker runs: {reason}")]
    NoWorker {
        /// The stream.
        stream: String,
        /// The segment.
        number: u64,
        /// Why the last start failed.
        reason: String,
    },
    /// The pool is being stopped.
    #[error("segment {number} of stream {stream}: the codec pool is shutting down")]
    ShuttingDown {
        /// The stream.
        stream: String,
        /// The segment.
        number: u64,
    },
    /// The segment could not be handed over.
    #[error("segment {number} of stream {stream}: cannot hand it to a worker: {reason}")]
    HandOver {
        /// The stream.
        stream: String,
        /// The segment.
        number: u64,
        /// What the system says.
        reason: String,
    },
}

impl TranscodeError {
    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::Engine { source, .. } => source.class(),
            Self::Quarantined { .. } => Class::Input,
            Self::WorkerDied { .. } | Self::ShuttingDown { .. } => Class::Transient,
            Self::Deadline { .. } => Class::Capacity,
            Self::NoWorker { .. } | Self::HandOver { .. } => Class::Device,
        }
    }
}
