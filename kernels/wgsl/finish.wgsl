// What may follow the scaler: another colour description, as `reference.rs` defines it, and quarter turns. In 32-bit
// integers only.
//
// As in `scale.wgsl` a dispatch does many jobs: a job is one plane of one picture, an invocation makes 4 neighbouring
// samples of a row, a word.

const GROUP: u32 = 64u;

struct Job {
    // Workgroups of the jobs before this one in its dispatch.
    before: u32,
    // Workgroups per row, and words.
    across: u32,
    words: u32,
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

// The jobs of this dispatch.
struct Call {
    first: u32,
    count: u32,
    groups: u32,
    // For `turn`: 1 for rows and columns change places, 2 for left and right, 4 for up and down.
    orientation: u32,
}

@group(0) @binding(0) var<storage, read> jobs: array<Job>;
// The conversion: black before and after; luma's share in luma, U's, V's; U's and V's share in U, then in V.
@group(0) @binding(1) var<storage, read> weights: array<i32>;
@group(0) @binding(2) var<storage, read> input: array<u32>;
@group(0) @binding(3) var<storage, read_write> output: array<u32>;
var<immediate> call: Call;

// The job that workgroup `group` of the dispatch belongs to.
fn job_of(group: u32) -> u32 {
    var low = call.first;
    var high = call.first + call.count;
    while high - low > 1u {
        let middle = (low + high) / 2u;
        if jobs[middle].before <= group {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

fn sample(row: u32, x: u32) -> u32 {
    return extractBits(input[row + (x >> 2u)], (x & 3u) * 8u, 8u);
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
fn convert(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) counts: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let group = id.y * counts.x + id.x;
    if group >= call.groups {
        return;
    }
    let job = jobs[job_of(group)];
    let y = (group - job.before) / job.across;
    let column = (group - job.before) % job.across * GROUP + lane;
    if column >= job.words {
        return;
    }
    var word = 0u;
    for (var i = 0u; i < 4u; i++) {
        let x = min(4u * column + i, job.width - 1u);
        var made = 0u;
        if job.channel == 0u {
            made = luma(job, x, y);
        } else {
            made = chroma(job, x, y);
        }
        word |= made << (8u * i);
    }
    output[job.output + y * job.output_stride + column] = word;
}

@compute @workgroup_size(GROUP)
fn turn(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) counts: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let group = id.y * counts.x + id.x;
    if group >= call.groups {
        return;
    }
    let job = jobs[job_of(group)];
    let y = (group - job.before) / job.across;
    let column = (group - job.before) % job.across * GROUP + lane;
    if column >= job.words {
        return;
    }
    let transposed = (call.orientation & 1u) != 0u;
    let turned = select(vec2<u32>(job.width, job.height), vec2<u32>(job.height, job.width), transposed);
    var word = 0u;
    for (var i = 0u; i < 4u; i++) {
        var at = vec2<u32>(min(4u * column + i, turned.x - 1u), y);
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
    output[job.output + y * job.output_stride + column] = word;
}
