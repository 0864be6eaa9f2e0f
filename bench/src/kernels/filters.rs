//! FFmpeg's scalers on the same ladder. What they cost is the difference between a run with them and one without.

use crate::ffmpeg::Ffmpeg;
use crate::machine::Meter;
use anyhow::Result;
use std::fs;
use std::path::Path;

/// Pictures in a raw file, played again and again: larger than caches, small for a disk.
const PICTURES: usize = 8;

/// A scaler of one ffmpeg, at one depth.
#[derive(Debug, Clone)]
pub(super) struct Scaling<'a> {
    pub(super) ffmpeg: &'a Ffmpeg,
    /// `swscale` or `zimg`.
    pub(super) library: &'static str,
    pub(super) bits: u32,
}

impl Scaling<'_> {
    pub(super) fn name(&self) -> String {
        format!("{} {} {}-bit", self.ffmpeg.name(), self.library, self.bits)
    }

    /// Processor milliseconds for each picture.
    pub(super) fn run(&self, folder: &Path, size: (u32, u32), rungs: &[(u32, u32)], frames: usize) -> Result<f64> {
        let with = self.cost(folder, size, rungs, frames, true)?;
        let without = self.cost(folder, size, rungs, frames, false)?;
        Ok((with - without) * 1000.0 / frames as f64)
    }

    /// Seconds of processor time of a whole process. Nothing is decoded, encoded or written.
    fn cost(&self, folder: &Path, size: (u32, u32), rungs: &[(u32, u32)], frames: usize, scale: bool) -> Result<f64> {
        let format = if self.bits > 8 { "yuv420p10le" } else { "yuv420p" };
        let (size, count) = (format!("{}x{}", size.0, size.1), frames.to_string());
        let file = file(self.bits);
        let pads: String = (0..rungs.len()).map(|i| format!("[s{i}]")).collect();
        let mut graph = format!("[0:v]split={}{pads}", rungs.len());
        for (i, (w, h)) in rungs.iter().enumerate() {
            let filter = match (scale, self.library) {
                (false, _) => "null".to_owned(),
                (true, "zimg") => format!("zscale=w={w}:h={h}:filter=bicubic,format=yuv420p"),
                (true, _) => format!("scale={w}:{h}:flags=bicubic,format=yuv420p"),
            };
            graph += &format!(";[s{i}]{filter}[v{i}]");
        }
        let mut args = vec!["-stream_loop", "-1", "-f", "rawvideo", "-pix_fmt", format, "-s", &size, "-r", "30", "-i"];
        args.extend([file, "-filter_complex_threads", "1", "-filter_complex", &graph]);
        let maps: Vec<String> = (0..rungs.len()).map(|i| format!("[v{i}]")).collect();
        for map in &maps {
            args.extend(["-map", map, "-frames:v", &count, "-c:v", "wrapped_avframe", "-f", "null", "-"]);
        }
        let meter = Meter::start();
        self.ffmpeg.run(folder, &args)?;
        Ok(meter.cost(meter.wall(), 0.0).cpu_s())
    }
}

fn file(bits: u32) -> &'static str {
    if bits > 8 { "ten.yuv" } else { "eight.yuv" }
}

/// Writes the raw pictures that all of them read.
pub(super) fn prepare(folder: &Path, size: (u32, u32)) -> Result<()> {
    let samples = size.0 as usize * size.1 as usize * 3 / 2;
    let value = |i: usize| i.wrapping_mul(i) >> 7;
    let eight: Vec<u8> = (0..samples * PICTURES).map(|i| value(i) as u8).collect();
    fs::write(folder.join(file(8)), eight)?;
    let ten: Vec<u8> = (0..samples * PICTURES).flat_map(|i| ((value(i) & 1023) as u16).to_le_bytes()).collect();
    Ok(fs::write(folder.join(file(10)), ten)?)
}

/// Every scaler that these have, in 8 and in 10 bits.
pub(super) fn find<'a>(ffmpegs: &'a [Ffmpeg], folder: &Path) -> Vec<Scaling<'a>> {
    let mut found = Vec::new();
    for ffmpeg in ffmpegs {
        for library in ["swscale", "zimg"] {
            for bits in [8, 10] {
                let scaling = Scaling { ffmpeg, library, bits };
                // A build without the library has no such filter.
                if scaling.cost(folder, (64, 36), &[(32, 18)], 1, true).is_ok() {
                    found.push(scaling);
                }
            }
        }
    }
    found
}
