//! A driver of doubles: each test has copies of the doubles' files in a folder of its own, so it has a driver to itself.
#![allow(dead_code, reason = "each test binary uses its own part")]

pub(crate) mod rig;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use headframe_codec::Codec;
use headframe_codec::nvidia::{
    Colour, Device, Driver, EncodedPicture, EncoderSession, EncoderSettings, RateControl, Source, Tuning,
};
use headframe_double_ledger::{Control, LIBRARIES, Report, install, real};

pub(crate) struct Doubles {
    folder: PathBuf,
    /// Removed at the end; none if the folder is another's.
    _own: Option<tempfile::TempDir>,
}

impl Doubles {
    /// A driver with all libraries.
    pub(crate) fn new() -> Self {
        Self::with(&["cuda", "cuvid", "nvenc", "nvml"])
    }

    /// A driver with some of the libraries.
    pub(crate) fn with(names: &[&str]) -> Self {
        let own = tempfile::tempdir().unwrap();
        let folder = own.path().to_owned();
        install(&folder, names);
        Self { folder, _own: Some(own) }
    }

    /// The driver that another process has made.
    pub(crate) fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), _own: None }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn source(&self) -> Source {
        Source::Folder(self.path().to_owned())
    }

    fn control(&self, name: &str) -> Control {
        let (file, _) = LIBRARIES.into_iter().find(|(_, of)| *of == name).unwrap();
        Control::open(&self.path().join(file))
    }

    /// Tells a double something; a real library in its place is as it is.
    pub(crate) fn set(&self, name: &str, key: &str, value: &str) {
        if real(name).is_none() {
            self.control(name).set(key, value);
        }
    }

    /// All are told that FFmpeg is their client, which is less careful than our own engine.
    pub(crate) fn serve_ffmpeg(&self) {
        ["cuda", "cuvid", "nvenc"].into_iter().for_each(|name| self.set(name, "client", "ffmpeg"));
    }

    /// What a double saw.
    pub(crate) fn report(&self, name: &str) -> Report {
        self.control(name).report()
    }

    pub(crate) fn device(&self) -> Arc<Device> {
        let driver = Driver::open(&self.source()).unwrap();
        let cards = driver.devices().unwrap();
        Device::open(&driver, cards[0].uuid).unwrap()
    }

    /// Everything was given back, and nothing was done wrong.
    #[track_caller]
    pub(crate) fn assert_clean(&self) {
        for (file, name) in LIBRARIES {
            if self.path().join(file).exists() && real(name).is_none() {
                let report = self.report(name);
                assert!(report.live.is_empty(), "{name}: not given back: {:?}", report.live);
                assert_eq!(report.violations, [""; 0], "{name}");
            }
        }
    }
}

/// This very program, to run one test on a driver.
pub(crate) fn child(test: &str, doubles: &Doubles) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env("HEADFRAME_TEST_DRIVER", doubles.path());
    command.env("HEADFRAME_DOUBLES_STRICT", "1").env_remove("LD_LIBRARY_PATH");
    command
}

/// Longer than any test of a process takes on a slow machine: one that hangs fails, and what it said is seen.
const HUNG: Duration = Duration::from_secs(600);

/// Runs the test of this name in a process of its own, because the kernels have one driver in a process. In it something
/// wrong, left behind or that never ends makes it fail.
pub(crate) fn alone(test: &str, work: impl FnOnce(&Doubles)) {
    if let Some(folder) = std::env::var_os("HEADFRAME_TEST_DRIVER") {
        let doubles = Doubles::at(Path::new(&folder));
        work(&doubles);
        return doubles.assert_clean();
    }
    let doubles = Doubles::new();
    let log = doubles.path().join("log");
    let file = File::create(&log).unwrap();
    let mut process = child(test, &doubles).stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
    let begun = Instant::now();
    let status = loop {
        match process.try_wait().unwrap() {
            None if begun.elapsed() > HUNG => process.kill().unwrap(),
            None => std::thread::sleep(Duration::from_millis(20)),
            Some(status) => break status,
        }
    };
    let said = String::from_utf8_lossy(&std::fs::read(log).unwrap()).into_owned();
    assert!(status.success() && said.contains("1 passed"), "{test}: {status} after {:?}\n{said}", begun.elapsed());
}

pub(crate) fn settings(size: (u32, u32)) -> EncoderSettings {
    EncoderSettings {
        codec: Codec::H264,
        size,
        max_size: (640, 360),
        aspect: (16, 9),
        rate: (30, 1),
        bitrate_bps: 800_000,
        control: RateControl::Constant,
        buffer_bits: 800_000,
        gop: 30,
        preset: 4,
        tuning: Tuning::HighQuality,
        bit_depth: 8,
        lookahead: 0,
        colour: Colour { full_range: false, primaries: 1, transfer: 1, matrix: 1 },
    }
}

/// A picture that moves, rows without gaps: luma, then chroma in turn.
pub(crate) fn picture((width, height): (u32, u32), number: u32, bit_depth: u8) -> Vec<u8> {
    let luma = (0..height).flat_map(|y| (0..width).map(move |x| ((x * 2 + y + number * 7) % 220 + 16) as u8));
    let chroma = (0..height / 2).flat_map(|y| (0..width).map(move |x| 96 + ((x + y + number) % 64) as u8));
    let samples = luma.chain(chroma);
    match bit_depth {
        8 => samples.collect(),
        _ => samples.flat_map(|sample| (u16::from(sample) << 8).to_le_bytes()).collect(),
    }
}

/// Encodes so many moving pictures; time `i * 3000`, IDR pictures where asked for.
pub(crate) fn encode(session: &mut EncoderSession, device: &Device, count: u32, keys: &[u32]) -> Vec<EncodedPicture> {
    let mut out = Vec::new();
    let depth = session.settings().bit_depth;
    let size = session.settings().size;
    for i in 0..count {
        while session.in_flight() >= 3 {
            match session.output().unwrap() {
                Some(picture) => out.push(picture),
                None => break,
            }
        }
        let surface = session.input().unwrap();
        device.upload(&surface, &picture(size, i, depth)).unwrap();
        session.encode(i64::from(i) * 3000, keys.contains(&i)).unwrap();
    }
    out.extend(session.drain().unwrap());
    out
}

/// A file of the bytes of all pictures.
pub(crate) fn file(folder: &Path, name: &str, pictures: &[EncodedPicture]) -> PathBuf {
    let path = folder.join(name);
    let bytes: Vec<u8> = pictures.iter().flat_map(|picture| picture.data.iter().copied()).collect();
    std::fs::write(&path, bytes).unwrap();
    path
}
