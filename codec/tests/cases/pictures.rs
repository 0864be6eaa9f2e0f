//! Odd segments: what pictures and their coding can be. Each gives a right ladder or a clear error.

use std::time::Duration;

use crate::common::{clip, decoded, shown, small, video_entry, video_packets};
use crate::mangle::{edit_nals, nal_type, split};
use crate::{TELLS_DAMAGE, transcode};
use headframe_codec::{Class, EngineError, Ladder, Limits, Pace, SegmentOut, engine};

fn try_make(source: &[u8]) -> Result<SegmentOut, EngineError> {
    let limits = Limits { wall: Duration::from_secs(120), ..Limits::default() };
    transcode(&Ladder::new(vec![small("a", 160, 90)]).unwrap(), source, &[], &limits)
}

/// The rendition is well formed; returns its times.
fn sound(out: &SegmentOut) -> Vec<i64> {
    let made = &out.renditions[0];
    let times = shown(&made.bytes);
    assert_eq!((made.frames as usize, decoded(&made.bytes) as usize), (times.len(), times.len()), "{made:?}");
    assert!(video_packets(&made.bytes)[0].1, "an IDR picture first");
    assert_eq!(
        video_entry(&made.bytes, "width,height,pix_fmt"),
        format!("160,90,{}", if is_full(out) { "yuvj420p" } else { "yuv420p" })
    );
    times
}

fn is_full(out: &SegmentOut) -> bool {
    video_entry(&out.renditions[0].bytes, "color_range") == "pc"
}

/// Makes a ladder of an undamaged source of this size, with the source's pictures at the source's times.
fn faithful(source: &[u8], size: (u32, u32)) -> SegmentOut {
    let out = try_make(source).unwrap();
    assert_eq!(sound(&out), shown(source));
    assert_eq!((out.source.width, out.source.height, out.source.damaged), (size.0, size.1, 0), "{:?}", out.source);
    assert_eq!(out.source.frames, out.renditions[0].frames);
    out
}

/// A short clip without sound.
fn pictures(size: &str, rate: &str, seconds: f64, options: &str) -> Vec<u8> {
    clip(size, rate, seconds, &format!("-an {options}"))
}

// Formats.

#[test]
fn every_chroma_format_and_depth() {
    for format in ["yuv420p", "yuv422p", "yuv444p", "gray", "yuv420p10le", "yuv422p10le", "yuv444p10le", "gray10le"] {
        println!("{format}");
        faithful(&pictures("160x90", "30", 0.3, &format!("-pix_fmt {format}")), (160, 90));
    }
}

#[test]
fn hevc_of_every_format() {
    for format in ["yuv420p", "yuv422p", "yuv444p", "gray", "yuv420p10le", "yuv422p10le", "yuv444p10le"] {
        println!("{format}");
        let options = format!("-c:v libx265 -x265-params log-level=none -pix_fmt {format}");
        faithful(&pictures("160x90", "30", 0.3, &options), (160, 90));
    }
}

#[test]
fn twelve_bits_are_refused_by_name() {
    let options = "-c:v libx265 -x265-params log-level=none -pix_fmt yuv420p12le";
    let error = try_make(&pictures("160x90", "30", 0.2, options)).unwrap_err();
    assert_eq!((error.class(), error), (Class::Input, EngineError::PixelFormat { format: "yuv420p12".to_owned() }));
}

#[test]
fn full_range_stays_full_range() {
    let out = faithful(&pictures("160x90", "30", 0.3, "-pix_fmt yuvj420p"), (160, 90));
    assert!(is_full(&out));
    let out = faithful(&pictures("160x90", "30", 0.3, "-color_range tv"), (160, 90));
    assert!(!is_full(&out));
}

#[test]
fn interlaced() {
    // Both fields in one picture, as x264 codes them; the rendition shows as many pictures, woven.
    faithful(&pictures("320x192", "25", 0.6, "-flags +ilme+ildct -x264-params tff=1"), (320, 192));
}

// Sizes.

#[test]
fn portrait() {
    let out = faithful(&pictures("90x160", "30", 0.3, ""), (90, 160));
    // Stretched into the rung, and marked so that it is shown upright and slim.
    assert_eq!(video_entry(&out.renditions[0].bytes, "sample_aspect_ratio"), "81:256");
}

/// The rendition's pictures where the rung has the size of the upright source: nothing is scaled.
fn upright(
    transcode: impl FnOnce(&Ladder, &[u8], &[Pace], &Limits) -> Result<SegmentOut, EngineError>,
    source: &[u8],
    size: (u32, u32),
) -> SegmentOut {
    let limits = Limits { wall: Duration::from_secs(120), ..Limits::default() };
    let out = transcode(&Ladder::new(vec![small("a", size.0, size.1)]).unwrap(), source, &[], &limits).unwrap();
    assert_eq!((out.source.width, out.source.height, out.source.damaged), (size.0, size.1, 0), "{:?}", out.source);
    assert_eq!(video_entry(&out.renditions[0].bytes, "width,height"), format!("{},{}", size.0, size.1));
    assert_eq!(video_entry(&out.renditions[0].bytes, "sample_aspect_ratio"), "1:1");
    out
}

#[test]
fn rotated_and_mirrored() {
    // Lossless, so that turned by ffmpeg before the encoder and by us behind the decoder must be the same to the bit. An
    // orientation says how to mirror first, then how far to turn against the clock. Turned pictures are always made by the
    // processors.
    for (flip, mirror) in [("", "null"), (":flip=horizontal", "hflip"), (":flip=vertical", "vflip")] {
        for (angle, turn, size) in [
            (0, "null", (160, 90)),
            (90, "transpose=cclock", (90, 160)),
            (180, "hflip,vflip", (160, 90)),
            (270, "transpose=clock", (90, 160)),
        ] {
            // Nothing is turned: any other case.
            if angle == 0 && flip.is_empty() {
                continue;
            }
            let lossless = "-qp 0 -bf 2 -g 6";
            let said = format!("{lossless} -bsf:v h264_metadata=display_orientation=insert:rotate={angle}{flip}");
            let have = upright(transcode, &pictures("160x90", "30", 0.5, &said), size);
            let turned = format!("{lossless} -vf format=yuv420p,{mirror},{turn}");
            let want = upright(engine::transcode, &pictures("160x90", "30", 0.5, &turned), size);
            assert_eq!(have.renditions, want.renditions);
        }
    }
}

#[test]
fn rotated_hevc_of_any_format() {
    // A prefix SEI: display orientation, 3 bytes: not cancelled, not mirrored, a quarter turn against the clock, held.
    let sei = [0x4e, 1, 47, 3, 0x08, 0x00, 0x18, 0x80];
    for format in ["yuv420p", "yuv422p10le", "yuv444p"] {
        let options =
            |more: &str| format!("-c:v libx265 -x265-params log-level=none:lossless=1 -pix_fmt {format} {more}");
        let source = pictures("160x90", "30", 0.3, &options("-x265-params log-level=none:lossless=1:bframes=0"));
        let source = edit_nals(&source, |i, nals| {
            if i == 0 {
                let slice = nals.iter().position(|nal| nal[0] >> 1 < 32).unwrap();
                nals.insert(slice, sei.to_vec());
            }
        });
        let have = upright(transcode, &source, (90, 160));
        assert_eq!(shown(&have.renditions[0].bytes).len(), 9, "{format}");
    }
}

#[test]
fn rotated_portrait_keeps_its_shape() {
    // A phone held upright: 160x90 as coded, 90x160 as shown, in a rung of 16:9.
    let source = pictures("160x90", "30", 0.3, "-bsf:v h264_metadata=display_orientation=insert:rotate=270");
    let out = try_make(&source).unwrap();
    assert_eq!((out.source.width, out.source.height), (90, 160));
    assert_eq!(video_entry(&out.renditions[0].bytes, "sample_aspect_ratio"), "81:256");
}

#[test]
fn a_rotation_ends_with_its_sequence() {
    let turned = pictures("160x90", "30", 0.3, "-bf 0 -bsf:v h264_metadata=display_orientation=insert:rotate=180");
    let plain = pictures("160x90", "30", 0.3, "-bf 0 -output_ts_offset 0.3");
    let both = upright(transcode, &[turned, plain.clone()].concat(), (160, 90));
    let flipped = "-bf 0 -output_ts_offset 0.3 -vf hflip,vflip";
    let far = |options: &str| {
        let want = crate::common::frames(&pictures("160x90", "30", 0.3, options));
        let have = crate::common::frames(&both.renditions[0].bytes);
        let (have, want) = (have.last().unwrap(), want.last().unwrap());
        have.iter().zip(want).map(|(a, b)| u64::from(a.abs_diff(*b))).sum::<u64>() / have.len() as u64
    };
    let (upright, turned) = (far("-bf 0 -output_ts_offset 0.3"), far(flipped));
    assert!(upright < 12 && turned > 3 * upright, "{upright} from the plain picture, {turned} from the turned one");
}

#[test]
fn odd_sizes() {
    for (size, options) in [
        ((321, 181), "-c:v libx265 -x265-params log-level=none -pix_fmt yuv444p"),
        ((321, 181), "-c:v libx264 -pix_fmt yuv444p"),
        ((322, 181), "-c:v libx264 -pix_fmt yuv422p"),
        ((66, 50), ""),
        ((16, 16), ""),
    ] {
        // The test picture itself comes in even sizes only.
        let format = options.rsplit(' ').next().filter(|format| !format.is_empty()).unwrap_or("yuv420p");
        let crop = format!("{options} -vf format={format},crop={}:{}:0:0:exact=1", size.0, size.1);
        let source = pictures("340x200", "30", 0.2, &crop);
        faithful(&source, size);
    }
}

#[test]
fn ultra_high_definition() {
    faithful(&pictures("3840x2160", "30", 0.1, ""), (3840, 2160));
}

#[test]
fn larger_than_allowed() {
    let error = try_make(&pictures("4352x2304", "30", 0.04, "")).unwrap_err();
    assert_eq!(error.class(), Class::Input);
    assert!(matches!(error, EngineError::FramePixels { width: 4352, height: 2304, .. }), "{error}");
}

#[test]
fn a_size_that_changes_on_the_way() {
    let parts = [pictures("160x90", "30", 0.3, "-bf 0"), pictures("90x160", "30", 0.3, "-bf 0 -output_ts_offset 0.3")];
    let times: Vec<i64> = parts.iter().flat_map(|part| shown(part)).collect();
    let out = try_make(&parts.concat()).unwrap();
    assert_eq!((sound(&out), out.source.damaged), (times, 0));
    assert_eq!((out.source.width, out.source.height), (160, 90));
}

#[test]
fn a_format_that_changes_on_the_way() {
    let second = "-bf 0 -pix_fmt yuv422p10le -output_ts_offset 0.3";
    let parts = [pictures("160x90", "30", 0.3, "-bf 0"), pictures("160x90", "30", 0.3, second)];
    let times: Vec<i64> = parts.iter().flat_map(|part| shown(part)).collect();
    let out = try_make(&parts.concat()).unwrap();
    assert_eq!((sound(&out), out.source.damaged), (times, 0));
}

// Rates.

#[test]
fn one_picture_a_second() {
    let out = faithful(&pictures("160x90", "1", 5.0, ""), (160, 90));
    assert_eq!((out.source.frames, out.source.duration), (5, 450_000));
    let keys = video_packets(&out.renditions[0].bytes).iter().filter(|(_, key)| *key).count();
    assert_eq!(keys, 5, "an IDR picture every second");
}

#[test]
fn a_hundred_and_twenty_pictures_a_second() {
    let out = faithful(&pictures("160x90", "120", 1.0, "-bf 2"), (160, 90));
    assert_eq!((out.source.frames, out.source.duration), (120, 90_000));
}

// Coding.

#[test]
fn b_pyramids() {
    let options = "-preset fast -bf 7 -b_strategy 0 -x264-params b-pyramid=normal:ref=4";
    let source = pictures("160x90", "30", 1.0, options);
    let packets = video_packets(&source);
    assert!(packets.windows(2).any(|w| w[1].0 < w[0].0 - 9000), "the clip is out of order: {packets:?}");
    faithful(&source, (160, 90));
}

#[test]
fn an_open_gop_at_the_start() {
    let whole =
        pictures("160x90", "30", 2.0, "-preset fast -bf 2 -x264-params open-gop=1:keyint=20:min-keyint=20:scenecut=0");
    let media = headframe_codec::ts::demux(&whole).unwrap();
    let recovery = |data: &[u8]| {
        let nals = split(data);
        nals.iter().any(|nal| nal_type(nal) == 7) && !nals.iter().any(|nal| nal_type(nal) == 5)
    };
    let start = media.video.iter().position(|unit| recovery(&unit.data)).unwrap();
    let rest = media.video[start..].iter().map(|unit| headframe_codec::ts::VideoUnit {
        pts: unit.pts.unwrap(),
        key: false,
        data: unit.data.clone(),
    });
    let source = headframe_codec::ts::mux(&rest.collect::<Vec<_>>(), &[], headframe_codec::ts::H264);
    let out = try_make(&source).unwrap();
    let times = sound(&out);
    // Pictures before the recovery point refer to what is not there; from it on all are shown in their own time.
    let from = media.video[start].pts.unwrap();
    let want: Vec<i64> = shown(&source).into_iter().filter(|time| *time >= from).collect();
    assert!(times.ends_with(&want) && times.len() <= want.len() + 2, "{times:?} for {want:?}");
}

#[test]
fn no_access_unit_delimiters() {
    let source = pictures("160x90", "30", 0.5, "-bsf:v h264_metadata=aud=remove -bf 2");
    faithful(&source, (160, 90));
}

#[test]
fn many_slices() {
    faithful(&pictures("160x96", "30", 0.3, "-x264-params slices=4"), (160, 96));
}

#[test]
fn sei_in_odd_places() {
    let clean = pictures("160x90", "30", 0.5, "-bf 0");
    // User data: type 5, 17 bytes, an identifier and one byte.
    let sei = [&[6, 5, 17][..], &[0xaa; 16], &[1, 0x80]].concat();
    for place in ["before the delimiter", "behind the slice", "twice in front of the slice"] {
        let source = edit_nals(&clean, |_, nals| match place {
            "before the delimiter" => nals.insert(0, sei.clone()),
            "behind the slice" => nals.push(sei.clone()),
            _ => {
                let slice = nals.iter().position(|nal| matches!(nal_type(nal), 1 | 5)).unwrap();
                nals.insert(slice, sei.clone());
                nals.insert(slice, sei.clone());
            }
        });
        let out = try_make(&source).unwrap();
        assert_eq!(sound(&out), shown(&clean), "{place}");
        assert_eq!(out.source.damaged, 0, "{place}");
    }
}

#[test]
fn sei_that_is_broken() {
    let clean = pictures("160x90", "30", 0.5, "-bf 0");
    for sei in [&[6][..], &[6, 0xff, 0xff, 0xff], &[6, 5, 0xff, 0xff, 1, 2, 3], &[6, 1, 0x80], &[6, 6, 200, 0x80]] {
        let source = edit_nals(&clean, |_, nals| nals.insert(1, sei.to_vec()));
        assert_eq!(sound(&try_make(&source).unwrap()), shown(&clean), "{sei:?}");
    }
}

#[test]
fn no_parameter_sets() {
    let clean = pictures("160x90", "30", 0.5, "");
    for missing in [7, 8] {
        let error = try_make(&edit_nals(&clean, |_, nals| nals.retain(|nal| nal_type(nal) != missing))).unwrap_err();
        assert_eq!(error.class(), Class::Input);
        assert!(matches!(error, EngineError::NoFrames { .. }), "{error}");
    }
}

#[test]
fn broken_parameter_sets() {
    let clean = pictures("160x90", "30", 0.5, "");
    for broken in [7, 8] {
        for junk in [vec![], vec![0xff; 3], vec![0; 20], vec![0xff; 200], (0..90).collect()] {
            let source = edit_nals(&clean, |_, nals| {
                for nal in nals.iter_mut().filter(|nal| nal_type(nal) == broken) {
                    *nal = [&nal[..1], &junk].concat();
                }
            });
            match try_make(&source) {
                Ok(out) => drop(sound(&out)),
                Err(error) => assert_eq!(error.class(), Class::Input, "{broken} {junk:?}: {error}"),
            }
        }
    }
}

#[test]
fn parameter_sets_that_come_again_broken() {
    // The good ones of the first picture hold on for a stream whose later ones do not parse.
    let clean = pictures("160x90", "30", 0.5, "-bf 0");
    let source = edit_nals(&clean, |i, nals| {
        if i == 7 {
            nals.insert(1, vec![0x67, 0xff, 0xff, 0xff]);
            nals.insert(2, vec![0x68, 0, 0, 0]);
        }
    });
    assert_eq!(sound(&try_make(&source).unwrap()), shown(&clean));
}

#[test]
fn a_lost_slice() {
    let clean = pictures("160x96", "30", 0.5, "-bf 0 -x264-params slices=4");
    let source = edit_nals(&clean, |i, nals| {
        if i == 5 {
            let slice = nals.iter().rposition(|nal| nal_type(nal) == 1).unwrap();
            nals.remove(slice);
        }
    });
    let out = try_make(&source).unwrap();
    assert_eq!(sound(&out), shown(&clean));
    assert!(out.source.damaged >= 1 || !TELLS_DAMAGE, "{:?}", out.source);
}
