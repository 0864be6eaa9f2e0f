// SHA-256 of every row of pictures: the part of a picture's hash (kernels/src/hash.rs) that needs its samples. A row is one
// thread's; rows of all channels and pictures of a launch go side by side.
#pragma once
#include "plan.h"

// A picture as its rows are hashed.
struct Shot {
  u64 channels[3]; // first samples of Y, U and V
  u64 hashes;      // where the hashes go, eight words for each row, rows of Y, then of U and V
  u32 pitches[2];  // bytes from row to row: luma, chroma
  u32 widths[2];   // samples of a row
  u32 heights[2];  // rows
  u32 step;        // chroma samples from one to the next: 2 where U and V share a plane
  u32 depth;       // EIGHT, TEN or HIGH_TEN
};

#define MAX_SHOTS 60
struct Shots {
  Shot shots[MAX_SHOTS];
};

CONSTANT u32 ROUND_CONSTANTS[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01,
    0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
    0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08,
    0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

DEV u32 rotated(u32 word, u32 by) { return word >> by | word << (32 - by); }

// Byte `i` of what is hashed of a row's samples, 8 bits in a byte and 10 in two, the high one first; then the end's mark.
DEV u32 byte_of_row(u64 row, u32 step, u32 depth, u32 bytes, u32 i) {
  if (i > bytes) return 0;
  if (i == bytes) return 0x80;
  if (depth == EIGHT) return load8(row + (u64)i * step);
  const u32 sample = sample_of(depth, load16(row + 2ull * (i / 2) * step));
  return i % 2 == 0 ? sample >> 8 : sample & 0xff;
}

// The state after one more block of sixteen words, which are used up. FIPS 180-4, 6.2.2.
DEV void compress(u32 state[8], u32 words[16]) {
  u32 a = state[0], b = state[1], c = state[2], d = state[3], e = state[4], f = state[5], g = state[6], h = state[7];
  for (u32 rounds = 0; rounds < 64; rounds += 16) {
    UNROLL for (u32 i = 0; i < 16; ++i) {
      const u32 mixed = (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)) + ((e & f) ^ (~e & g));
      const u32 one = h + mixed + ROUND_CONSTANTS[rounds + i] + words[i];
      const u32 two = (rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
      h = g, g = f, f = e, e = d + one, d = c, c = b, b = a, a = one + two;
      // The word that comes sixteen rounds later.
      const u32 near = words[(i + 1) & 15], far = words[(i + 14) & 15];
      words[i] += (rotated(near, 7) ^ rotated(near, 18) ^ near >> 3) + words[(i + 9) & 15] +
                  (rotated(far, 17) ^ rotated(far, 19) ^ far >> 10);
    }
  }
  state[0] += a, state[1] += b, state[2] += c, state[3] += d, state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

// One block: THREADS rows.
DEV void hash_rows_of(const Shot &shot, u32 block) {
  EACH(i, THREADS) {
    const u32 row = block * THREADS + i, chroma_rows = shot.heights[1];
    if (row >= shot.heights[0] + 2 * chroma_rows) continue;
    u32 channel = 0, y = row;
    if (row >= shot.heights[0]) {
      channel = 1 + (row - shot.heights[0]) / chroma_rows;
      y = (row - shot.heights[0]) % chroma_rows;
    }
    const u32 kind = channel == 0 ? LUMA : CHROMA, step = channel == 0 ? 1 : shot.step;
    const u64 first = shot.channels[channel] + (u64)y * shot.pitches[kind];
    const u32 bytes = shot.widths[kind] * (shot.depth == EIGHT ? 1 : 2);
    // "row" and the channel, the samples, the mark behind them, and the length in bits at the end of the last block.
    const u32 blocks = (4 + bytes + 9 + 63) / 64;
    u32 state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    for (u32 k = 0; k < blocks; ++k) {
      u32 words[16];
      UNROLL for (u32 w = 0; w < 16; ++w) {
        u32 word = 0;
        UNROLL for (u32 j = 0; j < 4; ++j) {
          const u32 at = 64 * k + 4 * w + j;
          word = word << 8 | (at < 4 ? 0 : byte_of_row(first, step, shot.depth, bytes, at - 4));
        }
        words[w] = word;
      }
      if (k == 0) words[0] = 0x726f7700 | channel;
      if (k + 1 == blocks) words[15] = 8 * (4 + bytes);
      compress(state, words);
    }
    const u64 to = shot.hashes + 32ull * row;
    store128(to, (u32x4){state[0], state[1], state[2], state[3]});
    store128(to + 16, (u32x4){state[4], state[5], state[6], state[7]});
  }
}
