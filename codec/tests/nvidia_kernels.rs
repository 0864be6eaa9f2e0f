//! The kernels over doubles of the driver: from a decoded picture into the surfaces of encoder sessions.
//!
//! Each test has a process of its own, because the kernels have one driver in a process: what is open as `libcuda.so.1`.
#![cfg(feature = "engine")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod doubles;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Barrier};
use std::time::Instant;

use doubles::{Doubles, alone, child, picture, settings};
use headframe_codec::Class;
use headframe_codec::nvidia::{
    Batcher, Decoder, DecoderLimits, Device, EncoderSession, EncoderSettings, NvidiaError, Planes, Scaler, Share,
    Surface, VideoCodec,
};
use headframe_kernels::cuda::{self, CudaError, CudaLadder, CudaMetric, DevicePicture, Gpu, Job, Layout};
use headframe_kernels::{Filter, Format, LadderScaler, PlaneMut, Source, SourceRef, Yuv420Mut, hash};

const LADDER: [(u32, u32); 4] = [(1280, 720), (854, 480), (640, 360), (426, 240)];

/// What the CPU engine's scaler makes of a picture as [`Device::download`] gives it, laid out in the same way.
fn due(source: Source, bytes: &[u8], sizes: &[(u32, u32)]) -> Vec<Vec<u8>> {
    let row = source.width.next_multiple_of(2) as usize * if source.format == Format::P010 { 2 } else { 1 };
    let (luma, chroma) = bytes.split_at(row * source.height as usize);
    let picture = SourceRef::new(source, &[(luma, row), (chroma, row)]).unwrap();
    let mut outputs: Vec<_> =
        sizes.iter().map(|&size| (size, [0, 1, 1].map(|plane| vec![0; samples(size, plane)]))).collect();
    let mut views: Vec<_> = outputs.iter_mut().map(|(size, planes)| view(*size, planes)).collect();
    LadderScaler::new(source, sizes, Filter::CatmullRom).unwrap().scale(&picture, &mut views).unwrap();
    drop(views);
    let pairs = |u: &[u8], v: &[u8]| u.iter().zip(v).flat_map(|(u, v)| [*u, *v]).collect::<Vec<u8>>();
    outputs.iter().map(|(_, [y, u, v])| [y.clone(), pairs(u, v)].concat()).collect()
}

/// Samples across and down of luma (0) or a plane of chroma.
fn extent((width, height): (u32, u32), plane: usize) -> (usize, usize) {
    let side = |side: u32| if plane == 0 { side as usize } else { side.div_ceil(2) as usize };
    (side(width), side(height))
}

fn samples(size: (u32, u32), plane: usize) -> usize {
    extent(size, plane).0 * extent(size, plane).1
}

fn view(size: (u32, u32), [y, u, v]: &mut [Vec<u8>; 3]) -> Yuv420Mut<'_> {
    let plane = |bytes, (width, height): (usize, usize)| PlaneMut::new(bytes, width, height, width).unwrap();
    Yuv420Mut::new(plane(y, extent(size, 0)), plane(u, extent(size, 1)), plane(v, extent(size, 1))).unwrap()
}

/// A clip of a moving test picture as access units with their times.
fn clip(size: &str, pictures: u32, options: &str) -> Vec<(i64, Vec<u8>)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.ts");
    let mut command = Command::new("ffmpeg");
    command.args("-nostdin -loglevel error -f lavfi -i".split(' ')).arg(format!("testsrc2=size={size}:rate=30"));
    command.args(["-frames:v", &pictures.to_string()]).args(options.split(' ')).args(["-f", "mpegts"]).arg(&path);
    let output = command.output().expect("these tests need the program ffmpeg");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let media = headframe_codec::ts::demux(&std::fs::read(path).unwrap()).unwrap();
    media.video.into_iter().map(|unit| (unit.pts.unwrap(), unit.data)).collect()
}

/// An encoder session for each rung.
fn sessions(device: &Arc<Device>, sizes: &[(u32, u32)]) -> Result<Vec<EncoderSession>, NvidiaError> {
    let rung = |size| EncoderSettings { max_size: size, ..settings(size) };
    sizes.iter().map(|&size| EncoderSession::open(device, &rung(size))).collect()
}

/// Decodes, scales every picture into the sessions' surfaces, compares those with what is due, encodes. Gives the number of
/// pictures that came out of each session.
fn transcode(
    device: &Arc<Device>,
    codec: VideoCodec,
    units: &[(i64, Vec<u8>)],
    sessions: &mut [EncoderSession],
) -> Result<Vec<usize>, NvidiaError> {
    let mut decoder = Decoder::open(device, codec, DecoderLimits::default())?;
    let mut scaler = Scaler::open(device)?;
    let mut counts = vec![0; sessions.len()];
    let mut sink = |picture: headframe_codec::nvidia::Picture| {
        let planes = picture.planes();
        let (width, height) = planes.size();
        let format = if planes.bit_depth() == 8 { Format::Nv12 } else { Format::P010 };
        let sizes: Vec<_> = sessions.iter().map(|session| session.settings().size).collect();
        let surfaces = sessions.iter_mut().map(EncoderSession::input).collect::<Result<Vec<_>, _>>()?;
        scaler.scale(&planes, &surfaces)?;
        let due = due(Source { width, height, format }, &device.download(&planes)?, &sizes);
        for (i, (surface, due)) in surfaces.iter().zip(due).enumerate() {
            assert!(device.download(surface)? == due, "{width}x{height} {format:?} to {:?}", sizes[i]);
        }
        drop(surfaces);
        for (session, count) in sessions.iter_mut().zip(&mut counts) {
            session.encode(picture.time(), false)?;
            while session.in_flight() >= 3 {
                *count += usize::from(session.output()?.is_some());
            }
        }
        Ok(())
    };
    for (time, data) in units {
        decoder.feed(data, *time, &mut sink)?;
    }
    decoder.flush(&mut sink)?;
    for (session, count) in sessions.iter_mut().zip(&mut counts) {
        *count += session.drain()?.len();
    }
    Ok(counts)
}

#[test]
fn what_the_kernels_make_of_a_decoded_picture_is_what_the_cpu_engine_makes_of_it() {
    alone("what_the_kernels_make_of_a_decoded_picture_is_what_the_cpu_engine_makes_of_it", |doubles| {
        let device = doubles.device();
        let mut sessions = sessions(&device, &LADDER).unwrap();
        let mut units = clip("1920x1080", 3, "-pix_fmt yuv420p -c:v libx264 -preset ultrafast");
        // Then another size, from which most of the rungs are larger.
        units.extend(clip("642x362", 2, "-pix_fmt yuv420p -c:v libx264 -preset ultrafast"));
        assert_eq!(transcode(&device, VideoCodec::H264, &units, &mut sessions), Ok(vec![5; 4]));
        // A ladder is prepared once for each size, and is one launch.
        let calls = doubles.report("cuda").calls;
        let calls = ["cuModuleLoadData", "cuMemAlloc_v2", "cuLaunchKernel"].map(|function| calls[function]);
        assert_eq!(calls, [1, 2, 3 + 2]);
    });
}

/// The double checks every access of a kernel. However much else is allocated, that must not take minutes: an engine keeps
/// hundreds of surfaces, and tests would look as if they hung.
#[test]
fn a_launch_of_the_double_takes_no_longer_where_much_is_allocated() {
    alone("a_launch_of_the_double_takes_no_longer_where_much_is_allocated", |doubles| {
        let device = doubles.device();
        let surface = |size| Surface::new(&device, size, 8).unwrap();
        // So far apart that single samples are read.
        let (small, large) = ((32, 18), (960, 540));
        let (from, to) = (surface(large), surface(small));
        let mut scaler = Scaler::open(&device).unwrap();
        let mut best = || {
            let mut one = || {
                let began = Instant::now();
                scaler.scale(&from.planes(large), &[to.planes(small)]).unwrap();
                began.elapsed()
            };
            (0..3).map(|_| one()).min().unwrap()
        };
        let few = best();
        let others: Vec<Surface> = (0..4000).map(|_| surface(small)).collect();
        let many = best();
        drop(others);
        assert!(many < 10 * few, "{few:?} among few allocations, {many:?} among 4000");
    });
}

/// The hashes of pictures as FFmpeg's software decoders decode them.
fn software_hashes(units: &[(i64, Vec<u8>)], source: Source, pixels: &str) -> Vec<[u8; 32]> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.bits");
    std::fs::write(&path, units.iter().flat_map(|(_, data)| data.clone()).collect::<Vec<_>>()).unwrap();
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-loglevel", "error", "-i"]).arg(&path).args(["-pix_fmt", pixels, "-f", "rawvideo", "-"]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let extents = [0, 1, 2].map(|plane| source.format.extent(plane, (source.width, source.height)));
    let bytes: usize = extents.iter().map(|(row, rows)| row * rows).sum();
    let hashed = |picture: &[u8]| {
        let mut rest = picture;
        let planes = extents.map(|(row, rows)| {
            let (plane, behind) = rest.split_at(row * rows);
            rest = behind;
            (plane, row)
        });
        hash::picture(&SourceRef::new(source, &planes).unwrap())
    };
    output.stdout.chunks(bytes).map(hashed).collect()
}

#[test]
fn decoded_pictures_have_the_hashes_of_those_of_the_software_decoder() {
    alone("decoded_pictures_have_the_hashes_of_those_of_the_software_decoder", |doubles| {
        let device = doubles.device();
        let ten_bit = "-pix_fmt yuv420p10le -c:v libx265 -preset ultrafast -x265-params log-level=none";
        for (codec, size, format, pixels, options) in [
            // A size that is not whole macroblocks.
            (VideoCodec::H264, (642, 362), Format::Yuv420, "yuv420p", "-pix_fmt yuv420p -c:v libx264 -preset fast"),
            (VideoCodec::Hevc, (640, 360), Format::Yuv420Ten, "yuv420p10le", ten_bit),
        ] {
            let units = clip(&format!("{}x{}", size.0, size.1), 8, options);
            let mut decoder = Decoder::open(&device, codec, DecoderLimits::default()).unwrap();
            let mut scaler = Scaler::open(&device).unwrap();
            let mut have = Vec::new();
            let mut sink = |picture: headframe_codec::nvidia::Picture| {
                have.push(scaler.hash(&picture.planes())?);
                Ok(())
            };
            units.iter().try_for_each(|(time, data)| decoder.feed(data, *time, &mut sink)).unwrap();
            decoder.flush(&mut sink).unwrap();
            let due = software_hashes(&units, Source { width: size.0, height: size.1, format }, pixels);
            assert_eq!((have.len(), due.len()), (8, 8));
            assert!(have == due, "{codec:?}");
            // A moving picture: no two are the same.
            assert!(have.windows(2).all(|pair| pair[0] != pair[1]));
        }
    });
}

#[test]
fn ten_bits_become_eight_as_on_the_cpu() {
    alone("ten_bits_become_eight_as_on_the_cpu", |doubles| {
        let device = doubles.device();
        let options = "-pix_fmt yuv420p10le -c:v libx265 -preset ultrafast -x265-params log-level=none";
        let units = clip("1280x720", 2, options);
        let mut sessions = sessions(&device, &LADDER).unwrap();
        assert_eq!(transcode(&device, VideoCodec::Hevc, &units, &mut sessions), Ok(vec![2; 4]));
    });
}

#[test]
fn sizes_that_are_not_even_are_scaled_as_on_the_cpu() {
    alone("sizes_that_are_not_even_are_scaled_as_on_the_cpu", |doubles| {
        let device = doubles.device();
        let mut scaler = Scaler::open(&device).unwrap();
        let (size, sizes) = ((321, 181), [(213, 121), (77, 43)]);
        for (bit_depth, format) in [(8, Format::Nv12), (10, Format::P010)] {
            let source = Surface::new(&device, size, bit_depth).unwrap();
            let mut bytes = picture((322, 182), 3, bit_depth);
            bytes.truncate(bytes.len() / (182 + 91) * (181 + 91));
            device.upload(&source.planes(size), &bytes).unwrap();
            let rungs = sizes.map(|size| Surface::new(&device, size, 8).unwrap());
            let planes = [rungs[0].planes(sizes[0]), rungs[1].planes(sizes[1])];
            scaler.scale(&source.planes(size), &planes).unwrap();
            // Rows of an odd width end with a byte that belongs to no sample.
            let without = |planes: &Planes<'_>| {
                let (width, height) = extent(planes.size(), 0);
                let bytes = device.download(planes).unwrap();
                let (luma, chroma) = bytes.split_at((width + 1) * height);
                [luma.chunks(width + 1).flat_map(|row| &row[..width]).copied().collect(), chroma.to_vec()].concat()
            };
            let have: Vec<Vec<u8>> = planes.iter().map(without).collect();
            assert!(have == due(Source { width: size.0, height: size.1, format }, &bytes, &sizes), "{format:?}");
        }
    });
}

/// The kernels find the driver that is open, though nothing tells the loader where it is; and cards are what they are called.
#[test]
fn the_kernels_and_the_codec_have_one_driver() {
    alone("the_kernels_and_the_codec_have_one_driver", |doubles| {
        doubles.set("cuda", "devices", "2");
        let device = doubles.device();
        let other = cuda::devices().unwrap()[1].uuid;
        let first = Gpu::open(device.info().uuid).unwrap();
        assert_eq!(doubles.report("cuda").calls["cuModuleLoadData"], 1);
        assert_eq!(first, Gpu::open(device.info().uuid).unwrap());
        assert_ne!(first, Gpu::open(other).unwrap());
        // One that cannot be described does not keep the others from being used.
        let broken = || doubles.set("cuda", "fault", "cuDeviceGetName=999x1");
        broken();
        assert_eq!(cuda::devices().unwrap().iter().map(|card| card.uuid).collect::<Vec<_>>(), [other]);
        broken();
        assert_eq!(Gpu::open(other).unwrap().description().uuid, other);
        broken();
        let error = Gpu::open(device.info().uuid).unwrap_err();
        assert_eq!(error, CudaError::Driver { call: "cuDeviceGetName", code: 999 });
        doubles.set("cuda", "fault", "cuDeviceGetUuid=999");
        assert!(cuda::devices().is_err() && matches!(Gpu::open(other), Err(CudaError::Driver { code: 999, .. })));
        doubles.set("cuda", "clear", "");
        drop(first);
        // What is left current on this thread belongs to nobody any more; the codec's calls do not mind.
        assert!(device.memory().is_ok());
    });
}

/// What the kernels ask of a driver beside scaling.
#[test]
fn copies_fills_marks_and_measures_work_too() {
    alone("copies_fills_marks_and_measures_work_too", |doubles| {
        let device = doubles.device();
        let gpu = Gpu::open(device.info().uuid).unwrap();
        assert_eq!((cuda::driver_version(), gpu.kernels().unwrap().len()), (Ok(12020), 8));
        assert_eq!(gpu.memory(), Ok((8192 << 20, 8192 << 20)));
        let queue = gpu.queue().unwrap();
        let begin = queue.record().unwrap();
        let grey = Source { width: 64, height: 36, format: Format::Grey };
        let nv12 = Source { width: 32, height: 18, format: Format::Nv12 };
        let samples = vec![77; 64 * 36];
        let mut source = DevicePicture::new(&gpu, grey).unwrap();
        queue.upload(&SourceRef::new(grey, &[(&samples, 64)]).unwrap(), &mut source).unwrap();
        let ladder = CudaLadder::new(&gpu, grey, &[(32, 18)], Filter::CatmullRom, Layout::Nv12).unwrap();
        let mut outputs = [DevicePicture::new(&gpu, nv12).unwrap()];
        ladder.scale(&queue, &mut [Job { source: &source, outputs: &mut outputs }]).unwrap();
        let mut copy = DevicePicture::new(&gpu, nv12).unwrap();
        queue.copy(&outputs[0], &mut copy).unwrap();
        let (mut luma, mut chroma) = (vec![0; 32 * 18], vec![0; 32 * 9]);
        queue.download(&copy, &mut [(&mut luma, 32), (&mut chroma, 32)]).unwrap();
        // Grey has no colour: that is 128.
        assert!(luma.iter().all(|sample| *sample == 77) && chroma.iter().all(|sample| *sample == 128));
        let mut meter = CudaMetric::new(&gpu);
        assert_eq!(meter.squared_errors(&queue, &[(&copy, &outputs[0])], 0), Ok(vec![0]));
        let end = queue.record().unwrap();
        end.finish().unwrap();
        assert_eq!(end.is_done(), Ok(true));
        assert!(end.since(&begin).unwrap() > std::time::Duration::ZERO);
    });
}

/// Surfaces of one picture and its rungs, scaled once.
fn scaled_once(device: &Arc<Device>) -> Result<(), NvidiaError> {
    let mut scaler = Scaler::open(device)?;
    let source = Surface::new(device, (320, 180), 8)?;
    let rungs = [Surface::new(device, (160, 90), 8)?, Surface::new(device, (80, 45), 8)?];
    device.upload(&source.planes((320, 180)), &picture((320, 180), 1, 8))?;
    scaler.scale(&source.planes((320, 180)), &[rungs[0].planes((160, 90)), rungs[1].planes((80, 45))]).map(drop)
}

/// What each of eight threads gets of scaling this many pictures, one after the other and each by itself, through one [`Batcher`];
/// what is there afterwards is what is due wherever it was scaled.
fn together(device: &Arc<Device>, pictures: u32) -> Vec<Result<Share, NvidiaError>> {
    const THREADS: u32 = 8;
    let (size, sizes) = ((320, 180), [(160, 90), (80, 46)]);
    let batcher = Batcher::open(device, (size, 8), &sizes).unwrap();
    let each = |thread: u32| {
        let (batcher, device) = (&batcher, &device);
        let surface = |size| Surface::new(device, size, 8).unwrap();
        let sources: Vec<_> = (0..pictures).map(|_| surface(size)).collect();
        let number = move |at: usize| thread * pictures + at as u32;
        for (at, source) in sources.iter().enumerate() {
            device.upload(&source.planes(size), &picture(size, number(at), 8)).unwrap();
        }
        let rungs: Vec<_> = sources.iter().map(|_| sizes.map(surface)).collect();
        move |start: &Barrier| {
            start.wait();
            let mut shares = Vec::new();
            for (source, rungs) in sources.iter().zip(&rungs) {
                shares
                    .push(batcher.scale(&source.planes(size), &[rungs[0].planes(sizes[0]), rungs[1].planes(sizes[1])]));
            }
            for (at, rungs) in rungs.iter().enumerate().filter(|(at, _)| shares[*at].is_ok()) {
                let source = Source { width: size.0, height: size.1, format: Format::Nv12 };
                let due = due(source, &picture(size, number(at), 8), &sizes);
                let have = [0, 1].map(|rung| device.download(&rungs[rung].planes(sizes[rung])).unwrap());
                assert!(have[..] == due, "picture {at} of thread {thread}");
            }
            shares
        }
    };
    let work: Vec<_> = (0..THREADS).map(each).collect();
    let start = &Barrier::new(THREADS as usize);
    std::thread::scope(|scope| {
        let threads: Vec<_> = work.into_iter().map(|work| scope.spawn(move || work(start))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn pictures_of_several_streams_share_launches() {
    alone("pictures_of_several_streams_share_launches", |doubles| {
        let device = doubles.device();
        let before = calls(doubles, "cuLaunchKernel");
        let shares: Vec<Share> = together(&device, 20).into_iter().map(Result::unwrap).collect();
        let launches = shares.iter().filter(|share| share.launched > 0).count();
        assert_eq!(shares.iter().map(|share| share.launched).sum::<usize>(), 160, "each picture is in one");
        assert_eq!(calls(doubles, "cuLaunchKernel") - before, launches as u64, "both outputs are made at once");
        // While one launches, the seven others come.
        assert!(launches < 120 && shares.iter().any(|share| share.launched > 2), "{launches}");
        assert!(shares.iter().all(|share| share.took > std::time::Duration::ZERO));
    });
}

#[test]
fn an_error_of_a_shared_launch_is_of_one_stream() {
    alone("an_error_of_a_shared_launch_is_of_one_stream", |doubles| {
        let device = doubles.device();
        for function in ["cuEventRecord", "cuLaunchKernel", "cuStreamSynchronize"] {
            for skip in [0, 5, 11] {
                doubles.set("cuda", "fault", &format!("{function}=600@{skip}x1"));
                let failed: Vec<_> = together(&device, 12).into_iter().filter_map(Result::err).collect();
                doubles.set("cuda", "clear", "");
                let classes: Vec<_> = failed.iter().map(NvidiaError::class).collect();
                assert_eq!(classes, [Class::Transient], "{function} after {skip}");
            }
        }
        // What always fails fails for each.
        doubles.set("cuda", "fault", "cuLaunchKernel=719");
        let outcomes = together(&device, 2);
        doubles.set("cuda", "clear", "");
        assert!(
            outcomes.iter().all(|it| it.as_ref().is_err_and(|error| error.class() == Class::Device)),
            "{outcomes:?}"
        );
    });
}

#[test]
fn a_picture_of_another_kind_is_not_scaled_with_the_others() {
    alone("a_picture_of_another_kind_is_not_scaled_with_the_others", |doubles| {
        let device = doubles.device();
        let batcher = Batcher::open(&device, ((64, 64), 8), &[(32, 32)]).unwrap();
        let surface = |size, bits| Surface::new(&device, size, bits).unwrap();
        let (right, deep, half) = (surface((64, 64), 8), surface((64, 64), 10), surface((32, 32), 8));
        let half = [half.planes((32, 32))];
        assert_eq!(batcher.scale(&right.planes((64, 64)), &half).map(|share| share.launched), Ok(1));
        for (source, outputs) in [
            (right.planes((64, 62)), &half[..]),
            (deep.planes((64, 64)), &half),
            (right.planes((64, 64)), &[]),
            (right.planes((64, 64)), &[right.planes((64, 64))]),
        ] {
            let outcome = batcher.scale(&source, outputs);
            assert!(matches!(outcome, Err(NvidiaError::Unsupported { .. })), "{outcome:?}");
        }
    });
}

/// Calls of a function so far.
fn calls(doubles: &Doubles, function: &str) -> u64 {
    doubles.report("cuda").calls.get(function).copied().unwrap_or(0)
}

#[test]
fn every_fault_of_the_kernels_ends_in_its_class_and_leaves_nothing() {
    alone("every_fault_of_the_kernels_ends_in_its_class_and_leaves_nothing", |doubles| {
        let functions = [
            "cuCtxSetCurrent",
            "cuDevicePrimaryCtxRetain",
            "cuModuleLoadData",
            "cuModuleGetFunction",
            "cuStreamCreate",
            "cuMemAlloc_v2",
            "cuMemcpyHtoDAsync_v2",
            "cuEventCreate",
            "cuEventRecord",
            "cuStreamWaitEvent",
            "cuLaunchKernel",
            "cuStreamSynchronize",
        ];
        let codes = [
            (2, Class::Capacity),
            (701, Class::Capacity),
            (801, Class::Capacity),
            (46, Class::Transient),
            (600, Class::Transient),
            (222, Class::Device),
            (700, Class::Device),
            (719, Class::Device),
            (4711, Class::Device),
        ];
        for function in functions {
            for (code, due) in codes {
                for skip in [0, 1] {
                    let device = doubles.device();
                    let before = calls(doubles, function);
                    doubles.set("cuda", "fault", &format!("{function}={code}@{skip}"));
                    let outcome = scaled_once(&device);
                    drop(device);
                    doubles.set("cuda", "clear", "");
                    match outcome {
                        Ok(()) => {
                            let made = calls(doubles, function) - before;
                            assert!((1..=skip).contains(&made), "{function} with {code} at {skip} went unnoticed");
                        }
                        Err(error) => assert_eq!(error.class(), due, "{function} with {code} at {skip}: {error}"),
                    }
                    let report = doubles.report("cuda");
                    let nothing = (&BTreeMap::new(), &[][..]);
                    assert_eq!((&report.live, &report.violations[..]), nothing, "{function}={code}@{skip}");
                }
            }
        }
        scaled_once(&doubles.device()).unwrap();
    });
}

#[test]
fn what_cannot_be_scaled_is_refused() {
    alone("what_cannot_be_scaled_is_refused", |doubles| {
        doubles.set("cuda", "devices", "2");
        let device = doubles.device();
        let mut scaler = Scaler::open(&device).unwrap();
        let [large, small, deep] = [((2000, 64), 8), ((4, 64), 8), ((64, 64), 10)]
            .map(|(size, bits)| Surface::new(&device, size, bits).unwrap());
        let (large, small) = (large.planes((2000, 64)), small.planes((4, 64)));
        assert_eq!(scaler.scale(&large, &[small]).map_err(|error| error.class()), Err(Class::Input));
        let ten = scaler.scale(&small, &[deep.planes((64, 64))]);
        assert!(matches!(ten, Err(NvidiaError::Unsupported { .. })), "{ten:?}");
        // It may go to another thread.
        let scaler = std::thread::scope(|scope| {
            let scale = || scaler.scale(&large, &[]).map(|_| scaler);
            scope.spawn(scale).join().unwrap()
        });
        let mut scaler = scaler.unwrap();
        let driver = headframe_codec::nvidia::Driver::open(&doubles.source()).unwrap();
        let other = Device::open(&driver, driver.devices().unwrap()[1].uuid).unwrap();
        let there = Surface::new(&other, (64, 64), 8).unwrap();
        assert_eq!(scaler.scale(&there.planes((64, 64)), &[]), Err(NvidiaError::Kernels(CudaError::OtherCard)));
    });
}

/// A card that falls off the bus while it scales: everything is given back all the same.
#[test]
fn a_card_that_is_lost_is_the_devices_fault() {
    let test = "a_card_that_is_lost_is_the_devices_fault";
    if let Some(folder) = std::env::var_os("HEADFRAME_TEST_DRIVER") {
        let doubles = Doubles::at(Path::new(&folder));
        let mut failed = Vec::new();
        for skip in 0..200 {
            let device = doubles.device();
            doubles.set("cuda", "fault", &format!("*=719@{skip}"));
            let outcome = scaled_once(&device);
            drop(device);
            doubles.set("cuda", "clear", "");
            if let Err(error) = outcome {
                assert_eq!(error.class(), Class::Device, "after {skip} calls: {error}");
                failed.push(skip);
            }
            let report = doubles.report("cuda");
            assert_eq!(report.live, BTreeMap::new(), "after {skip} calls");
            // With the card gone no context can be made current.
            let only_contexts = report.violations.iter().all(|what| what.ends_with("without a current context"));
            assert!(only_contexts, "after {skip} calls: {:?}", report.violations);
        }
        // At every call up to the last one that the work needs, and at none of those that give things back.
        assert_eq!(failed, (0..failed.len()).collect::<Vec<_>>());
        assert!((30..180).contains(&failed.len()), "{}", failed.len());
        return;
    }
    let output = child(test, &Doubles::new()).env_remove("HEADFRAME_DOUBLES_STRICT").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The driver never answers: the process is ended from outside.
#[test]
fn a_launch_that_hangs_can_be_ended_from_outside() {
    let test = "a_launch_that_hangs_can_be_ended_from_outside";
    if let Some(folder) = std::env::var_os("HEADFRAME_TEST_DRIVER") {
        scaled_once(&Doubles::at(Path::new(&folder)).device()).unwrap();
        return;
    }
    for function in ["cuModuleLoadData", "cuLaunchKernel", "cuStreamSynchronize"] {
        let doubles = Doubles::new();
        let mut child = child(test, &doubles)
            .env("HEADFRAME_DOUBLE_CUDA", format!("hang={function}"))
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == format!("double cuda: {function} hangs")), "{function} did not hang");
        assert_eq!(child.try_wait().unwrap(), None);
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success());
    }
}
