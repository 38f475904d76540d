// Few calls at a site, fewer than would have it rewritten for this process alone.
//
//     few
//
// prints what came of them, and whether the site was as it is in its file when the program began, and when it ended. PAD is a number of
// bytes to be added to the code.
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "in_file.h"

#ifdef PAD
#define TEXT_OF(number) #number
#define TEXT(number) TEXT_OF(number)
__asm__(".text\n.fill " TEXT(PAD) ", 1, 0x90\n");
#endif

enum { TIMES = 12, LENGTH = 48 };

int main(void) {
    // As a number, so that it is the function's code and not what the linker puts before it.
    const char *volatile code = (const char *)access;
    char first[LENGTH], then[LENGTH];
    memcpy(first, code, LENGTH);
    int there = 0, missing = 0;
    for (int time = 0; time < TIMES; time++) {
        there += access("/etc/passwd", F_OK) == 0;
        missing += access("/etc/no such file", F_OK) == -1 && errno == ENOENT;
        if (time == TIMES / 2) there += access((const char *)1, F_OK) == -1 && errno == EFAULT;
        if (there + missing == TIMES) break;
    }
    memcpy(then, code, LENGTH);
    printf("%d and %d, the site %s at first", there, missing, is_in_file(code, first, LENGTH) ? "as it was" : "rewritten");
    printf(", %s then\n", is_in_file(code, then, LENGTH) ? "as it was" : "rewritten");
    return 0;
}
