// The kernels, compiled for the host, behind one function.
#include "host.cpp"

extern "C" {

// Runs a kernel, by its place in `kernels` of launch.rs, over `blocks` times `count` blocks, and says how often it reached
// for memory that is none of `memory`. `parameters` are those that the kernel has in headframe.cu.
u64 headframe_launch(u32 kernel, const Range *memory, u64 ranges, void *const *parameters, u32 blocks, u32 count) {
  declare(memory, ranges, 0);
  const void *const first = parameters[0];
  const void *const second = kernel == 4 || kernel == 7 ? nullptr : parameters[1];
  switch (kernel) {
  case 0: scale_tiles_8(*(const u64 *)first, (const Batch *)second, blocks, count); break;
  case 1: scale_tiles_10(*(const u64 *)first, (const Batch *)second, blocks, count); break;
  case 2: scale_direct_any(*(const u64 *)first, (const Batch *)second, blocks, count); break;
  case 3: error_tiles((const Pairs *)first, *(const i32 *)second, blocks, count); break;
  case 4: window_sums((const Pairs *)first, blocks, count); break;
  case 5: convert_luma((const Conversion *)first, (const Pictures *)second, blocks, count); break;
  case 6: convert_chroma((const Conversion *)first, (const Pictures *)second, blocks, count); break;
  case 7: hash_rows((const Shots *)first, blocks, count); break;
  }
  const u64 seen = faults_seen();
  declare(nullptr, 0, 0);
  return seen;
}
u32 headframe_threads() { return THREADS; }
}
