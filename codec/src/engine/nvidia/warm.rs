//! What is kept of a card between segments, so that the next one begins at once.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::choice::Engine;
use super::decoding::Decoding;
use super::encoding::Encoding;
use crate::error::Class;
use crate::ffi::nvidia::libav::{self, Libav, Opening};
use crate::nvidia::{
    Decoder, DecoderLimits, Device, EncoderSession, EncoderSettings, Encodes, NvidiaError, Scaler, VideoCodec,
};

/// Decoders and scalers that are kept: as many segments as one worker has in work.
const KEPT: usize = 16;
/// Sessions that are kept: more than any consumer driver gives.
const KEPT_SESSIONS: usize = 64;

#[derive(Default)]
pub(super) struct Warm {
    engine: Engine,
    /// FFmpeg's part, made when it is first needed. Of decoders and sessions it keeps none.
    libav: OnceLock<Arc<Libav>>,
    decoders: Mutex<Vec<(VideoCodec, u64, Decoder)>>,
    scalers: Mutex<Vec<Scaler>>,
    sessions: Mutex<Vec<EncoderSession>>,
    encodes: OnceLock<Vec<Encodes>>,
}

/// Says why the processors make a rung.
fn overflow(reason: &dyn std::fmt::Display) -> Option<Encoding> {
    tracing::info!(%reason, "a rung gets no encoder session: the processors make it");
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
        let found = match (self.encodes(device), self.engine) {
            (Ok(found), _) => Some(found),
            // It finds out by itself.
            (Err(_), Engine::Ffmpeg) => None,
            (Err(error), _) if error.class() == Class::Capacity => return Ok(overflow(&error)),
            (Err(error), _) => return Err(error),
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
        if found.is_some_and(|found| !found.iter().any(|of| fits(&of))) {
            return Ok(overflow(&"the card does not encode such pictures"));
        }
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

    /// What the card encodes, asked once. A session is needed to ask.
    fn encodes(&self, device: &Arc<Device>) -> Result<&[Encodes], NvidiaError> {
        if let Some(found) = self.encodes.get() {
            return Ok(found);
        }
        let found = device.encodes()?;
        Ok(self.encodes.get_or_init(|| found))
    }

    /// Keeps a session that was drained.
    pub(super) fn keep_session(&self, session: Encoding) {
        if let Encoding::Direct(session) = session {
            keep(&self.sessions, session, KEPT_SESSIONS);
        }
    }
}
