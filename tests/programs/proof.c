// What a program sees of its files, its process and its machine.
//
//     proof CHECK WORD...
//
// does one check and prints one line: what it saw, or the name of the error.
// bench/src/conformance/rows.rs says what each ought to print. A check that asks for
// more than files and ids is in proof_host.c.
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <grp.h>
#include <limits.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef PLAIN
// Another libc than glibc has no names for errors.
#define strerrorname_np(number) ((number) == EPERM ? "EPERM" : (number) == EACCES ? "EACCES" : (number) == ENOENT ? "ENOENT" : "an error")
#endif


static int fail(void) { return printf("%s\n", strerrorname_np(errno)), 0; }
static int say(const char *what) { return printf("%s\n", what), 0; }

// The first line that a descriptor has.
static int first_line(int fd) {
    char text[256];
    ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (got < 0) return fail();
    text[got] = 0;
    text[strcspn(text, "\n")] = 0;
    return say(text);
}

static int by_open(char **w) { return first_line(open(w[0], O_RDONLY)); }

static int by_fopen(char **w) {
    char line[256];
    FILE *file = fopen(w[0], "re");
    if (!file) return fail();
    if (!fgets(line, sizeof line, file)) return say("");
    line[strcspn(line, "\n")] = 0;
    return say(line);
}

// What a line KEY=VALUE of a file says, without the quotes that it may have (os-release(5)).
static int value(char **w) {
    char line[256];
    size_t size = strlen(w[1]);
    FILE *file = fopen(w[0], "re");
    if (!file) return fail();
    while (fgets(line, sizeof line, file))
        if (!strncmp(line, w[1], size) && line[size] == '=') {
            char *text = line + size + 1;
            text += *text == '"';
            text[strcspn(text, "\"\n")] = 0;
            return say(text);
        }
    return say("none");
}

static long raw(long number, long a, long b, long c, long d) {
    long answer;
    register long fourth __asm__("r10") = d;
    __asm__ volatile("syscall" : "=a"(answer) : "0"(number), "D"(a), "S"(b), "d"(c), "r"(fourth) : "rcx", "r11", "memory");
    return answer;
}

static int by_number(char **w) {
    long fd = raw(SYS_openat, AT_FDCWD, (long)w[0], O_RDONLY, 0);
    if (fd < 0) errno = -fd;
    return first_line(fd < 0 ? -1 : (int)fd);
}

static int by_parent(char **w) {
    int dir = open(w[0], O_PATH | O_DIRECTORY);
    return dir < 0 ? fail() : first_line(openat(dir, w[1], O_RDONLY));
}

static int by_directory(char **w) { return chdir(w[0]) ? fail() : first_line(open(w[1], O_RDONLY)); }

static int by_mapping(char **w) {
    char line[64] = "";
    int fd = open(w[0], O_RDONLY);
    char *text = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
    if (text == MAP_FAILED) return fail();
    strncpy(line, text, sizeof line - 1);
    line[strcspn(line, "\n")] = 0;
    return say(line);
}

static int size(char **w) {
    struct stat about;
    return stat(w[0], &about) ? fail() : (printf("%ld\n", (long)about.st_size), 0);
}

static int mode(char **w) {
    struct stat about;
    return lstat(w[0], &about) ? fail() : (printf("%o %u:%u\n", about.st_mode & 07777, about.st_uid, about.st_gid), 0);
}

static int link_text(char **w) {
    char text[PATH_MAX];
    ssize_t got = readlink(w[0], text, sizeof text - 1);
    if (got < 0) return fail();
    text[got] = 0;
    return say(text);
}

static int working_directory(char **w) {
    char text[PATH_MAX];
    if (chdir(w[0])) return fail();
    return getcwd(text, sizeof text) ? say(text) : fail();
}

static int proc_directory(char **w) { return chdir(w[0]) ? fail() : link_text((char *[]){"/proc/self/cwd"}); }

static int proc_descriptor(char **w) {
    char name[64];
    int fd = open(w[0], O_RDONLY);
    if (fd < 0) return fail();
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    return link_text((char *[]){name});
}

static int resolved(char **w) {
    char text[PATH_MAX];
    return realpath(w[0], text) ? say(text) : fail();
}

static int by_name(const void *a, const void *b) { return strcmp(*(char **)a, *(char **)b); }

static int names(char **w) {
    char *seen[64];
    size_t count = 0;
    DIR *dir = opendir(w[0]);
    if (!dir) return fail();
    for (struct dirent *entry; count < 64 && (entry = readdir(dir));)
        if (entry->d_name[0] != '.') seen[count++] = strdup(entry->d_name);
    closedir(dir);
    qsort(seen, count, sizeof *seen, by_name);
    for (size_t i = 0; i < count; i++) printf("%s%s", i ? " " : "", seen[i]);
    return say("");
}

static int walked;
static int walk(const char *path, const struct stat *about, int kind, struct FTW *place) { return walked++, 0; }
static int count_of_walk(char **w) { return nftw(w[0], walk, 8, FTW_PHYS) ? fail() : (printf("%d\n", walked), 0); }

static int count_of_glob(char **w) {
    glob_t found;
    int failed = glob(w[0], 0, NULL, &found);
    return printf("%zu\n", failed ? 0 : found.gl_pathc), 0;
}

static int written(char **w) {
    int fd = open(w[0], O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (fd < 0) return fail();
    return write(fd, w[1], strlen(w[1])) < 0 || close(fd) ? fail() : say("written");
}

static int made_temporary(char **w) {
    int fd = mkstemp(w[0]);
    return fd < 0 ? fail() : unlink(w[0]) ? fail() : say("made");
}

static int renamed(char **w) { return rename(w[0], w[1]) ? fail() : say("renamed"); }
static int linked(char **w) { return link(w[0], w[1]) ? fail() : say("linked"); }
static int unlinked(char **w) { return unlink(w[0]) ? fail() : access(w[0], F_OK) ? fail() : say("still there"); }
static int changed_mode(char **w) { return chmod(w[0], strtol(w[1], NULL, 8)) ? fail() : mode(w); }
static int changed_owner(char **w) { return lchown(w[0], atoi(w[1]), atoi(w[2])) ? fail() : mode(w); }

static int same_number(char **w) {
    struct stat before, after;
    if (stat(w[0], &before)) return fail();
    int fd = open(w[0], O_WRONLY | O_APPEND);
    if (fd < 0 || write(fd, "x\n", 2) < 0 || stat(w[0], &after)) return fail();
    return say(before.st_ino == after.st_ino && before.st_dev == after.st_dev ? "same" : "another");
}

// A directory is emptied, removed and made again: what was below must not come back.
static int made_again(char **w) {
    DIR *dir = opendir(w[0]);
    if (!dir) return fail();
    for (struct dirent *entry; (entry = readdir(dir));)
        if (entry->d_name[0] != '.') unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
    return rmdir(w[0]) || mkdir(w[0], 0755) ? fail() : (fputs("empty:", stdout), names(w));
}

static int kept_open(char **w) {
    int fd = open(w[0], O_RDONLY), other = open(w[0], O_WRONLY | O_TRUNC);
    if (fd < 0 || other < 0 || write(other, "new\n", 4) < 0 || close(other)) return fail();
    return by_open(w);
}

static int socket_name(char **w) {
    struct sockaddr_un name = {.sun_family = AF_UNIX}, told = {0};
    socklen_t size = sizeof told;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    strncpy(name.sun_path, w[0], sizeof name.sun_path - 1);
    unlink(w[0]);
    if (bind(fd, (void *)&name, sizeof name) || getsockname(fd, (void *)&told, &size)) return fail();
    unlink(w[0]);
    return say(told.sun_path);
}

static int watched(char **w) {
    char event[4096];
    int fd = inotify_init1(IN_NONBLOCK);
    if (inotify_add_watch(fd, w[0], IN_CREATE) < 0) return fail();
    int made = open(w[1], O_CREAT | O_WRONLY, 0600);
    if (made < 0 || unlink(w[1])) return fail();
    return read(fd, event, sizeof event) > 0 ? say("told") : fail();
}

static int loaded(char **w) {
    void *library = dlopen(w[0], RTLD_NOW);
    return say(library ? "loaded" : "not loaded");
}

static int own_name(char **w) { return link_text((char *[]){"/proc/self/exe"}); }

// The words after the first are started in the way that the first names.
static int started(char **w) {
    char *bare[] = {NULL}, **words = w + 1;
    int status;
    pid_t child = 0;
    fflush(stdout);
    if (!strcmp(w[0], "exec-bare")) return execve(words[0], words, bare), fail();
    if (!strcmp(w[0], "exec-path")) return setenv("PATH", words[0], 1), execvp(words[1], words + 1), fail();
    if (!strcmp(w[0], "clearenv")) return clearenv(), execv(words[0], words), fail();
    if (!strcmp(w[0], "closed")) return syscall(SYS_close_range, 3, ~0u, 0), execv(words[0], words), fail();
    if (!strcmp(w[0], "spawn")) {
        if ((errno = posix_spawn(&child, words[0], NULL, NULL, words, bare))) return fail();
    } else if (!strcmp(w[0], "system")) {
        return system(words[0]) ? fail() : 0;
    } else if (!strcmp(w[0], "vfork")) {
        if (!(child = vfork())) {
            execve(words[0], words, bare);
            _exit(127);
        }
    } else if (!(child = fork())) {
        execv(words[0], words);
        _exit(127);
    }
    return waitpid(child, &status, 0) == child && !status ? 0 : say("not started");
}

static int ids(char **w) {
    uid_t r, e, s;
    gid_t gr, ge, gs;
    return getresuid(&r, &e, &s) || getresgid(&gr, &ge, &gs) ? fail() : (printf("%u %u %u %u %u %u\n", r, e, s, gr, ge, gs), 0);
}

static int ids_by_number(char **w) { return printf("%ld %ld\n", raw(SYS_getuid, 0, 0, 0, 0), raw(SYS_geteuid, 0, 0, 0, 0)), 0; }

// A daemon: root becomes an ordinary user, and cannot come back.
static int dropped(char **w) {
    if (setgroups(0, NULL) || setgid(atoi(w[0])) || setuid(atoi(w[0]))) return fail();
    int back = setuid(0);
    printf("%u, back: %s; ", getuid(), back ? strerrorname_np(errno) : "root");
    return ids(w);
}

static void *ask_from_thread(void *unused) { return (void *)(long)geteuid(); }

// What one thread becomes all are.
static int dropped_by_thread(char **w) {
    pthread_t thread;
    void *told;
    if (setuid(atoi(w[0]))) return fail();
    return pthread_create(&thread, NULL, ask_from_thread, NULL) || pthread_join(thread, &told) ? fail() : (printf("%ld\n", (long)told), 0);
}

static int dropped_and_open(char **w) {
    if (setgroups(0, NULL) || setgid(atoi(w[0])) || setuid(atoi(w[0]))) return fail();
    return by_open(w + 1);
}

static int node(char **w) {
    struct stat about;
    if (mknod(w[0], S_IFCHR | 0600, 0x103) || lstat(w[0], &about)) return fail();
    return printf("%s %lx\n", S_ISCHR(about.st_mode) ? "character device" : "another", (long)about.st_rdev), 0;
}

static void *open_in_thread(void *words) { return (void *)(long)by_open(words); }

static int by_thread(char **w) {
    pthread_t thread;
    return pthread_create(&thread, NULL, open_in_thread, w) || pthread_join(thread, NULL) ? fail() : 0;
}

static char **handled;
static void handler(int signal) { by_open(handled); }
static int by_signal(char **w) { return handled = w, signal(SIGUSR1, handler), raise(SIGUSR1); }

// What an instance writes another must not read, though both run at once.
static int shared(char **w) {
    int fd = open(w[0], O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, w[1], strlen(w[1])) < 0 || close(fd)) return fail();
    nanosleep(&(struct timespec){0, 300000000}, NULL);
    return by_open(w);
}

static const struct {
    const char *name;
    int (*check)(char **);
} checks[] = {
    {"open", by_open}, {"value", value}, {"fopen", by_fopen}, {"raw", by_number}, {"parent", by_parent}, {"relative", by_directory},
    {"mapping", by_mapping}, {"size", size}, {"mode", mode}, {"readlink", link_text}, {"getcwd", working_directory},
    {"proc-cwd", proc_directory}, {"proc-fd", proc_descriptor}, {"realpath", resolved}, {"names", names},
    {"walk", count_of_walk}, {"glob", count_of_glob}, {"write", written}, {"mkstemp", made_temporary},
    {"rename", renamed}, {"link", linked}, {"unlink", unlinked}, {"chmod", changed_mode}, {"chown", changed_owner},
    {"same-inode", same_number}, {"remake", made_again}, {"truncate", kept_open}, {"socket", socket_name},
    {"inotify", watched}, {"dlopen", loaded}, {"exe", own_name}, {"start", started}, {"ids", ids}, {"raw-ids", ids_by_number},
    {"drop", dropped}, {"drop-thread", dropped_by_thread}, {"drop-open", dropped_and_open}, {"mknod", node},
    {"thread", by_thread}, {"signal", by_signal}, {"shared", shared},
};

int main(int argc, char **argv) {
    for (size_t i = 0; argc > 1 && i < sizeof checks / sizeof *checks; i++)
        if (!strcmp(checks[i].name, argv[1])) return checks[i].check(argv + 2) | fflush(stdout);
    return fprintf(stderr, "proof CHECK WORD...\n"), 2;
}
