//! The own side of a worker that has a graphics card: takes the card into use, locks up around it, proves that it works inside,
//! then makes several segments at once.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::super::ipc::{self, Answer, CardReady, IpcError, Request, Sealed};
use super::super::sandbox::card::Modules;
use super::super::sandbox::{self, Profile};
use super::super::serve::{IDLE, ServeError, done, give, input};
use super::counter::Counter;
use super::lending::ToCard;
use super::{CardHealth, MOST_SEGMENTS, Throttle, trial};
use crate::engine::Event;
use crate::engine::nvidia::{Card, Doubt, Engine, Scaling, Tally, choose, decode_rate};
use crate::error::{Class, EngineError};
use crate::ffi::heap;
use crate::nvidia::{Decodes, Device, Driver, Encodes, Health, NvidiaError, Source, Surface, Uuid};

/// A picture with which the way to the host is measured, and how often: some megabytes each.
const LINK_PICTURE: (u32, u32) = (1920, 1080);
const LINK_TRIES: usize = 4;

/// Time between two looks at how the card is.
const LOOK: Duration = Duration::from_secs(5);

/// Serves the socket on standard input with the card of this UUID. Must be called before the process has any second thread.
pub fn serve(profile: &Profile, uuid: Uuid, libraries: Option<PathBuf>) -> Result<(), ServeError> {
    let source = libraries.clone().map_or(Source::System, Source::Folder);
    let (report, opened) =
        sandbox::card::enter(profile, Modules::Nvidia, libraries.as_deref(), || open(&source, uuid))?;
    let Opened { driver, device, engine, encodes, doubts, ready, health } = opened;
    // With sessions of its own, which are closed again.
    trial::works(&Card::with(Arc::clone(&device), engine)).map_err(ServeError::Card)?;
    let socket = rustix::stdio::stdin();
    let counter =
        Counter::new(Arc::clone(&device), engine, socket).map_err(|error| ServeError::Card(error.to_string()))?;
    let card = Arc::new(Card::with_lender(device, engine, encodes, counter.clone()).without(&doubts));
    ipc::send(socket, &Answer::Card { version: ipc::VERSION, sandbox: report.to_string(), card: ready }, None)?;
    if let Some(health) = health {
        ipc::send(socket, &Answer::Health { health: told(health) }, None)?;
    }
    let watch = Arc::new(Watch { driver, uuid, looked: Mutex::new(Instant::now()) });
    heap::keep();
    let at_work = Arc::new(AtomicUsize::new(0));
    let mut kept = false;
    loop {
        let (request, file) = match ipc::receive(socket, kept.then(|| Instant::now() + IDLE)) {
            Ok(received) => received,
            Err(IpcError::Closed) => return Ok(()),
            Err(IpcError::Timeout) => {
                if at_work.load(Ordering::Relaxed) == 0 {
                    heap::give_back();
                    kept = false;
                }
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let request = match request {
            ToCard::Work(request) => request,
            ToCard::Session(order) => {
                counter.hear(order)?;
                continue;
            }
        };
        kept = true;
        let Request::Transcode { id, len, .. } = &request else { return Err(no_work_for_cards().into()) };
        let (id, file) = (*id, Sealed::open(file, *len)?);
        if at_work.fetch_add(1, Ordering::Relaxed) >= MOST_SEGMENTS {
            at_work.fetch_sub(1, Ordering::Relaxed);
            let reason = format!("more than {MOST_SEGMENTS} segments at once");
            let error = EngineError::Card { class: Class::Capacity, reason };
            ipc::send(socket, &Answer::Failed { id, error }, None)?;
            continue;
        }
        let (card, counted, watch) = (Arc::clone(&card), Arc::clone(&at_work), Arc::clone(&watch));
        let work = move || {
            // What cannot be said to the parent needs not be said: it is gone, and this process with it.
            let _ = segment(&card, request, file);
            counted.fetch_sub(1, Ordering::Relaxed);
            watch.look();
        };
        if let Err(error) = thread::Builder::new().name(format!("segment-{id}")).spawn(work) {
            at_work.fetch_sub(1, Ordering::Relaxed);
            let error = EngineError::Memory { what: format!("start a thread for a segment ({error})") };
            ipc::send(socket, &Answer::Failed { id, error }, None)?;
        }
    }
}

/// Commitments are computed by workers without a card: nothing else could be gained here than a decoder.
fn no_work_for_cards() -> IpcError {
    IpcError::Protocol("a worker with a card only transcodes".to_owned())
}

fn tally(card: &Card) -> Answer {
    let Tally { rungs_on_card, rungs_on_host, segments_left } = card.tally();
    let Scaling { samples, took, .. } = card.scaling();
    Answer::Tally {
        rungs_on_card,
        rungs_on_host,
        segments_left,
        scaled_samples: samples,
        scaling_ns: u64::try_from(took.as_nanos()).unwrap_or(u64::MAX),
        memory_used_bytes: card.memory_used().unwrap_or(0),
    }
}

fn segment(card: &Card, request: Request, file: Sealed) -> Result<(), IpcError> {
    let Request::Transcode { id, ladder, paces, limits, .. } = request else { return Err(no_work_for_cards()) };
    let socket = rustix::stdio::stdin();
    let sink = |event| match event {
        Event::Part(part) => give(socket, id, &part).map_err(|error| EngineError::Memory { what: error.to_string() }),
        // Nobody waits for that: others have begun long since.
        Event::Halfway => Ok(()),
    };
    let made = input(&limits, file).and_then(|bytes| card.transcode_in_parts(&ladder, bytes, &paces, &limits, &sink));
    ipc::send(socket, &tally(card), None)?;
    match made {
        Ok(out) => ipc::send(socket, &done(id, out), None),
        Err(error) => ipc::send(socket, &Answer::Failed { id, error }, None),
    }
}

/// Looks how the card is, and tells the parent.
struct Watch {
    driver: Arc<Driver>,
    uuid: Uuid,
    /// When that was last done. Held meanwhile.
    looked: Mutex<Instant>,
}

impl Watch {
    /// For threads whose segment is answered and counts no more: a driver may take its time, or not come back at all.
    fn look(&self) {
        // Another thread is at it.
        let Ok(mut looked) = self.looked.try_lock() else { return };
        if looked.elapsed() < LOOK {
            return;
        }
        if let Some(health) = self.driver.health(self.uuid) {
            // Where there is no room for it, the next one will do.
            let _ = ipc::send_now(rustix::stdio::stdin(), &Answer::Health { health: told(health) });
        }
        *looked = Instant::now();
    }
}

/// What the driver says, as the parent takes it.
fn told(health: Health) -> CardHealth {
    let Health { celsius, milliwatts, decoder_percent, encoder_percent, slowed, .. } = health;
    let throttled = slowed.map(|it| {
        let all = [
            (it.thermal, Throttle::Thermal),
            (it.power_cap, Throttle::PowerCap),
            (it.power_brake, Throttle::PowerBrake),
            (it.hardware, Throttle::Hardware),
        ];
        all.into_iter().filter_map(|(is, why)| is.then_some(why)).collect()
    });
    let celsius = celsius.map(u32::cast_signed);
    CardHealth { celsius, milliwatts, decoder_percent, encoder_percent, throttled }.plausible()
}

/// A card in use.
struct Opened {
    driver: Arc<Driver>,
    device: Arc<Device>,
    /// How it is used.
    engine: Engine,
    /// What it encodes, if that could be asked.
    encodes: Option<Vec<Encodes>>,
    /// What it decodes otherwise than it should.
    doubts: Vec<Doubt>,
    ready: CardReady,
    /// How it is.
    health: Option<Health>,
}

/// Takes the card into use and makes everything that is made once, while files can still be opened.
fn open(source: &Source, uuid: Uuid) -> Result<Opened, String> {
    let all = || -> Result<_, NvidiaError> {
        let driver = Driver::open(source)?;
        let (major, minor) = driver.cuda_version();
        let nvenc = driver.encode_api().map_or_else(|_| String::new(), |api| format!(", NVENC {api}"));
        let version = format!("CUDA {major}.{minor}{nvenc}");
        let device = Device::open(&driver, uuid)?;
        let decodes = device.decodes()?;
        // A chip without an encoder is of use as well, and so is one whose sessions others have.
        let encodes = device.encodes();
        let link_bytes = link_bytes(&device)?;
        Ok((driver, device, version, decodes, encodes, link_bytes))
    };
    let (driver, device, version, decodes, encodes, link_bytes) = all().map_err(|error| error.to_string())?;
    let (_, choice) = choose(&device).map_err(|error| error.to_string())?;
    let decoders = decodes.iter().map(|it| u32::from(it.engines)).max().unwrap_or(0);
    // Behind the test of the engine, which has woken the card up.
    let decode_samples = decode_samples(&device, choice.engine, decoders);
    // At least one engine where it encoded, or where it is only that others have all sessions for now.
    let some = encodes.as_ref().err().is_some_and(NvidiaError::no_more_sessions);
    let known = encodes.ok();
    let encodes = known.as_deref().unwrap_or_default();
    let info = device.info();
    let in_doubt = |it: &&Decodes| choice.doubts.iter().any(|of| (of.codec, of.bit_depth) == (it.codec, it.bit_depth));
    let trusted = decodes.iter().filter(|it| !in_doubt(it));
    let ready = CardReady {
        uuid: info.uuid.to_string(),
        name: info.name.clone(),
        compute: info.compute,
        memory_bytes: info.memory_bytes,
        decoders,
        encoders: encodes.iter().map(|it| it.engines).max().unwrap_or(u32::from(some || choice.encodes)),
        driver: version,
        engine: choice.engine.to_string(),
        refused: choice.refused.iter().map(|it| format!("{}: {}", it.engine, it.reason)).collect(),
        doubted: choice.doubts.iter().map(ToString::to_string).collect(),
        abilities: trusted
            .map(decodes_what)
            .chain(encodes.iter().map(encodes_what))
            .chain((decode_samples > 0).then(|| decodes_how_much(decode_samples)))
            .collect(),
        link_bytes,
        decode_samples,
    };
    // What NVML opens of the card when it is first asked for it has to be open before files cannot be.
    let health = driver.health(uuid);
    Ok(Opened { driver, device, engine: choice.engine, encodes: known, doubts: choice.doubts, ready, health })
}

fn decodes_what(it: &Decodes) -> String {
    format!("decodes {} in {} bits up to {}x{}", it.codec, it.bit_depth, it.max.0, it.max.1)
}

fn encodes_what(it: &Encodes) -> String {
    format!("encodes {} up to {}x{}", it.codec.name(), it.max.0, it.max.1)
}

fn decodes_how_much(samples: u64) -> String {
    format!("decodes {} pictures of 1080p in H.264 a second", samples / (1920 * 1080))
}

/// The best of some copies to the host, into memory that is not pinned, as pictures for the processors go there.
fn link_bytes(device: &Arc<Device>) -> Result<u64, NvidiaError> {
    let surface = Surface::new(device, LINK_PICTURE, 8)?;
    let mut best = 1.0_f64;
    for _ in 0..LINK_TRIES {
        let began = Instant::now();
        let bytes = device.download(&surface.planes(LINK_PICTURE))?.len();
        best = best.max(bytes as f64 / began.elapsed().max(Duration::from_micros(1)).as_secs_f64());
    }
    Ok(best as u64)
}

/// What all decode engines do together, or 0. That it cannot be measured is no reason to do without the card.
fn decode_samples(device: &Arc<Device>, engine: Engine, engines: u32) -> u64 {
    match engine {
        Engine::Direct => decode_rate(device, engines).unwrap_or_else(|error| {
            tracing::warn!(reason = %error, "how much the card decodes could not be measured");
            0
        }),
        Engine::Ffmpeg => 0,
    }
}
