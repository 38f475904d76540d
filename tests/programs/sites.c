// Call sites that trap often, of several shapes: glibc's syscall(3), sendto(2) and
// recvfrom(2) where there are threads, clone(2), and what pthread_create(3) blocks signals with.
//
//     sites
//
// makes each call many times and prints what came of it; and, with `code` as its argument, whose code is no longer
// as it is in its file.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "in_file.h"

enum { TIMES = 200, LOOKED_AT = 4096 };

static const struct {
    const char *name;
    int length;
} functions[] = {{"syscall", 64}, {"sendto", 256}, {"recvfrom", 256}, {"pthread_create", LOOKED_AT}};
enum { FUNCTIONS = sizeof functions / sizeof *functions };

static void *mask_of_thread(void *mask) {
    sigprocmask(SIG_BLOCK, NULL, mask);
    return NULL;
}

static void nothing(int signal) { (void)signal; }

static void *wait_for_ever(void *nothing) {
    pause();
    return nothing;
}

static int ends(void *status) { return *(int *)status; }

int main(int count, char **arguments) {
    int opened = 0, refused = 0, passed = 0;
    for (int time = 0; time < TIMES; time++) {
        int fd = syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY, 0);
        opened += fd >= 0 && !close(fd);
        refused += syscall(SYS_openat, AT_FDCWD, "/etc/no such file", O_RDONLY, 0) == -1 && errno == ENOENT;
        passed += syscall(SYS_getpid) == getpid() && syscall(SYS_close, -1) == -1 && errno == EBADF;
        passed += syscall(SYS_mmap, 0L, 4096L, 0L, 0x22L, -1L, 4096L + 1) == -1 && errno == EINVAL;
    }
    printf("syscall(3): opened %d, refused %d, passed %d\n", opened, refused, passed);

    sigset_t blocked, mask;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    int inherited = 0;
    pthread_t thread;
    for (int time = 0; time < TIMES; time++) {
        sigfillset(&mask);
        pthread_create(&thread, NULL, mask_of_thread, &mask);
        pthread_join(thread, NULL);
        inherited += sigismember(&mask, SIGUSR1) && !sigismember(&mask, SIGUSR2) && !sigismember(&mask, SIGSYS);
    }
    printf("threads: the mask inherited %d\n", inherited);

    pthread_create(&thread, NULL, wait_for_ever, NULL);
    int from = socket(AF_INET, SOCK_DGRAM, 0), to = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, sender;
    socklen_t length = sizeof address;
    bind(to, (struct sockaddr *)&address, length);
    getsockname(to, (struct sockaddr *)&address, &length);
    int sent = 0, received = 0;
    for (int time = 0; time < TIMES; time++) {
        char text[8] = "hello";
        sent += sendto(from, text, 5, MSG_NOSIGNAL, (struct sockaddr *)&address, sizeof address) == 5;
        length = sizeof sender;
        received += recvfrom(to, text, sizeof text, MSG_DONTWAIT, (struct sockaddr *)&sender, &length) == 5
            && length == sizeof sender && sender.sin_addr.s_addr == htonl(INADDR_LOOPBACK);
    }
    printf("datagrams: sent %d, received %d\n", sent, received);

    // clone(2) of glibc's makes both: processes of their own, and threads.
    int ended = 0, status = 7;
    static char stack[1 << 16];
    for (int time = 0; time < 20; time++) {
        pid_t child = clone(ends, stack + sizeof stack, SIGCHLD, &status);
        int found;
        ended += waitpid(child, &found, 0) == child && WIFEXITED(found) && WEXITSTATUS(found) == status;
    }
    pthread_t another;
    int created = pthread_create(&another, NULL, mask_of_thread, &mask);
    printf("clones: ended %d, a thread after them %d\n", ended, created || pthread_join(another, NULL));
    fflush(stdout);

    // The same once all are rewritten: pointers to nothing, a signal that interrupts, and a child's.
    void *bad = (void *)1;
    printf("bad pointers: %d", syscall(SYS_openat, AT_FDCWD, bad, O_RDONLY, 0) == -1 && errno == EFAULT);
    printf(" %d", sendto(from, "x", 1, 0, bad, sizeof address) == -1 && errno == EFAULT);
    sendto(from, "x", 1, 0, (struct sockaddr *)&address, sizeof address);
    printf(" %d\n", recvfrom(to, bad, 1, 0, NULL, NULL) == -1 && errno == EFAULT);
    struct sigaction action = {.sa_handler = nothing};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval soon = {.it_value.tv_usec = 20000, .it_interval.tv_usec = 20000};
    setitimer(ITIMER_REAL, &soon, NULL);
    char text[8];
    while (recvfrom(to, text, sizeof text, 0, NULL, NULL) >= 0) {}
    printf("interrupted: %d\n", errno == EINTR);
    setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        pthread_create(&thread, NULL, mask_of_thread, &mask);
        pthread_join(thread, NULL);
        _exit(syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY, 0) >= 0 ? 0 : 1);
    }
    status = -1;
    waitpid(child, &status, 0);
    printf("in a child: %d\n", status);
    child = vfork();
    if (!child) _exit(syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY | O_CLOEXEC, 0) >= 0 ? 0 : 1);
    waitpid(child, &status, 0);
    printf("in a child of vfork: %d\n", status);

    for (int index = 0; count > 1 && index < FUNCTIONS; index++) {
        void *code = dlsym(RTLD_DEFAULT, functions[index].name);
        if (!is_in_file(code, code, functions[index].length)) printf("rewritten: %s\n", functions[index].name);
    }
    return 0;
}
