// What the host tells the scaling kernels. Twin of kernels/src/cuda/plan.rs, which makes it and explains the numbers; a
// test compares the layouts. Everything is 32-bit words: a Plan, its Outputs, then tables, which are named by the word
// at which they begin.
#pragma once
#include "shim.h"

#define LUMA 0
#define CHROMA 1
#define COLUMNS 0
#define ROWS 1

// Bits of a source sample: 8, 10, or 10 in the upper bits of 16.
#define EIGHT 8
#define TEN 10
#define HIGH_TEN 16

// Weights of one direction of one plane of an output. Weights come in pairs that belong to an even sample and the one
// behind it: in front of an odd first sample there is a weight of zero, behind an even one's last there are two.
struct Axis {
  u32 first;  // table of the first source sample of each output, signed
  u32 coefs;  // table of pairs of weights
  u32 pairs;  // pairs for each output
  u32 length; // outputs
};

// The columns of an output in one tile.
struct Part {
  u32 begin, width;   // outputs
  u32 group;          // the first eight columns of the tile that they look at, counted in eights
  u32 halves;         // half of how many eights
  u32 divide_halves;  // reciprocals of both counts, see `quotient`
  u32 divide_width;
};

struct Output {
  u32 surface;  // which surface of a picture
  u32 step;     // chroma bytes from one column to the next: 2 where U and V share a plane
  u32 parts[2]; // tables of Parts: [LUMA or CHROMA]
  u32 rows[2];  // tables of where rows of tiles begin and the last one ends
  Axis axes[2][2];
};

// The source under a column or a row of tiles.
struct Span {
  i32 begin;   // byte or row, may lie outside; a multiple of 16, or of 2
  u32 length;  // bytes or rows; a multiple of 32, or of 2
  u32 divide;  // reciprocal of a row's vectors of 16 bytes, for columns
};

// The tiles of the luma plane, or of the chroma planes.
struct Tiles {
  u32 width, height;  // source samples
  u32 step;           // channels that share the plane
  u32 planes;         // planes that are done apart: 2 for U and V, 0 without chroma
  u32 across, down;   // tiles
  u32 spans[2];       // tables of Spans
};

struct Plan {
  u32 depth;
  u32 surfaces; // for each picture
  u32 source;   // which of them is read
  u32 outputs;
  Tiles tiles[2];
};

// A picture in device memory: where Y is, how far behind it U and V are (or both together), and the bytes between rows.
struct Surface {
  u64 base;
  u32 offsets[2];
  u32 pitches[2]; // luma, chroma
};

// As many as the parameters of a launch (4096 bytes) have room for.
#define MAX_SURFACES 160
struct Batch {
  Surface surfaces[MAX_SURFACES];
};

#define WORD(plan, index) load32((plan) + 4ull * (index))
#define FIELD(at, type, field) load32((at) + __builtin_offsetof(type, field))

// `i / n` for the reciprocal `2^31 / n + 1`, exact while `i * n` is below 2^31.
DEV i32 quotient(i32 i, u32 reciprocal) { return (i32)((u64)(2 * (u32)i) * reciprocal >> 32); }

DEV u64 plane_of(const Surface &surface, u32 channel) {
  return channel == 0 ? surface.base : surface.base + surface.offsets[channel - 1];
}
DEV u32 pitch_of(const Surface &surface, u32 channel) { return surface.pitches[channel == 0 ? LUMA : CHROMA]; }

// A sample as it is stored, as a number.
DEV u32 sample_of(u32 depth, u32 word) { return depth == HIGH_TEN ? word >> 6 : depth == TEN ? (word > 1023 ? 1023 : word) : word; }
