/* A library and a program in one: the program loads the library, which opens a
 * file, in each of the ways that dlopen(3) has. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char *opened(const char *path) {
	int fd = open(path, O_RDONLY);
	const char *answer = fd < 0 ? strerrorname_np(errno) : "ok";
	close(fd);
	return answer;
}

int main(int argc, char **argv) {
	int modes[] = {RTLD_NOW, RTLD_LAZY, RTLD_NOW | RTLD_DEEPBIND, RTLD_LAZY | RTLD_DEEPBIND | RTLD_GLOBAL};
	if (argc < 3)
		return 64;
	for (unsigned i = 0; i < sizeof modes / sizeof *modes; i++) {
		void *library = dlopen(argv[1], modes[i]);
		const char *(*call)(const char *) = library ? (const char *(*)(const char *))dlsym(library, "opened") : NULL;
		printf("%u %s\n", i, call ? call(argv[2]) : dlerror());
		if (library)
			dlclose(library);
	}
	return 0;
}
