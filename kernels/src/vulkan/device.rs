//! Finding devices, and opening one: queue, memory, shaders. Nothing is linked: the loader is opened at run time.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use vulkano::buffer::{Buffer, BufferCreateInfo, BufferUsage, Subbuffer};
use vulkano::command_buffer::allocator::StandardCommandBufferAllocator;
use vulkano::descriptor_set::allocator::StandardDescriptorSetAllocator;
use vulkano::descriptor_set::{DescriptorSet, WriteDescriptorSet};
use vulkano::device::physical::{PhysicalDevice, PhysicalDeviceType};
use vulkano::device::{Device, DeviceCreateInfo, DeviceFeatures, Queue, QueueCreateInfo, QueueFlags};
use vulkano::instance::{Instance, InstanceCreateInfo};
use vulkano::memory::MemoryPropertyFlags;
use vulkano::memory::allocator::{
    AllocationCreateInfo, MemoryAllocatePreference, MemoryTypeFilter, StandardMemoryAllocator,
};
use vulkano::{LoadingError, Validated, Version, VulkanError, VulkanLibrary};

use super::error::{Error, Explain};
use super::kernel::Kernels;

/// What a device is, the most useful first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A graphics card.
    Discrete,
    /// Part of the processor, sharing its memory.
    Integrated,
    /// A share of a card in a virtual machine.
    Virtual,
    /// Something else.
    Other,
    /// A driver that computes on the processor: correct and slow.
    Software,
}

/// A device that could be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceInfo {
    /// The driver's name for it.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Tells cards of one name apart; the same as long as the machine is not rebuilt.
    pub uuid: Option<[u8; 16]>,
    /// Name and version of the driver, as it gives them.
    pub driver: String,
    /// Bytes of its own memory.
    pub memory: u64,
}

/// Which device to open.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Choice {
    /// The best that is not [`Kind::Software`]: the processor's own kernels are faster than those.
    #[default]
    Hardware,
    /// The first of [`Kind::Software`].
    Software,
    /// The first with this name, or with this UUID in hexadecimal digits (hyphens do not count), of any kind.
    Named(String),
}

impl Choice {
    fn fits(&self, info: &DeviceInfo) -> bool {
        match self {
            Self::Hardware => info.kind != Kind::Software,
            Self::Software => info.kind == Kind::Software,
            Self::Named(name) => {
                let digits: String = name.chars().filter(|digit| *digit != '-').collect();
                let uuid = info.uuid.map(|uuid| uuid.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
                info.name == *name || uuid.is_some_and(|uuid| uuid.eq_ignore_ascii_case(&digits))
            }
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hardware => f.write_str("hardware"),
            Self::Software => f.write_str("a software driver"),
            Self::Named(name) => write!(f, "called {name}"),
        }
    }
}

/// The devices of this machine that can run the kernels, the most useful first.
pub fn devices() -> Result<Vec<DeviceInfo>, Error> {
    Ok(usable()?.into_iter().map(|(info, _, _)| info).collect())
}

type Usable = (DeviceInfo, Arc<PhysicalDevice>, u32);

/// Devices, each with the queue family to use.
fn usable() -> Result<Vec<Usable>, Error> {
    let library = VulkanLibrary::new().map_err(|error| match error {
        LoadingError::LibraryLoadFailure(error) => Error::NoLoader { reason: error.to_string() },
        LoadingError::VulkanError(error) => Error::NoLoader { reason: error.to_string() },
    })?;
    let about = InstanceCreateInfo { application_name: Some("headframe".into()), ..Default::default() };
    let instance = Instance::new(library, about).map_err(|error| match error {
        Validated::Error(VulkanError::OutOfHostMemory) => Error::Memory { what: "starting Vulkan" },
        Validated::Error(error) => Error::NoDriver { reason: error.to_string() },
        Validated::ValidationError(error) => Error::NoDriver { reason: error.to_string() },
    })?;
    let found = instance.enumerate_physical_devices().map_err(|error| match error {
        VulkanError::InitializationFailed => Error::NoDriver { reason: error.to_string() },
        other => other.explain("listing devices"),
    })?;
    let mut usable: Vec<Usable> = found.filter_map(with_queue).collect();
    usable.sort_by_key(|(info, _, _)| info.kind);
    Ok(usable)
}

fn with_queue(device: Arc<PhysicalDevice>) -> Option<Usable> {
    if device.api_version() < Version::V1_1 {
        return None;
    }
    let families = device.queue_family_properties();
    let family = families.iter().position(|family| family.queue_flags.intersects(QueueFlags::COMPUTE))?;
    let properties = device.properties();
    let info = DeviceInfo {
        name: properties.device_name.clone(),
        kind: match properties.device_type {
            PhysicalDeviceType::DiscreteGpu => Kind::Discrete,
            PhysicalDeviceType::IntegratedGpu => Kind::Integrated,
            PhysicalDeviceType::VirtualGpu => Kind::Virtual,
            PhysicalDeviceType::Cpu => Kind::Software,
            _ => Kind::Other,
        },
        uuid: properties.device_uuid,
        driver: [properties.driver_name.as_deref(), properties.driver_info.as_deref()]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(" "),
        memory: device
            .memory_properties()
            .memory_heaps
            .iter()
            .filter(|heap| heap.flags.intersects(vulkano::memory::MemoryHeapFlags::DEVICE_LOCAL))
            .map(|heap| heap.size)
            .sum(),
    };
    Some((info, device, u32::try_from(family).ok()?))
}

/// An open device. Clones share it; it may be used from several threads, whose work it does in turn.
#[derive(Clone)]
pub struct Gpu {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    info: DeviceInfo,
    pub(super) device: Arc<Device>,
    pub(super) queue: Arc<Queue>,
    memory: Arc<StandardMemoryAllocator>,
    sets: Arc<StandardDescriptorSetAllocator>,
    pub(super) commands: Arc<StandardCommandBufferAllocator>,
    pub(super) kernels: Kernels,
    /// Set once and for all when the device is lost or hangs.
    pub(super) lost: AtomicBool,
}

impl fmt::Debug for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gpu").field(&self.shared.info).finish()
    }
}

/// Where a buffer lies.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    /// In the device's own memory.
    Device,
    /// Where the processor writes and the device reads.
    Upload,
    /// Where the device writes and the processor reads.
    Download,
}

impl Gpu {
    /// Opens a device and compiles the kernels for it. Takes about a second on some drivers: open once, keep.
    pub fn open(choice: &Choice) -> Result<Self, Error> {
        let usable = usable()?;
        let found = || usable.iter().map(|(info, _, _)| info.name.as_str()).collect::<Vec<_>>().join(", ");
        let Some((info, physical, family)) = usable.iter().find(|(info, _, _)| choice.fits(info)) else {
            return Err(Error::NoDevice { wanted: choice.to_string(), found: found() });
        };
        let about = DeviceCreateInfo {
            queue_create_infos: vec![QueueCreateInfo { queue_family_index: *family, ..Default::default() }],
            // Every Vulkan device has it: whatever a shader computed wrongly, it stays inside the buffers it was given.
            enabled_features: DeviceFeatures { robust_buffer_access: true, ..DeviceFeatures::empty() },
            ..Default::default()
        };
        let opening = "opening the device";
        let (device, mut queues) = Device::new(physical.clone(), about).map_err(|error| error.explain(opening))?;
        let queue = queues.next().ok_or(Error::Driver { what: opening, reason: "it has no queue".into() })?;
        let shared = Shared {
            info: info.clone(),
            kernels: Kernels::new(&device)?,
            memory: Arc::new(StandardMemoryAllocator::new_default(device.clone())),
            sets: Arc::new(StandardDescriptorSetAllocator::new(device.clone(), Default::default())),
            commands: Arc::new(StandardCommandBufferAllocator::new(device.clone(), Default::default())),
            queue,
            device,
            lost: AtomicBool::new(false),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// What was opened.
    pub fn info(&self) -> &DeviceInfo {
        &self.shared.info
    }

    /// Whether it was lost or hangs. Nothing mends that in this process.
    pub fn is_lost(&self) -> bool {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// A buffer with memory of its own, so that what is dropped is free at once, and no larger than the shaders can
    /// address. No words are one word: there are no empty buffers.
    pub(super) fn buffer(&self, words: u64, place: Place, what: &'static str) -> Result<Subbuffer<[u32]>, Error> {
        let limit = u64::from(self.shared.device.physical_device().properties().max_storage_buffer_range);
        let needed = words.saturating_mul(4);
        if needed > limit {
            return Err(Error::TooLarge { what: "bytes of one buffer", needed, limit });
        }
        // Coherent: what the host writes needs no flushing, and nothing of that can fail.
        let host = MemoryPropertyFlags::HOST_VISIBLE | MemoryPropertyFlags::HOST_COHERENT;
        let (usage, memory_type_filter) = match place {
            Place::Device => (
                BufferUsage::STORAGE_BUFFER | BufferUsage::TRANSFER_SRC | BufferUsage::TRANSFER_DST,
                MemoryTypeFilter::PREFER_DEVICE,
            ),
            Place::Upload => (
                BufferUsage::TRANSFER_SRC,
                MemoryTypeFilter {
                    required_flags: host,
                    preferred_flags: MemoryPropertyFlags::empty(),
                    not_preferred_flags: MemoryPropertyFlags::DEVICE_LOCAL | MemoryPropertyFlags::HOST_CACHED,
                },
            ),
            Place::Download => (
                BufferUsage::TRANSFER_DST,
                MemoryTypeFilter {
                    required_flags: host,
                    preferred_flags: MemoryPropertyFlags::HOST_CACHED,
                    not_preferred_flags: MemoryPropertyFlags::DEVICE_LOCAL,
                },
            ),
        };
        let about = BufferCreateInfo { usage, ..Default::default() };
        let allocation = AllocationCreateInfo {
            memory_type_filter,
            allocate_preference: MemoryAllocatePreference::AlwaysAllocate,
            ..Default::default()
        };
        Buffer::new_slice(self.shared.memory.clone(), about, allocation, words.max(1))
            .map_err(|error| error.explain(what))
    }

    /// Four buffers as the kernels' bindings 0 to 3.
    pub(super) fn set(&self, buffers: [&Subbuffer<[u32]>; 4]) -> Result<Arc<DescriptorSet>, Error> {
        let writes = (0..).zip(buffers).map(|(binding, buffer)| WriteDescriptorSet::buffer(binding, buffer.clone()));
        DescriptorSet::new(self.shared.sets.clone(), self.shared.kernels.bindings.clone(), writes, [])
            .map_err(|error| error.explain("binding buffers"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_fit() {
        let info = |kind| DeviceInfo {
            name: "Some GPU".into(),
            kind,
            uuid: Some(std::array::from_fn(|i| 0xa0 + i as u8)),
            driver: String::new(),
            memory: 0,
        };
        let (card, software) = (info(Kind::Discrete), info(Kind::Software));
        assert!(Choice::Hardware.fits(&card) && !Choice::Hardware.fits(&software));
        assert!(!Choice::Software.fits(&card) && Choice::Software.fits(&software));
        let named = |name: &str| Choice::Named(name.into());
        assert!(named("Some GPU").fits(&software) && !named("some").fits(&card));
        assert!(named("a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf").fits(&card));
        assert!(named("A0A1A2A3A4A5A6A7A8A9AAABACADAEAF").fits(&card));
        assert!(!named("a0").fits(&card));
        assert!(Kind::Discrete < Kind::Integrated && Kind::Other < Kind::Software);
    }
}
