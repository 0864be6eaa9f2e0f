// Both passes of the scaler, as `reference.rs` defines them, in 32-bit integers only.
//
// A job (`jobs.wgsl`) is one pass over one plane of one rung. What its rows hold behind the last sample is never looked
// at.

struct Job {
    // Workgroups of the jobs before this one in its dispatch.
    before: u32,
    // Workgroups per row.
    across: u32,
    // Invocations per row: a quarter of the samples.
    quads: u32,
    // Half the taps per output.
    pairs: u32,
    // Where in `tables` the first positions and the weights are; two weights in a word, the first in its lower half.
    positions: u32,
    weights: u32,
    // First row and distance of rows, in words.
    input: u32,
    input_stride: u32,
    output: u32,
    output_stride: u32,
    // The last row (vertically) or sample of a row (horizontally) that there is.
    last: u32,
    // Vertically: how samples are stored, one of DEPTH_*.
    depth: u32,
    // Horizontally: from one sample of the channel to the next, and to the first; the last sample to make.
    step: u32,
    start: u32,
    end: u32,
    // To a size that divides well.
    unused: u32,
}

// A byte; a word of 16 bits that counts up to 1023; the upper ten bits of such a word.
const DEPTH_EIGHT: u32 = 0u;
const DEPTH_TEN: u32 = 1u;
const DEPTH_HIGH_TEN: u32 = 2u;

@group(0) @binding(1) var<storage, read> tables: array<u32>;
@group(0) @binding(2) var<storage, read> input: array<u32>;
@group(0) @binding(3) var<storage, read_write> output: array<u32>;

fn lower(pair: u32) -> i32 {
    return extractBits(i32(pair), 0u, 16u);
}

fn upper(pair: u32) -> i32 {
    return extractBits(i32(pair), 16u, 16u);
}

// Four samples of a source row.
fn samples(row: u32, quad: u32, depth: u32) -> vec4<i32> {
    if depth == DEPTH_EIGHT {
        let word = input[row + quad];
        return vec4<i32>((vec4<u32>(word) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(255u));
    }
    let words = vec2<u32>(input[row + 2u * quad], input[row + 2u * quad + 1u]);
    let whole = (words.xxyy >> vec4<u32>(0u, 16u, 0u, 16u)) & vec4<u32>(65535u);
    if depth == DEPTH_HIGH_TEN {
        return vec4<i32>(whole >> vec4<u32>(6u));
    }
    return vec4<i32>(min(whole, vec4<u32>(1023u)));
}

// Rows of the source into a row of 16-bit intermediate samples, two in a word.
@compute @workgroup_size(GROUP)
fn vertical(which: Invocation) {
    let item = item_of(which);
    if !item.exists {
        return;
    }
    let job = jobs[item.job];
    let y = item.y;
    let quad = item.quad;
    let shift = select(10u, 8u, job.depth == DEPTH_EIGHT);
    let first = i32(tables[job.positions + y]);
    let weights = job.weights + y * job.pairs;
    var sum = vec4<i32>(1i << (shift - 1u));
    for (var t = 0u; t < job.pairs; t++) {
        let pair = tables[weights + t];
        let rows = vec2<i32>(first + 2i * i32(t)) + vec2<i32>(0i, 1i);
        let at = job.input + job.input_stride * vec2<u32>(clamp(rows, vec2<i32>(0i), vec2<i32>(i32(job.last))));
        sum += lower(pair) * samples(at.x, quad, job.depth) + upper(pair) * samples(at.y, quad, job.depth);
    }
    let made = vec4<u32>(sum >> vec4<u32>(shift)) & vec4<u32>(65535u);
    let to = job.output + y * job.output_stride + 2u * quad;
    output[to] = made.x | (made.y << 16u);
    output[to + 1u] = made.z | (made.w << 16u);
}

fn intermediate(row: u32, sample: u32) -> i32 {
    return extractBits(i32(input[row + (sample >> 1u)]), (sample & 1u) * 16u, 16u);
}

// A row of intermediate samples into 8-bit ones, four in a word.
@compute @workgroup_size(GROUP)
fn horizontal(which: Invocation) {
    let item = item_of(which);
    if !item.exists {
        return;
    }
    let job = jobs[item.job];
    let y = item.y;
    let quad = item.quad;
    let row = job.input + y * job.input_stride;
    let last = i32(job.last);
    var word = 0u;
    for (var i = 0u; i < 4u; i++) {
        let x = min(4u * quad + i, job.end);
        let first = i32(tables[job.positions + x]);
        let weights = job.weights + x * job.pairs;
        var sum = 1i << 19u;
        for (var t = 0u; t < job.pairs; t++) {
            let pair = tables[weights + t];
            let at = vec2<i32>(first + 2i * i32(t)) + vec2<i32>(0i, 1i);
            let sample = vec2<u32>(clamp(at, vec2<i32>(0i), vec2<i32>(last))) * job.step + job.start;
            sum += lower(pair) * intermediate(row, sample.x) + upper(pair) * intermediate(row, sample.y);
        }
        word |= u32(clamp(sum >> 20u, 0i, 255i)) << (8u * i);
    }
    output[job.output + y * job.output_stride + quad] = word;
}
