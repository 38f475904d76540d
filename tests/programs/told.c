/* Shows what a program is told of itself: its names, its loader, its objects and
 * their files. With "by HOW PROGRAM" it starts a program so. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void of_address(const char *what, void *address) {
	Dl_info info;
	printf("dladdr of %s: %s\n", what, dladdr(address, &info) ? info.dli_fname : "nothing");
}

static int object(struct dl_phdr_info *info, size_t size, void *unused) {
	if (strstr(info->dlpi_name, "vdso")) return 0;
	printf("object %s\n", info->dlpi_name);
	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_INTERP)
			printf("interpreter %s\n", (char *)info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
	return 0;
}

static int by_text(const void *one, const void *other) { return strcmp(*(char **)one, *(char **)other); }

static void maps(void) {
	char line[PATH_MAX + 100], *names[100];
	int count = 0;
	FILE *file = fopen("/proc/self/maps", "re");
	while (file && count < 100 && fgets(line, sizeof line, file))
		if (strchr(line, '/')) names[count++] = strdup(strchr(line, '/'));
	qsort(names, count, sizeof *names, by_text);
	for (int i = 0; i < count; i++)
		if (!i || strcmp(names[i], names[i - 1])) printf("mapped %s", names[i]);
}

static int start(const char *how, char **words) {
	pid_t child = 0;
	int status = 0, error = 0;
	fflush(stdout);
	if (!strcmp(how, "spawn")) {
		error = posix_spawnp(&child, words[0], NULL, NULL, words, environ);
	} else if (!(child = fork())) {
		if (!strcmp(how, "descriptor")) fexecve(open(words[0], O_RDONLY), words, environ);
		else if (!strcmp(how, "closing")) fexecve(open(words[0], O_RDONLY | O_CLOEXEC), words, environ);
		else if (!strcmp(how, "name")) execv(words[0], (char *[]){ "another name", NULL });
		else if (!strcmp(how, "nothing")) execv(words[0], (char *[]){ NULL });
		printf("%s\n", strerror(errno));
		fflush(stdout);
		_exit(127);
	}
	if (error) printf("%s\n", strerror(error));
	else waitpid(child, &status, 0);
	return WEXITSTATUS(status);
}

int main(int count, char **words) {
	if (count > 3 && !strcmp(words[1], "by")) return start(words[2], words + 3);
	char link[PATH_MAX] = "", comm[16] = "";
	readlink("/proc/self/exe", link, sizeof link - 1);
	prctl(PR_GET_NAME, comm);
	for (int i = 0; i < count; i++) printf("word %d %s\n", i, words[i]);
	printf("exe %s\ncomm %s\nname %s\n", link, comm, program_invocation_name);
	const char *execfn = (char *)getauxval(AT_EXECFN);
	printf("execfn %s\n", execfn ? execfn : "none");
	of_address("main", main);
	of_address("printf", printf);
	dl_iterate_phdr(object, NULL);
	maps();
	return 0;
}
