/* Stands between a program and its disk (LD_PRELOAD). The file $HEADFRAME_TEST_DISK is shared memory of two numbers: what to do
 * with fsync and fdatasync (0 nothing, 1 fail with EIO), and how many of them there were. They wait while it is locked. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static volatile uint64_t *disk;
static int file;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("HEADFRAME_TEST_DISK");
    file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *shared = file < 0 ? MAP_FAILED : mmap(NULL, 16, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (shared == MAP_FAILED)
        abort();
    disk = shared;
}

static int synchronise(int fd, long call) {
    __atomic_add_fetch(&disk[1], 1, __ATOMIC_SEQ_CST);
    if (disk[0] == 1) {
        errno = EIO;
        return -1;
    }
    if (flock(file, LOCK_SH) || flock(file, LOCK_UN))
        abort();
    return (int)syscall(call, fd);
}

int fsync(int fd) { return synchronise(fd, SYS_fsync); }
int fdatasync(int fd) { return synchronise(fd, SYS_fdatasync); }
