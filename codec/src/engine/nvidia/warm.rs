//! What is kept of a card between segments, so that the next one begins at once.

use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use super::choice::Engine;
use super::decoding::Decoding;
use super::encoding::Encoding;
use crate::error::Class;
use crate::ffi::nvidia::libav::{self, Libav, Opening};
use crate::nvidia::{
    Decoder, DecoderLimits, Device, EncoderSession, EncoderSettings, Encodes, NvidiaError, Scaler, Surface, VideoCodec,
};

/// Decoders and scalers that are kept: as many segments as one worker has in work.
const KEPT: usize = 16;
/// Sessions that are kept: more than any consumer driver gives.
const KEPT_SESSIONS: usize = 64;
/// Bytes of surfaces that are kept: those of some segments of the standard ladder.
const KEPT_SURFACES: u64 = 512 << 20;

#[derive(Default)]
pub(super) struct Warm {
    engine: Engine,
    /// FFmpeg's part, made when it is first needed. Of decoders and sessions it keeps none.
    libav: OnceLock<Arc<Libav>>,
    decoders: Mutex<Vec<(VideoCodec, u64, Decoder)>>,
    scalers: Mutex<Vec<Scaler>>,
    sessions: Mutex<Vec<EncoderSession>>,
    surfaces: Mutex<Vec<((u32, u32), Surface)>>,
    encodes: OnceLock<Vec<Encodes>>,
    /// Sessions in use.
    using: Mutex<usize>,
    returned: Condvar,
}

/// A session of [`Warm::session`] is in use until this is dropped.
pub(super) struct Using<'a>(&'a Warm);

impl Drop for Using<'_> {
    fn drop(&mut self) {
        let mut using = locked(&self.0.using);
        *using = using.saturating_sub(1);
        drop(using);
        self.0.returned.notify_all();
    }
}

/// Says why there is no session.
fn overflow(reason: &dyn std::fmt::Display) -> Option<Encoding> {
    tracing::debug!(%reason, "no encoder session for a rung");
    None
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
    pub(super) fn knowing(encodes: Option<Vec<Encodes>>) -> Self {
        Self { encodes: encodes.map(OnceLock::from).unwrap_or_default(), ..Self::default() }
    }

    pub(super) fn of(engine: Engine) -> Self {
        Self { engine, ..Self::default() }
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
            Engine::Direct => self.direct_decoder(device, opening.codec, frame_pixels).map(Decoding::Direct),
            Engine::Ffmpeg => libav::Decoder::open(self.libav(device)?, opening).map(Decoding::Ffmpeg),
        }
    }

    /// A decoder of the driver's own interface.
    pub(super) fn direct_decoder(
        &self,
        device: &Arc<Device>,
        codec: VideoCodec,
        frame_pixels: u64,
    ) -> Result<Decoder, NvidiaError> {
        let mut kept = locked(&self.decoders);
        if let Some(at) = kept.iter().rposition(|(of, pixels, _)| (*of, *pixels) == (codec, frame_pixels)) {
            let mut decoder = kept.swap_remove(at).2;
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
        keep(&self.scalers, scaler, KEPT);
    }

    /// A session that begins with these settings, or `None` with the reason in the log: the processors make that rung.
    pub(super) fn session(
        &self,
        device: &Arc<Device>,
        settings: &EncoderSettings,
    ) -> Result<Option<Encoding>, NvidiaError> {
        let opened = match self.engine {
            Engine::Direct => self.direct_session(device, settings).map(Encoding::Direct),
            Engine::Ffmpeg => libav::Session::open(self.libav(device)?, settings).map(Encoding::Ffmpeg),
        };
        match opened {
            Ok(session) => Ok(Some(session)),
            Err(error) if error.class() == Class::Capacity => Ok(overflow(&error)),
            Err(error) => Err(error),
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
        let mut kept = locked(&self.surfaces);
        if let Some(at) = kept.iter().rposition(|(of, _)| *of == size) {
            return Ok(kept.swap_remove(at).1);
        }
        match Surface::new(device, size, 8) {
            // What is kept for other sizes may be in the way.
            Err(error) if error.class() == Class::Capacity && !kept.is_empty() => {
                kept.clear();
                Surface::new(device, size, 8)
            }
            made => made,
        }
    }

    pub(super) fn keep_surface(&self, size: (u32, u32), surface: Surface) {
        let bytes = |(width, height): (u32, u32)| u64::from(width) * u64::from(height) * 3 / 2;
        let mut kept = locked(&self.surfaces);
        if kept.iter().map(|(size, _)| bytes(*size)).sum::<u64>() + bytes(size) <= KEPT_SURFACES {
            kept.push((size, surface));
        }
    }

    /// Waits for a session while others are in use that may come back. `None` where none is to be had: the reason is in the log.
    pub(super) fn wait_for_session(
        &self,
        device: &Arc<Device>,
        settings: &EncoderSettings,
        until: Instant,
    ) -> Result<Option<(Encoding, Using<'_>)>, NvidiaError> {
        // Locked while it tries, so that whoever fails knows who has one.
        let mut using = locked(&self.using);
        loop {
            if let Some(session) = self.session(device, settings)? {
                *using += 1;
                drop(using);
                return Ok(Some((session, Using(self))));
            }
            let left = until.saturating_duration_since(Instant::now());
            if *using == 0 || left.is_zero() {
                tracing::info!("a rung gets no encoder session: the processors make it");
                return Ok(None);
            }
            using = self.returned.wait_timeout(using, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Keeps a session that was drained.
    pub(super) fn keep_session(&self, session: Encoding) {
        if let Encoding::Direct(session) = session {
            keep(&self.sessions, session, KEPT_SESSIONS);
        }
    }
}
