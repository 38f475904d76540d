/* Loads objects by path below the directory that it is given. A small library
 * of libc's own is put there first. With a second argument, a name without a
 * slash is loaded as well, which only the program's own search path finds. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *app;
static char path[8192];

static char *below(const char *name) {
	snprintf(path, sizeof path, "%s%s", *name == '/' ? app : "", name);
	return path;
}

static void copy(const char *from, const char *to) {
	char block[65536];
	int in = open(from, O_RDONLY), out = open(below(to), O_WRONLY | O_CREAT | O_TRUNC, 0755);
	ssize_t n;
	while ((n = read(in, block, sizeof block)) > 0)
		write(out, block, n);
	close(in);
	close(out);
}

static void *load(const char *call, const char *name, int mode) {
	void *object = *call == 'm' ? dlmopen(LM_ID_BASE, below(name), mode)
	             : *call == 'n' ? dlmopen(LM_ID_NEWLM, below(name), mode)
	                            : dlopen(below(name), mode);
	if (object) {
		printf("%s %s loaded, symbol %d\n", call, name, dlsym(object, "__ctype_get_mb_cur_max") != NULL);
		return object;
	}
	const char *why = dlerror();
	if (!why) {
		printf("%s %s not there\n", call, name);
		return NULL;
	}
	const char *tail = strstr(why, ": ");
	printf("%s %s%s\n", call, name, tail ? tail : why);
	if (strstr(why, "No such file"))
		printf("  named as asked %d\n", !strncmp(why, path, strlen(path)));
	return NULL;
}

int main(int argc, char **argv) {
	static const char *const names[] = {
		"/rw/sub/lib.so", "/ro/lib.so", "/rw/nested/../sub/lib.so", "/rw/subdir/lib.so", "/secret/lib.so",
		"/rw/file", "/missing/lib.so", "/rw/missing.so", "/rw", "/plain/lib.so", "sub/lib.so", "./sub/lib.so",
		"../plain/lib.so", "no-such-name.so", "/rw/dangling", "/rw/link.so", "$ORIGIN/no-such-name.so",
	};
	app = argv[1];
	void *small = dlopen("libBrokenLocale.so.1", RTLD_NOW);
	struct link_map *map;
	dlinfo(small, RTLD_DI_LINKMAP, &map);
	copy(map->l_name, "/rw/sub/lib.so");
	copy(map->l_name, "/plain/lib.so");
	copy(map->l_name, "/plain/named-by-nobody-else.so");
	dlclose(small);
	char target[4096];
	snprintf(target, sizeof target, "%s/rw/sub/lib.so", app);
	symlink(target, below("/rw/link.so"));
	chdir(below("/rw"));

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		load("dlopen", names[i], RTLD_NOW | RTLD_NOLOAD);
		void *first = load("dlopen", names[i], RTLD_NOW);
		void *again = load("dlopen", names[i], RTLD_LAZY);
		printf("  same %d\n", first == again);
		void *known = load("dlopen", names[i], RTLD_NOW | RTLD_NOLOAD);
		load("mdlmopen", names[i], RTLD_NOW);
		void *apart = load("ndlmopen", names[i], RTLD_NOW);
		if (apart)
			dlclose(apart);
		if (known)
			printf("  known %d closed %d %d %d\n", known == first, dlclose(first), dlclose(again),
			       dlclose(known));
	}
	void *self = dlopen(NULL, RTLD_NOW);
	printf("self %d\n", self && dlsym(self, "main") == NULL);
	void *empty = dlopen("", RTLD_NOW);
	printf("empty %d\n", empty == self);
	if (argc > 2) {
		void *named = dlopen("named-by-nobody-else.so", RTLD_NOW);
		printf("by search path %d\n", named != NULL);
		named = dlmopen(LM_ID_BASE, "named-by-nobody-else.so", RTLD_NOW);
		printf("by search path %d\n", named != NULL);
	}
	return 0;
}
