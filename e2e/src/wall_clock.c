/* Moves the wall clock of a process that it is preloaded into, as setting the machine's clock would, for programs in Rust:
   their clock is clock_gettime. The clock that waits go by is left alone, as setting a machine's clock leaves it alone. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *offset_seconds;

/* The test writes the offset into a file that is mapped here. */
__attribute__((constructor)) static void open_offset(void) {
    const char *path = getenv("TECHLEET_TEST_CLOCK_OFFSET");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) {
        return;
    }
    void *mapped = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    offset_seconds = mapped == MAP_FAILED ? NULL : mapped;
    close(file);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = (int)syscall(SYS_clock_gettime, clock, now);
    if (!failed && clock == CLOCK_REALTIME && offset_seconds) {
        now->tv_sec += *offset_seconds;
    }
    return failed;
}
