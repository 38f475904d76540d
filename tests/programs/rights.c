// Who may do what with a file and with the directory that it is in.
//
//   rights make BASE SHARE       directories of BASE, one for each question, of the users that they belong to
//   rights ask APP SHARE [WORD]  asks all questions, or those that have the word in their names; who is not root asks all himself
//
// Of the questions, each SHAREth is asked: 1 for all.
//
// A question is a call, the mode and the owner of the directory, those of the file `t` in it, whether the file comes
// from the base or has been made in this run, and who calls. Where `make` could not give files away, the base has none that are
// somebody's else: then those are given away in this run, so that both runs ask the same. Answers are as those of rules.c.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

// The first is who owns, the second of the owner's group, the third nobody in particular.
enum { OWNER = 1001, MEMBER = 1002, OTHER = 1003, TEAM = 2001, OTHERS = 2002 };
static const time_t LONG_AGO = 1000000000;

static const struct { const char *name; mode_t mode; uid_t owner; } directories[] = {
    {"open", 0777, 0}, {"own", 0755, OWNER}, {"roots", 0755, 0}, {"sticky", 01777, 0}, {"mysticky", 01777, OWNER}, {"setgid", 02777, 0},
    {"noread", 0333, OWNER}, {"nosearch", 0666, OWNER}, {"nowrite", 0555, OWNER}, {"groups", 0770, 0},
};
enum { DIRECTORIES = sizeof directories / sizeof *directories };
static const struct { const char *name; mode_t mode; uid_t owner; } files[] = {
    {"mine", 0644, OWNER}, {"theirs", 0644, OTHER}, {"all", 0666, OTHER}, {"secret", 0600, OTHER}, {"team", 0660, OTHER}, {"setids", 06755, OWNER}, {"setall", 06777, OTHER},
    {"mydir", S_IFDIR | 0755, OWNER}, {"theirdir", S_IFDIR | 0755, OTHER}, {"alldir", S_IFDIR | 03777, OTHER}, {"closed", 0000, OWNER}, {"writeonly", 0222, OTHER}, {"readonly", 0444, OWNER}, {"program", 0755, OTHER}, {"link", S_IFLNK | 0777, OTHER},
};
enum { FILES = sizeof files / sizeof *files };
static const struct { const char *name; uid_t uid; gid_t gid; } callers[] = {
    {"root", 0, 0}, {"owner", OWNER, TEAM}, {"member", MEMBER, OTHERS}, {"other", OTHER, OTHERS},
};
enum { CALLERS = 4 };

static int file(int fd)
{
    char byte = 0;
    if (fd < 0)
        return -1;
    int is_write = (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY;
    int done = is_write ? write(fd, "W", 1) : read(fd, &byte, 1);
    int error = errno;
    close(fd);
    errno = error;
    return is_write && done < 0 ? -1 : 0;
}

static long times(const char *t, long atime, long mtime, int flags)
{
    struct timespec both[2] = {{atime == UTIME_NOW || atime == UTIME_OMIT ? 0 : 500, atime}, {mtime == UTIME_NOW || mtime == UTIME_OMIT ? 0 : 600, mtime}};
    return utimensat(AT_FDCWD, t, both, flags);
}

static long by_file(int flags, int what)
{
    int fd = open("t", flags);
    if (fd < 0)
        return -1;
    long done = -1;
    switch (what) {
    case 0: done = fchmod(fd, 0700); break;
    case 1: done = fchown(fd, -1, OTHERS); break;
    case 2: done = futimens(fd, 0); break;
    case 3: done = fsetxattr(fd, "user.a", "b", 1, 0); break;
    case 4: done = ftruncate(fd, 2); break;
    case 5: done = syscall(SYS_fchown, fd, -1, -1); break;
    }
    int error = errno;
    close(fd);
    errno = error;
    return done;
}

static char buffer[300];

#define CALLS \
    X("stat", stat("t", (void *)buffer)) X("access-r", access("t", R_OK)) X("access-w", access("t", W_OK)) X("access-x", access("t", X_OK)) X("eaccess-w", faccessat(AT_FDCWD, "t", W_OK, AT_EACCESS)) \
    X("open-r", file(open("t", O_RDONLY))) X("open-w", file(open("t", O_WRONLY))) X("open-append", file(open("t", O_WRONLY | O_APPEND))) X("open-trunc", file(open("t", O_WRONLY | O_TRUNC))) X("open-rtrunc", file(open("t", O_RDONLY | O_TRUNC))) X("open-creat", file(open("t", O_WRONLY | O_CREAT, 0666))) X("open-noatime", file(open("t", O_RDONLY | O_NOATIME))) X("open-path", file(open("t", O_PATH))) \
    X("open-new", file(open("n", O_RDWR | O_CREAT | O_EXCL, 0666))) X("mkdir", mkdir("n", 0777)) X("mkfifo", mkfifo("n", 0666)) X("mknod", mknod("n", S_IFCHR | 0666, 0x103)) X("mknod-over", mknod("t", S_IFCHR | 0666, 0x103)) X("symlink", symlink("x", "n")) X("link", link("t", "n")) X("tmpfile", file(open(".", O_TMPFILE | O_RDWR, 0666))) \
    X("mkdir-in", mkdir("t/in", 0777)) X("creat-in", file(open("t/in", O_RDWR | O_CREAT, 02666))) \
    X("unlink", unlink("t")) X("rmdir", rmdir("t")) X("rename", rename("t", "n")) X("rename-over", rename("o", "t")) X("rename-onto", rename("t", "o")) X("exchange", renameat2(AT_FDCWD, "t", AT_FDCWD, "o", 2)) X("rename-up", rename("t", "../moved")) \
    X("chmod", chmod("t", 0600)) X("chmod-ids", chmod("t", 06711)) X("chmod-same", chmod("t", 0644)) X("chown-self", lchown("t", OWNER, -1)) X("chown-other", lchown("t", OTHER, -1)) X("chgrp-team", lchown("t", -1, TEAM)) X("chgrp-others", lchown("t", -1, OTHERS)) X("chgrp-extra", lchown("t", -1, 2003)) X("chown-none", lchown("t", -1, -1)) X("chown-both", chown("t", OWNER, TEAM)) \
    X("utime-null", utimensat(AT_FDCWD, "t", 0, 0)) X("utime-set", times("t", 1, 2, 0)) X("utime-now", times("t", UTIME_NOW, UTIME_NOW, 0)) X("utime-omit", times("t", UTIME_OMIT, UTIME_OMIT, 0)) X("utime-half", times("t", UTIME_NOW, UTIME_OMIT, 0)) X("utime-link", times("t", 1, 2, AT_SYMLINK_NOFOLLOW)) \
    X("truncate", truncate("t", 2)) X("truncate-same", truncate("t", 5)) X("setxattr", setxattr("t", "user.a", "b", 1, 0)) X("getxattr", getxattr("t", "user.b", buffer, 9)) X("listxattr", listxattr("t", 0, 0)) X("removexattr", removexattr("t", "user.b")) X("trusted", setxattr("t", "trusted.a", "b", 1, 0)) \
    X("r-fchmod", by_file(O_RDONLY, 0)) X("r-fchown", by_file(O_RDONLY, 1)) X("r-futimens", by_file(O_RDONLY, 2)) X("r-fsetxattr", by_file(O_RDONLY, 3)) X("w-ftruncate", by_file(O_WRONLY, 4)) X("r-chown-none", by_file(O_RDONLY, 5)) \
    X("chdir", chdir("t")) X("list", open(".", O_RDONLY | O_DIRECTORY) < 0 ? -1 : 0) X("readlink", readlink("t", buffer, 9)) X("statfs", statfs("t", (void *)buffer)) X("dot", stat(".", (void *)buffer)) X("missing", stat("none", (void *)buffer)) X("missing-in", stat("t/none", (void *)buffer)) X("unlink-missing", unlink("none"))

static const char *const call_names[] = {
#define X(name, call) name,
    CALLS
#undef X
};
enum { COUNT = sizeof call_names / sizeof *call_names };

static long call(int number)
{
    int at = 0;
#define X(name, call)   \
    if (number == at++) \
        return (call);
    CALLS
#undef X
    return -2;
}

struct question { int call, directory, file, is_new, caller; };

static const char *name_of(const struct question *q)
{
    static char text[300];
    sprintf(text, "%s.%s.%s.%s.%s", call_names[q->call], directories[q->directory].name, files[q->file].name, callers[q->caller].name, q->is_new ? "new" : "base");
    return text;
}

static const char *root, *word;
static int share;
static int is_making, is_inside;

static void put(const char *name, mode_t mode)
{
    int fd = open(name, O_WRONLY | O_CREAT, 0600);
    if (fd < 0 || write(fd, "text\n", 5) != 5)
        return;
    close(fd);
    chmod(name, mode);
}

static void old(const char *path)
{
    struct timespec both[2] = {{LONG_AGO, 0}, {LONG_AGO, 0}};
    utimensat(AT_FDCWD, path, both, AT_SYMLINK_NOFOLLOW);
}

static void give(const struct question *q)
{
    int number = q->file;
    if (lchown("t", files[number].owner, files[number].owner == OWNER ? TEAM : files[number].mode == 0660 ? TEAM : OTHERS) && is_making)
        return;
    if (!S_ISLNK(files[number].mode))
        chmod("t", files[number].mode & 07777);
    old("t");
}

static void make_file(const struct question *q)
{
    mode_t mode = files[q->file].mode;
    if (S_ISDIR(mode))
        mkdir("t", 0700);
    else if (S_ISLNK(mode))
        symlink("none", "t");
    else
        put("t", 0600);
    give(q);
}

static void enter(const struct question *q)
{
    char path[600];
    snprintf(path, sizeof path, "%s/%s", root, name_of(q));
    is_inside = !chdir(path);
}

static void make_one(const struct question *q)
{
    char path[600];
    snprintf(path, sizeof path, "%s/%s", root, name_of(q));
    if (mkdir(path, 0755))
        perror(path);
    enter(q);
    if (!q->is_new)
        make_file(q);
    put("o", 0644);
    chown("o", OTHER, OTHERS);
    old("o");
    chown(".", directories[q->directory].owner, directories[q->directory].owner == OWNER ? TEAM : directories[q->directory].mode == 0770 ? TEAM : 0);
    // Who cannot give it away sees to its mode when it is asked.
    chmod(".", geteuid() ? 0777 : directories[q->directory].mode);
    old(".");
}

static void prepare(const struct question *q)
{
    struct stat st;
    enter(q);
    if (!is_inside)
        return;
    if (q->is_new)
        make_file(q);
    else if (!lstat("t", &st) && st.st_uid != files[q->file].owner)
        give(q);
    if (!lstat("o", &st) && st.st_uid != OTHER) {
        chown("o", OTHER, OTHERS);
        old("o");
    }
    if (!stat(".", &st) && st.st_uid != directories[q->directory].owner)
        chown(".", directories[q->directory].owner, TEAM);
    if (!stat(".", &st) && st.st_gid == 0 && directories[q->directory].mode == 0770)
        chown(".", 0, TEAM);
    if (!stat(".", &st) && (st.st_mode & 07777) != directories[q->directory].mode)
        chmod(".", directories[q->directory].mode);
    old(".");
}

enum { LOOKED = 4 };
static const char *const looked_at[LOOKED] = {"t", "n", "o", "."};

static void look(struct stat *st)
{
    for (int i = 0; i < LOOKED; i++)
        if (lstat(looked_at[i], &st[i]))
            st[i].st_nlink = 0;
}

static int differ(struct timespec a, struct timespec b) { return a.tv_sec != b.tv_sec || a.tv_nsec != b.tv_nsec; }

// Until what is done now has another time than what was done before: files are stamped by this clock.
static void wait_for_tick(void)
{
    struct timespec before, now;
    clock_gettime(CLOCK_REALTIME_COARSE, &before);
    do
        clock_gettime(CLOCK_REALTIME_COARSE, &now);
    while (!differ(before, now));
}

static void tell(const struct stat *was, const struct stat *is, const char *name)
{
    if (!was->st_nlink && !is->st_nlink)
        return;
    printf(" %s=", name);
    if (!is->st_nlink) {
        printf("gone");
        return;
    }
    printf("%o:%u:%u", is->st_mode, is->st_uid, is->st_gid);
    if (!S_ISDIR(is->st_mode))
        printf(":%lu:%ld", (unsigned long)is->st_nlink, (long)is->st_size);
    if (!was->st_nlink)
        return;
    printf(" %s%s%s", differ(was->st_atim, is->st_atim) ? "a" : "", differ(was->st_mtim, is->st_mtim) ? "m" : "", differ(was->st_ctim, is->st_ctim) ? "c" : "");
    if (is->st_mtim.tv_sec < LONG_AGO)
        printf(" set");
}

typedef void (*Each)(const struct question *q);

static void each_question(int caller, Each each)
{
    struct question q = {0};
    int number = 0;
    for (q.call = 0; q.call < COUNT; q.call++)
        for (q.directory = 0; q.directory < DIRECTORIES; q.directory++)
            for (q.file = 0; q.file < FILES; q.file++)
                for (q.caller = 0; q.caller < CALLERS; q.caller++)
                    for (q.is_new = 0; q.is_new < 2; q.is_new++) {
                        // Each call meets each file in each directory, of one caller and one origin; odd mixtures of those.
                        int mixed = q.call + q.directory * 3 + q.file;
                        if (q.caller != mixed % CALLERS || q.is_new != (mixed / CALLERS + q.directory) % 2)
                            continue;
                        if (number++ % share || word && !strstr(name_of(&q), word))
                            continue;
                        if (caller < 0 || q.caller == caller)
                            each(&q);
                    }
}

static void make_each(const struct question *q) { make_one(q); }
static void prepare_each(const struct question *q) { prepare(q); }

// The directory is entered before rights are dropped: what is asked is who may do what from there.
static void ask_each(const struct question *q)
{
    enter(q);
    if (!is_inside) {
        printf("%s: is shut: %s\n", name_of(q), strerrorname_np(errno));
        return;
    }
    struct stat was[LOOKED], is[LOOKED];
    look(was);
    int is_root = geteuid() == 0;
    uid_t uid = callers[q->caller].uid;
    gid_t gid = callers[q->caller].gid, groups[] = {TEAM, 2003};
    if (is_root) {
        setgroups(q->caller == 0 ? 0 : q->caller == 2 ? 2 : 1, q->caller == 1 ? groups + 1 : q->caller == 2 ? groups : (gid_t[]){2004});
        setegid(gid);
        seteuid(uid);
    }
    long done = call(q->call);
    int error = errno;
    if (is_root) {
        seteuid(0);
        setegid(0);
        enter(q);
    }
    look(is);
    printf("%s: %s;", name_of(q), done < 0 ? strerrorname_np(error) : "done");
    for (int i = 0; i < LOOKED; i++)
        tell(&was[i], &is[i], looked_at[i]);
    printf("\n");
}

int main(int argc, char **argv)
{
    static char whole[4000];
    setvbuf(stdout, 0, _IOFBF, 1 << 20);
    umask(022);
    if (argc < 3 || !realpath(argv[2], whole))
        return 2;
    root = whole;
    share = argc > 3 ? atoi(argv[3]) : 1;
    word = argc > 4 ? argv[4] : 0;
    if (!strcmp(argv[1], "make")) {
        is_making = 1;
        each_question(-1, make_each);
        return 0;
    }
    umask(0);
    each_question(-1, prepare_each);
    umask(022);
    wait_for_tick();
    for (int caller = 0; caller < CALLERS && geteuid() == 0; caller++)
        each_question(caller, ask_each);
    if (geteuid())
        each_question(-1, ask_each);
    return 0;
}
