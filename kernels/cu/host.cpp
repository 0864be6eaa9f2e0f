// The same kernels for the host, for tests: every block and every thread of a launch one after the other. Memory that a
// kernel may touch is declared first; what it touches beyond that is counted and neither read nor written. Thousands of
// ranges cost little where they are in order and apart.
//
// With THREADED a block is run by HOST_THREADS threads that wait for each other at its barriers.
#include "compare.h"
#include "convert.h"
#include "direct.h"
#include "hash.h"
#include "scale.h"
#ifdef THREADED
#include <pthread.h>
#include <thread>
#endif

struct Range {
  u64 begin, end;
  u64 writable;
};

static thread_local const Range *ranges;
static thread_local u64 range_count, faults;
static thread_local bool backwards, in_order;

i32 item(i32 k, i32 n) { return backwards ? n - 1 - k : k; }

// The range that begins last at or before an address.
static u64 find(u64 at) {
  u64 first = 0, behind = range_count;
  while (behind - first > 1) {
    const u64 middle = first + (behind - first) / 2;
    (ranges[middle].begin <= at ? first : behind) = middle;
  }
  return first;
}

static bool inside(u64 at, u32 bytes, bool write) {
  // Near each other is mostly in one range.
  static thread_local u64 lasts[64];
  u64 &last = lasts[at >> 16 & 63];
  for (u64 k = 0; k < range_count; ++k) {
    const Range &range = ranges[last < range_count ? last : last = 0];
    if (at >= range.begin && at + bytes <= range.end && (!write || range.writable)) return true;
    if (!in_order) ++last;
    else if (k == 0) last = find(at);
    else break;
  }
  ++faults;
  return false;
}
bool readable(u64 at, u32 bytes) { return inside(at, bytes, false); }
bool writable(u64 at, u32 bytes) { return inside(at, bytes, true); }

#ifdef THREADED
static thread_local pthread_barrier_t *barrier;
static thread_local i32 number;
i32 thread_number() { return number; }
void wait_for_others() { pthread_barrier_wait(barrier); }

template <class Block> static void run(Block block) {
  pthread_barrier_t all;
  pthread_barrier_init(&all, nullptr, HOST_THREADS);
  std::thread threads[HOST_THREADS];
  u64 seen[HOST_THREADS];
  const Range *const memory = ranges;
  const u64 count = range_count;
  const bool order = in_order;
  for (i32 k = 0; k < HOST_THREADS; ++k) {
    threads[k] = std::thread([&, k] {
      barrier = &all, number = k, ranges = memory, range_count = count, in_order = order;
      block();
      seen[k] = faults;
    });
  }
  for (i32 k = 0; k < HOST_THREADS; ++k) threads[k].join(), faults += seen[k];
  pthread_barrier_destroy(&all);
}
#else
template <class Block> static void run(Block block) { block(); }
#endif

// What a block finds in shared memory is what others left there.
template <class T> static void spoil(T &scratch) { memset((void *)&scratch, 0xa5, sizeof scratch); }

extern "C" {
// Memory of the following launches on this thread, which must outlive them, and the order of items.
void declare(const Range *memory, u64 count, i32 reversed) {
  ranges = memory, range_count = count, faults = 0, backwards = reversed != 0, in_order = true;
  for (u64 k = 1; k < count; ++k) in_order = in_order && memory[k - 1].end <= memory[k].begin;
}
// Accesses outside it since.
u64 faults_seen() { return faults; }

// Sizes and offsets as this compiler sees them, for comparison with their twins.
u32 layout(u32 *out) {
  const u32 all[] = {sizeof(Axis), sizeof(Part), sizeof(Output), __builtin_offsetof(Output, parts),
                     __builtin_offsetof(Output, axes), sizeof(Span), sizeof(Tiles), __builtin_offsetof(Tiles, spans), sizeof(Plan), __builtin_offsetof(Plan, tiles),
                     sizeof(Surface), __builtin_offsetof(Surface, pitches), sizeof(Batch), sizeof(Pair),
                     __builtin_offsetof(Pair, sums), sizeof(Pairs), sizeof(Conversion),
                     __builtin_offsetof(Conversion, chroma), sizeof(Picture), __builtin_offsetof(Picture, step),
                     sizeof(Pictures), sizeof(Shot), __builtin_offsetof(Shot, depth), sizeof(Shots), THREADS, TILE_BYTES, MID_BYTES, WINDOWS_ACROSS, WINDOWS_DOWN};
  memcpy(out, all, sizeof all);
  return sizeof all / sizeof *all;
}

void scale_tiles_8(u64 plan, const Batch *batch, u32 blocks, u32 pictures) {
  Scratch scratch;
  for (u64 i = 0; i < (u64)blocks * pictures; ++i) {
    spoil(scratch);
    run([&] { scale_tiles<1>(scratch, plan, *batch, i % blocks, i / blocks); });
  }
}
void scale_tiles_10(u64 plan, const Batch *batch, u32 blocks, u32 pictures) {
  Scratch scratch;
  for (u64 i = 0; i < (u64)blocks * pictures; ++i) {
    spoil(scratch);
    run([&] { scale_tiles<2>(scratch, plan, *batch, i % blocks, i / blocks); });
  }
}
void scale_direct_any(u64 plan, const Batch *batch, u32 blocks, u32 pictures) {
  for (u64 i = 0; i < (u64)blocks * pictures; ++i) {
    run([&] { scale_direct(plan, *batch, i % blocks, i / blocks); });
  }
}
void error_tiles(const Pairs *pairs, i32 side, u32 blocks, u32 count) {
  ErrorScratch scratch;
  for (u64 i = 0; i < (u64)blocks * count; ++i) {
    spoil(scratch);
    run([&] { tile_errors(scratch, pairs->pairs[i / blocks], side, i % blocks); });
  }
}
void window_sums(const Pairs *pairs, u32 blocks, u32 count) {
  WindowScratch scratch;
  for (u64 i = 0; i < (u64)blocks * count; ++i) {
    spoil(scratch);
    run([&] { ssim_sums(scratch, pairs->pairs[i / blocks], i % blocks); });
  }
}
void convert_luma(const Conversion *conversion, const Pictures *pictures, u32 blocks, u32 count) {
  for (u64 i = 0; i < (u64)blocks * count; ++i) {
    run([&] { luma_of(*conversion, pictures->pictures[i / blocks], i % blocks); });
  }
}
void convert_chroma(const Conversion *conversion, const Pictures *pictures, u32 blocks, u32 count) {
  for (u64 i = 0; i < (u64)blocks * count; ++i) {
    run([&] { chroma_of(*conversion, pictures->pictures[i / blocks], i % blocks); });
  }
}
void hash_rows(const Shots *shots, u32 blocks, u32 count) {
  for (u64 i = 0; i < (u64)blocks * count; ++i) {
    run([&] { hash_rows_of(shots->shots[i / blocks], i % blocks); });
  }
}
}
