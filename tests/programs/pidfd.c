/* Starts the program that the arguments name by glibc's newer functions,
 * which this libc need not have. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

typedef int Spawn(int *, const char *, const void *, const void *, char **, char **);

static void start(const char *name, const char *path, char **words) {
	Spawn *spawn = (Spawn *)dlsym(RTLD_DEFAULT, name);
	int pidfd = -2, failed = spawn ? spawn(&pidfd, path, NULL, NULL, words, environ) : -1;
	siginfo_t how = {0};
	if (pidfd >= 0)
		waitid(P_PIDFD, pidfd, &how, WEXITED);
	printf("%s %s %s", name, path, strerrorname_np(failed));
	printf(" descriptor %d cloexec %d status %d\n", pidfd >= 0, fcntl(pidfd, F_GETFD), how.si_status);
}

int main(int argc, char **argv) {
	setvbuf(stdout, NULL, _IONBF, 0);
	start("pidfd_spawn", argv[1], argv + 1);
	start("pidfd_spawnp", "cat", argv + 1);
	start("pidfd_spawn", "/none", argv + 1);
	/* No child of the failed call is left. */
	printf("%d\n", waitpid(-1, NULL, WNOHANG));
	/* No descriptor either. */
	int next = open("/", O_RDONLY);
	start("pidfd_spawn", "/none", argv + 1);
	printf("%d\n", open("/", O_RDONLY) - next);
	return 0;
}
