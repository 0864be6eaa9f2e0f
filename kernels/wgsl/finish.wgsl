// What may follow the scaler: another colour description, as `reference.rs` defines it, and quarter turns. In 32-bit
// integers only.
//
// A job (`jobs.wgsl`) is one plane of one picture.

struct Job {
    // Workgroups of the jobs before this one in its dispatch.
    before: u32,
    // Workgroups per row, and words of four samples.
    across: u32,
    quads: u32,
    // Y, U or V: 0, 1, 2.
    channel: u32,
    // First row and distance of rows, in words: what is made, the same plane before, U and V before.
    output: u32,
    output_stride: u32,
    input: u32,
    input_stride: u32,
    u: u32,
    v: u32,
    chroma_stride: u32,
    // Samples of the plane before, and of its chroma planes.
    width: u32,
    height: u32,
    chroma_width: u32,
    chroma_height: u32,
    // Whether there are chroma planes.
    coloured: u32,
}

// The conversion: black before and after; luma's share in luma, U's, V's; U's and V's share in U, then in V.
@group(0) @binding(1) var<storage, read> weights: array<i32>;
@group(0) @binding(2) var<storage, read> input: array<u32>;
@group(0) @binding(3) var<storage, read_write> output: array<u32>;

fn sample(row: u32, x: u32) -> u32 {
    return sample_in(input[row + (x >> 2u)], x);
}

fn byte(value: i32) -> u32 {
    return u32(clamp(value, 0i, 255i));
}

// Less than nothing is blue, or red: a colour difference around zero.
fn centred(row: u32, x: u32) -> i32 {
    return i32(sample(row, x)) - 128i;
}

// Eight times a colour difference at the place of a luma sample; `near` and `far` are rows of its plane.
fn at_luma(near: u32, far: u32, left: u32, right: u32) -> i32 {
    return 3i * (centred(near, left) + centred(near, right)) + centred(far, left) + centred(far, right);
}

fn luma(job: Job, x: u32, y: u32) -> u32 {
    var sum = 8i * weights[2] * (i32(sample(job.input + y * job.input_stride, x)) - weights[0]);
    if job.coloured != 0u {
        let near = y / 2u;
        let far = u32(clamp(i32(near) + select(1i, -1i, y % 2u == 0u), 0i, i32(job.chroma_height) - 1i));
        let left = x / 2u;
        let right = min(left + x % 2u, job.chroma_width - 1u);
        let rows = vec2<u32>(near, far) * job.chroma_stride;
        sum += weights[3] * at_luma(job.u + rows.x, job.u + rows.y, left, right);
        sum += weights[4] * at_luma(job.v + rows.x, job.v + rows.y, left, right);
    }
    return byte(weights[1] + ((sum + (1i << 16u)) >> 17u));
}

fn chroma(job: Job, x: u32, y: u32) -> u32 {
    let row = y * job.chroma_stride;
    let own = 5u + 2u * (job.channel - 1u);
    let sum = weights[own] * centred(job.u + row, x) + weights[own + 1u] * centred(job.v + row, x);
    return byte(128i + ((sum + (1i << 13u)) >> 14u));
}

@compute @workgroup_size(GROUP)
fn convert(which: Invocation) {
    let item = item_of(which);
    if !item.exists {
        return;
    }
    let job = jobs[item.job];
    let y = item.y;
    var word = 0u;
    for (var i = 0u; i < 4u; i++) {
        let x = min(4u * item.quad + i, job.width - 1u);
        var made = 0u;
        if job.channel == 0u {
            made = luma(job, x, y);
        } else {
            made = chroma(job, x, y);
        }
        word |= made << (8u * i);
    }
    output[job.output + y * job.output_stride + item.quad] = word;
}

@compute @workgroup_size(GROUP)
fn turn(which: Invocation) {
    let item = item_of(which);
    if !item.exists {
        return;
    }
    let job = jobs[item.job];
    let y = item.y;
    let transposed = (call.orientation & 1u) != 0u;
    let turned = select(vec2<u32>(job.width, job.height), vec2<u32>(job.height, job.width), transposed);
    var word = 0u;
    for (var i = 0u; i < 4u; i++) {
        var at = vec2<u32>(min(4u * item.quad + i, turned.x - 1u), y);
        if (call.orientation & 2u) != 0u {
            at.x = turned.x - 1u - at.x;
        }
        if (call.orientation & 4u) != 0u {
            at.y = turned.y - 1u - at.y;
        }
        if transposed {
            at = at.yx;
        }
        word |= sample(job.input + at.y * job.input_stride, at.x) << (8u * i);
    }
    output[job.output + y * job.output_stride + item.quad] = word;
}
