// Changes one directory from several processes at once, of two users.
//
//     rivals TIMES DIRECTORY UID
//
// Half of the processes begin anew as the user. Says what no call may answer there, and what a listing may not
// hold.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned state;

static unsigned below(unsigned bound) {
    state = state * 1103515245u + 12345u;
    return (state >> 8) % bound;
}

static void name(const char *directory, char *path) {
    path += sprintf(path, "%s", directory);
    for (unsigned depth = 1 + below(3); depth > 0; depth--)
        path += sprintf(path, "/%c%u", below(4) ? 'd' : 'f', below(5));
}

static int list(const char *path) {
    char seen[64][32];
    int count = 0;
    DIR *directory = opendir(path);
    if (!directory)
        return -1;
    for (struct dirent *entry; (entry = readdir(directory)) && count < 64; count++) {
        for (int at = 0; at < count; at++)
            if (!strcmp(seen[at], entry->d_name))
                printf("%s is twice in %s\n", entry->d_name, path);
        snprintf(seen[count], sizeof seen[count], "%s", entry->d_name);
    }
    return closedir(directory);
}

static int change(int operation, const char *one, const char *other) {
    struct stat about;
    int file;
    switch (operation) {
    case 0:
        return mkdir(one, 0777);
    case 1:
        return rmdir(one);
    case 2:
        return rename(one, other);
    case 3:
        return symlink("d1", one);
    case 4:
        return unlink(one);
    case 5:
        file = open(one, O_CREAT | O_WRONLY | (below(2) ? O_EXCL : 0), 0666);
        return file < 0 ? -1 : close(file);
    case 6:
        return stat(one, &about);
    case 7:
        return chmod(one, 0777);
    case 8:
        return list(one);
    default:
        return syscall(SYS_renameat2, AT_FDCWD, one, AT_FDCWD, other, 1 + below(2));
    }
}

static int may_be(int error) {
    static const int all[] = {ENOENT, EEXIST, ENOTEMPTY, EISDIR, ENOTDIR, EINVAL, ELOOP, EPERM, EACCES};
    for (unsigned at = 0; at < sizeof all / sizeof *all; at++)
        if (all[at] == error)
            return 1;
    return 0;
}

int main(int count, char **words) {
    int times = atoi(words[1]);
    if (count > 4) {
        state = atoi(words[4]);
        umask(0);
        while (times-- > 0) {
            char one[256], other[256];
            name(words[2], one);
            name(words[2], other);
            int operation = below(10);
            if (change(operation, one, other) < 0 && !may_be(errno))
                printf("%d of %s and %s as %u: %s\n", operation, one, other, getuid(), strerror(errno));
        }
        return 0;
    }
    for (int number = 0; number < 4; number++) {
        if (fork() == 0) {
            char seed[16];
            sprintf(seed, "%d", getpid() * 7919 + number);
            uid_t uid = atoi(words[3]);
            if (number % 2 && (setgroups(0, NULL) || setgid(uid) || setuid(uid)))
                _exit(9);
            execl("/proc/self/exe", words[0], words[1], words[2], words[3], seed, NULL);
            _exit(9);
        }
    }
    for (int status; wait(&status) > 0;)
        if (status)
            printf("a process ended with %d\n", status);
    puts("done");
    return 0;
}
