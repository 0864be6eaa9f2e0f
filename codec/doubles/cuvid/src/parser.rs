//! The parser: finds the format of a stream and the order in which its pictures are shown, and calls back.
//!
//! It has a decoder of its own, from which it takes only the order. The pictures that a client gets are made by the decoder
//! that the client feeds.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use headframe_double_ledger::modelled;
use headframe_nv_sys::cuvid::{
    Area, Aspect, CUVIDEOFORMAT, CUVIDPARSERDISPINFO, CUVIDPARSERPARAMS, Ratio, VideoSignal, cudaVideoChromaFormat_420,
    cudaVideoCodec,
};

use crate::libav::{Libav, Look};
use crate::{LEDGER, decoder};

/// The client's three functions.
pub(crate) trait Callbacks {
    /// A format. Gives the number of surfaces, 0 for failure.
    fn sequence(&mut self, format: &mut CUVIDEOFORMAT) -> i32;
    /// A picture to be decoded: which parser it comes from, its surface, its bytes, whether decoding can begin there.
    fn decode(&mut self, parser: u64, surface: i32, unit: &[u8], key: bool, look: &Look) -> i32;
    /// A picture to be shown.
    fn display(&mut self, shown: &mut CUVIDPARSERDISPINFO) -> i32;
}

/// A callback failed.
pub(crate) struct Refused;

pub(crate) struct Parser {
    /// One for each parser.
    id: u64,
    pub(crate) parameters: CUVIDPARSERPARAMS,
    order: Libav,
    look: Option<Look>,
    surfaces: i32,
    next: i32,
    count: i64,
    /// Surfaces and times of pictures that are decoded and not shown yet, by number.
    waiting: BTreeMap<i64, (i32, i64)>,
    /// An access unit of which the client has not said that it is whole, and its time.
    held: Option<(Vec<u8>, i64)>,
}

impl Parser {
    pub(crate) fn new(parameters: CUVIDPARSERPARAMS) -> Option<Self> {
        let order = Libav::open(parameters.CodecType)?;
        static COUNT: AtomicU64 = AtomicU64::new(1);
        let id = COUNT.fetch_add(1, Ordering::Relaxed);
        let (look, waiting, held) = (None, BTreeMap::new(), None);
        Some(Self { id, parameters, order, look, surfaces: 1, next: 0, count: 0, waiting, held })
    }

    fn codec(&self) -> cudaVideoCodec {
        self.parameters.CodecType
    }

    /// One access unit. If the client does not say that it `ends` there, only the next one tells.
    pub(crate) fn unit(&mut self, unit: &[u8], time: i64, ends: bool, to: &mut impl Callbacks) -> Result<(), Refused> {
        self.release(to)?;
        match ends {
            true => self.whole(unit, time, to),
            false => {
                self.held = Some((unit.to_vec(), time));
                Ok(())
            }
        }
    }

    /// What is held is whole after all.
    fn release(&mut self, to: &mut impl Callbacks) -> Result<(), Refused> {
        self.held.take().map_or(Ok(()), |(unit, time)| self.whole(&unit, time, to))
    }

    fn whole(&mut self, unit: &[u8], time: i64, to: &mut impl Callbacks) -> Result<(), Refused> {
        let number = self.count;
        self.count += 1;
        // A modelled one knows the format when it has seen the first unit, and takes every picture to be shown when it comes.
        let modelled = modelled(&LEDGER);
        let known = self.look.filter(|_| modelled);
        let understood = known.is_some() || self.order.send(Some(unit), number);
        let shown = if modelled { vec![number] } else { self.order.shown() };
        let (before, after): (Vec<_>, Vec<_>) = shown.into_iter().partition(|shown| *shown < number);
        let look = known.or_else(|| self.order.look()).filter(|_| understood || self.look.is_some());
        if let Some(look) = look.filter(|look| self.look != Some(*look)) {
            // All of the old format is shown before the new one begins.
            self.show(&before, to)?;
            self.waiting.clear();
            self.look = Some(look);
            self.surfaces = match to.sequence(&mut format(self.codec(), &look)) {
                0 => return Err(Refused),
                // As many as the parser was made for.
                1 => i32::try_from(self.parameters.ulMaxNumDecodeSurfaces).unwrap_or(i32::MAX),
                n => n.max(1),
            };
        }
        let Some(look) = self.look else { return Ok(()) };
        if decoder::shows(self.codec(), unit) {
            let surface = self.surface();
            let key = decoder::begins(self.codec(), unit);
            if to.decode(self.id, surface, unit, key, &look) == 0 {
                return Err(Refused);
            }
            self.waiting.insert(number, (surface, time));
        }
        self.show(&before, to)?;
        self.show(&after, to)
    }

    /// The end: all that is left is shown.
    pub(crate) fn end(&mut self, to: &mut impl Callbacks) -> Result<(), Refused> {
        self.release(to)?;
        self.order.send(None, 0);
        let rest = self.order.shown();
        self.order.restart();
        let outcome = self.show(&rest, to);
        self.waiting.clear();
        // The next unit tells its format again, whether it is another or not.
        self.look = None;
        outcome
    }

    fn show(&mut self, numbers: &[i64], to: &mut impl Callbacks) -> Result<(), Refused> {
        for number in numbers {
            let Some((surface, mut timestamp)) = self.waiting.remove(number) else { continue };
            // Drivers take a time that is not the earliest of those that wait for one of decoding, and put them in order.
            if let Some((_, earliest)) = self.waiting.values_mut().min_by_key(|(_, time)| *time)
                && *earliest < timestamp
            {
                std::mem::swap(earliest, &mut timestamp);
            }
            let mut shown =
                CUVIDPARSERDISPINFO { picture_index: surface, progressive_frame: 1, timestamp, ..Default::default() };
            if to.display(&mut shown) == 0 {
                return Err(Refused);
            }
        }
        Ok(())
    }

    /// A surface that no waiting picture has; the oldest one's, if all are taken.
    fn surface(&mut self) -> i32 {
        for _ in 0..self.surfaces {
            self.next = (self.next + 1) % self.surfaces;
            if self.waiting.values().all(|(surface, _)| *surface != self.next) {
                return self.next;
            }
        }
        self.waiting.pop_first().map_or(0, |(_, (surface, _))| surface)
    }
}

fn format(codec: cudaVideoCodec, look: &Look) -> CUVIDEOFORMAT {
    let (width, height) = (look.size.0 as i32, look.size.1 as i32);
    let [color_primaries, transfer_characteristics, matrix_coefficients] = look.colour;
    let flags = if look.full_range { VideoSignal::video_full_range_flag as u8 } else { 0 };
    CUVIDEOFORMAT {
        codec,
        frame_rate: Ratio { numerator: look.rate.0, denominator: look.rate.1 },
        progressive_sequence: 1,
        bit_depth_luma_minus8: look.bits.wrapping_sub(8),
        bit_depth_chroma_minus8: look.bits.wrapping_sub(8),
        // More than any of the streams in the tests refers to.
        min_num_decode_surfaces: 18,
        coded_width: look.coded.0,
        coded_height: look.coded.1,
        display_area: Area { left: 0, top: 0, right: width, bottom: height },
        chroma_format: cudaVideoChromaFormat_420,
        display_aspect_ratio: Aspect { x: look.aspect.0, y: look.aspect.1 },
        video_signal_description: VideoSignal { flags, color_primaries, transfer_characteristics, matrix_coefficients },
        ..Default::default()
    }
}
