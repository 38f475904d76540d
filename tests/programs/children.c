/* Starts children in the ways that lose a preload library elsewhere: the
 * first argument says how, the rest is the command. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int waited(pid_t pid) {
	int status = -1;
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int forked(char **argv) {
	pid_t pid = fork();
	if (pid == 0) {
		execv(argv[0], argv);
		_exit(127);
	}
	return waited(pid);
}

/* As servers do that write their title over their arguments. */
static void overwrite_environment(void) {
	for (char **entry = environ; *entry; entry++)
		memset(*entry, 'x', strlen(*entry));
}

static void *opens(void *path) {
	for (int i = 0; i < 2000; i++)
		close(open(path, O_RDONLY));
	return NULL;
}

/* Forks while other threads are in the middle of opening. */
static int among_threads(char **argv) {
	pthread_t threads[4];
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, opens, argv[1]);
	int failed = 0;
	for (int i = 0; i < 20; i++)
		failed += forked(argv) != 0;
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	return failed;
}

/* Leaves its parent twice, and every descriptor. */
static int as_daemon(char **argv) {
	if (fork())
		return 0;
	setsid();
	if (fork())
		_exit(0);
	for (int fd = 0; fd < 1024; fd++)
		close(fd);
	if (chdir("/") < 0)
		_exit(1);
	umask(0);
	open("/dev/null", O_RDWR);
	if (open(argv[0], O_WRONLY | O_CREAT | O_TRUNC, 0644) != 1)
		_exit(2);
	dup(1);
	execvp(argv[1], argv + 1);
	_exit(3);
}

static int spawned(char **argv) {
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
	posix_spawn_file_actions_addchdir_np(&actions, argv[0]);
	posix_spawn_file_actions_addopen(&actions, 7, argv[1], O_WRONLY | O_CREAT | O_TRUNC, 0644);
	posix_spawn_file_actions_adddup2(&actions, 7, 1);
	posix_spawn_file_actions_addclose(&actions, 7);
	char *none[] = {"PATH=/usr/bin:/bin", NULL};
	pid_t pid;
	int error = posix_spawnp(&pid, argv[2], &actions, &attributes, argv + 2, none);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	if (error) {
		printf("%s\n", strerrorname_np(error));
		return 1;
	}
	return waited(pid);
}

/* The child shares the parent's memory: what it does must not be felt there. */
static int vforked(char **argv) {
	char before[4096], after[4096];
	for (int i = 0; i < 3; i++) {
		pid_t pid = vfork();
		if (pid == 0) {
			if (chdir("/") < 0)
				_exit(1);
			close(open(argv[1], O_RDONLY));
			char *none[] = {NULL};
			execve(argv[0], argv, none);
			_exit(127);
		}
		int status = waited(pid);
		if (status)
			return status;
	}
	int lost = !getcwd(before, sizeof before) || chdir(".") < 0 || !getcwd(after, sizeof after);
	return lost || strcmp(before, after) || access(argv[1], R_OK) < 0;
}

static int execs(void *argv) {
	execv(*(char **)argv, argv);
	return 127;
}

/* A child that begins on a stack of its own, in memory of its own, as Chromium's do. */
static int on_a_stack(char **argv) {
	static char stack[65536] __attribute__((aligned(16)));
	int failed = 0;
	for (int i = 0; i < 30; i++)
		failed += waited(clone(execs, stack + sizeof stack, SIGCHLD, argv)) != 0;
	return failed;
}

static int enters(void *directory) {
	return chdir(directory) < 0;
}

/* A child with memory of its own that shares the working directory: where it takes its parent. */
static int shares_directory(char **directories) {
	static char stack[65536] __attribute__((aligned(16)));
	char where[4096];
	if (chdir("/") < 0)
		return 1;
	for (; *directories; directories++) {
		for (int i = 0; i < 2; i++)
			if (!getcwd(where, sizeof where))
				return 1;
		if (waited(clone(enters, stack + sizeof stack, CLONE_FS | SIGCHLD, *directories)))
			return 1;
		puts(getcwd(where, sizeof where) ? where : "nowhere");
	}
	return 0;
}

/* As man(1) keeps its formatters: they may open to read, and not by new calls. */
static int filtered(char **argv) {
#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
	struct sock_filter rules[] = {
		LOAD(nr),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 3),
		LOAD(args[2]),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_ACCMODE, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof rules / sizeof *rules, rules};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		return 65;
	return forked(argv);
}

int main(int argc, char **argv) {
	if (argc < 3)
		return 64;
	const char *how = argv[1];
	char **command = argv + 2;
	if (!strcmp(how, "overwritten")) {
		overwrite_environment();
		return forked(command);
	} else if (!strcmp(how, "null")) {
		environ = NULL;
		return forked(command);
	} else if (!strcmp(how, "cleared")) {
		clearenv();
		return WEXITSTATUS(system(command[0]));
	} else if (!strcmp(how, "twice")) {
		char *two[] = {"LD_PRELOAD=", "LD_PRELOAD=/nonexistent.so", NULL};
		pid_t pid = fork();
		if (pid == 0)
			execve(command[0], command, two);
		return waited(pid);
	} else if (!strcmp(how, "threads"))
		return among_threads(command);
	else if (!strcmp(how, "daemon"))
		return as_daemon(command);
	else if (!strcmp(how, "spawn"))
		return spawned(command);
	else if (!strcmp(how, "filtered"))
		return filtered(command);
	else if (!strcmp(how, "shared"))
		return shares_directory(command);
	else if (!strcmp(how, "stack"))
		return on_a_stack(command);
	else if (!strcmp(how, "vfork"))
		return vforked(command);
	return 64;
}
