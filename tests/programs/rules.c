// What calls on files answer and leave behind, by kind of file, by layer and by user.
//
//   rules make BASE SHARE       directories of BASE, one for each question
//   rules ask APP SHARE [WORD]  asks all questions, or those that have the word in their names
//
// Of the questions, each SHAREth is asked: 1 for all.
//
// A question is a call, what stands under the name `t`, and where that comes from: from the base,
// from a copy of it, or from nothing but this run. Each is asked in a directory of its own, and answered in one line:
// what the call said, what `t`, `n` and the directory are then, and which of their times have changed.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { OWNER = 1001, OTHER = 1002, TEAM = 2001 };
static const time_t LONG_AGO = 1000000000;

// What stands under the name.
enum kind { NOTHING, PLAIN, EMPTY, FULL, PIPE, SOCKET, DEVICE, TO_PLAIN, TO_DIR, DANGLING, LOOP, PROGRAM, TWICE, KINDS };
static const char *const kinds[] = {"nothing", "file", "dir", "full", "fifo", "socket", "device", "link", "dirlink", "dangling", "loop", "program", "twice"};
// Where it comes from.
enum side { BASE, COPY, FRESH, OPAQUE, GONE, SIDES };
static const char *const sides[] = {"base", "copy", "fresh", "opaque", "gone"};

static int D;
static char flag_text[20];

static void put(const char *name, const char *text, mode_t mode)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, mode);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        printf("(put %s %d)", name, errno);
    close(fd);
}

static void old(const char *path)
{
    struct timespec times[2] = {{LONG_AGO, 0}, {LONG_AGO, 0}};
    if (utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW))
        printf("(old %s %d)", path, errno);
}

static void make_kind(enum kind kind)
{
    switch (kind) {
    case PLAIN: put("t", "text\n", 0644); break;
    case PROGRAM: put("t", "#!/bin/true\n", 0644); chmod("t", 06755); break;
    case TWICE: put("t", "text\n", 0644); link("t", "z"); break;
    case EMPTY: mkdir("t", 0755); break;
    case FULL: mkdir("t", 0755); put("t/x", "inner\n", 0644); old("t/x"); break;
    case PIPE: mknod("t", S_IFIFO | 0644, 0); break;
    case SOCKET: mknod("t", S_IFSOCK | 0755, 0); break;
    case DEVICE: mknod("t", S_IFCHR | 0644, 0x103); break;
    case TO_PLAIN: put("f", "text\n", 0644); old("f"); symlink("f", "t"); break;
    case TO_DIR: mkdir("d", 0755); put("d/x", "inner\n", 0644); old("d/x"); old("d"); symlink("d", "t"); break;
    case DANGLING: symlink("none", "t"); break;
    case LOOP: symlink("t", "t"); break;
    default: return;
    }
    old("t");
}

// A copy of what the base has, and nothing else changed.
static void copy_up(enum kind kind)
{
    struct stat st;
    if (lstat("t", &st))
        return;
    lchown("t", st.st_uid, st.st_gid);
    if (!S_ISLNK(st.st_mode))
        chmod("t", st.st_mode & 07777);
    old("t");
}

static void remove_all(void)
{
    static const char *const names[] = {"t/x", "d/x"};
    unlink("t/x");
    unlink("d/x");
    for (const char *const *name = (const char *const[]){"t", "d", "f", "n", "z", 0}; *name; name++)
        if (unlink(*name) && errno == EISDIR)
            rmdir(*name);
}

static long failed(long done) { return done < 0 ? -1 : done; }

// What a descriptor is good for.
static char told[300];
static long fd(int file)
{
    if (file < 0)
        return -1;
    struct stat st;
    char bytes[16];
    int end = 0;
    if (!fstat(file, &st))
        end += sprintf(told + end, " %o/%ld", st.st_mode, S_ISDIR(st.st_mode) ? 0L : (long)st.st_size);
    int flags = fcntl(file, F_GETFL);
    end += sprintf(told + end, " fl %o", flags & ~O_LARGEFILE);
    if (!S_ISCHR(st.st_mode) && !S_ISFIFO(st.st_mode)) {
        long got = read(file, bytes, 3);
        end += sprintf(told + end, " read %ld", got < 0 ? -errno : got);
        if (!S_ISREG(st.st_mode) || (flags & O_ACCMODE) != O_RDONLY) {
            got = write(file, "W", 1);
            end += sprintf(told + end, " write %ld", got < 0 ? -errno : got);
        }
    }
    close(file);
    return 0;
}

static long bound(const char *t)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int file = socket(AF_UNIX, SOCK_STREAM, 0);
    strncpy(address.sun_path, t, sizeof address.sun_path - 1);
    long done = bind(file, (void *)&address, sizeof address);
    int error = errno;
    close(file);
    errno = error;
    return done;
}

static long value(long size, const char *buffer)
{
    if (size >= 0)
        sprintf(told, " '%.*s'", (int)(size > 40 ? 40 : size), buffer);
    return size;
}

static long state(const char *t, int flags)
{
    struct stat st;
    if (fstatat(D, t, &st, flags))
        return -1;
    sprintf(told, " %o %u:%u %lu", st.st_mode, st.st_uid, st.st_gid, S_ISDIR(st.st_mode) ? 0 : (unsigned long)st.st_nlink);
    return 0;
}

static long at_file(const char *t, int flags, int what)
{
    int file = openat(D, t, flags | O_NONBLOCK);
    if (file < 0)
        return -1;
    struct timespec now[2] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
    struct statfs st;
    char buffer[300];
    long done = -1;
    switch (what) {
    case 0: done = fchmod(file, 04711); break;
    case 1: done = fchown(file, -1, TEAM); break;
    case 2: done = futimens(file, now); break;
    case 3: done = ftruncate(file, 2); break;
    case 4: done = fsetxattr(file, "user.a", "b", 1, 0); break;
    case 5: done = fremovexattr(file, "user.a"); break;
    case 6: done = value(fgetxattr(file, "user.a", buffer, sizeof buffer), buffer); break;
    case 7: done = fchdir(file); break;
    case 8: done = fstatfs(file, &st); break;
    case 9: done = fallocate(file, 0, 0, 4096); break;
    case 10: done = fsync(file); break;
    case 11: done = pwrite(file, "zz", 2, 1); break;
    case 12: done = linkat(file, "", D, "n", AT_EMPTY_PATH); break;
    case 13: done = ftruncate(file, -1); break;
    case 14: done = syscall(452, file, "", 0600, AT_EMPTY_PATH); break;
    case 15: done = fchownat(file, "", OWNER, TEAM, AT_EMPTY_PATH); break;
    case 16: done = futimens(file, 0); break;
    }
    int error = errno;
    close(file);
    errno = error;
    return done;
}

static long renamed(const char *from, const char *to, unsigned flags) { return syscall(SYS_renameat2, D, from, D, to, flags); }

static long times(const char *t, long atime, long mtime, int flags)
{
    struct timespec both[2] = {{atime == UTIME_NOW || atime == UTIME_OMIT ? 0 : 500, atime}, {mtime == UTIME_NOW || mtime == UTIME_OMIT ? 0 : 600, mtime}};
    return utimensat(D, t, both, flags);
}

static char buffer[5000];
static const char *side_file(const char *n) { put("n", "other\n", 0640); old("n"); return n; }
static const char *side_dir(const char *n) { mkdir("n", 0750); old("n"); return n; }
static const char *side_full(const char *n) { mkdir("n", 0750); put("n/y", "", 0600); old("n"); return n; }
static const char *side_link(const char *n) { symlink("none", "n"); old("n"); return n; }

// A call, told of `t` (as it is spelled in the question) and `n`. What is before the arrow makes `n`, beforehand.
#define CALLS \
    X("stat", 0, state(t, 0)) X("lstat", 0, state(t, AT_SYMLINK_NOFOLLOW)) \
    X("statx", 0, syscall(SYS_statx, D, t, 0, STATX_ALL, buffer)) X("statx-bad", 0, syscall(SYS_statx, D, t, 0x8000000, STATX_ALL, buffer)) \
    X("stat-bad", 0, fstatat(D, t, (void *)buffer, 0x8000000)) \
    X("access-f", 0, faccessat(D, t, F_OK, 0)) X("access-r", 0, faccessat(D, t, R_OK, 0)) X("access-w", 0, faccessat(D, t, W_OK, 0)) X("access-x", 0, faccessat(D, t, X_OK, 0)) \
    X("access-9", 0, syscall(SYS_faccessat, D, t, 9)) X("eaccess-w", 0, syscall(439, D, t, W_OK, AT_EACCESS)) X("eaccess-nofollow", 0, syscall(439, D, t, X_OK, AT_SYMLINK_NOFOLLOW)) X("eaccess-bad", 0, syscall(439, D, t, R_OK, 1)) \
    X("readlink", 0, value(readlinkat(D, t, buffer, 40), buffer)) X("readlink-0", 0, syscall(SYS_readlinkat, D, t, buffer, 0)) X("readlink-1", 0, value(readlinkat(D, t, buffer, 1), buffer)) \
    X("statfs", 0, statfs(path, (void *)buffer)) X("chdir", 0, chdir(path)) \
    X("mkdir", 0, mkdirat(D, t, 0777)) X("mkdir-7777", 0, mkdirat(D, t, 07777)) X("mkfifo", 0, mknodat(D, t, S_IFIFO | 06666, 0)) X("mknod-file", 0, mknodat(D, t, 0666, 0)) \
    X("mknod-socket", 0, mknodat(D, t, S_IFSOCK | 0666, 0)) X("mknod-char", 0, mknodat(D, t, S_IFCHR | 0666, 0x105)) X("mknod-dir", 0, mknodat(D, t, S_IFDIR | 0666, 0)) X("mknod-bad", 0, mknodat(D, t, S_IFLNK | 0666, 0)) \
    X("symlink", 0, symlinkat("text", D, t)) X("symlink-empty", 0, symlinkat("", D, t)) X("bind", 0, bound(t)) \
    X("unlink", 0, unlinkat(D, t, 0)) X("rmdir", 0, unlinkat(D, t, AT_REMOVEDIR)) X("unlink-bad", 0, unlinkat(D, t, 1)) X("remove", 0, remove(path)) \
    X("link", 0, linkat(D, t, D, "n", 0)) X("link-follow", 0, linkat(D, t, D, "n", AT_SYMLINK_FOLLOW)) X("link-bad", 0, linkat(D, t, D, "n", 1)) X("link-over", side_file, linkat(D, t, D, "n", 0)) X("link-here", side_file, linkat(D, "n", D, t, 0)) X("link-self", 0, linkat(D, t, D, t, 0)) X("link-dir-here", side_dir, linkat(D, "n", D, t, 0)) \
    X("rename", 0, renamed(t, "n", 0)) X("rename-file", side_file, renamed(t, "n", 0)) X("rename-dir", side_dir, renamed(t, "n", 0)) X("rename-full", side_full, renamed(t, "n", 0)) X("rename-link", side_link, renamed(t, "n", 0)) \
    X("rename-slash", 0, renamed(t, "n/", 0)) X("rename-dot", 0, renamed(t, ".", 0)) X("rename-dots", 0, renamed(t, "n/..", 0)) X("rename-self", 0, renamed(t, t, 0)) X("rename-in", 0, renamed(t, "t/in", 0)) X("rename-up", 0, renamed("../" , t, 0)) \
    X("over-file", side_file, renamed("n", t, 0)) X("over-dir", side_dir, renamed("n", t, 0)) X("over-full", side_full, renamed("n", t, 0)) X("over-none", 0, renamed("n", t, 0)) \
    X("noreplace", 0, renamed(t, "n", 1)) X("noreplace-file", side_file, renamed(t, "n", 1)) X("noreplace-self", 0, renamed(t, t, 1)) X("exchange", side_file, renamed(t, "n", 2)) X("exchange-dir", side_full, renamed(t, "n", 2)) X("exchange-none", 0, renamed(t, "n", 2)) X("exchange-noreplace", 0, renamed(t, "n", 3)) X("exchange-self", 0, renamed(t, t, 2)) X("exchange-in", 0, renamed(t, "t/x", 2)) X("rename-bad", 0, renamed(t, "n", 64)) \
    X("chmod", 0, fchmodat(D, t, 0640, 0)) X("chmod-7777", 0, fchmodat(D, t, 07777, 0)) X("chmod2", 0, syscall(452, D, t, 0604, 0)) X("chmod2-nofollow", 0, syscall(452, D, t, 0604, AT_SYMLINK_NOFOLLOW)) X("chmod2-bad", 0, syscall(452, D, t, 0604, 1)) \
    X("chown", 0, fchownat(D, t, OWNER, TEAM, 0)) X("lchown", 0, fchownat(D, t, OWNER, TEAM, AT_SYMLINK_NOFOLLOW)) X("chown-none", 0, fchownat(D, t, -1, -1, 0)) X("chgrp", 0, fchownat(D, t, -1, TEAM, 0)) X("chown-bad", 0, fchownat(D, t, 1, 1, 1)) \
    X("utime-null", 0, utimensat(D, t, 0, 0)) X("utime-set", 0, times(t, 1, 2, 0)) X("utime-now", 0, times(t, UTIME_NOW, UTIME_NOW, 0)) X("utime-omit", 0, times(t, UTIME_OMIT, UTIME_OMIT, 0)) X("utime-omit-a", 0, times(t, UTIME_OMIT, 2, 0)) X("utime-omit-m", 0, times(t, UTIME_NOW, UTIME_OMIT, 0)) X("utime-link", 0, times(t, 1, 2, AT_SYMLINK_NOFOLLOW)) X("utime-bad", 0, times(t, 1000000000, 2, 0)) X("utime-flags", 0, times(t, 1, 2, 1)) \
    X("truncate", 0, truncate(path, 2)) X("truncate-same", 0, truncate(path, 5)) X("truncate-long", 0, truncate(path, 70000)) X("truncate-bad", 0, truncate(path, -1)) \
    X("setxattr", 0, setxattr(path, "user.a", "b", 1, 0)) X("lsetxattr", 0, lsetxattr(path, "user.a", "b", 1, 0)) X("setxattr-create", 0, setxattr(path, "user.a", "b", 1, 1)) X("setxattr-replace", 0, setxattr(path, "user.a", "b", 1, 2)) X("setxattr-both", 0, setxattr(path, "user.a", "b", 1, 7)) X("setxattr-noname", 0, setxattr(path, "", "b", 1, 0)) X("setxattr-odd", 0, setxattr(path, "odd.a", "b", 1, 0)) X("setxattr-trusted", 0, setxattr(path, "trusted.a", "b", 1, 0)) X("setxattr-long", 0, setxattr(path, long_name, "b", 1, 0)) X("setxattr-empty", 0, setxattr(path, "user.a", "", 0, 0)) \
    X("getxattr", 0, getxattr(path, "user.a", buffer, 10)) X("lgetxattr", 0, lgetxattr(path, "user.a", buffer, 10)) X("listxattr", 0, listxattr(path, buffer, 500)) X("llistxattr", 0, llistxattr(path, buffer, 500)) X("removexattr", 0, removexattr(path, "user.a")) X("lremovexattr", 0, lremovexattr(path, "user.a")) \
    X("r-fchmod", 0, at_file(t, O_RDONLY, 0)) X("r-fchown", 0, at_file(t, O_RDONLY, 1)) X("r-futimens", 0, at_file(t, O_RDONLY, 2)) X("r-ftruncate", 0, at_file(t, O_RDONLY, 3)) X("r-fsetxattr", 0, at_file(t, O_RDONLY, 4)) X("r-fremovexattr", 0, at_file(t, O_RDONLY, 5)) X("r-fgetxattr", 0, at_file(t, O_RDONLY, 6)) X("r-fchdir", 0, at_file(t, O_RDONLY, 7)) X("r-fstatfs", 0, at_file(t, O_RDONLY, 8)) X("r-fallocate", 0, at_file(t, O_RDONLY, 9)) X("r-fsync", 0, at_file(t, O_RDONLY, 10)) X("r-pwrite", 0, at_file(t, O_RDONLY, 11)) X("r-linkat", 0, at_file(t, O_RDONLY, 12)) X("r-chmod2", 0, at_file(t, O_RDONLY, 14)) X("r-chownat", 0, at_file(t, O_RDONLY, 15)) X("r-futimens0", 0, at_file(t, O_RDONLY, 16)) \
    X("w-fchmod", 0, at_file(t, O_WRONLY, 0)) X("w-fchown", 0, at_file(t, O_WRONLY, 1)) X("w-ftruncate", 0, at_file(t, O_RDWR, 3)) X("w-ftruncate-bad", 0, at_file(t, O_RDWR, 13)) X("w-fallocate", 0, at_file(t, O_RDWR, 9)) X("w-pwrite", 0, at_file(t, O_WRONLY, 11)) X("w-linkat", 0, at_file(t, O_WRONLY, 12)) \
    X("p-fchmod", 0, at_file(t, O_PATH, 0)) X("p-fchown", 0, at_file(t, O_PATH, 1)) X("p-futimens", 0, at_file(t, O_PATH, 2)) X("p-ftruncate", 0, at_file(t, O_PATH, 3)) X("p-fsetxattr", 0, at_file(t, O_PATH, 4)) X("p-fgetxattr", 0, at_file(t, O_PATH, 6)) X("p-fchdir", 0, at_file(t, O_PATH, 7)) X("p-fstatfs", 0, at_file(t, O_PATH, 8)) X("p-fsync", 0, at_file(t, O_PATH, 10)) X("p-linkat", 0, at_file(t, O_PATH, 12)) X("p-chmod2", 0, at_file(t, O_PATH | O_NOFOLLOW, 14)) X("p-chownat", 0, at_file(t, O_PATH | O_NOFOLLOW, 15))

static char long_name[300];

static const char *const call_names[] = {
#define X(name, before, call) name,
    CALLS
#undef X
};
enum { COUNT = sizeof call_names / sizeof *call_names };

static const char *(*const befores[])(const char *) = {
#define X(name, before, call) before,
    CALLS
#undef X
};

static long call(int number, const char *t, const char *path)
{
    const char *n = "n";
    int at = 0;
#define X(name, before, call) \
    if (number == at++)       \
        return failed(call);
    CALLS
#undef X
    return -2;
}

static const int open_flags[] = {
    O_RDONLY, O_WRONLY, O_RDWR, O_ACCMODE,
    O_CREAT | O_WRONLY, O_CREAT | O_RDONLY, O_CREAT | O_EXCL | O_RDWR, O_EXCL | O_RDONLY, O_CREAT | O_TRUNC | O_WRONLY, O_CREAT | O_TRUNC | O_RDONLY, O_CREAT | O_EXCL | O_TRUNC | O_RDWR,
    O_TRUNC | O_RDONLY, O_TRUNC | O_RDWR, O_APPEND | O_WRONLY, O_APPEND | O_CREAT | O_RDWR,
    O_NOFOLLOW | O_RDONLY, O_NOFOLLOW | O_WRONLY, O_NOFOLLOW | O_CREAT | O_WRONLY, O_NOFOLLOW | O_CREAT | O_EXCL | O_WRONLY, O_NOFOLLOW | O_TRUNC | O_WRONLY,
    O_DIRECTORY | O_RDONLY, O_DIRECTORY | O_WRONLY, O_DIRECTORY | O_RDWR | O_TRUNC, O_DIRECTORY | O_CREAT | O_RDONLY, O_DIRECTORY | O_CREAT | O_EXCL | O_WRONLY, O_DIRECTORY | O_NOFOLLOW,
    O_PATH, O_PATH | O_NOFOLLOW, O_PATH | O_DIRECTORY, O_PATH | O_DIRECTORY | O_NOFOLLOW, O_PATH | O_CREAT | O_TRUNC | O_RDWR,
    O_TMPFILE | O_RDWR, O_TMPFILE | O_WRONLY | O_EXCL, O_TMPFILE | O_RDONLY, O_TMPFILE | O_CREAT | O_RDWR,
    O_NOATIME | O_RDONLY, O_DIRECT | O_RDONLY, O_SYNC | O_RDWR, O_DSYNC | O_CREAT | O_WRONLY, 0x40000000 | O_RDONLY,
};
enum { OPENS = sizeof open_flags / sizeof *open_flags };

static const char *flags_name(int flags)
{
    static char text[200];
    static const struct { int bit; const char *name; } bits[] = {
        {O_CREAT, "creat"}, {O_EXCL, "excl"}, {O_TRUNC, "trunc"}, {O_APPEND, "append"}, {O_NOFOLLOW, "nofollow"}, {O_PATH, "path"},
        {O_TMPFILE & ~O_DIRECTORY, "tmpfile"}, {O_DIRECTORY, "directory"}, {O_NOATIME, "noatime"}, {O_DIRECT, "direct"}, {O_DSYNC, "dsync"}, {0x40000000, "odd"},
    };
    int end = sprintf(text, "open-%s", (const char *[]){"r", "w", "rw", "3"}[flags & O_ACCMODE]);
    for (int i = 0; i < (int)(sizeof bits / sizeof *bits); i++)
        if (flags & bits[i].bit)
            end += sprintf(text + end, "-%s", bits[i].name);
    return text;
}

// A question.
struct question { int call, kind, side, form, by; };
static const char *const forms[] = {"t", "t/", "t/.", "t/..", "t/x", "./t", "t//", "t/../t", "t/x/y", "t/./", "t/../", "n/../t", "", "/..t"};
enum { FORMS = 12 };

static const char *name_of(const struct question *q)
{
    static char text[300];
    char *form = text + sprintf(text, "%s.%s.%s.", q->call < COUNT ? call_names[q->call] : flags_name(open_flags[q->call - COUNT]), kinds[q->kind], sides[q->side]);
    sprintf(form, "%s", forms[q->form]);
    for (; *form; form++)
        if (*form == '/')
            *form = '_';
    return text;
}

typedef void (*Each)(const struct question *q, const char *name);

static int share;

static void each_question(Each each)
{
    struct question q = {0};
    int number = 0;
    for (q.call = 0; q.call < COUNT + OPENS; q.call++)
        for (q.kind = 0; q.kind < KINDS; q.kind++)
            for (q.side = 0; q.side < SIDES; q.side++)
                for (q.form = 0; q.form < FORMS; q.form++) {
                    // Nothing has no side, but that a whiteout may stand for it.
                    if (q.kind == NOTHING && q.side != BASE && q.side != OPAQUE || q.kind != PLAIN && q.kind != FULL && q.side == GONE)
                        continue;
                    // Odd spellings are asked of what the base has.
                    if (q.form > 0 && (q.side != BASE && (q.side != COPY || q.form > 2) || q.kind == PROGRAM || q.kind == TWICE || q.kind == SOCKET || q.kind == DEVICE))
                        continue;
                    if (number++ % share)
                        continue;
                    // By three ways to the directory, in turn.
                    q.by = (q.call + q.kind + q.side + q.form) % 3;
                    each(&q, name_of(&q));
                }
}

static const char *root;

static int enter(const char *name)
{
    char path[600];
    snprintf(path, sizeof path, "%s/%s", root, name);
    if (chdir(path)) {
        printf("%s: cannot be entered: %d\n", path, errno);
        return 0;
    }
    return 1;
}

static void make_one(const struct question *q, const char *name)
{
    char path[600];
    snprintf(path, sizeof path, "%s/%s", root, name);
    if (mkdir(path, 0755))
        perror(path);
    if (!enter(name))
        return;
    if (q->side != FRESH)
        make_kind(q->kind);
    old(".");
}

static const char *word;

static int is_asked(const char *name) { return !word || strstr(name, word); }

// What is done before the clock has moved on.
static void prepare(const struct question *q, const char *name)
{
    if (!is_asked(name) || !enter(name))
        return;
    switch (q->side) {
    case COPY: copy_up(q->kind); break;
    case FRESH: make_kind(q->kind); break;
    case OPAQUE: {
        remove_all();
        char path[600];
        snprintf(path, sizeof path, "%s/%s", root, name);
        if (rmdir(path) || mkdir(path, 0755) || chdir(path))
            printf("(opaque %d)", errno);
        make_kind(q->kind);
        break;
    }
    case GONE: remove_all(); break;
    }
    if (q->call < COUNT && befores[q->call])
        befores[q->call]("n");
    if (q->side != BASE || q->call < COUNT && befores[q->call])
        old(".");
}

static const char *const looked_at[] = {"t", "n", ".", "f", "d", "z"};
enum { LOOKED = 6 };

static void look(struct stat *st)
{
    for (int i = 0; i < LOOKED; i++)
        if (lstat(looked_at[i], &st[i]))
            st[i].st_nlink = 0;
}

static int later(struct timespec a, struct timespec b) { return a.tv_sec != b.tv_sec || a.tv_nsec != b.tv_nsec; }

// Until what is done now has another time than what was done before: files are stamped by this clock.
static void wait_for_tick(void)
{
    struct timespec before, now;
    clock_gettime(CLOCK_REALTIME_COARSE, &before);
    do
        clock_gettime(CLOCK_REALTIME_COARSE, &now);
    while (!later(before, now));
}

static void tell_change(const char *name, const struct stat *before, const struct stat *after)
{
    if (!before->st_nlink && !after->st_nlink)
        return;
    printf(" %s=", name);
    if (!after->st_nlink) {
        printf("gone");
        return;
    }
    printf("%o:%u:%u", after->st_mode, after->st_uid, after->st_gid);
    if (!S_ISDIR(after->st_mode))
        printf(":%lu:%ld%s", (unsigned long)after->st_nlink, (long)after->st_size, after->st_blocks ? "b" : "");
    if (!before->st_nlink) {
        printf(" new");
        if (after->st_mtim.tv_sec <= LONG_AGO)
            printf(" old");
        return;
    }
    if (before->st_ino != after->st_ino)
        printf(" other");
    // When one file was looked at says nothing of another.
    printf(" %s%s%s", before->st_ino == after->st_ino && later(before->st_atim, after->st_atim) ? "a" : "", later(before->st_mtim, after->st_mtim) ? "m" : "",
           later(before->st_ctim, after->st_ctim) ? "c" : "");
    if (after->st_mtim.tv_sec < LONG_AGO)
        printf(" set");
}

static void ask(const struct question *q, const char *name)
{
    if (!is_asked(name) || !enter(name))
        return;
    char t[1000], path[1000];
    struct stat before[LOOKED], after[LOOKED];
    look(before);
    strcpy(t, forms[q->form]);
    strcpy(path, t);
    D = AT_FDCWD;
    if (q->by == 1) {
        snprintf(t, sizeof t, "%s/%s/%s", root, name, forms[q->form]);
        strcpy(path, t);
    } else if (q->by == 2) {
        D = open(".", O_RDONLY | O_DIRECTORY);
    }
    told[0] = 0;
    long done = q->call < COUNT ? call(q->call, t, path) : fd(openat(D, t, open_flags[q->call - COUNT] | O_NONBLOCK, 0664));
    printf("%s: ", name);
    if (done < 0)
        printf("%s", strerrorname_np(errno));
    else
        printf("%ld", q->call < COUNT && !strncmp(call_names[q->call], "statfs", 6) ? 0 : done);
    printf("%s;", done < 0 ? "" : told);
    if (D >= 0)
        close(D);
    // A change of directory is told of by what is there.
    if ((q->call < COUNT) && strstr(call_names[q->call], "chdir")) {
        char here[1000];
        printf(" in %s", getcwd(here, sizeof here) ? here + (strncmp(here, root, strlen(root)) ? 0 : strlen(root)) : strerrorname_np(errno));
        enter(name);
    }
    look(after);
    for (int i = 0; i < LOOKED; i++)
        tell_change(looked_at[i], &before[i], &after[i]);
    struct dirent *entry;
    DIR *dir = opendir(".");
    char names[20][30], *sorted[20];
    int count = 0;
    while (dir && (entry = readdir(dir)) && count < 20)
        if (entry->d_name[0] != '.')
            snprintf(names[count++], 30, "%s/%d", entry->d_name, entry->d_type);
    closedir(dir);
    printf(" [");
    for (int i = 0; i < count; i++) {
        int least = -1;
        for (int k = 0; k < count; k++)
            if (names[k][0] && (least < 0 || strcmp(names[k], names[least]) < 0))
                least = k;
        printf("%s ", names[least]);
        names[least][0] = 0;
    }
    printf("]\n");
}

int main(int argc, char **argv)
{
    static char whole[4000];
    setvbuf(stdout, 0, _IOFBF, 1 << 20);
    memset(long_name, 'x', sizeof long_name - 1);
    memcpy(long_name, "user.", 5);
    umask(022);
    if (argc < 3 || !realpath(argv[2], whole))
        return 2;
    root = whole;
    share = argc > 3 ? atoi(argv[3]) : 1;
    word = argc > 4 ? argv[4] : 0;
    if (!strcmp(argv[1], "make")) {
        each_question(make_one);
        return 0;
    }
    each_question(prepare);
    wait_for_tick();
    each_question(ask);
    return 0;
}
