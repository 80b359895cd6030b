/* What a disk could forget: loaded into the relay before its C library, it notes in a journal what
 * stood in the place of each write, until an fdatasync of the file has returned. After the process
 * was killed, whoever reads the journal can take back any part of what was not synced.
 *
 * SREMP_CUT_ROOT     directory whose files are watched
 * SREMP_CUT_JOURNAL  the journal; its form is `struct note`, then the path, then the bytes
 * SREMP_CUT_BROKEN   if set, a sync returns at once and covers nothing
 *
 * Not modelled: a file that was removed or renamed and comes back. Files ending in -shm are memory
 * that processes share; no data lies in them. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { SECTOR = 512, FDS = 65536, FILES = 64, MAGIC = 0x53434a31 };
enum { WRITE = 1, SYNC = 2, CREATE = 3, FORGET = 4 };

struct note {
    uint32_t magic, kind;
    uint64_t number; /* of the write; of a sync, that of the last write that it covers */
    uint64_t offset; /* of the bytes, at the start of a sector */
    uint64_t end;    /* of what is written */
    uint64_t size;   /* of the file before it */
    uint64_t bytes;  /* that stood there: fewer than end - offset where the file ended */
    uint32_t path, zero;
};

static struct file {
    char path[PATH_MAX];
    uint64_t written, synced; /* number of the last write, and of the last that was covered */
} files[FILES];
static unsigned known;
static unsigned char file_of[FDS]; /* place in `files`, from 1 */
static uint64_t numbers;
static int journal = -1, broken;
static char root[PATH_MAX];
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) static __typeof__(&name) real_##name
REAL(open); REAL(close); REAL(pwrite); REAL(write); REAL(writev); REAL(ftruncate);
REAL(fdatasync); REAL(fsync); REAL(unlink);

static void give_up(const char *why) {
    real_write(2, why, strlen(why));
    abort();
}

__attribute__((constructor)) static void start(void) {
    if (real_open) return;
#define FIND(name) real_##name = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
    FIND(close); FIND(pwrite); FIND(write); FIND(writev); FIND(ftruncate);
    FIND(fdatasync); FIND(fsync); FIND(unlink); FIND(open);
    const char *dir = getenv("SREMP_CUT_ROOT"), *log = getenv("SREMP_CUT_JOURNAL");
    broken = getenv("SREMP_CUT_BROKEN") != NULL;
    if (!dir || !log || strlen(dir) >= sizeof root) return;
    strcpy(root, dir);
    journal = real_open(log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    if (journal < 0) give_up("power cut: no journal\n");
}

static void append(struct note note, const char *path, const void *bytes) {
    note.magic = MAGIC;
    note.path = (uint32_t)strlen(path);
    struct iovec parts[] = {
        { &note, sizeof note }, { (void *)path, note.path }, { (void *)bytes, note.bytes },
    };
    ssize_t whole = (ssize_t)(sizeof note + note.path + note.bytes);
    if (real_writev(journal, parts, 3) != whole) give_up("power cut: the journal is full\n");
}

static int watched(const char *path) {
    size_t length = strlen(path), stem = strlen(root);
    if (journal < 0 || strncmp(path, root, stem) || (path[stem] != '/' && path[stem])) return 0;
    return length < 4 || strcmp(path + length - 4, "-shm");
}

static struct file *file_named(const char *path) {
    for (unsigned i = 0; i < known; i++)
        if (!strcmp(files[i].path, path)) return &files[i];
    if (known == FILES || strlen(path) >= PATH_MAX) give_up("power cut: too many files\n");
    return strcpy(files[known].path, path), &files[known++];
}

static struct file *file_at(int fd) {
    return fd >= 0 && fd < FDS && file_of[fd] ? &files[file_of[fd] - 1] : NULL;
}

/* Notes what stands from `offset` on before that changes up to `end`. */
static void keep(int fd, struct file *file, uint64_t offset, uint64_t end) {
    struct stat stat;
    if (fstat(fd, &stat)) give_up("power cut: a file has no size\n");
    uint64_t size = (uint64_t)stat.st_size;
    if (offset > size) offset = size; /* the gap is written too */
    offset -= offset % SECTOR;
    uint64_t until = (end + SECTOR - 1) / SECTOR * SECTOR;
    if (until > size) until = size;
    struct note note = { .kind = WRITE, .number = ++numbers, .offset = offset, .end = end,
                         .size = size, .bytes = until > offset ? until - offset : 0 };
    char *bytes = malloc(note.bytes + 1);
    if (!bytes || pread(fd, bytes, note.bytes, (off_t)offset) != (ssize_t)note.bytes)
        give_up("power cut: what is overwritten cannot be read\n");
    append(note, file->path, bytes);
    free(bytes);
    file->written = note.number;
}

/* A sync has returned that was asked for when `number` was the last write. */
static void covered(struct file *file, uint64_t number) {
    append((struct note){ .kind = SYNC, .number = number }, file->path, "");
    if (number > file->synced) file->synced = number;
    for (unsigned i = 0; i < known; i++)
        if (files[i].written > files[i].synced) return;
    if (real_ftruncate(journal, 0)) give_up("power cut: the journal cannot be emptied\n");
}

static char *directory_of(const char *path, char *into) {
    strcpy(into, path);
    char *slash = strrchr(into, '/');
    if (slash) *slash = 0;
    return into;
}

static int open_watched(const char *path, int flags, mode_t mode) {
    pthread_mutex_lock(&turn);
    struct stat stat_;
    int there = !stat(path, &stat_);
    struct file *file = file_named(path);
    if (!there && flags & O_CREAT) {
        char above[PATH_MAX];
        struct file *directory = file_named(directory_of(path, above));
        directory->written = ++numbers;
        append((struct note){ .kind = CREATE, .number = numbers }, path, "");
    }
    /* what is overwritten has to be read */
    int wanted = (flags & O_ACCMODE) == O_WRONLY ? (flags & ~O_ACCMODE) | O_RDWR : flags;
    int fd = real_open(path, wanted & ~O_TRUNC, mode);
    if (fd >= FDS) give_up("power cut: too many descriptors\n");
    if (fd >= 0) file_of[fd] = (unsigned char)(file - files + 1);
    pthread_mutex_unlock(&turn);
    if (fd >= 0 && flags & O_TRUNC && ftruncate(fd, 0)) return close(fd), -1;
    return fd;
}

#define MODE(flags, mode) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { \
        va_list rest; \
        va_start(rest, flags); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }

int open(const char *path, int flags, ...) {
    MODE(flags, mode)
    start();
    return watched(path) ? open_watched(path, flags, mode) : real_open(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    MODE(flags, mode)
    return open(path, flags | O_LARGEFILE, mode);
}

int close(int fd) {
    start();
    if (fd >= 0 && fd < FDS) file_of[fd] = 0;
    return real_close(fd);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
    start();
    struct file *file = file_at(fd);
    if (!file) return real_pwrite(fd, bytes, count, offset);
    pthread_mutex_lock(&turn);
    keep(fd, file, (uint64_t)offset, (uint64_t)offset + count);
    ssize_t done = real_pwrite(fd, bytes, count, offset);
    pthread_mutex_unlock(&turn);
    return done;
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
    return pwrite(fd, bytes, count, offset);
}

ssize_t write(int fd, const void *bytes, size_t count) {
    start();
    struct file *file = file_at(fd);
    if (!file) return real_write(fd, bytes, count);
    pthread_mutex_lock(&turn);
    int flags = fcntl(fd, F_GETFL);
    off_t at = lseek(fd, 0, flags & O_APPEND ? SEEK_END : SEEK_CUR);
    keep(fd, file, (uint64_t)at, (uint64_t)at + count);
    ssize_t done = real_write(fd, bytes, count);
    pthread_mutex_unlock(&turn);
    return done;
}

int ftruncate(int fd, off_t length) {
    start();
    struct file *file = file_at(fd);
    if (!file) return real_ftruncate(fd, length);
    pthread_mutex_lock(&turn);
    struct stat stat;
    off_t size = fstat(fd, &stat) ? length : stat.st_size;
    keep(fd, file, (uint64_t)(length < size ? length : size),
         (uint64_t)(length < size ? size : length));
    int done = real_ftruncate(fd, length);
    pthread_mutex_unlock(&turn);
    return done;
}

int ftruncate64(int fd, off64_t length) {
    return ftruncate(fd, length);
}

static int synced(int fd, int (*sync)(int)) {
    struct file *file = file_at(fd);
    if (!file) return sync(fd);
    if (broken) return 0;
    pthread_mutex_lock(&turn);
    uint64_t number = numbers;
    pthread_mutex_unlock(&turn);
    if (sync(fd)) return -1;
    pthread_mutex_lock(&turn);
    covered(file, number);
    pthread_mutex_unlock(&turn);
    return 0;
}

int fdatasync(int fd) {
    start();
    return synced(fd, real_fdatasync);
}

int fsync(int fd) {
    start();
    return synced(fd, real_fsync);
}

int unlink(const char *path) {
    start();
    if (!watched(path)) return real_unlink(path);
    pthread_mutex_lock(&turn);
    struct file *file = file_named(path);
    int done = real_unlink(path);
    if (!done) {
        append((struct note){ .kind = FORGET, .number = numbers }, path, "");
        file->synced = numbers;
    }
    pthread_mutex_unlock(&turn);
    return done;
}
