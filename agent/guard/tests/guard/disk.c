/* Stands between a program and its disk (LD_PRELOAD). The file $HEADFRAME_TEST_DISK is shared memory of two numbers: what to do
 * with fsync and fdatasync (0 nothing, 1 fail with EIO, 2 take 200 ms more), and how many of them there were. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile uint64_t *disk;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("HEADFRAME_TEST_DISK");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *shared = fd < 0 ? MAP_FAILED : mmap(NULL, 16, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (shared == MAP_FAILED)
        abort();
    disk = shared;
    close(fd);
}

static int synchronise(int fd, long call) {
    const struct timespec more = {0, 200 * 1000 * 1000};
    __atomic_add_fetch(&disk[1], 1, __ATOMIC_SEQ_CST);
    if (disk[0] == 1) {
        errno = EIO;
        return -1;
    }
    if (disk[0] == 2)
        nanosleep(&more, NULL);
    return (int)syscall(call, fd);
}

int fsync(int fd) { return synchronise(fd, SYS_fsync); }
int fdatasync(int fd) { return synchronise(fd, SYS_fdatasync); }
