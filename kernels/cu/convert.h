// Colour conversion in place, by the definition: Y first, which looks at the old chroma, then U and V in a launch of
// their own.
#pragma once
#include "shim.h"

// Twin of kernels/src/convert.rs.
struct Conversion {
  i32 black[2];
  i32 luma;
  i32 luma_from[2];
  i32 chroma[2][2];
};

// An 8-bit 4:2:0 picture.
struct Picture {
  u64 planes[3]; // first samples of Y, U and V
  u32 pitches[2]; // bytes from row to row: luma, chroma
  u32 step;      // chroma bytes from sample to sample
  u32 width, height;
  u32 unused;
};

#define MAX_PICTURES 64
struct Pictures {
  Picture pictures[MAX_PICTURES];
};

DEV u64 chroma_at(const Picture &picture, i32 channel, i32 x, i32 y) {
  return picture.planes[channel] + (u64)y * picture.pitches[1] + (u64)x * picture.step;
}
DEV i32 centred(const Picture &picture, i32 channel, i32 x, i32 y) {
  return (i32)load8(chroma_at(picture, channel, x, y)) - 128;
}

// One block: THREADS samples of Y.
DEV void luma_of(const Conversion &conversion, const Picture &picture, u32 block) {
  const i32 width = picture.width, height = picture.height, columns = (width + 1) / 2, rows = (height + 1) / 2;
  EACH(i, THREADS) {
    const i32 index = block * THREADS + i, x = index % width, y = index / width;
    if (y >= height) continue;
    const i32 near = y / 2, far = clamp(y % 2 == 0 ? near - 1 : near + 1, 0, rows - 1);
    const i32 left = x / 2, right = least(x / 2 + x % 2, columns - 1);
    i32 at[2];
    UNROLL for (i32 c = 0; c < 2; ++c) {
      at[c] = 3 * (centred(picture, c + 1, left, near) + centred(picture, c + 1, right, near)) +
              centred(picture, c + 1, left, far) + centred(picture, c + 1, right, far);
    }
    const u64 sample = picture.planes[0] + (u64)y * picture.pitches[0] + x;
    const i32 own = 8 * conversion.luma * ((i32)load8_own(sample) - conversion.black[0]);
    const i32 sum = own + conversion.luma_from[0] * at[0] + conversion.luma_from[1] * at[1];
    store8(sample, (u32)clamp(conversion.black[1] + ((sum + (1 << 16)) >> 17), 0, 255));
  }
}

// One block: THREADS places of U and V.
DEV void chroma_of(const Conversion &conversion, const Picture &picture, u32 block) {
  const i32 columns = (picture.width + 1) / 2, rows = (picture.height + 1) / 2;
  EACH(i, THREADS) {
    const i32 index = block * THREADS + i, x = index % columns, y = index / columns;
    if (y >= rows) continue;
    i32 old[2];
    UNROLL for (i32 c = 0; c < 2; ++c) old[c] = (i32)load8_own(chroma_at(picture, c + 1, x, y)) - 128;
    UNROLL for (i32 c = 0; c < 2; ++c) {
      const i32 sum = conversion.chroma[c][0] * old[0] + conversion.chroma[c][1] * old[1];
      store8(chroma_at(picture, c + 1, x, y), (u32)clamp(128 + ((sum + (1 << 13)) >> 14), 0, 255));
    }
  }
}
