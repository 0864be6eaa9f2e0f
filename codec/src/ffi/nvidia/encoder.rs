//! An encoder session: surfaces to be filled, encoded pictures in the order in which they were filled.
//!
//! The session owns its input surfaces and their registrations. A picture that waits until there is a session is copied into
//! one, on the card; one that need not wait can be scaled straight into it. It belongs to one thread at a time. Taking an output waits for the card; with several surfaces in flight the
//! card is busy meanwhile.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use headframe_nv_sys::cuda::CUdeviceptr;
use headframe_nv_sys::nvenc::{self, Handle};
use headframe_nv_sys::version::Structure;

use super::device::{Device, Planes, Surface};
use super::failure::NvidiaError;
use super::session::{Session, encoding};
use super::settings::EncoderSettings;

/// A picture in and its bytes out.
struct Slot {
    surface: Surface,
    registered: Handle,
    mapped: Handle,
    bitstream: Handle,
}

// SAFETY: handles of the session, used and given back with it.
unsafe impl Send for Slot {}

/// An encoded picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedPicture {
    /// The time given to it.
    pub time: i64,
    /// Decoding can begin here.
    pub key: bool,
    /// An access unit in Annex B form, or the units of AV1.
    pub data: Vec<u8>,
}

/// A session of the driver that makes nothing yet. It is one of those that the system has, until it is dropped.
pub struct IdleSession(Session);

impl IdleSession {
    /// Opens one. [`NvidiaError::no_more_sessions`] says whether it failed because the system has no more of them.
    pub fn open(device: &Arc<Device>) -> Result<Self, NvidiaError> {
        Session::open(device).map(Self)
    }
}

/// An encoder session of a card. It takes one of the sessions that the system has, until it is dropped.
pub struct EncoderSession {
    settings: EncoderSettings,
    /// Declared, and so dropped, before the memory that it reads from.
    session: Session,
    slots: Vec<Slot>,
    /// The surface that was handed out to be filled.
    filling: Option<usize>,
    free: VecDeque<usize>,
    /// Encoded or being encoded, in order, with their times.
    sent: VecDeque<(usize, i64)>,
    /// How many of those, from the front, need no more input to be finished.
    due: usize,
    /// Pictures since the session was opened or changed.
    count: u32,
    broken: bool,
}

impl EncoderSession {
    /// Surfaces beside those for looking ahead: one being filled, one encoded, one read, one to spare.
    const SURFACES: usize = 4;
    /// Tries while the encoder is busy, a millisecond apart.
    const PATIENCE: u32 = 50;
    /// No picture has more bytes than this.
    const MAX_PICTURE_BYTES: u32 = 64 << 20;

    /// Opens a session. Error 10 (class capacity) here means that the system has no more of them.
    pub fn open(device: &Arc<Device>, settings: &EncoderSettings) -> Result<Self, NvidiaError> {
        settings.check(encoding(device.driver())?.api)?;
        Self::begin(IdleSession::open(device)?, settings)
    }

    /// Makes something of a session; where that fails it is closed.
    pub fn begin(IdleSession(session): IdleSession, settings: &EncoderSettings) -> Result<Self, NvidiaError> {
        settings.check(session.encoding()?.api)?;
        let device = &Arc::clone(&session.device);
        let mut it = Self {
            settings: *settings,
            session,
            slots: Vec::new(),
            filling: None,
            free: VecDeque::new(),
            sent: VecDeque::new(),
            due: 0,
            count: 0,
            broken: false,
        };
        it.initialize()?;
        for i in 0..Self::SURFACES + usize::from(settings.lookahead) {
            let surface = Surface::new(device, settings.max_size, settings.bit_depth)?;
            it.slots.push(Slot { surface, registered: None, mapped: None, bitstream: None });
            it.create_bitstream(i)?;
            it.register(i)?;
            it.free.push_back(i);
        }
        Ok(it)
    }

    /// What it makes now.
    pub fn settings(&self) -> &EncoderSettings {
        &self.settings
    }

    fn initialize(&mut self) -> Result<(), NvidiaError> {
        let _current = self.session.device.current()?;
        let mut config = self.session.config(&self.settings)?;
        let encoding = self.session.encoding()?;
        let mut parameters = self.settings.initialize(encoding.api);
        parameters.it.encodeConfig = Some((&mut config).into());
        // SAFETY: a live session; structures as this API has them, larger where another API's are; the configuration
        // outlives the call.
        let status = unsafe { (encoding.functions.initialize)(self.session.handle, &mut parameters.it) };
        self.session.check("nvEncInitializeEncoder", status)
    }

    fn create_bitstream(&mut self, i: usize) -> Result<(), NvidiaError> {
        let encoding = self.session.encoding()?;
        let version = encoding.api.of(Structure::Bitstream);
        let mut buffer = nvenc::NV_ENC_CREATE_BITSTREAM_BUFFER { version, ..Default::default() };
        let _current = self.session.device.current()?;
        // SAFETY: a live, initialised session; writes a handle.
        let status = unsafe { (encoding.functions.create_bitstream)(self.session.handle, &mut buffer) };
        self.session.check("nvEncCreateBitstreamBuffer", status)?;
        self.slots[i].bitstream = buffer.bitstreamBuffer;
        Ok(())
    }

    fn register(&mut self, i: usize) -> Result<(), NvidiaError> {
        let encoding = self.session.encoding()?;
        let (width, height) = self.settings.size;
        let planes = self.slots[i].surface.planes(self.settings.size);
        let address: CUdeviceptr = self.slots[i].surface.address();
        let mut resource = nvenc::NV_ENC_REGISTER_RESOURCE {
            version: encoding.api.of(Structure::Register),
            resourceType: nvenc::NV_ENC_INPUT_RESOURCE_TYPE_CUDADEVICEPTR,
            width,
            height,
            pitch: u32::try_from(planes.pitch()).unwrap_or(u32::MAX),
            resourceToRegister: address,
            bufferFormat: self.format(),
            bufferUsage: nvenc::NV_ENC_INPUT_IMAGE,
            ..Default::default()
        };
        let _current = self.session.device.current()?;
        // SAFETY: a live session; the memory is the slot's and large enough for this size, which never exceeds the largest;
        // it is unregistered before the memory is freed.
        let status = unsafe { (encoding.functions.register)(self.session.handle, &mut resource) };
        self.session.check("nvEncRegisterResource", status)?;
        self.slots[i].registered = resource.registeredResource;
        Ok(())
    }

    fn unregister(&mut self, i: usize) -> Result<(), NvidiaError> {
        let Some(registered) = self.slots[i].registered.take() else { return Ok(()) };
        let encoding = self.session.encoding()?;
        // Given back also where the card is lost and no context can be made current.
        let _current = self.session.device.current();
        // SAFETY: registered with this session, not mapped, given back once.
        let status = unsafe { (encoding.functions.unregister)(self.session.handle, Some(registered)) };
        self.session.check("nvEncUnregisterResource", status)
    }

    fn unmap(&mut self, i: usize) -> Result<(), NvidiaError> {
        let Some(mapped) = self.slots[i].mapped.take() else { return Ok(()) };
        let encoding = self.session.encoding()?;
        // SAFETY: mapped by this session, and nothing encodes from it any more; given back once.
        let status = unsafe { (encoding.functions.unmap)(self.session.handle, Some(mapped)) };
        self.session.check("nvEncUnmapInputResource", status)
    }

    fn format(&self) -> nvenc::NV_ENC_BUFFER_FORMAT {
        match self.settings.bit_depth {
            10 => nvenc::NV_ENC_BUFFER_FORMAT_YUV420_10BIT,
            _ => nvenc::NV_ENC_BUFFER_FORMAT_NV12,
        }
    }

    fn whole(&self) -> Result<(), NvidiaError> {
        if self.broken { Err(NvidiaError::Broken { what: "encoder session" }) } else { Ok(()) }
    }

    /// Runs a step that leaves nothing to go on with when it fails.
    fn or_break<T>(&mut self, step: impl FnOnce(&mut Self) -> Result<T, NvidiaError>) -> Result<T, NvidiaError> {
        self.whole()?;
        step(self).inspect_err(|_| self.broken = true)
    }

    /// Whether [`Self::input`] has a surface to give.
    pub fn has_room(&self) -> bool {
        self.filling.is_some() || !self.free.is_empty()
    }

    /// The surface to fill next; the same one until it is encoded. Whoever writes it must have finished before
    /// [`Self::encode`] is called. Full (class capacity) when all are in flight: take outputs first.
    pub fn input(&mut self) -> Result<Planes<'_>, NvidiaError> {
        self.whole()?;
        let full = NvidiaError::Full { what: "surfaces of the encoder session", limit: self.slots.len() };
        let i = match self.filling {
            Some(i) => i,
            None => self.free.pop_front().ok_or(full)?,
        };
        self.filling = Some(i);
        Ok(self.slots[i].surface.planes(self.settings.size))
    }

    /// Encodes the surface that was filled last, as an IDR picture or whatever the encoder likes. The first picture of a
    /// session is always an IDR picture. When the encoder stays busy (class transient) the surface stays filled: try again.
    pub fn encode(&mut self, time: i64, key: bool) -> Result<(), NvidiaError> {
        self.whole()?;
        let Some(i) = self.filling else {
            return Err(NvidiaError::Unsupported { what: "no surface was filled before it was to be encoded".into() });
        };
        let device = Arc::clone(&self.session.device);
        let _current = device.current()?;
        self.or_break(|it| it.map(i))?;
        match self.send(i, time, key || self.count == 0) {
            Ok(complete) => {
                self.filling = None;
                self.count = self.count.wrapping_add(1);
                self.sent.push_back((i, time));
                if complete {
                    // The last ones still wait for those that come after them.
                    self.due = self.sent.len().saturating_sub(usize::from(self.settings.lookahead));
                }
                Ok(())
            }
            Err(error) => {
                let unmapped = self.unmap(i);
                self.broken |= unmapped.is_err() || error.class() != crate::error::Class::Transient;
                Err(error)
            }
        }
    }

    fn map(&mut self, i: usize) -> Result<(), NvidiaError> {
        let encoding = self.session.encoding()?;
        let mut map = nvenc::NV_ENC_MAP_INPUT_RESOURCE {
            version: encoding.api.of(Structure::Map),
            registeredResource: self.slots[i].registered,
            ..Default::default()
        };
        // SAFETY: a live session, a resource registered with it and not mapped; writes a handle.
        let status = unsafe { (encoding.functions.map)(self.session.handle, &mut map) };
        self.session.check("nvEncMapInputResource", status)?;
        self.slots[i].mapped = map.mappedResource;
        Ok(())
    }

    /// Whether the encoder has begun with it; otherwise it wants more pictures first.
    fn send(&mut self, i: usize, time: i64, key: bool) -> Result<bool, NvidiaError> {
        let encoding = self.session.encoding()?;
        let slot = &self.slots[i];
        let mut picture = nvenc::NV_ENC_PIC_PARAMS {
            version: encoding.api.of(Structure::Picture),
            inputWidth: self.settings.size.0,
            inputHeight: self.settings.size.1,
            inputPitch: u32::try_from(slot.surface.planes(self.settings.size).pitch()).unwrap_or(u32::MAX),
            encodePicFlags: if key {
                nvenc::NV_ENC_PIC_FLAG_FORCEIDR | nvenc::NV_ENC_PIC_FLAG_OUTPUT_SPSPPS
            } else {
                0
            },
            frameIdx: self.count,
            inputTimeStamp: time.cast_unsigned(),
            inputBuffer: slot.mapped,
            outputBitstream: slot.bitstream,
            bufferFmt: self.format(),
            pictureStruct: nvenc::NV_ENC_PIC_STRUCT_FRAME,
            ..Default::default()
        };
        let mut tries = 0;
        loop {
            // SAFETY: a live, initialised session; input mapped and output created by it, neither in use by another picture:
            // the slot is not among the sent ones.
            let status = unsafe { (encoding.functions.encode)(self.session.handle, &mut picture) };
            match status {
                nvenc::NV_ENC_ERR_NEED_MORE_INPUT => return Ok(false),
                nvenc::NV_ENC_ERR_ENCODER_BUSY if tries < Self::PATIENCE => {
                    tries += 1;
                    std::thread::sleep(Duration::from_millis(1));
                }
                status => return self.session.check("nvEncEncodePicture", status).map(|()| true),
            }
        }
    }

    /// Encoded or being encoded, and not taken yet.
    pub fn in_flight(&self) -> usize {
        self.sent.len()
    }

    /// Takes the next encoded picture, waiting for the card. `None` when the encoder wants more pictures first.
    pub fn output(&mut self) -> Result<Option<EncodedPicture>, NvidiaError> {
        self.whole()?;
        if self.due == 0 {
            return Ok(None);
        }
        self.or_break(|it| {
            let device = Arc::clone(&it.session.device);
            let _current = device.current()?;
            let Some(&(i, time)) = it.sent.front() else { return Ok(None) };
            let picture = it.take(i, time)?;
            it.due -= 1;
            it.unmap(i)?;
            it.free.push_back(i);
            Ok(Some(picture))
        })
    }

    /// Waits for the picture of a slot, the first one sent, and copies it.
    fn take(&mut self, i: usize, time: i64) -> Result<EncodedPicture, NvidiaError> {
        let call = "nvEncLockBitstream";
        let encoding = self.session.encoding()?;
        let bitstream = self.slots[i].bitstream;
        let version = encoding.api.of(Structure::Lock);
        let mut lock = nvenc::NV_ENC_LOCK_BITSTREAM { version, outputBitstream: bitstream, ..Default::default() };
        // SAFETY: a live session, a buffer of it that a picture was sent for; waits, then writes where the bytes are.
        let status = unsafe { (encoding.functions.lock)(self.session.handle, &mut lock) };
        self.session.check(call, status)?;
        self.sent.pop_front();
        let read = match (lock.bitstreamBufferPtr, lock.bitstreamSizeInBytes) {
            (_, size) if size > Self::MAX_PICTURE_BYTES => Err("more bytes than a picture can have"),
            (None, _) => Err("no bytes"),
            // SAFETY: the driver has `size` readable bytes there until the buffer is unlocked.
            (Some(at), size) => Ok(unsafe { std::slice::from_raw_parts(at.as_ptr(), size as usize) }.to_vec()),
        };
        // SAFETY: locked just now, unlocked once; the bytes were copied.
        let status = unsafe { (encoding.functions.unlock)(self.session.handle, bitstream) };
        self.session.check("nvEncUnlockBitstream", status)?;
        let data = read.map_err(|what| NvidiaError::Nonsense { call, what })?;
        let link = &self.session.device.link;
        link.carry(&link.to_host, data.len());
        if lock.outputTimeStamp != time.cast_unsigned() {
            return Err(NvidiaError::Nonsense { call, what: "another picture than the next" });
        }
        Ok(EncodedPicture { time, key: lock.pictureType == nvenc::NV_ENC_PIC_TYPE_IDR, data })
    }

    /// Tells the encoder that no more pictures come, and takes all that are left. Afterwards [`Self::reconfigure`] begins
    /// anew, also with the same settings.
    pub fn drain(&mut self) -> Result<Vec<EncodedPicture>, NvidiaError> {
        self.or_break(|it| {
            let device = Arc::clone(&it.session.device);
            let _current = device.current()?;
            it.end()
        })?;
        let mut rest = Vec::with_capacity(self.sent.len());
        while let Some(picture) = self.output()? {
            rest.push(picture);
        }
        Ok(rest)
    }

    /// The end of the stream: all that was sent comes out now.
    fn end(&mut self) -> Result<(), NvidiaError> {
        let encoding = self.session.encoding()?;
        let version = encoding.api.of(Structure::Picture);
        let mut picture =
            nvenc::NV_ENC_PIC_PARAMS { version, encodePicFlags: nvenc::NV_ENC_PIC_FLAG_EOS, ..Default::default() };
        // SAFETY: a live, initialised session; with this flag nothing else is read.
        let status = unsafe { (encoding.functions.encode)(self.session.handle, &mut picture) };
        self.session.check("nvEncEncodePicture", status)?;
        self.due = self.sent.len();
        Ok(())
    }

    /// Goes on as a new session would with these settings, of which [`EncoderSettings::can_become`] says whether they can
    /// follow. The session must have been drained. If the driver refuses (class capacity or device), drop this session and
    /// open another: it is broken.
    pub fn reconfigure(&mut self, settings: &EncoderSettings) -> Result<(), NvidiaError> {
        self.whole()?;
        let api = self.session.encoding()?.api;
        settings.check(api)?;
        if !self.settings.can_become(settings) || !self.sent.is_empty() || self.filling.is_some() {
            let what = "a session goes on with another size and rate only, and only when it is drained".into();
            return Err(NvidiaError::Unsupported { what });
        }
        self.or_break(|it| {
            let device = Arc::clone(&it.session.device);
            let _current = device.current()?;
            let resized = settings.size != it.settings.size;
            it.settings = *settings;
            let mut config = it.session.config(settings)?;
            let mut initialize = settings.initialize(api).it;
            initialize.encodeConfig = Some((&mut config).into());
            let mut parameters = nvenc::NV_ENC_RECONFIGURE_PARAMS {
                version: api.of(Structure::Reconfigure),
                reInitEncodeParams: initialize,
                ..Default::default()
            };
            let (reset, idr) =
                (nvenc::NV_ENC_RECONFIGURE_PARAMS::resetEncoder, nvenc::NV_ENC_RECONFIGURE_PARAMS::forceIDR);
            parameters.set_flags(api, reset | idr);
            // SAFETY: a live, drained session; structures as this API has them; the configuration outlives the call.
            let status = unsafe { (it.session.encoding()?.functions.reconfigure)(it.session.handle, &mut parameters) };
            it.session.check("nvEncReconfigureEncoder", status)?;
            it.count = 0;
            if resized {
                for i in 0..it.slots.len() {
                    it.unregister(i)?;
                    it.register(i)?;
                }
            }
            Ok(())
        })
    }
}

impl Drop for EncoderSession {
    fn drop(&mut self) {
        // Where the card is lost no context can be made current; everything is given back all the same.
        let device = Arc::clone(&self.session.device);
        let _current = device.current();
        // What is in flight must have been encoded before its memory goes (nvEncodeAPI.h on destroying). Where that fails,
        // giving everything back is all that is left to do.
        if !self.sent.is_empty() && self.end().is_ok() {
            while let Some(&(i, time)) = self.sent.front() {
                if self.take(i, time).is_err() {
                    break;
                }
            }
        }
        for i in 0..self.slots.len() {
            let _ = self.unmap(i);
            let _ = self.unregister(i);
            let (Ok(encoding), Some(bitstream)) = (self.session.encoding(), self.slots[i].bitstream.take()) else {
                continue;
            };
            // SAFETY: created by this session, not locked, given back once.
            unsafe { (encoding.functions.destroy_bitstream)(self.session.handle, Some(bitstream)) };
        }
    }
}
