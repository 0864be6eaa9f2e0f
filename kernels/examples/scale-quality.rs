//! How near the ladder comes to a resampling in floating point, beside FFmpeg's scaler:
//! `cargo run --release -p headframe-kernels --example scale-quality PICTURES.yuv...`, raw 1920x1080 8-bit 4:2:0.
//!
//! Three judges: the source resampled straight to each rung in `f64` with our curve (Catmull-Rom), with swscale's
//! bicubic (Keys' cubic with a = -0.6), and with Lanczos-3, which neither has by default. Everyone is nearest to the
//! judge with their own curve, so that is the fair comparison of two scalers' exactness. dB for Y, U, V, over all
//! pictures of a file.

use std::collections::HashMap;
use std::process::Command;

use headframe_kernels::{Filter, LadderScaler, PlaneMut, PlaneRef, Source, SourceRef, Yuv420Mut, Yuv420Ref};

const SIZE: (usize, usize) = (1920, 1080);
const LADDER: [(u32, u32); 4] = [(1280, 720), (854, 480), (640, 360), (426, 240)];
/// Chroma on the even samples, as both sides are told.
const SITING: &str = "in_h_chr_pos=0:in_v_chr_pos=128:out_h_chr_pos=0:out_v_chr_pos=128";

type Failure = Box<dyn std::error::Error>;
type Curve = fn(f64) -> f64;

const JUDGES: [(&str, Curve); 3] = [("a=-0.5", |x| cubic(x, 0.5)), ("a=-0.6", |x| cubic(x, 0.6)), ("Lanczos", lanczos)];

fn main() -> Result<(), Failure> {
    for path in std::env::args().skip(1) {
        let raw = std::fs::read(&path)?;
        let pictures: Vec<&[u8]> = raw.chunks_exact(bytes(SIZE)).collect();
        println!("{path}: {} pictures; Y U V in dB, judged by {:?}", pictures.len(), JUDGES.map(|(name, _)| name));
        let mut answers = Vec::new();
        for filter in [Filter::CatmullRom, Filter::Lanczos3] {
            answers.push((format!("ours, {filter:?}"), ours(&pictures, filter)?));
        }
        for flags in ["bicubic", "bicubic+accurate_rnd", "lanczos"] {
            let scaled: Result<Vec<_>, _> = LADDER.iter().map(|to| swscale(&path, *to, flags)).collect();
            answers.push((format!("swscale, {flags}"), scaled?));
        }
        for (rung, to) in LADDER.iter().enumerate() {
            let to = (to.0 as usize, to.1 as usize);
            let mut errors: HashMap<(usize, usize, usize), f64> = HashMap::new();
            for (n, picture) in pictures.iter().enumerate() {
                for (j, (_, curve)) in JUDGES.iter().enumerate() {
                    for plane in 0..3 {
                        let want = resampled(picture, to, plane, *curve);
                        for (a, (_, scaled)) in answers.iter().enumerate() {
                            let (at, len) = extent(to, plane);
                            let have = &scaled[rung][n * bytes(to) + at..][..len.0 * len.1];
                            let error: f64 = have.iter().zip(&want).map(|(h, w)| (f64::from(*h) - w).powi(2)).sum();
                            *errors.entry((a, j, plane)).or_default() += error / (len.0 * len.1) as f64;
                        }
                    }
                }
            }
            for (a, (name, _)) in answers.iter().enumerate() {
                print!("{:>4} {name:29}", to.1);
                for j in 0..JUDGES.len() {
                    let db = |plane| 10.0 * (255.0 * 255.0 * pictures.len() as f64 / errors[&(a, j, plane)]).log10();
                    print!(" | {:4.1} {:4.1} {:4.1}", db(0), db(1), db(2));
                }
                println!();
            }
        }
    }
    Ok(())
}

fn bytes((w, h): (usize, usize)) -> usize {
    w * h + 2 * w.div_ceil(2) * h.div_ceil(2)
}

/// Where a plane begins in a picture, and its width and height.
fn extent((w, h): (usize, usize), plane: usize) -> (usize, (usize, usize)) {
    let chroma = (w.div_ceil(2), h.div_ceil(2));
    match plane {
        0 => (0, (w, h)),
        _ => (w * h + (plane - 1) * chroma.0 * chroma.1, chroma),
    }
}

/// All pictures of each rung, one behind the other.
fn ours(pictures: &[&[u8]], filter: Filter) -> Result<Vec<Vec<u8>>, Failure> {
    let mut ladder = LadderScaler::new(Source::yuv420((SIZE.0 as u32, SIZE.1 as u32)), &LADDER, filter)?;
    let mut rungs: Vec<Vec<u8>> = vec![Vec::new(); LADDER.len()];
    for picture in pictures {
        let plane = |i| {
            let (at, (w, h)) = extent(SIZE, i);
            PlaneRef::new(&picture[at..], w, h, w)
        };
        let source = SourceRef::from(Yuv420Ref::new(plane(0)?, plane(1)?, plane(2)?)?);
        let mut scaled = LADDER.map(|(w, h)| vec![0; bytes((w as usize, h as usize))]);
        let mut views = Vec::new();
        for (data, (w, h)) in scaled.iter_mut().zip(LADDER) {
            let (w, h) = (w as usize, h as usize);
            let (y, rest) = data.split_at_mut(w * h);
            let (u, v) = rest.split_at_mut(rest.len() / 2);
            let chroma = |data| PlaneMut::new(data, w / 2, h / 2, w / 2);
            views.push(Yuv420Mut::new(PlaneMut::new(y, w, h, w)?, chroma(u)?, chroma(v)?)?);
        }
        ladder.scale(&source, &mut views)?;
        rungs.iter_mut().zip(scaled).for_each(|(rung, scaled)| rung.extend(scaled));
    }
    Ok(rungs)
}

fn swscale(path: &str, to: (u32, u32), flags: &str) -> Result<Vec<u8>, Failure> {
    let scale = format!("scale={}:{}:flags={flags}:{SITING}", to.0, to.1);
    let input = ["-v", "error", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", "1920x1080", "-i", path];
    let output = Command::new("ffmpeg").args(input).args(["-vf", &scale, "-f", "rawvideo", "-"]).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(output.stdout)
}

fn cubic(x: f64, c: f64) -> f64 {
    if x < 1.0 {
        (2.0 - c) * x.powi(3) + (c - 3.0) * x * x + 1.0
    } else if x < 2.0 {
        -c * x.powi(3) + 5.0 * c * x * x - 8.0 * c * x + 4.0 * c
    } else {
        0.0
    }
}

fn lanczos(x: f64) -> f64 {
    let sinc = |x: f64| if x == 0.0 { 1.0 } else { (std::f64::consts::PI * x).sin() / (std::f64::consts::PI * x) };
    if x < 3.0 { sinc(x) * sinc(x / 3.0) } else { 0.0 }
}

/// For each output sample: its first source sample and the weights from there on.
fn weights(from: usize, to: usize, left: bool, halved: bool, curve: Curve) -> Vec<(i64, Vec<f64>)> {
    let (s, d) = (from as f64, to as f64);
    let stretch = (s / d).max(1.0);
    let samples = if halved { to.div_ceil(2) } else { to };
    let weight = |i: usize| {
        let i = i as f64;
        let at = if left { ((2.0 * i + 0.5) * s / d - 0.5) / 2.0 } else { (i + 0.5) * s / d - 0.5 };
        let (first, last) = ((at - 3.0 * stretch).floor() as i64, (at + 3.0 * stretch).ceil() as i64);
        let all: Vec<f64> = (first..=last).map(|j| curve((j as f64 - at).abs() / stretch)).collect();
        let sum: f64 = all.iter().sum();
        (first, all.into_iter().map(|weight| weight / sum).collect())
    };
    (0..samples).map(weight).collect()
}

fn resampled(picture: &[u8], to: (usize, usize), plane: usize, curve: Curve) -> Vec<f64> {
    let (at, (width, height)) = extent(SIZE, plane);
    let source = &picture[at..][..width * height];
    let down = weights(SIZE.1, to.1, false, plane > 0, curve);
    let across = weights(SIZE.0, to.0, plane > 0, plane > 0, curve);
    let mut made = Vec::with_capacity(down.len() * across.len());
    for (first, weights) in &down {
        let mut row = vec![0.0; width];
        for (j, weight) in weights.iter().enumerate() {
            let y = (first + j as i64).clamp(0, height as i64 - 1) as usize;
            row.iter_mut().zip(&source[y * width..]).for_each(|(sum, v)| *sum += weight * f64::from(*v));
        }
        made.extend(across.iter().map(|(first, weights)| -> f64 {
            let x = |j: usize| (first + j as i64).clamp(0, width as i64 - 1) as usize;
            weights.iter().enumerate().map(|(j, weight)| weight * row[x(j)]).sum()
        }));
    }
    made
}
