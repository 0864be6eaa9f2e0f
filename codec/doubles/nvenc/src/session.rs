//! A session and what it owns.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::CString;
use std::time::Instant;

use headframe_nv_sys::Api;
use headframe_nv_sys::nvenc::{
    self, GUID, NV_ENC_BUFFER_FORMAT, NV_ENC_RECONFIGURE_PARAMS, NV_ENC_TUNING_INFO, NVENCSTATUS,
};

use crate::LEDGER;
use crate::coder::Order;
use crate::maker::{Maker, Missing};
use crate::system::{self, Slot};

/// Memory that was registered.
pub(crate) struct Resource {
    pub(crate) address: u64,
    pub(crate) size: (u32, u32),
    pub(crate) pitch: usize,
    pub(crate) format: NV_ENC_BUFFER_FORMAT,
    pub(crate) mapped: bool,
}

/// Where a picture's bytes go.
#[derive(Default)]
pub(crate) struct Buffer {
    pub(crate) state: State,
    pub(crate) data: Vec<u8>,
    pub(crate) time: u64,
    pub(crate) key: bool,
    /// The mapped resource that it is encoded from.
    pub(crate) input: u64,
    /// When a modelled engine is done with it.
    pub(crate) ready: Option<Instant>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) enum State {
    #[default]
    Idle,
    Sent,
    Locked,
}

/// What cannot change while a session lives.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fixed {
    pub(crate) codec: GUID,
    pub(crate) preset: GUID,
    pub(crate) tuning: NV_ENC_TUNING_INFO,
    pub(crate) gop: u32,
    pub(crate) lookahead: u16,
    pub(crate) max: (u32, u32),
}

/// An initialised session's encoder.
pub(crate) struct Running {
    pub(crate) fixed: Fixed,
    pub(crate) order: Order,
    /// Opened for the first picture, by `open_maker`.
    pub(crate) maker: Option<Maker>,
    /// When a modelled engine is done with the last picture.
    pub(crate) busy: Option<Instant>,
    /// The end of the stream was told.
    pub(crate) ended: bool,
    /// It is not what it was opened as any more.
    pub(crate) reconfigured: bool,
}

impl Running {
    /// Whether pictures are to come out wrong.
    fn spoils(&self) -> bool {
        match LEDGER.value("spoil").as_deref() {
            Some("all") => true,
            Some("reconfigured") => self.reconfigured,
            _ => false,
        }
    }
}

pub(crate) struct Session {
    pub(crate) api: Api,
    pub(crate) context: u64,
    /// Its place among all sessions of a modelled system.
    pub(crate) slot: Option<Slot>,
    /// Opened beyond the cap: it can only be closed.
    pub(crate) refused: bool,
    pub(crate) running: Option<Running>,
    pub(crate) resources: BTreeMap<u64, Resource>,
    /// Mapped handles and the registered ones they are of.
    pub(crate) mapped: BTreeMap<u64, u64>,
    pub(crate) buffers: BTreeMap<u64, Buffer>,
    /// Buffers of pictures that were sent and not locked, in order.
    pub(crate) sent: VecDeque<u64>,
    pub(crate) next: u64,
    pub(crate) words: CString,
}

impl Session {
    pub(crate) fn new(api: Api, context: u64, slot: Option<Slot>, refused: bool) -> Self {
        Self {
            api,
            context,
            slot,
            refused,
            running: None,
            resources: BTreeMap::new(),
            mapped: BTreeMap::new(),
            buffers: BTreeMap::new(),
            sent: VecDeque::new(),
            next: 0xF000,
            words: CString::default(),
        }
    }

    pub(crate) fn handle(&mut self) -> u64 {
        self.next += 16;
        self.next
    }

    /// Fails with words that the client can ask for.
    pub(crate) fn refuse(&mut self, status: NVENCSTATUS, words: &str) -> NVENCSTATUS {
        self.words = CString::new(words).unwrap_or_default();
        status
    }

    /// Something wrong that this call does: written down and refused.
    pub(crate) fn violation(&mut self, status: NVENCSTATUS, words: &str) -> NVENCSTATUS {
        LEDGER.violation(words);
        self.refuse(status, words)
    }

    /// How many of the pictures sent need no more input.
    fn finished(&self) -> usize {
        match &self.running {
            Some(running) if !running.ended => self.sent.len().saturating_sub(running.fixed.lookahead.into()),
            _ => self.sent.len(),
        }
    }

    /// Encodes the picture in `input` into `output`.
    pub(crate) fn encode(&mut self, picture: &nvenc::NV_ENC_PIC_PARAMS, input: u64, output: u64) -> NVENCSTATUS {
        let resource = self.mapped.get(&input).and_then(|registered| self.resources.get(registered));
        let Some(resource) = resource else {
            return self
                .violation(nvenc::NV_ENC_ERR_RESOURCE_NOT_MAPPED, "a picture from a resource that is not mapped");
        };
        if self.buffers.get(&output).is_none_or(|buffer| buffer.state != State::Idle) {
            return self.violation(nvenc::NV_ENC_ERR_INVALID_PARAM, "a picture into a buffer that is in use or none");
        }
        if self.buffers.values().any(|buffer| buffer.state == State::Sent && buffer.input == input) {
            return self.violation(nvenc::NV_ENC_ERR_INVALID_PARAM, "two pictures from one surface at once");
        }
        let Some(running) = &mut self.running else { return nvenc::NV_ENC_ERR_ENCODER_NOT_INITIALIZED };
        // FFmpeg leaves the size of a registered surface out, and drivers take that.
        let told = match (picture.inputWidth, picture.inputHeight) {
            (0, 0) if LEDGER.is_for_ffmpeg() => resource.size,
            told => told,
        };
        let pitch = picture.inputPitch as usize;
        if told != running.order.size
            || told != resource.size
            || pitch != resource.pitch
            || picture.bufferFmt != resource.format
        {
            return self.violation(nvenc::NV_ENC_ERR_INVALID_PARAM, "a picture unlike the surface or the session");
        }
        if running.ended {
            return self.violation(nvenc::NV_ENC_ERR_INVALID_CALL, "a picture after the end of the stream");
        }
        let key = picture.encodePicFlags & nvenc::NV_ENC_PIC_FLAG_FORCEIDR != 0;
        let spoil = running.spoils();
        let made = running.maker.as_mut().map(|maker| maker.make(self.context, resource, key, spoil));
        let (data, key) = match made {
            Some(Ok(made)) => made,
            Some(Err(Missing::Memory)) => {
                return self.violation(nvenc::NV_ENC_ERR_MAP_FAILED, "registered memory is not there any more");
            }
            Some(Err(Missing::Card)) => {
                return self.refuse(nvenc::NV_ENC_ERR_DEVICE_NOT_EXIST, "the card does not answer");
            }
            None | Some(Err(Missing::Picture)) => {
                return self.refuse(nvenc::NV_ENC_ERR_GENERIC, "the library behind this double gave no picture");
            }
        };
        let samples = u64::from(told.0) * u64::from(told.1);
        let ready = system::encoded(running.busy, samples);
        running.busy = ready;
        let time = picture.inputTimeStamp;
        self.buffers.insert(output, Buffer { state: State::Sent, data, time, key, input, ready });
        self.sent.push_back(output);
        if self.finished() == 0 { nvenc::NV_ENC_ERR_NEED_MORE_INPUT } else { nvenc::NV_ENC_SUCCESS }
    }

    /// Whether a buffer may be locked now.
    pub(crate) fn lockable(&mut self, buffer: u64) -> Result<(), NVENCSTATUS> {
        let (status, words) = match self.sent.iter().position(|sent| *sent == buffer) {
            None => (nvenc::NV_ENC_ERR_INVALID_PARAM, "a buffer without a picture was locked"),
            Some(1..) => (nvenc::NV_ENC_ERR_INVALID_CALL, "buffers were locked out of order"),
            Some(0) if self.finished() == 0 => (nvenc::NV_ENC_ERR_LOCK_BUSY, "locking this would wait for ever"),
            Some(0) => return Ok(()),
        };
        Err(self.violation(status, words))
    }

    /// Goes on with another order, as new if `flags` say so.
    pub(crate) fn reconfigure(&mut self, fixed: Fixed, order: Order, flags: u32) -> NVENCSTATUS {
        let busy = !self.sent.is_empty();
        let Some(running) = &mut self.running else { return nvenc::NV_ENC_ERR_ENCODER_NOT_INITIALIZED };
        if fixed != running.fixed {
            return self.refuse(nvenc::NV_ENC_ERR_INVALID_PARAM, "a session cannot change what is fixed");
        }
        let resized = order.size != running.order.size;
        let reset = flags & NV_ENC_RECONFIGURE_PARAMS::resetEncoder != 0;
        if busy && (resized || reset) {
            return self.violation(nvenc::NV_ENC_ERR_INVALID_CALL, "a session was reset with pictures in it");
        }
        // Without the reset it goes on: rate control and references are what they were.
        if reset || resized {
            running.maker = None;
        }
        running.order = order;
        running.ended = false;
        running.reconfigured = true;
        nvenc::NV_ENC_SUCCESS
    }

    /// Closes it.
    pub(crate) fn close(self) {
        if !(self.mapped.is_empty() && self.resources.is_empty() && self.buffers.is_empty()) {
            let (mapped, registered, buffers) = (self.mapped.len(), self.resources.len(), self.buffers.len());
            LEDGER.violation(format!(
                "a session was closed with {mapped} mapped, {registered} registered, {buffers} buffers"
            ));
        }
    }
}
