// What a program sees of its machine: its name, its users, its clock, its network.
//
//     proof_host CHECK WORD...
//
// does one check and prints one line: what it saw, or the name of the error.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <netdb.h>
#include <poll.h>
#include <pwd.h>
#include <resolv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#ifdef PLAIN
// Another libc than glibc has no names for errors.
#define strerrorname_np(number) ((number) == EPERM ? "EPERM" : (number) == EACCES ? "EACCES" : (number) == ENOENT ? "ENOENT" : "an error")
#endif

static int fail(void) { return printf("%s\n", strerrorname_np(errno)), 0; }
static int say(const char *what) { return printf("%s\n", what), 0; }

static int node_name(char **w) {
    struct utsname names;
    return uname(&names) ? fail() : say(names.nodename);
}

static int release(char **w) {
    struct utsname names;
    return uname(&names) ? fail() : say(names.release);
}

static int host_name(char **w) {
    char name[65];
    return gethostname(name, sizeof name) ? fail() : say(name);
}

static int domain_name(char **w) {
    char name[65];
    return getdomainname(name, sizeof name) ? fail() : say(name);
}

static int set_host_name(char **w) { return sethostname(w[0], strlen(w[0])) ? fail() : host_name(w); }
static int host_id(char **w) { return printf("%08lx\n", gethostid() & 0xffffffff), 0; }
static int processors(char **w) { return printf("%ld\n", sysconf(_SC_NPROCESSORS_ONLN)), 0; }

static int memory(char **w) {
    struct sysinfo about;
    return sysinfo(&about) ? fail() : (printf("%lu MiB\n", about.totalram * about.mem_unit >> 20), 0);
}

static int user(char **w) {
    struct passwd *found = getpwnam(w[0]);
    return found ? (printf("%u %u %s\n", found->pw_uid, found->pw_gid, found->pw_dir), 0) : say("none");
}

static int user_by_number(char **w) {
    struct passwd *found = getpwuid(atoi(w[0]));
    return say(found ? found->pw_name : "none");
}

static int group(char **w) {
    struct group *found = getgrnam(w[0]);
    return found ? (printf("%u %s\n", found->gr_gid, found->gr_mem[0] ? found->gr_mem[0] : ""), 0) : say("none");
}

static int groups_of(char **w) {
    gid_t groups[64];
    int count = 64;
    if (getgrouplist(w[0], 54321, groups, &count) < 0) return say("too many");
    for (int i = 0; i < count; i++) printf("%s%u", i ? " " : "", groups[i]);
    return say("");
}

// How many days the clock is from the seconds that the first word says.
static int days(double now, char **w) { return printf("%+.1f days\n", (now - atof(w[0])) / 86400), 0; }
static int clock_days(char **w) {
    struct timespec now;
    return clock_gettime(CLOCK_REALTIME, &now) ? fail() : days(now.tv_sec, w);
}
static int time_days(char **w) { return days(time(NULL), w); }
static int day_days(char **w) {
    struct timeval now;
    return gettimeofday(&now, NULL) ? fail() : days(now.tv_sec, w);
}
static int raw_days(char **w) {
    struct timespec now;
    long answer;
    __asm__ volatile("syscall" : "=a"(answer) : "0"((long)SYS_clock_gettime), "D"((long)CLOCK_REALTIME), "S"(&now) : "rcx", "r11", "memory");
    return answer ? fail() : days(now.tv_sec, w);
}

// How long the machine is up is no date.
static int uptime(char **w) {
    struct timespec now;
    struct sysinfo about;
    if (clock_gettime(CLOCK_BOOTTIME, &now) || sysinfo(&about)) return fail();
    return say(labs(now.tv_sec - about.uptime) < 5 ? "the host's" : "another");
}

static int slept(char **w) {
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    usleep(200000);
    clock_gettime(CLOCK_MONOTONIC, &after);
    double took = after.tv_sec - before.tv_sec + (after.tv_nsec - before.tv_nsec) / 1e9;
    return say(took > 0.19 && took < 2 ? "true" : "false");
}

// Waits until a date that is a fifth of a second ahead.
static int slept_until(char **w) {
    struct timespec date, before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    clock_gettime(CLOCK_REALTIME, &date);
    date.tv_nsec += 200000000;
    if (date.tv_nsec >= 1000000000) date.tv_sec++, date.tv_nsec -= 1000000000;
    if ((errno = clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &date, NULL))) return fail();
    clock_gettime(CLOCK_MONOTONIC, &after);
    double took = after.tv_sec - before.tv_sec + (after.tv_nsec - before.tv_nsec) / 1e9;
    return say(took > 0.15 && took < 2 ? "true" : "false");
}

static int zone(char **w) {
    time_t noon = 1435665600;
    char text[64];
    return strftime(text, sizeof text, "%H:%M %Z", localtime(&noon)) ? say(text) : fail();
}

static int address_of(char **w) {
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
    char text[64];
    int failed = getaddrinfo(w[0], NULL, &hints, &found);
    if (failed) return say(gai_strerror(failed));
    inet_ntop(AF_INET, &((struct sockaddr_in *)found->ai_addr)->sin_addr, text, sizeof text);
    return freeaddrinfo(found), say(text);
}

static int address_by_host(char **w) {
    char text[64];
    struct hostent *found = gethostbyname(w[0]);
    return found ? say(inet_ntop(AF_INET, found->h_addr_list[0], text, sizeof text)) : say("none");
}

static int name_of(char **w) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    char name[256];
    inet_pton(AF_INET, w[0], &address.sin_addr);
    int failed = getnameinfo((void *)&address, sizeof address, name, sizeof name, NULL, 0, NI_NAMEREQD);
    return say(failed ? gai_strerror(failed) : name);
}

static int service(char **w) {
    struct servent *found = getservbyname(w[0], "tcp");
    return found ? (printf("%d\n", ntohs(found->s_port)), 0) : say("none");
}

static int query(char **w) {
    unsigned char answer[1024];
    char text[64];
    ns_msg message;
    ns_rr record;
    int size = res_query(w[0], ns_c_in, ns_t_a, answer, sizeof answer);
    if (size < 0 || ns_initparse(answer, size, &message) || ns_parserr(&message, ns_s_an, 0, &record)) return say("none");
    return say(inet_ntop(AF_INET, ns_rr_rdata(record), text, sizeof text));
}

static struct sockaddr_in address(char **w) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(w[1]))};
    inet_pton(AF_INET, w[0], &address.sin_addr);
    return address;
}

static int show(const struct sockaddr_in *address) {
    char text[64];
    return printf("%s:%d\n", inet_ntop(AF_INET, &address->sin_addr, text, sizeof text), ntohs(address->sin_port)), 0;
}

static int bound(char **w, int kind) {
    struct sockaddr_in wanted = address(w);
    int fd = socket(AF_INET, kind, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    return bind(fd, (void *)&wanted, sizeof wanted) || (kind == SOCK_STREAM && listen(fd, 5)) ? -1 : fd;
}

static int own_address(char **w) {
    struct sockaddr_in told = {0};
    socklen_t size = sizeof told;
    int fd = bound(w, SOCK_STREAM);
    return fd < 0 || getsockname(fd, (void *)&told, &size) ? fail() : show(&told);
}

static int connected(char **w) {
    struct sockaddr_in wanted = address(w);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct timeval patience = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    return connect(fd, (void *)&wanted, sizeof wanted) ? -1 : fd;
}

// A server and a client in one view: the client writes, the server reads who came.
static int reached(char **w) {
    char text[16] = "";
    int server = bound(w, SOCK_STREAM);
    char *here[] = {"127.0.0.1", w[1]};
    int client = server < 0 ? -1 : connected(here), met = client < 0 ? -1 : accept(server, NULL, NULL);
    if (met < 0 || write(client, "hello", 5) < 0 || read(met, text, sizeof text - 1) < 0) return fail();
    return say(text);
}

static int greeted(char **w) {
    char text[64] = "";
    int fd = connected(w);
    if (fd < 0 || read(fd, text, sizeof text - 1) < 0) return fail();
    text[strcspn(text, "\n")] = 0;
    return say(text);
}

static int peer_address(char **w) {
    struct sockaddr_in told = {0};
    socklen_t size = sizeof told;
    int fd = connected(w);
    return fd < 0 || getpeername(fd, (void *)&told, &size) ? fail() : show(&told);
}

static int refused(char **w) { return connected(w) < 0 ? fail() : say("connected"); }

// A datagram is sent to the address, answered, and its sender told.
static int answered(char **w) {
    struct sockaddr_in wanted = address(w), from = {0};
    socklen_t size = sizeof from;
    char text[64];
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (sendto(fd, "ping", 4, 0, (void *)&wanted, sizeof wanted) < 0) return fail();
    if (poll(&(struct pollfd){fd, POLLIN, 0}, 1, 1000) != 1) return say("no answer");
    return recvfrom(fd, text, sizeof text, 0, (void *)&from, &size) < 0 ? fail() : show(&from);
}

// Holds a port for a while, as another instance does the same.
static int held(char **w) {
    int fd = bound(w, SOCK_STREAM);
    if (fd < 0) return fail();
    usleep(300000);
    return say("bound");
}

static const struct {
    const char *name;
    int (*check)(char **);
} checks[] = {
    {"uname", node_name}, {"release", release}, {"gethostname", host_name}, {"getdomainname", domain_name},
    {"sethostname", set_host_name}, {"gethostid", host_id}, {"cpus", processors}, {"memory", memory}, {"getpwnam", user},
    {"getpwuid", user_by_number}, {"getgrnam", group}, {"getgrouplist", groups_of}, {"clock", clock_days}, {"time", time_days},
    {"gettimeofday", day_days}, {"raw-clock", raw_days}, {"uptime", uptime}, {"sleep", slept}, {"sleep-until", slept_until},
    {"zone", zone}, {"getaddrinfo", address_of}, {"gethostbyname", address_by_host}, {"getnameinfo", name_of},
    {"getservbyname", service}, {"getsockname", own_address}, {"reach", reached}, {"greet", greeted},
    {"getpeername", peer_address}, {"refused", refused}, {"datagram", answered}, {"hold", held},
    {"res_query", query},
};

int main(int argc, char **argv) {
    for (size_t i = 0; argc > 1 && i < sizeof checks / sizeof *checks; i++)
        if (!strcmp(checks[i].name, argv[1])) return checks[i].check(argv + 2) | fflush(stdout);
    return fprintf(stderr, "proof_host CHECK WORD...\n"), 2;
}
