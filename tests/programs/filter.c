// Runs a program under a seccomp filter that allows all: what a filter costs on this kernel.
//
//     filter any PROGRAM [ARGUMENT]...      the least one: the kernel keeps its answers in a bitmap
//     filter caller PROGRAM [ARGUMENT]...   the least one that tells from where calls on paths are made: it runs at each
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
// Goes to the instruction with this index, if the call has this number.
#define IF(number, index, to) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, to - index - 1, 0)
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

int main(int argc, char **argv) {
    struct sock_filter any[] = {ALLOW};
    struct sock_filter caller[] = {
        LOAD(nr),
        IF(SYS_newfstatat, 1, 10),
        IF(SYS_openat, 2, 10),
        IF(SYS_getdents64, 3, 10),
        IF(SYS_statx, 4, 10),
        IF(SYS_access, 5, 10),
        IF(SYS_readlink, 6, 10),
        IF(SYS_stat, 7, 10),
        IF(SYS_lstat, 8, 10),
        ALLOW,
        LOAD(instruction_pointer),
        ALLOW,
    };
    int by_caller = argc > 2 && !strcmp(argv[1], "caller");
    if (argc < 3 || (!by_caller && strcmp(argv[1], "any"))) {
        fprintf(stderr, "usage: filter any|caller PROGRAM [ARGUMENT]...\n");
        return 125;
    }
    struct sock_fprog filter = {by_caller ? sizeof caller / sizeof *caller : 1, by_caller ? caller : any};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter)) {
        perror("filter");
        return 125;
    }
    execv(argv[2], argv + 2);
    perror(argv[2]);
    return 126;
}
