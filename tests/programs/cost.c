// What a call costs.
//
//     cost time OPERATION WHERE TIMES BATCHES PATH...
//
// does the operation TIMES times in each batch, taking the paths in turn, and
// prints the nanoseconds that one took in the fastest batch: what else the
// machine does can only make a batch slower. WHERE is where the paths lie as
// strings: `stack` (as arguments), `heap` or `static`.
//
//     cost steps OPERATION WHERE TIMES BATCHES PATH...
//
// stops itself before the last batch and after it, so that a tracer can count.
//
//     cost memory
//
// prints the KiB that no other process has: clean ones, dirty ones.
//
//     cost faults PATH
//
// starts the program there ten times and prints the page faults of the children.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int open_close(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -1 : close(fd);
}

static int look(const char *path) {
    struct stat about;
    return stat(path, &about);
}

static int look_at_link(const char *path) {
    struct stat about;
    return lstat(path, &about);
}

static int may_read(const char *path) { return access(path, R_OK); }

// Of a name that nobody has asked for before, and that is not there.
static int may_read_none(const char *path) {
    static int asked;
    char other[4096];
    snprintf(other, sizeof other, "%s%d", path, asked++);
    return access(other, R_OK) && errno == ENOENT ? 0 : -1;
}

// A directory that is opened like a file, as setlocale(3) does.
static int open_look_close(const char *path) {
    struct stat about;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 || fstat(fd, &about) || !S_ISDIR(about.st_mode) ? -1 : close(fd);
}

static int read_link(const char *path) {
    char target[256];
    return readlink(path, target, sizeof target) < 0 ? -1 : 0;
}

static int read_no_link(const char *path) {
    char target[256];
    return readlink(path, target, sizeof target) < 0 && errno == EINVAL ? 0 : -1;
}

static int list(const char *path) {
    DIR *dir = opendir(path);
    if (!dir) return -1;
    while (readdir(dir)) {}
    return closedir(dir);
}

// By an instruction that has others around it than libc's: nobody rewrites it.
static int open_by_hand(const char *path) {
    long fd;
    register long flags __asm__("rdx") = O_RDONLY | O_CLOEXEC;
    __asm__ volatile("nop\n\tsyscall" : "=a"(fd) : "0"((long)SYS_openat), "D"((long)AT_FDCWD), "S"(path), "r"(flags) : "rcx", "r11", "memory");
    return fd < 0 ? -1 : close(fd);
}

static int start_and_wait(const char *path) {
    pid_t child = fork();
    if (!child) {
        execl(path, path, (char *)NULL);
        _exit(127);
    }
    int status;
    return waitpid(child, &status, 0) == child && !status ? 0 : -1;
}

static int ask_pid(const char *path) {
    (void)path;
    return syscall(SYS_getppid) < 0;
}

static int ask_machine(const char *path) {
    struct utsname names;
    (void)path;
    return uname(&names);
}

static int ask_host(const char *path) {
    char name[65];
    (void)path;
    return gethostname(name, sizeof name);
}

static int ask_user(const char *path) {
    (void)path;
    return getpwnam("root") ? 0 : -1;
}

static int ask_user_by_number(const char *path) {
    (void)path;
    return getpwuid(0) ? 0 : -1;
}

static int look_closer(const char *path) {
    struct statx about;
    return statx(AT_FDCWD, path, 0, STATX_BASIC_STATS, &about);
}

static int make_and_remove(const char *path) {
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return fd < 0 || close(fd) ? -1 : unlink(path);
}

static int rename_and_back(const char *path) {
    char other[4096];
    return snprintf(other, sizeof other, "%s-", path) < 0 || rename(path, other) ? -1 : rename(other, path);
}

// A descriptor of the path's, opened once.
static int opened(const char *path, int flags) {
    static int fd = -1;
    return fd < 0 ? fd = open(path, flags | O_CLOEXEC) : fd;
}

static int read_opened(const char *path) {
    char byte;
    return pread(opened(path, O_RDONLY), &byte, 1, 0) == 1 ? 0 : -1;
}

static int write_opened(const char *path) { return pwrite(opened(path, O_RDWR), "x", 1, 0) == 1 ? 0 : -1; }

static int map_opened(const char *path) {
    void *at = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, opened(path, O_RDONLY), 0);
    return at == MAP_FAILED ? -1 : munmap(at, 4096);
}

static int load(const char *path) {
    void *library = dlopen(path, RTLD_NOW);
    return library ? dlclose(library) : -1;
}

static int ask_id(const char *path) {
    (void)path;
    return getuid() == (uid_t)-1;
}

static int ask_date(const char *path) {
    struct timespec date;
    (void)path;
    return clock_gettime(CLOCK_REALTIME, &date);
}

static int fork_and_wait(const char *path) {
    int status;
    pid_t child = fork();
    if (!child) _exit(0);
    (void)path;
    return waitpid(child, &status, 0) == child && !status ? 0 : -1;
}

static int spawn_and_wait(const char *path) {
    int status;
    pid_t child = vfork();
    if (!child) {
        execl(path, path, (char *)NULL);
        _exit(127);
    }
    return waitpid(child, &status, 0) == child && !status ? 0 : -1;
}

static void *nothing(void *unused) { return unused; }

static int start_thread(const char *path) {
    pthread_t thread;
    (void)path;
    return pthread_create(&thread, NULL, nothing, NULL) || pthread_join(thread, NULL) ? -1 : 0;
}

// A socket of datagrams of loopback that is bound, once; `where` is told of its address.
static int own_socket(struct sockaddr_in *where) {
    static int fd = -1;
    socklen_t size = sizeof *where;
    if (fd < 0) {
        struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (bind(fd, (void *)&any, sizeof any)) return -1;
    }
    static struct sockaddr_in known;
    if (!known.sin_port && getsockname(fd, (void *)&known, &size)) return -1;
    *where = known;
    return fd;
}

static int send_datagram(const char *path) {
    char byte;
    struct sockaddr_in where;
    int fd = own_socket(&where);
    (void)path;
    return sendto(fd, "x", 1, 0, (void *)&where, sizeof where) == 1 && recv(fd, &byte, 1, 0) == 1 ? 0 : -1;
}

// Ports that nobody has: under a policy, the first leads to the other.
enum { ASKED_PORT = 45999 };

static int at_port(int fd, int (*call)(int, const struct sockaddr *, socklen_t)) {
    struct sockaddr_in address = {AF_INET, htons(ASKED_PORT), {htonl(INADDR_LOOPBACK)}, {0}};
    return call(fd, (struct sockaddr *)&address, sizeof address);
}

static int bind_close(const char *path) {
    (void)path;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return at_port(fd, bind) || close(fd);
}

static int connect_accept(const char *path) {
    static int server = -1;
    (void)path;
    if (server < 0) {
        int one = 1;
        server = socket(AF_INET, SOCK_STREAM, 0);
        setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        if (at_port(server, bind) || listen(server, 5)) return -1;
    }
    struct linger none = {1, 0};
    int client = socket(AF_INET, SOCK_STREAM, 0);
    if (at_port(client, connect)) return -1;
    int other = accept(server, NULL, NULL);
    // Without a wait of the port's for what may still come.
    setsockopt(client, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    return other < 0 || close(client) || close(other);
}

static int send_receive(const char *path) {
    static int ends[2] = {-1, -1};
    char byte = 'x';
    (void)path;
    if (ends[0] < 0) {
        int one = 1, server = socket(AF_INET, SOCK_STREAM, 0);
        setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        ends[0] = socket(AF_INET, SOCK_STREAM, 0);
        if (at_port(server, bind) || listen(server, 5) || at_port(ends[0], connect)) return -1;
        ends[1] = accept(server, NULL, NULL);
        setsockopt(ends[0], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        close(server);
    }
    return send(ends[0], &byte, 1, 0) != 1 || recv(ends[1], &byte, 1, 0) != 1;
}

static int ask_name(const char *path) {
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
    (void)path;
    if (getaddrinfo("localhost", "80", &hints, &found)) return -1;
    freeaddrinfo(found);
    return 0;
}

static const struct {
    const char *name;
    int (*call)(const char *);
} operations[] = {
    {"open", open_close}, {"stat", look},          {"lstat", look_at_link},
    {"access", may_read}, {"readlink", read_link}, {"readdir", list},
    {"access-none", may_read_none}, {"fstat", open_look_close}, {"trap", open_by_hand}, {"readlink-none", read_no_link},
    {"exec", start_and_wait}, {"getppid", ask_pid},
    {"uname", ask_machine}, {"gethostname", ask_host}, {"getpwnam", ask_user},
    {"getpwuid", ask_user_by_number}, {"statx", look_closer}, {"create", make_and_remove}, {"rename", rename_and_back},
    {"read", read_opened}, {"write", write_opened}, {"mmap", map_opened}, {"dlopen", load}, {"getuid", ask_id},
    {"clock", ask_date}, {"fork", fork_and_wait}, {"vfork", spawn_and_wait}, {"thread", start_thread},
    {"bind", bind_close}, {"connect", connect_accept}, {"send", send_receive}, {"sendto", send_datagram}, {"getaddrinfo", ask_name},
};

/* What all processes of an instance have mapped to write to is theirs together: that only this one
 * has been to a page of it yet says nothing. */
static int memory(void) {
    static char line[8192];
    char rights[8] = "";
    long clean = 0, dirty = 0, size;
    FILE *maps = fopen("/proc/self/smaps", "r");
    if (!maps) return perror("smaps"), 1;
    while (fgets(line, sizeof line, maps)) {
        sscanf(line, "%*x-%*x %7s", rights);
        if (rights[3] == 's') continue;
        if (sscanf(line, "Private_Clean: %ld", &size) == 1) clean += size;
        if (sscanf(line, "Private_Dirty: %ld", &size) == 1) dirty += size;
    }
    fclose(maps);
    return printf("%ld %ld\n", clean, dirty) < 0;
}

static int faults(const char *path) {
    for (int i = 0; i < 10; i++)
        if (start_and_wait(path)) return perror(path), 1;
    struct rusage used;
    if (getrusage(RUSAGE_CHILDREN, &used)) return perror("getrusage"), 1;
    return printf("%ld\n", used.ru_minflt) < 0;
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e9 + time.tv_nsec;
}

static const char *place(const char *path, const char *where) {
    static char room[1 << 16];
    static size_t used;
    if (!strcmp(where, "heap")) return strdup(path);
    if (strcmp(where, "static")) return path;
    size_t size = strlen(path) + 1;
    if (used + size > sizeof room) exit(3);
    char *copy = memcpy(room + used, path, size);
    used += size;
    return copy;
}

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "memory")) return memory();
    if (argc == 3 && !strcmp(argv[1], "faults")) return faults(argv[2]);
    if (argc < 7) return fprintf(stderr, "cost time|steps OPERATION WHERE TIMES BATCHES PATH...\n"), 2;
    int (*call)(const char *) = NULL;
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
        if (!strcmp(operations[i].name, argv[2])) call = operations[i].call;
    if (!call) return fprintf(stderr, "cost: no operation %s\n", argv[2]), 2;
    int stops = !strcmp(argv[1], "steps"), first = 6;
    for (int i = first; i < argc; i++) argv[i] = (char *)place(argv[i], argv[3]);
    long times = atol(argv[4]), batches = atol(argv[5]);
    double best = 1e18;
    for (long batch = 1; batch <= batches; batch++) {
        if (stops && batch == batches) raise(SIGSTOP);
        // The clock takes more instructions at one time than at another.
        double start = stops ? 0 : now();
        for (long i = 0, path = first; i < times; i++) {
            if (call(argv[path])) return perror(argv[path]), 1;
            if (++path == argc) path = first;
        }
        double each = stops ? 0 : (now() - start) / times;
        if (each < best) best = each;
    }
    if (stops) raise(SIGSTOP);
    return printf("%.1f\n", best) < 0;
}
