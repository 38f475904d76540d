/* Asks what time it is in every way, and waits until moments of it. Prints one line per way: how far what it
   is told is from what it was told first, in whole seconds; of a wait what it returned, and whether it took as long
   as it was to by the monotonic clock. `EXPECTED` in the environment says what time it should be. With an
   argument, it sets the clock. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/timex.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

/* linux/futex.h is not for musl. */
#define FUTEX_WAIT_BITSET 9
#define FUTEX_CLOCK_REALTIME 256

static long began;

static double monotonic(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

/* The seconds since the start by this clock; one is nothing. */
static void told(const char *name, long now) {
    printf("%s: %ld\n", name, labs(now - began) <= 1 ? 0 : now - began);
}

static struct timespec soon(clockid_t clock) {
    struct timespec at;
    clock_gettime(clock, &at);
    at.tv_nsec += 50000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_nsec -= 1000000000;
        at.tv_sec++;
    }
    return at;
}

static double started;
static void begin(void) { started = monotonic(); }
static void waited(const char *name, int said) {
    double took = monotonic() - started;
    const char *how = took < 0.03 ? "early" : took < 1 ? "in time" : "late";
    printf("%s: %d %s\n", name, said, how);
    fflush(stdout);
}

static int locked(void *lock) {
    pthread_mutex_lock(lock);
    return 0;
}

static void *holder(void *both) {
    void **locks = both;
    pthread_mutex_lock(locks[0]);
    pthread_rwlock_wrlock(locks[1]);
    mtx_lock(locks[2]);
    sem_post(locks[3]);
    pause();
    return 0;
}

static void *waits(void *condition) {
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    struct timespec at = soon(CLOCK_REALTIME);
    at.tv_sec += 1000;
    pthread_mutex_lock(&mutex);
    pthread_cleanup_push((void (*)(void *))pthread_mutex_unlock, &mutex);
    pthread_cond_timedwait(condition, &mutex, &at);
    pthread_cleanup_pop(1);
    return 0;
}

static volatile sig_atomic_t rang;
static void ring(int signal) { rang = 1; }

int main(int argc, char **argv) {
    struct timespec ts, res;
    struct timeval tv;
    clock_gettime(CLOCK_REALTIME, &ts);
    began = ts.tv_sec;
    const char *expected = getenv("EXPECTED");
    if (expected) printf("as expected: %d\n", labs(began - atol(expected)) <= 5);
    gettimeofday(&tv, 0);
    told("gettimeofday", tv.tv_sec);
    told("time", time(0));
    time_t stored;
    time(&stored);
    told("time stored", stored);
    timespec_get(&ts, TIME_UTC);
    told("timespec_get", ts.tv_sec);
    struct { int id; const char *name; } clocks[] = {
        {CLOCK_REALTIME_COARSE, "coarse"}, {CLOCK_REALTIME_ALARM, "alarm"}, {CLOCK_TAI, "tai"}};
    for (int i = 0; i < 3; i++) {
        if (clock_gettime(clocks[i].id, &ts) == 0) told(clocks[i].name, ts.tv_sec / 100 * 100 == began / 100 * 100 ? began : ts.tv_sec);
        else told(clocks[i].name, began);
    }
    syscall(SYS_clock_gettime, CLOCK_REALTIME, &ts);
    told("syscall clock_gettime", ts.tv_sec);
    syscall(SYS_gettimeofday, &tv, 0);
    told("syscall gettimeofday", tv.tv_sec);
    told("syscall time", syscall(SYS_time, 0));
    int failed = syscall(SYS_clock_gettime, CLOCK_REALTIME, 8);
    printf("nowhere: %d %d\n", failed, errno);
    failed = clock_gettime(1000, &ts);
    printf("no clock: %d %d\n", failed, errno);
    clock_getres(CLOCK_REALTIME, &res);
    printf("resolution: %ld\n", res.tv_nsec);
    struct timex about = {0};
    adjtimex(&about);
    told("adjtimex", about.time.tv_sec);
    struct ntptimeval ntp;
#ifdef __GLIBC__
    ntp_gettime(&ntp);
    told("ntp_gettime", ntp.time.tv_sec);
#else
    told("ntp_gettime", began);
#endif
    /* When a packet has come. */
    int on = 1, packets = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof here;
    bind(packets, (void *)&here, len);
    getsockname(packets, (void *)&here, &len);
    for (int option = 0; option < 2; option++) {
        char room[256], byte;
        struct iovec part = {&byte, 1};
        struct msghdr packet = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
        setsockopt(packets, SOL_SOCKET, option ? SO_TIMESTAMPNS : SO_TIMESTAMP, &on, sizeof on);
        sendto(packets, "x", 1, 0, (void *)&here, len);
        recvmsg(packets, &packet, 0);
        struct cmsghdr *stamp = CMSG_FIRSTHDR(&packet);
        told(option ? "SO_TIMESTAMPNS" : "SO_TIMESTAMP", stamp ? *(long *)CMSG_DATA(stamp) : 0);
    }
    /* As programs of before 2012 ask: by a page at a fixed address, where the kernel still has it. */
    char line[256];
    FILE *maps = fopen("/proc/self/maps", "r");
    while (getenv("VSYSCALL") && maps && fgets(line, sizeof line, maps)) {
        if (!strstr(line, "[vsyscall]")) continue;
        ((int (*)(struct timeval *, void *))0xffffffffff600000)(&tv, 0);
        told("vsyscall gettimeofday", tv.tv_sec);
        for (int i = 0; i < 40; i++) stored = ((time_t (*)(time_t *))0xffffffffff600400)(0);
        told("vsyscall time", stored);
    }
    if (maps) fclose(maps);
    fflush(stdout);

    begin();
    ts = (struct timespec){0, 50000000};
    nanosleep(&ts, 0);
    waited("nanosleep", 0);
    begin();
    ts = soon(CLOCK_REALTIME);
    failed = clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &ts, 0);
    waited("clock_nanosleep until", failed);
    begin();
    ts = soon(CLOCK_MONOTONIC);
    failed = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, 0);
    waited("clock_nanosleep monotonic", failed);
    begin();
    ts = (struct timespec){began - 3600, 0};
    failed = clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &ts, 0);
    printf("clock_nanosleep past: %d %d\n", failed, monotonic() - started < 0.1);
    ts = (struct timespec){began, 500000000};
    printf("clock_nanosleep wrong: %d\n", clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &ts, 0));

    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER, other = PTHREAD_MUTEX_INITIALIZER;
    pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
    pthread_cond_t condition = PTHREAD_COND_INITIALIZER, steady;
    mtx_t c11;
    mtx_init(&c11, mtx_timed);
    sem_t empty, ready;
    sem_init(&empty, 0, 0);
    sem_init(&ready, 0, 0);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&steady, &attributes);
    void *locks[] = {&other, &rwlock, &c11, &ready};
    pthread_t thread;
    pthread_create(&thread, 0, holder, locks);
    sem_wait(&ready);
    pthread_mutex_lock(&mutex);
#define WAIT(name, clock, call) \
    begin();                    \
    ts = soon(clock);           \
    failed = call;              \
    waited(name, failed);
    WAIT("pthread_cond_timedwait", CLOCK_REALTIME, pthread_cond_timedwait(&condition, &mutex, &ts))
    WAIT("pthread_cond_timedwait monotonic", CLOCK_MONOTONIC, pthread_cond_timedwait(&steady, &mutex, &ts))
    WAIT("pthread_mutex_timedlock", CLOCK_REALTIME, pthread_mutex_timedlock(&other, &ts))
    WAIT("pthread_rwlock_timedrdlock", CLOCK_REALTIME, pthread_rwlock_timedrdlock(&rwlock, &ts))
    WAIT("pthread_rwlock_timedwrlock", CLOCK_REALTIME, pthread_rwlock_timedwrlock(&rwlock, &ts))
    WAIT("sem_timedwait", CLOCK_REALTIME, (sem_timedwait(&empty, &ts), errno))
    WAIT("mtx_timedlock", CLOCK_REALTIME, mtx_timedlock(&c11, &ts) == thrd_timedout)
    cnd_t c11_condition;
    cnd_init(&c11_condition);
    mtx_t c11_own;
    mtx_init(&c11_own, mtx_plain);
    mtx_lock(&c11_own);
    WAIT("cnd_timedwait", CLOCK_REALTIME, cnd_timedwait(&c11_condition, &c11_own, &ts) == thrd_timedout)
#ifdef __GLIBC__
    WAIT("pthread_cond_clockwait", CLOCK_REALTIME, pthread_cond_clockwait(&condition, &mutex, CLOCK_REALTIME, &ts))
    WAIT("pthread_cond_clockwait monotonic", CLOCK_MONOTONIC, pthread_cond_clockwait(&condition, &mutex, CLOCK_MONOTONIC, &ts))
    WAIT("pthread_timedjoin_np", CLOCK_REALTIME, pthread_timedjoin_np(thread, 0, &ts))
    WAIT("sem_clockwait", CLOCK_REALTIME, (sem_clockwait(&empty, CLOCK_REALTIME, &ts), errno))
#endif
    uint32_t word = 0;
    WAIT("futex", CLOCK_REALTIME, (syscall(SYS_futex, &word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &ts, 0, ~0), errno))
    WAIT("futex monotonic", CLOCK_MONOTONIC, (syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, 0, &ts, 0, ~0), errno))
    struct mq_attr about_queue = {.mq_maxmsg = 1, .mq_msgsize = 8};
    char name[64], message[8];
    snprintf(name, sizeof name, "/clock-%d", getpid());
    mqd_t queue = mq_open(name, O_CREAT | O_RDWR, 0600, &about_queue);
    mq_unlink(name);
    WAIT("mq_timedreceive", CLOCK_REALTIME, (mq_timedreceive(queue, message, 8, 0, &ts), errno))
    mq_send(queue, message, 1, 0);
    WAIT("mq_timedsend", CLOCK_REALTIME, (mq_timedsend(queue, message, 1, 0, &ts), errno))

    int fd = timerfd_create(CLOCK_REALTIME, 0);
    struct itimerspec timer = {.it_value = soon(CLOCK_REALTIME)};
    uint64_t expired;
    begin();
    timerfd_settime(fd, TFD_TIMER_ABSTIME, &timer, 0);
    read(fd, &expired, 8);
    waited("timerfd_settime", expired);
    timer.it_value = (struct timespec){0, 50000000};
    begin();
    timerfd_settime(fd, 0, &timer, 0);
    read(fd, &expired, 8);
    waited("timerfd_settime relative", expired);
    int steady_fd = timerfd_create(CLOCK_MONOTONIC, 0);
    timer.it_value = soon(CLOCK_MONOTONIC);
    begin();
    timerfd_settime(steady_fd, TFD_TIMER_ABSTIME, &timer, 0);
    read(steady_fd, &expired, 8);
    waited("timerfd_settime monotonic", expired);

    signal(SIGALRM, ring);
    for (int i = 0; i < 2; i++) {
        clockid_t clock = i ? CLOCK_MONOTONIC : CLOCK_REALTIME;
        timer_t made;
        timer_create(clock, 0, &made);
        timer.it_value = soon(clock);
        begin();
        rang = 0;
        timer_settime(made, TIMER_ABSTIME, &timer, 0);
        while (!rang) usleep(1000);
        waited(i ? "timer_settime monotonic" : "timer_settime", rang);
        timer_delete(made);
    }

    pthread_t waiting;
    void *ended;
    pthread_create(&waiting, 0, waits, &condition);
    usleep(50000);
    pthread_cancel(waiting);
    pthread_join(waiting, &ended);
    printf("cancelled: %d\n", ended == PTHREAD_CANCELED);

    if (argc > 1) {
        ts = (struct timespec){1000000000, 0};
        failed = clock_settime(CLOCK_REALTIME, &ts);
        printf("clock_settime: %d %d %d\n", failed, failed ? errno : 0, labs(time(0) - 1000000000) < 3);
        tv = (struct timeval){1100000000, 0};
        failed = settimeofday(&tv, 0);
        printf("settimeofday: %d %d %d\n", failed, failed ? errno : 0, labs(time(0) - 1100000000) < 3);
        tv.tv_usec = 2000000;
        failed = settimeofday(&tv, 0);
        printf("settimeofday wrong: %d %d\n", failed, errno);
        about = (struct timex){.modes = ADJ_SETOFFSET, .time = {-100000000, 0}};
        failed = adjtimex(&about) < 0;
        printf("adjtimex: %d %d %d\n", failed, failed ? errno : 0, labs(time(0) - 1000000000) < 3);
        about = (struct timex){.modes = ADJ_FREQUENCY, .freq = 1};
        failed = adjtimex(&about);
        printf("frequency: %d %d\n", failed, errno);
        fflush(stdout);
        if (fork() == 0) {
            printf("a child: %d\n", labs(time(0) - 1000000000) < 3);
            fflush(stdout);
            execlp("date", "date", "-u", "+%Y-%m", (char *)0);
        }
        wait(0);
    }
    return 0;
}
