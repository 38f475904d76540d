/* Hands pointers that cannot be read to one call of each family, and says
 * what it answered. The first argument is a good path, for the calls that take two;
 * the second says what the signals of faults are to be meanwhile. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <ucontext.h>
#include <unistd.h>

#define TRY(call)                                                                      \
	do {                                                                               \
		errno = 0;                                                                     \
		long answer = (long)(call);                                                    \
		printf("%-60s %s %s\n", #call, answer < 0 ? "-1" : "ok", strerrorname_np(errno)); \
	} while (0)

static char *good, **argv;

static void all(void) {
	static char buf[4096];
	struct stat st;
	struct statfs sf;
	struct statx sx;
	struct timespec times[2] = {{1, 0}, {1, 0}};
	char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(pages + 4096, 4096, PROT_NONE);
	memset(pages, '/', 4096);
	/* A page of a file that ends before it. */
	char *beyond = mmap(NULL, 4096, PROT_READ, MAP_SHARED, memfd_create("empty", 0), 0);
	char *bads[] = {(char *)1, (char *)-1, (char *)0xdeadbeef, (char *)0x7fffffffffff, pages + 4096, pages + 1, pages + 4095, beyond};
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
}


static void in_handler(int signal) {
	all();
}

static void block_when_done(int signal, siginfo_t *info, void *context) {
	sigfillset(&((ucontext_t *)context)->uc_sigmask);
}

static void *in_thread(void *unused) {
	all();
	return NULL;
}

static void *in_thread_fork(void *unused) {
	if (fork() == 0)
		all(), exit(0);
	wait(NULL);
	return NULL;
}

static void handle(int signal, void (*handler)(int), int masks_all) {
	struct sigaction action = {.sa_handler = handler};
	if (masks_all)
		sigfillset(&action.sa_mask);
	sigaction(signal, &action, NULL);
}

int main(int argc, char **arguments) {
	const char *how = arguments[2] ? arguments[2] : "plain";
	sigset_t every;
	sigfillset(&every);
	good = arguments[1];
	argv = arguments;
	/* As a program would be that has looked at files before. */
	struct stat st;
	for (int i = 0; i < 100; i++)
		stat(good, &st);
	if (!strcmp(how, "blocked")) {
		sigprocmask(SIG_BLOCK, &every, NULL);
		all();
	} else if (!strcmp(how, "inherited")) {
		sigprocmask(SIG_SETMASK, &every, NULL);
		execl("/proc/self/exe", arguments[0], good, "plain", NULL);
	} else if (!strcmp(how, "ignored")) {
		signal(SIGSEGV, SIG_IGN);
		signal(SIGBUS, SIG_IGN);
		all();
	} else if (!strcmp(how, "handled")) {
		handle(SIGSEGV, in_handler, 0);
		raise(SIGSEGV);
	} else if (!strcmp(how, "in-handler")) {
		handle(SIGUSR1, in_handler, 1);
		raise(SIGUSR1);
	} else if (!strncmp(how, "after-handler", 13)) {
		/* What a handler of the second kind returns to is rewritten. */
		int flags = strcmp(how, "after-handler") ? SA_SIGINFO | SA_ONSTACK : SA_SIGINFO;
		struct sigaction action = {.sa_sigaction = block_when_done, .sa_flags = flags};
		sigaction(SIGUSR1, &action, NULL);
		raise(SIGUSR1);
		all();
	} else if (!strcmp(how, "suspended")) {
		handle(SIGALRM, in_handler, 0);
		sigprocmask(SIG_BLOCK, &(sigset_t){{1 << (SIGALRM - 1)}}, NULL);
		raise(SIGALRM);
		sigdelset(&every, SIGALRM);
		sigsuspend(&every);
	} else if (!strcmp(how, "threaded")) {
		pthread_t thread;
		pthread_create(&thread, NULL, in_thread, NULL);
		pthread_join(thread, NULL);
		all();
	} else if (!strcmp(how, "vforked")) {
		if (vfork() == 0) {
			all();
			_exit(0);
		}
	} else if (!strcmp(how, "forked-in-thread")) {
		pthread_t thread;
		fflush(stdout);
		pthread_create(&thread, NULL, in_thread_fork, NULL);
		pthread_join(thread, NULL);
	} else if (!strcmp(how, "forked")) {
		fflush(stdout);
		if (fork() == 0)
			all(), exit(0);
		wait(NULL);
	} else {
		all();
	}
	return 0;
}
