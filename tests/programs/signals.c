// What a program may do with signals: each line must be the same natively and
// through the gate.
//
//     signals PATH        PATH is a file, opened over and over
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

static const char *path;
static char fifo[64];
static volatile sig_atomic_t count;
static sigjmp_buf jump;

static int look(void) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) close(fd);
    return fd >= 0;
}

static void looks(int signal) { count += look(); }
static void leaves(int signal) { siglongjmp(jump, signal); }
static void tells(int signal, siginfo_t *info, void *context) {
    printf("signal %d code %d value %d mine %d\n", signal, info->si_code, info->si_value.sival_int, info->si_pid == getpid());
}

static void on(int signal, void (*handler)(int), int flags) {
    sigaction(signal, &(struct sigaction){.sa_handler = handler, .sa_flags = flags}, NULL);
}

static void adds(int signal) { count++; }

static void least_alternate_stack(void) {
    stack_t stack = {.ss_sp = malloc(sysconf(_SC_MINSIGSTKSZ)), .ss_size = sysconf(_SC_MINSIGSTKSZ)};
    printf("sigaltstack %d\n", sigaltstack(&stack, NULL));
    on(SIGUSR1, SIG_IGN, SA_ONSTACK);
    for (int i = 0; i < 100; i++) raise(SIGUSR1), count += look();
    printf("%d\n", count);
    // With room for one frame and a little more, and nothing below it.
    size_t half = 1 << 16;
    char *room = mmap(NULL, 2 * half, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(room, half, PROT_NONE);
    sigaltstack(&(stack_t){.ss_sp = room + half, .ss_size = sysconf(_SC_MINSIGSTKSZ) + 512}, NULL);
    on(SIGUSR1, adds, SA_ONSTACK);
    on(SIGSEGV, SIG_DFL, SA_ONSTACK);
    for (int i = 0; i < 100; i++) raise(SIGUSR1);
    printf("%d\n", count);
}

static int sink;
static int deeper(int depth) {
    char room[4096];
    memset(room, depth, sizeof room);
    sink += room[depth % 4096] + look();
    return deeper(depth + 1) + room[1];
}

static void overflow(void *unused) {
    static char alternate[65536];
    sigaltstack(&(stack_t){.ss_sp = alternate, .ss_size = sizeof alternate}, NULL);
    on(SIGSEGV, leaves, SA_ONSTACK | SA_NODEFER);
    for (int i = 0; i < 5; i++)
        if (sigsetjmp(jump, 1) == 0) deeper(0);
        else count++;
    printf("overflows %d, still %d\n", count, look());
}

static void *overflows(void *unused) { overflow(NULL); return NULL; }
static void exhausted(void) { overflow(NULL); }
static void exhausted_thread(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, overflows, NULL);
    pthread_join(thread, NULL);
}

static void *opens(void *unused) { for (int i = 0; i < 100; i++) count += look(); return NULL; }
static void small_stacks(void) {
    pthread_attr_t about;
    pthread_attr_init(&about);
    printf("%d\n", pthread_attr_setstacksize(&about, PTHREAD_STACK_MIN));
    for (int i = 0; i < 20; i++) {
        pthread_t thread;
        if (pthread_create(&thread, &about, opens, NULL) == 0) pthread_join(thread, NULL);
    }
    printf("%d\n", count);
}

// What is asked at a call site at which much has been set, and so may be another one than it was.
static void asks_after_setting(void) {
    stack_t stack = {.ss_sp = malloc(1 << 16), .ss_size = 1 << 16}, seen = {0};
    for (int i = 0; i < 40; i++) sigaltstack(&stack, NULL);
    int asked = sigaltstack(NULL, &seen);
    printf("asked %d, it is %d, flags %d, size %zu\n", asked, seen.ss_sp == stack.ss_sp, seen.ss_flags, seen.ss_size);
    struct timespec none = {0};
    sigset_t mask;
    sigemptyset(&mask);
    struct { void *mask; size_t size; } pair = {&mask, 8};
    int waited = 0;
    for (int i = 0; i < 40; i++) waited += syscall(SYS_pselect6, 0, NULL, NULL, NULL, &none, i < 39 ? &pair : NULL);
    printf("waited %d\n", waited);
}

static void jumps(void) {
    on(SIGALRM, leaves, 0);
    volatile int left = 0, good = 1;
    // The first may come before the loop has said where to.
    if (sigsetjmp(jump, 1) != 0) left++;
    else setitimer(ITIMER_REAL, &(struct itimerval){{0, 100}, {0, 100}}, NULL);
    while (left < 2000)
        if (sigsetjmp(jump, 1) == 0) for (;;) good &= look();
        else left++;
    setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
    // One more may have come before the timer was stopped.
    printf("left %d good %d\n", left >= 2000, good);
}

static void often(void) {
    on(SIGALRM, looks, SA_RESTART);
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 100}, {0, 100}}, NULL);
    int good = 1;
    for (int i = 0; i < 100000 && count < 3000; i++) good &= look();
    setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
    printf("good %d some %d\n", good, count > 100);
}

static void bad_pointers(void) {
    on(SIGALRM, looks, SA_RESTART);
    struct itimerval quickly = {{0, 50}, {0, 50}}, never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &quickly, NULL);
    int wrong = 0;
    for (int i = 0; i < 200000; i++)
        wrong += syscall(SYS_rt_sigprocmask, 0, NULL, (void *)8, 8) != -1 || errno != EFAULT;
    setitimer(ITIMER_REAL, &never, NULL);
    printf("wrong %d\n", wrong);
}

static ucontext_t here, there;
static void visit(void) { for (;;) count += look(), swapcontext(&there, &here); }
static void contexts(void) {
    getcontext(&there);
    there.uc_stack.ss_sp = malloc(16384), there.uc_stack.ss_size = 16384;
    makecontext(&there, visit, 0);
    for (int i = 0; i < 100; i++) swapcontext(&here, &there), count += look();
    printf("%d\n", count);
}

static void flags(void) {
    on(SIGUSR1, looks, SA_RESETHAND | SA_NODEFER);
    raise(SIGUSR1);
    struct sigaction now;
    sigaction(SIGUSR1, NULL, &now);
    printf("once %d count %d\n", now.sa_handler == SIG_DFL, count);
    on(SIGUSR2, looks, SA_NODEFER);
    sigaction(SIGUSR2, NULL, &now);
    printf("flags %x ours %d\n", now.sa_flags & ~0x04000000, now.sa_handler == looks);
}

static void waits(int flags) {
    int fds[2];
    mkfifo(fifo, 0600);
    on(SIGALRM, looks, flags);
    struct itimerval soon = {{0, 0}, {0, 50000}};
    setitimer(ITIMER_REAL, &soon, NULL);
    pid_t child = fork();
    if (child == 0) usleep(200000), open(fifo, O_WRONLY), _exit(0);
    int fd = open(fifo, O_RDONLY);
    printf("fifo %d %s count %d\n", fd >= 0, fd < 0 ? strerrorname_np(errno) : "", count);
    if (fd < 0) open(fifo, O_RDONLY | O_NONBLOCK);
    waitpid(child, NULL, 0);
    unlink(fifo);
    socketpair(AF_UNIX, SOCK_DGRAM, 0, fds);
    setitimer(ITIMER_REAL, &soon, NULL);
    child = fork();
    if (child == 0) usleep(200000), send(fds[0], "x", 1, 0), _exit(0);
    char byte;
    struct iovec part = {&byte, 1};
    ssize_t got = recvmsg(fds[1], &(struct msghdr){.msg_iov = &part, .msg_iovlen = 1}, 0);
    printf("recvmsg %zd %s count %d\n", got, got < 0 ? strerrorname_np(errno) : "", count);
    waitpid(child, NULL, 0);
}
static void interrupted(void) { waits(0); }
static void restarted(void) { waits(SA_RESTART); }

static void queued(void) {
    sigaction(SIGRTMIN, &(struct sigaction){.sa_sigaction = tells, .sa_flags = SA_SIGINFO}, NULL);
    for (int i = 0; i < 3; i++) look(), sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 40 + i});
    int pidfd = syscall(SYS_pidfd_open, getpid(), 0);
    printf("pidfd %ld\n", syscall(SYS_pidfd_send_signal, pidfd, SIGRTMIN, NULL, 0));
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 77};
    event._sigev_un._tid = gettid();
    timer_create(CLOCK_MONOTONIC, &event, &timer);
    timer_settime(timer, 0, &(struct itimerspec){.it_value.tv_nsec = 1000000}, NULL);
    struct timespec time = {1, 0};
    printf("slept %d\n", nanosleep(&time, NULL));
}

static void waited_for(void) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = 5});
    siginfo_t info;
    int signal = sigwaitinfo(&all, &info);
    printf("sigwaitinfo %d code %d value %d\n", signal, info.si_code, info.si_value.sival_int);
    int fd = signalfd(-1, &all, 0);
    sigqueue(getpid(), SIGUSR2, (union sigval){.sival_int = 6});
    struct signalfd_siginfo read_back;
    printf("signalfd %zd", read(fd, &read_back, sizeof read_back));
    printf(" %d value %d open %d\n", read_back.ssi_signo, read_back.ssi_int, look());
    signal = sigtimedwait(&all, &info, &(struct timespec){0, 1000});
    printf("none %d %s\n", signal, strerrorname_np(errno));
}

static void own_sigsys(void) {
    sigaction(SIGSYS, &(struct sigaction){.sa_sigaction = tells, .sa_flags = SA_SIGINFO}, NULL);
    raise(SIGSYS), kill(getpid(), SIGSYS);
    sigqueue(getpid(), SIGSYS, (union sigval){.sival_int = 9});
    printf("open %d\n", look());
    on(SIGSYS, leaves, SA_NODEFER);
    if (sigsetjmp(jump, 1) == 0) raise(SIGSYS);
    printf("left, open %d\n", look());
    on(SIGSYS, SIG_DFL, 0);
    fflush(stdout);
    raise(SIGSYS);
}

static int several[65];
static void one_of_several(int signal) { several[signal]++, count += look(); }
// All of what may come at once comes, however the mask is opened.
static void at_once(void) {
    int all[] = {SIGUSR1, SIGUSR2, SIGTERM, SIGWINCH, SIGRTMIN, SIGRTMIN + 1};
    sigset_t set, none;
    sigemptyset(&set), sigemptyset(&none);
    for (int i = 0; i < 6; i++) on(all[i], one_of_several, i % 2 ? SA_NODEFER : 0), sigaddset(&set, all[i]);
    for (int turn = 0; turn < 60; turn++) {
        sigprocmask(SIG_BLOCK, &set, NULL);
        for (int i = 0; i < 6; i++) kill(getpid(), all[i]);
        struct timespec soon = {0, 1000};
        if (turn % 3 == 0) sigprocmask(SIG_UNBLOCK, &set, NULL);
        else if (turn % 3 == 1) sigsuspend(&none), sigprocmask(SIG_UNBLOCK, &set, NULL);
        else ppoll(NULL, 0, &soon, &none), sigprocmask(SIG_UNBLOCK, &set, NULL);
    }
    for (int i = 0; i < 6; i++) printf("%d ", several[all[i]]);
    printf("%d\n", count);
    volatile int left = 0;
    on(SIGUSR2, leaves, 0), on(SIGTERM, leaves, 0);
    for (int turn = 0; turn < 600; turn++)
        if (sigsetjmp(jump, 1) == 0) {
            sigprocmask(SIG_BLOCK, &set, NULL);
            for (int i = 0; i < 4; i++) kill(getpid(), all[i]);
            sigprocmask(SIG_UNBLOCK, &set, NULL);
        } else left++;
    printf("left %d open %d\n", left, look());
}

static void told(const char *what) {
    sigset_t mask, pending;
    struct sigaction now;
    sigprocmask(SIG_BLOCK, NULL, &mask), sigpending(&pending), sigaction(SIGSYS, NULL, &now);
    printf("%s: blocked %d pending %d ignored %d default %d count %d open %d\n", what, sigismember(&mask, SIGSYS), sigismember(&pending, SIGSYS),
           now.sa_handler == SIG_IGN, now.sa_handler == SIG_DFL, count, look());
}


static void block_sigsys(int how) {
    sigset_t set;
    sigemptyset(&set), sigaddset(&set, SIGSYS);
    sigprocmask(how, &set, NULL);
}

// A SIGSYS that comes while it is blocked stays until it is not.
static void sigsys_blocked(void) {
    sigaction(SIGSYS, &(struct sigaction){.sa_sigaction = tells, .sa_flags = SA_SIGINFO}, NULL);
    block_sigsys(SIG_BLOCK), told("none");
    raise(SIGSYS), told("raised");
    raise(SIGSYS), told("again");
    fflush(stdout);
    if (fork() == 0) told("in a child"), fflush(stdout), _exit(0);
    wait(NULL);
    block_sigsys(SIG_UNBLOCK), told("came");
    raise(SIGSYS), told("not blocked");
    block_sigsys(SIG_BLOCK), kill(getpid(), SIGSYS);
    sigset_t none;
    sigemptyset(&none);
    printf("sigsuspend %d %s\n", sigsuspend(&none), strerrorname_np(errno));
    told("after");
    raise(SIGSYS);
    struct timespec soon = {0, 1000000};
    printf("ppoll %d\n", ppoll(NULL, 0, &soon, &none));
    on(SIGSYS, SIG_DFL, 0), raise(SIGSYS), told("default");
    fflush(stdout);
    block_sigsys(SIG_UNBLOCK);
}

static void *sends(void *to) { usleep(50000); kill(getpid(), SIGSYS); return NULL; }
static void sigsys_waited_for(void) {
    sigset_t set;
    siginfo_t info;
    sigemptyset(&set), sigaddset(&set, SIGSYS), sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    raise(SIGSYS);
    printf("pending: %d", sigwaitinfo(&set, &info)), printf(" code %d errno %d mine %d\n", info.si_code, info.si_errno, info.si_pid == getpid());
    sigqueue(getpid(), SIGSYS, (union sigval){.sival_int = 11});
    printf("queued: %d", sigwaitinfo(&set, &info)), printf(" code %d value %d\n", info.si_code, info.si_value.sival_int);
    told("taken");
    pthread_t thread;
    pthread_create(&thread, NULL, sends, NULL);
    printf("waited for: %d", sigwaitinfo(&set, &info)), printf(" code %d\n", info.si_code);
    pthread_join(thread, NULL);
    raise(SIGUSR1);
    printf("another: %d\n", sigwaitinfo(&set, &info));
    printf("none: %d", sigtimedwait(&set, &info, &(struct timespec){0, 1000})), printf(" %s\n", strerrorname_np(errno));
    block_sigsys(SIG_UNBLOCK), told("last");
}

static void sigsys_ignored(void) {
    on(SIGSYS, SIG_IGN, 0);
    raise(SIGSYS), told("ignored");
    block_sigsys(SIG_BLOCK), raise(SIGSYS), block_sigsys(SIG_UNBLOCK), told("and blocked");
    for (int i = 0; i < 40; i++) count += look();
    told("often");
}

static void execs(int ignored, int blocked) {
    if (ignored) on(SIGSYS, SIG_IGN, 0);
    else on(SIGSYS, looks, 0);
    if (blocked) block_sigsys(SIG_BLOCK), raise(SIGSYS);
    fflush(stdout);
    execl("/proc/self/exe", "signals", path, "after", NULL);
}
static void sigsys_handled_over_exec(void) { execs(0, 0); }
static void sigsys_ignored_over_exec(void) { execs(1, 0); }
static void sigsys_pending_over_exec(void) { execs(0, 1); }
static void sigsys_over_exec_by_another(void) {
    on(SIGSYS, SIG_IGN, 0), block_sigsys(SIG_BLOCK);
    fflush(stdout);
    char self[4096] = {0};
    readlink("/proc/self/exe", self, sizeof self - 1);
    execl("/bin/sh", "sh", "-c", "exec \"$0\" \"$1\" after", self, path, NULL);
}


// What a child that shares memory sets to its default stays the parent's.
static void sigsys_and_spawns(void) {
    on(SIGSYS, looks, 0);
    posix_spawnattr_t about;
    sigset_t set;
    pid_t child;
    char *words[] = {"true", NULL};
    posix_spawnattr_init(&about);
    sigfillset(&set), posix_spawnattr_setsigdefault(&about, &set);
    sigemptyset(&set), sigaddset(&set, SIGSYS), posix_spawnattr_setsigmask(&about, &set);
    posix_spawnattr_setflags(&about, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    for (int i = 0; i < 3; i++) printf("spawn %d\n", posix_spawn(&child, "/bin/true", NULL, &about, words, NULL)), waitpid(child, NULL, 0), told("spawned");
    if (vfork() == 0) on(SIGSYS, SIG_IGN, 0), execl("/bin/true", "true", NULL);
    wait(NULL);
    raise(SIGSYS), told("raised");
}

static void clean(void *what) { printf("cleaned %s\n", (char *)what); }
static void *waits_for_fifo(void *unused) {
    pthread_cleanup_push(clean, "fifo");
    open(fifo, O_RDONLY);
    pthread_cleanup_pop(0);
    return NULL;
}
static void *waits_for_peer(void *listener) {
    pthread_cleanup_push(clean, "accept");
    accept((int)(intptr_t)listener, NULL, NULL);
    pthread_cleanup_pop(0);
    return NULL;
}
static void cancelled(void) {
    mkfifo(fifo, 0600);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    bind(listener, (struct sockaddr *)&(sa_family_t){AF_UNIX}, sizeof(sa_family_t)), listen(listener, 1);
    void *(*ways[])(void *) = {waits_for_fifo, waits_for_peer};
    for (int turn = 0; turn < 40; turn++) {
        pthread_t thread;
        void *result;
        pthread_create(&thread, NULL, ways[turn % 2], (void *)(intptr_t)listener);
        usleep(turn % 4 * 1000);
        pthread_cancel(thread), pthread_join(thread, &result);
        if (result != PTHREAD_CANCELED) printf("not cancelled\n");
    }
    unlink(fifo);
    printf("open %d\n", look());
}

static void *outlives(void *unused) { usleep(50000), printf("main is gone, open %d\n", look()), fflush(stdout), _exit(7); }
static void main_first(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, outlives, NULL);
    pthread_exit(NULL);
}

static void forks(int signal) {
    pid_t child = fork();
    if (child == 0) _exit(look());
    int status;
    waitpid(child, &status, 0);
    count += WEXITSTATUS(status);
}
static void forks_in_handler(void) {
    on(SIGUSR1, forks, 0);
    for (int i = 0; i < 30; i++) look(), raise(SIGUSR1);
    printf("%d\n", count);
}

// A handler on the alternate stack makes calls while other signals come, whose
// frames belong below its own.
static char *frame_of_first;
static void second(int signal) {
    char here;
    count += look() && &here < frame_of_first;
}
static void first(int signal) {
    volatile char room[8192];
    memset((char *)room, 7, sizeof room);
    frame_of_first = (char *)room;
    stack_t seen, other = {.ss_sp = malloc(65536), .ss_size = 65536};
    sigaltstack(NULL, &seen);
    int set = sigaltstack(&other, NULL);
    printf("flags %d set %d %d\n", seen.ss_flags, set, errno);
    sigset_t usr2, before;
    sigemptyset(&usr2), sigaddset(&usr2, SIGUSR2);
    for (int i = 0; i < 50; i++) {
        sigprocmask(SIG_BLOCK, &usr2, &before);
        raise(SIGUSR2);
        sigprocmask(SIG_SETMASK, &before, NULL);
    }
    struct stat about;
    int bad = syscall(SYS_newfstatat, AT_FDCWD, (char *)8, &about, 0);
    printf("bad pointer %d %d\n", bad, errno);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        sigprocmask(SIG_SETMASK, NULL, &before), sigaltstack(NULL, &seen);
        printf("child blocks USR1 %d USR2 %d flags %d\n", sigismember(&before, SIGUSR1), sigismember(&before, SIGUSR2), seen.ss_flags);
        fflush(stdout);
        execl("/bin/grep", "grep", "SigBlk", "/proc/self/status", (char *)0);
        _exit(1);
    }
    waitpid(child, NULL, 0);
    struct itimerval often = {{0, 200}, {0, 200}}, never = {0};
    setitimer(ITIMER_REAL, &often, NULL);
    for (int i = 0; i < 20000; i++) if (!look()) printf("cannot open\n");
    setitimer(ITIMER_REAL, &never, NULL);
    for (size_t i = 0; i < sizeof room; i++) if (room[i] != 7) { printf("written over at %zu\n", i); break; }
    siglongjmp(jump, 1);
}
// What a vfork child leaves behind in the memory that it has shared.
static void starts(int signal) {
    sigset_t all;
    sigfillset(&all);
    pid_t child = vfork();
    if (child == 0) {
        sigprocmask(SIG_SETMASK, &all, NULL);
        execl("/bin/true", "true", (char *)0);
        _exit(1);
    }
    int status;
    waitpid(child, &status, 0);
    count += status == 0;
}
static void starts_on_alternate_stack(void) {
    sigaltstack(&(stack_t){.ss_sp = malloc(1 << 17), .ss_size = 1 << 17}, NULL);
    on(SIGUSR1, starts, SA_ONSTACK);
    for (int i = 0; i < 3; i++) {
        raise(SIGUSR1);
        sigset_t now;
        sigprocmask(SIG_SETMASK, NULL, &now);
        stack_t seen;
        sigaltstack(NULL, &seen);
        printf("started %d blocks %d flags %d\n", count, sigismember(&now, SIGUSR2), seen.ss_flags);
    }
}
static void on_alternate_stack(void) {
    sigaltstack(&(stack_t){.ss_sp = malloc(1 << 17), .ss_size = 1 << 17}, NULL);
    on(SIGUSR1, first, SA_ONSTACK), on(SIGUSR2, second, SA_ONSTACK), on(SIGALRM, second, SA_ONSTACK | SA_RESTART);
    if (sigsetjmp(jump, 1) == 0) raise(SIGUSR1);
    stack_t seen;
    sigaltstack(NULL, &seen);
    printf("left, flags %d, at least fifty %d, open %d\n", seen.ss_flags, count >= 50, look());
}

static void stopped_and_killed(void) {
    for (int turn = 0; turn < 20; turn++) {
        pid_t child = fork();
        if (child == 0) for (;;) if (!look()) _exit(1);
        int status;
        for (int i = 0; i < 5; i++) {
            kill(child, SIGSTOP), waitpid(child, &status, WUNTRACED);
            if (!WIFSTOPPED(status)) printf("not stopped %x\n", status);
            kill(child, SIGCONT), usleep(100);
        }
        kill(child, SIGKILL), waitpid(child, &status, 0);
        if (status != SIGKILL) printf("status %x\n", status);
    }
    printf("open %d\n", look());
}

static const struct { const char *name; void (*run)(void); } parts[] = {
    {"least alternate stack", least_alternate_stack}, {"exhausted", exhausted}, {"exhausted thread", exhausted_thread},
    {"small stacks", small_stacks}, {"jumps", jumps}, {"asks after setting", asks_after_setting}, {"often", often}, {"bad pointers", bad_pointers}, {"contexts", contexts}, {"flags", flags},
    {"interrupted", interrupted}, {"restarted", restarted}, {"queued", queued}, {"waited for", waited_for},
    {"own sigsys", own_sigsys}, {"cancelled", cancelled}, {"main first", main_first}, {"forks in handler", forks_in_handler},
    {"at once", at_once}, {"stopped and killed", stopped_and_killed}, {"on the alternate stack", on_alternate_stack},
    {"starts on the alternate stack", starts_on_alternate_stack},
    {"sigsys blocked", sigsys_blocked}, {"sigsys waited for", sigsys_waited_for},
    {"sigsys ignored", sigsys_ignored}, {"sigsys handled over exec", sigsys_handled_over_exec},
    {"sigsys ignored over exec", sigsys_ignored_over_exec}, {"sigsys pending over exec", sigsys_pending_over_exec},
    {"sigsys over exec by another", sigsys_over_exec_by_another}, {"sigsys and spawns", sigsys_and_spawns},
};

int main(int argc, char **argv) {
    path = argv[1];
    if (argc > 2) return told("after exec"), fflush(stdout), block_sigsys(SIG_UNBLOCK), raise(SIGSYS), told("sent"), 0;
    snprintf(fifo, sizeof fifo, "/tmp/signals-%d", getpid());
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            alarm(30);
            parts[i].run();
            fflush(stdout);
            _exit(0);
        }
        int status;
        waitpid(child, &status, 0);
        printf("%s: status %#x\n", parts[i].name, status & ~0x80);
    }
    return 0;
}
