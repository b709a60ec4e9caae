/* Preloaded into a server: while the file that $FAILING_DISK names is there, a write to a
   write-ahead log, or putting it on the disk, fails as the file's first word says:
   "full", "broken" or "unsynced". */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int ends_in_wal(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path);
    return length > 4 && memcmp(path + length - 4, "-wal", 4) == 0;
}

/* The first letter of the fault that is on now, 0 where there is none. */
static char fault(int fd) {
    char letter = 0;
    const char *name = getenv("FAILING_DISK");
    int kept = errno;
    int file = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    if (file >= 0) {
        if (read(file, &letter, 1) != 1 || !ends_in_wal(fd)) letter = 0;
        close(file);
    }
    errno = kept;
    return letter;
}

static int fails(int error) {
    errno = error;
    return -1;
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    if (!real) real = dlsym(RTLD_NEXT, "pwrite64");
    char letter = fault(fd);
    if (letter == 'f') return fails(ENOSPC);
    if (letter == 'b') return fails(EIO);
    return real(fd, bytes, count, offset);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
    return pwrite64(fd, bytes, count, offset);
}

int fdatasync(int fd) {
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "fdatasync");
    return fault(fd) == 'u' ? fails(EIO) : real(fd);
}

int fsync(int fd) {
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "fsync");
    return fault(fd) == 'u' ? fails(EIO) : real(fd);
}
