/* Names by which processes find each other: makes one of each kind, or looks what there is.
   `make` leaves all there and waits for the end of its input, `look` says what it finds, `remove` takes all away. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <semaphore.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define KEY 0x4c41554e

static socklen_t named(struct sockaddr_un *at, const char *name) {
    memset(at, 0, sizeof *at);
    at->sun_family = AF_UNIX;
    memcpy(at->sun_path + 1, name, strlen(name));
    return offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name);
}

static void shown(const char *what, struct sockaddr_un *at, socklen_t len) {
    int size = (int)len - (int)offsetof(struct sockaddr_un, sun_path);
    printf("%s: @%.*s %d\n", what, size > 0 ? size - 1 : 0, at->sun_path + 1, size);
}

/* The line of a file that has a word in it, without the numbers that differ from run to run. */
static void listed(const char *file, const char *word) {
    char line[512];
    FILE *all = fopen(file, "r");
    int found = 0;
    while (all && fgets(line, sizeof line, all)) found += strstr(line, word) != 0;
    printf("%s: %d\n", file, found);
    if (all) fclose(all);
}

static void lists(void) {
    char key[16];
    snprintf(key, sizeof key, "%d ", KEY);
    listed("/proc/sysvipc/shm", key);
    listed("/proc/sysvipc/sem", key);
    listed("/proc/sysvipc/msg", key);
    listed("/proc/net/unix", "@launcher-test\n");
}

int main(int argc, char **argv) {
    struct sockaddr_un at, other;
    socklen_t len = named(&at, "launcher-test"), given;
    int makes = !strcmp(argv[1], "make"), removes = !strcmp(argv[1], "remove");
    int flags = makes ? IPC_CREAT | 0600 : 0;
    int id = shmget(KEY, 4096, flags);
    printf("shmget: %s\n", id >= 0 ? "ok" : strerror(errno));
    if (id >= 0) {
        struct shmid_ds about;
        shmctl(id, IPC_STAT, &about);
        printf("key: %x\n", about.shm_perm.__key);
        char *memory = shmat(id, 0, 0);
        if (makes) strcpy(memory, "written");
        printf("memory: %s\n", memory);
        if (removes) printf("removed: %d\n", shmctl(id, IPC_RMID, 0));
    }
    id = semget(KEY, 2, flags);
    printf("semget: %s\n", id >= 0 ? "ok" : strerror(errno));
    if (id >= 0) {
        if (makes) semctl(id, 1, SETVAL, 7);
        printf("value: %d\n", semctl(id, 1, GETVAL));
        if (removes) printf("removed: %d\n", semctl(id, 0, IPC_RMID));
    }
    id = msgget(KEY, flags);
    printf("msgget: %s\n", id >= 0 ? "ok" : strerror(errno));
    if (id >= 0 && removes) printf("removed: %d\n", msgctl(id, IPC_RMID, 0));
    int private = makes ? shmget(IPC_PRIVATE, 4096, 0600) : -1;
    if (makes) {
        struct shmid_ds about;
        shmctl(private, IPC_STAT, &about);
        printf("private: %x\n", about.shm_perm.__key);
    }
    int file = shm_open("/launcher-test", makes ? O_CREAT | O_RDWR : O_RDWR, 0600);
    printf("shm_open: %s\n", file >= 0 ? "ok" : strerror(errno));
    struct stat about;
    printf("its file: %s\n", stat("/dev/shm/launcher-test", &about) == 0 ? "there" : strerror(errno));
    sem_t *semaphore = makes ? sem_open("/launcher-test", O_CREAT, 0600, 3) : sem_open("/launcher-test", 0);
    int value = -1;
    if (semaphore != SEM_FAILED) sem_getvalue(semaphore, &value);
    printf("sem_open: %d\n", value);
    mqd_t queue = makes ? mq_open("/launcher-test", O_CREAT | O_RDWR, 0600, 0) : mq_open("/launcher-test", O_RDWR);
    printf("mq_open: %s\n", queue >= 0 ? "ok" : strerror(errno));
    printf("no name: %d", mq_open("launcher-test", O_RDWR));
    printf(" %d\n", errno);
    if (removes) printf("removed: %d %d %d\n", shm_unlink("/launcher-test"), sem_unlink("/launcher-test"), mq_unlink("/launcher-test"));
    if (makes) {
        int server = socket(AF_UNIX, SOCK_STREAM, 0), datagram = socket(AF_UNIX, SOCK_DGRAM, 0);
        printf("bind: %d\n", bind(server, (void *)&at, len));
        listen(server, 5);
        given = sizeof other;
        getsockname(server, (void *)&other, &given);
        shown("getsockname", &other, given);
        int client = socket(AF_UNIX, SOCK_STREAM, 0);
        printf("connect: %d\n", connect(client, (void *)&at, len));
        given = sizeof other;
        getpeername(client, (void *)&other, &given);
        shown("getpeername", &other, given);
        /* The kernel's own names are found by what it calls them. */
        sa_family_t family = AF_UNIX;
        bind(datagram, (void *)&family, sizeof family);
        given = sizeof other;
        getsockname(datagram, (void *)&other, &given);
        int sender = socket(AF_UNIX, SOCK_DGRAM, 0);
        struct sockaddr_un from;
        bind(sender, (void *)&from, named(&from, "launcher-sender"));
        printf("sendto: %zd\n", sendto(sender, "x", 1, 0, (void *)&other, given));
        char byte;
        given = sizeof other;
        recvfrom(datagram, &byte, 1, 0, (void *)&other, &given);
        shown("recvfrom", &other, given);
        struct iovec part = {&byte, 1};
        struct msghdr message = {.msg_name = &at, .msg_iov = &part, .msg_iovlen = 1};
        message.msg_namelen = named(&at, "launcher-sender");
        printf("sendmsg: %zd\n", sendmsg(datagram, &message, 0));
        char many[128];
        memset(many, 'x', sizeof many);
        many[107] = 0;
        len = named(&at, many);
        int longest = socket(AF_UNIX, SOCK_STREAM, 0);
        printf("longest: %d", bind(longest, (void *)&at, len));
        printf(" %d\n", errno == ENAMETOOLONG);
    } else {
        int client = socket(AF_UNIX, SOCK_STREAM, 0);
        printf("connect: %s\n", connect(client, (void *)&at, len) == 0 ? "ok" : strerror(errno));
    }
    lists();
    fflush(stdout);
    if (makes) while (getchar() != EOF);
    return 0;
}
