/* Makes one durable call of a process tree fail, or kills the tree there.
 *
 * Preloaded into rhdesk and every git it starts. A durable call is one that changes what is on the
 * disk, on a path below FI_PATH. They are counted across all processes in the file FI_CONTROL,
 * which the test maps too: three 64-bit numbers {calls so far, which call is meant, what happens
 * there}. With FI_LOG, each call is written down: "<number> <call> <path>".
 *
 *   gcc -shared -fPIC -O1 -o fi.so fi.c -ldl
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { NOTHING, KILL, KILL_GROUP, GIVE_EIO, DISK_FULL, SHORT_WRITE, TORN_WRITE };
enum { GO_ON, FAIL, HALF };

struct control { long calls, at, what; };
static volatile struct control *control;
static const char *below;
static size_t below_length;
static int journal = -1;

#define REAL(type, name, parameters)                                     \
    static type(*real_##name) parameters;                                \
    if (!real_##name) real_##name = (type(*) parameters)dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void start(void) {
    const char *file = getenv("FI_CONTROL");
    below = getenv("FI_PATH");
    if (!file || !below) return;
    below_length = strlen(below);
    REAL(int, open, (const char *, int, ...));
    int fd = real_open(file, O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    void *mapped = mmap(0, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped != MAP_FAILED) control = mapped;
    const char *log = getenv("FI_LOG");
    if (log) journal = real_open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* What is to happen at this call; `is_write` is a call that may be done by half. */
static int reached(const char *call, const char *path, int is_write) {
    long number = __sync_add_and_fetch(&control->calls, 1);
    if (journal >= 0) {
        char line[4400];
        int length = snprintf(line, sizeof line, "%ld %s %s\n", number, call, path);
        REAL(ssize_t, write, (int, const void *, size_t));
        if (real_write(journal, line, length) < 0) abort();
    }
    long what = control->what, at = control->at;
    if (what == DISK_FULL && at && number >= at && strcmp(call, "unlink")) {
        errno = ENOSPC;
        return FAIL;
    }
    if (number != at) return GO_ON;
    switch (what) {
        case KILL: kill(getpid(), SIGKILL); pause(); break;
        case KILL_GROUP: kill(0, SIGKILL); pause(); break;
        case GIVE_EIO: errno = EIO; return FAIL;
        case SHORT_WRITE: case TORN_WRITE: if (is_write) return HALF;
    }
    return GO_ON;
}

static int at_path(const char *call, int folder, const char *path) {
    char full[8192];
    if (!control || !path) return GO_ON;
    if (path[0] != '/') {
        char base[4096], link[64];
        if (folder == AT_FDCWD) {
            if (!getcwd(base, sizeof base)) return GO_ON;
        } else {
            snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
            ssize_t n = readlink(link, base, sizeof base - 1);
            if (n <= 0) return GO_ON;
            base[n] = 0;
        }
        snprintf(full, sizeof full, "%s/%s", base, path);
        path = full;
    }
    return strncmp(path, below, below_length) ? GO_ON : reached(call, path, 0);
}

static int at_fd(const char *call, int fd, int is_write) {
    char link[64], path[4096];
    if (!control || fd < 3) return GO_ON;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n <= 0) return GO_ON;
    path[n] = 0;
    return strncmp(path, below, below_length) ? GO_ON : reached(call, path, is_write);
}

static void die_if_torn(void) {
    if (control->what == TORN_WRITE) { kill(0, SIGKILL); pause(); }
}

ssize_t write(int fd, const void *data, size_t size) {
    REAL(ssize_t, write, (int, const void *, size_t));
    int answer = at_fd("write", fd, size > 1);
    if (answer == FAIL) return -1;
    if (answer == GO_ON) return real_write(fd, data, size);
    ssize_t n = real_write(fd, data, size / 2);
    die_if_torn();
    return n;
}

#define PWRITE(name, offset_type)                                                      \
    ssize_t name(int fd, const void *data, size_t size, offset_type offset) {          \
        REAL(ssize_t, name, (int, const void *, size_t, offset_type));                 \
        int answer = at_fd("write", fd, size > 1);                                     \
        if (answer == FAIL) return -1;                                                 \
        if (answer == GO_ON) return real_##name(fd, data, size, offset);               \
        ssize_t n = real_##name(fd, data, size / 2, offset);                           \
        die_if_torn();                                                                 \
        return n;                                                                      \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t writev(int fd, const struct iovec *pieces, int count) {
    REAL(ssize_t, writev, (int, const struct iovec *, int));
    return at_fd("write", fd, 0) == FAIL ? -1 : real_writev(fd, pieces, count);
}

#define BY_FD(name, parameters, arguments)                              \
    int name parameters {                                               \
        REAL(int, name, parameters);                                    \
        return at_fd(#name, fd, 0) == FAIL ? -1 : real_##name arguments; \
    }
BY_FD(fsync, (int fd), (fd))
BY_FD(fdatasync, (int fd), (fd))
BY_FD(ftruncate, (int fd, off_t size), (fd, size))
BY_FD(ftruncate64, (int fd, off64_t size), (fd, size))

#define BY_PATH(name, call, folder, path, parameters, arguments)                          \
    int name parameters {                                                                 \
        REAL(int, name, parameters);                                                      \
        return at_path(call, folder, path) == FAIL ? -1 : real_##name arguments;          \
    }
BY_PATH(rename, "rename", AT_FDCWD, to, (const char *from, const char *to), (from, to))
BY_PATH(renameat, "rename", b, to, (int a, const char *from, int b, const char *to), (a, from, b, to))
BY_PATH(link, "link", AT_FDCWD, to, (const char *from, const char *to), (from, to))
BY_PATH(symlink, "symlink", AT_FDCWD, path, (const char *to, const char *path), (to, path))
BY_PATH(unlink, "unlink", AT_FDCWD, path, (const char *path), (path))
BY_PATH(unlinkat, "unlink", a, path, (int a, const char *path, int flags), (a, path, flags))
BY_PATH(rmdir, "unlink", AT_FDCWD, path, (const char *path), (path))
BY_PATH(mkdir, "mkdir", AT_FDCWD, path, (const char *path, mode_t mode), (path, mode))
BY_PATH(mkdirat, "mkdir", a, path, (int a, const char *path, mode_t mode), (a, path, mode))

/* Only an open that may make a file changes the disk. */
#define OPEN(name)                                                                        \
    int name(const char *path, int flags, ...) {                                          \
        REAL(int, name, (const char *, int, ...));                                        \
        va_list rest; va_start(rest, flags); int mode = va_arg(rest, int); va_end(rest);  \
        if ((flags & O_CREAT) && at_path("create", AT_FDCWD, path) == FAIL) return -1;    \
        return real_##name(path, flags, mode);                                            \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                      \
    int name(int folder, const char *path, int flags, ...) {                              \
        REAL(int, name, (int, const char *, int, ...));                                   \
        va_list rest; va_start(rest, flags); int mode = va_arg(rest, int); va_end(rest);  \
        if ((flags & O_CREAT) && at_path("create", folder, path) == FAIL) return -1;      \
        return real_##name(folder, path, flags, mode);                                    \
    }
OPENAT(openat)
OPENAT(openat64)
