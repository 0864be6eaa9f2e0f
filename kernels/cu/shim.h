// What differs between the two compilers of these kernels: clang for the device, and a plain C++ compiler for the host,
// where tests hold the same source to the definition in reference.rs. Everything else here is integer C++ for both.
//
// A kernel is a function over one block. It is written as loops over items (EACH) with barriers between them and keeps
// nothing in a thread's variables across a barrier, so the host may run the items of a loop one after the other, in
// either order, or, with THREADED, on a few threads: a thread sanitizer then sees where a barrier is missing. Global memory is read and written by address, through the functions below: on the host they refuse, and
// count, whatever lies outside the memory that the test has declared.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef short i16;
typedef unsigned int u32;
typedef int i32;
typedef unsigned long long u64;
typedef u32 u32x4 __attribute__((vector_size(16)));

// Threads of a block, of every kernel.
#define THREADS 256

#ifdef __CUDA__
#define DEV static inline __attribute__((device, always_inline))
#define KERNEL(blocks) extern "C" __attribute__((global, launch_bounds(THREADS, blocks))) void
#define SHARED __attribute__((shared))
#define CONSTANT static const __attribute__((constant))
#define EACH(i, n) for (i32 i = __nvvm_read_ptx_sreg_tid_x(); i < (n); i += THREADS)
#define BARRIER() __syncthreads()
#define UNROLL _Pragma("unroll")

// Reads are of memory that nobody writes while the kernel runs: the read-only path caches them on every card.
DEV u32 load8(u64 at) { return __nvvm_ldg_uc((const u8 *)at); }
DEV u32 load16(u64 at) { return __nvvm_ldg_us((const u16 *)at); }
DEV u32 load32(u64 at) { return __nvvm_ldg_ui((const u32 *)at); }
DEV u32x4 load128(u64 at) {
  typedef u32 vector __attribute__((ext_vector_type(4)));
  const vector v = __nvvm_ldg_ui4((const vector *)at);
  return (u32x4){v.x, v.y, v.z, v.w};
}
#define GLOBAL __attribute__((address_space(1)))
// For what this thread itself will write.
DEV u32 load8_own(u64 at) { return *(const GLOBAL u8 *)at; }
DEV void store8(u64 at, u32 value) { *(GLOBAL u8 *)at = (u8)value; }
DEV void store64(u64 at, u64 value) { *(GLOBAL u64 *)at = value; }
DEV void store128(u64 at, u32x4 value) { *(GLOBAL u32x4 *)at = value; }

// Shared memory, 16 bytes at once: written out, because clang takes them apart.
DEV u32x4 load_shared(const u32 *at) {
  const u32 address = (u32)(u64)(const __attribute__((address_space(3))) u32 *)at;
  u32 a, b, c, d;
  asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(a), "=r"(b), "=r"(c), "=r"(d) : "r"(address) : "memory");
  return (u32x4){a, b, c, d};
}
DEV void store_shared(u32 *at, u32x4 value) {
  const u32 address = (u32)(u64)(__attribute__((address_space(3))) u32 *)at;
  asm volatile("st.shared.v4.u32 [%0], {%1, %2, %3, %4};"
               : : "r"(address), "r"(value[0]), "r"(value[1]), "r"(value[2]), "r"(value[3]) : "memory");
}

// Four of the eight bytes of `a` (0 to 3) and `b` (4 to 7), as the nibbles of `pick` say, the lowest first.
DEV u32 permute(u32 a, u32 b, u32 pick) { return __nvvm_prmt(a, b, pick); }
// `sum` and the products of the two signed halves of `halves` with two bytes of `bytes`: the lower or the upper ones,
// unsigned or signed. Wraps.
#define DOT(name, form)                                                                                                \
  DEV u32 name(u32 halves, u32 bytes, u32 sum) {                                                                       \
    u32 out;                                                                                                           \
    asm("dp2a." form " %0, %1, %2, %3;" : "=r"(out) : "r"(halves), "r"(bytes), "r"(sum));                              \
    return out;                                                                                                        \
  }
DOT(dot_lower_unsigned, "lo.s32.u32")
DOT(dot_upper_unsigned, "hi.s32.u32")
DOT(dot_upper_signed, "hi.s32.s32")

#else
#include <string.h>
#define DEV static inline
#define CONSTANT static const
#ifdef THREADED
#define EACH(i, n) for (i32 i = thread_number(); i < (n); i += HOST_THREADS)
#define BARRIER() wait_for_others()
#else
#define EACH(i, n) for (i32 i##_n = (n), i##_k = 0, i; i##_k < i##_n && (i = item(i##_k, i##_n), true); ++i##_k)
#define BARRIER() ((void)0)
#endif
#define UNROLL

// In host.cpp: the order of items, or threads in their place, and memory that may be touched.
i32 item(i32 k, i32 n);
#define HOST_THREADS 4
i32 thread_number();
void wait_for_others();
bool readable(u64 at, u32 bytes);
bool writable(u64 at, u32 bytes);

template <class T> DEV T load(u64 at) {
  T value = {};
  // A vector load wants an aligned address on the device.
  if (at % sizeof(T) == 0 && readable(at, sizeof(T))) memcpy(&value, (const void *)at, sizeof(T));
  return value;
}
template <class T> DEV void store(u64 at, T value) {
  if (at % sizeof(T) == 0 && writable(at, sizeof(T))) memcpy((void *)at, &value, sizeof(T));
}
DEV u32 load8(u64 at) { return load<u8>(at); }
DEV u32 load8_own(u64 at) { return load<u8>(at); }
DEV u32 load16(u64 at) { return load<u16>(at); }
DEV u32 load32(u64 at) { return load<u32>(at); }
DEV u32x4 load128(u64 at) { return load<u32x4>(at); }
DEV void store8(u64 at, u32 value) { store<u8>(at, (u8)value); }
DEV void store64(u64 at, u64 value) { store<u64>(at, value); }
DEV void store128(u64 at, u32x4 value) { store<u32x4>(at, value); }
DEV u32x4 load_shared(const u32 *at) { return *(const u32x4 *)at; }
DEV void store_shared(u32 *at, u32x4 value) { *(u32x4 *)at = value; }

DEV u32 permute(u32 a, u32 b, u32 pick) {
  const u64 bytes = (u64)b << 32 | a;
  u32 out = 0;
  for (u32 i = 0; i < 4; ++i) out |= (u32)(u8)(bytes >> 8 * (pick >> 4 * i & 7)) << 8 * i;
  return out;
}
DEV u32 product(u32 halves, i32 first, i32 second, u32 sum) {
  return sum + (u32)((i16)halves * first) + (u32)((i16)(halves >> 16) * second);
}
DEV u32 dot_lower_unsigned(u32 halves, u32 bytes, u32 sum) { return product(halves, (u8)bytes, (u8)(bytes >> 8), sum); }
DEV u32 dot_upper_unsigned(u32 halves, u32 bytes, u32 sum) { return dot_lower_unsigned(halves, bytes >> 16, sum); }
DEV u32 dot_upper_signed(u32 halves, u32 bytes, u32 sum) {
  return product(halves, (signed char)(bytes >> 16), (signed char)(bytes >> 24), sum);
}
#endif

DEV i32 least(i32 a, i32 b) { return a < b ? a : b; }
DEV i32 clamp(i32 value, i32 low, i32 high) { return value < low ? low : value > high ? high : value; }
