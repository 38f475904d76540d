// Threads that open, fork, spawn and exec while signals come every
// millisecond, leave handlers by longjmp, exhaust their stacks and start shells.
// No descriptor and no mapping may be left behind.
//
//     stress SECONDS THREADS PATH TEXT
//
// PATH must always hold TEXT. Ends with 0 and the counts on standard error if
// nothing was ever wrong.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

extern char **environ;
static const char *path, *text;
static double end;
static atomic_long opens, forks, spawns, vforks, polls, jumps, overflows, shells, signals, wrong;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static void complain(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    wrong++;
}

// A handler that makes trapped calls itself.
static void on_signal(int signal) {
    int saved = errno;
    struct stat about;
    if (stat(path, &about)) wrong++;
    signals++;
    errno = saved;
    (void)signal;
}

static void look(void) {
    char read_back[64];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return complain("open");
    ssize_t size = read(fd, read_back, sizeof read_back - 1);
    close(fd);
    read_back[size < 0 ? 0 : size] = 0;
    if (strcmp(read_back, text)) complain("read");
    opens++;
}

static void wait_for(pid_t child, const char *what) {
    int status;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) return complain(what);
    if (status) {
        fprintf(stderr, "%s: status %#x\n", what, status);
        wrong++;
    }
}

static void fork_one(void) {
    pid_t child = fork();
    if (child < 0) return complain("fork");
    if (child == 0) {
        look();
        _exit(wrong != 0);
    }
    wait_for(child, "fork");
    forks++;
}

static void spawn_one(void) {
    char *words[] = {"true", NULL};
    pid_t child;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, path, O_RDONLY, 0);
    errno = posix_spawn(&child, "/bin/true", &actions, NULL, words, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (errno) return complain("posix_spawn");
    wait_for(child, "posix_spawn");
    spawns++;
}

static void vfork_one(void) {
    char *words[] = {"cat", (char *)path, NULL};
    pid_t child = vfork();
    if (child < 0) return complain("vfork");
    if (child == 0) {
        int fd = open("/dev/null", O_WRONLY);
        dup2(fd, 1);
        execve("/none/cat", words, environ);
        execve("/bin/cat", words, environ);
        _exit(3);
    }
    wait_for(child, "vfork");
    vforks++;
}

static void poll_one(void) {
    sigset_t all;
    sigfillset(&all);
    struct timespec soon = {0, 200000};
    if (ppoll(NULL, 0, &soon, &all) < 0 && errno != EINTR) return complain("ppoll");
    sigset_t before, after;
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_sigmask(SIG_SETMASK, &before, &after);
    if (!sigismember(&after, SIGSYS) || sigismember(&before, SIGSYS)) complain("mask");
    polls++;
}

static __thread sigjmp_buf back;
static __thread volatile sig_atomic_t leaves;

static void on_leave(int signal) {
    if (leaves) siglongjmp(back, signal);
}

// A handler leaves by longjmp, in the middle of a call or not.
static void leave_one(void) {
    leaves = 1;
    if (sigsetjmp(back, 1) == 0) {
        pthread_kill(pthread_self(), SIGUSR1);
        for (int i = 0; i < 100; i++) look();
    }
    leaves = 0;
    jumps++;
}

static void on_fault(int signal) { siglongjmp(back, signal); }

static int deeper(int depth) {
    volatile char room[2048];
    room[depth % sizeof room] = depth;
    struct stat about;
    if (depth % 16 == 0 && stat(path, &about) < 0 && errno != EFAULT) wrong++;
    return deeper(depth + 1) + room[0];
}

// A thread's stack is exhausted; the handler has a stack of its own.
static void *overflow(void *unused) {
    static __thread char alternate[32768];
    sigaltstack(&(stack_t){.ss_sp = alternate, .ss_size = sizeof alternate}, NULL);
    if (sigsetjmp(back, 1) == 0) deeper(0);
    look();
    sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL);
    overflows++;
    return NULL;
}

static void overflow_one(void) {
    pthread_t thread;
    pthread_attr_t about;
    pthread_attr_init(&about);
    pthread_attr_setstacksize(&about, 128 * 1024);
    // Not a stack that another thread leaves behind for the next.
    if ((errno = pthread_create(&thread, &about, overflow, NULL))) return complain("pthread_create");
    pthread_join(thread, NULL);
}

static void shell_one(void) {
    char command[4096];
    snprintf(command, sizeof command, "for i in 1 2 3; do (read line < %s; test \"$line\") & done; wait", path);
    char *words[] = {"sh", "-c", command, NULL};
    pid_t child;
    if ((errno = posix_spawn(&child, "/bin/sh", NULL, NULL, words, environ))) return complain("sh");
    wait_for(child, "sh");
    shells++;
}

static int count_of(const char *what) {
    int count = 0;
    if (strcmp(what, "fd") == 0) {
        DIR *dir = opendir("/proc/self/fd");
        while (readdir(dir)) count++;
        closedir(dir);
    } else {
        char byte;
        int fd = open("/proc/self/maps", O_RDONLY);
        while (read(fd, &byte, 1) == 1) count += byte == '\n';
        close(fd);
    }
    return count;
}

static void *work(void *number) {
    for (unsigned turn = (unsigned long)number; now() < end; turn++) {
        for (int i = 0; i < 50; i++) look();
        switch (turn % 12) {
        case 0: fork_one(); break;
        case 1: spawn_one(); break;
        case 2: vfork_one(); break;
        case 3: leave_one(); break;
        case 4: overflow_one(); break;
        case 5: shell_one(); break;
        default: poll_one();
        }
    }
    return NULL;
}

static void run(int count, double until) {
    pthread_t threads[count];
    end = until;
    for (long i = 0; i < count; i++) pthread_create(&threads[i], NULL, work, (void *)i);
    for (int i = 0; i < count; i++) pthread_join(threads[i], NULL);
}

int main(int argc, char **argv) {
    if (argc < 5) return 2;
    double seconds = atof(argv[1]);
    int count = atoi(argv[2]);
    path = argv[3], text = argv[4];
    // All signals are blocked in it, so it must not meet the end of a stack.
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART | SA_ONSTACK};
    sigfillset(&action.sa_mask);
    sigaction(SIGALRM, &action, NULL);
    struct itimerval often = {{0, 1000}, {0, 1000}};
    setitimer(ITIMER_REAL, &often, NULL);
    action.sa_handler = on_leave, action.sa_flags = 0;
    sigaction(SIGUSR1, &action, NULL);
    action.sa_handler = on_fault, action.sa_flags = SA_ONSTACK;
    sigaction(SIGSEGV, &action, NULL);
    run(count, now() + 1);
    // libc keeps stacks and arenas of threads that are gone; a second turn finds all that it may keep.
    int files = count_of("fd"), mappings = count_of("maps");
    run(count, now() + seconds);
    if (count_of("fd") > files) complain("descriptors are leaked");
    if (count_of("maps") > mappings + 2 * count + 40) complain("mappings are leaked");
    setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
    fprintf(stderr, "opens %ld forks %ld spawns %ld vforks %ld polls %ld jumps %ld overflows %ld shells %ld signals %ld wrong %ld\n",
            opens, forks, spawns, vforks, polls, jumps, overflows, shells, signals, wrong);
    return wrong != 0;
}
