// Sums over two planes of 8-bit samples, four in a word: squared differences of cells, and what SSIM's windows need.
// Every sum fits 32 bits: a cell has at most 32 * 32 samples, a window 8 * 8.

struct Call {
    width: u32,
    height: u32,
    // Words from one row to the next.
    stride: u32,
    // Samples to a side of a tile and of a cell. Tiles are cut into cells from their upper left corner on.
    tile: u32,
    cell: u32,
    // Cells to a side of a tile.
    cells: u32,
    // Cells, or windows, in a row of the output, and in all.
    across: u32,
    count: u32,
}

@group(0) @binding(0) var<storage, read> a: array<u32>;
@group(0) @binding(1) var<storage, read> b: array<u32>;
@group(0) @binding(3) var<storage, read_write> output: array<u32>;
var<immediate> call: Call;

// Where a cell begins along one axis and where it ends.
fn reach(cell: u32, side: u32) -> vec2<u32> {
    let tile = cell / call.cells * call.tile;
    let begin = tile + cell % call.cells * call.cell;
    return vec2<u32>(begin, min(min(begin + call.cell, tile + call.tile), side));
}

// A word per cell: the sum of squared differences; none where a cell lies outside.
@compute @workgroup_size(GROUP)
fn errors(which: Invocation) {
    let cell = group_of(which) * GROUP + which.lane;
    if cell >= call.count {
        return;
    }
    let columns = reach(cell % call.across, call.width);
    let rows = reach(cell / call.across, call.height);
    var sum = 0u;
    for (var y = rows.x; y < rows.y; y++) {
        for (var x = columns.x; x < columns.y; x++) {
            let at = y * call.stride + (x >> 2u);
            let difference = i32(sample_in(a[at], x)) - i32(sample_in(b[at], x));
            sum += u32(difference * difference);
        }
    }
    output[cell] = sum;
}

// Four words per window of 8x8 samples, cut off at the edges: sums of a, of b, of both squares, of the product.
@compute @workgroup_size(GROUP)
fn windows(which: Invocation) {
    let window = group_of(which) * GROUP + which.lane;
    if window >= call.count {
        return;
    }
    let left = window % call.across * 4u;
    let top = window / call.across * 4u;
    var sums = vec4<u32>(0u);
    for (var y = top; y < min(top + 8u, call.height); y++) {
        for (var x = left; x < min(left + 8u, call.width); x++) {
            let at = y * call.stride + (x >> 2u);
            let one = sample_in(a[at], x);
            let other = sample_in(b[at], x);
            sums += vec4<u32>(one, other, one * one + other * other, one * other);
        }
    }
    output[4u * window] = sums.x;
    output[4u * window + 1u] = sums.y;
    output[4u * window + 2u] = sums.z;
    output[4u * window + 3u] = sums.w;
}
