// A program's own seccomp filters: what calls answer under them, by SIGSYS,
// errors and deaths.
//
//     seccomp PATH        PATH is a file, which some children try to remove in vain
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *path;

// One rule: `number` gets `action`, all else is allowed.
static int install(unsigned nr, unsigned action, unsigned flags) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, action),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

static void try(const char *what) {
    int fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY);
    printf("%s: openat %s\n", what, fd < 0 ? strerrorname_np(errno) : "ok");
    if (fd >= 0) close(fd);
    struct stat about;
    printf("%s: stat %d\n", what, stat(path, &about));
    fflush(stdout);
}

static void on_sys(int signal, siginfo_t *info, void *context) {
    sigset_t now;
    sigprocmask(SIG_BLOCK, NULL, &now);
    printf("SIGSYS: %d code %d errno %d call %d arch %x blocked %d\n", signal, info->si_code, info->si_errno, info->si_syscall,
           info->si_arch, sigismember(&now, SIGSYS));
    ucontext_t *registers = context;
    registers->uc_mcontext.gregs[REG_RAX] = -EXDEV;
}

static void in_child(const char *what, void (*run)(void)) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        run();
        fflush(stdout);
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    printf("%s: status %#x\n", what, status & ~0x80);
}

static void refuse(void) { printf("%d\n", install(SYS_openat, SECCOMP_RET_ERRNO | EPERM, 0)); for (int i = 0; i < 3; i++) try("errno"); }
static void refuse_often(void) {
    // The call's site is rewritten before there is a filter.
    for (int i = 0; i < 40; i++) close(syscall(SYS_openat, AT_FDCWD, path, O_RDONLY)), open(path, O_RDONLY | O_CLOEXEC);
    install(SYS_openat, SECCOMP_RET_ERRNO | ENOSYS, 0);
    printf("open %d\n", open(path, O_RDONLY)), perror("open");
    try("often");
}
static void trap(void) {
    sigaction(SIGSYS, &(struct sigaction){.sa_sigaction = on_sys, .sa_flags = SA_SIGINFO}, NULL);
    for (int i = 0; i < 40; i++) close(open(path, O_RDONLY | O_CLOEXEC));
    install(SYS_openat, SECCOMP_RET_TRAP | 77, 0);
    try("trap");
    printf("open %d\n", open(path, O_RDONLY)), perror("open");
}
static void trap_unhandled(void) { install(SYS_openat, SECCOMP_RET_TRAP, 0); try("trap"); }
static void end(void) { install(SYS_openat, SECCOMP_RET_KILL_PROCESS, 0); try("kill"); }
static void end_often(void) {
    for (int i = 0; i < 40; i++) close(open(path, O_RDONLY | O_CLOEXEC));
    install(SYS_openat, SECCOMP_RET_KILL_PROCESS, 0);
    open(path, O_RDONLY);
    printf("lives\n");
}
static void end_ours(void) {
    // What the gate calls in the program's place is not the program's call.
    static const int its[] = {SYS_openat2, SYS_rt_sigprocmask, SYS_rt_tgsigqueueinfo, SYS_readlink, SYS_readlinkat, SYS_mmap, SYS_mprotect,
                              SYS_faccessat, SYS_faccessat2, SYS_execveat, SYS_getpid, SYS_gettid, SYS_statx, SYS_fcntl};
    printf("before\n"), fflush(stdout);
    for (size_t i = 0; i < sizeof its / sizeof *its; i++) install(its[i], SECCOMP_RET_KILL_PROCESS, 0);
    for (int i = 0; i < 3; i++) try("kill ours");
}
static void strict(void) {
    printf("mode %d\n", prctl(PR_GET_SECCOMP)), fflush(stdout);
    printf("strict %d\n", prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0)), fflush(stdout);
    syscall(SYS_exit, 0);
}
static void strict_exit(void) { prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0); write(1, "strict\n", 7); syscall(SYS_exit, 5); }
static void strict_open(void) { prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0); write(1, "open\n", 5); open(path, O_RDONLY); }
static void nested(void) {
    install(SYS_openat, SECCOMP_RET_ERRNO | EPERM, 0);
    install(SYS_newfstatat, SECCOMP_RET_ERRNO | EXDEV, 0);
    install(SYS_openat, SECCOMP_RET_LOG, 0);
    try("nested");
    printf("mode %d\n", prctl(PR_GET_SECCOMP));
}
static void over_exec(void) {
    install(SYS_unlink, SECCOMP_RET_ERRNO | EXDEV, 0);
    install(SYS_unlinkat, SECCOMP_RET_ERRNO | EXDEV, 0);
    execlp("rm", "rm", path, NULL);
}
static void *other(void *gate) { pthread_barrier_wait(gate); pthread_barrier_wait(gate); try("other thread"); return NULL; }
static void threads(unsigned flags) {
    pthread_barrier_t gate;
    pthread_t thread;
    pthread_barrier_init(&gate, NULL, 2);
    pthread_create(&thread, NULL, other, &gate);
    pthread_barrier_wait(&gate);
    printf("%d\n", install(SYS_openat, SECCOMP_RET_ERRNO | EPERM, flags));
    pthread_barrier_wait(&gate);
    pthread_join(thread, NULL);
    try("this thread");
}
static void alone(void) { threads(0); }
static void together(void) { threads(SECCOMP_FILTER_FLAG_TSYNC); }
static void questions(void) {
    unsigned actions[] = {SECCOMP_RET_TRAP, SECCOMP_RET_ERRNO, SECCOMP_RET_USER_NOTIF, 0x12340000};
    for (int i = 0; i < 4; i++) printf("available %ld\n", syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &actions[i]));
    for (unsigned flag = 0; flag < 8; flag++) printf("flag %u: %ld %s\n", flag, syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 1 << flag, NULL), strerrorname_np(errno));
    struct sock_filter wrong = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 3);
    struct sock_fprog program = {1, &wrong}, bad = {1, (void *)8}, none = {0, &wrong}, many = {5000, &wrong};
    struct sock_fprog *all[] = {&program, &bad, &none, &many, (void *)8};
    for (int i = 0; i < 5; i++) printf("bad %d: %ld %s\n", i, syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, all[i]), strerrorname_np(errno));
    printf("%d %s\n", prctl(PR_SET_SECCOMP, 7, 0, 0, 0), strerrorname_np(errno));
    printf("mode %d\n", prctl(PR_GET_SECCOMP));
}

static void unheard(void) {
    printf("%d\n", install(SYS_openat, SECCOMP_RET_USER_NOTIF, 0));
    try("unheard");
}
static void untraced(void) { printf("%d\n", install(SYS_openat, SECCOMP_RET_TRACE | 7, 0)), try("untraced"); }
static void logged(void) { printf("%d\n", install(SYS_openat, SECCOMP_RET_LOG, SECCOMP_FILTER_FLAG_LOG)), try("logged"); }
static void *asks(void *file) {
    char read_back[64];
    for (int i = 0; i < 20; i++) *(long *)file += syscall(SYS_sysinfo, read_back) == 4711, close(open(path, O_RDONLY));
    return NULL;
}
// A listener of its own, for a call that the gate leaves alone.
static void heard(void) {
    int listener = install(SYS_sysinfo, SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER);
    printf("listener %d\n", listener >= 0);
    pthread_t thread;
    long answered = 0;
    pthread_create(&thread, NULL, asks, &answered);
    for (int i = 0; i < 20; i++) {
        struct seccomp_notif asked = {0};
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &asked)) perror("receive");
        struct seccomp_notif_resp answer = {asked.id, 4711, 0, 0};
        if (asked.data.nr != SYS_sysinfo || ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer)) perror("send");
    }
    pthread_join(thread, NULL);
    printf("answered %ld\n", answered);
}
// One that is to be asked about opens to write alone.
static void listens_to_opens(void) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, SYS_openat, 0, 3),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, SYS_openat, 2, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_WRONLY, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    long done = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
    printf("%s\n", done < 0 ? strerrorname_np(errno) : "a listener");
    try("refused");
}

int main(int argc, char **argv) {
    path = argv[1];
    if (argc > 2) return in_child("listens", listens_to_opens), 0;
    in_child("refuse", refuse); in_child("refuse often", refuse_often); in_child("trap", trap); in_child("trap unhandled", trap_unhandled);
    in_child("end", end); in_child("end often", end_often); in_child("end ours", end_ours); in_child("strict", strict);
    in_child("strict exit", strict_exit); in_child("strict open", strict_open); in_child("nested", nested); in_child("over exec", over_exec); in_child("alone", alone);
    in_child("together", together); in_child("questions", questions);
    in_child("unheard", unheard); in_child("untraced", untraced); in_child("logged", logged); in_child("heard", heard);
    in_child("again", refuse);
    return 0;
}
