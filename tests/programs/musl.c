/* Opens, looks at and lists the mounts of a view, and starts children. The
 * argument is the app directory: w is a read-write mount in it, r a read-only
 * one. With a second argument it is the child. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void show(const char *what, long answer) {
	printf("%s %s\n", what, answer < 0 ? strerror(errno) : "ok");
}

static void read_file(const char *path) {
	char text[64] = "";
	FILE *file = fopen(path, "re");
	show(path, file ? 0 : -1);
	if (file) {
		printf("%s", fgets(text, sizeof text, file) ? text : "nothing\n");
		fclose(file);
	}
}

static int by_name(const struct dirent **a, const struct dirent **b) {
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void list(const char *path) {
	struct dirent **entries;
	int count = scandir(path, &entries, NULL, by_name);
	show(path, count);
	for (int i = 0; i < count; i++)
		printf("  %s\n", entries[i]->d_name);
	DIR *dir = opendir(path);
	int seen = 0;
	while (dir && readdir(dir))
		seen++;
	printf("  %d\n", seen);
	if (dir)
		closedir(dir);
}

static void waited(pid_t pid) {
	int status = 0;
	fflush(stdout);
	waitpid(pid, &status, 0);
	printf("ended with %d\n", WEXITSTATUS(status));
}

int main(int argc, char **argv) {
	char here[PATH_MAX] = "", *top = argv[1];
	struct stat st;
	if (argc > 2) {
		printf("child %s in %s\n", argv[2], getcwd(here, sizeof here));
		read_file("../r/file");
		return 7;
	}
	setvbuf(stdout, NULL, _IONBF, 0);
	show("chdir", chdir(top));
	read_file("r/file");
	read_file("r/link");
	read_file("w/file");
	read_file("none");
	show("create", open("w/new", O_CREAT | O_WRONLY, 0600));
	show("create", open("r/new", O_CREAT | O_WRONLY, 0600));
	show("stat", stat("w/new", &st));
	printf("%o\n", st.st_mode);
	show("lstat", lstat("r/link", &st));
	printf("%o\n", st.st_mode);
	show("access", access("r/file", W_OK));
	show("mkdir", mkdir("w/dir", 0700));
	show("rename", rename("w/new", "w/dir/new"));
	show("rename", rename("w/dir/new", "r/new"));
	show("symlink", symlink("dir/new", "w/to"));
	printf("%zd\n", readlink("w/to", here, sizeof here));
	show("realpath", realpath("w/to", here) ? 0 : -1);
	printf("%s\n", here);
	list("w");
	list("r");
	list(".");
	char name[] = "w/XXXXXX";
	int fd = mkstemp(name);
	show("mkstemp", fd);
	show("unlink", unlink(name));
	struct sockaddr_un address = {AF_UNIX, "w/socket"};
	int s = socket(AF_UNIX, SOCK_STREAM, 0);
	show("bind", bind(s, (void *)&address, sizeof address));
	show("stat", stat("w/socket", &st));
	show("chdir", chdir("w"));
	printf("%s\n", getcwd(here, sizeof here));
	FILE *pipe = popen("cat ../r/file", "r");
	printf("%s", fgets(here, sizeof here, pipe) ? here : "nothing\n");
	printf("%d\n", pclose(pipe));
	printf("%d\n", system("echo shell; cat ../r/file"));
	char *words[] = {"self", top, "spawned", NULL};
	pid_t pid;
	int failed = posix_spawn(&pid, "../r/self", NULL, NULL, words, environ);
	waited(pid);
	show("spawn", -failed);
	pid = vfork();
	if (pid == 0) {
		execle("../r/self", "self", top, "with no environment", NULL, (char *[]){NULL});
		_exit(1);
	}
	waited(pid);
	pid = fork();
	if (pid == 0) {
		execlp("cat", "cat", "../r/file", NULL);
		_exit(1);
	}
	waited(pid);
	execl("../r/self", "self", top, "in its place", NULL);
	return 1;
}
