//! The functions, as the driver exports them.
#![allow(unsafe_code, non_snake_case, reason = "a C interface; what callers owe is in NVIDIA's headers")]
// A pointer below is the caller's, who owes what the headers say: valid for what is read and written. Where it is not, a
// comment says whose.
#![allow(clippy::undocumented_unsafe_blocks, reason = "said once above for all that only follow the caller's pointers")]

use std::ffi::{c_int, c_uint, c_void};
use std::ptr::{self, NonNull};

use headframe_double_ledger::{cuda, number, pointer, same_types, wait_until};
use headframe_nv_sys::cuda::*;
use headframe_nv_sys::cuvid::{types, *};

use crate::decoder::{self, Decoder, Output};
use crate::libav::Look;
use crate::parser::{Callbacks, Parser};
use crate::{DECODERS, LEDGER, PARSERS};

headframe_double_ledger::export_control!(LEDGER, crate::live());

same_types!(cuvidGetDecoderCaps, cuvidCreateDecoder, cuvidDestroyDecoder, cuvidDecodePicture, cuvidGetDecodeStatus);
same_types!(cuvidMapVideoFrame64, cuvidUnmapVideoFrame64);
same_types!(cuvidCreateVideoParser, cuvidParseVideoData, cuvidDestroyVideoParser);

/// Begins a function that needs a current context.
fn enter(function: &'static str) -> Result<(), CUresult> {
    LEDGER.enter(function).map_err(CUresult)?;
    let mut context = None;
    // SAFETY: writes one handle.
    let asked = cuda().map(|cuda| unsafe { (cuda.cuCtxGetCurrent)(&mut context) });
    if asked == Some(CUDA_SUCCESS) && context.is_some() {
        return Ok(());
    }
    LEDGER.violation(format!("{function} without a current context"));
    Err(CUDA_ERROR_INVALID_CONTEXT)
}

fn code(outcome: Result<(), CUresult>) -> CUresult {
    outcome.err().unwrap_or(CUDA_SUCCESS)
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuvidGetDecoderCaps(caps: *mut CUVIDDECODECAPS) -> CUresult {
    code(enter("cuvidGetDecoderCaps").map(|()| decoder::capabilities(unsafe { &mut *caps })))
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuvidCreateDecoder(
    decoder: *mut CUvideodecoder,
    info: *mut CUVIDDECODECREATEINFO,
) -> CUresult {
    let create = || {
        enter("cuvidCreateDecoder")?;
        let info = unsafe { &*info };
        let mut made = Decoder::new(info)?;
        let sample = if made.format == cudaVideoSurfaceFormat_NV12 { 1 } else { 2 };
        let cuda = cuda().ok_or(CUDA_ERROR_NOT_INITIALIZED)?;
        for _ in 0..info.ulNumOutputSurfaces {
            let (mut address, mut pitch) = (0, 0);
            let (width, rows) = (made.target.0 * sample, made.target.1 / 2 * 3);
            // SAFETY: writes an address and a pitch; the context that is current is the client's.
            let allocated = unsafe { (cuda.cuMemAllocPitch_v2)(&mut address, &mut pitch, width, rows, 16) };
            if allocated != CUDA_SUCCESS {
                free(&made);
                return Err(allocated);
            }
            made.outputs.push(Output { address, pitch, mapped: false });
        }
        unsafe { decoder.write(pointer(DECODERS.insert(made))) };
        Ok(())
    };
    code(create())
}

fn free(decoder: &Decoder) {
    for output in &decoder.outputs {
        if let Some(cuda) = cuda() {
            // SAFETY: allocated in `cuvidCreateDecoder`; the decoder is gone from the table, so this is the only time.
            unsafe { (cuda.cuMemFree_v2)(output.address) };
        }
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuvidDestroyDecoder(decoder: CUvideodecoder) -> CUresult {
    let entered = enter("cuvidDestroyDecoder");
    let Some(decoder) = DECODERS.remove(number(decoder)) else {
        LEDGER.violation("a decoder was destroyed that is none");
        return CUDA_ERROR_INVALID_HANDLE;
    };
    if decoder.mapped() > 0 {
        LEDGER.violation("a decoder was destroyed with pictures mapped");
    }
    free(&decoder);
    code(entered)
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuvidDecodePicture(decoder: CUvideodecoder, picture: *mut CUVIDPICPARAMS) -> CUresult {
    if let Err(code) = enter("cuvidDecodePicture") {
        return code;
    }
    let picture = unsafe { &*picture };
    let Some(data) = picture.pBitstreamData else { return CUDA_ERROR_INVALID_VALUE };
    let unit = unsafe { std::slice::from_raw_parts(data.as_ptr(), picture.nBitstreamDataLen as usize) };
    let (parser, key) = (picture.CodecSpecific.0[0], picture.intra_pic_flag != 0);
    let decode = |decoder: &mut Decoder| decoder.decode(parser, picture.CurrPicIdx, unit, key);
    DECODERS.with(number(decoder), decode).unwrap_or(CUDA_ERROR_INVALID_HANDLE)
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuvidGetDecodeStatus(
    decoder: CUvideodecoder,
    index: c_int,
    status: *mut CUVIDGETDECODESTATUS,
) -> CUresult {
    if let Err(code) = enter("cuvidGetDecodeStatus") {
        return code;
    }
    let Some(Some(damaged)) = DECODERS.with(number(decoder), |decoder| decoder.damaged(index)) else {
        return CUDA_ERROR_INVALID_VALUE;
    };
    let decode_status = if damaged { cuvidDecodeStatus_Error_Concealed } else { cuvidDecodeStatus_Success };
    unsafe { status.write(CUVIDGETDECODESTATUS { decodeStatus: decode_status, ..Default::default() }) };
    CUDA_SUCCESS
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuvidMapVideoFrame64(
    decoder: CUvideodecoder,
    index: c_int,
    address: *mut u64,
    pitch: *mut c_uint,
    parameters: *mut CUVIDPROCPARAMS,
) -> CUresult {
    if let Err(code) = enter("cuvidMapVideoFrame64") {
        return code;
    }
    if unsafe { &*parameters }.progressive_frame != 1 {
        LEDGER.violation("a picture was mapped unlike it was shown");
    }
    wait_until(DECODERS.with(number(decoder), |decoder| decoder.ready(index)).flatten());
    let map = |decoder: &mut Decoder| {
        let Some(output) = decoder.outputs.iter().position(|output| !output.mapped) else {
            LEDGER.violation("more pictures were mapped than the decoder was made for");
            return Err(CUDA_ERROR_INVALID_VALUE);
        };
        let target = decoder.target;
        let (to, row) = (decoder.outputs[output].address, decoder.outputs[output].pitch);
        if decoder.ready(index).is_some() {
            decoder.outputs[output].mapped = true;
            return Ok((to, row));
        }
        let Some(image) = decoder.picture(index) else {
            LEDGER.violation("a picture was mapped that was not decoded");
            return Err(CUDA_ERROR_INVALID_VALUE);
        };
        let (width, height) = (image.luma.len() / image.size.1, image.size.1);
        copy(&image.luma, width, height, to, row)?;
        let chroma_rows = height.div_ceil(2);
        copy(&image.chroma, image.chroma.len() / chroma_rows, chroma_rows, to + (row * target.1) as u64, row)?;
        decoder.outputs[output].mapped = true;
        Ok((to, row))
    };
    match DECODERS.with(number(decoder), map) {
        Some(Ok((at, row))) => {
            unsafe { address.write(at) };
            unsafe { pitch.write(row as c_uint) };
            CUDA_SUCCESS
        }
        Some(Err(code)) => code,
        None => CUDA_ERROR_INVALID_HANDLE,
    }
}

/// Copies rows to the card.
fn copy(rows: &[u8], width: usize, height: usize, address: u64, pitch: usize) -> Result<(), CUresult> {
    let cuda = cuda().ok_or(CUDA_ERROR_NOT_INITIALIZED)?;
    let copy = CUDA_MEMCPY2D {
        srcMemoryType: CU_MEMORYTYPE_HOST,
        srcHost: NonNull::new(rows.as_ptr().cast_mut().cast()),
        srcPitch: width,
        dstMemoryType: CU_MEMORYTYPE_DEVICE,
        dstDevice: address,
        dstPitch: pitch,
        WidthInBytes: width,
        Height: height,
        ..Default::default()
    };
    // SAFETY: `rows` has `height` rows of `width` bytes, see the caller; the copy is done when the call returns.
    match unsafe { (cuda.cuMemcpy2D_v2)(&copy) } {
        CUDA_SUCCESS => Ok(()),
        code => Err(code),
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuvidUnmapVideoFrame64(decoder: CUvideodecoder, address: u64) -> CUresult {
    let entered = enter("cuvidUnmapVideoFrame64");
    let unmap = |decoder: &mut Decoder| {
        let output = decoder.outputs.iter_mut().find(|output| output.address == address && output.mapped);
        output.map(|output| output.mapped = false)
    };
    if DECODERS.with(number(decoder), unmap).flatten().is_none() {
        LEDGER.violation("a picture was unmapped that is not mapped");
        return CUDA_ERROR_INVALID_VALUE;
    }
    code(entered)
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuvidCreateVideoParser(
    parser: *mut CUvideoparser,
    parameters: *mut CUVIDPARSERPARAMS,
) -> CUresult {
    if let Err(code) = LEDGER.enter("cuvidCreateVideoParser") {
        return CUresult(code);
    }
    let parameters = unsafe { *parameters };
    let callbacks = (parameters.pfnSequenceCallback, parameters.pfnDecodePicture, parameters.pfnDisplayPicture);
    if !matches!(callbacks, (Some(_), Some(_), Some(_))) || parameters.ulMaxNumDecodeSurfaces == 0 {
        LEDGER.violation("a parser without callbacks or surfaces");
        return CUDA_ERROR_INVALID_VALUE;
    }
    if parameters.uReserved1.0 != [0; 4] || parameters.pvReserved2.0 != [0; 5] {
        LEDGER.violation("reserved fields of the parser are not zero");
        return CUDA_ERROR_INVALID_VALUE;
    }
    let Some(made) = Parser::new(parameters) else { return CUDA_ERROR_NOT_SUPPORTED };
    unsafe { parser.write(pointer(PARSERS.insert(Some(made)))) };
    CUDA_SUCCESS
}

// SAFETY: what it points to is the client's, who uses a parser from one thread at a time.
unsafe impl Send for Parser {}

/// Calls the client's functions.
struct Client(CUVIDPARSERPARAMS);

impl Client {
    fn user(&self) -> *mut c_void {
        self.0.pUserData.map_or(ptr::null_mut(), NonNull::as_ptr)
    }
}

impl Callbacks for Client {
    fn sequence(&mut self, format: &mut CUVIDEOFORMAT) -> i32 {
        // SAFETY: the client's function with the client's pointer, as it asked for; the format lives through the call.
        self.0.pfnSequenceCallback.map_or(0, |call| unsafe { call(self.user(), format) })
    }

    fn decode(&mut self, parser: u64, surface: i32, unit: &[u8], key: bool, look: &Look) -> i32 {
        let mut offset: c_uint = 0;
        let mut picture = CUVIDPICPARAMS {
            PicWidthInMbs: look.coded.0.div_ceil(16) as c_int,
            FrameHeightInMbs: look.coded.1.div_ceil(16) as c_int,
            CurrPicIdx: surface,
            nBitstreamDataLen: unit.len() as c_uint,
            pBitstreamData: NonNull::new(unit.as_ptr().cast_mut()),
            nNumSlices: 1,
            pSliceDataOffsets: Some(NonNull::from(&mut offset)),
            ref_pic_flag: 1,
            intra_pic_flag: key.into(),
            ..Default::default()
        };
        // Which clients pass on as it is.
        picture.CodecSpecific.0[0] = parser;
        // SAFETY: as above; the picture, the unit and the offset live through the call.
        self.0.pfnDecodePicture.map_or(0, |call| unsafe { call(self.user(), &mut picture) })
    }

    fn display(&mut self, shown: &mut CUVIDPARSERDISPINFO) -> i32 {
        // SAFETY: as above.
        self.0.pfnDisplayPicture.map_or(0, |call| unsafe { call(self.user(), shown) })
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuvidParseVideoData(
    parser: CUvideoparser,
    packet: *mut CUVIDSOURCEDATAPACKET,
) -> CUresult {
    if let Err(code) = LEDGER.enter("cuvidParseVideoData") {
        return CUresult(code);
    }
    let packet = unsafe { &*packet };
    let handle = number(parser);
    let Some(Some(mut parser)) = PARSERS.with(handle, Option::take) else {
        LEDGER.violation("a parser was fed that is none, or from within its own callbacks");
        return CUDA_ERROR_INVALID_HANDLE;
    };
    let mut client = Client(parser.parameters);
    let mut outcome = Ok(());
    if let Some(data) = packet.payload.filter(|_| packet.payload_size > 0) {
        let unit = unsafe { std::slice::from_raw_parts(data.as_ptr(), packet.payload_size as usize) };
        let ends = packet.flags & CUVID_PKT_ENDOFPICTURE != 0;
        if packet.flags & CUVID_PKT_TIMESTAMP == 0 || !(ends || LEDGER.is_for_ffmpeg()) {
            LEDGER.violation("this double wants whole access units with times");
        }
        outcome = parser.unit(unit, packet.timestamp, ends, &mut client);
    }
    if outcome.is_ok() && packet.flags & CUVID_PKT_ENDOFSTREAM != 0 {
        outcome = parser.end(&mut client);
    }
    PARSERS.with(handle, |slot| *slot = Some(parser));
    // As the real one says that a callback refused.
    if outcome.is_ok() { CUDA_SUCCESS } else { CUDA_ERROR_UNKNOWN }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuvidDestroyVideoParser(parser: CUvideoparser) -> CUresult {
    let entered = LEDGER.enter("cuvidDestroyVideoParser").map_err(CUresult);
    if PARSERS.remove(number(parser)).is_none() {
        LEDGER.violation("a parser was destroyed that is none");
        return CUDA_ERROR_INVALID_HANDLE;
    }
    code(entered)
}

#[cfg(test)]
mod tests {
    use super::*;

    unsafe extern "C" fn sequence(_: *mut c_void, _: *mut CUVIDEOFORMAT) -> c_int {
        1
    }

    unsafe extern "C" fn decode(_: *mut c_void, _: *mut CUVIDPICPARAMS) -> c_int {
        1
    }

    unsafe extern "C" fn display(_: *mut c_void, _: *mut CUVIDPARSERDISPINFO) -> c_int {
        1
    }

    /// That an access unit is whole has to be told, unless FFmpeg is the client.
    #[test]
    fn access_units_without_an_end_are_wrong_unless_ffmpeg_is_the_client() {
        let mut parser = None;
        let mut parameters = CUVIDPARSERPARAMS {
            CodecType: cudaVideoCodec_H264,
            ulMaxNumDecodeSurfaces: 1,
            pfnSequenceCallback: Some(sequence),
            pfnDecodePicture: Some(decode),
            pfnDisplayPicture: Some(display),
            ..Default::default()
        };
        // An access unit delimiter and no more.
        let mut unit = [0_u8, 0, 1, 9, 0x10];
        let mut feed = |parser, flags| {
            let mut packet = CUVIDSOURCEDATAPACKET {
                flags: CUVID_PKT_TIMESTAMP | flags,
                payload_size: unit.len() as _,
                payload: NonNull::new(unit.as_mut_ptr()),
                ..Default::default()
            };
            // SAFETY: a parser that lives, and a packet with its bytes.
            unsafe { cuvidParseVideoData(parser, &mut packet) };
            LEDGER.report(&[]).lines().filter(|line| line.starts_with("violation")).count()
        };
        // SAFETY: parameters of a client, and room for a parser.
        assert_eq!(unsafe { cuvidCreateVideoParser(&mut parser, &mut parameters) }, CUDA_SUCCESS);
        assert_eq!((feed(parser, CUVID_PKT_ENDOFPICTURE), feed(parser, 0)), (0, 1));
        LEDGER.set("client", "ffmpeg");
        assert_eq!(feed(parser, 0), 1);
        // SAFETY: it lives until now.
        assert_eq!(unsafe { cuvidDestroyVideoParser(parser) }, CUDA_SUCCESS);
    }
}
