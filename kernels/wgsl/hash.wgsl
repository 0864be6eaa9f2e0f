// SHA-256 of every row of a channel: the part of a picture's hash (src/hash.rs) that needs its samples. A row is one
// invocation's. Samples are bytes, four in a word, or words of 16 bits, two in one.

struct Call {
    // Word of the first row, and words from one row to the next.
    at: u32,
    stride: u32,
    // The channel's first sample in a row, and from one to the next.
    start: u32,
    step: u32,
    // One of DEPTH_*, and 16 times the channel.
    kind: u32,
    // Samples of a row.
    width: u32,
    rows: u32,
    // Where the hash of the first row goes, eight words for each.
    output: u32,
}

// A byte; a word of 16 bits that counts up to 1023; the upper ten bits of such a word.
const DEPTH_EIGHT: u32 = 0u;
const DEPTH_TEN: u32 = 1u;
const DEPTH_HIGH_TEN: u32 = 2u;

@group(0) @binding(0) var<storage, read> input: array<u32>;
@group(0) @binding(3) var<storage, read_write> output: array<u32>;
var<immediate> call: Call;

var<private> round_constants: array<u32, 64> = array<u32, 64>(
    0x428a2f98u, 0x71374491u, 0xb5c0fbcfu, 0xe9b5dba5u, 0x3956c25bu, 0x59f111f1u, 0x923f82a4u, 0xab1c5ed5u,
    0xd807aa98u, 0x12835b01u, 0x243185beu, 0x550c7dc3u, 0x72be5d74u, 0x80deb1feu, 0x9bdc06a7u, 0xc19bf174u,
    0xe49b69c1u, 0xefbe4786u, 0x0fc19dc6u, 0x240ca1ccu, 0x2de92c6fu, 0x4a7484aau, 0x5cb0a9dcu, 0x76f988dau,
    0x983e5152u, 0xa831c66du, 0xb00327c8u, 0xbf597fc7u, 0xc6e00bf3u, 0xd5a79147u, 0x06ca6351u, 0x14292967u,
    0x27b70a85u, 0x2e1b2138u, 0x4d2c6dfcu, 0x53380d13u, 0x650a7354u, 0x766a0abbu, 0x81c2c92eu, 0x92722c85u,
    0xa2bfe8a1u, 0xa81a664bu, 0xc24b8b70u, 0xc76c51a3u, 0xd192e819u, 0xd6990624u, 0xf40e3585u, 0x106aa070u,
    0x19a4c116u, 0x1e376c08u, 0x2748774cu, 0x34b0bcb5u, 0x391c0cb3u, 0x4ed8aa4au, 0x5b9cca4fu, 0x682e6ff3u,
    0x748f82eeu, 0x78a5636fu, 0x84c87814u, 0x8cc70208u, 0x90befffau, 0xa4506cebu, 0xbef9a3f7u, 0xc67178f2u
);

fn rotated(word: u32, by: u32) -> u32 {
    return (word >> by) | (word << (32u - by));
}

// Byte `i` of what is hashed of a row's samples, 8 bits in a byte and 10 in two, the high one first; then the end's mark.
fn byte_of(row: u32, bytes: u32, i: u32) -> u32 {
    if i >= bytes {
        return select(0u, 128u, i == bytes);
    }
    let depth = call.kind & 15u;
    if depth == DEPTH_EIGHT {
        let x = call.start + i * call.step;
        return sample_in(input[row + (x >> 2u)], x);
    }
    let x = call.start + (i >> 1u) * call.step;
    let word = extractBits(input[row + (x >> 1u)], (x & 1u) * 16u, 16u);
    let sample = select(min(word, 1023u), word >> 6u, depth == DEPTH_HIGH_TEN);
    return select(sample & 255u, sample >> 8u, (i & 1u) == 0u);
}

@compute @workgroup_size(GROUP)
fn hash_rows(which: Invocation) {
    let y = group_of(which) * GROUP + which.lane;
    if y >= call.rows {
        return;
    }
    let row = call.at + y * call.stride;
    let bytes = call.width * select(2u, 1u, (call.kind & 15u) == DEPTH_EIGHT);
    // "row" and the channel, the samples, the mark behind them, and the length in bits at the end of the last block.
    let blocks = (4u + bytes + 9u + 63u) / 64u;
    var state = array<u32, 8>(
        0x6a09e667u, 0xbb67ae85u, 0x3c6ef372u, 0xa54ff53au, 0x510e527fu, 0x9b05688cu, 0x1f83d9abu, 0x5be0cd19u
    );
    for (var k = 0u; k < blocks; k++) {
        var words: array<u32, 16>;
        for (var w = 0u; w < 16u; w++) {
            let at = 64u * k + 4u * w;
            if at == 0u {
                words[w] = 0x726f7700u | (call.kind >> 4u);
                continue;
            }
            let i = at - 4u;
            words[w] = (byte_of(row, bytes, i) << 24u) | (byte_of(row, bytes, i + 1u) << 16u)
                | (byte_of(row, bytes, i + 2u) << 8u) | byte_of(row, bytes, i + 3u);
        }
        if k + 1u == blocks {
            words[15] = 8u * (4u + bytes);
        }
        var s = state;
        for (var round = 0u; round < 64u; round++) {
            let at = round & 15u;
            let mixed = (rotated(s[4], 6u) ^ rotated(s[4], 11u) ^ rotated(s[4], 25u)) + ((s[4] & s[5]) ^ (~s[4] & s[6]));
            let one = s[7] + mixed + round_constants[round] + words[at];
            let two = (rotated(s[0], 2u) ^ rotated(s[0], 13u) ^ rotated(s[0], 22u))
                + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
            s = array<u32, 8>(one + two, s[0], s[1], s[2], s[3] + one, s[4], s[5], s[6]);
            // The word that comes sixteen rounds later.
            let near = words[(at + 1u) & 15u];
            let far = words[(at + 14u) & 15u];
            words[at] += (rotated(near, 7u) ^ rotated(near, 18u) ^ (near >> 3u)) + words[(at + 9u) & 15u]
                + (rotated(far, 17u) ^ rotated(far, 19u) ^ (far >> 10u));
        }
        for (var i = 0u; i < 8u; i++) {
            state[i] += s[i];
        }
    }
    for (var i = 0u; i < 8u; i++) {
        output[call.output + 8u * y + i] = state[i];
    }
}
