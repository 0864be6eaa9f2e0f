//! A card in use: its primary context, which every library shares, and memory on it.

use std::ffi::c_void;
use std::marker::PhantomData;
use std::num::NonZeroU64;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

use headframe_kernels::cuda::{Gpu, Uuid};
use headframe_nv_sys::cuda::{
    CU_CTX_SCHED_BLOCKING_SYNC, CU_MEMORYTYPE_DEVICE, CU_MEMORYTYPE_HOST, CUDA_MEMCPY2D, CUDA_SUCCESS, CUcontext,
    CUdevice, CUdeviceptr,
};

use super::driver::{DeviceInfo, Driver};
use super::failure::NvidiaError;
use super::link::{Link, Traffic};

/// A card in use. Holds its primary context, the same that [`headframe_kernels::cuda::Gpu`] of this card holds.
pub struct Device {
    driver: Arc<Driver>,
    handle: CUdevice,
    context: NonNull<c_void>,
    info: DeviceInfo,
    /// Loaded when they are first needed, and once: the driver compiles them each time, because a worker in its sandbox has no
    /// place where that could be kept.
    kernels: Mutex<Option<Gpu>>,
    pub(super) link: Link,
}

// SAFETY: a context may be made current on any thread, also on several at once; the driver serialises.
unsafe impl Send for Device {}
// SAFETY: as above.
unsafe impl Sync for Device {}

impl Device {
    /// Takes a card into use.
    pub fn open(driver: &Arc<Driver>, uuid: Uuid) -> Result<Arc<Self>, NvidiaError> {
        let (handle, info) = driver.find(uuid)?;
        // Left alone the driver may spin while a thread waits for the card, with the whole of a core for each stream. What it
        // says to this is no reason to do without the card.
        // SAFETY: no memory is passed; also allowed where the context is in use already.
        let code = unsafe { (driver.cuda.cuDevicePrimaryCtxSetFlags_v2)(handle, CU_CTX_SCHED_BLOCKING_SYNC) };
        if let Err(error) = driver.check("cuDevicePrimaryCtxSetFlags_v2", code) {
            tracing::warn!(reason = %error, "threads may spin while they wait for the card");
        }
        let mut context: CUcontext = None;
        // SAFETY: writes one handle; every success is undone by one release, in `drop`.
        let code = unsafe { (driver.cuda.cuDevicePrimaryCtxRetain)(&mut context, handle) };
        driver.check("cuDevicePrimaryCtxRetain", code)?;
        let call = "cuDevicePrimaryCtxRetain";
        let context = context.ok_or(NvidiaError::Nonsense { call, what: "no context" })?;
        let (kernels, link) = Default::default();
        Ok(Arc::new(Self { driver: Arc::clone(driver), handle, context, info, kernels, link }))
    }

    /// What the card is.
    pub fn info(&self) -> &DeviceInfo {
        &self.info
    }

    pub(super) fn driver(&self) -> &Driver {
        &self.driver
    }

    pub(super) fn context(&self) -> NonNull<c_void> {
        self.context
    }

    /// Memory that is free and memory there is, bytes.
    pub fn memory(&self) -> Result<(u64, u64), NvidiaError> {
        let _current = self.current()?;
        let (mut free, mut total) = (0, 0);
        // SAFETY: writes two integers; a context is current.
        let code = unsafe { (self.driver.cuda.cuMemGetInfo_v2)(&mut free, &mut total) };
        self.driver.check("cuMemGetInfo_v2", code)?;
        Ok((free as u64, total as u64))
    }

    /// What went over its link so far.
    pub fn traffic(&self) -> Traffic {
        self.link.traffic()
    }

    /// Simulates a link of so many bytes a second in each direction, until told otherwise: whatever [`Self::traffic`] counts
    /// takes at least its time. For benchmarks.
    pub fn simulate_link(&self, bytes_per_second: Option<NonZeroU64>) {
        self.link.slow_down(bytes_per_second);
    }

    /// The kernels of this project on this card. The context must be current, and stays so.
    pub(super) fn kernels(&self) -> Result<Gpu, NvidiaError> {
        let mut kernels = self.kernels.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kernels {
            Some(gpu) => Ok(gpu.clone()),
            None => Ok(kernels.insert(Gpu::open(self.info.uuid)?).clone()),
        }
    }

    /// Makes the context current on this thread until the guard is dropped.
    pub(super) fn current(&self) -> Result<Current<'_>, NvidiaError> {
        // SAFETY: the context is retained as long as `self` lives.
        let code = unsafe { (self.driver.cuda.cuCtxPushCurrent_v2)(Some(self.context)) };
        self.driver.check("cuCtxPushCurrent_v2", code)?;
        Ok(Current { driver: &self.driver, thread: PhantomData })
    }

    /// Runs code that may leave the context current though it should not, and takes it back then.
    pub(super) fn balanced<T>(&self, run: impl FnOnce() -> T) -> T {
        let is_current = || {
            let mut context: CUcontext = None;
            // SAFETY: writes one handle.
            let code = unsafe { (self.driver.cuda.cuCtxGetCurrent)(&mut context) };
            code == CUDA_SUCCESS && context == Some(self.context)
        };
        // Where it is current already nobody can tell.
        let before = is_current();
        let outcome = run();
        if !before && is_current() {
            // SAFETY: undoes a push that was left behind, see above.
            unsafe { (self.driver.cuda.cuCtxPopCurrent_v2)(&mut None) };
        }
        outcome
    }

    /// Copies a picture to the card: its rows without gaps, luma and then chroma with U and V in turn. Returns when done.
    pub fn upload(&self, to: &Planes<'_>, picture: &[u8]) -> Result<(), NvidiaError> {
        if picture.len() != to.bytes() {
            let what = format!("a picture of {} bytes for a surface of {}", picture.len(), to.bytes());
            return Err(NvidiaError::Unsupported { what });
        }
        let (luma, chroma) = picture.split_at(to.row_bytes() * to.height as usize);
        for (host, address, rows) in [(luma, to.luma, to.height as usize), (chroma, to.chroma, to.chroma_rows())] {
            let copy = CUDA_MEMCPY2D {
                srcMemoryType: CU_MEMORYTYPE_HOST,
                srcHost: NonNull::new(host.as_ptr().cast_mut().cast()),
                srcPitch: to.row_bytes(),
                dstMemoryType: CU_MEMORYTYPE_DEVICE,
                dstDevice: address,
                dstPitch: to.pitch,
                WidthInBytes: to.row_bytes(),
                Height: rows,
                ..Default::default()
            };
            self.copy(&copy)?;
        }
        Ok(())
    }

    /// Copies a picture from the card, laid out as [`Self::upload`] takes it.
    pub fn download(&self, from: &Planes<'_>) -> Result<Vec<u8>, NvidiaError> {
        let mut picture = vec![0; from.bytes()];
        let (luma, chroma) = picture.split_at_mut(from.row_bytes() * from.height as usize);
        for (host, address, rows) in
            [(luma, from.luma, from.height as usize), (chroma, from.chroma, from.chroma_rows())]
        {
            let copy = CUDA_MEMCPY2D {
                srcMemoryType: CU_MEMORYTYPE_DEVICE,
                srcDevice: address,
                srcPitch: from.pitch,
                dstMemoryType: CU_MEMORYTYPE_HOST,
                dstHost: NonNull::new(host.as_mut_ptr().cast()),
                dstPitch: from.row_bytes(),
                WidthInBytes: from.row_bytes(),
                Height: rows,
                ..Default::default()
            };
            self.copy(&copy)?;
        }
        Ok(picture)
    }

    fn copy(&self, copy: &CUDA_MEMCPY2D) -> Result<(), NvidiaError> {
        let _current = self.current()?;
        // SAFETY: the host side has `Height` rows of `WidthInBytes`, see the callers; the device side belongs to a live
        // surface or picture, which `Planes` borrows; the copy is done when the call returns.
        self.driver.check("cuMemcpy2D_v2", unsafe { (self.driver.cuda.cuMemcpy2D_v2)(copy) })?;
        let to_card = copy.dstMemoryType == CU_MEMORYTYPE_DEVICE;
        let lane = if to_card { &self.link.to_card } else { &self.link.to_host };
        self.link.carry(lane, copy.WidthInBytes * copy.Height);
        Ok(())
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // Where the card is lost no context can be made current; everything is given back all the same.
        let current = self.current();
        *self.kernels.lock().unwrap_or_else(PoisonError::into_inner) = None;
        drop(current);
        // SAFETY: undoes the one retain of `open`; everything that lived in the context holds this device and is gone.
        unsafe { (self.driver.cuda.cuDevicePrimaryCtxRelease_v2)(self.handle) };
    }
}

/// A context that is current on this thread.
pub(super) struct Current<'a> {
    driver: &'a Driver,
    /// Stays on the thread it was made on.
    thread: PhantomData<*const ()>,
}

impl Drop for Current<'_> {
    fn drop(&mut self) {
        let mut context: CUcontext = None;
        // SAFETY: undoes the push that made this guard; guards are dropped in reverse order on one thread.
        unsafe { (self.driver.cuda.cuCtxPopCurrent_v2)(&mut context) };
    }
}

/// Where a 4:2:0 picture lies on the card: a luma plane and one with U and V in turn (NV12, P010), rows of `pitch` bytes.
/// Borrows what keeps the memory alive.
#[derive(Clone, Copy)]
pub struct Planes<'a> {
    pub(super) luma: CUdeviceptr,
    pub(super) chroma: CUdeviceptr,
    pub(super) pitch: usize,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) bit_depth: u8,
    /// The card that it is on, as what keeps the memory alive holds it.
    pub(super) device: &'a Device,
}

impl Planes<'_> {
    /// Device address of the first luma sample.
    pub fn luma(&self) -> u64 {
        self.luma
    }

    /// Device address of the first pair of chroma samples.
    pub fn chroma(&self) -> u64 {
        self.chroma
    }

    /// Bytes from row to row, of both planes.
    pub fn pitch(&self) -> usize {
        self.pitch
    }

    /// Luma samples of a row, and rows.
    pub fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// 8: bytes. 10: 16-bit words with the sample in the upper bits.
    pub fn bit_depth(&self) -> u8 {
        self.bit_depth
    }

    /// Bytes of a row without the gap.
    fn row_bytes(&self) -> usize {
        row_bytes(self.width, self.bit_depth)
    }

    fn chroma_rows(&self) -> usize {
        chroma_rows(self.height)
    }

    /// Bytes of the picture without gaps.
    fn bytes(&self) -> usize {
        self.row_bytes() * (self.height as usize + self.chroma_rows())
    }
}

/// Bytes of a row of luma, and of chroma. An odd width has one more chroma pair than half of it.
fn row_bytes(width: u32, bit_depth: u8) -> usize {
    (width as usize).next_multiple_of(2) * if bit_depth > 8 { 2 } else { 1 }
}

/// An odd height has one more than half of it.
fn chroma_rows(height: u32) -> usize {
    height.div_ceil(2) as usize
}

/// Memory for one picture.
pub struct Surface {
    device: Arc<Device>,
    address: CUdeviceptr,
    pitch: usize,
    size: (u32, u32),
    bit_depth: u8,
}

impl Surface {
    /// Memory for 4:2:0 pictures of up to `size` samples of 8 or 10 bits.
    pub fn new(device: &Arc<Device>, size: (u32, u32), bit_depth: u8) -> Result<Self, NvidiaError> {
        let (mut address, mut pitch) = (0, 0);
        let width = row_bytes(size.0, bit_depth);
        let rows = size.1 as usize + chroma_rows(size.1);
        let current = device.current()?;
        // SAFETY: writes an address and a pitch; a context is current.
        let code = unsafe { (device.driver.cuda.cuMemAllocPitch_v2)(&mut address, &mut pitch, width, rows, 16) };
        drop(current);
        device.driver.check("cuMemAllocPitch_v2", code)?;
        Ok(Self { device: Arc::clone(device), address, pitch, size, bit_depth })
    }

    pub(super) fn address(&self) -> CUdeviceptr {
        self.address
    }

    /// Bytes that it takes of the card's memory: rows are longer than pictures are wide.
    pub fn bytes(&self) -> u64 {
        (self.pitch * (self.size.1 as usize + chroma_rows(self.size.1))) as u64
    }

    /// Where a picture of `size` lies, at most of the size that the surface was made for: chroma right behind luma.
    pub fn planes(&self, size: (u32, u32)) -> Planes<'_> {
        let size = (size.0.min(self.size.0), size.1.min(self.size.1));
        Planes {
            luma: self.address,
            chroma: self.address + self.pitch as u64 * u64::from(size.1),
            pitch: self.pitch,
            width: size.0,
            height: size.1,
            bit_depth: self.bit_depth,
            device: &self.device,
        }
    }
}

impl Drop for Surface {
    fn drop(&mut self) {
        let _current = self.device.current();
        // SAFETY: made by `cuMemAllocPitch_v2` in this context, freed once; `Planes` cannot outlive it, and kernels that
        // use it are waited for by the call.
        let code = unsafe { (self.device.driver.cuda.cuMemFree_v2)(self.address) };
        if code != CUDA_SUCCESS {
            tracing::warn!(code = code.0, "device memory could not be freed");
        }
    }
}
