// The ladder scaler: a block loads one tile of the source, with what the filters reach beyond it, and makes that tile of
// every output from it. So the source is read once; what neighbouring tiles share comes from the cache.
//
// For each output in turn, as many rows at a time as fit: the vertical pass writes intermediate samples, the horizontal
// pass makes output samples from them. Both multiply two weights at a time with dp2a, which takes 16-bit by 8-bit:
// - vertical, 8-bit samples: pairs of weights by pairs of samples of one column;
// - vertical, 10-bit samples, and horizontal: pairs of samples by weights split into bytes, c = 256 h + l. The two sums
//   are joined at the end; all of it is arithmetic modulo 2^32, and the true sum fits.
// The pairs are there from the start: a tile is stored as pairs of rows, sample by sample, and every output's weights
// begin at an even sample. That costs half a pair of zeros, and saves picking the pairs from two places each time.
//
// U and V in one plane go through the vertical pass as twice as many columns, and are parted when it writes.
//
// Instructions are what limits these kernels, not memory (docs/cuda.md counts them): so offsets are 32-bit, divisions are
// by reciprocals from the plan, and an item is 16 columns, or 8 outputs, to spread what it costs to begin one.
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
  i32 left, top;    // bytes and rows of the source
  u32 pitch, pairs; // bytes of a row, pairs of rows
  u32 divide;       // by the vectors of a row
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
  EACH(i, (i32)place.pairs * vectors) {
    const i32 pair = quotient(i, place.divide), x = place.left + 16 * (i - pair * vectors);
    const bool whole = aligned && x >= 0 && x + 16 <= row_bytes;
    u32x4 rows[2];
    UNROLL for (i32 k = 0; k < 2; ++k) {
      const u64 row = plane + (u32)clamp(place.top + 2 * pair + k, 0, height - 1) * pitch;
      rows[k] = whole ? load128(row + x) : gather<BYTES>(row, x, width, step);
      if (BYTES == 2) {
        UNROLL for (i32 n = 0; n < 4; ++n) rows[k][n] = ten_bits(depth, rows[k][n]);
      }
    }
    u32x4 out[2];
    UNROLL for (i32 k = 0; k < 8; ++k) {
      const u32 pick = BYTES == 1 ? (k % 2 == 0 ? 0x5140 : 0x7362) : (k % 2 == 0 ? 0x5410 : 0x7632);
      out[k / 4][k % 4] = permute(rows[0][k / 2], rows[1][k / 2], pick);
    }
    store_shared(&scratch.tile[8 * i], out[0]);
    store_shared(&scratch.tile[8 * i + 4], out[1]);
  }
}

// Eight sums of 8-bit columns, twice: `second` words apart. Intermediate samples are their bytes 1 and 2. `at` is the first word of the first pair of
// rows, `pitch` the words of a pair.
DEV void vertical_8(const u32 *at, u32 second, u32 pitch, u64 coefs, i32 pairs, u32 sums[16]) {
  UNROLL for (i32 k = 0; k < 16; ++k) sums[k] = 1 << 7;
  do { // there are two pairs or more
    const u32 weights = load32(coefs);
    const u32x4 samples[2] = {load_shared(at), load_shared(at + second)};
    UNROLL for (i32 k = 0; k < 16; k += 2) {
      sums[k] = dot_lower_unsigned(weights, samples[k / 8][k / 2 % 4], sums[k]);
      sums[k + 1] = dot_upper_unsigned(weights, samples[k / 8][k / 2 % 4], sums[k + 1]);
    }
    at += pitch, coefs += 4;
  } while (--pairs > 0);
}

// The same once, of 10-bit columns.
DEV void vertical_10(const u32 *at, u32 pitch, u64 coefs, i32 pairs, u32 sums[8]) {
  u32 low[8], high[8];
  UNROLL for (i32 k = 0; k < 8; ++k) low[k] = 1 << 9, high[k] = 0;
  do {
    const u32 weights = load32(coefs);
    const u32x4 samples[2] = {load_shared(at), load_shared(at + 4)};
    UNROLL for (i32 k = 0; k < 8; ++k) {
      low[k] = dot_lower_unsigned(samples[k / 4][k % 4], weights, low[k]);
      high[k] = dot_upper_signed(samples[k / 4][k % 4], weights, high[k]);
    }
    at += pitch, coefs += 4;
  } while (--pairs > 0);
  // Down by 10 bits in the end, of which 8 by the choice of bytes.
  UNROLL for (i32 k = 0; k < 8; ++k) sums[k] = (u32)((i32)(low[k] + (high[k] << 8)) >> 2);
}

// Two of them: halves up to here were added, so what is above byte 0 is rounded.
DEV u32 joined(u32 low, u32 high) { return permute(low, high, 0x6521); }

// Writes eight columns from column `element` of the row at `row` on; U to its first half and V to its second where the
// columns are of both.
DEV void write_mids(u32 *row, u32 element, u32 row_elements, bool both, const u32 *sums) {
  if (both) {
    UNROLL for (i32 k = 0; k < 2; ++k) {
      const u32 low = joined(sums[k], sums[k + 2]), high = joined(sums[k + 4], sums[k + 6]);
      *(u64 *)&row[(k * row_elements + element) / 4] = (u64)high << 32 | low;
    }
  } else {
    store_shared(&row[element / 2], (u32x4){joined(sums[0], sums[1]), joined(sums[2], sums[3]), joined(sums[4], sums[5]),
                                            joined(sums[6], sums[7])});
  }
}

// Eight samples of one column. Sample `k` is made from the row `k / 2 * twice + k % 2 * once` words behind `at`.
DEV void horizontal(const u32 *at, u32 twice, u32 once, u64 coefs, u32 coef_pitch, i32 pairs, u32 out[8]) {
  u32 low[8], high[8];
  UNROLL for (i32 k = 0; k < 8; ++k) low[k] = 1u << 19, high[k] = 0;
  do {
    const u32 weights = load32(coefs);
    UNROLL for (i32 k = 0; k < 8; ++k) {
      const u32 both = at[k / 2 * twice + k % 2 * once];
      low[k] = dot_lower_unsigned(both, weights, low[k]);
      high[k] = dot_upper_signed(both, weights, high[k]);
    }
    ++at, coefs += coef_pitch;
  } while (--pairs > 0);
  UNROLL for (i32 k = 0; k < 8; ++k) out[k] = (u32)clamp((i32)(low[k] + (high[k] << 8)) >> 20, 0, 255);
}

// Everything that comes from one tile. `channel` is that of the source plane: Y, U or V, U for both together.
template <u32 BYTES>
DEV void scale_tile(Scratch &scratch, u64 plan, const Batch &batch, u32 picture, u32 channel, u64 tiles, u32 across, u32 down) {
  const u32 kind = channel == 0 ? LUMA : CHROMA, step = FIELD(tiles, Tiles, step);
  const u64 columns = plan + 4 * FIELD(tiles, Tiles, spans[COLUMNS]) + across * sizeof(Span);
  const u64 rows = plan + 4 * FIELD(tiles, Tiles, spans[ROWS]) + down * sizeof(Span);
  const Place place = {(i32)FIELD(columns, Span, begin), (i32)FIELD(rows, Span, begin), FIELD(columns, Span, length),
                       FIELD(rows, Span, length) / 2, FIELD(columns, Span, divide)};
  const u32 first_surface = picture * FIELD(plan, Plan, surfaces);
  const Surface &source = batch.surfaces[first_surface + FIELD(plan, Plan, source)];
  load_tile<BYTES>(scratch, place, plane_of(source, channel), pitch_of(source, channel), FIELD(tiles, Tiles, width),
                   FIELD(tiles, Tiles, height), step, FIELD(plan, Plan, depth));

  const bool both = step == 2;
  const i32 left = place.left / (i32)(BYTES * step);
  const u32 row_elements = place.pitch / BYTES, row_words = row_elements / 2, pair_words = place.pitch / 2;
  // Rows of intermediate samples that fit; items of the horizontal pass are 8 of them, or 4 of U and V.
  const i32 chunk = MID_BYTES / 2 / row_elements & ~7, item_shift = both ? 2 : 3;
  const u32 twice = both ? row_words : 2 * row_words, once = both ? row_words / 2 : row_words;
  const i32 outputs = FIELD(plan, Plan, outputs);
  for (i32 k = 0; k < outputs; ++k) {
    const u64 output = plan + sizeof(Plan) + k * sizeof(Output);
    const u64 axis_x = output + __builtin_offsetof(Output, axes) + kind * 2 * sizeof(Axis), axis_y = axis_x + sizeof(Axis);
    const u64 part = plan + 4 * load32(output + __builtin_offsetof(Output, parts) + 4 * kind) + across * sizeof(Part);
    const u64 splits = plan + 4 * (load32(output + __builtin_offsetof(Output, rows) + 4 * kind) + down);
    const i32 width = FIELD(part, Part, width), halves = FIELD(part, Part, halves), x0 = FIELD(part, Part, begin);
    const u32 divide_width = FIELD(part, Part, divide_width), divide_halves = FIELD(part, Part, divide_halves);
    const u32 begin = 8 * FIELD(part, Part, group);
    const i32 y0 = load32(splits), y1 = load32(splits + 4);
    const i32 pairs_x = FIELD(axis_x, Axis, pairs), pairs_y = FIELD(axis_y, Axis, pairs);
    const u32 coef_pitch = 4 * FIELD(axis_x, Axis, length);
    const u64 first_x = plan + 4 * FIELD(axis_x, Axis, first), first_y = plan + 4 * FIELD(axis_y, Axis, first);
    const u64 coefs_x = plan + 4 * FIELD(axis_x, Axis, coefs), coefs_y = plan + 4 * FIELD(axis_y, Axis, coefs);
    const Surface &target = batch.surfaces[first_surface + FIELD(output, Output, surface)];
    const u32 column_bytes = channel == 0 ? 1 : FIELD(output, Output, step), target_pitch = pitch_of(target, channel);
    // U and V of an output that has them together lie in its plane 1.
    const u64 plane_v = column_bytes == 2 ? plane_of(target, 1) + 1 : plane_of(target, 2);
    const u64 plane = channel == 2 ? plane_v : plane_of(target, channel);
    const u32 down_two = both ? target_pitch : 2 * target_pitch;

    for (i32 y = y0; y < y1; y += chunk) {
      const i32 made = least(chunk, y1 - y);
      BARRIER(); // the tile is there, and nobody reads the rows of the last turn any more
      EACH(i, made * halves) {
        const i32 r = quotient(i, divide_halves), first = load32(first_y + 4 * (u32)(y + r)) - place.top;
        const u32 element = begin + 8 * (u32)(i - r * halves), second = element + 8 * (u32)halves;
        const u32 *const at = &scratch.tile[(u32)first / 2 * pair_words + element * BYTES / 2];
        const u64 coefs = coefs_y + 4 * (u32)((y + r) * pairs_y);
        // The last pair is zeros behind an even first sample.
        const i32 pairs = pairs_y - 1 + (first & 1);
        u32 *const row = &scratch.mid[(u32)r * row_words];
        u32 sums[16];
        if (BYTES == 1) {
          vertical_8(at, 4 * (u32)halves, pair_words, coefs, pairs, sums);
        } else {
          vertical_10(at, pair_words, coefs, pairs, sums);
          vertical_10(at + 8 * (u32)halves, pair_words, coefs, pairs, sums + 8);
        }
        write_mids(row, element, row_elements, both, sums);
        write_mids(row, second, row_elements, both, sums + 8);
      }
      BARRIER();
      EACH(i, (((made - 1) >> item_shift) + 1) * width) {
        const i32 group = quotient(i, divide_width), r = group << item_shift, x = x0 + i - group * width;
        const u32 first = load32(first_x + 4 * (u32)x) - (u32)left;
        u32 out[8];
        horizontal(&scratch.mid[(u32)r * row_words + first / 2], twice, once, coefs_x + 4 * (u32)x, coef_pitch, pairs_x, out);
        const u32 at = (u32)(y + r) * target_pitch + (u32)x * column_bytes;
        u64 even = plane + at, odd = both ? plane_v + at : even + target_pitch;
        // How many of the eight are in rows that were made.
        const i32 rest = (made - r) << (both ? 1 : 0);
        UNROLL for (i32 n = 0; n < 8; n += 2, even += down_two, odd += down_two) {
          if (n < rest) store8(even, out[n]);
          if (n + 1 < rest) store8(odd, out[n + 1]);
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
  scale_tile<BYTES>(scratch, plan, batch, picture, channel, tiles, block % across, block / across);
}
