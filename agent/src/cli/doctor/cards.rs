//! The graphics cards, as the worker program sees them, and what of it has never run on one.

use super::{Check, ask};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// CUDA 12.0 came with driver 525, the first that the kernels run on; compute capability 6.1 is Pascal.
const CUDA: (u32, u32) = (12, 0);
const COMPUTE: (u32, u32) = (6, 1);

/// What never ran on a card. README and docs/gpu.md say the same.
const NEVER_RAN: &str = "never run on NVIDIA silicon: decoding (NVDEC), scaling, encoding (NVENC), and sharing encoder sessions. \
    All of it runs over test doubles of the driver only";
/// How an owner of a card can change that.
const TRY: &str = "who has a card, please let it be judged, and open an issue of the project with the report attached: \
    headframe-bench gpu --accept --json result.json; in a checkout, scripts/gpu-accept, which judges the kernels too. \
    A quick try: ffmpeg -i clip.mp4 -c copy -f segment -segment_time 2 -segment_format mpegts s%03d.ts && \
    headframe-codec gpu-test s*.ts (docs/gpu.md)";
/// How the bus numbers display controllers, and their makers.
const DISPLAY: &str = "0x03";
pub(super) const NVIDIA: &str = "0x10de";
const OTHERS: [(&str, &str); 2] = [("0x1002", "AMD"), ("0x8086", "Intel")];
/// How long the worker program may take for what it asks of drivers: one that was asleep takes its time to start, more
/// with every card.
pub(super) const DRIVERS: Duration = Duration::from_secs(90);

/// What `headframe-codec gpu --json` says, as far as it is looked at here.
#[derive(Debug, Deserialize)]
struct Found {
    driver: Option<String>,
    cuda: Option<(u32, u32)>,
    encode_api: Option<String>,
    devices: Vec<Card>,
    broken: Vec<Broken>,
    problems: Vec<String>,
    doubles: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Card {
    uuid: String,
    name: String,
    pci: String,
    compute: (u32, u32),
    memory_bytes: u64,
    decodes: Vec<Coded>,
    encodes: Vec<Coded>,
    problems: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Coded {
    codec: String,
    engines: u32,
}

#[derive(Debug, Deserialize)]
struct Broken {
    ordinal: u32,
    uuid: Option<String>,
    reason: String,
}

/// The checks, and all that was said of the cards.
pub(super) async fn all(program: &Path, libraries: Option<&Path>, plugged: &Plugged) -> (Vec<Check>, Option<Value>) {
    let folder = libraries.map(|folder| folder.to_string_lossy().into_owned());
    let mut args = vec!["gpu", "--json"];
    args.extend(folder.iter().flat_map(|folder| ["--libraries", folder]));
    let said = ask(program, &args, DRIVERS).await;
    let read = said.and_then(|said| {
        let gpu: Value = serde_json::from_slice(&said).map_err(|error| format!("what it says of cards: {error}"))?;
        let found = Found::deserialize(&gpu).map_err(|error| format!("what it says of cards: {error}"))?;
        Ok((found, gpu))
    });
    match read {
        Ok((found, gpu)) => (judge(&found, plugged, link), Some(gpu)),
        Err(why) => {
            let remedy = "headframe-codec gpu; a driver that hangs needs a restart of the machine";
            (vec![Check::fail("cards", why, remedy), never_ran(true)], None)
        }
    }
}

/// `link`: of a PCI address, its lanes and speed.
fn judge(found: &Found, plugged: &Plugged, link: impl Fn(&str) -> Option<(u32, String)>) -> Vec<Check> {
    let mut checks = Vec::new();
    if !found.doubles.is_empty() {
        let libraries = found.doubles.join(", ");
        let found = format!("TEST DOUBLES in place of NVIDIA's driver: {libraries}. What follows is said of no card");
        checks.push(Check::warn("driver", found, "take them away to see the real driver"));
    }
    checks.push(driver(found, plugged));
    checks.extend(found.devices.iter().map(|card| self::card(card, link(&card.pci))));
    for broken in &found.broken {
        let name = broken.uuid.as_deref().unwrap_or("of unknown number");
        let remedy =
            "the others work without it; look for `NVRM: Xid` in `sudo dmesg`, reseat the card and its riser, restart";
        checks.push(Check::fail("card", format!("card {} ({name}): {}", broken.ordinal, broken.reason), remedy));
    }
    checks.push(never_ran(!found.devices.is_empty() && found.doubles.is_empty()));
    checks
}

fn driver(found: &Found, plugged: &Plugged) -> Check {
    let problems = found.problems.join("; ");
    let Some(cuda) = found.cuda else {
        let told = format!("no NVIDIA driver that works: {problems}");
        return match plugged.nvidia {
            0 => {
                let none = format!("{told}; no NVIDIA card is plugged in either");
                let rest = match plugged.others.is_empty() {
                    true => ": the processors do all work".to_owned(),
                    false => format!(", but one of {}: the processors decode and encode", plugged.makers()),
                };
                Check::ok("driver", none + &rest)
            }
            cards => Check::warn("driver", format!("{cards} NVIDIA cards are plugged in, and {told}"), INSTALL),
        };
    };
    let version = found.driver.as_deref().unwrap_or("of unknown version");
    let api = found.encode_api.as_deref().unwrap_or("none");
    let told = format!("{version}, CUDA {}.{}, NVENC API {api}", cuda.0, cuda.1);
    if cuda < CUDA {
        return Check::warn("driver", format!("{told}: older than 525, the processors do all work"), INSTALL);
    }
    if !problems.is_empty() {
        return Check::warn("driver", format!("{told}; {problems}"), INSTALL);
    }
    match found.devices.len() + found.broken.len() {
        0 => Check::warn("driver", format!("{told}, which lists no card"), NODES),
        seen if seen < plugged.nvidia => {
            Check::warn("driver", format!("{told}, which lists {seen} of {} cards", plugged.nvidia), NODES)
        }
        _ => Check::ok("driver", told),
    }
}

const INSTALL: &str = "install NVIDIA's driver, 525 or later, with its video libraries (Debian, non-free: nvidia-driver, \
    libnvidia-encode1, libnvcuvid1); `nvidia-smi` must work; /dev/nvidia-uvm and /dev/nvidia-uvm-tools must be there \
    (`sudo nvidia-modprobe -u -c 0`, with a `-c N` for each further card)";
const NODES: &str =
    "compare with `nvidia-smi -L`; each card needs its /dev/nvidiaN, and CUDA_VISIBLE_DEVICES must not hide it";

fn card(card: &Card, link: Option<(u32, String)>) -> Check {
    let list = |coded: &[Coded]| {
        let mut names: Vec<&str> = coded.iter().map(|one| one.codec.as_str()).collect();
        names.dedup();
        let engines = coded.iter().map(|one| one.engines).max().unwrap_or(0);
        if names.is_empty() { "nothing".to_owned() } else { format!("{} (engines: {engines})", names.join(" ")) }
    };
    let ((major, minor), mib) = (card.compute, card.memory_bytes >> 20);
    let lanes = link.as_ref().map_or(String::new(), |(lanes, speed)| format!(", x{lanes} at {speed}"));
    let found = format!(
        "{} ({}) at {}{lanes}, compute {major}.{minor}, {mib} MiB; decodes {}; encodes {}",
        card.name,
        card.uuid,
        card.pci,
        list(&card.decodes),
        list(&card.encodes)
    );
    let narrow = link.is_some_and(|(lanes, _)| lanes < 4);
    if !card.problems.is_empty() {
        return Check::warn(
            "card",
            format!("{found}; {}", card.problems.join("; ")),
            "docs/gpu.md says what the processors do then",
        );
    }
    if card.compute < COMPUTE {
        return Check::warn(
            "card",
            format!("{found}: older than Pascal"),
            "it cannot be used; nothing needs to be done",
        );
    }
    if card.encodes.is_empty() && narrow {
        let remedy = "pictures have to cross its link to be encoded: give it 8 lanes or more";
        return Check::warn("card", found, remedy);
    }
    Check::ok("card", found)
}

/// Said with every card, and without one too.
fn never_ran(card_here: bool) -> Check {
    match card_here {
        true => Check::warn("silicon", NEVER_RAN, TRY),
        false => Check { remedy: Some(TRY.to_owned()), ..Check::ok("silicon", NEVER_RAN) },
    }
}

/// Display controllers on the bus.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plugged {
    pub(super) nvidia: usize,
    /// Who else has one there, each once.
    pub(super) others: BTreeSet<&'static str>,
}

impl Plugged {
    /// In this machine.
    pub(super) fn here() -> Self {
        Self::on(Path::new("/sys/bus/pci/devices"))
    }

    fn on(devices: &Path) -> Self {
        let mut plugged = Self::default();
        for device in fs::read_dir(devices).into_iter().flatten().flatten() {
            let read = |file: &str| fs::read_to_string(device.path().join(file)).unwrap_or_default();
            if !read("class").starts_with(DISPLAY) {
                continue;
            }
            let vendor = read("vendor");
            match vendor.trim() {
                NVIDIA => plugged.nvidia += 1,
                vendor => plugged.others.extend(OTHERS.iter().filter(|(id, _)| *id == vendor).map(|(_, name)| *name)),
            }
        }
        plugged
    }

    /// Who else is there, to follow "one of".
    pub(super) fn makers(&self) -> String {
        self.others.iter().copied().collect::<Vec<_>>().join(" and one of ")
    }
}

/// Lanes and speed of the link at a PCI address. A card at rest may tell less than it does at work.
fn link(pci: &str) -> Option<(u32, String)> {
    let device = Path::new("/sys/bus/pci/devices").join(pci.to_ascii_lowercase());
    let read = |file: &str| fs::read_to_string(device.join(file)).ok().map(|text| text.trim().to_owned());
    Some((read("current_link_width")?.parse().ok()?, read("current_link_speed")?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::State;
    use super::*;
    use serde_json::json;

    fn found(change: impl FnOnce(&mut Value)) -> Found {
        let coded = |codec: &str| json!({ "codec": codec, "engines": 2 });
        let card = json!({
            "uuid": "GPU-1", "name": "Card", "pci": "0000:01:00.0", "compute": [8, 6], "memory_bytes": 8u64 << 30,
            "decodes": [coded("h264"), coded("h264"), coded("av1")], "encodes": [coded("h264")], "problems": [],
        });
        let mut all = json!({ "driver": "550.1", "cuda": [12, 4], "encode_api": "12.2", "devices": [card], "broken": [],
            "problems": [], "doubles": [] });
        change(&mut all);
        serde_json::from_value(all).unwrap()
    }

    fn states(found: &Found, plugged: usize, lanes: Option<u32>) -> Vec<(&'static str, State)> {
        let link = |_: &str| lanes.map(|lanes| (lanes, "2.5 GT/s".to_owned()));
        let plugged = Plugged { nvidia: plugged, ..Plugged::default() };
        judge(found, &plugged, link).iter().map(|check| (check.name, check.state)).collect()
    }

    #[test]
    fn a_sound_card_is_described_and_that_none_ever_ran_is_said() {
        let one = Plugged { nvidia: 1, ..Plugged::default() };
        let all = judge(&found(|_| ()), &one, |_| Some((1, "2.5 GT/s PCIe".into())));
        let [driver, card, silicon] = &all[..] else { panic!("{all:?}") };
        assert_eq!((driver.state, driver.found.as_str()), (State::Ok, "550.1, CUDA 12.4, NVENC API 12.2"));
        let due = "Card (GPU-1) at 0000:01:00.0, x1 at 2.5 GT/s PCIe, compute 8.6, 8192 MiB; decodes h264 av1 \
                   (engines: 2); encodes h264 (engines: 2)";
        assert_eq!((card.state, card.found.as_str()), (State::Ok, due));
        assert!(silicon.state == State::Warn && silicon.found.contains("never run on NVIDIA silicon"), "{silicon:?}");
        let remedy = silicon.remedy.as_ref().unwrap();
        assert!(remedy.contains("headframe-bench gpu --accept") && remedy.contains("open an issue"), "{silicon:?}");
        assert!(remedy.contains("headframe-codec gpu-test s*.ts"), "{silicon:?}");
    }

    #[test]
    fn what_is_missing_is_told_by_what_is_plugged_in() {
        let none = found(|all| {
            all["cuda"] = Value::Null;
            all["devices"] = json!([]);
            all["problems"] = json!(["libcuda.so.1 cannot be opened"]);
        });
        let told = |others: &[&'static str]| {
            let plugged = Plugged { nvidia: 0, others: others.iter().copied().collect() };
            judge(&none, &plugged, |_| None)[0].found.clone()
        };
        let nothing = told(&[]);
        assert!(nothing.ends_with("plugged in either: the processors do all work"), "{nothing}");
        assert!(told(&["Intel", "AMD"]).contains("either, but one of AMD and one of Intel: the processors"));
        use State::{Fail, Ok, Warn};
        assert_eq!(states(&none, 0, None), [("driver", Ok), ("silicon", Ok)]);
        assert_eq!(states(&none, 6, None), [("driver", Warn), ("silicon", Ok)]);
        let old = found(|all| all["cuda"] = json!([11, 4]));
        assert_eq!(states(&old, 1, None)[0], ("driver", Warn));
        let fewer = states(&found(|_| ()), 2, None);
        assert_eq!(fewer[0], ("driver", Warn));
        let broken = found(|all| all["broken"] = json!([{ "ordinal": 1, "uuid": null, "reason": "lost" }]));
        assert_eq!(states(&broken, 2, None), [("driver", Ok), ("card", Ok), ("card", Fail), ("silicon", Warn)]);
        let double = found(|all| all["doubles"] = json!(["libcuda.so.1"]));
        assert_eq!(states(&double, 0, None), [("driver", Warn), ("driver", Ok), ("card", Ok), ("silicon", Ok)]);
    }

    #[test]
    fn a_card_that_can_do_less_is_a_warning() {
        let card = |change: fn(&mut Value), lanes| {
            let found = found(|all| change(&mut all["devices"][0]));
            states(&found, 1, lanes)[1].1
        };
        assert_eq!(card(|card| card["encodes"] = json!([]), Some(16)), State::Ok);
        assert_eq!(card(|card| card["encodes"] = json!([]), Some(1)), State::Warn);
        assert_eq!(card(|card| card["compute"] = json!([5, 2]), None), State::Warn);
        assert_eq!(card(|card| card["problems"] = json!(["no session"]), None), State::Warn);
    }

    #[test]
    fn cards_on_the_bus_are_counted() {
        let bus = tempfile::tempdir().unwrap();
        for (at, vendor, class) in [
            ("1", "0x10de\n", "0x030000\n"),
            ("2", "0x10de", "0x030200"),
            ("3", "0x10de", "0x040300"),
            ("4", "0x1002", "0x030000"),
            ("5", "0x1002", "0x038000"),
            ("6", "0x8086", "0x020000"),
            ("7", "0x1af4", "0x030000"),
        ] {
            let device = bus.path().join(at);
            fs::create_dir(&device).unwrap();
            fs::write(device.join("vendor"), vendor).unwrap();
            fs::write(device.join("class"), class).unwrap();
        }
        assert_eq!(Plugged::on(bus.path()), Plugged { nvidia: 2, others: BTreeSet::from(["AMD"]) });
        assert_eq!(Plugged::on(Path::new("/nonexistent")), Plugged::default());
    }

    /// Whoever takes this back must do so in all three places.
    #[test]
    fn the_readme_and_the_manual_say_it_too() {
        for (page, says) in [
            (include_str!("../../../../README.md"), "never yet on a real card"),
            (include_str!("../../../../docs/gpu.md"), "No card has run this yet"),
        ] {
            // Wherever its lines break.
            let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(page.contains(says) && page.contains("headframe-codec gpu-test"), "{says:?} is gone");
            assert!(page.contains("headframe-bench gpu --accept"), "the acceptance is gone");
            assert!(page.contains("open an issue of the project"), "where reports go is gone");
        }
    }
}
