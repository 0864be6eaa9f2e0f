//! The NVIDIA objects over doubles of the driver: capabilities, round trips, sessions that change.
#![cfg(feature = "engine")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod doubles;

use std::process::Command;

use doubles::{Doubles, encode, file, picture, settings};
use headframe_codec::nvidia::{
    Api, Capabilities, Decoder, DecoderLimits, Device, Driver, EncodedPicture, EncoderSession, EncoderSettings,
    NvidiaError, RateControl, Surface, VideoCodec,
};
use headframe_codec::{Class, Codec};

/// What the program says of a driver in a folder.
fn told(doubles: &Doubles, environment: &[(&str, &str)]) -> serde_json::Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headframe-codec"));
    command.args(["gpu", "--json", "--libraries"]).arg(doubles.path()).envs(environment.iter().copied());
    // Something left behind at its end would make it fail.
    command.env("HEADFRAME_DOUBLES_STRICT", "1");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn codecs(list: &serde_json::Value) -> Vec<&str> {
    let mut codecs: Vec<_> = list.as_array().unwrap().iter().map(|one| one["codec"].as_str().unwrap()).collect();
    codecs.dedup();
    codecs
}

#[test]
fn the_program_starts_without_a_driver_and_says_so() {
    let found = told(&Doubles::with(&[]), &[]);
    assert_eq!(found["devices"].as_array().unwrap().len(), 0);
    assert!(found["problems"][0].as_str().unwrap().starts_with("libcuda.so.1 cannot be opened"), "{found}");
}

#[test]
fn the_program_tells_what_each_driver_can_do() {
    let doubles = Doubles::new();
    let drivers =
        [("11.1", "11.1"), ("12.0", "12.0"), ("12.1", "12.1"), ("12.2", "12.2"), ("13.0", "13.0"), ("14.3", "13.0")];
    for (driver, spoken) in drivers {
        let found = told(&doubles, &[("HEADFRAME_DOUBLE_NVENC", &format!("api={driver};engines=2"))]);
        assert_eq!(found["encode_api"], spoken, "{found}");
        assert_eq!((&found["cuda"][0], &found["cuda"][1]), (&12.into(), &2.into()));
        assert_eq!(found["driver"], "535.0 (double)");
        assert_eq!(found["problems"], serde_json::json!([]));
        let card = &found["devices"][0];
        assert_eq!(card["uuid"], "GPU-68656164-6672-616d-652d-646f75626c00");
        assert_eq!((&card["pci"], &card["compute"]), (&"0000:01:00.0".into(), &serde_json::json!([8, 6])));
        assert_eq!(codecs(&card["decodes"]), ["h264", "hevc", "vp9", "av1"]);
        // AV1 came with API 12.0.
        let due: &[&str] = if driver == "11.1" { &["h264", "hevc"] } else { &["h264", "hevc", "av1"] };
        assert_eq!(codecs(&card["encodes"]), due, "API {driver}");
        assert_eq!((&card["encodes"][0]["engines"], &card["encodes"][1]["ten_bit"]), (&2.into(), &true.into()));
    }
}

#[test]
fn a_driver_that_is_too_old_still_decodes() {
    let found = told(&Doubles::new(), &[("HEADFRAME_DOUBLE_NVENC", "api=10.0")]);
    assert_eq!(found["encode_api"], serde_json::Value::Null);
    assert!(found["problems"][0].as_str().unwrap().contains("NVENC API 10.0; 11.1"), "{found}");
    let card = &found["devices"][0];
    assert!(codecs(&card["encodes"]).is_empty() && codecs(&card["decodes"]).len() == 4);
}

#[test]
fn what_is_missing_is_named_and_the_rest_works() {
    let no_encoder = told(&Doubles::with(&["cuda", "cuvid"]), &[]);
    assert!(no_encoder["problems"][0].as_str().unwrap().starts_with("libnvidia-encode.so.1 cannot be opened"));
    assert_eq!(no_encoder["driver"], serde_json::Value::Null);
    assert!(!codecs(&no_encoder["devices"][0]["decodes"]).is_empty());
    let no_decoder = told(&Doubles::with(&["cuda", "nvenc"]), &[]);
    assert!(no_decoder["problems"][0].as_str().unwrap().starts_with("libnvcuvid.so.1 cannot be opened"));
    assert!(!codecs(&no_decoder["devices"][0]["encodes"]).is_empty());
    let no_card = told(&Doubles::new(), &[("HEADFRAME_DOUBLE_CUDA", "devices=0")]);
    assert!(no_card["problems"][0].as_str().unwrap().contains("CUDA_ERROR_NO_DEVICE"), "{no_card}");
}

#[test]
fn a_card_without_an_encoder_says_so_and_probing_leaves_nothing_behind() {
    let doubles = Doubles::new();
    doubles.set("nvenc", "fault", "nvEncOpenEncodeSessionEx=1");
    let found = Capabilities::probe(&doubles.source());
    assert!(found.devices[0].encodes.is_empty() && found.devices[0].decodes.len() == 7);
    assert!(found.devices[0].problems[0].contains("this card has no encoder"), "{:?}", found.devices[0].problems);
    doubles.assert_clean();
}

#[test]
fn health_is_told_where_nvml_knows_the_card() {
    let doubles = Doubles::new();
    doubles.set("nvml", "sessions", "3");
    let driver = Driver::open(&doubles.source()).unwrap();
    let uuid = driver.devices().unwrap()[0].uuid;
    let health = driver.health(uuid).unwrap();
    assert_eq!((health.memory_used_bytes, health.encoder_sessions, health.celsius), (Some(1 << 30), Some(3), Some(44)));
    // A card that fell off the bus.
    doubles.set("nvml", "fault", "nvmlDeviceGetHandleByUUID=15");
    assert_eq!(driver.health(uuid), None);
    drop(driver);
    doubles.assert_clean();
}

/// Pictures, their size and pixel format, as FFmpeg's own program sees them.
fn probed(file: &std::path::Path) -> (u32, String) {
    let mut command = Command::new("ffprobe");
    command.args(["-loglevel", "error", "-count_frames", "-select_streams", "v", "-of", "csv=p=0", "-show_entries"]);
    command.arg("stream=nb_read_frames,width,height,codec_name,pix_fmt").arg(file);
    let output = command.output().expect("these tests need the programs ffmpeg and ffprobe");
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let (shape, count) = text.trim().rsplit_once(',').unwrap();
    (count.parse().unwrap(), shape.to_owned())
}

#[test]
fn what_is_encoded_is_h264_that_ffmpeg_decodes() {
    for api in Api::ALL {
        let doubles = Doubles::new();
        doubles.set("nvenc", "api", &api.to_string());
        let device = doubles.device();
        let mut session = EncoderSession::open(&device, &settings((640, 360))).unwrap();
        let pictures = encode(&mut session, &device, 20, &[10]);
        let times: Vec<_> = pictures.iter().map(|picture| picture.time).collect();
        assert_eq!(times, (0..20).map(|i| i * 3000).collect::<Vec<_>>());
        let keys: Vec<_> = pictures.iter().filter(|picture| picture.key).map(|picture| picture.time / 3000).collect();
        assert_eq!(keys, [0, 10], "API {api}");
        let stream = file(doubles.path(), "out.h264", &pictures);
        assert_eq!(probed(&stream), (20, "h264,640,360,yuv420p".to_owned()), "API {api}");
        drop(session);
        drop(device);
        doubles.assert_clean();
    }
}

#[test]
fn ten_bits_go_the_way_that_the_api_wants() {
    for api in ["12.0", "13.0"] {
        let doubles = Doubles::new();
        doubles.set("nvenc", "api", api);
        let device = doubles.device();
        let ten = EncoderSettings { codec: Codec::Hevc, bit_depth: 10, ..settings((320, 180)) };
        let mut session = EncoderSession::open(&device, &ten).unwrap();
        let pictures = encode(&mut session, &device, 5, &[]);
        let stream = file(doubles.path(), "out.hevc", &pictures);
        assert_eq!(probed(&stream), (5, "hevc,320,180,yuv420p10le".to_owned()), "API {api}");
        drop((session, device));
        doubles.assert_clean();
    }
}

#[test]
fn pictures_looked_at_ahead_come_out_late_and_all_of_them() {
    let doubles = Doubles::new();
    let device = doubles.device();
    let ahead = EncoderSettings { lookahead: 3, ..settings((320, 180)) };
    let mut session = EncoderSession::open(&device, &ahead).unwrap();
    for i in 0..4 {
        assert_eq!(session.output().unwrap(), None, "before picture {i}");
        device.upload(&session.input().unwrap(), &picture((320, 180), i, 8)).unwrap();
        session.encode(i.into(), false).unwrap();
    }
    assert_eq!(session.output().unwrap().unwrap().time, 0);
    assert_eq!(session.output().unwrap(), None);
    let rest: Vec<_> = session.drain().unwrap().into_iter().map(|picture| picture.time).collect();
    assert_eq!(rest, [1, 2, 3]);
    drop((session, device));
    doubles.assert_clean();
}

/// Decodes all, and gives time, size and samples of each picture.
fn decode(
    device: &std::sync::Arc<headframe_codec::nvidia::Device>,
    codec: VideoCodec,
    units: &[EncodedPicture],
) -> Vec<(i64, (u32, u32), Vec<u8>)> {
    let mut decoder = Decoder::open(device, codec, DecoderLimits::default()).unwrap();
    let mut shown = Vec::new();
    let mut sink = |picture: headframe_codec::nvidia::Picture| {
        assert!(!picture.damaged());
        shown.push((picture.time(), picture.planes().size(), device.download(&picture.planes())?));
        Ok(())
    };
    for unit in units {
        decoder.feed(&unit.data, unit.time, &mut sink).unwrap();
    }
    decoder.flush(&mut sink).unwrap();
    shown
}

/// Mean squared difference of the samples.
fn error(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    let sum: u64 = a.iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum();
    sum as f64 / a.len() as f64
}

#[test]
fn what_is_encoded_comes_back_as_the_same_pictures() {
    for (codec, kind) in
        [(Codec::H264, VideoCodec::H264), (Codec::Hevc, VideoCodec::Hevc), (Codec::Av1, VideoCodec::Av1)]
    {
        let doubles = Doubles::new();
        let device = doubles.device();
        let size = (426, 240);
        let good =
            EncoderSettings { codec, control: RateControl::Quality(12.0), bitrate_bps: 8_000_000, ..settings(size) };
        let mut session = EncoderSession::open(&device, &good).unwrap();
        let units = encode(&mut session, &device, 12, &[]);
        let shown = decode(&device, kind, &units);
        assert_eq!(shown.len(), 12);
        for (i, (time, shape, samples)) in shown.iter().enumerate() {
            assert_eq!((*time, *shape), (i as i64 * 3000, size));
            let own = error(samples, &picture(size, i as u32, 8));
            let next = error(samples, &picture(size, i as u32 + 1, 8));
            assert!(
                own < 20.0 && own * 4.0 < next,
                "picture {i} of {codec:?}: {own} from its own, {next} from the next"
            );
        }
        drop((session, device));
        doubles.assert_clean();
    }
}

/// A clip of a moving test picture as access units with their times, and its pictures as FFmpeg's own program decodes them.
fn clip(options: &str, container: &str, raw: &str) -> (Vec<EncodedPicture>, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip");
    let ffmpeg = |words: &str, file: &std::path::Path, more: &str| {
        let mut command = Command::new("ffmpeg");
        command.args("-nostdin -loglevel error".split(' ')).args(words.split_whitespace()).arg(file);
        let output =
            command.args(more.split_whitespace()).output().expect("these tests need the programs ffmpeg and ffprobe");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let source = "-f lavfi -i testsrc2=size=322x182:rate=30:duration=0.7 -pix_fmt yuv420p";
    ffmpeg(&format!("{source} {options} -f {container}"), &path, "");
    let pictures = ffmpeg("-i", &path, &format!("-f rawvideo -pix_fmt {raw} -"));
    let bytes = std::fs::read(path).unwrap();
    let unit = |data: Vec<u8>, time| EncodedPicture { time, key: false, data };
    if container == "mpegts" {
        let media = headframe_codec::ts::demux(&bytes).unwrap();
        return (media.video.into_iter().map(|it| unit(it.data, it.pts.unwrap())).collect(), pictures);
    }
    // IVF: a header of 32 bytes, then size and time in front of each unit.
    let (mut units, mut at) = (Vec::new(), 32);
    while at < bytes.len() {
        let size = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        let time = i64::from_le_bytes(bytes[at + 4..at + 12].try_into().unwrap());
        units.push(unit(bytes[at + 12..at + 12 + size].to_vec(), time));
        at += 12 + size;
    }
    (units, pictures)
}

#[test]
fn streams_are_decoded_in_the_order_in_which_they_are_shown() {
    let streams = [
        (VideoCodec::H264, "-c:v libx264 -preset fast -bf 3 -g 12", "mpegts", "nv12"),
        (VideoCodec::Hevc, "-c:v libx265 -preset ultrafast -x265-params log-level=none:bframes=3", "mpegts", "nv12"),
        (
            VideoCodec::Hevc,
            "-pix_fmt yuv420p10le -c:v libx265 -preset ultrafast -x265-params log-level=none",
            "mpegts",
            "p010le",
        ),
        (VideoCodec::Vp9, "-c:v libvpx-vp9 -deadline realtime -cpu-used 8", "ivf", "nv12"),
        (VideoCodec::Av1, "-c:v libsvtav1 -preset 12", "ivf", "nv12"),
    ];
    for (codec, options, container, raw) in streams {
        let (units, due) = clip(options, container, raw);
        let doubles = Doubles::new();
        let device = doubles.device();
        let shown = decode(&device, codec, &units);
        let mut times: Vec<_> = units.iter().map(|unit| unit.time).collect();
        times.sort_unstable();
        assert_eq!(shown.iter().map(|(time, ..)| *time).collect::<Vec<_>>(), times, "{options}");
        assert!(shown.iter().all(|(_, size, _)| *size == (322, 182)), "{options}");
        let samples: Vec<u8> = shown.into_iter().flat_map(|(.., samples)| samples).collect();
        assert!(samples == due, "{options}");
        drop(device);
        doubles.assert_clean();
    }
}

#[test]
fn segments_of_one_format_share_a_decoder() {
    let doubles = Doubles::new();
    let device = doubles.device();
    let mut session = EncoderSession::open(&device, &settings((320, 180))).unwrap();
    let units = encode(&mut session, &device, 5, &[]);
    let mut decoder = Decoder::open(&device, VideoCodec::H264, DecoderLimits::default()).unwrap();
    for segment in 1..=3 {
        let mut times = Vec::new();
        let mut sink = |picture: headframe_codec::nvidia::Picture| {
            times.push(picture.time());
            Ok(())
        };
        for unit in &units {
            decoder.feed(&unit.data, unit.time, &mut sink).unwrap();
        }
        decoder.flush(&mut sink).unwrap();
        assert_eq!(times, [0, 3000, 6000, 9000, 12000], "segment {segment}");
    }
    drop((decoder, session, device));
    doubles.assert_clean();
    assert_eq!(doubles.report("cuvid").calls["cuvidCreateDecoder"], 1);
}

#[test]
fn a_new_size_in_the_stream_gets_a_new_decoder() {
    let doubles = Doubles::new();
    let device = doubles.device();
    let mut units = Vec::new();
    for size in [(320, 180), (640, 360), (320, 180)] {
        let mut session = EncoderSession::open(&device, &settings(size)).unwrap();
        units.extend(encode(&mut session, &device, 4, &[]));
    }
    let sizes: Vec<_> = decode(&device, VideoCodec::H264, &units).into_iter().map(|(_, size, _)| size).collect();
    assert_eq!(sizes, [[(320, 180); 4], [(640, 360); 4], [(320, 180); 4]].concat());
    drop(device);
    doubles.assert_clean();
    assert_eq!(doubles.report("cuvid").calls["cuvidCreateDecoder"], 3);
}

#[test]
fn pictures_may_be_held_up_to_the_limit_and_outlive_the_decoder() {
    let doubles = Doubles::new();
    let device = doubles.device();
    let mut session = EncoderSession::open(&device, &settings((320, 180))).unwrap();
    let units = encode(&mut session, &device, 4, &[]);
    let limits = DecoderLimits { pictures: 3, ..DecoderLimits::default() };
    let mut decoder = Decoder::open(&device, VideoCodec::H264, limits).unwrap();
    let mut held = Vec::new();
    let mut hold = |picture| {
        held.push(picture);
        Ok(())
    };
    let mut outcome = Ok(());
    for unit in &units {
        outcome = outcome.and_then(|()| decoder.feed(&unit.data, unit.time, &mut hold));
    }
    let outcome = outcome.and_then(|()| decoder.flush(&mut hold));
    assert_eq!(outcome, Err(NvidiaError::Full { what: "pictures of the decoder", limit: 3 }));
    drop((decoder, session));
    let last = device.download(&held[2].planes()).unwrap();
    assert!(error(&last, &picture((320, 180), 2, 8)) < 200.0);
    drop((held, device));
    doubles.assert_clean();
}

#[test]
fn a_session_that_goes_on_makes_what_a_new_one_would() {
    let large = settings((640, 360));
    let small = EncoderSettings { bitrate_bps: 300_000, buffer_bits: 300_000, rate: (25, 1), ..settings((320, 180)) };
    // Where the driver reads the flags of the change depends on the API.
    for api in Api::ALL {
        let doubles = Doubles::new();
        doubles.set("nvenc", "api", &api.to_string());
        let device = doubles.device();
        let fresh = |settings: &EncoderSettings| {
            let mut session = EncoderSession::open(&device, settings).unwrap();
            encode(&mut session, &device, 8, &[4])
        };
        let due = [fresh(&large), fresh(&small), fresh(&large)];
        let mut session = EncoderSession::open(&device, &large).unwrap();
        let mut made = vec![encode(&mut session, &device, 8, &[4])];
        for next in [&small, &large] {
            session.reconfigure(next).unwrap();
            made.push(encode(&mut session, &device, 8, &[4]));
        }
        assert!(made == due, "API {api}: sizes {:?}, of new sessions {:?}", sizes(&made), sizes(&due));
        // The same again, which must begin anew as well.
        session.reconfigure(&large).unwrap();
        assert!(encode(&mut session, &device, 8, &[4]) == due[0], "API {api}");
        drop((session, device));
        doubles.assert_clean();
        assert_eq!(doubles.report("nvenc").calls["nvEncOpenEncodeSessionEx"], 4);
    }
}

fn sizes(all: &[Vec<EncodedPicture>]) -> Vec<Vec<usize>> {
    all.iter().map(|pictures| pictures.iter().map(|picture| picture.data.len()).collect()).collect()
}

#[test]
fn what_goes_to_the_card_comes_back_and_stays_within_its_surface() {
    let doubles = Doubles::new();
    let device = doubles.device();
    for bit_depth in [8, 10] {
        let surface = Surface::new(&device, (322, 180), bit_depth).unwrap();
        for size in [(322, 180), (16, 16)] {
            let there = picture(size, 3, bit_depth);
            device.upload(&surface.planes(size), &there).unwrap();
            assert!(device.download(&surface.planes(size)).unwrap() == there);
        }
        assert_eq!(surface.planes((4000, 4000)).size(), (322, 180));
        assert!(device.upload(&surface.planes((16, 16)), &[0; 7]).is_err());
        // Sizes that are not even have a chroma sample more than half of theirs, and room for it.
        let odd = Surface::new(&device, (321, 181), bit_depth).unwrap();
        let mut there = picture((322, 182), 3, bit_depth);
        there.truncate(322 * (181 + 91) * if bit_depth > 8 { 2 } else { 1 });
        device.upload(&odd.planes((321, 181)), &there).unwrap();
        assert!(device.download(&odd.planes((321, 181))).unwrap() == there);
    }
    drop(device);
    doubles.assert_clean();
}

#[test]
fn threads_have_sessions_of_their_own_on_one_card() {
    let doubles = Doubles::new();
    let device = doubles.device();
    let work = || encode(&mut EncoderSession::open(&device, &settings((320, 180))).unwrap(), &device, 8, &[4]);
    let due = work();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            assert!(thread.join().unwrap() == due);
        }
    });
    drop(device);
    doubles.assert_clean();
}

#[test]
fn a_session_a_decoder_and_its_pictures_may_move_to_another_thread() {
    let doubles = Doubles::new();
    let device = doubles.device();
    let mut session = EncoderSession::open(&device, &settings((320, 180))).unwrap();
    let units = encode(&mut session, &device, 3, &[]);
    let mut decoder = Decoder::open(&device, VideoCodec::H264, DecoderLimits::default()).unwrap();
    let (to, from) = std::sync::mpsc::sync_channel(4);
    let size = std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut sink = |picture| {
                to.send(picture).unwrap();
                Ok(())
            };
            for unit in &units {
                decoder.feed(&unit.data, unit.time, &mut sink).unwrap();
            }
            decoder.flush(&mut sink).unwrap();
        });
        from.iter().map(|picture| picture.planes().size()).collect::<Vec<_>>()
    });
    assert_eq!(size, [(320, 180); 3]);
    drop((session, device));
    doubles.assert_clean();
}

#[test]
fn a_session_cannot_become_another_kind_or_change_half_way() {
    let doubles = Doubles::new();
    let device = doubles.device();
    let now = settings((640, 360));
    let mut session = EncoderSession::open(&device, &now).unwrap();
    let other = EncoderSettings { gop: 60, ..now };
    assert!(matches!(session.reconfigure(&other), Err(NvidiaError::Unsupported { .. })));
    device.upload(&session.input().unwrap(), &picture((640, 360), 0, 8)).unwrap();
    assert_eq!(session.reconfigure(&now).unwrap_err().class(), Class::Capacity);
    session.encode(0, false).unwrap();
    assert!(session.reconfigure(&now).is_err());
    assert_eq!(session.drain().unwrap().len(), 1);
    session.reconfigure(&now).unwrap();
    drop((session, device));
    doubles.assert_clean();
}

#[test]
fn a_broken_card_does_not_hide_the_others() {
    let doubles = Doubles::new();
    doubles.set("cuda", "devices", "3");
    let driver = Driver::open(&doubles.source()).unwrap();
    let all: Vec<_> = driver.devices().unwrap().into_iter().map(|card| card.uuid).collect();
    let fails = |call: &str, skip: u32, times: u32| {
        doubles.set("cuda", "clear", "");
        doubles.set("cuda", "fault", &format!("{call}=999@{skip}x{times}"));
    };
    for call in ["cuDeviceGetName", "cuDeviceGetPCIBusId", "cuDeviceTotalMem_v2", "cuDeviceGetUuid", "cuDeviceGet"] {
        fails(call, 1, 1);
        let others: Vec<_> = driver.devices().unwrap().into_iter().map(|card| (card.ordinal, card.uuid)).collect();
        assert_eq!(others, [(0, all[0]), (2, all[2])], "{call}");
        fails(call, 1, 1);
        let found = Capabilities::probe(&doubles.source());
        assert_eq!((found.devices.len(), &found.problems[..]), (2, &[][..]), "{call}");
        assert!(found.devices.iter().all(|card| !card.decodes.is_empty() && !card.encodes.is_empty()), "{call}");
        let [broken] = &found.broken[..] else { panic!("{:?}", found.broken) };
        let known = !["cuDeviceGetUuid", "cuDeviceGet"].contains(&call);
        assert_eq!((broken.ordinal, broken.uuid.clone()), (1, known.then(|| all[1].to_string())), "{call}");
        assert!(broken.reason.starts_with(&format!("{call}: ")) && broken.reason.contains("999"), "{}", broken.reason);
        // The others can be taken into use, this one says what it has.
        fails(call, 1, 1);
        assert_eq!(Device::open(&driver, all[2]).unwrap().info().uuid, all[2], "{call}");
        fails(call, 1, 1);
        let error = Device::open(&driver, all[1]).map(|_| ()).unwrap_err();
        assert!(matches!(error, NvidiaError::Cuda { call: of, code: 999, .. } if of == call), "{error}");
    }
    // None at all is an error, not an empty list.
    fails("cuDeviceGetName", 0, 3);
    assert!(matches!(driver.devices(), Err(NvidiaError::Cuda { code: 999, .. })));
    doubles.set("cuda", "clear", "");
    drop(driver);
    doubles.assert_clean();
    let text = std::process::Command::new(env!("CARGO_BIN_EXE_headframe-codec"))
        .args(["gpu", "--libraries"])
        .arg(doubles.path())
        .env("HEADFRAME_DOUBLE_CUDA", "devices=2;fault=cuDeviceGetName=999@1x1")
        .output()
        .unwrap();
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("card 1, GPU-") && text.contains("BROKEN: cuDeviceGetName"), "{text}");
}

#[test]
fn the_real_driver_is_looked_for_by_default() {
    // In a process of its own: in this one a double may be open, and the loader would give that.
    let output = Command::new(env!("CARGO_BIN_EXE_headframe-codec")).args(["gpu", "--json"]).output().unwrap();
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    // This machine may have one or not: either way there is an answer.
    let some = |what: &str| !found[what].as_array().unwrap().is_empty();
    assert!(some("devices") || some("problems"), "{found}");
}
