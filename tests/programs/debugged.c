// What a debugger is let loose on.
//
//     debugged PATH TURNS     opens PATH as often; tells how often that went well
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int turns, good;

static int look(const char *path) {
    int fd = open(path, O_RDONLY);
    close(fd);
    return fd >= 0;
}

int main(int argc, char **argv) {
    int last = atoi(argv[2]);
    while (turns < last) {
        good += look(argv[1]);
        turns++;
    }
    printf("turns %d good %d\n", turns, good);
    return 0;
}
