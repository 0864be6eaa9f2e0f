//! Which devices there are, and which of them is worth its while: right to the bit, and less work for the processors.

use std::time::Duration;

use serde::Serialize;

/// Time that a picture may take until its rungs are there: half of what a 1080p60 stream leaves for it, because a worker has
/// to decode on the same thread.
#[cfg(feature = "vulkan")]
const LONGEST: Duration = Duration::from_millis(8);

/// What was found, for people and for programs.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Whether this program can use any.
    pub built: bool,
    /// All devices.
    pub devices: Vec<Listed>,
    /// The one that was tried, where there is one.
    pub chosen: Option<Chosen>,
    /// Why none was tried.
    pub problem: Option<String>,
}

/// A device of the machine.
#[derive(Debug, Clone, Serialize)]
pub struct Listed {
    /// Its name for good, in hexadecimal digits; its product's name where the driver gives none.
    pub id: String,
    /// The driver's name for it.
    pub name: String,
    /// `discrete`, `integrated`, `virtual`, `other` or `software`.
    pub kind: &'static str,
    /// Name and version of the driver.
    pub driver: String,
    /// Bytes of its own memory.
    pub memory_bytes: u64,
}

/// A device that was tried.
#[derive(Debug, Clone, Serialize)]
pub struct Chosen {
    /// As listed.
    pub id: String,
    /// As listed.
    pub name: String,
    /// As listed.
    pub driver: String,
    /// Why it cannot be used at all; it computes what the processors do where there is nothing.
    pub broken: Option<String>,
    /// A 1080p picture to all rungs of the standard ladder, on the device and on a processor.
    pub device: Option<Times>,
    /// As above.
    pub host: Option<Times>,
    /// Whether the processors have less to do with it.
    pub worthwhile: bool,
}

/// What one picture takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Times {
    /// Processor time, that of all threads.
    #[serde(rename = "processor_us", serialize_with = "microseconds")]
    pub processor: Duration,
    /// From beginning to end.
    #[serde(rename = "wall_us", serialize_with = "microseconds")]
    pub wall: Duration,
}

fn microseconds<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}

/// Lists the devices and tries one: that with this name or UUID, or the best that is neither a software driver nor NVIDIA's own,
/// whose cards have CUDA.
#[cfg(not(feature = "vulkan"))]
pub fn probe(name: Option<&str>) -> Report {
    let problem = super::Device::open(name.unwrap_or_default()).err();
    Report { problem, ..Report::default() }
}

/// As above.
#[cfg(feature = "vulkan")]
pub fn probe(name: Option<&str>) -> Report {
    let infos = match headframe_kernels::vulkan::devices() {
        Ok(infos) => infos,
        Err(error) => return Report { built: true, problem: Some(error.to_string()), ..Report::default() },
    };
    let devices: Vec<Listed> = infos.iter().map(listed).collect();
    let wanted = infos.iter().zip(&devices).find(|(info, listed)| match name {
        Some(name) => listed.name == name || same(&listed.id, name),
        None => info.kind != headframe_kernels::vulkan::Kind::Software && !info.driver.starts_with(NVIDIA),
    });
    let (chosen, problem) = match (wanted, name) {
        (Some((_, device)), _) => (Some(tried(device)), None),
        (None, Some(name)) => (None, Some(format!("there is no device {name:?}"))),
        (None, None) => (None, Some("no graphics card has a Vulkan driver that is not NVIDIA's".to_owned())),
    };
    Report { built: true, devices, chosen, problem }
}

/// How NVIDIA's own driver calls itself (VkPhysicalDeviceDriverProperties).
#[cfg(feature = "vulkan")]
const NVIDIA: &str = "NVIDIA";

#[cfg(feature = "vulkan")]
fn same(id: &str, name: &str) -> bool {
    let digits = |text: &str| text.chars().filter(|it| *it != '-').collect::<String>();
    digits(id).eq_ignore_ascii_case(&digits(name))
}

#[cfg(feature = "vulkan")]
fn listed(info: &headframe_kernels::vulkan::DeviceInfo) -> Listed {
    use headframe_kernels::vulkan::Kind;
    let id = info.uuid.map(|uuid| uuid.iter().map(|byte| format!("{byte:02x}")).collect());
    Listed {
        id: id.unwrap_or_else(|| info.name.clone()),
        name: info.name.clone(),
        kind: match info.kind {
            Kind::Discrete => "discrete",
            Kind::Integrated => "integrated",
            Kind::Virtual => "virtual",
            Kind::Other => "other",
            Kind::Software => "software",
        },
        driver: info.driver.clone(),
        memory_bytes: info.memory,
    }
}

#[cfg(feature = "vulkan")]
fn tried(device: &Listed) -> Chosen {
    let Listed { id, name, driver, .. } = device.clone();
    let measured = super::Device::open(&id).and_then(|device| {
        device.works()?;
        super::proof::times(&device)
    });
    let chosen = Chosen { id, name, driver, broken: None, device: None, host: None, worthwhile: false };
    match measured {
        Err(reason) => Chosen { broken: Some(reason), ..chosen },
        Ok((on_device, on_host)) => Chosen {
            device: Some(on_device),
            host: Some(on_host),
            worthwhile: worthwhile(on_device, on_host),
            ..chosen
        },
    }
}

/// A quarter less work for the processors, in time.
#[cfg(feature = "vulkan")]
fn worthwhile(device: Times, host: Times) -> bool {
    device.processor * 4 <= host.processor * 3 && device.wall <= LONGEST
}

#[cfg(all(test, feature = "vulkan"))]
mod tests {
    use super::*;

    #[test]
    fn a_device_has_to_save_a_quarter_in_time() {
        let times =
            |processor, wall| Times { processor: Duration::from_micros(processor), wall: Duration::from_micros(wall) };
        let host = times(2_000, 2_000);
        assert!(worthwhile(times(1_500, 8_000), host) && worthwhile(times(0, 0), host));
        assert!(!worthwhile(times(1_501, 1_000), host) && !worthwhile(times(100, 8_001), host));
    }

    #[test]
    fn a_uuid_is_the_same_with_and_without_hyphens() {
        assert!(same("a0a1a2a3", "A0a1-a2a3") && !same("a0a1", "a0a1a2"));
    }
}
