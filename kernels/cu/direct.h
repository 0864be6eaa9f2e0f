// The scaler for what no tile holds: strong reductions and odd ladders. Each sample by itself straight from global
// memory, by the definition. A sample of a strong reduction looks at many others, but then there are few such samples.
#pragma once
#include "plan.h"

// Weight `t` of a row of the vertical table: pairs for 8-bit sources, bytes otherwise (see scale.h).
DEV i32 byte_weight(u32 words, u32 second) { return (u8)(words >> 8 * second) + 256 * (signed char)(words >> (16 + 8 * second)); }
DEV i32 vertical_weight(u32 depth, u32 words, u32 second) {
  return depth == EIGHT ? (i16)(words >> 16 * second) : byte_weight(words, second);
}

// One block: THREADS samples, of Y first, then of U, then of V. The plan's first output is the one that is made.
DEV void scale_direct(u64 plan, const Batch &batch, u32 block, u32 picture) {
  const u64 output = plan + sizeof(Plan), axes = output + __builtin_offsetof(Output, axes);
  u32 channel = 0;
  for (; channel < 3; ++channel) {
    const u64 axis = axes + (channel == 0 ? LUMA : CHROMA) * 2 * sizeof(Axis);
    const u32 samples = FIELD(axis, Axis, length) * FIELD(axis + sizeof(Axis), Axis, length);
    const u32 blocks = (samples + THREADS - 1) / THREADS;
    if (block < blocks) break;
    block -= blocks;
  }
  const u32 kind = channel == 0 ? LUMA : CHROMA, depth = FIELD(plan, Plan, depth);
  const u64 axis_x = axes + kind * 2 * sizeof(Axis), axis_y = axis_x + sizeof(Axis);
  const u64 tiles = plan + __builtin_offsetof(Plan, tiles) + kind * sizeof(Tiles);
  const i32 width = FIELD(tiles, Tiles, width), height = FIELD(tiles, Tiles, height), step = FIELD(tiles, Tiles, step);
  const Surface &source = batch.surfaces[picture * FIELD(plan, Plan, surfaces) + FIELD(plan, Plan, source)];
  const Surface &target = batch.surfaces[picture * FIELD(plan, Plan, surfaces) + FIELD(output, Output, surface)];
  const u32 bytes = depth == EIGHT ? 1 : 2, out_step = channel == 0 ? 1 : FIELD(output, Output, step);
  const u64 from = step == 2 ? plane_of(source, 1) + bytes * (channel - 1) : plane_of(source, channel);
  const u64 to = out_step == 2 ? plane_of(target, 1) + channel - 1 : plane_of(target, channel);
  const i32 columns = FIELD(axis_x, Axis, length), rows = FIELD(axis_y, Axis, length);
  const i32 pairs_x = FIELD(axis_x, Axis, pairs), pairs_y = FIELD(axis_y, Axis, pairs);
  const i32 shift = depth == EIGHT ? 8 : 10;
  EACH(i, THREADS) {
    const i32 at = block * THREADS + i, x = at % columns, y = at / columns;
    if (y >= rows) continue;
    // Where the weights begin: at an even sample.
    const i32 first_x = WORD(plan, FIELD(axis_x, Axis, first) + x) & ~1;
    const i32 first_y = WORD(plan, FIELD(axis_y, Axis, first) + y) & ~1;
    i32 sum = 1 << 19;
    for (i32 tx = 0; tx < 2 * pairs_x; ++tx) {
      const u64 column = from + (u64)clamp(first_x + tx, 0, width - 1) * step * bytes;
      i32 mid = 1 << (shift - 1);
      for (i32 ty = 0; ty < 2 * pairs_y; ++ty) {
        const u64 sample = column + (u64)clamp(first_y + ty, 0, height - 1) * pitch_of(source, channel);
        const u32 words = WORD(plan, FIELD(axis_y, Axis, coefs) + y * pairs_y + ty / 2);
        mid += vertical_weight(depth, words, ty & 1) * (i32)sample_of(depth, bytes == 1 ? load8(sample) : load16(sample));
      }
      const u32 words = WORD(plan, FIELD(axis_x, Axis, coefs) + tx / 2 * columns + x);
      sum += byte_weight(words, tx & 1) * (mid >> shift);
    }
    store8(to + (u64)y * pitch_of(target, channel) + (u64)x * out_step, (u32)clamp(sum >> 20, 0, 255));
  }
}
