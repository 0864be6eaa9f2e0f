//! A card without CUDA that scales for the processors: whether the worker program would use it, and why not.

use super::cards::{DRIVERS, NVIDIA, Plugged};
use super::{Check, ask};
use headframe_codec::worker::Vulkan;
use serde::Deserialize;
use serde_json::Value;
use std::fs;
use std::path::Path;

const NAME: &str = "vulkan";
/// What never ran on a card. README and docs/gpu.md say the same.
const NEVER_RAN: &str = "scaling by Vulkan has never run on a card of AMD or Intel, on Mesa's software driver only";
/// How an owner of a card can change that.
const TRY: &str = "please open an issue of the project with what `headframe-codec vulkan --json` prints (docs/gpu.md)";
const NOT_BUILT: &str = "./run install builds it in; by hand: cargo build --release -p headframe-codec --features \
    headframe-codec/vulkan. Without it the processors scale";
const NO_DRIVER: &str = "install its Vulkan driver (Debian: libvulkan1 and mesa-vulkan-drivers); `headframe-codec \
    vulkan` must list the card then. Until then the processors scale";
const NO_NODE: &str = "there is no /dev/dri/renderD128 or the like of it: load the card's kernel module (amdgpu, i915, \
    xe) with its firmware; into a container the node has to be passed. Until then the processors scale";
const NOT_THERE: &str = "`headframe-codec vulkan` lists names and UUIDs; codec.vulkan = \"auto\" takes the best";
const BROKEN: &str = "the processors scale. A newer driver may help (mesa-vulkan-drivers, the kernel), and a card \
    that is overclocked or too hot computes wrongly";
const SILENT: &str =
    "headframe-codec vulkan; a driver that hangs needs a restart of the machine. Until then the processors scale";
/// The service sees no node by itself.
const UNIT: &str = "the service has the card only with the drop-in of docs/operating.md (Other cards)";
const LEAVE: &str = "codec.vulkan = \"none\" leaves it alone";

/// What `headframe-codec vulkan --json` says, as far as it is looked at here.
#[derive(Debug, Deserialize)]
struct Found {
    built: bool,
    devices: Vec<Listed>,
    chosen: Option<Chosen>,
    problem: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Listed {
    id: String,
    name: String,
    kind: String,
}

#[derive(Debug, Deserialize)]
struct Chosen {
    id: String,
    name: String,
    driver: String,
    broken: Option<String>,
    device: Option<Times>,
    host: Option<Times>,
    worthwhile: bool,
}

/// Of one picture.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Times {
    processor_us: u64,
    wall_us: u64,
}

/// The check, where there is such a card or one is named, and all that was said.
pub(super) async fn all(program: &Path, choice: &Vulkan, plugged: &Plugged) -> (Option<Check>, Option<Value>) {
    let device = match choice {
        Vulkan::Named(name) => Some(name.as_str()),
        Vulkan::Auto | Vulkan::None if plugged.others.is_empty() => return (None, None),
        Vulkan::Auto => None,
        Vulkan::None => {
            let found = format!("codec.vulkan is \"none\": a card of {} is left alone", plugged.makers());
            return (Some(Check::ok(NAME, found)), None);
        }
    };
    let mut args = vec!["vulkan", "--json"];
    args.extend(device.iter().flat_map(|name| ["--device", *name]));
    let read = ask(program, &args, DRIVERS).await.and_then(|said| {
        let all: Value = serde_json::from_slice(&said).map_err(|error| format!("what it says of devices: {error}"))?;
        let found = Found::deserialize(&all).map_err(|error| format!("what it says of devices: {error}"))?;
        Ok((found, all))
    });
    match read {
        Ok((found, all)) => {
            let node = Node::of_others(Path::new("/dev/dri"), Path::new("/sys/class/drm"));
            (Some(judge(&found, choice, &node)), Some(all))
        }
        Err(why) => (Some(unusable(why, SILENT)), None),
    }
}

fn judge(found: &Found, choice: &Vulkan, node: &Node) -> Check {
    let problem = || found.problem.clone().unwrap_or_else(|| "nothing was tried".to_owned());
    if !found.built {
        return unusable(problem(), NOT_BUILT);
    }
    let Some(chosen) = &found.chosen else {
        let seen: Vec<_> = found.devices.iter().map(|device| device.name.as_str()).collect();
        let seen = if seen.is_empty() { "nothing".to_owned() } else { seen.join(", ") };
        return match (choice, node) {
            (_, Node::Shut(why)) => {
                let remedy = "run this as root, or as a member of the group `render`";
                unusable(format!("{}; {why}", problem()), &format!("{remedy}; {UNIT}"))
            }
            (Vulkan::Named(_), _) if !found.devices.is_empty() => {
                unusable(format!("{}; there are: {seen}", problem()), NOT_THERE)
            }
            (_, Node::Missing) => unusable(problem(), NO_NODE),
            (_, Node::Open) => unusable(format!("{}; there are: {seen}", problem()), NO_DRIVER),
        };
    };
    // A software driver is no card: nobody needs to hear of it.
    let kind = found.devices.iter().find(|device| device.id == chosen.id).map(|device| device.kind.as_str());
    let software = kind == Some("software");
    let named = format!("{} ({})", chosen.name, chosen.driver);
    let (device, host) = match (&chosen.broken, chosen.device, chosen.host) {
        (None, Some(device), Some(host)) => (device, host),
        (broken, ..) => {
            let why = format!("{named}: {}", broken.as_deref().unwrap_or("nothing was measured"));
            return unusable(why, &if software { BROKEN.to_owned() } else { format!("{BROKEN}; {TRY}") });
        }
    };
    let ms = |us: u64| us as f64 / 1000.0;
    let measured = format!(
        "a 1080p picture takes {:.2} ms of a processor and is there after {:.2} ms, instead of {:.2} ms of a processor",
        ms(device.processor_us),
        ms(device.wall_us),
        ms(host.processor_us)
    );
    let never_ran = if software { String::new() } else { format!("; {NEVER_RAN}") };
    let try_it = (!software).then(|| TRY.to_owned());
    match (chosen.worthwhile, choice) {
        (false, Vulkan::Named(_)) => {
            let found = format!(
                "{named} is used because codec.vulkan names it, and not worth its while: {measured}{never_ran}"
            );
            let remedy = ["codec.vulkan = \"auto\" has the processors scale".to_owned()].into_iter().chain(try_it);
            Check::warn(NAME, found, remedy.collect::<Vec<_>>().join("; "))
        }
        (false, _) => {
            let found = format!("{named} is not worth its while, the processors scale: {measured}{never_ran}");
            Check { remedy: try_it, ..Check::ok(NAME, found) }
        }
        (true, _) => {
            let found = format!("{named} scales: {measured}{never_ran}");
            Check { remedy: try_it.map(|try_it| format!("{UNIT}; {try_it}")), ..Check::ok(NAME, found) }
        }
    }
}

fn unusable(why: String, remedy: &str) -> Check {
    Check::warn(NAME, format!("no card scales: {why}"), format!("{remedy}; {LEAVE}"))
}

/// The device files through which programs compute on cards of other makers than NVIDIA.
#[derive(Debug, PartialEq, Eq)]
enum Node {
    /// There is none.
    Missing,
    /// None can be opened: which, and why.
    Shut(String),
    Open,
}

impl Node {
    fn of_others(folder: &Path, class: &Path) -> Self {
        let mut seen = Self::Missing;
        for node in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = node.file_name();
            let maker = fs::read_to_string(class.join(&name).join("device/vendor")).unwrap_or_default();
            if !name.to_string_lossy().starts_with("renderD") || maker.trim() == NVIDIA {
                continue;
            }
            match fs::OpenOptions::new().read(true).write(true).open(node.path()) {
                Ok(_) => return Self::Open,
                Err(error) => seen = Self::Shut(format!("{}: {error}", node.path().display())),
            }
        }
        seen
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::State;
    use super::*;
    use serde_json::json;
    use std::collections::BTreeSet;

    fn found(change: impl FnOnce(&mut Value)) -> Found {
        let device =
            json!({ "id": "a0", "name": "Radeon", "kind": "discrete", "driver": "radv 25", "memory_bytes": 1 });
        let chosen = json!({
            "id": "a0", "name": "Radeon", "driver": "radv 25", "broken": null, "worthwhile": true,
            "device": { "processor_us": 350, "wall_us": 2100 }, "host": { "processor_us": 1400, "wall_us": 1400 },
        });
        let mut all = json!({ "built": true, "devices": [device], "chosen": chosen, "problem": null });
        change(&mut all);
        serde_json::from_value(all).unwrap()
    }

    fn named() -> Vulkan {
        Vulkan::Named("Radeon".to_owned())
    }

    #[test]
    fn a_card_that_is_used_is_described_and_that_none_ever_ran_is_said() {
        let check = judge(&found(|_| ()), &Vulkan::Auto, &Node::Open);
        let due = "Radeon (radv 25) scales: a 1080p picture takes 0.35 ms of a processor and is there after 2.10 ms, \
                   instead of 1.40 ms of a processor";
        assert!(check.state == State::Ok && check.found.starts_with(due), "{check:?}");
        assert!(check.found.ends_with(NEVER_RAN), "{check:?}");
        let remedy = check.remedy.unwrap();
        assert!(remedy.contains("headframe-codec vulkan --json") && remedy.contains("open an issue"), "{remedy}");
        assert!(remedy.contains("drop-in"), "{remedy}");
    }

    #[test]
    fn a_card_that_is_not_worth_its_while_is_a_warning_only_where_it_is_named() {
        let slow = found(|all| all["chosen"]["worthwhile"] = json!(false));
        let check = judge(&slow, &Vulkan::Auto, &Node::Open);
        assert!(check.state == State::Ok && check.found.contains("not worth its while"), "{check:?}");
        assert!(check.found.contains("1.40 ms") && check.found.ends_with(NEVER_RAN), "{check:?}");
        assert_eq!(check.remedy.as_deref(), Some(TRY));
        let check = judge(&slow, &named(), &Node::Open);
        assert!(check.state == State::Warn && check.found.contains("because codec.vulkan names it"), "{check:?}");
        assert_eq!(judge(&found(|_| ()), &named(), &Node::Open).state, State::Ok);
    }

    #[test]
    fn a_card_that_cannot_be_used_is_a_warning_with_what_to_do() {
        let told = |found: &Found, choice: &Vulkan, node: &Node| {
            let check = judge(found, choice, node);
            assert!(check.state == State::Warn && check.found.starts_with("no card scales: "), "{check:?}");
            let remedy = check.remedy.unwrap();
            assert!(remedy.contains("codec.vulkan = \"none\""), "{remedy}");
            (check.found, remedy)
        };
        let broken = found(|all| all["chosen"]["broken"] = json!("it computes rung 0 otherwise than the processor"));
        let (why, remedy) = told(&broken, &Vulkan::Auto, &Node::Open);
        assert!(why.contains("Radeon (radv 25): it computes rung 0") && remedy.contains(TRY), "{why} {remedy}");
        let nothing = |problem: &str, built: bool, devices: Value| {
            found(|all| *all = json!({ "built": built, "devices": devices, "chosen": null, "problem": problem }))
        };
        let (why, remedy) = told(&nothing("was built without", false, json!([])), &Vulkan::Auto, &Node::Open);
        assert!(why.ends_with("was built without"), "{why}");
        assert!(remedy.contains("--features headframe-codec/vulkan") && remedy.contains("./run install"), "{remedy}");
        let software = json!([{ "id": "b0", "name": "llvmpipe", "kind": "software" }]);
        let none = nothing("no driver", true, software);
        let (why, remedy) = told(&none, &Vulkan::Auto, &Node::Open);
        assert!(why.contains("llvmpipe") && remedy.contains("mesa-vulkan-drivers"), "{why} {remedy}");
        assert!(told(&none, &Vulkan::Auto, &Node::Missing).1.contains("kernel module"));
        let shut = Node::Shut("/dev/dri/renderD128: Permission denied".to_owned());
        let (why, remedy) = told(&none, &Vulkan::Auto, &shut);
        assert!(why.contains("Permission denied") && remedy.contains("`render`"), "{why} {remedy}");
        assert!(remedy.contains("drop-in"), "{remedy}");
        let (why, remedy) = told(&none, &named(), &Node::Open);
        assert!(why.contains("there are: llvmpipe") && remedy.contains("lists names"), "{why} {remedy}");
    }

    #[test]
    fn a_software_driver_is_no_card() {
        let check = judge(&found(|all| all["devices"][0]["kind"] = json!("software")), &named(), &Node::Open);
        assert!(check.state == State::Ok && !check.found.contains("never run"), "{check:?}");
        assert_eq!(check.remedy, None);
    }

    #[tokio::test]
    async fn nothing_is_asked_where_there_is_no_such_card_or_none_is_wanted() {
        let program = Path::new("/nonexistent/headframe-codec");
        let (none, amd) = (Plugged::default(), Plugged { nvidia: 0, others: BTreeSet::from(["AMD"]) });
        for choice in [Vulkan::Auto, Vulkan::None] {
            assert_eq!(all(program, &choice, &none).await, (None, None));
        }
        let (left, said) = all(program, &Vulkan::None, &amd).await;
        let left = left.unwrap();
        assert!(left.state == State::Ok && left.found.contains("card of AMD is left alone"), "{left:?}");
        assert_eq!(said, None);
        for (choice, plugged) in [(Vulkan::Auto, &amd), (named(), &none)] {
            let check = all(program, &choice, plugged).await.0.unwrap();
            assert!(check.state == State::Warn && check.found.contains("cannot run /nonexistent"), "{check:?}");
        }
    }

    #[test]
    fn nodes_are_those_of_other_makers() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, class) = (dir.path().join("dri"), dir.path().join("drm"));
        let node = || Node::of_others(&folder, &class);
        assert_eq!(node(), Node::Missing);
        fs::create_dir_all(class.join("renderD128/device")).unwrap();
        fs::write(class.join("renderD128/device/vendor"), "0x10de\n").unwrap();
        fs::create_dir(&folder).unwrap();
        for name in ["card0", "renderD128"] {
            fs::write(folder.join(name), "").unwrap();
        }
        assert_eq!(node(), Node::Missing);
        // Nobody writes into a folder as if it were a file, root neither.
        fs::create_dir(folder.join("renderD129")).unwrap();
        let Node::Shut(why) = node() else { panic!("not shut") };
        assert!(why.contains("renderD129"), "{why}");
        fs::write(folder.join("renderD130"), "").unwrap();
        assert_eq!(node(), Node::Open);
    }

    /// Whoever takes this back must do so in all places.
    #[test]
    fn the_readme_and_the_manuals_say_it_too() {
        for (page, says) in [
            (include_str!("../../../../README.md"), "never yet on a card of AMD or Intel"),
            (include_str!("../../../../docs/gpu.md"), "never on a card of AMD or Intel"),
            (include_str!("../../../../docs/operating.md"), "No card of AMD or Intel has run this yet"),
        ] {
            // Wherever its lines break.
            let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(page.contains(says) && page.contains("headframe-codec vulkan --json"), "{says:?} is gone");
            assert!(page.contains("open an issue of the project"), "where reports go is gone");
        }
    }
}
