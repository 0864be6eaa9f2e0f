//! The decoder: takes access units by surface, gives pictures by surface.

use std::collections::BTreeMap;
use std::time::Instant;

use headframe_double_ledger::{Engines, takes};
use headframe_nv_sys::cuda::{self, CUresult};
use headframe_nv_sys::cuvid::{
    self, CUVIDDECODECAPS, CUVIDDECODECREATEINFO, cudaVideoChromaFormat_420, cudaVideoCodec, cudaVideoSurfaceFormat,
};

use crate::LEDGER;
use crate::libav::{Image, Libav};

fn name(codec: cudaVideoCodec) -> &'static str {
    match codec {
        cuvid::cudaVideoCodec_H264 => "h264",
        cuvid::cudaVideoCodec_HEVC => "hevc",
        cuvid::cudaVideoCodec_VP9 => "vp9",
        cuvid::cudaVideoCodec_AV1 => "av1",
        _ => "",
    }
}

/// Says what can be decoded, in the caller's structure.
pub(crate) fn capabilities(caps: &mut CUVIDDECODECAPS) {
    let name = name(caps.eCodecType);
    let told = LEDGER.value("codecs").unwrap_or_else(|| "h264,hevc,vp9,av1".into());
    // H.264 in 10 bits is for the newest cards only.
    let depth = caps.nBitDepthMinus8 == 0 || caps.nBitDepthMinus8 == 2 && name != "h264";
    let known = told.split(',').any(|codec| codec == name);
    if !known || !depth || caps.eChromaFormat != cudaVideoChromaFormat_420 {
        caps.bIsSupported = 0;
        return;
    }
    caps.bIsSupported = 1;
    caps.nNumNVDECs = LEDGER.number("decoders", 1) as u8;
    caps.nOutputFormatMask = if caps.nBitDepthMinus8 == 0 { 1 } else { 3 };
    (caps.nMaxWidth, caps.nMaxHeight) = (LEDGER.number("width", 4096) as u32, LEDGER.number("height", 4096) as u32);
    caps.nMaxMBCount = caps.nMaxWidth / 16 * caps.nMaxHeight / 16;
    (caps.nMinWidth, caps.nMinHeight) = (48, 16);
}

/// Million luma samples a second of a modelled engine: 700 pictures of 1080p.
const SPEED: u64 = 1450;

/// Memory of one mapped picture, with its pitch.
pub(crate) struct Output {
    pub(crate) address: u64,
    pub(crate) pitch: usize,
    pub(crate) mapped: bool,
}

pub(crate) struct Decoder {
    libav: Libav,
    codec: cudaVideoCodec,
    /// Which parser the pictures come from.
    parser: Option<u64>,
    pub(crate) target: (usize, usize),
    pub(crate) format: cudaVideoSurfaceFormat,
    surfaces: i64,
    /// Number of the access unit that was decoded into each surface last.
    into: BTreeMap<i32, i64>,
    images: BTreeMap<i64, Image>,
    count: i64,
    /// All was drained: the next unit must be one that decoding can begin at.
    drained: bool,
    /// When a modelled engine is done with the last picture, and with that in each surface.
    busy: Option<Instant>,
    ready: BTreeMap<i32, Instant>,
    pub(crate) outputs: Vec<Output>,
}

impl Decoder {
    /// A decoder as it was ordered, whose outputs are still to be allocated.
    pub(crate) fn new(info: &CUVIDDECODECREATEINFO) -> Result<Self, CUresult> {
        let mut caps = CUVIDDECODECAPS {
            eCodecType: info.CodecType,
            eChromaFormat: info.ChromaFormat,
            nBitDepthMinus8: info.bitDepthMinus8 as u32,
            ..Default::default()
        };
        capabilities(&mut caps);
        if caps.bIsSupported == 0 || info.ulWidth > caps.nMaxWidth.into() || info.ulHeight > caps.nMaxHeight.into() {
            return Err(cuda::CUDA_ERROR_NOT_SUPPORTED);
        }
        let area = info.display_area;
        let side = |from: i16, to: i16| u64::from((to - from).unsigned_abs()).next_multiple_of(2);
        let target = (info.ulTargetWidth, info.ulTargetHeight);
        let formats = if info.bitDepthMinus8 == 0 {
            cuvid::cudaVideoSurfaceFormat_NV12
        } else {
            cuvid::cudaVideoSurfaceFormat_P016
        };
        if target != (side(area.left, area.right), side(area.top, area.bottom)) || info.OutputFormat != formats {
            LEDGER.violation("a decoder that scales or changes the sample depth, which this double does not");
            return Err(cuda::CUDA_ERROR_INVALID_VALUE);
        }
        if !(1..=32).contains(&info.ulNumDecodeSurfaces) || !(1..=32).contains(&info.ulNumOutputSurfaces) {
            LEDGER.violation("a decoder without surfaces, or with too many");
            return Err(cuda::CUDA_ERROR_INVALID_VALUE);
        }
        Ok(Self {
            codec: info.CodecType,
            parser: None,
            libav: Libav::open(info.CodecType).ok_or(cuda::CUDA_ERROR_NOT_SUPPORTED)?,
            target: (target.0 as usize, target.1 as usize),
            format: info.OutputFormat,
            surfaces: info.ulNumDecodeSurfaces as i64,
            into: BTreeMap::new(),
            images: BTreeMap::new(),
            count: 0,
            drained: false,
            busy: None,
            ready: BTreeMap::new(),
            outputs: Vec::new(),
        })
    }

    pub(crate) fn mapped(&self) -> usize {
        self.outputs.iter().filter(|output| output.mapped).count()
    }

    /// Decodes an access unit that a parser found into a surface.
    pub(crate) fn decode(&mut self, parser: u64, surface: i32, unit: &[u8], key: bool) -> CUresult {
        if !(0..self.surfaces).contains(&surface.into()) {
            LEDGER.violation(format!("surface {surface} of a decoder that has {}", self.surfaces));
            return cuda::CUDA_ERROR_INVALID_VALUE;
        }
        if std::mem::take(&mut self.drained) && !key {
            LEDGER.violation("a picture was mapped before it was shown: what follows lacks references");
        }
        if self.parser.replace(parser).is_some_and(|before| before != parser) {
            // Another stream, whose parameters and order the library must not take from the one before.
            let Some(libav) = Libav::open(self.codec) else { return cuda::CUDA_ERROR_UNKNOWN };
            self.libav = libav;
            self.images.clear();
            self.into.clear();
        }
        let number = self.count;
        self.count += 1;
        if let Some(before) = self.into.insert(surface, number) {
            self.images.remove(&before);
        }
        self.busy = self.modelled();
        match self.busy {
            Some(ready) => {
                self.ready.insert(surface, ready);
            }
            None => {
                self.ready.clear();
                self.libav.send(Some(unit), number);
                self.collect();
            }
        }
        cuda::CUDA_SUCCESS
    }

    fn collect(&mut self) {
        let wrong = LEDGER.value("wrong").is_some_and(|told| told.split(',').any(|codec| codec == name(self.codec)));
        while let Some(mut image) = self.libav.image() {
            if let Some(first) = image.luma.first_mut().filter(|_| wrong) {
                // The lowest bit of ten, the lowest but six of eight.
                *first ^= 0x40;
            }
            if self.into.values().any(|number| *number == image.number) {
                self.images.insert(image.number, image);
            }
        }
    }

    /// When a modelled engine is done with one more picture; `None` where it is really decoded.
    fn modelled(&self) -> Option<Instant> {
        static ENGINES: Engines = Engines::new();
        let engines = LEDGER.number("decoders", 1) as usize;
        let samples = self.target.0 as u64 * self.target.1 as u64;
        takes(&LEDGER, samples, SPEED).map(|takes| ENGINES.done(engines, self.busy, takes))
    }

    /// When a modelled engine is done with the picture in a surface; `None` where it was really decoded.
    pub(crate) fn ready(&self, surface: i32) -> Option<Instant> {
        self.ready.get(&surface).copied()
    }

    /// The picture in a surface. What the library holds back comes out now: nobody may map what is not to be shown yet.
    pub(crate) fn picture(&mut self, surface: i32) -> Option<&Image> {
        let number = *self.into.get(&surface)?;
        if !self.images.contains_key(&number) {
            self.libav.send(None, 0);
            self.collect();
            self.libav.restart();
            self.drained = true;
        }
        self.images.get(&number)
    }

    /// Whether there are errors in the picture in a surface; `None` if there is none.
    pub(crate) fn damaged(&self, surface: i32) -> Option<bool> {
        if self.ready(surface).is_some() {
            return Some(false);
        }
        self.images.get(self.into.get(&surface)?).map(|image| image.damaged)
    }
}

/// Codecs whose units say by themselves whether decoding can begin there.
pub(crate) fn begins(codec: cudaVideoCodec, unit: &[u8]) -> bool {
    match codec {
        cuvid::cudaVideoCodec_H264 => nals(unit).any(|byte| byte & 0x1f == 5),
        cuvid::cudaVideoCodec_HEVC => nals(unit).any(|byte| (16..=23).contains(&(byte >> 1 & 0x3f))),
        _ => true,
    }
}

/// Whether there is a picture in a unit.
pub(crate) fn shows(codec: cudaVideoCodec, unit: &[u8]) -> bool {
    match codec {
        cuvid::cudaVideoCodec_H264 => nals(unit).any(|byte| (1..=5).contains(&(byte & 0x1f))),
        cuvid::cudaVideoCodec_HEVC => nals(unit).any(|byte| byte >> 1 & 0x3f < 32),
        _ => true,
    }
}

/// The first byte of every NAL unit.
fn nals(unit: &[u8]) -> impl Iterator<Item = u8> {
    unit.windows(4).filter(|window| window.starts_with(&[0, 0, 1])).map(|window| window[3])
}
