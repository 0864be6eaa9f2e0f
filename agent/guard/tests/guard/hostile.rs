//! Input that no agent of ours sends.

use crate::support::offer;
use crate::support::*;
use headframe_guard::Client;
use headframe_guard::protocol::{self, MAX_FRAME, Request, Response};
use headframe_guard::rules::Rule;
use headframe_guard::server::MAX_CLIENTS;
use headframe_market::action::Secret;
use headframe_market::profile::Profile;
use headframe_market::{
    Action, Address, B256, ClaimId, JobId, JobOrder, Price, Role, SegmentNo, Signature, Timestamp, Units, Wei,
};
use proptest::prelude::*;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

fn frame(body: &[u8]) -> Vec<u8> {
    [b"HFS1".as_slice(), &(body.len() as u32).to_be_bytes(), body].concat()
}

#[test]
fn garbage_closes_its_connection_and_nothing_else() {
    let home = Home::new(Role::Operator);
    let signer = home.spawn();
    let client = Client::connect(signer.socket(), hello(&[])).unwrap();
    let too_long = [b"HFS1".as_slice(), &(MAX_FRAME + 1).to_be_bytes(), b"x"].concat();
    let closed =
        [too_long.as_slice(), b"GET / HTTP/1.1\r\n\r\n", &[0xff; 100], b"HFS1\xff\xff\xff\xff", b"HFS2\0\0\0\x02{}"];
    for bytes in closed {
        let mut stream = UnixStream::connect(signer.socket()).unwrap();
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer); // reset or end, but no answer
        assert!(answer.is_empty(), "{bytes:?}: {answer:?}");
    }
    let deep = "[".repeat(100_000);
    let refused =
        ["", "{}", "null", "\"nonsense\"", &deep, r#"{"sign_hash":"0x00"}"#, r#"{"receipts":{"job":-1}}"#, "\u{0}"];
    for text in refused {
        let mut stream = UnixStream::connect(signer.socket()).unwrap();
        stream.write_all(&frame(text.as_bytes())).unwrap();
        let answer: Response = protocol::read_frame(&mut stream).unwrap().unwrap();
        assert!(matches!(answer, Response::Refused { rule: Rule::Request, .. }), "{answer:?}");
        protocol::write_frame(&mut stream, &Request::Identify).unwrap();
        let answer: Response = protocol::read_frame(&mut stream).unwrap().unwrap();
        assert!(matches!(answer, Response::Identity(_)), "the connection goes on: {answer:?}");
    }
    let mut half = UnixStream::connect(signer.socket()).unwrap();
    half.write_all(&frame(b"\"identify\"")[..10]).unwrap();
    drop(half);
    client.sign_receipt(ask(JOB, 0)).unwrap();
    assert!(client.status().unwrap().healthy);
}

#[test]
fn nothing_is_signed_before_hello() {
    let home = Home::new(Role::Operator);
    let signer = home.spawn();
    Client::connect(signer.socket(), hello(&[])).unwrap();
    let mut stream = UnixStream::connect(signer.socket()).unwrap();
    let requests = [
        Request::SignReceipt(ask(JOB, 0)),
        Request::SignTransaction(send(Action::WithdrawStake { nth: 0 }, 0)),
        Request::SignBid(offer()),
        Request::SignReport { tool: "t".into(), report_sha256: B256::ZERO },
        Request::Jobs { from: JobId(0) },
    ];
    for request in requests {
        protocol::write_frame(&mut stream, &request).unwrap();
        let answer: Response = protocol::read_frame(&mut stream).unwrap().unwrap();
        assert!(matches!(answer, Response::Refused { rule: Rule::Request, .. }), "{request:?}: {answer:?}");
    }
}

#[test]
fn connections_are_bounded_and_come_back() {
    let home = Home::new(Role::Operator);
    let signer = home.spawn();
    let introduced = || {
        let mut stream = UnixStream::connect(signer.socket()).unwrap();
        let _ = protocol::write_frame(&mut stream, &Request::Identify);
        let answer: Response = protocol::read_frame(&mut stream).unwrap().unwrap();
        (stream, answer)
    };
    let mut open: Vec<_> = (0..MAX_CLIENTS).map(|_| introduced()).collect();
    assert!(open.iter().all(|(_, answer)| matches!(answer, Response::Identity(_))));
    assert!(matches!(introduced().1, Response::Failed { .. }));
    open.clear();
    while !matches!(introduced().1, Response::Identity(_)) {
        std::thread::yield_now();
    }
}

#[test]
fn every_action_survives_a_frame() {
    let job = JobId(3);
    let (root, at) = (B256::repeat_byte(1), Address::repeat_byte(9));
    let secret = Secret { digest: root, salt: B256::repeat_byte(2) };
    let order = JobOrder {
        client: at,
        profile: root,
        max_price: Price::new(1 << 90).unwrap(),
        deadline: Timestamp(1 << 39),
        samples: 8,
        seed_tip: root,
        salt: u64::MAX,
    };
    let actions = [
        Action::ApproveStake { amount: u128::MAX, nth: 0 },
        Action::Register { service_uri: "https://rig.example".into() },
        Action::Bond { amount: 10u128.pow(21), nth: 0 },
        Action::Unbond { amount: 0, nth: 0 },
        Action::WithdrawStake { nth: 0 },
        Action::StartJob { job },
        Action::ReleaseJob { job },
        Action::Claim { job, first: SegmentNo(1), count: 2, root, units: Units(3) },
        Action::Seal { claim: ClaimId(1), header: vec![1, 2, 3].into(), preimage: root },
        Action::Answer { claim: ClaimId(1), operator: at, openings: vec![], secrets: vec![secret] },
        Action::Reveal { claim: ClaimId(1), operator: at, openings: vec![root], secrets: vec![secret] },
        Action::Settle { claim: ClaimId(1) },
        Action::ProposeOwner { operator: at, owner: at, nth: 1 },
        Action::Activate { operator: at, nth: 1 },
        Action::Reward { operator: at, epoch: 1 },
        Action::WithdrawFees { nth: 1, account: None },
        Action::WithdrawFees { nth: 1, account: Some(at) },
        Action::AddProfile { profile: Profile { filter: 1, cascade: true, ladder: root, rungs: vec![] } },
        Action::OpenWithBid {
            order: Box::new(order),
            bid: Box::new(offer()),
            signature: Signature::test_signature(),
            escrow: Wei(1 << 100),
        },
        Action::DefaultJob { job, operator: at },
        Action::CancelJob { job },
        Action::TopUp { job, amount: Wei(1 << 100), nth: 1 },
        Action::CloseJob { job },
        Action::Reclaim { job },
        Action::Withdraw { nth: 2 },
    ];
    for action in actions {
        let request = Request::SignTransaction(send(action, 4));
        let mut bytes = Vec::new();
        protocol::write_frame(&mut bytes, &request).unwrap();
        assert_eq!(protocol::read_frame::<Request>(&mut bytes.as_slice()).unwrap(), Some(request));
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_frame_reader_fail_badly(bytes in prop::collection::vec(any::<u8>(), 0..200), whole: bool) {
        let bytes = if whole { frame(&bytes) } else { bytes };
        let _ = protocol::read_frame::<Request>(&mut bytes.as_slice());
    }
}
