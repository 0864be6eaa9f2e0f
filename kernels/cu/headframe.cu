// The kernels as the driver sees them. Blocks of THREADS threads; the y coordinate of a block is the number of a picture
// or pair. Compiled to ../ptx/headframe.ptx by scripts/ptx.
#include "compare.h"
#include "convert.h"
#include "direct.h"
#include "hash.h"
#include "scale.h"

#define BLOCK_X __nvvm_read_ptx_sreg_ctaid_x()
#define BLOCK_Y __nvvm_read_ptx_sreg_ctaid_y()

KERNEL(4) scale_tiles_8(u64 plan, const Batch batch) {
  SHARED Scratch scratch;
  scale_tiles<1>(scratch, plan, batch, BLOCK_X, BLOCK_Y);
}

KERNEL(4) scale_tiles_10(u64 plan, const Batch batch) {
  SHARED Scratch scratch;
  scale_tiles<2>(scratch, plan, batch, BLOCK_X, BLOCK_Y);
}

KERNEL(4) scale_direct_any(u64 plan, const Batch batch) { scale_direct(plan, batch, BLOCK_X, BLOCK_Y); }

KERNEL(4) error_tiles(const Pairs pairs, i32 side) {
  SHARED ErrorScratch scratch;
  tile_errors(scratch, pairs.pairs[BLOCK_Y], side, BLOCK_X);
}

KERNEL(4) window_sums(const Pairs pairs) {
  SHARED WindowScratch scratch;
  ssim_sums(scratch, pairs.pairs[BLOCK_Y], BLOCK_X);
}

KERNEL(4) convert_luma(const Conversion conversion, const Pictures pictures) {
  luma_of(conversion, pictures.pictures[BLOCK_Y], BLOCK_X);
}

KERNEL(4) convert_chroma(const Conversion conversion, const Pictures pictures) {
  chroma_of(conversion, pictures.pictures[BLOCK_Y], BLOCK_X);
}

KERNEL(2) hash_rows(const Shots shots) { hash_rows_of(shots.shots[BLOCK_Y], BLOCK_X); }
