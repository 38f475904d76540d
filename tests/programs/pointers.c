/* Hands pointers that cannot be read to one call of each family, and says
 * what it answered. The argument is a good path, for the calls that take two. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#define TRY(call)                                                                      \
	do {                                                                               \
		errno = 0;                                                                     \
		long answer = (long)(call);                                                    \
		printf("%-60s %s %s\n", #call, answer < 0 ? "-1" : "ok", strerrorname_np(errno)); \
	} while (0)

int main(int argc, char **argv) {
	static char buf[4096];
	struct stat st;
	struct statfs sf;
	struct statx sx;
	struct timespec times[2] = {{1, 0}, {1, 0}};
	char *good = argv[1], *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(pages + 4096, 4096, PROT_NONE);
	memset(pages, '/', 4096);
	char *bads[] = {(char *)1, (char *)-1, (char *)0xdeadbeef, (char *)0x7fffffffffff, pages + 4096, pages + 1, pages + 4095};
	for (unsigned i = 0; i < sizeof bads / sizeof *bads; i++) {
		char *bad = bads[i];
		printf("bad pointer %u\n", i);
		TRY(open(bad, O_RDONLY));
		TRY(open(bad, O_RDWR | O_CREAT, 0600));
		TRY(openat(AT_FDCWD, bad, O_RDONLY));
		TRY(syscall(SYS_openat, AT_FDCWD, bad, O_RDONLY));
		TRY(syscall(SYS_openat2, AT_FDCWD, good, bad, 24));
		TRY(stat(bad, &st));
		TRY(lstat(bad, &st));
		TRY(fstatat(AT_FDCWD, bad, &st, 0));
		TRY(statx(AT_FDCWD, bad, 0, STATX_BASIC_STATS, &sx));
		TRY(statfs(bad, &sf));
		TRY(access(bad, R_OK));
		TRY(readlink(bad, buf, sizeof buf));
		TRY(mkdir(bad, 0700));
		TRY(rmdir(bad));
		TRY(unlink(bad));
		TRY(rename(bad, good));
		TRY(rename(good, bad));
		TRY(link(good, bad));
		TRY(symlink(good, bad));
		TRY(symlink(bad, good));
		TRY(chmod(bad, 0600));
		TRY(chown(bad, 0, 0));
		TRY(truncate(bad, 0));
		TRY(utimensat(AT_FDCWD, bad, times, 0));
		TRY(getxattr(bad, "user.a", buf, sizeof buf));
		TRY(setxattr(bad, "user.a", "b", 1, 0));
		TRY(chdir(bad));
		TRY(mkfifo(bad, 0600));
		TRY(inotify_add_watch(inotify_init(), bad, IN_OPEN));
		TRY(execve(bad, argv, NULL));
		TRY(execve(good, (char **)bad, NULL));
		TRY(execve("/bin/true", argv, (char **)bad));
		TRY(bind(socket(AF_UNIX, SOCK_STREAM, 0), (void *)bad, sizeof(struct sockaddr_un)));
		TRY(connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)bad, sizeof(struct sockaddr_un)));
	}
	printf("bad places for answers\n");
	TRY(stat(good, (void *)1));
	TRY(readlink("/proc/self/exe", (char *)1, 100));
	TRY(readlink("/proc/self/cwd", pages + 4096, 100));
	TRY(syscall(SYS_getcwd, 1, 100));
	TRY(statfs(good, (void *)1));
	return 0;
}
