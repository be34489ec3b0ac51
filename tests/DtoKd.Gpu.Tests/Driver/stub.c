// A driver library without a card: what StubDriver.cs puts in the place of libcuda.so.1. Memory is the host's, copies are made, a
// kernel does nothing; every call that matters is a line of the file STUB_LOG, and what a real driver or card would refuse is
// refused. STUB_MEMORY is the size of its memory in bytes: pages that nobody touches cost none of the host's.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

typedef int Result;
enum { OK = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_FOUND = 500, LAUNCH_FAILED = 700, CAPTURE_UNSUPPORTED = 900 };
enum { MAX_BLOCKS = 1 << 16, MAX_FUNCTIONS = 1 << 12, STATIC_SHARED = 48 << 10, SHARED = 227 << 10 };

typedef struct { char name[512]; int vectors, threads; size_t fixed_shared, dynamic_shared; } Function;
typedef struct { uintptr_t start; size_t bytes; } Block;
typedef struct { uintptr_t buffer; size_t bytes; } Arguments;

static Function functions[MAX_FUNCTIONS];
static Block blocks[MAX_BLOCKS];
static int function_count, block_count;
static size_t in_use;
static uintptr_t handles = 0x1000;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define LOG(...) do { pthread_mutex_lock(&lock); FILE *file = log_file(); if (file) { fprintf(file, __VA_ARGS__); fputc('\n', file); \
    fflush(file); } pthread_mutex_unlock(&lock); } while (0)

static FILE *log_file(void) {
    static FILE *file;
    const char *path = getenv("STUB_LOG");
    if (!file && path) file = fopen(path, "a");
    return file;
}

static size_t memory(void) {
    const char *text = getenv("STUB_MEMORY");
    return text ? strtoull(text, 0, 10) : (size_t)8 << 30;
}

static const Block *block_of(uintptr_t address) {
    for (int i = 0; i < block_count; i++)
        if (blocks[i].bytes && address >= blocks[i].start && address < blocks[i].start + blocks[i].bytes) return &blocks[i];
    return 0;
}

static Result handle(void **out) { *out = (void *)__sync_fetch_and_add(&handles, 16); return OK; }

Result cuInit(unsigned flags) { return OK; }
Result cuDriverGetVersion(int *version) { *version = 13000; return OK; }
Result cuDeviceGetCount(int *count) { *count = 1; return OK; }
Result cuDeviceGet(int *device, int index) { *device = index; return index == 0 ? OK : INVALID_VALUE; }
Result cuDeviceGetName(char *name, int length, int device) { snprintf(name, length, "Stub of a driver"); return OK; }
Result cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = memory(); return OK; }
Result cuDeviceCanAccessPeer(int *can, int a, int b) { *can = 0; return OK; }
Result cuDeviceGetP2PAttribute(int *value, int attribute, int a, int b) { *value = 0; return OK; }

Result cuDeviceGetAttribute(int *value, int attribute, int device) {
    switch (attribute) {
        case 1: case 2: case 3: *value = 1024; break;   // threads of a group, its x and y
        case 4: *value = 64; break;                     // its z
        case 5: *value = 2147483647; break;             // grid
        case 6: case 7: *value = 65535; break;
        case 8: *value = STATIC_SHARED; break;
        case 9: case 12: case 82: *value = 65536; break; // constants, registers
        case 10: *value = 32; break;
        case 13: case 36: *value = 1700000; break;
        case 16: *value = 132; break;
        case 37: *value = 5120; break;
        case 38: *value = 50 << 20; break;
        case 39: *value = 2048; break;
        case 75: *value = 9; break;
        case 76: *value = 0; break;
        case 81: *value = 228 << 10; break;
        case 97: *value = SHARED; break;
        default: *value = attribute == 41;              // unified addresses
    }
    return OK;
}

Result cuCtxCreate_v2(void **context, unsigned flags, int device) { return handle(context); }
Result cuCtxDestroy_v2(void *context) { return OK; }
Result cuCtxSetCurrent(void *context) { return OK; }
Result cuCtxSynchronize(void) { LOG("sync context"); return OK; }
Result cuCtxGetCacheConfig(int *value) { *value = 0; return OK; }
Result cuCtxSetCacheConfig(int value) { return OK; }
Result cuCtxGetSharedMemConfig(int *value) { *value = 0; return OK; }
Result cuCtxSetSharedMemConfig(int value) { return OK; }
Result cuCtxEnablePeerAccess(void *context, unsigned flags) { return OK; }
Result cuCtxDisablePeerAccess(void *context) { return OK; }
Result cuPointerGetAttribute(void *value, int attribute, uintptr_t pointer) { return INVALID_VALUE; }
Result cuGetErrorString(Result error, const char **text) {
    *text = error == OUT_OF_MEMORY ? "out of memory" : error == INVALID_VALUE ? "invalid argument" : "refused by the stub";
    return OK;
}

Result cuMemGetInfo_v2(size_t *free_bytes, size_t *total) { *total = memory(); *free_bytes = *total - in_use; return OK; }

Result cuMemAlloc_v2(uintptr_t *address, size_t bytes) {
    void *block = MAP_FAILED;
    pthread_mutex_lock(&lock);
    if (bytes && in_use + bytes <= memory() && block_count < MAX_BLOCKS)
        block = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    int refused = block == MAP_FAILED;
    if (!refused) {
        in_use += bytes;
        blocks[block_count++] = (Block){ (uintptr_t)block, bytes };
    }
    pthread_mutex_unlock(&lock);
    LOG(refused ? "refused %zu" : "alloc %zu", bytes);
    *address = (uintptr_t)block;
    return refused ? OUT_OF_MEMORY : OK;
}

Result cuMemFree_v2(uintptr_t address) {
    pthread_mutex_lock(&lock);
    Block *block = (Block *)block_of(address);
    size_t bytes = block && block->start == address ? block->bytes : 0;
    if (bytes) { in_use -= bytes; block->bytes = 0; munmap((void *)address, bytes); }
    pthread_mutex_unlock(&lock);
    LOG("free %zu", bytes);
    return bytes ? OK : INVALID_VALUE;
}

Result cuMemAllocHost_v2(void **address, size_t bytes) { *address = calloc(1, bytes); LOG("host %zu", bytes); return OK; }
Result cuMemFreeHost(void *address) { free(address); return OK; }
Result cuMemHostRegister_v2(void *address, size_t bytes, unsigned flags) { LOG("host %zu", bytes); return OK; }
Result cuMemHostUnregister(void *address) { return OK; }
Result cuMemHostGetDevicePointer_v2(uintptr_t *address, void *host, unsigned flags) { *address = (uintptr_t)host; return OK; }

Result cuMemcpyAsync(uintptr_t to, uintptr_t from, size_t bytes, void *stream) {
    const Block *target = block_of(to), *source = block_of(from);
    if ((target && to + bytes > target->start + target->bytes) || (source && from + bytes > source->start + source->bytes)) {
        LOG("error: a copy of %zu bytes leaves its block", bytes);
        return INVALID_VALUE;
    }
    memmove((void *)to, (void *)from, bytes);
    LOG("%s %zu %p", target ? source ? "copy" : "upload" : "read", bytes, stream);
    return OK;
}

Result cuMemsetD8Async(uintptr_t to, unsigned char value, size_t bytes, void *stream) {
    const Block *target = block_of(to);
    if (!target || to + bytes > target->start + target->bytes) { LOG("error: memset of %zu bytes", bytes); return INVALID_VALUE; }
    // Whole pages of zeros are given back to the host.
    uintptr_t first = (to + 4095) / 4096 * 4096, end = (to + bytes) / 4096 * 4096;
    if (value || end <= first || madvise((void *)first, end - first, MADV_DONTNEED)) first = end = to + bytes;
    memset((void *)to, value, first - to);
    memset((void *)end, value, to + bytes - end);
    LOG("memset %zu %p", bytes, stream);
    return OK;
}

Result cuStreamCreate(void **stream, unsigned flags) { return handle(stream); }
Result cuStreamCreateWithPriority(void **stream, unsigned flags, int priority) { return handle(stream); }
Result cuStreamDestroy_v2(void *stream) { return OK; }
Result cuStreamSynchronize(void *stream) { LOG("sync %p", stream); return OK; }
Result cuStreamWaitEvent(void *stream, void *event, unsigned flags) { LOG("wait %p %p", stream, event); return OK; }
Result cuEventCreate(void **event, unsigned flags) { return handle(event); }
Result cuEventDestroy_v2(void *event) { return OK; }
Result cuEventRecord(void *event, void *stream) { LOG("record %p %p", event, stream); return OK; }
Result cuEventQuery(void *event) { return OK; }
Result cuEventSynchronize(void *event) { LOG("sync %p", event); return OK; }
Result cuEventElapsedTime(float *milliseconds, void *start, void *end) { *milliseconds = 1; return OK; }

// A module is its PTX; the functions are found in its text.
Result cuModuleLoadDataEx(void **module, const char *ptx, unsigned count, void *options, void *values) {
    size_t fixed = 0;
    for (const char *at = ptx; (at = strstr(at, ".shared ")) && strncmp(at - 1, "d.shared", 8); at += 8) {
        const char *end = strpbrk(at, ";,"), *size = memchr(at, '[', end ? end - at : 0);
        if (size && strstr(at, ".align") == at + 8) fixed += strtoull(size + 1, 0, 10);
    }
    if (fixed > STATIC_SHARED) { LOG("error: %zu bytes of static shared memory", fixed); return INVALID_VALUE; }
    const char *threads = strstr(ptx, ".maxntid ");
    pthread_mutex_lock(&lock);
    *module = &functions[function_count];
    for (const char *at = ptx; (at = strstr(at, ".entry ")) && function_count < MAX_FUNCTIONS; at += 7) {
        Function *function = &functions[function_count++];
        sscanf(at + 7, "%511[A-Za-z0-9_$]", function->name);
        function->fixed_shared = fixed;
        function->dynamic_shared = STATIC_SHARED - fixed;
        // Not products: with cp.async they choose widths by what they are given.
        function->vectors = (strstr(ptx, "global.v4") || strstr(ptx, "global.nc.v4")) && !strstr(ptx, "cp.async.");
        function->threads = threads ? atoi(threads + 9) : 1024;
    }
    pthread_mutex_unlock(&lock);
    LOG("module %zu", strlen(ptx));
    return OK;
}

Result cuModuleLoadData(void **module, const char *ptx) { return cuModuleLoadDataEx(module, ptx, 0, 0, 0); }
Result cuModuleUnload(void *module) { return OK; }

Result cuModuleGetFunction(void **function, void *module, const char *name) {
    for (Function *at = module; at < functions + function_count; at++)
        if (!strcmp(at->name, name)) { *function = at; return OK; }
    return NOT_FOUND;
}

Result cuFuncSetAttribute(void *function, int attribute, int value) {
    Function *own = function;
    if (attribute != 8 || value < 0 || own->fixed_shared + value > SHARED) return INVALID_VALUE;
    own->dynamic_shared = value;
    LOG("shared %d %s", value, own->name);
    return OK;
}

Result cuOccupancyMaxActiveBlocksPerMultiprocessor(int *groups, void *function, int threads, size_t shared) { *groups = 1; return OK; }
Result cuOccupancyMaxPotentialBlockSize(int *grid, int *threads, void *f, void *g, size_t s, int l) { *grid = 1; *threads = 256; return OK; }

Result cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
    unsigned shared, void *stream, void **parameters, void **extra) {
    Function *own = function;
    const char *problem = 0;
    if (!gx || !gy || !gz || !bx || !by || !bz) problem = "an empty grid";
    else if (gx > 2147483647u || gy > 65535 || gz > 65535) problem = "grid too large";
    else if (bx > 1024 || by > 1024 || bz > 64 || bx * by * bz > 1024 || bx * by * bz > (unsigned)own->threads) problem = "group too large";
    else if (shared > own->dynamic_shared) problem = "more dynamic shared memory than was asked for";
    size_t bytes = 0;
    int unaligned = 0;
    // 1: the buffer, 2: its size; what lies in one of our blocks is a view's address.
    uintptr_t *words = 0;
    for (int i = 0; extra && extra[i]; i += 2) {
        if (extra[i] == (void *)1) words = extra[i + 1];
        if (extra[i] == (void *)2) bytes = *(size_t *)extra[i + 1];
    }
    if (bytes > 4096) problem = "more than 4,096 bytes of arguments";
    for (size_t i = 0; words && i < bytes / 8; i++)
        unaligned += block_of(words[i]) && words[i] % 16 != 0;
    LOG("launch %s grid %u %u %u group %u %u %u shared %u stream %p arguments %zu%s%s%s", own->name, gx, gy, gz, bx, by, bz, shared,
        stream, bytes, unaligned && own->vectors ? " unaligned" : "", problem ? " error: " : "", problem ? problem : "");
    return problem ? LAUNCH_FAILED : OK;
}
