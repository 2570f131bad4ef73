// Loaded before the system's library by tests: notes which files a process writes and syncs, in order, and makes syncs fail as a disk
// does: once for each descriptor.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static int log_fd = -1;
static char failed[4096];

static const char *path_of(int fd) {
    static __thread char path[4096];
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length < 0 ? 0 : length] = 0;
    return path;
}

static void note(char what, int fd) {
    int before = errno;
    const char *name = getenv("SHOAL_SYNCS_LOG");
    if (name && log_fd < 0) log_fd = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log_fd >= 0 && fd != log_fd) {
        char line[4200];
        int length = snprintf(line, sizeof line, "%c %s\n", what, path_of(fd));
        ssize_t (*next)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
        if (next(log_fd, line, length) != length) abort();
    }
    errno = before;
}

// Below a directory, while a file of that name exists.
static int fails(int fd) {
    const char *below = getenv("SHOAL_SYNCS_FAIL"), *when = getenv("SHOAL_SYNCS_WHEN");
    if (!below || !when || fd < 0 || fd >= (int)sizeof failed || failed[fd]) return 0;
    if (access(when, F_OK) != 0 || !strstr(path_of(fd), below)) return 0;
    failed[fd] = 1;
    note('f', fd);
    errno = EIO;
    return 1;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *bytes, size_t count) {
    ssize_t done = NEXT(write)(fd, bytes, count);
    if (done > 0) note('w', fd);
    return done;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    ssize_t done = NEXT(writev)(fd, parts, count);
    if (done > 0) note('w', fd);
    return done;
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
    ssize_t done = NEXT(pwrite)(fd, bytes, count, at);
    if (done > 0) note('w', fd);
    return done;
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
    ssize_t done = NEXT(pwrite64)(fd, bytes, count, at);
    if (done > 0) note('w', fd);
    return done;
}

int fsync(int fd) {
    if (fails(fd)) return -1;
    int done = NEXT(fsync)(fd);
    if (done == 0) note('s', fd);
    return done;
}

int fdatasync(int fd) {
    if (fails(fd)) return -1;
    int done = NEXT(fdatasync)(fd);
    if (done == 0) note('s', fd);
    return done;
}
