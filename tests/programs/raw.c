// System calls by the instruction itself, without libc's symbols.
//
//     raw bad GOOD        every call on a path with pointers that lead nowhere;
//                         GOOD is a path for the calls that take two
//     raw numbers         call numbers that no kernel has
//     raw masks           what comes back of SIGSYS in masks and actions
//     raw self            what /proc says of this process
//     raw exec PATH...    how execve(2) refuses each path
//     raw old             int 0x80
#define _GNU_SOURCE
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static long raw(long number, long a, long b, long c, long d, long e, long f) {
    long result;
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

static const struct {
    const char *name;
    long number;
    // For each argument: p a path, d a directory, 0 and 1 numbers, b a buffer.
    const char *arguments;
} calls[] = {
    {"open", SYS_open, "p00"}, {"openat", SYS_openat, "dp00"}, {"openat2", SYS_openat2, "dpb8"},
    {"creat", SYS_creat, "p0"}, {"stat", SYS_stat, "pb"}, {"lstat", SYS_lstat, "pb"},
    {"newfstatat", SYS_newfstatat, "dpb0"}, {"statx", SYS_statx, "dp00b"}, {"access", SYS_access, "p0"},
    {"faccessat", SYS_faccessat, "dp0"}, {"faccessat2", SYS_faccessat2, "dp00"},
    {"readlink", SYS_readlink, "pb9"}, {"readlinkat", SYS_readlinkat, "dpb9"}, {"statfs", SYS_statfs, "pb"},
    {"getxattr", SYS_getxattr, "pbb9"}, {"lgetxattr", SYS_lgetxattr, "pbb9"}, {"listxattr", SYS_listxattr, "pb9"},
    {"setxattr", SYS_setxattr, "pbb90"}, {"removexattr", SYS_removexattr, "pb"}, {"mkdir", SYS_mkdir, "p0"},
    {"mkdirat", SYS_mkdirat, "dp0"}, {"mknod", SYS_mknod, "p00"}, {"mknodat", SYS_mknodat, "dp00"},
    {"symlink", SYS_symlink, "pp"}, {"symlinkat", SYS_symlinkat, "pdp"}, {"link", SYS_link, "pp"},
    {"linkat", SYS_linkat, "dpdp0"}, {"unlink", SYS_unlink, "p"}, {"unlinkat", SYS_unlinkat, "dp0"},
    {"rmdir", SYS_rmdir, "p"}, {"rename", SYS_rename, "pp"}, {"renameat", SYS_renameat, "dpdp"},
    {"renameat2", SYS_renameat2, "dpdp0"}, {"chmod", SYS_chmod, "p0"}, {"fchmodat", SYS_fchmodat, "dp0"},
    {"chown", SYS_chown, "p00"}, {"lchown", SYS_lchown, "p00"}, {"fchownat", SYS_fchownat, "dp000"},
    {"utime", SYS_utime, "pb"}, {"utimes", SYS_utimes, "pb"}, {"futimesat", SYS_futimesat, "dpb"},
    {"utimensat", SYS_utimensat, "dpb0"}, {"truncate", SYS_truncate, "p0"}, {"chdir", SYS_chdir, "p"},
    {"getcwd", SYS_getcwd, "b9"}, {"inotify_add_watch", SYS_inotify_add_watch, "0p1"},
    {"name_to_handle_at", SYS_name_to_handle_at, "dpbb0"}, {"execve", SYS_execve, "pbb"},
    {"execveat", SYS_execveat, "dpbb0"}, {"bind", SYS_bind, "0b9"}, {"connect", SYS_connect, "0b9"},
    {"sendto", SYS_sendto, "0b90b9"}, {"sendmsg", SYS_sendmsg, "0b0"}, {"recvmsg", SYS_recvmsg, "0b0"},
    {"getsockname", SYS_getsockname, "0bb"}, {"accept4", SYS_accept4, "0bb0"}, {"getdents64", SYS_getdents64, "0b9"},
    {"rt_sigaction", SYS_rt_sigaction, "1bb8"}, {"rt_sigprocmask", SYS_rt_sigprocmask, "0bb8"},
    {"rt_sigsuspend", SYS_rt_sigsuspend, "b8"}, {"ppoll", SYS_ppoll, "b1bb8"}, {"pselect6", SYS_pselect6, "1bbbbb"},
    {"epoll_pwait", SYS_epoll_pwait, "0b11b8"}, {"epoll_pwait2", 441, "0b1bb8"}, {"llistxattr", SYS_llistxattr, "pb9"},
    {"lsetxattr", SYS_lsetxattr, "pbb90"}, {"lremovexattr", SYS_lremovexattr, "pb"}, {"fchmodat2", 452, "dp00"},
    {"fsetxattr", SYS_fsetxattr, "0bb90"}, {"fremovexattr", SYS_fremovexattr, "0b"}, {"sendmmsg", SYS_sendmmsg, "0b10"},
    {"recvmmsg", SYS_recvmmsg, "0b10b"}, {"recvfrom", SYS_recvfrom, "0b90bb"}, {"getpeername", SYS_getpeername, "0bb"},
    {"accept", SYS_accept, "0bb"}, {"fanotify_mark", SYS_fanotify_mark, "001dp"}, {"seccomp", SYS_seccomp, "10b"},
};

static void bad(const char *good) {
    // A page that can only be read, the last byte before one that is not there, and one that may not be touched.
    char *pages = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pages[2 * 4096 - 1] = 'x';
    mprotect(pages, 4096, PROT_READ);
    munmap(pages + 2 * 4096, 4096);
    mprotect(pages + 3 * 4096, 4096, PROT_NONE);
    const long nowhere[] = {0, 1, 0x7e00dead0000, 0x7fffffffffff, -1, (long)0xffff800000000000,
                            (long)pages, (long)pages + 2 * 4096 - 1, (long)pages + 3 * 4096};
    static char room[65536];
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        for (size_t n = 0; n < sizeof nowhere / sizeof *nowhere; n++)
            // Each pointer alone is bad, and all together.
            for (int which = -1; which < (int)strlen(calls[i].arguments); which++) {
                long words[6] = {0};
                for (int k = 0; calls[i].arguments[k]; k++) switch (calls[i].arguments[k]) {
                    case 'p': words[k] = which < 0 || which == k ? nowhere[n] : (long)good; break;
                    case 'b': words[k] = which < 0 || which == k ? nowhere[n] : (long)room; break;
                    case 'd': words[k] = AT_FDCWD; break;
                    case '1': words[k] = 1; break;
                    case '8': words[k] = 8; break;
                    case '9': words[k] = 4096; break;
                    }
                if (which >= 0 && !strchr("pb", calls[i].arguments[which])) continue;
                // No pointer at all is a good answer to some, which would change the file.
                if (which > 0 && n == 0 && strstr(calls[i].name, "utim")) continue;
                fflush(stdout);
                pid_t child = fork();
                if (child == 0) {
                    ualarm(200000, 0); // what waits for ever natively does so in the view
                    long answer = raw(calls[i].number, words[0], words[1], words[2], words[3], words[4], words[5]);
                    ualarm(0, 0);
                    printf("%s %zu %d: %s\n", calls[i].name, n, which, answer < 0 ? strerrorname_np(-answer) : "ok");
                    fflush(stdout);
                    _exit(0);
                }
                int status;
                waitpid(child, &status, 0);
                if (status) printf("%s %zu %d: status %#x\n", calls[i].name, n, which, status);
            }
}

static void numbers(void) {
    static const long none[] = {471 + 500, 1000, 100000, 0x3fffffff, 0x7fffffff, -2, -1, 512, 0x80000000L, 0x100000000L + 1000,
                                0x40000000L + SYS_openat, 0x40000000L + SYS_getpid};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        printf("%ld: %ld\n", none[i], raw(none[i], 1, 2, 3, 4, 5, 6));
}

static void on_sys(int signal, siginfo_t *info, void *context) {
    printf("handler: signal %d code %d\n", signal, info->si_code);
    (void)context;
}

static void masks(void) {
    sigset_t set, old;
    sigemptyset(&set);
    sigaddset(&set, SIGSYS);
    sigprocmask(SIG_BLOCK, &set, NULL);
    sigprocmask(SIG_SETMASK, NULL, &old);
    printf("blocked %d\n", sigismember(&old, SIGSYS));
    printf("open: %d\n", open("/etc/passwd", O_RDONLY) >= 0);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    sigprocmask(SIG_SETMASK, NULL, &old);
    printf("unblocked %d\n", sigismember(&old, SIGSYS));
    struct sigaction action = {.sa_sigaction = on_sys, .sa_flags = SA_SIGINFO}, before;
    sigfillset(&action.sa_mask);
    sigaction(SIGSYS, &action, &before);
    printf("before %d\n", before.sa_handler == SIG_DFL);
    sigaction(SIGSYS, NULL, &before);
    printf("after %d\n", before.sa_sigaction == on_sys);
    raise(SIGSYS);
    printf("open: %d\n", open("/etc/passwd", O_RDONLY) >= 0);
    action.sa_handler = SIG_IGN;
    sigaction(SIGSYS, &action, NULL);
    raise(SIGSYS);
    printf("open: %d\n", open("/etc/passwd", O_RDONLY) >= 0);
    sigaction(SIGUSR1, &(struct sigaction){.sa_sigaction = on_sys, .sa_flags = SA_SIGINFO | SA_RESETHAND}, NULL);
    raise(SIGUSR1);
    sigaction(SIGUSR1, NULL, &before);
    printf("once %d\n", before.sa_handler == SIG_DFL);
    action.sa_handler = SIG_DFL;
    sigaction(SIGSYS, &action, NULL);
    fflush(stdout);
    raise(SIGSYS);
    printf("not reached\n");
}

static void dump(const char *file) {
    char text[65536];
    int fd = open(file, O_RDONLY);
    ssize_t size = read(fd, text, sizeof text);
    close(fd);
    for (ssize_t i = 0; i < size; i++) putchar(text[i] ? text[i] : '\n');
}

static void self(void) {
    char link[4096];
    ssize_t size = readlink("/proc/self/exe", link, sizeof link);
    printf("exe %.*s\n", (int)size, link);
    dump("/proc/self/comm");
    dump("/proc/self/cmdline");
    dump("/proc/self/environ");
    printf("execfn %s\n", (char *)getauxval(AT_EXECFN));
    printf("entry %d base %d phdr %d secure %lu\n", getauxval(AT_ENTRY) != 0, getauxval(AT_BASE) != 0,
           getauxval(AT_PHDR) != 0, getauxval(AT_SECURE));
    printf("stack %lu\n", (unsigned long)__builtin_frame_address(0) % 16);
    char *start = sbrk(0);
    printf("heap grows %d\n", sbrk(1 << 20) == start);
    DIR *dir = opendir("/proc/self/fd");
    for (struct dirent *entry; (entry = readdir(dir));) printf("fd %s\n", entry->d_name);
    for (int i = 1; i < 65; i++) {
        struct sigaction action;
        if (!sigaction(i, NULL, &action) && action.sa_handler != SIG_DFL) printf("signal %d\n", i);
    }
}

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    if (!strcmp(argv[1], "bad")) return bad(argv[2]), 0;
    if (!strcmp(argv[1], "numbers")) return numbers(), 0;
    if (!strcmp(argv[1], "masks")) return masks(), 0;
    if (!strcmp(argv[1], "self")) return self(), 0;
    if (!strcmp(argv[1], "old")) {
        long answer;
        __asm__ volatile("int $0x80" : "=a"(answer) : "a"(20) : "memory");
        return printf("getpid %d\n", answer == getpid()), 0;
    }
    for (int i = 2; i < argc; i++) {
        char *words[] = {argv[i], NULL};
        printf("%s: %s\n", argv[i], strerrorname_np(-raw(SYS_execve, (long)argv[i], (long)words, (long)environ, 0, 0, 0)));
    }
    return 0;
}
