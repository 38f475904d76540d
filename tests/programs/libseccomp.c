// A filter made by libseccomp, with every action that it has, one after the
// other in children.
//
//     libseccomp PATH     PATH is a file
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *path;

static void on_sys(int signal, siginfo_t *info, void *context) {
    printf("SIGSYS call %d code %d errno %d\n", info->si_syscall, info->si_code, info->si_errno);
}

static void act(unsigned action, unsigned otherwise) {
    sigaction(SIGSYS, &(struct sigaction){.sa_sigaction = on_sys, .sa_flags = SA_SIGINFO}, NULL);
    scmp_filter_ctx filter = seccomp_init(otherwise);
    // Writing opens, and one directory's making by its mode.
    int done = seccomp_rule_add(filter, action, SCMP_SYS(openat), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, O_ACCMODE, O_WRONLY));
    done |= seccomp_rule_add(filter, action, SCMP_SYS(mkdir), 1, SCMP_A1(SCMP_CMP_EQ, 0711));
    done |= seccomp_rule_add(filter, action, SCMP_SYS(sysinfo), 0);
    printf("rules %d load %d\n", done, seccomp_load(filter));
    seccomp_release(filter);
    char room[256];
    for (int i = 0; i < 2; i++) {
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        printf("write: %s\n", fd < 0 ? strerrorname_np(errno) : "ok");
        fd = open(path, O_RDONLY | O_CLOEXEC);
        printf("read: %s\n", fd < 0 ? strerrorname_np(errno) : "ok");
        printf("mkdir: %s\n", mkdir(path, 0711) ? strerrorname_np(errno) : "ok");
        printf("mkdir: %s\n", mkdir(path, 0755) ? strerrorname_np(errno) : "ok");
        printf("sysinfo: %ld\n", syscall(SYS_sysinfo, room));
        fflush(stdout);
    }
}

int main(int argc, char **argv) {
    path = argv[1];
    const struct { const char *name; unsigned action, otherwise; } all[] = {
        {"errno", SCMP_ACT_ERRNO(EXDEV), SCMP_ACT_ALLOW}, {"trap", SCMP_ACT_TRAP, SCMP_ACT_ALLOW},
        {"kill", SCMP_ACT_KILL_PROCESS, SCMP_ACT_ALLOW}, {"kill thread", SCMP_ACT_KILL, SCMP_ACT_ALLOW},
        {"trace", SCMP_ACT_TRACE(3), SCMP_ACT_ALLOW}, {"log", SCMP_ACT_LOG, SCMP_ACT_ALLOW},
        {"all logged", SCMP_ACT_ERRNO(EPERM), SCMP_ACT_LOG}, {"log and kill", SCMP_ACT_KILL_PROCESS, SCMP_ACT_LOG},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            act(all[i].action, all[i].otherwise);
            _exit(0);
        }
        int status;
        waitpid(child, &status, 0);
        printf("%s: status %#x\n", all[i].name, status & ~0x80);
    }
    return 0;
}
