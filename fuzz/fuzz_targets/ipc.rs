//! Frames between pool and worker, as either side reads them.
#![no_main]

use headframe_codec::worker::ipc::{Answer, Request, receive};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, send, socketpair};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let pair = || socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
    let Ok((near, far)) = pair() else { return };
    for as_request in [true, false] {
        if send(&near, data, SendFlags::NOSIGNAL | SendFlags::DONTWAIT).is_err() || data.is_empty() {
            return;
        }
        match as_request {
            true => drop(receive::<Request>(&far, None)),
            false => drop(receive::<Answer>(&far, None)),
        }
    }
});
