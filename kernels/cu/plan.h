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

// Weights of one direction of one plane of an output.
struct Axis {
  u32 first;  // table of the first source sample of each output, signed
  u32 coefs;  // table of pairs of weights
  u32 pairs;  // weights for each output, halved
  u32 length; // outputs
};

struct Output {
  u32 surface;      // which surface of a picture
  u32 step;         // chroma bytes from one column to the next: 2 where U and V share a plane
  u32 splits[2][2]; // tables of where tiles begin and the last one ends: [LUMA or CHROMA][COLUMNS or ROWS]
  Axis axes[2][2];
};

// The tiles of the luma plane, or of the chroma planes.
struct Tiles {
  u32 width, height;  // source samples
  u32 step;           // channels that share the plane
  u32 planes;         // planes that are done apart: 2 for U and V, 0 without chroma
  u32 across, down;   // tiles
  u32 spans[2];       // tables of two words for each column or row of tiles: the first byte or row of the source, signed,
                      // and how many. Bytes are multiples of 16.
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

DEV u64 plane_of(const Surface &surface, u32 channel) {
  return channel == 0 ? surface.base : surface.base + surface.offsets[channel - 1];
}
DEV u32 pitch_of(const Surface &surface, u32 channel) { return surface.pitches[channel == 0 ? LUMA : CHROMA]; }

// A sample as it is stored, as a number.
DEV u32 sample_of(u32 depth, u32 word) { return depth == HIGH_TEN ? word >> 6 : depth == TEN ? (word > 1023 ? 1023 : word) : word; }
