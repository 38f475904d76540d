// Few calls at a site, fewer than would have it rewritten for this process alone.
//
//     few
//
// prints what came of them, and whether the site is still as it is in its file.
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "in_file.h"

enum { TIMES = 12, LENGTH = 48 };

int main(void) {
    // As a number, so that it is the function's code and not what the linker puts before it.
    const char *volatile code = (const char *)access;
    int there = 0, missing = 0;
    for (int time = 0; time < TIMES; time++) {
        there += access("/etc/passwd", F_OK) == 0;
        missing += access("/etc/no such file", F_OK) == -1 && errno == ENOENT;
        if (time == TIMES / 2) there += access((const char *)1, F_OK) == -1 && errno == EFAULT;
        if (there + missing == TIMES) break;
    }
    printf("%d and %d, the site %s\n", there, missing, is_as_in_file(code, LENGTH) ? "as it was" : "rewritten");
    return 0;
}
