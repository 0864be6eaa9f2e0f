// The ladder scaler: a block loads one tile of the source, with what the filters reach beyond it, and makes that tile of
// every output from it. So the source is read once; what neighbouring tiles share comes from the cache.
//
// For each output in turn, as many rows at a time as fit: the vertical pass writes intermediate samples, the horizontal
// pass makes output samples from them. Both multiply two weights at a time with dp2a, which takes 16-bit by 8-bit:
// - vertical, 8-bit samples: pairs of weights by pairs of samples of one column, interleaved from two rows;
// - vertical, 10-bit samples, and horizontal: pairs of samples by weights split into bytes, c = 256 h + l. The two sums
//   are joined at the end; all of it is arithmetic modulo 2^32, and the true sum fits.
//
// U and V in one plane go through the vertical pass as twice as many columns and are told apart in the horizontal one.
#pragma once
#include "plan.h"

#define TILE_BYTES 12288
#define MID_BYTES 8192

struct __attribute__((aligned(16))) Scratch {
  u32 tile[TILE_BYTES / 4];
  u32 mid[MID_BYTES / 4 + 4]; // the horizontal pass reads, and ignores, a word past the last
};

// Where a tile lies, the same for all threads of a block.
struct Place {
  i32 left, top;    // bytes and rows of the source, may lie outside
  i32 pitch, rows;  // bytes and rows of the tile
};

// Sixteen bytes of a row from byte `x` on, sample by sample, the edges repeated.
template <u32 BYTES> DEV u32x4 gather(u64 row, i32 x, i32 width, i32 step) {
  u32x4 out = {0, 0, 0, 0};
  i32 element = x / (i32)BYTES;
  UNROLL for (i32 k = 0; k < 4; ++k) {
    for (i32 shift = 0; shift < 32; shift += 8 * BYTES, ++element) {
      const i32 column = clamp(step == 2 ? element >> 1 : element, 0, width - 1);
      const u64 at = row + (u64)(column * step + (element & (step - 1))) * BYTES;
      out[k] |= (BYTES == 1 ? load8(at) : load16(at)) << shift;
    }
  }
  return out;
}

DEV u32 ten_bits(u32 depth, u32 words) {
  if (depth == HIGH_TEN) return words >> 6 & 0x03ff03ff;
  return sample_of(TEN, words & 0xffff) | sample_of(TEN, words >> 16) << 16;
}

template <u32 BYTES>
DEV void load_tile(Scratch &scratch, const Place &place, u64 plane, u32 pitch, i32 width, i32 height, i32 step, u32 depth) {
  const bool aligned = ((plane | pitch) & 15) == 0;
  const i32 row_bytes = width * step * (i32)BYTES, vectors = place.pitch / 16;
  EACH(i, place.rows * vectors) {
    const i32 r = i / vectors, x = place.left + 16 * (i - r * vectors);
    const u64 row = plane + (u64)clamp(place.top + r, 0, height - 1) * pitch;
    const bool inside = x >= 0 && x + 16 <= row_bytes;
    u32x4 data = aligned && inside ? load128(row + x) : gather<BYTES>(row, x, width, step);
    if (BYTES == 2) {
      UNROLL for (i32 k = 0; k < 4; ++k) data[k] = ten_bits(depth, data[k]);
    }
    store_shared(&scratch.tile[4 * i], data);
  }
}

// Eight intermediate samples of one row from two words of weights for each pair of rows.
DEV u32x4 packed(const i32 *sums) {
  u32x4 out;
  UNROLL for (i32 k = 0; k < 4; ++k) out[k] = permute((u32)sums[2 * k], (u32)sums[2 * k + 1], 0x5410);
  return out;
}

// `at` is the first word of eight samples in the first row, `pitch` the words of a row.
DEV u32x4 vertical_8(const u32 *at, i32 pitch, u64 coefs, i32 pairs) {
  u32 sums[8];
  i32 mids[8];
  UNROLL for (i32 k = 0; k < 8; ++k) sums[k] = 1 << 7;
  for (i32 p = 0; p < pairs; ++p, at += 2 * pitch) {
    const u32 weights = load32(coefs + 4 * p);
    const u64 upper = *(const u64 *)at, lower = *(const u64 *)(at + pitch);
    UNROLL for (i32 k = 0; k < 8; k += 2) {
      const u32 both = permute(upper >> 32 * (k / 4), lower >> 32 * (k / 4), k % 4 == 0 ? 0x5140 : 0x7362);
      sums[k] = dot_lower_unsigned(weights, both, sums[k]);
      sums[k + 1] = dot_upper_unsigned(weights, both, sums[k + 1]);
    }
  }
  UNROLL for (i32 k = 0; k < 8; ++k) mids[k] = (i32)sums[k] >> 8;
  return packed(mids);
}

DEV u32x4 vertical_10(const u32 *at, i32 pitch, u64 coefs, i32 pairs) {
  u32 low[8], high[8];
  i32 mids[8];
  UNROLL for (i32 k = 0; k < 8; ++k) low[k] = 1 << 9, high[k] = 0;
  for (i32 p = 0; p < pairs; ++p, at += 2 * pitch) {
    const u32 weights = load32(coefs + 4 * p);
    const u64 *const upper = (const u64 *)at, *const lower = (const u64 *)(at + pitch);
    UNROLL for (i32 k = 0; k < 8; ++k) {
      const i32 up = 32 * (k / 2 % 2);
      const u32 both = permute(upper[k / 4] >> up, lower[k / 4] >> up, k % 2 == 0 ? 0x5410 : 0x7632);
      low[k] = dot_lower_unsigned(both, weights, low[k]);
      high[k] = dot_upper_signed(both, weights, high[k]);
    }
  }
  UNROLL for (i32 k = 0; k < 8; ++k) mids[k] = (i32)(low[k] + (high[k] << 8)) >> 10;
  return packed(mids);
}

DEV u32 rounded(u32 low, u32 high) { return (u32)clamp((i32)(low + (high << 8) + (1u << 19)) >> 20, 0, 255); }

// Four samples of one column: four rows of one channel, or two rows of U and V. `at` is the word with the first sample,
// `pitch` the words of a row, `odd` whether the first sample is the upper half of its word.
template <i32 STEP>
DEV void horizontal(const u32 *at, i32 pitch, bool odd, u64 coefs, u64 coef_pitch, i32 pairs, u32 out[4]) {
  u32 low[4] = {0, 0, 0, 0}, high[4] = {0, 0, 0, 0};
  if (STEP == 1) {
    const u32 pick = odd ? 0x5432 : 0x3210;
    u32 now[4];
    UNROLL for (i32 r = 0; r < 4; ++r) now[r] = at[r * pitch];
    for (i32 p = 0; p < pairs; ++p) {
      const u32 weights = load32(coefs + p * coef_pitch);
      UNROLL for (i32 r = 0; r < 4; ++r) {
        const u32 next = at[r * pitch + p + 1], both = permute(now[r], next, pick);
        low[r] = dot_lower_unsigned(both, weights, low[r]);
        high[r] = dot_upper_signed(both, weights, high[r]);
        now[r] = next;
      }
    }
  } else {
    for (i32 p = 0; p < pairs; ++p) {
      const u32 weights = load32(coefs + p * coef_pitch);
      UNROLL for (i32 k = 0; k < 4; ++k) {
        const u32 *const words = at + k / 2 * pitch + 2 * p;
        const u32 both = permute(words[0], words[1], k % 2 == 0 ? 0x5410 : 0x7632);
        low[k] = dot_lower_unsigned(both, weights, low[k]);
        high[k] = dot_upper_signed(both, weights, high[k]);
      }
    }
  }
  UNROLL for (i32 k = 0; k < 4; ++k) out[k] = rounded(low[k], high[k]);
}

// Everything that comes from one tile. `channel` is that of the source plane: Y, U or V, U for both together.
template <u32 BYTES, i32 STEP>
DEV void scale_tile(Scratch &scratch, u64 plan, const Batch &batch, u32 picture, u32 channel, i32 across, i32 down) {
  const u32 kind = channel == 0 ? LUMA : CHROMA;
  const u64 tiles = plan + __builtin_offsetof(Plan, tiles) + kind * sizeof(Tiles);
  const u32 columns = FIELD(tiles, Tiles, spans[COLUMNS]) + 2 * across, rows = FIELD(tiles, Tiles, spans[ROWS]) + 2 * down;
  const Place place = {(i32)WORD(plan, columns), (i32)WORD(plan, rows), (i32)WORD(plan, columns + 1),
                       (i32)WORD(plan, rows + 1)};
  const u32 first_surface = picture * FIELD(plan, Plan, surfaces);
  const Surface &source = batch.surfaces[first_surface + FIELD(plan, Plan, source)];
  load_tile<BYTES>(scratch, place, plane_of(source, channel), pitch_of(source, channel), FIELD(tiles, Tiles, width),
                   FIELD(tiles, Tiles, height), STEP, FIELD(plan, Plan, depth));

  const i32 row_elements = place.pitch / (i32)BYTES, left = place.left / (i32)(BYTES * STEP);
  // Whole groups of rows for the horizontal pass.
  const i32 chunk = MID_BYTES / 2 / row_elements & ~3;
  const i32 outputs = FIELD(plan, Plan, outputs);
  for (i32 k = 0; k < outputs; ++k) {
    const u64 output = plan + sizeof(Plan) + k * sizeof(Output);
    const u64 axes = output + __builtin_offsetof(Output, axes) + kind * 2 * sizeof(Axis);
    const u64 axis_x = axes + COLUMNS * sizeof(Axis), axis_y = axes + ROWS * sizeof(Axis);
    const u64 splits = output + __builtin_offsetof(Output, splits) + kind * 8;
    const u32 split_x = load32(splits) + across, split_y = load32(splits + 4) + down;
    const i32 x0 = WORD(plan, split_x), x1 = WORD(plan, split_x + 1);
    const i32 y0 = WORD(plan, split_y), y1 = WORD(plan, split_y + 1);
    if (x0 == x1) continue;
    const i32 pairs_x = FIELD(axis_x, Axis, pairs), pairs_y = FIELD(axis_y, Axis, pairs);
    const i32 length_x = FIELD(axis_x, Axis, length);
    const u64 first_x = plan + 4ull * FIELD(axis_x, Axis, first), first_y = plan + 4ull * FIELD(axis_y, Axis, first);
    const u64 coefs_x = plan + 4ull * FIELD(axis_x, Axis, coefs), coefs_y = plan + 4ull * FIELD(axis_y, Axis, coefs);
    // Groups of eight columns of the tile that these outputs look at.
    const i32 begin = ((i32)load32(first_x + 4ull * x0) - left) * STEP / 8;
    const i32 groups = (((i32)load32(first_x + 4ull * (x1 - 1)) - left + 2 * pairs_x) * STEP + 7) / 8 - begin;
    const Surface &target = batch.surfaces[first_surface + FIELD(output, Output, surface)];
    const u32 column_bytes = channel == 0 ? 1 : FIELD(output, Output, step), target_pitch = pitch_of(target, channel);
    // U and V of an output that has them together lie in its plane 1.
    const u64 second = column_bytes == 2 ? plane_of(target, 1) + 1 : plane_of(target, channel == 0 ? 0 : 2);
    const u64 first = STEP == 2 || channel != 2 ? plane_of(target, channel) : second;

    for (i32 y = y0; y < y1; y += chunk) {
      const i32 made = least(chunk, y1 - y);
      BARRIER(); // the tile is there, and nobody reads the rows of the last turn any more
      EACH(i, made * groups) {
        const i32 r = i / groups, element = 8 * (begin + i - r * groups);
        const i32 row = (i32)load32(first_y + 4ull * (y + r)) - place.top;
        const u32 *const at = &scratch.tile[(row * place.pitch + element * (i32)BYTES) / 4];
        const u64 coefs = coefs_y + 4ull * (y + r) * pairs_y;
        const u32x4 mids = BYTES == 1 ? vertical_8(at, place.pitch / 4, coefs, pairs_y)
                                      : vertical_10(at, place.pitch / 4, coefs, pairs_y);
        store_shared(&scratch.mid[(r * row_elements + element) / 2], mids);
      }
      BARRIER();
      const i32 width = x1 - x0, depth = 4 / STEP; // columns, and rows of each item
      EACH(i, (made + depth - 1) / depth * width) {
        const i32 r = i / width * depth, x = x0 + i % width;
        const i32 element = ((i32)load32(first_x + 4ull * x) - left) * STEP;
        u32 out[4];
        horizontal<STEP>(&scratch.mid[(r * row_elements + element) / 2], row_elements / 2, (element & 1) != 0,
                         coefs_x + 4ull * x, 4ull * length_x, pairs_x, out);
        UNROLL for (i32 n = 0; n < 4; ++n) {
          const i32 down_by = STEP == 1 ? n : n / 2;
          if (r + down_by < made) {
            const u64 plane = STEP == 2 && n % 2 == 1 ? second : first;
            store8(plane + (u64)(y + r + down_by) * target_pitch + (u64)x * column_bytes, out[n]);
          }
        }
      }
    }
  }
}

// One block: tiles of Y first, then those of the planes of chroma.
template <u32 BYTES> DEV void scale_tiles(Scratch &scratch, u64 plan, const Batch &batch, u32 block, u32 picture) {
  const u64 luma = plan + __builtin_offsetof(Plan, tiles), chroma = luma + sizeof(Tiles);
  const u32 luma_tiles = FIELD(luma, Tiles, across) * FIELD(luma, Tiles, down);
  u32 channel = 0;
  if (block >= luma_tiles) {
    const u32 each = FIELD(chroma, Tiles, across) * FIELD(chroma, Tiles, down);
    channel = 1 + (block - luma_tiles) / each;
    block = (block - luma_tiles) % each;
  }
  const u64 tiles = channel == 0 ? luma : chroma;
  const u32 across = FIELD(tiles, Tiles, across);
  if (FIELD(tiles, Tiles, step) == 2) {
    scale_tile<BYTES, 2>(scratch, plan, batch, picture, channel, block % across, block / across);
  } else {
    scale_tile<BYTES, 1>(scratch, plan, batch, picture, channel, block % across, block / across);
  }
}
