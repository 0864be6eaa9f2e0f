//! Cards, their memory, and what orders work on them.

use std::ffi::{CStr, CString, c_void};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use super::driver::{Driver, check, driver};
use super::error::CudaError;
use super::plan::THREADS;
use cudarc::driver::sys;
use sys::CUdevice_attribute as Attribute;

/// What the driver compiles for the card: made by `scripts/ptx`, for compute capability 6.1 and later.
const PTX: &str = concat!(include_str!("../../ptx/headframe.ptx"), "\0");
/// The lowest compute capability that has the instructions.
const LEAST: (i32, i32) = (6, 1);
/// `CU_STREAM_NON_BLOCKING`: not ordered behind the stream that everybody shares.
const NON_BLOCKING: u32 = 1;
/// `CU_EVENT_DISABLE_TIMING`: cheapest where queues only wait for each other.
const UNTIMED: u32 = 2;

/// The name of a card for good, as `nvidia-smi -L` prints it: `GPU-` and five groups of digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Uuid(pub [u8; 16]);

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GPU")?;
        for (i, byte) in self.0.iter().enumerate() {
            let dash = if [0, 4, 6, 8, 10].contains(&i) { "-" } else { "" };
            write!(f, "{dash}{byte:02x}")?;
        }
        Ok(())
    }
}

impl FromStr for Uuid {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "a card's name is GPU- and 32 hexadecimal digits with dashes: 8-4-4-4-12";
        let digits: String = text.strip_prefix("GPU-").ok_or(WRONG)?.replace('-', "");
        let bytes = |i: usize| digits.get(2 * i..2 * i + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        let mut uuid = [0; 16];
        for (i, byte) in uuid.iter_mut().enumerate() {
            *byte = bytes(i).ok_or(WRONG)?;
        }
        let uuid = Self(uuid);
        if uuid.to_string() == text.to_lowercase().replacen("gpu", "GPU", 1) { Ok(uuid) } else { Err(WRONG) }
    }
}

/// A card, as the driver describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Its name for good.
    pub uuid: Uuid,
    /// Its name for people.
    pub name: String,
    /// Compute capability.
    pub capability: (i32, i32),
    /// Bytes of memory.
    pub memory: u64,
    /// Multiprocessors.
    pub multiprocessors: i32,
}

/// The newest CUDA version that the driver knows, times 1000: 12040 is 12.4.
pub fn driver_version() -> Result<i32, CudaError> {
    let mut version = 0;
    // SAFETY: `version` is a place for one number.
    check("cuDriverGetVersion", unsafe { (driver()?.version)(&mut version) })?;
    Ok(version)
}

/// All cards that this process sees, none of them opened. One that the driver cannot describe is left out; opening it says
/// why. An error if there is no other.
pub fn devices() -> Result<Vec<Description>, CudaError> {
    let (mut described, mut failed) = (Vec::new(), None);
    for card in found()? {
        match card.description {
            Ok(description) => described.push(description),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    match failed {
        Some(error) if described.is_empty() => Err(error),
        _ => Ok(described),
    }
}

/// A card, as far as the driver knows it.
struct Found {
    device: sys::CUdevice,
    uuid: Result<Uuid, CudaError>,
    description: Result<Description, CudaError>,
}

fn found() -> Result<Vec<Found>, CudaError> {
    let driver = driver()?;
    // SAFETY: no memory is passed; may be called any number of times.
    match check("cuInit", unsafe { (driver.init)(0) }) {
        Err(CudaError::Driver { code, .. }) if code == sys::CUresult::CUDA_ERROR_NO_DEVICE as u32 => {
            return Err(CudaError::NoDevice);
        }
        outcome => outcome?,
    }
    let mut count = 0;
    // SAFETY: `count` is a place for one number.
    check("cuDeviceGetCount", unsafe { (driver.device_count)(&mut count) })?;
    if count <= 0 {
        return Err(CudaError::NoDevice);
    }
    let cards = (0..count)
        .map(|ordinal| {
            let mut device = 0;
            // SAFETY: `device` is a place for one handle; the number is below the count.
            let uuid = check("cuDeviceGet", unsafe { (driver.device)(&mut device, ordinal) });
            let uuid = uuid.and_then(|()| uuid_of(driver, device));
            let description = uuid.clone().and_then(|uuid| describe(driver, device, uuid));
            Found { device, uuid, description }
        })
        .collect();
    Ok(cards)
}

/// The card of this name.
fn find(uuid: Uuid) -> Result<(sys::CUdevice, Description), CudaError> {
    let mut unknown = CudaError::UnknownDevice { uuid };
    for card in found()? {
        match card.uuid {
            Ok(found) if found == uuid => return Ok((card.device, card.description?)),
            Ok(_) => {}
            // It may be the one.
            Err(error) => unknown = error,
        }
    }
    Err(unknown)
}

fn uuid_of(driver: &Driver, device: sys::CUdevice) -> Result<Uuid, CudaError> {
    let mut uuid = Uuid([0; 16]);
    // SAFETY: a `CUuuid` is 16 bytes.
    check("cuDeviceGetUuid", unsafe { (driver.device_uuid)(&mut uuid.0, device) })?;
    Ok(uuid)
}

fn describe(driver: &Driver, device: sys::CUdevice, uuid: Uuid) -> Result<Description, CudaError> {
    let mut name = [0; 256];
    // SAFETY: the length is that of the array, in which the driver ends the string.
    check("cuDeviceGetName", unsafe { (driver.device_name)(name.as_mut_ptr(), 256, device) })?;
    name[255] = 0;
    // SAFETY: there is a zero in it, at the latest the one just written.
    let name = unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned();
    let mut memory = 0;
    // SAFETY: `memory` is a place for one number.
    check("cuDeviceTotalMem", unsafe { (driver.device_memory)(&mut memory, device) })?;
    let attribute = |attribute: Attribute| {
        let mut value = 0;
        // SAFETY: `value` is a place for one number.
        check("cuDeviceGetAttribute", unsafe { (driver.device_attribute)(&mut value, attribute as u32, device) })?;
        Ok::<i32, CudaError>(value)
    };
    let major = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
    let minor = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
    let multiprocessors = attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?;
    Ok(Description { uuid, name, capability: (major, minor), memory: memory as u64, multiprocessors })
}

/// A kernel of the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    Scale(super::plan::Kernel),
    Errors,
    Windows,
    ConvertLuma,
    ConvertChroma,
    Hash,
}

impl Entry {
    fn all() -> Vec<Self> {
        let scaling = super::plan::Kernel::ALL.into_iter().map(Self::Scale);
        scaling.chain([Self::Errors, Self::Windows, Self::ConvertLuma, Self::ConvertChroma, Self::Hash]).collect()
    }

    fn name(self) -> &'static str {
        match self {
            Self::Scale(kernel) => kernel.name(),
            Self::Errors => "error_tiles",
            Self::Windows => "window_sums",
            Self::ConvertLuma => "convert_luma",
            Self::ConvertChroma => "convert_chroma",
            Self::Hash => "hash_rows",
        }
    }
}

/// An open card: its primary context, which all libraries of the process share, with the kernels loaded. Clones are the
/// same card, and equal to what was opened of it another time: memory and queues are the context's.
#[derive(Clone)]
pub struct Gpu(Arc<Opened>);

struct Opened {
    driver: &'static Driver,
    device: sys::CUdevice,
    context: sys::CUcontext,
    module: sys::CUmodule,
    functions: Vec<(Entry, sys::CUfunction)>,
    description: Description,
}

// SAFETY: the driver's functions may be called from every thread; the handles are its own and do not change.
unsafe impl Send for Opened {}
// SAFETY: as above.
unsafe impl Sync for Opened {}

impl fmt::Debug for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gpu").field(&self.0.description).finish()
    }
}

impl PartialEq for Gpu {
    fn eq(&self, other: &Self) -> bool {
        // A card has one primary context, which both hold.
        self.0.context == other.0.context
    }
}

impl Gpu {
    /// Opens a card. The first time on a machine the driver compiles the kernels, which takes a second or so; afterwards it
    /// finds them in the folder that the environment's `CUDA_CACHE_PATH` names.
    pub fn open(uuid: Uuid) -> Result<Self, CudaError> {
        let driver = driver()?;
        let (device, description) = find(uuid)?;
        if description.capability < LEAST {
            let ((major, minor), name) = (description.capability, description.name);
            return Err(CudaError::CardTooOld { name, major, minor });
        }
        let mut context = std::ptr::null_mut();
        // SAFETY: `context` is a place for one handle; `Opened` gives it back.
        check("cuDevicePrimaryCtxRetain", unsafe { (driver.context_retain)(&mut context, device) })?;
        let module = std::ptr::null_mut();
        let mut opened = Opened { driver, device, context, module, functions: Vec::new(), description };
        opened.current()?;
        // SAFETY: the text ends with a zero; the driver copies what it needs of it.
        check("cuModuleLoadData", unsafe { (driver.module_load)(&mut opened.module, PTX.as_ptr().cast::<c_void>()) })?;
        for entry in Entry::all() {
            let name = CString::new(entry.name()).expect("no kernel's name has a zero");
            let mut function = std::ptr::null_mut();
            // SAFETY: `function` is a place for one handle, the module is loaded, the name ends with a zero.
            let code = unsafe { (driver.module_function)(&mut function, opened.module, name.as_ptr()) };
            check("cuModuleGetFunction", code)?;
            opened.functions.push((entry, function));
        }
        Ok(Self(Arc::new(opened)))
    }

    /// What the driver says of it.
    pub fn description(&self) -> &Description {
        &self.0.description
    }

    /// Bytes of memory that are free now, of all that there are.
    pub fn memory(&self) -> Result<(u64, u64), CudaError> {
        let driver = self.current()?;
        let (mut free, mut total) = (0, 0);
        // SAFETY: places for one number each.
        check("cuMemGetInfo", unsafe { (driver.memory_info)(&mut free, &mut total) })?;
        Ok((free as u64, total as u64))
    }

    /// Each kernel with its registers for a thread, and bytes of local memory, on this card.
    pub fn kernels(&self) -> Result<Vec<(&'static str, i32, i32)>, CudaError> {
        let driver = self.current()?;
        let attribute = |function, attribute: sys::CUfunction_attribute| {
            let mut value = 0;
            // SAFETY: `value` is a place for one number; the module is loaded as long as `self` is.
            let code = unsafe { (driver.function_attribute)(&mut value, attribute as u32, function) };
            check("cuFuncGetAttribute", code).map(|()| value)
        };
        let each = self.0.functions.iter().map(|(entry, function)| {
            let registers = attribute(*function, sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_NUM_REGS)?;
            let local = attribute(*function, sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES)?;
            Ok((entry.name(), registers, local))
        });
        each.collect()
    }

    /// A queue of work of its own.
    pub fn queue(&self) -> Result<Queue, CudaError> {
        let driver = self.current()?;
        let mut stream = std::ptr::null_mut();
        // SAFETY: `stream` is a place for one handle; `Queue` gives it back.
        check("cuStreamCreate", unsafe { (driver.stream_create)(&mut stream, NON_BLOCKING) })?;
        Ok(Queue { gpu: self.clone(), stream })
    }

    /// Makes its context this thread's.
    pub(super) fn current(&self) -> Result<&'static Driver, CudaError> {
        self.0.current()
    }

    /// To give something back, which is tried also where the context is lost and cannot be this thread's: then the driver
    /// says no.
    fn current_or_lost(&self) -> &'static Driver {
        let _ = self.current();
        self.0.driver
    }
}

impl Opened {
    fn current(&self) -> Result<&'static Driver, CudaError> {
        // SAFETY: the context is retained as long as `self` lives.
        check("cuCtxSetCurrent", unsafe { (self.driver.context_set)(self.context) })?;
        Ok(self.driver)
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        // An error here means that the context is lost, and all of it with it. Everything is given back all the same.
        let _ = self.current();
        if !self.module.is_null() {
            // SAFETY: loaded by `open` in this context; everything that launches its kernels holds `self`.
            unsafe { (self.driver.module_unload)(self.module) };
        }
        // SAFETY: retained once, in `open`.
        unsafe { (self.driver.context_release)(self.device) };
    }
}

/// Memory of a card.
pub(super) struct Memory {
    gpu: Gpu,
    address: u64,
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Memory({:#x})", self.address)
    }
}

impl Memory {
    /// So many bytes of any content, at a multiple of 256.
    pub(super) fn new(gpu: &Gpu, bytes: usize) -> Result<Self, CudaError> {
        let driver = gpu.current()?;
        let mut address = 0;
        // SAFETY: `address` is a place for one address; `Memory` gives it back.
        check("cuMemAlloc", unsafe { (driver.alloc)(&mut address, bytes.max(1)) })?;
        Ok(Self { gpu: gpu.clone(), address })
    }

    pub(super) fn address(&self) -> u64 {
        self.address
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let driver = self.gpu.current_or_lost();
        // Queued work may still use it. Nothing is freed while pictures are made, so the wait costs nothing then.
        // SAFETY: no arguments.
        unsafe { (driver.context_wait)() };
        // SAFETY: allocated by `new` in this context, and no work that knows the address is left.
        unsafe { (driver.free)(self.address) };
    }
}

/// Work in order. Queues of one card do not wait for each other, except by [`Event`]s.
pub struct Queue {
    gpu: Gpu,
    stream: sys::CUstream,
}

// SAFETY: the driver's functions may be called from every thread, also for one stream.
unsafe impl Send for Queue {}
// SAFETY: as above.
unsafe impl Sync for Queue {}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("gpu", &self.gpu).finish_non_exhaustive()
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        let driver = self.gpu.current_or_lost();
        // SAFETY: made by `Gpu::queue`; the driver lets its work end first.
        unsafe { (driver.stream_destroy)(self.stream) };
    }
}

impl Queue {
    /// The card that it works on.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// The driver's handle, for libraries that take a `CUstream`. Valid as long as this queue.
    pub fn handle(&self) -> *mut c_void {
        self.stream.cast()
    }

    /// Waits until everything queued is done. Errors of that work appear here.
    pub fn finish(&self) -> Result<(), CudaError> {
        let driver = self.gpu.current()?;
        // SAFETY: the stream is this queue's.
        check("cuStreamSynchronize", unsafe { (driver.stream_finish)(self.stream) })
    }

    /// A mark behind everything queued so far.
    pub fn record(&self) -> Result<Event, CudaError> {
        self.mark(self.stream, 0)
    }

    /// Everything queued from now on waits, on the card, for what is queued by now in the default stream, which the whole
    /// process shares and queues do not wait for otherwise. NVDEC copies its pictures out there unless it is given a stream.
    pub fn wait_for_shared(&self) -> Result<(), CudaError> {
        let mark = self.mark(std::ptr::null_mut(), UNTIMED)?;
        self.wait(&mark)
    }

    /// A mark behind everything queued so far in `stream`, of this context.
    fn mark(&self, stream: sys::CUstream, flags: u32) -> Result<Event, CudaError> {
        let driver = self.gpu.current()?;
        let mut event = std::ptr::null_mut();
        // SAFETY: `event` is a place for one handle; `Event` gives it back.
        check("cuEventCreate", unsafe { (driver.event_create)(&mut event, flags) })?;
        let event = Event { gpu: self.gpu.clone(), event };
        // SAFETY: both handles are of this context.
        check("cuEventRecord", unsafe { (driver.event_record)(event.event, stream) })?;
        Ok(event)
    }

    /// Everything queued from now on waits for `event`, on the card.
    pub fn wait(&self, event: &Event) -> Result<(), CudaError> {
        self.same(&event.gpu)?;
        let driver = self.gpu.current()?;
        // SAFETY: both handles are of this context.
        check("cuStreamWaitEvent", unsafe { (driver.stream_wait)(self.stream, event.event, 0) })
    }

    pub(super) fn same(&self, gpu: &Gpu) -> Result<(), CudaError> {
        if self.gpu == *gpu { Ok(()) } else { Err(CudaError::OtherCard) }
    }

    pub(super) fn stream(&self) -> sys::CUstream {
        self.stream
    }

    /// Launches `blocks` of a kernel for each of `count` pictures or pairs.
    ///
    /// # Safety
    /// `parameters` must point to values of the types that the kernel has for its parameters in `cu/headframe.cu`, whose
    /// addresses name memory that is there until the work is done.
    pub(super) unsafe fn launch(
        &self,
        entry: Entry,
        blocks: u32,
        count: u32,
        parameters: &mut [*mut c_void],
    ) -> Result<(), CudaError> {
        if blocks == 0 || count == 0 {
            return Ok(());
        }
        let driver = self.gpu.current()?;
        let known = self.gpu.0.functions.iter().find(|(known, _)| *known == entry);
        let function = known.expect("`Gpu::open` found all of them").1;
        let (stream, parameters) = (self.stream, parameters.as_mut_ptr());
        let none = std::ptr::null_mut();
        // SAFETY: the driver copies the parameters, whose types the caller vouches for, before it returns.
        let code = unsafe { (driver.launch)(function, blocks, count, 1, THREADS, 1, 1, 0, stream, parameters, none) };
        check("cuLaunchKernel", code)
    }

    /// Copies words to memory that has room for them, and waits.
    pub(super) fn upload_words(&self, words: &[u32], to: &Memory) -> Result<(), CudaError> {
        let driver = self.gpu.current()?;
        let bytes = size_of_val(words);
        // SAFETY: the words are that many bytes, `to` was made for them, and both are there until `finish` returns.
        check("cuMemcpyHtoDAsync", unsafe { (driver.upload)(to.address, words.as_ptr().cast(), bytes, self.stream) })?;
        self.finish()
    }

    /// Copies words from memory that has as many, and waits.
    pub(super) fn download_words(&self, from: &Memory, words: &mut [u64]) -> Result<(), CudaError> {
        let driver = self.gpu.current()?;
        let bytes = size_of_val(words);
        let to = words.as_mut_ptr().cast();
        // SAFETY: the words are that many bytes, `from` has as many, and both are there until `finish` returns.
        check("cuMemcpyDtoHAsync", unsafe { (driver.download)(to, from.address, bytes, self.stream) })?;
        self.finish()
    }
}

/// A mark in a queue.
pub struct Event {
    gpu: Gpu,
    event: sys::CUevent,
}

// SAFETY: the driver's functions may be called from every thread, also for one event.
unsafe impl Send for Event {}
// SAFETY: as above.
unsafe impl Sync for Event {}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").finish_non_exhaustive()
    }
}

impl Event {
    /// Waits until the queue has got there.
    pub fn finish(&self) -> Result<(), CudaError> {
        let driver = self.gpu.current()?;
        // SAFETY: the event is this value's.
        check("cuEventSynchronize", unsafe { (driver.event_finish)(self.event) })
    }

    /// Whether the queue has got there.
    pub fn is_done(&self) -> Result<bool, CudaError> {
        let driver = self.gpu.current()?;
        // SAFETY: the event is this value's.
        match unsafe { (driver.event_query)(self.event) } {
            code if code == sys::CUresult::CUDA_ERROR_NOT_READY as u32 => Ok(false),
            code => check("cuEventQuery", code).map(|()| true),
        }
    }

    /// The card's time from `earlier` to this mark, both of which the card must have passed. Half a microsecond of
    /// resolution.
    pub fn since(&self, earlier: &Self) -> Result<Duration, CudaError> {
        let driver = self.gpu.current()?;
        let mut milliseconds = 0.0;
        // SAFETY: `milliseconds` is a place for one number; both events were made to be timed.
        let code = unsafe { (driver.event_elapsed)(&mut milliseconds, earlier.event, self.event) };
        check("cuEventElapsedTime", code)?;
        Ok(Duration::from_secs_f32(milliseconds.max(0.0) / 1000.0))
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        let driver = self.gpu.current_or_lost();
        // SAFETY: made by `Queue::mark`.
        unsafe { (driver.event_destroy)(self.event) };
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn names_of_cards() {
        let text = "GPU-00112233-4455-6677-8899-aabbccddeeff";
        let uuid: Uuid = text.parse().unwrap();
        assert_eq!((uuid.0[0], uuid.0[15], uuid.to_string().as_str()), (0, 255, text));
        for wrong in [
            "",
            "GPU-",
            "00112233-4455-6677-8899-aabbccddeeff",
            "GPU-001122334455-6677-8899-aabbccddeeff",
            "GPU-+0112233-4455-6677-8899-aabbccddeeff",
        ] {
            assert!(wrong.parse::<Uuid>().is_err(), "{wrong}");
        }
    }
}
