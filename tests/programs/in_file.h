// Code as its file has it.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Whether the file that some code is mapped from has these bytes there.
static int is_in_file(const void *code, const void *bytes, size_t length) {
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[4096], file[4096] = "", there[4096];
    unsigned long start = 0, end = 0, offset = 0, at = (unsigned long)code;
    while (maps && fgets(line, sizeof line, maps))
        if (sscanf(line, "%lx-%lx %*s %lx %*s %*s %4095s", &start, &end, &offset, file) == 4 && at >= start && at < end) break;
    if (maps) fclose(maps);
    FILE *own = fopen(file, "r");
    if (!own || length > sizeof there || fseek(own, (long)(at - start + offset), SEEK_SET) || fread(there, length, 1, own) != 1) {
        perror(file);
        exit(1);
    }
    fclose(own);
    return !memcmp(there, bytes, length);
}
