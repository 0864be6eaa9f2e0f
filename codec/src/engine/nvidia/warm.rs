//! What is kept of a card between segments, so that the next one begins at once.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::choice::Engine;
use super::decoding::Decoding;
use super::encoding::Encoding;
use super::lend::Wish;
use super::shelf::Shelf;
use super::turns::{Tried, Turns, Using};
use crate::error::Class;
use crate::ffi::nvidia::libav::{self, Libav, Opening};
use crate::nvidia::{
    Batcher, Decoder, DecoderLimits, Device, EncoderSession, EncoderSettings, Encodes, NvidiaError, Scaler, Surface,
    VideoCodec,
};

/// Decoders, and what scales, that are kept: as many segments as one worker has in work.
const KEPT: usize = 16;
/// As many decoders may lie about for pictures that nobody sends any more, before one of them is made anew: each has a lot of
/// memory, 60 MB for 1080p.
const IDLE_DECODERS: usize = 4;
/// Sessions that are kept, and what copies into their surfaces: more than any consumer driver gives.
const KEPT_SESSIONS: usize = 64;

#[derive(Default)]
pub(super) struct Warm {
    engine: Engine,
    /// FFmpeg's part, made when it is first needed. Of decoders and sessions it keeps none.
    libav: OnceLock<Arc<Libav>>,
    decoders: Mutex<Vec<(VideoCodec, u64, Decoder)>>,
    /// One for each kind of pictures, which all streams share. The one that was asked for last is at the end.
    batchers: Mutex<Vec<Arc<Batcher>>>,
    /// What one thread has for itself, to copy, to hash and to measure.
    scalers: Mutex<Vec<Scaler>>,
    sessions: Mutex<Vec<EncoderSession>>,
    surfaces: Mutex<Shelf<Surface>>,
    encodes: OnceLock<Vec<Encodes>>,
    /// Who waits for sessions, and how many are in use.
    turns: Turns,
}

/// Says why there is no session.
fn overflow(reason: &dyn std::fmt::Display) {
    tracing::debug!(%reason, "no encoder session for a rung");
}

fn locked<T>(kept: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

fn keep<T>(kept: &Mutex<Vec<T>>, one: T, most: usize) {
    let mut kept = locked(kept);
    if kept.len() < most {
        kept.push(one);
    }
}

impl Warm {
    /// Nothing is kept yet; what the card encodes is known already, if it is said.
    pub(super) fn new(engine: Engine, encodes: Option<Vec<Encodes>>) -> Self {
        Self { engine, encodes: encodes.map(OnceLock::from).unwrap_or_default(), ..Self::default() }
    }

    pub(super) fn engine(&self) -> Engine {
        self.engine
    }

    fn libav(&self, device: &Arc<Device>) -> Result<&Arc<Libav>, NvidiaError> {
        if let Some(libav) = self.libav.get() {
            return Ok(libav);
        }
        let libav = Arc::new(Libav::over(device)?);
        Ok(self.libav.get_or_init(|| libav))
    }

    /// A decoder at the beginning of a segment.
    pub(super) fn decoder(
        &self,
        device: &Arc<Device>,
        opening: &Opening,
        frame_pixels: u64,
    ) -> Result<Decoding, NvidiaError> {
        match self.engine {
            Engine::Direct => self.direct_decoder(device, opening, frame_pixels).map(Decoding::Direct),
            Engine::Ffmpeg => libav::Decoder::open(self.libav(device)?, opening).map(Decoding::Ffmpeg),
        }
    }

    /// A decoder of the driver's own interface.
    pub(super) fn direct_decoder(
        &self,
        device: &Arc<Device>,
        &Opening { codec, size, ten_bit }: &Opening,
        frame_pixels: u64,
    ) -> Result<Decoder, NvidiaError> {
        let mut kept = locked(&self.decoders);
        let depth = if ten_bit { 10 } else { 8 };
        let suits = |(of, pixels, _): &(_, _, Decoder)| (*of, *pixels) == (codec, frame_pixels);
        let fits = kept.iter().rposition(|one| suits(one) && one.2.is_for(size, depth));
        // Of pictures of another size the driver would make the decoder anew, and wait for the whole card before that.
        let any = || (kept.len() >= IDLE_DECODERS).then(|| kept.iter().position(suits)).flatten();
        if let Some(at) = fits.or_else(any) {
            let mut decoder = kept.remove(at).2;
            drop(kept);
            decoder.restart()?;
            return Ok(decoder);
        }
        drop(kept);
        // One picture is held at a time, while it is scaled.
        Decoder::open(device, codec, DecoderLimits { frame_pixels, pictures: 2, ..DecoderLimits::default() })
    }

    /// Keeps a decoder that was flushed.
    pub(super) fn keep_decoder(&self, codec: VideoCodec, frame_pixels: u64, decoder: Decoding) {
        if let Decoding::Direct(decoder) = decoder {
            keep(&self.decoders, (codec, frame_pixels, decoder), KEPT);
        }
    }

    pub(super) fn scaler(&self, device: &Arc<Device>) -> Result<Scaler, NvidiaError> {
        let kept = locked(&self.scalers).pop();
        kept.map_or_else(|| Scaler::open(device), Ok)
    }

    pub(super) fn keep_scaler(&self, scaler: Scaler) {
        keep(&self.scalers, scaler, KEPT_SESSIONS);
    }

    /// What scales such pictures, of all streams. Preparing one takes milliseconds; where one is freed the driver waits until the card
    /// has nothing to do at all, and other streams stand still, so those of pictures that nobody sends any more go only when
    /// there are too many.
    pub(super) fn batcher(
        &self,
        device: &Arc<Device>,
        source: ((u32, u32), u8),
        outputs: &[(u32, u32)],
    ) -> Result<Arc<Batcher>, NvidiaError> {
        let found = |kept: &mut Vec<Arc<Batcher>>| {
            let at = kept.iter().position(|batcher| batcher.is_for(source, outputs))?;
            let batcher = kept.remove(at);
            kept.push(Arc::clone(&batcher));
            Some(batcher)
        };
        if let Some(batcher) = found(&mut locked(&self.batchers)) {
            return Ok(batcher);
        }
        // Streams of other pictures go on meanwhile.
        let made = Arc::new(Batcher::open(device, source, outputs)?);
        let mut kept = locked(&self.batchers);
        // Another stream of such pictures may have been faster.
        let batcher = found(&mut kept).unwrap_or_else(|| {
            kept.push(Arc::clone(&made));
            made
        });
        let mut unused = Vec::new();
        while kept.len() > KEPT
            && let Some(at) = kept.iter().position(|one| Arc::strong_count(one) == 1)
        {
            unused.push(kept.remove(at));
        }
        drop(kept);
        drop(unused);
        Ok(batcher)
    }

    /// A session that begins with these settings, or `None` with the reason in the log: the processors make that rung.
    pub(super) fn session(
        &self,
        device: &Arc<Device>,
        settings: &EncoderSettings,
    ) -> Result<Option<Encoding>, NvidiaError> {
        match self.open_session(device, settings) {
            Ok(session) => Ok(Some(session)),
            Err(error) if error.class() == Class::Capacity => {
                overflow(&error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn open_session(&self, device: &Arc<Device>, settings: &EncoderSettings) -> Result<Encoding, NvidiaError> {
        match self.engine {
            Engine::Direct => self.direct_session(device, settings).map(Encoding::Direct),
            Engine::Ffmpeg => libav::Session::open(self.libav(device)?, settings).map(Encoding::Ffmpeg),
        }
    }

    fn direct_session(&self, device: &Arc<Device>, settings: &EncoderSettings) -> Result<EncoderSession, NvidiaError> {
        let mut kept = locked(&self.sessions);
        let fitting = kept.iter().position(|session| session.settings().can_become(settings));
        let fitting = fitting.map(|at| kept.swap_remove(at));
        drop(kept);
        if let Some(mut session) = fitting {
            match session.reconfigure(settings) {
                Ok(()) => return Ok(session),
                // Closed before another one is opened: it may be the only one there is.
                Err(error) => {
                    tracing::debug!(reason = %error, "the driver does not reconfigure an encoder session; it is made anew");
                }
            }
        }
        loop {
            match EncoderSession::open(device, settings) {
                // One of another kind may give way.
                Err(error) if error.no_more_sessions() && locked(&self.sessions).pop().is_some() => {}
                outcome => return outcome,
            }
        }
    }

    /// Whether the card encodes such pictures; the reason is in the log if it does not.
    pub(super) fn encodes(&self, device: &Arc<Device>, settings: &EncoderSettings) -> Result<bool, NvidiaError> {
        let found = match self.found(device) {
            Ok(found) => found,
            // Whether it could is known when a session is to be had; FFmpeg finds out by itself.
            Err(error) if error.no_more_sessions() || self.engine == Engine::Ffmpeg => return Ok(true),
            Err(error) if error.class() == Class::Capacity => {
                overflow(&error);
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        let fits = |of: &&Encodes| {
            let side = |side, least, most| (least..=most).contains(&side);
            let ((width, height), most) = (settings.size, settings.max_size);
            of.codec == settings.codec
                && side(width, of.min.0, of.max.0)
                && side(height, of.min.1, of.max.1)
                && most.0 <= of.max.0
                && most.1 <= of.max.1
        };
        let fits = found.iter().any(|of| fits(&of));
        if !fits {
            overflow(&"the card does not encode such pictures");
        }
        Ok(fits)
    }

    /// What the card encodes, asked once. A session is needed to ask.
    fn found(&self, device: &Arc<Device>) -> Result<&[Encodes], NvidiaError> {
        if let Some(found) = self.encodes.get() {
            return Ok(found);
        }
        let found = device.encodes()?;
        Ok(self.encodes.get_or_init(|| found))
    }

    /// Memory for a picture of this size.
    pub(super) fn surface(&self, device: &Arc<Device>, size: (u32, u32)) -> Result<Surface, NvidiaError> {
        if let Some(kept) = locked(&self.surfaces).take(size) {
            return Ok(kept);
        }
        match Surface::new(device, size, 8) {
            // What is kept for other sizes may be in the way.
            Err(error) if error.class() == Class::Capacity => {
                let kept = locked(&self.surfaces).clear();
                if kept.is_empty() {
                    return Err(error);
                }
                drop(kept);
                Surface::new(device, size, 8)
            }
            made => made,
        }
    }

    pub(super) fn keep_surface(&self, size: (u32, u32), surface: Surface) {
        let gone = locked(&self.surfaces).keep(size, surface.bytes(), surface);
        drop(gone);
    }

    /// Frees what is kept for segments to come and not in use: the card has too little memory for one that is here.
    pub(super) fn make_room(&self) {
        // Dropped where nothing is locked: the driver waits for the card then.
        let decoders = std::mem::take(&mut *locked(&self.decoders));
        let sessions = std::mem::take(&mut *locked(&self.sessions));
        let surfaces = locked(&self.surfaces).clear();
        let (decoders, sessions, surfaces) = (decoders.len(), sessions.len(), surfaces.len());
        tracing::info!(
            decoders,
            sessions,
            surfaces,
            "the card has too little memory: what was kept for later is freed"
        );
    }

    /// Waits for a session while others are in use that may come back. `None` where none is to be had: the reason is in the log.
    pub(super) fn wait_for_session(
        &self,
        device: &Arc<Device>,
        wish: &Wish,
    ) -> Result<Option<(Encoding, Using<'_>)>, NvidiaError> {
        let found =
            self.turns.wait(wish.until, wish.patience(), || match self.open_session(device, &wish.settings) {
                Ok(session) => Ok(Tried::Got(session)),
                Err(error) if error.no_more_sessions() => Ok(Tried::Full),
                // What the card cannot do, or has no memory for, does not change with sessions.
                Err(error) if error.class() == Class::Capacity => {
                    overflow(&error);
                    Ok(Tried::Never)
                }
                Err(error) => Err(error),
            })?;
        if found.is_none() {
            tracing::info!("a rung gets no encoder session: the processors make it");
        }
        Ok(found)
    }

    /// Keeps a session that was drained.
    pub(super) fn keep_session(&self, session: Encoding) {
        if let Encoding::Direct(session) = session {
            keep(&self.sessions, session, KEPT_SESSIONS);
        }
    }
}
