/* Starts programs by the variadic spellings of exec, in children made by
 * vfork, and says what became of each. The directory that it is given has
 * its own copy of this program in rw/bin. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
pid_t __vfork(void);

static const char *app;
static char path[8192];

static char *below(const char *name) {
	snprintf(path, sizeof path, "%s%s", *name == '/' ? app : "", name);
	return path;
}

static const char *shown(const char *name) {
	return strncmp(name, app, strlen(app)) ? name : name + strlen(app);
}

/* As a child: says what it was started with. */
static int tell(int argc, char **argv) {
	char here[4096];
	app = getenv("APP") ?: "";
	printf("  started with %d:", argc);
	for (int i = 0; i < argc; i++)
		printf(" %s", shown(argv[i]));
	printf("\n  MARK=%s in %s\n", getenv("MARK") ?: "(none)", shown(getcwd(here, sizeof here)));
	FILE *file = fopen("file", "r");
	char line[64] = "(none)";
	if (file)
		fgets(line, sizeof line, file);
	printf("  file: %s\n", line);
	return 7;
}

static void copy_self(void) {
	char block[65536];
	mkdir(below("/rw/bin"), 0755);
	int in = open("/proc/self/exe", O_RDONLY), out = open(below("/rw/bin/probe"), O_WRONLY | O_CREAT, 0755);
	ssize_t n;
	while ((n = read(in, block, sizeof block)) > 0)
		write(out, block, n);
	close(in);
	close(out);
	out = open(below("/rw/bin/script"), O_WRONLY | O_CREAT, 0755);
	dprintf(out, "#!%s/rw/bin/probe told\n", app);
	close(out);
}

static void became(const char *call, pid_t child, int error) {
	int status;
	waitpid(child, &status, 0);
	if (WEXITSTATUS(status) == 99)
		printf("%s: %s\n", call, strerrorname_np(error));
	else
		printf("%s: exit %d signal %d\n", call, WEXITSTATUS(status), WTERMSIG(status));
}

#define IN_CHILD(name, make, call) do { \
		volatile int error = 0; \
		fflush(stdout); \
		pid_t child = make(); \
		if (child == 0) { \
			call; \
			error = errno; \
			_exit(99); \
		} \
		became(name, child, error); \
	} while (0)

int main(int argc, char **argv) {
	if (getenv("MARK") || argc < 2 || *argv[1] != '/')
		return tell(argc, argv);
	app = argv[1];
	copy_self();
	setenv("APP", app, 1);
	setenv("MARK", "inherited", 1);
	chdir(below("/rw"));
	const char *env[] = {"MARK=given", NULL, NULL};
	char mark[4200];
	snprintf(mark, sizeof mark, "APP=%s", app);
	env[1] = mark;
	const char *none[] = {NULL};

	below("/rw/bin/probe");
	IN_CHILD("execl", vfork, execl(path, "a", "b", NULL));
	IN_CHILD("execl of one", vfork, execl(path, "told", NULL));
	IN_CHILD("execl of four", vfork, execl(path, "1", "2", "3", "4", NULL));
	IN_CHILD("execl of five", vfork, execl(path, "1", "2", "3", "4", "5", NULL));
	IN_CHILD("execl of six", vfork, execl(path, "1", "2", "3", "4", "5", "6", NULL));
	IN_CHILD("execl of twenty", vfork,
	         execl(path, "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15",
	               "16", "17", "18", "19", "20", NULL));
	IN_CHILD("execle", vfork, execle(path, "a", "b", NULL, env));
	IN_CHILD("execle of seven", fork, execle(path, "1", "2", "3", "4", "5", "6", "7", NULL, env));
	IN_CHILD("execle of nothing", vfork, execle(path, "a", "b", NULL, none));
	IN_CHILD("execl relative", vfork, execl("bin/probe", "a", "b", NULL));
	IN_CHILD("execl of a script", vfork, execl(below("/rw/bin/script"), "a", "b", NULL));
	IN_CHILD("execl missing", vfork, execl(below("/rw/missing"), "a", NULL));
	IN_CHILD("execl of a file", vfork, execl(below("/rw/file"), "a", NULL));
	IN_CHILD("execl of a directory", vfork, execl(below("/rw"), "a", NULL));
	IN_CHILD("execl hidden", vfork, execl(below("/secret/key"), "a", NULL));
	setenv("PATH", below("/rw/bin"), 1);
	IN_CHILD("execlp", vfork, execlp("probe", "a", "b", "c", "d", "e", "f", NULL));
	IN_CHILD("execlp missing", vfork, execlp("no-such-program", "a", NULL));
	IN_CHILD("execlp with a slash", __vfork, execlp("bin/probe", "a", "b", NULL));

	/* What a vfork child does to its own directory and descriptors is its own. */
	int sub = open("sub", O_RDONLY | O_DIRECTORY), ro = open(below("/ro"), O_RDONLY | O_DIRECTORY);
	struct stat about;
	printf("before %d\n", fstatat(sub, "deep", &about, 0));
	const char *other = strdup(below("/ro"));
	IN_CHILD("child that moves", vfork,
	         (dup2(ro, sub), chdir(other), open("file", O_RDONLY), execl("../rw/bin/probe", "a", "b", NULL)));
	printf("after %d %d\n", fstatat(sub, "deep", &about, 0), fstatat(sub, "file", &about, 0));
	printf("here %d %d\n", stat("nested/inner", &about), stat("sub/deep", &about));
	char here[4096];
	printf("in %s\n", shown(getcwd(here, sizeof here)));
	IN_CHILD("child that only opens", vfork, (close(sub), opendir(other), _exit(3)));
	printf("after %d\n", fstatat(sub, "deep", &about, 0));

	/* A vfork child makes another. */
	volatile int inner = 0;
	pid_t child = vfork();
	if (child == 0) {
		pid_t grandchild = vfork();
		if (grandchild == 0) {
			chdir(other);
			_exit(5);
		}
		int status;
		waitpid(grandchild, &status, 0);
		inner = WEXITSTATUS(status);
		_exit(6);
	}
	became("nested", child, 0);
	printf("inner %d, sub/deep %d\n", inner, stat("sub/deep", &about));
	return 0;
}
