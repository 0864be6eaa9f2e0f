//! What is kept of a card between segments, so that the next one begins at once.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::error::Class;
use crate::nvidia::{
    Decoder, DecoderLimits, Device, EncoderSession, EncoderSettings, Encodes, NvidiaError, Scaler, VideoCodec,
};

/// Decoders and scalers that are kept: as many segments as one worker has in work.
const KEPT: usize = 16;
/// Sessions that are kept: more than any consumer driver gives.
const KEPT_SESSIONS: usize = 64;

#[derive(Default)]
pub(super) struct Warm {
    decoders: Mutex<Vec<(VideoCodec, u64, Decoder)>>,
    scalers: Mutex<Vec<Scaler>>,
    sessions: Mutex<Vec<EncoderSession>>,
    encodes: OnceLock<Vec<Encodes>>,
}

/// Says why the processors make a rung.
fn overflow(reason: &dyn std::fmt::Display) -> Option<EncoderSession> {
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
    /// A decoder at the beginning of a segment.
    pub(super) fn decoder(
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
    pub(super) fn keep_decoder(&self, codec: VideoCodec, frame_pixels: u64, decoder: Decoder) {
        keep(&self.decoders, (codec, frame_pixels, decoder), KEPT);
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
    ) -> Result<Option<EncoderSession>, NvidiaError> {
        let found = match self.encodes(device) {
            Ok(found) => found,
            Err(error) if error.class() == Class::Capacity => return Ok(overflow(&error)),
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
        if !found.iter().any(|of| fits(&of)) {
            return Ok(overflow(&"the card does not encode such pictures"));
        }
        let mut kept = locked(&self.sessions);
        let fitting = kept.iter().position(|session| session.settings().can_become(settings));
        let fitting = fitting.map(|at| kept.swap_remove(at));
        drop(kept);
        if let Some(mut session) = fitting {
            match session.reconfigure(settings) {
                Ok(()) => return Ok(Some(session)),
                // Closed before another one is opened: it may be the only one there is.
                Err(error) => {
                    tracing::debug!(reason = %error, "the driver does not reconfigure an encoder session; it is made anew");
                }
            }
        }
        loop {
            let error = match EncoderSession::open(device, settings) {
                Ok(session) => return Ok(Some(session)),
                Err(error) => error,
            };
            // One of another kind may give way.
            if error.no_more_sessions() && locked(&self.sessions).pop().is_some() {
                continue;
            }
            return match error.class() {
                Class::Capacity => Ok(overflow(&error)),
                _ => Err(error),
            };
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
    pub(super) fn keep_session(&self, session: EncoderSession) {
        keep(&self.sessions, session, KEPT_SESSIONS);
    }
}
