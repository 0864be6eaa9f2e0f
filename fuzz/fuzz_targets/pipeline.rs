//! A publisher's messages, as tags of an FLV file without its header (so that any recording is a seed): segments count up,
//! time grows, memory is bounded by what came in, and the codec's demultiplexer, which shares no code with the multiplexer,
//! finds in every segment what the segmenter says is in it.
#![no_main]

use bytes::Bytes;
use headframe_codec::ts;
use headframe_media::ingest::Resume;
use headframe_media::ingest::pipeline::Pipeline;
use headframe_media::segmenter::{Cut, Settings};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let settings = Settings { max_bytes: 1 << 20, ..Settings::default() };
    let mut pipeline = Pipeline::new(settings, Resume::default());
    let mut next = Resume::default();
    let mut rest = data;
    while let Some((kind, ms, body, tail)) = tag(rest) {
        rest = tail;
        let cut = match kind {
            8 => {
                let outcome = pipeline.audio(ms, &body);
                assert!(outcome.cut.is_none());
                None
            }
            9 => match pipeline.video(ms, &body) {
                Ok(outcome) => outcome.cut,
                Err(_) => break,
            },
            18 => {
                pipeline.reconnect();
                None
            }
            _ => None,
        };
        if let Some(cut) = cut {
            check(&cut, &mut next, data.len());
        }
    }
    if let Some(cut) = pipeline.flush() {
        check(&cut, &mut next, data.len());
    }
    assert_eq!(pipeline.resume().number, next.number);
});

fn check(cut: &Cut, next: &mut Resume, most: usize) {
    assert_eq!(cut.number, next.number);
    assert!(cut.duration > 0 && cut.frames > 0);
    next.number += 1;
    // Parameter sets are repeated before every IDR picture, headers and clocks come on top.
    assert!(cut.bytes.len() <= 64 * (most + 4096) + most * most, "{} of {most}", cut.bytes.len());
    let media = match ts::demux(&cut.bytes) {
        Ok(media) => media,
        Err(error) => panic!("segment {}: {error}", cut.number),
    };
    assert_eq!((media.video.len(), media.lost), (cut.frames as usize, 0));
    assert_eq!(media.audio.iter().any(|track| !track.units.is_empty()), cut.has_audio);
    let dts = media.video.iter().map(|unit| unit.dts.or(unit.pts).expect("the multiplexer gives every picture a time"));
    let dts: Vec<i64> = dts.collect();
    assert!(dts.windows(2).all(|pair| (1..ts::WRAP / 2).contains(&(pair[1] - pair[0]).rem_euclid(ts::WRAP))), "{dts:?}");
}

/// One tag: kind, time, body, and what follows.
fn tag(data: &[u8]) -> Option<(u8, u32, Bytes, &[u8])> {
    let (head, rest) = data.split_at_checked(11)?;
    let len = usize::from(head[1]) << 16 | usize::from(head[2]) << 8 | usize::from(head[3]);
    let ms = u32::from_be_bytes([head[7], head[4], head[5], head[6]]);
    // A length beyond the end is cut off: the fuzzer need not get it right.
    let (body, rest) = rest.split_at(len.min(rest.len()));
    Some((head[0], ms, Bytes::copy_from_slice(body), rest.get(4..).unwrap_or_default()))
}
