//! Horizontal weights in the layout that the vector passes read.
//!
//! A vector pass makes several outputs at once: for each pair of taps it picks every output's two samples out of a few
//! registers of neighbouring samples (a window), multiplies them by the pair of weights, and adds. Which samples to
//! pick hardly depends on the pair: one further pair is two samples to the right. So a group of outputs needs one index
//! and, per pair of taps, one register of weights.

use crate::filter::Axis;

/// What one implementation can pick from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// Outputs made at once.
    pub(crate) outputs: usize,
    /// Of these, how many share a window.
    pub(crate) lane: usize,
    /// Samples in a register of the window.
    pub(crate) register: usize,
    /// Registers of the largest window that is loaded once and holds the samples of all taps. May be 0.
    pub(crate) fixed: usize,
    /// Registers of the largest window that is loaded again for every pair of taps, two samples further right.
    pub(crate) sliding: usize,
    /// Samples multiplied at once where outputs are made one by one instead, each from its own neighbours: cheaper for
    /// many taps than windows of several registers. 0 if never.
    pub(crate) dot: usize,
    /// The index of a group, from the offset in the window of each output's first sample and the window's registers.
    pub(crate) index: fn(&[usize], usize) -> Vec<u8>,
}

/// How the window follows the taps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Window {
    /// One window of so many registers holds the samples of all taps.
    Fixed(usize),
    /// A window of so many registers slides along.
    Sliding(usize),
    /// Every output by itself, as a product of so many registers of [`Shape::dot`] samples.
    Dot(usize),
}

impl Window {
    pub(crate) fn registers(self) -> usize {
        match self {
            Self::Fixed(registers) | Self::Sliding(registers) | Self::Dot(registers) => registers,
        }
    }
}

/// The grouped weights.
#[derive(Debug, Clone)]
pub(crate) struct Groups {
    pub(crate) window: Window,
    /// First sample of each lane's window, or of each output; every register loaded from there on ends inside the row.
    pub(crate) bases: Vec<u32>,
    /// What [`Shape::index`] gave, group after group.
    pub(crate) index: Vec<u8>,
    /// Per group, per pair of taps, per output: two weights; or all weights of an output, zeros behind them.
    pub(crate) coefs: Vec<i16>,
}

/// Horizontal weights of one plane and the row of intermediate samples that they apply to.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    /// Samples of the source row.
    pub(crate) width: usize,
    /// Output samples.
    pub(crate) len: usize,
    /// Even.
    pub(crate) taps: usize,
    /// Taps rounded up to a multiple of 4, which compilers like.
    pub(crate) stride: usize,
    /// Samples of edge repetition in front of the row.
    pub(crate) pad: usize,
    /// Samples that any tap reads, those in front included.
    pub(crate) used: usize,
    /// Samples of the padded row; those behind `used` are read, but weigh nothing.
    pub(crate) row_len: usize,
    /// First sample of each output in the padded row.
    pub(crate) starts: Vec<u32>,
    /// Weights, `stride` per output: zeros behind the taps.
    pub(crate) coefs: Vec<i16>,
    /// The same for vectors, unless the samples of a group lie too far apart.
    pub(crate) groups: Option<Groups>,
}

impl Table {
    pub(crate) fn new(axis: &Axis, width: usize, shape: Option<Shape>) -> Self {
        let (len, taps) = (axis.len(), axis.taps());
        let pad = (0..len).map(|i| (-axis.first(i)).max(0)).max().unwrap_or(0) as usize;
        let starts: Vec<u32> = (0..len).map(|i| (axis.first(i) + pad as i32) as u32).collect();
        let used = starts.iter().max().map_or(0, |start| *start as usize + taps).max(pad + width);
        let stride = taps.next_multiple_of(4);
        let zeros = || std::iter::repeat_n(0, stride - taps);
        let coefs = (0..len).flat_map(|i| axis.coefs(i).iter().copied().chain(zeros())).collect();
        let row_len = used + stride - taps;
        let mut table = Self { width, len, taps, stride, pad, used, row_len, starts, coefs, groups: None };
        if let Some(shape) = shape {
            table.group(shape);
        }
        table
    }

    fn group(&mut self, shape: Shape) {
        // Outputs behind the last repeat it and weigh nothing.
        let count = self.len.next_multiple_of(shape.outputs);
        let start = |i: usize| self.starts[i.min(self.len - 1)] as usize;
        let lanes = (0..count).step_by(shape.lane);
        // Positions never go back, so a lane's first output has its leftmost sample.
        let span = lanes.clone().map(|i| start(i + shape.lane - 1) - start(i)).max().unwrap_or(0);
        let registers = |samples: usize| samples.div_ceil(shape.register);
        let window = if registers(span + self.taps) <= shape.fixed {
            Window::Fixed(registers(span + self.taps))
        } else if shape.dot > 0 && registers(span + 2) > 1 && self.taps > shape.dot / 2 {
            Window::Dot(self.taps.div_ceil(shape.dot))
        } else if registers(span + 2) <= shape.sliding {
            Window::Sliding(registers(span + 2))
        } else {
            return;
        };
        let weight = |i: usize, t: usize| {
            if i < self.len && t < self.taps { self.coefs[i * self.stride + t] } else { 0 }
        };
        let (mut bases, mut index, mut coefs) = (Vec::new(), Vec::new(), Vec::new());
        let reach = if let Window::Dot(registers) = window {
            let padded = registers * shape.dot;
            for i in 0..count {
                bases.push(start(i) as u32);
                coefs.extend((0..padded).map(|t| weight(i, t)));
            }
            padded
        } else {
            bases.extend(lanes.map(|i| start(i) as u32));
            for first in (0..count).step_by(shape.outputs) {
                let outputs = first..first + shape.outputs;
                let offsets: Vec<usize> = outputs.clone().map(|i| start(i) - start(i - i % shape.lane)).collect();
                index.extend((shape.index)(&offsets, window.registers()));
                for t in (0..self.taps).step_by(2) {
                    coefs.extend(outputs.clone().flat_map(|i| [weight(i, t), weight(i, t + 1)]));
                }
            }
            let slide = if matches!(window, Window::Sliding(_)) { self.taps - 2 } else { 0 };
            window.registers() * shape.register + slide
        };
        let groups = Groups { window, bases, index, coefs };
        let furthest = groups.bases.iter().max().map_or(0, |base| *base as usize + reach);
        self.row_len = self.row_len.max(furthest);
        self.groups = Some(groups);
    }

    /// Repeats the edges of a padded row whose middle is filled.
    pub(crate) fn repeat_edges(&self, row: &mut [i16]) {
        let (first, last) = (row[self.pad], row[self.pad + self.width - 1]);
        row[..self.pad].fill(first);
        row[self.pad + self.width..self.used].fill(last);
    }
}
