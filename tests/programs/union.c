// Random layers, and random calls on the union of them.
//
//   union make DIR SEED COUNT             trees DIR/{base,middle,patches}/p/q/sN
//   union run APP SEED FIRST COUNT STEPS  calls on APP/p/q/sN, told one a line
//   union dump APP                        what a tree looks like
//
// The same seed makes the same trees and the same calls. What two runs on two
// unions of the same layers print must be the same.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

static uint64_t state;

static uint64_t next(void)
{
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static int upto(int limit) { return next() % limit; }

static const time_t LONG_AGO = 1000000000;

static void age(const char *path)
{
    struct timespec times[2] = {{LONG_AGO, 0}, {LONG_AGO, 0}};
    utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW);
}

static void fill(int fd)
{
    char bytes[3000];
    int size = upto(sizeof bytes);
    for (int i = 0; i < size; i++)
        bytes[i] = 'a' + upto(26);
    if (upto(8) == 0)
        lseek(fd, 100000, SEEK_SET);
    if (write(fd, bytes, size) != size)
        perror("write");
}

static const char *const layers[] = {"base", "middle", "patches"};

// Whether a directory of a layer has one below it, by what comes first there.
// Elsewhere a whiteout means nothing, and the kernel may show it.
static int is_merged(const char *dir, const char *below, int layer)
{
    while (--layer >= 0) {
        char path[800];
        struct stat st;
        snprintf(path, sizeof path, "%s/%s/%s", dir, layers[layer], below);
        if (!lstat(path, &st))
            return S_ISDIR(st.st_mode);
    }
    return 0;
}

static void make_tree(const char *root, const char *below, int depth, int layer, int merged)
{
    char dir[512];
    snprintf(dir, sizeof dir, "%s/%s/%s", root, layers[layer], below);
    int opaque = layer > 0 && depth > 0 && upto(6) == 0;
    merged = merged && !opaque && is_merged(root, below, layer);
    if (mkdir(dir, 0755 - 011 * (upto(6) == 0)) && errno != EEXIST)
        perror(dir);
    for (char name = 'a'; name <= 'd'; name++) {
        char path[600];
        snprintf(path, sizeof path, "%s/%c", dir, name);
        int what = upto(100);
        if (what < 30 && depth < 3) {
            char inner[400];
            snprintf(inner, sizeof inner, "%s/%c", below, name);
            make_tree(root, inner, depth + 1, layer, merged);
        } else if (what < 55) {
            int fd = open(path, O_WRONLY | O_CREAT, 0644 - 022 * upto(2));
            fill(fd);
            if (upto(5) == 0)
                fsetxattr(fd, "user.a", "layer", 5, 0);
            if (upto(8) == 0)
                fchown(fd, 1, 2);
            close(fd);
            if (upto(6) == 0 && name < 'd') {
                char other[600];
                snprintf(other, sizeof other, "%s/%c", dir, ++name);
                link(path, other);
                age(other);
            }
        } else if (what < 62) {
            static const char *const targets[] = {"a", "b/c", "../a", "d", "..", "a/../b", "none"};
            symlink(targets[upto(7)], path);
        } else if (what < 65) {
            mkfifo(path, 0600);
        } else if (what < 75 && merged) {
            mknod(path, S_IFCHR, 0);
        }
        age(path);
    }
    if (opaque)
        setxattr(dir, "trusted.overlay.opaque", "y", 1, 0);
    age(dir);
}

// What is older than this file lies in a layer: it is made after them.
static const char *const mark = "mark";

static void make(const char *dir, uint64_t seed, int count)
{
    char path[400];
    for (int layer = 0; layer < 3; layer++) {
        for (int depth = 0; depth < 3; depth++) {
            static const char *const below[] = {"", "/p", "/p/q"};
            snprintf(path, sizeof path, "%s/%s%s", dir, layers[layer], below[depth]);
            mkdir(path, 0755);
        }
        for (int number = 0; number < count; number++) {
            state = seed * 1000003 + number * 4 + layer;
            if (layer > 0 && upto(4) == 0)
                continue;
            // Deep enough that no link leads out of the union.
            snprintf(path, sizeof path, "p/q/s%d", number);
            make_tree(dir, path, 0, layer, 1);
        }
        for (int depth = 2; depth >= 0; depth--) {
            static const char *const below[] = {"", "/p", "/p/q"};
            snprintf(path, sizeof path, "%s/%s%s", dir, layers[layer], below[depth]);
            age(path);
        }
    }
    snprintf(path, sizeof path, "%s/%s", dir, mark);
    close(open(path, O_WRONLY | O_CREAT, 0644));
}

// The inode of the mark, if the environment has it: those of layers are below it, on a file system that counts them.
static ino_t limit;

static void find_limit(void)
{
    const char *younger = getenv("YOUNGER");
    if (younger)
        limit = strtoul(younger, NULL, 10);
}

static const char *when(time_t seconds) { return seconds == LONG_AGO ? "long ago" : seconds < LONG_AGO ? "set" : "now"; }

static uint64_t sum(int fd)
{
    char bytes[65536];
    uint64_t hash = 14695981039346656037u;
    ssize_t got;
    while ((got = read(fd, bytes, sizeof bytes)) > 0)
        for (ssize_t i = 0; i < got; i++)
            hash = (hash ^ (unsigned char)bytes[i]) * 1099511628211u;
    return got < 0 ? 0 : hash;
}

static void tell_stat(const struct stat *st)
{
    int is_dir = S_ISDIR(st->st_mode);
    printf(" %o %u:%u %s", st->st_mode, st->st_uid, st->st_gid, when(st->st_mtime));
    if (!is_dir)
        printf(" links %lu size %ld", (unsigned long)st->st_nlink, (long)st->st_size);
    // A file of a layer has the number that it has there, also once it has been written to. A
    // directory has several.
    if (!is_dir && st->st_ino < limit)
        printf(" inode %lu", (unsigned long)st->st_ino);
    if (S_ISCHR(st->st_mode))
        printf(" device %lx", (unsigned long)st->st_rdev);
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void tell_attributes(const char *path)
{
    char names[1000], value[100];
    ssize_t len = llistxattr(path, names, sizeof names);
    char *list[20];
    int count = 0;
    for (char *name = names; len > 0 && name < names + len; name += strlen(name) + 1)
        list[count++] = name;
    qsort(list, count, sizeof *list, by_name);
    for (int i = 0; i < count; i++) {
        ssize_t size = lgetxattr(path, list[i], value, sizeof value);
        printf(" %s=%.*s", list[i], size < 0 ? 5 : (int)size, size < 0 ? "error" : value);
    }
}

// The names in a directory, in order, with their kinds; no name twice.
static int names_of(DIR *dir, char names[][300], int limit)
{
    int count = 0;
    struct dirent *entry;
    while ((entry = readdir(dir)) && count < limit)
        snprintf(names[count++], 300, "%s/%d", entry->d_name, entry->d_type);
    qsort(names, count, 300, (int (*)(const void *, const void *))strcmp);
    return count;
}

static void tell_listing(const char *path)
{
    DIR *dir = opendir(path);
    if (!dir) {
        printf(" errno %d", errno);
        return;
    }
    static char names[64][300];
    int count = names_of(dir, names, 64);
    for (int i = 0; i < count; i++)
        printf(" %s", names[i]);
    // The same again, and from a place in the middle.
    rewinddir(dir);
    int again = 0, half = count / 2;
    long place = 0;
    struct dirent *entry;
    char after[300] = "";
    while ((entry = readdir(dir))) {
        if (again == half)
            strcpy(after, entry->d_name);
        if (++again == half)
            place = telldir(dir);
    }
    if (again != count)
        printf(" then %d", again);
    if (half > 0 && half < count) {
        seekdir(dir, place);
        entry = readdir(dir);
        if (!entry || strcmp(entry->d_name, after))
            printf(" seekdir: %s and not %s", entry ? entry->d_name : "nothing", after);
    }
    // What is listed is what is there.
    rewinddir(dir);
    while ((entry = readdir(dir))) {
        struct stat st;
        if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW))
            printf(" %s is not there: %d", entry->d_name, errno);
        else if (entry->d_type != DT_UNKNOWN && entry->d_type != (st.st_mode & S_IFMT) >> 12)
            printf(" %s is of another kind", entry->d_name);
        else if (strcmp(entry->d_name, "..") && strcmp(entry->d_name, ".") && entry->d_ino != st.st_ino)
            printf(" %s has another inode", entry->d_name);
    }
    struct stat by_path, by_fd;
    if (!stat(path, &by_path) && !fstat(dirfd(dir), &by_fd)
        && (by_path.st_ino != by_fd.st_ino || by_path.st_mode != by_fd.st_mode || by_path.st_uid != by_fd.st_uid))
        printf(" is another by descriptor");
    closedir(dir);
}

static void dump(const char *path, int depth)
{
    struct stat st;
    if (lstat(path, &st)) {
        printf("%s: %d\n", path, errno);
        return;
    }
    printf("%s:", path);
    tell_stat(&st);
    if (S_ISLNK(st.st_mode)) {
        char target[300];
        ssize_t len = readlink(path, target, sizeof target);
        printf(" -> %.*s", (int)len, target);
    }
    if (S_ISREG(st.st_mode)) {
        int fd = open(path, O_RDONLY | O_NONBLOCK);
        printf(" %llx", (unsigned long long)sum(fd));
        close(fd);
    }
    tell_attributes(path);
    if (S_ISDIR(st.st_mode))
        tell_listing(path);
    printf("\n");
    if (!S_ISDIR(st.st_mode) || depth > 12)
        return;
    DIR *dir = opendir(path);
    static char pool[16][64][300];
    if (!dir)
        return;
    int count = names_of(dir, pool[depth], 64);
    closedir(dir);
    for (int i = 0; i < count; i++) {
        char below[4096];
        *strrchr(pool[depth][i], '/') = 0;
        if (!strcmp(pool[depth][i], ".") || !strcmp(pool[depth][i], ".."))
            continue;
        snprintf(below, sizeof below, "%s/%s", path, pool[depth][i]);
        dump(below, depth + 1);
    }
}

static char top[300];

static void some_path(char *path)
{
    int depth = 1 + upto(3) + (upto(8) == 0);
    path += sprintf(path, "%s", upto(5) ? top : ".");
    // At the most one climbs out of the sequence's own directory.
    int climbs = 0;
    for (int i = 0; i < depth; i++) {
        int climb = upto(30) == 0 && !climbs++;
        path += sprintf(path, "/%s", climb ? ".." : (char[2]){'a' + upto(5), 0});
    }
    if (upto(25) == 0)
        strcpy(path, "/");
}

static int files[3] = {-1, -1, -1};
// Directories that are held open, and by which path they were opened.
static struct { int fd; char path[400]; } held[3] = {{-1, ""}, {-1, ""}, {-1, ""}};

static void told(long done)
{
    if (done < 0)
        printf(" errno %d\n", errno);
    else
        printf(" %ld\n", done);
}

// Tells where a directory is by now, in three ways.
static int where_is(int fd)
{
    char cwd[600], link[600], name[40];
    struct stat by_fd, here, there;
    if (fchdir(fd))
        return -1;
    sprintf(name, "/proc/self/fd/%d", fd);
    char *found = getcwd(cwd, sizeof cwd);
    ssize_t len = found ? readlink(name, link, sizeof link - 1) : -1;
    int same = found && !fstat(fd, &by_fd) && !stat(".", &here) && !stat(cwd, &there)
        && by_fd.st_ino == here.st_ino && here.st_ino == there.st_ino;
    if (chdir(top))
        perror(top);
    if (!found) {
        printf("gone ");
        return -1;
    }
    link[len < 0 ? 0 : len] = 0;
    printf("at %s %s%s", cwd, strcmp(cwd, link) ? link : "", same ? "" : "and another ");
    return 0;
}

static void told_names(DIR *dir)
{
    char names[64][300];
    int count = dir ? names_of(dir, names, 64) : -1;
    for (int i = 0; i < count; i++)
        printf(" %s", names[i]);
    if (dir)
        closedir(dir);
    told(count);
}

static void from_held(const char *path, int slot)
{
    struct stat st;
    int fd = held[slot].fd;
    if (fd >= 0 && where_is(fd) < 0) {
        close(fd);
        fd = -1;
    }
    if (fd < 0) {
        held[slot].fd = open(path, O_RDONLY | O_DIRECTORY | (upto(2) ? O_NOFOLLOW : 0) | (upto(4) ? 0 : O_PATH));
        strcpy(held[slot].path, path);
        printf("hold %s", path);
        told(held[slot].fd < 0 ? -1 : 0);
        return;
    }
    char name[12], buf[400];
    static const char *const forms[] = {"%c", "%c/%c", "./%c", "%c/", "%c/./%c", "."};
    sprintf(name, forms[upto(6)], 'a' + upto(5), 'a' + upto(5));
    printf("held %s %s", held[slot].path, name);
    switch (upto(8)) {
    case 0: {
        int done = fstatat(fd, name, &st, upto(2) ? AT_SYMLINK_NOFOLLOW : 0);
        if (!done)
            tell_stat(&st);
        told(done);
        break;
    }
    case 1: {
        int file = openat(fd, name, O_RDONLY | O_NONBLOCK | (upto(2) ? O_NOFOLLOW : 0));
        if (file >= 0) {
            fstat(file, &st);
            tell_stat(&st);
            if (S_ISREG(st.st_mode))
                printf(" %llx", (unsigned long long)sum(file));
            close(file);
            file = 0;
        }
        told(file);
        break;
    }
    case 2: told(faccessat(fd, name, upto(8), 0)); break;
    case 3: told(readlinkat(fd, name, buf, sizeof buf)); break;
    case 4: {
        int below = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
        told_names(below < 0 ? NULL : fdopendir(below));
        break;
    }
    case 5: told(mkdirat(fd, name, 0755)); break;
    case 6: told(renameat(fd, name, held[upto(3)].fd, "d")); break;
    case 7: {
        // The very descriptor, once more from the beginning.
        lseek(fd, 0, SEEK_SET);
        told_names(fdopendir(dup(fd)));
        break;
    }
    }
}

static void step(void)
{
    char path[400], other[400], buf[400];
    struct stat st;
    some_path(path);
    some_path(other);
    int mode = (const int[]){0644, 0600, 0755, 0700, 0444, 02755, 01777}[upto(7)];
    struct timespec times[2] = {{LONG_AGO / 2, 0}, {upto(2) ? LONG_AGO : LONG_AGO / 2, 5}};
    switch (upto(34)) {
    case 30 ... 33: from_held(path, upto(3)); return;
    case 0 ... 4: {
        int flags = (const int[]){O_RDONLY, O_WRONLY, O_RDWR, O_RDONLY}[upto(4)];
        static const int more[] = {O_CREAT, O_EXCL | O_CREAT, O_TRUNC, O_APPEND, O_DIRECTORY, O_NOFOLLOW, O_PATH};
        for (int i = upto(3); i > 0; i--)
            flags |= more[upto(7)];
        printf("open %s %o", path, flags);
        int fd = open(path, flags | O_NONBLOCK, mode);
        if (fd < 0) {
            told(-1);
            return;
        }
        fstat(fd, &st);
        tell_stat(&st);
        if ((flags & O_ACCMODE) != O_RDONLY && !(flags & O_PATH) && S_ISREG(st.st_mode)) {
            if (upto(3))
                fill(fd);
            if (upto(4) == 0)
                printf(" fallocate %d", posix_fallocate(fd, 5000, 100));
        }
        if (S_ISREG(st.st_mode) && (flags & O_ACCMODE) != O_WRONLY && !(flags & O_PATH)) {
            lseek(fd, 0, SEEK_SET);
            printf(" %llx", (unsigned long long)sum(fd));
        }
        fstat(fd, &st);
        tell_stat(&st);
        printf("\n");
        int slot = upto(3);
        if ((flags & O_ACCMODE) == O_RDWR && S_ISREG(st.st_mode) && !(flags & O_PATH)) {
            if (files[slot] >= 0)
                close(files[slot]);
            files[slot] = fd;
        } else
            close(fd);
        return;
    }
    case 5: printf("mkdir %s", path); told(mkdir(path, mode)); return;
    case 6: printf("rmdir %s", path); told(rmdir(path)); return;
    case 7 ... 8: printf("unlink %s", path); told(unlink(path)); return;
    case 9 ... 12: {
        int flags = (const int[]){0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE}[upto(5)];
        struct stat after;
        int found = lstat(path, &st);
        printf("rename %s %s %d", path, other, flags);
        long done = syscall(SYS_renameat2, AT_FDCWD, path, AT_FDCWD, other, flags);
        if (!done && !found && (st.st_nlink == 1 || S_ISDIR(st.st_mode)) && !lstat(other, &after))
            printf(" %s inode", st.st_ino == after.st_ino ? "same" : "another");
        told(done);
        return;
    }
    case 13: printf("link %s %s", path, other); told(linkat(AT_FDCWD, path, AT_FDCWD, other, upto(2) ? AT_SYMLINK_FOLLOW : 0)); return;
    case 14: printf("symlink %s", path); told(symlink(upto(2) ? "a/b" : other, path)); return;
    case 15: printf("mknod %s", path); told(mknod(path, upto(2) ? S_IFIFO | mode : S_IFREG | mode, 0)); return;
    case 16: printf("chmod %s %o", path, mode); told(chmod(path, mode)); return;
    case 17: printf("chown %s", path); told(upto(2) ? chown(path, upto(3), upto(3)) : lchown(path, upto(3), upto(3))); return;
    case 18: printf("utimens %s", path); told(utimensat(AT_FDCWD, path, times, upto(2) ? AT_SYMLINK_NOFOLLOW : 0)); return;
    case 19: printf("truncate %s", path); told(truncate(path, upto(4000))); return;
    case 20: printf("setxattr %s", path); told(setxattr(path, upto(2) ? "user.a" : "user.b", "value", upto(6), upto(3) ? 0 : XATTR_CREATE)); return;
    case 21: printf("removexattr %s", path); told(removexattr(path, upto(2) ? "user.a" : "user.b")); return;
    case 22: {
        int flags = upto(2) ? AT_SYMLINK_NOFOLLOW : 0;
        int done = fstatat(AT_FDCWD, path, &st, flags);
        printf("stat %s", path);
        if (!done)
            tell_stat(&st);
        told(done);
        return;
    }
    case 23: printf("access %s", path); told(faccessat(AT_FDCWD, path, upto(8), 0)); return;
    case 24: {
        printf("readlink %s", path);
        ssize_t len = readlink(path, buf, sizeof buf);
        printf(" %.*s", len < 0 ? 0 : (int)len, buf);
        // The way there, as realpath(3) asks for it, and a second time.
        for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
            *slash = 0;
            for (int i = 0; i < 2; i++)
                printf(" %s", readlink(path, buf, sizeof buf) < 0 ? strerrorname_np(errno) : "link");
            *slash = '/';
        }
        told(readlink(path, buf, sizeof buf));
        return;
    }
    case 25: printf("list %s", path); tell_listing(path); printf("\n"); return;
    case 26: {
        int fd = open(path, O_RDONLY | O_DIRECTORY | (upto(2) ? O_PATH : 0));
        char name[2] = {'a' + upto(5), 0};
        printf("at %s %s", path, name);
        if (fd < 0) {
            told(-1);
            return;
        }
        switch (upto(5)) {
        case 0: told(mkdirat(fd, name, mode)); break;
        case 1: told(unlinkat(fd, name, upto(2) ? AT_REMOVEDIR : 0)); break;
        case 2: {
            int file = openat(fd, name, O_WRONLY | O_CREAT | O_NONBLOCK, mode);
            if (file >= 0) {
                fstat(file, &st);
                tell_stat(&st);
                close(file);
                file = 0;
            }
            told(file);
            break;
        }
        case 3:
            told(renameat(fd, name, AT_FDCWD, other));
            break;
        case 4: told(fchmodat(fd, name, mode, 0)); break;
        }
        close(fd);
        return;
    }
    case 27: {
        // Where the directory has not been moved: the descriptor of a file that has no
        // copy yet does not tell of that.
        sprintf(path, "./%c", 'a' + upto(5));
        if (!lstat(path, &st) && S_ISLNK(st.st_mode))
            path[2] = 'x';
        int fd = open(path, O_RDONLY | O_NONBLOCK);
        printf("descriptor %s", path);
        if (fd < 0) {
            told(-1);
            return;
        }
        switch (upto(5)) {
        case 0: told(fchmod(fd, mode)); break;
        case 1: told(fchown(fd, upto(3), upto(3))); break;
        case 2: told(futimens(fd, times)); break;
        case 3: told(fsetxattr(fd, "user.a", "by fd", 5, 0)); break;
        case 4: told(fsync(fd)); break;
        }
        if (!lstat(path, &st))
            tell_stat(&st);
        printf("\n");
        close(fd);
        return;
    }
    case 28: {
        int fd = open(path, O_RDWR | O_TMPFILE, mode);
        printf("tmpfile %s", path);
        if (fd >= 0) {
            fill(fd);
            sprintf(buf, "/proc/self/fd/%d", fd);
            printf(" %s", other);
            told(linkat(AT_FDCWD, buf, AT_FDCWD, other, AT_SYMLINK_FOLLOW));
            close(fd);
        } else
            told(fd);
        return;
    }
    default: {
        int fd = files[upto(3)];
        if (fd < 0 || fstat(fd, &st)) {
            char cwd[400];
            printf("chdir %s", path);
            long done = chdir(path);
            printf(" %s", getcwd(cwd, sizeof cwd) ? cwd : "nowhere");
            told(done);
            if (chdir(top))
                perror(top);
            return;
        }
        printf("file");
        tell_stat(&st);
        switch (upto(4)) {
        case 0: lseek(fd, 0, SEEK_END); fill(fd); break;
        case 1: told(ftruncate(fd, upto(3000))); break;
        case 2: told(fchmod(fd, mode)); break;
        case 3: {
            char *map = mmap(0, 100, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
            if (st.st_size > 100 && map != MAP_FAILED)
                memcpy(map, "mapped", 6);
            munmap(map, 100);
            break;
        }
        }
        lseek(fd, 0, SEEK_SET);
        printf(" %llx\n", (unsigned long long)sum(fd));
        return;
    }
    }
}

int main(int argc, char **argv)
{
    umask(022);
    static char out[1 << 20];
    setvbuf(stdout, out, _IOFBF, sizeof out);
    if (argc > 4 && !strcmp(argv[1], "make")) {
        make(argv[2], strtoull(argv[3], 0, 0), atoi(argv[4]));
        return 0;
    }
    if (argc > 2 && !strcmp(argv[1], "dump")) {
        dump(argv[2], 0);
        return 0;
    }
    if (argc < 7)
        return 2;
    uint64_t seed = strtoull(argv[3], 0, 0);
    find_limit();
    int first = atoi(argv[4]), count = atoi(argv[5]), steps = atoi(argv[6]);
    for (int number = first; number < first + count; number++) {
        state = seed * 7000003 + number;
        snprintf(top, sizeof top, "%s/p/q/s%d", argv[2], number);
        printf("sequence %d\n", number);
        if (chdir(top))
            printf("chdir: %d\n", errno);
        for (int i = 0; i < steps; i++) {
            printf("%d.%d ", number, i);
            step();
        }
        for (int i = 0; i < 3; i++) {
            if (files[i] >= 0)
                close(files[i]);
            files[i] = -1;
            if (held[i].fd >= 0)
                close(held[i].fd);
            held[i].fd = -1;
        }
        if (chdir("/"))
            return 3;
        dump(top, 0);
    }
    return 0;
}
