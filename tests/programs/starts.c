/* Starts programs, as many as are asked for in tens: by fork, by vfork, and by
 * execve(2) in one process again and again. Says what was lost or is left. */
#define _GNU_SOURCE
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static int entries(const char *path) {
    DIR *dir = opendir(path);
    int count = 0;
    while (readdir(dir)) count++;
    closedir(dir);
    return count;
}

static int mappings(void) {
    FILE *maps = fopen("/proc/self/maps", "r");
    int count = 0, c;
    while ((c = getc(maps)) != EOF) count += c == '\n';
    fclose(maps);
    return count;
}

enum { CHAIN = 8, ROUND = CHAIN + 2 };

/* A child that ends with 7 if all is as it should be. */
static int ended_well(pid_t child) {
    int status;
    return waitpid(child, &status, 0) == child && status == 7 << 8;
}

static int round_of_starts(char *self) {
    int well = 0;
    pid_t child = fork();
    if (child == 0) execl("/bin/sh", "sh", "-c", "exit 7", NULL), _exit(1);
    well += ended_well(child);
    child = vfork();
    if (child == 0) execl("/bin/sh", "sh", "-c", "exit 7", NULL), _exit(1);
    well += ended_well(child);
    char files[16];
    sprintf(files, "%d", entries("/proc/self/fd"));
    child = fork();
    if (child == 0) execl("/proc/self/exe", self, "chain", "7", files, NULL), _exit(1);
    return well + (ended_well(child) ? CHAIN : 0);
}

int main(int count, char **words) {
    if (count == 4) {
        int left = atoi(words[2]);
        char number[16];
        sprintf(number, "%d", left - 1);
        if (left == 0) return entries("/proc/self/fd") == atoi(words[3]) ? 7 : 1;
        execl("/proc/self/exe", words[0], "chain", number, words[3], NULL);
        return 1;
    }
    /* What libc opens or maps at its first time is there after the first round. */
    int right = round_of_starts(words[0]);
    int files = entries("/proc/self/fd"), maps = mappings();
    int starts = atoi(words[1]);
    for (int done = ROUND; done < starts; done += ROUND) right += round_of_starts(words[0]);
    int leaked = entries("/proc/self/fd") - files + mappings() - maps;
    printf("started %d, wrong %d, leaked %d\n", starts, starts - right, leaked);
}
