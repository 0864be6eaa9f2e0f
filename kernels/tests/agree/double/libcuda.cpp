// A test double of NVIDIA's libcuda: the calls that src/cuda makes, on one card that does not exist. Its memory is this
// process's; its kernels are the host build; everything is done when the call returns. It refuses what the real one would
// call an error or leave undefined: handles that are not alive, no current context, memory that nobody allocated.
//
// DOUBLE_FAILS=FUNCTION:CODE makes one function fail. When the process ends it says what was not given back.
#include "../../../cu/host.cpp"
#include <map>
#include <mutex>
#include <set>
#include <stdio.h>
#include <stdlib.h>
#include <string>
#include <vector>

namespace {

const u32 OK = 0, INVALID_VALUE = 1, INVALID_DEVICE = 101, INVALID_CONTEXT = 201, INVALID_HANDLE = 400, NOT_FOUND = 500,
          ILLEGAL_ADDRESS = 700;

std::mutex lock;
std::map<u64, size_t> memory; // live allocations
std::set<void *> handles;     // live modules, streams and events
int contexts;
bool wrong;
thread_local void *current;
void *const the_context = (void *)0xc0;

struct AtEnd {
  ~AtEnd() {
    if (memory.empty() && handles.empty() && contexts == 0 && !wrong) {
      fprintf(stderr, "double: nothing leaked\n");
    } else {
      fprintf(stderr, "double: %zu allocations, %zu handles, %d contexts left%s\n", memory.size(), handles.size(), contexts,
              wrong ? "; something else was wrong" : "");
    }
  }
} at_end;

// The code that this function is to fail with, or 0.
u32 failing(const char *name) {
  const char *wanted = getenv("DOUBLE_FAILS");
  const std::string prefix = std::string(name) + ":";
  return wanted && std::string(wanted).rfind(prefix, 0) == 0 ? (u32)atoi(wanted + prefix.size()) : OK;
}

u32 complain(const char *name, u32 code) {
  fprintf(stderr, "double: %s: %u\n", name, code);
  wrong = true;
  return code;
}

void *fresh() {
  void *handle = malloc(1);
  handles.insert(handle);
  return handle;
}

u32 dispose(const char *name, void *handle) {
  if (handles.erase(handle) == 0) return complain(name, INVALID_HANDLE);
  free(handle);
  return OK;
}

bool allocated(u64 at, size_t bytes) {
  auto next = memory.upper_bound(at);
  if (next == memory.begin()) return false;
  --next;
  return at + bytes <= next->first + next->second;
}

struct Copy2D { // CUDA_MEMCPY2D
  size_t src_x, src_y;
  u32 src_type;
  const void *src_host;
  u64 src_device;
  void *src_array;
  size_t src_pitch, dst_x, dst_y;
  u32 dst_type;
  void *dst_host;
  u64 dst_device;
  void *dst_array;
  size_t dst_pitch, width, height;
};

} // namespace

#define BEGIN(name)                                                                                                    \
  std::lock_guard<std::mutex> guard(lock);                                                                             \
  if (const u32 code = failing(name)) return code;
#define NEEDS_CONTEXT(name)                                                                                            \
  if (current != the_context || contexts == 0) return complain(name, INVALID_CONTEXT);
#define NEEDS(name, condition, code)                                                                                   \
  if (!(condition)) return complain(name, code);

extern "C" {
u32 cuInit(u32 flags) {
  BEGIN("cuInit");
  return flags == 0 ? OK : INVALID_VALUE;
}
u32 cuDriverGetVersion(int *version) { return *version = 12000, OK; }
u32 cuGetErrorName(u32, const char **name) { return *name = nullptr, INVALID_VALUE; }
u32 cuDeviceGetCount(int *count) { return *count = 1, OK; }
u32 cuDeviceGet(int *device, int ordinal) { return *device = 40, ordinal == 0 ? OK : INVALID_DEVICE; }
u32 cuDeviceGetName(char *name, int size, int) { return snprintf(name, size, "test double"), OK; }
u32 cuDeviceGetUuid(char *uuid, int) { return memcpy(uuid, "headframe double", 16), OK; }
u32 cuDeviceGetAttribute(int *value, u32 attribute, int) { return *value = attribute == 75 ? 6 : 1, OK; }
u32 cuDeviceTotalMem_v2(size_t *bytes, int) { return *bytes = 1 << 30, OK; }

u32 cuDevicePrimaryCtxRetain(void **context, int device) {
  BEGIN("cuDevicePrimaryCtxRetain");
  NEEDS("cuDevicePrimaryCtxRetain", device == 40, INVALID_DEVICE);
  return ++contexts, *context = the_context, OK;
}
u32 cuDevicePrimaryCtxRelease_v2(int) {
  BEGIN("cuDevicePrimaryCtxRelease");
  NEEDS("cuDevicePrimaryCtxRelease", contexts > 0, INVALID_CONTEXT);
  return --contexts, OK;
}
u32 cuCtxSetCurrent(void *context) { return current = context, OK; }
u32 cuCtxSynchronize() {
  BEGIN("cuCtxSynchronize");
  NEEDS_CONTEXT("cuCtxSynchronize");
  return OK;
}

u32 cuMemGetInfo_v2(size_t *free, size_t *total) { return *free = *total = 1 << 30, OK; }
u32 cuMemAlloc_v2(u64 *address, size_t bytes) {
  BEGIN("cuMemAlloc_v2");
  NEEDS_CONTEXT("cuMemAlloc");
  NEEDS("cuMemAlloc", bytes > 0, INVALID_VALUE);
  *address = (u64)aligned_alloc(256, (bytes + 255) / 256 * 256);
  memset((void *)*address, 0x5a, bytes);
  return memory[*address] = bytes, OK;
}
u32 cuMemFree_v2(u64 address) {
  BEGIN("cuMemFree_v2");
  NEEDS_CONTEXT("cuMemFree");
  NEEDS("cuMemFree", memory.erase(address), INVALID_VALUE);
  return free((void *)address), OK;
}
u32 cuMemcpyHtoDAsync_v2(u64 to, const void *from, size_t bytes, void *stream) {
  BEGIN("cuMemcpyHtoDAsync_v2");
  NEEDS_CONTEXT("cuMemcpyHtoDAsync");
  NEEDS("cuMemcpyHtoDAsync", handles.count(stream) && allocated(to, bytes), INVALID_VALUE);
  return memcpy((void *)to, from, bytes), OK;
}
u32 cuMemcpyDtoHAsync_v2(void *to, u64 from, size_t bytes, void *stream) {
  BEGIN("cuMemcpyDtoHAsync_v2");
  NEEDS_CONTEXT("cuMemcpyDtoHAsync");
  NEEDS("cuMemcpyDtoHAsync", handles.count(stream) && (bytes == 0 || allocated(from, bytes)), INVALID_VALUE);
  return memcpy(to, (const void *)from, bytes), OK;
}
u32 cuMemcpy2DAsync_v2(const Copy2D *copy, void *stream) {
  BEGIN("cuMemcpy2DAsync_v2");
  NEEDS_CONTEXT("cuMemcpy2DAsync");
  NEEDS("cuMemcpy2DAsync", handles.count(stream) && copy->src_pitch >= copy->width && copy->dst_pitch >= copy->width, INVALID_VALUE);
  const bool from_device = copy->src_type == 2, to_device = copy->dst_type == 2;
  for (size_t y = 0; y < copy->height; ++y) {
    const u64 from = (from_device ? copy->src_device : (u64)copy->src_host) + y * copy->src_pitch;
    const u64 to = (to_device ? copy->dst_device : (u64)copy->dst_host) + y * copy->dst_pitch;
    NEEDS("cuMemcpy2DAsync", !from_device || allocated(from, copy->width), INVALID_VALUE);
    NEEDS("cuMemcpy2DAsync", !to_device || allocated(to, copy->width), INVALID_VALUE);
    memcpy((void *)to, (const void *)from, copy->width);
  }
  return OK;
}
u32 cuMemsetD2D8Async(u64 to, size_t pitch, u8 value, size_t width, size_t height, void *stream) {
  BEGIN("cuMemsetD2D8Async");
  NEEDS_CONTEXT("cuMemsetD2D8Async");
  for (size_t y = 0; y < height; ++y) {
    NEEDS("cuMemsetD2D8Async", handles.count(stream) && allocated(to + y * pitch, width), INVALID_VALUE);
    memset((void *)(to + y * pitch), value, width);
  }
  return OK;
}

u32 cuModuleLoadData(void **module, const char *ptx) {
  BEGIN("cuModuleLoadData");
  NEEDS_CONTEXT("cuModuleLoadData");
  NEEDS("cuModuleLoadData", strstr(ptx, ".target sm_61"), INVALID_VALUE);
  return *module = fresh(), OK;
}
u32 cuModuleUnload(void *module) {
  BEGIN("cuModuleUnload");
  NEEDS_CONTEXT("cuModuleUnload");
  return dispose("cuModuleUnload", module);
}

#define KERNELS(each) each(scale_tiles_8) each(scale_tiles_10) each(scale_direct_any) each(error_tiles) each(window_sums) each(convert_luma) each(convert_chroma) each(hash_rows)
#define NAME(kernel) #kernel,
static const char *const names[] = {KERNELS(NAME)};
u32 cuModuleGetFunction(const char **function, void *module, const char *name) {
  BEGIN("cuModuleGetFunction");
  NEEDS("cuModuleGetFunction", handles.count(module), INVALID_HANDLE);
  for (const char *known : names) {
    if (strcmp(known, name) == 0) return *function = known, OK;
  }
  return complain("cuModuleGetFunction", NOT_FOUND);
}
u32 cuFuncGetAttribute(int *value, u32, const char *) { return *value = 0, OK; }

u32 cuLaunchKernel(const char *function, u32 x, u32 y, u32 z, u32 threads, u32 ty, u32 tz, u32 shared, void *stream, void **p, void **) {
  BEGIN("cuLaunchKernel");
  NEEDS_CONTEXT("cuLaunchKernel");
  NEEDS("cuLaunchKernel", handles.count(stream) && x && y && z == 1 && threads == THREADS && ty == 1 && tz == 1 && !shared, INVALID_VALUE);
  std::vector<Range> all;
  for (const auto &[begin, bytes] : memory) all.push_back({begin, begin + bytes, 1});
  declare(all.data(), all.size(), 0);
  const std::string name = function;
  if (name == "scale_tiles_8") scale_tiles_8(*(u64 *)p[0], (const Batch *)p[1], x, y);
  else if (name == "scale_tiles_10") scale_tiles_10(*(u64 *)p[0], (const Batch *)p[1], x, y);
  else if (name == "scale_direct_any") scale_direct_any(*(u64 *)p[0], (const Batch *)p[1], x, y);
  else if (name == "error_tiles") error_tiles((const Pairs *)p[0], *(i32 *)p[1], x, y);
  else if (name == "window_sums") window_sums((const Pairs *)p[0], x, y);
  else if (name == "convert_luma") convert_luma((const Conversion *)p[0], (const Pictures *)p[1], x, y);
  else if (name == "convert_chroma") convert_chroma((const Conversion *)p[0], (const Pictures *)p[1], x, y);
  else if (name == "hash_rows") hash_rows((const Shots *)p[0], x, y);
  else return complain("cuLaunchKernel", INVALID_HANDLE);
  NEEDS("cuLaunchKernel", faults_seen() == 0, ILLEGAL_ADDRESS);
  return OK;
}

u32 cuStreamCreate(void **stream, u32) {
  BEGIN("cuStreamCreate");
  NEEDS_CONTEXT("cuStreamCreate");
  return *stream = fresh(), OK;
}
u32 cuStreamDestroy_v2(void *stream) {
  BEGIN("cuStreamDestroy");
  NEEDS_CONTEXT("cuStreamDestroy");
  return dispose("cuStreamDestroy", stream);
}
u32 cuStreamSynchronize(void *stream) {
  BEGIN("cuStreamSynchronize");
  NEEDS_CONTEXT("cuStreamSynchronize");
  NEEDS("cuStreamSynchronize", handles.count(stream), INVALID_HANDLE);
  return OK;
}
u32 cuStreamWaitEvent(void *stream, void *event, u32) {
  BEGIN("cuStreamWaitEvent");
  NEEDS("cuStreamWaitEvent", handles.count(stream) && handles.count(event), INVALID_HANDLE);
  return OK;
}
u32 cuEventCreate(void **event, u32) {
  BEGIN("cuEventCreate");
  NEEDS_CONTEXT("cuEventCreate");
  return *event = fresh(), OK;
}
u32 cuEventDestroy_v2(void *event) {
  BEGIN("cuEventDestroy");
  NEEDS_CONTEXT("cuEventDestroy");
  return dispose("cuEventDestroy", event);
}
u32 cuEventRecord(void *event, void *stream) {
  BEGIN("cuEventRecord");
  NEEDS("cuEventRecord", handles.count(event) && (!stream || handles.count(stream)), INVALID_HANDLE);
  return OK;
}
u32 cuEventSynchronize(void *event) {
  BEGIN("cuEventSynchronize");
  NEEDS("cuEventSynchronize", handles.count(event), INVALID_HANDLE);
  return OK;
}
u32 cuEventQuery(void *event) {
  BEGIN("cuEventQuery");
  NEEDS("cuEventQuery", handles.count(event), INVALID_HANDLE);
  return OK;
}
u32 cuEventElapsedTime(float *milliseconds, void *from, void *to) {
  BEGIN("cuEventElapsedTime");
  NEEDS("cuEventElapsedTime", handles.count(from) && handles.count(to), INVALID_HANDLE);
  return *milliseconds = 1, OK;
}
}
