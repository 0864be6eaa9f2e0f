// Sums for quality metrics on pairs of 8-bit planes; several pairs go in one launch.
#pragma once
#include "shim.h"

struct Pair {
  u64 a, b;             // first samples
  u32 pitch_a, pitch_b; // bytes from row to row
  u32 step_a, step_b;   // bytes from sample to sample: 2 where U and V share a plane
  u32 width, height;
  u64 sums; // where the results go
};

#define MAX_PAIRS 64
struct Pairs {
  Pair pairs[MAX_PAIRS];
};

DEV i32 sample_a(const Pair &pair, i32 x, i32 y) {
  return load8(pair.a + (u64)y * pair.pitch_a + (u64)x * pair.step_a);
}
DEV i32 sample_b(const Pair &pair, i32 x, i32 y) {
  return load8(pair.b + (u64)y * pair.pitch_b + (u64)x * pair.step_b);
}

struct ErrorScratch {
  u64 sums[THREADS];
};

// One block: the squared error of one tile of `side` by `side` samples, tiles row after row; those at the right and
// lower edge may be smaller. Writes a u64 for each tile.
DEV void tile_errors(ErrorScratch &scratch, const Pair &pair, i32 side, u32 block) {
  const u32 across = (pair.width + side - 1) / side;
  const i32 left = block % across * side, top = block / across * side;
  if (top >= (i32)pair.height) return; // pairs of one launch differ in size
  const i32 width = least(side, pair.width - left), height = least(side, pair.height - top);
  EACH(t, THREADS) {
    u64 sum = 0;
    for (i32 i = t; i < width * height; i += THREADS) {
      const i32 x = left + i % width, y = top + i / width;
      const i32 difference = sample_a(pair, x, y) - sample_b(pair, x, y);
      sum += (u64)(u32)(difference * difference);
    }
    scratch.sums[t] = sum;
  }
  for (i32 half = THREADS / 2; half > 0; half /= 2) {
    BARRIER();
    EACH(t, half) scratch.sums[t] += scratch.sums[t + half];
  }
  BARRIER();
  EACH(t, 1) store64(pair.sums + 8ull * block, scratch.sums[t]);
}

#define WINDOWS_ACROSS 32
#define WINDOWS_DOWN 8

struct WindowScratch {
  u32x4 sums[(WINDOWS_DOWN + 1) * (WINDOWS_ACROSS + 1)];
};

// Corners of windows along a side; see reference::windows.
DEV i32 windows(i32 side) { return side < 8 ? 1 : (side - 8) / 4 + 1; }

// One block: WINDOWS_ACROSS by WINDOWS_DOWN windows of 8 by 8 samples, 4 apart, each made from four blocks of 4 by 4, cut
// off at the edges. Writes the sums of a, b, a^2 + b^2 and ab, four u32 for each window, row after row.
DEV void ssim_sums(WindowScratch &scratch, const Pair &pair, u32 block) {
  const i32 across = windows(pair.width), down = windows(pair.height);
  const i32 blocks_across = (across + WINDOWS_ACROSS - 1) / WINDOWS_ACROSS;
  const i32 left = block % blocks_across * WINDOWS_ACROSS, top = block / blocks_across * WINDOWS_DOWN;
  if (top >= down) return;
  const i32 stride = WINDOWS_ACROSS + 1;
  EACH(i, stride * (WINDOWS_DOWN + 1)) {
    u32x4 sums = {0, 0, 0, 0};
    const i32 x = 4 * (left + i % stride), y = 4 * (top + i / stride);
    for (i32 row = y; row < least(y + 4, pair.height); ++row) {
      for (i32 column = x; column < least(x + 4, pair.width); ++column) {
        const u32 a = sample_a(pair, column, row), b = sample_b(pair, column, row);
        sums[0] += a;
        sums[1] += b;
        sums[2] += a * a + b * b;
        sums[3] += a * b;
      }
    }
    scratch.sums[i] = sums;
  }
  BARRIER();
  EACH(i, WINDOWS_ACROSS * WINDOWS_DOWN) {
    const i32 x = i % WINDOWS_ACROSS, y = i / WINDOWS_ACROSS;
    if (left + x >= across || top + y >= down) continue;
    const u32x4 *const corner = &scratch.sums[y * stride + x];
    const u32x4 sums = corner[0] + corner[1] + corner[stride] + corner[stride + 1];
    store128(pair.sums + 16ull * ((top + y) * across + left + x), sums);
  }
}
