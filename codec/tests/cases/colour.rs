//! What a source says of its colours comes out on every rung: range, primaries, transfer and matrix are written into the
//! bitstream, and samples keep their meaning.

use std::time::Duration;

use crate::common::{clip, frames, small, video_entry};
use crate::transcode;
use headframe_codec::{Ladder, Limits, SegmentOut};

fn make(source: &[u8]) -> SegmentOut {
    let ladder = Ladder::new(vec![small("a", 160, 90), small("b", 320, 180)]).unwrap();
    transcode(&ladder, source, &[], &Limits { wall: Duration::from_secs(120), ..Limits::default() }).unwrap()
}

fn pictures(options: &str) -> Vec<u8> {
    clip("320x180", "30", 0.1, &format!("-an {options}"))
}

fn colours(bytes: &[u8]) -> String {
    // ffprobe prints them in this order whatever is asked.
    video_entry(bytes, "color_range,color_space,color_transfer,color_primaries")
}

#[test]
fn every_combination_is_carried() {
    let kinds = [
        ("smpte170m", "smpte170m", "smpte170m"),
        ("bt470bg", "gamma28", "bt470bg"),
        ("bt709", "bt709", "bt709"),
        ("bt2020nc", "bt2020-10", "bt2020"),
        ("bt2020nc", "smpte2084", "bt2020"),
        ("bt2020nc", "arib-std-b67", "bt2020"),
        ("bt709", "iec61966-2-1", "bt709"),
    ];
    for (matrix, transfer, primaries) in kinds {
        for range in ["tv", "pc"] {
            let flags =
                format!("-colorspace {matrix} -color_trc {transfer} -color_primaries {primaries} -color_range {range}");
            let source = pictures(&flags);
            let want = colours(&source);
            // ffprobe's name for a gamma of 2.8.
            let transfer = if transfer == "gamma28" { "bt470bg" } else { transfer };
            assert_eq!(want, format!("{range},{matrix},{transfer},{primaries}"), "the clip is what it is said to be");
            for rung in &make(&source).renditions {
                assert_eq!(colours(&rung.bytes), want, "{flags}");
            }
        }
    }
}

#[test]
fn what_is_not_said_stays_unsaid() {
    for rung in &make(&pictures("")).renditions {
        assert_eq!(colours(&rung.bytes), "unknown,unknown,unknown,unknown");
    }
}

#[test]
fn high_dynamic_range_in_ten_bits_stays_what_it_is() {
    for (transfer, name) in [("smpte2084", "PQ"), ("arib-std-b67", "HLG")] {
        let flags = format!("-colorspace bt2020nc -color_trc {transfer} -color_primaries bt2020 -color_range tv");
        let source = pictures(&format!(
            "-c:v libx265 -x265-params log-level=none:colormatrix=bt2020nc:transfer={transfer}:colorprim=bt2020:range=limited \
             -pix_fmt yuv420p10le {flags}"
        ));
        assert_eq!(colours(&source), format!("tv,bt2020nc,{transfer},bt2020"), "{name}");
        for rung in &make(&source).renditions {
            assert_eq!(video_entry(&rung.bytes, "pix_fmt"), "yuv420p");
            assert_eq!(colours(&rung.bytes), colours(&source), "{name}");
        }
    }
}

/// Mean of the luma of a rung that shows a plain picture of luma `value` at the source's range.
fn mean(value: u8, options: &str) -> f64 {
    let plain = format!("-vf format=yuv420p,geq=lum={value}:cb=128:cr=128 {options}");
    // Long enough for ffprobe, which does not believe in a stream of a few packets.
    let out = make(&clip("320x180", "30", 2.0, &format!("-an {plain}")));
    let luma = frames(&out.renditions[0].bytes);
    luma[0].iter().map(|sample| f64::from(*sample)).sum::<f64>() / luma[0].len() as f64
}

#[test]
fn samples_of_full_range_keep_their_value() {
    // Neither squeezed nor stretched, in either range: the flag alone says what they mean.
    for value in [0, 8, 128, 247, 255] {
        let have = mean(value, "-color_range pc");
        assert!((have - f64::from(value)).abs() < 1.0, "{value} became {have}");
    }
    for value in [16, 126, 235] {
        let have = mean(value, "-color_range tv");
        assert!((have - f64::from(value)).abs() < 1.0, "{value} became {have}");
    }
}
