/* Makes the n-th call of the system fail that one thread makes on files below a folder; loaded with LD_PRELOAD.

   It reaches what SQLite and LMDB do, and Python itself. A call counts if it is of the chosen kinds, comes from the thread that
   armed the shim, and names a path below the root, or a descriptor of one. */

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OPEN = 1, CREATE = 2, READ = 4, WRITE = 8, RENAME = 16, LINK = 32, UNLINK = 64, MKDIR = 128, CHMOD = 256, SYNC = 512,
       TRUNCATE = 1024, ALLOCATE = 2048, LOCK = 4096, MAP = 8192, STAT = 16384, LIST = 32768 };

static __thread int armed;
static char root[PATH_MAX];
static int kinds, error_number, lasts;
static long nth, counted, failed;
static char last[PATH_MAX + 32];
unsigned short torture_trace[1 << 16];
static long traced;

void torture_arm(const char *folder, int wanted, long number, int error, int for_good) {
    snprintf(root, sizeof root, "%s/", folder);
    kinds = wanted, nth = number, error_number = error, lasts = for_good, counted = failed = traced = 0, last[0] = 0, armed = 1;
}
long torture_disarm(void) { armed = 0; return failed; }
long torture_counted(void) { return counted; }
long torture_traced(void) { return traced; }
const char *torture_last(void) { return last; }

static int is_hit(int kind, const char *name, const char *path) {
    if (strncmp(path, root, strlen(root))) return 0;
    if (traced < 1 << 16) torture_trace[traced++] = kind;
    if (!(kinds & kind)) return 0;
    counted++;
    if (!nth || (lasts ? counted < nth : counted != nth)) return 0;
    if (!failed++) snprintf(last, sizeof last, "%s %s", name, path + strlen(root));
    if (error_number) errno = error_number;
    return 1;
}
static int hits(int kind, const char *name, const char *path) { return armed && path && is_hit(kind, name, path); }
static int hits_descriptor(int kind, const char *name, int descriptor) {
    char link[64], path[PATH_MAX];
    if (!armed) return 0;
    int kept = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t size = readlink(link, path, sizeof path - 1);
    errno = kept;
    if (size < 0) return 0;
    path[size] = 0;
    return is_hit(kind, name, path);
}

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)
#define BY_PATH(kind, type, name, parameters, arguments, path) \
    type name parameters { REAL(name); return hits(kind, #name, path) ? (type)-1 : real arguments; }
#define BY_DESCRIPTOR(kind, type, name, parameters, arguments) \
    type name parameters { REAL(name); return hits_descriptor(kind, #name, fd) ? (type)-1 : real arguments; }

#define OPENS(name) \
    int name(const char *path, int flags, ...) { \
        REAL(name); \
        va_list rest; va_start(rest, flags); int mode = flags & O_CREAT ? va_arg(rest, int) : 0; va_end(rest); \
        return hits(flags & O_CREAT ? CREATE : OPEN, #name, path) ? -1 : real(path, flags, mode); }
OPENS(open)
OPENS(open64)
#define OPENS_AT(name) \
    int name(int folder, const char *path, int flags, ...) { \
        REAL(name); \
        va_list rest; va_start(rest, flags); int mode = flags & O_CREAT ? va_arg(rest, int) : 0; va_end(rest); \
        return hits(flags & O_CREAT ? CREATE : OPEN, #name, path) ? -1 : real(folder, path, flags, mode); }
OPENS_AT(openat)
OPENS_AT(openat64)

BY_PATH(RENAME, int, rename, (const char *path, const char *target), (path, target), path)
BY_PATH(LINK, int, link, (const char *path, const char *target), (path, target), path)
BY_PATH(UNLINK, int, unlink, (const char *path), (path), path)
BY_PATH(UNLINK, int, unlinkat, (int folder, const char *path, int flags), (folder, path, flags), path)
BY_PATH(UNLINK, int, rmdir, (const char *path), (path), path)
BY_PATH(MKDIR, int, mkdir, (const char *path, mode_t mode), (path, mode), path)
BY_PATH(CHMOD, int, chmod, (const char *path, mode_t mode), (path, mode), path)
BY_PATH(CHMOD, int, utimensat, (int folder, const char *path, const struct timespec *times, int flags),
        (folder, path, times, flags), path)
BY_PATH(TRUNCATE, int, truncate, (const char *path, off_t size), (path, size), path)
BY_PATH(TRUNCATE, int, truncate64, (const char *path, off64_t size), (path, size), path)
BY_PATH(STAT, int, stat, (const char *path, struct stat *status), (path, status), path)
BY_PATH(STAT, int, stat64, (const char *path, struct stat64 *status), (path, status), path)
BY_PATH(STAT, int, lstat, (const char *path, struct stat *status), (path, status), path)
BY_PATH(STAT, int, lstat64, (const char *path, struct stat64 *status), (path, status), path)
BY_PATH(STAT, int, fstatat, (int folder, const char *path, struct stat *status, int flags), (folder, path, status, flags), path)
BY_PATH(STAT, int, fstatat64, (int folder, const char *path, struct stat64 *status, int flags),
        (folder, path, status, flags), path)
BY_DESCRIPTOR(STAT, int, fstat, (int fd, struct stat *status), (fd, status))
BY_DESCRIPTOR(STAT, int, fstat64, (int fd, struct stat64 *status), (fd, status))
BY_DESCRIPTOR(CHMOD, int, fchmod, (int fd, mode_t mode), (fd, mode))
BY_DESCRIPTOR(SYNC, int, fsync, (int fd), (fd))
BY_DESCRIPTOR(SYNC, int, fdatasync, (int fd), (fd))
BY_DESCRIPTOR(TRUNCATE, int, ftruncate, (int fd, off_t size), (fd, size))
BY_DESCRIPTOR(TRUNCATE, int, ftruncate64, (int fd, off64_t size), (fd, size))
BY_DESCRIPTOR(LOCK, int, flock, (int fd, int operation), (fd, operation))
BY_DESCRIPTOR(ALLOCATE, int, fallocate, (int fd, int mode, off_t start, off_t size), (fd, mode, start, size))
BY_DESCRIPTOR(ALLOCATE, int, fallocate64, (int fd, int mode, off64_t start, off64_t size), (fd, mode, start, size))
BY_DESCRIPTOR(READ, ssize_t, read, (int fd, void *to, size_t size), (fd, to, size))
BY_DESCRIPTOR(READ, ssize_t, readv, (int fd, const struct iovec *to, int count), (fd, to, count))
BY_DESCRIPTOR(READ, ssize_t, pread, (int fd, void *to, size_t size, off_t at), (fd, to, size, at))
BY_DESCRIPTOR(READ, ssize_t, pread64, (int fd, void *to, size_t size, off64_t at), (fd, to, size, at))

/* The error number 0 stands for a write of only half. */
#define WRITES(name, parameters, whole, half) \
    ssize_t name parameters { \
        REAL(name); \
        if (!hits_descriptor(WRITE, #name, fd)) return real whole; \
        return error_number ? -1 : real half; }
WRITES(write, (int fd, const void *from, size_t size), (fd, from, size), (fd, from, (size + 1) / 2))
WRITES(pwrite, (int fd, const void *from, size_t size, off_t at), (fd, from, size, at), (fd, from, (size + 1) / 2, at))
WRITES(pwrite64, (int fd, const void *from, size_t size, off64_t at), (fd, from, size, at), (fd, from, (size + 1) / 2, at))
#define WRITES_MANY(name, parameters, whole, half) \
    ssize_t name parameters { \
        REAL(name); \
        if (!hits_descriptor(WRITE, #name, fd)) return real whole; \
        struct iovec part = {from[0].iov_base, (from[0].iov_len + 1) / 2}; \
        return error_number ? -1 : real half; }
WRITES_MANY(writev, (int fd, const struct iovec *from, int count), (fd, from, count), (fd, &part, 1))
WRITES_MANY(pwritev, (int fd, const struct iovec *from, int count, off_t at), (fd, from, count, at), (fd, &part, 1, at))
WRITES_MANY(pwritev64, (int fd, const struct iovec *from, int count, off64_t at), (fd, from, count, at), (fd, &part, 1, at))

/* These two return their error. */
int posix_fallocate(int fd, off_t start, off_t size) {
    REAL(posix_fallocate);
    return hits_descriptor(ALLOCATE, "posix_fallocate", fd) ? error_number : real(fd, start, size);
}
int posix_fallocate64(int fd, off64_t start, off64_t size) {
    REAL(posix_fallocate64);
    return hits_descriptor(ALLOCATE, "posix_fallocate64", fd) ? error_number : real(fd, start, size);
}

#define CONTROLS(name) \
    int name(int fd, int command, ...) { \
        REAL(name); \
        va_list rest; va_start(rest, command); void *argument = va_arg(rest, void *); va_end(rest); \
        int is_lock = command == F_SETLK || command == F_SETLKW; \
        return is_lock && hits_descriptor(LOCK, #name, fd) ? -1 : real(fd, command, argument); }
CONTROLS(fcntl)
CONTROLS(fcntl64)

#define MAPS(name, offset_type) \
    void *name(void *where, size_t size, int protection, int flags, int fd, offset_type start) { \
        REAL(name); \
        return fd >= 0 && hits_descriptor(MAP, #name, fd) ? MAP_FAILED : real(where, size, protection, flags, fd, start); }
MAPS(mmap, off_t)
MAPS(mmap64, off64_t)

DIR *opendir(const char *path) {
    REAL(opendir);
    return hits(LIST, "opendir", path) ? NULL : real(path);
}
