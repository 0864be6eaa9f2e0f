//! Frames between agent and signer: what is taken is written and read again as it was, in memory that the frame's own
//! bytes pay for, and every action that comes through makes a call of the contracts.
#![no_main]

use headframe_guard::protocol::{MAX_FRAME, Request, Response, read_body, read_frame, write_frame};
use headframe_market::{Address, Addresses};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(Some(body)) = read_body(&mut &data[..]) {
        assert!(body.len() + 8 <= data.len() && body.len() <= MAX_FRAME as usize);
    }
    if let Ok(Some(request)) = read_frame::<Request>(&mut &data[..]) {
        let mut again = Vec::new();
        write_frame(&mut again, &request).expect("it fitted a frame");
        assert_eq!(read_frame::<Request>(&mut &again[..]).expect("what was written"), Some(request.clone()));
        if let Request::SignTransaction(ask) = request {
            let all = [1, 2, 3, 4, 5, 6, 7, 8].map(Address::repeat_byte);
            let [token, registry, market, book, profiles, router, rewards, active_set] = all;
            let at = Addresses { token, registry, market, book, profiles, router, rewards, active_set };
            let call = ask.action.call(&at);
            assert!(all.contains(&call.to) && call.input.len() >= 4);
            assert!(ask.action.key().starts_with(ask.action.kind()));
        }
    }
    if let Ok(Some(response)) = read_frame::<Response>(&mut &data[..]) {
        let mut again = Vec::new();
        if write_frame(&mut again, &response).is_ok() {
            assert_eq!(read_frame::<Response>(&mut &again[..]).expect("what was written"), Some(response));
        }
    }
});
