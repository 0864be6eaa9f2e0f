//! From what FFmpeg returned and wrote into its log to what the driver had said.

use std::ffi::c_int;

use super::super::device::Device;
use super::super::failure::{NvidiaError, OF_STREAM};

/// The error behind a code of FFmpeg and what was heard meanwhile.
pub(super) fn failure(device: &Device, what: &'static str, code: c_int, heard: &str) -> NvidiaError {
    let said = heard.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some(name) = cuda_name(&said) {
        let call = OF_STREAM.into_iter().find(|call| said.contains(call)).unwrap_or(what);
        return NvidiaError::Cuda { call, code: device.driver().code_of(name).0, name: said }.of_stream(device);
    }
    if let Some((call, status)) = heard.lines().find_map(nvenc_status) {
        return NvidiaError::Nvenc { call: call.unwrap_or(what), code: status, reason: said };
    }
    NvidiaError::Ffmpeg { what, code, said }
}

/// `… -> CUDA_ERROR_OUT_OF_MEMORY: out of memory`
fn cuda_name(said: &str) -> Option<&str> {
    let from = &said[said.find("CUDA_ERROR_")?..];
    let end = from.find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'));
    Some(&from[..end.unwrap_or(from.len())])
}

/// `OpenEncodeSessionEx failed: out of memory (10): (no details)`; the call is known where its errors mean something else.
fn nvenc_status(line: &str) -> Option<(Option<&'static str>, u32)> {
    let (doing, rest) = line.split_once(": ")?;
    let (_, rest) = rest.split_once(" (")?;
    let (status, _) = rest.split_once("):")?;
    let call = doing.starts_with("OpenEncodeSessionEx").then_some("nvEncOpenEncodeSessionEx");
    Some((call, status.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_driver_said_is_found_in_the_log() {
        let log = "cu->cuMemAlloc(&data, size) failed -> CUDA_ERROR_OUT_OF_MEMORY: out of memory";
        assert_eq!(cuda_name(log), Some("CUDA_ERROR_OUT_OF_MEMORY"));
        assert_eq!(cuda_name("cuvid decode callback error"), None);
        let line = "OpenEncodeSessionEx failed: out of memory (10): (no details)";
        assert_eq!(nvenc_status(line), Some((Some("nvEncOpenEncodeSessionEx"), 10)));
        let line = "Failed locking bitstream buffer: lock busy (13): the encoder (0): waits";
        assert_eq!(nvenc_status(line), Some((None, 13)));
        assert_eq!(nvenc_status("Width 16384 exceeds 4096"), None);
        assert_eq!(nvenc_status("unsupported bit depth: 12 (x): y"), None);
    }
}
