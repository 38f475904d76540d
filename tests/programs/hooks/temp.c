/* Makes temporary names below the directory that it is given, and says what
 * each call answered; what is random in a name is not shown. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *mktemp(char *);

static const char *app;
static char path[8192];

/* The path of a template, with the app directory before it. */
static char *below(const char *name) {
	snprintf(path, sizeof path, "%s%s", *name == '/' ? app : "", name);
	return path;
}

/* What has become of a template: where it was filled in, each X becomes '?'. */
static const char *shown(const char *asked) {
	static char text[8192];
	const char *now = path + (*asked == '/' ? strlen(app) : 0);
	size_t i = 0;
	int filled = strcmp(now, asked) != 0;
	for (; asked[i]; i++)
		text[i] = asked[i] == 'X' && filled ? '?' : now[i] == asked[i] ? now[i] : '!';
	text[i] = 0;
	return *now ? text : "(emptied)";
}

static void file(const char *call, const char *asked, int fd) {
	int error = fd < 0 ? errno : 0;
	printf("%s %s -> %s %s", call, asked, shown(asked), strerrorname_np(error) ?: "0");
	if (fd >= 0) {
		struct stat about, named;
		fstat(fd, &about);
		int same = lstat(path, &named) == 0 && named.st_ino == about.st_ino;
		printf(" mode %o access %x append %d cloexec %d named %d", about.st_mode,
		       fcntl(fd, F_GETFL) & O_ACCMODE, !!(fcntl(fd, F_GETFL) & O_APPEND),
		       fcntl(fd, F_GETFD), same);
		printf(" unlink %d", unlink(path));
		close(fd);
	}
	putchar('\n');
}

int main(int argc, char **argv) {
	static const char *const templates[] = {
		"/rw/aXXXXXX", "/rw/sub/XXXXXX", "/ro/aXXXXXX", "/rw/nested/aXXXXXX", "/plain/aXXXXXX",
		"/missing/aXXXXXX", "/rw/file/aXXXXXX", "/secret/aXXXXXX", "/rw/XXXXX", "/rw/XXXXXXa",
		"/rw/aXXXXXXX", "XXXXXX", "XXXXX", "", "relXXXXXX", "/rw/subdir/bXXXXXX",
	};
	app = argv[1];
	umask(022);
	chdir(below("/rw"));
	for (size_t i = 0; i < sizeof templates / sizeof *templates; i++) {
		const char *t = templates[i];
		file("mkstemp", t, mkstemp(below(t)));
		file("mkstemp64", t, mkstemp64(below(t)));
		file("mkostemp", t, mkostemp(below(t), O_APPEND | O_CLOEXEC));
		file("mkostemp64", t, mkostemp64(below(t), O_WRONLY));

		char *made = mkdtemp(below(t));
		struct stat about = {0};
		printf("mkdtemp %s -> %s %s", t, shown(t), made ? "0" : strerrorname_np(errno));
		if (made) {
			int found = stat(made, &about);
			printf(" same %d stat %d mode %o rmdir %d", made == path, found, about.st_mode, rmdir(made));
		}
		putchar('\n');

		errno = 0;
		made = mktemp(below(t));
		printf("mktemp %s -> %s same %d\n", t, shown(t), made == path);
	}
	static const struct { const char *name; int suffix; } suffixed[] = {
		{"/rw/aXXXXXX.txt", 4}, {"/rw/XXXXXX.c", 2}, {"/rw/XXXXXX.c", 0}, {"/rw/XXXXXX.c", 3},
		{"/rw/XXXXXX", -1}, {"/rw/XXXXXX", 100000}, {"/ro/XXXXXX.c", 2}, {"XXXXXX.c", 2}, {"XXXXXX", 0},
	};
	for (size_t i = 0; i < sizeof suffixed / sizeof *suffixed; i++) {
		const char *t = suffixed[i].name;
		int n = suffixed[i].suffix;
		file("mkstemps", t, mkstemps(below(t), n));
		file("mkstemps64", t, mkstemps64(below(t), n));
		file("mkostemps", t, mkostemps(below(t), n, O_CLOEXEC));
		file("mkostemps64", t, mkostemps64(below(t), n, O_APPEND));
	}

	FILE *stream = tmpfile();
	struct stat about;
	char line[16] = "";
	fputs("text", stream);
	rewind(stream);
	fgets(line, sizeof line, stream);
	fstat(fileno(stream), &about);
	printf("tmpfile %s links %d mode %o\n", line, (int)about.st_nlink, about.st_mode);

	char name[L_tmpnam], other[L_tmpnam];
	int same = tmpnam(name) == name;
	printf("tmpnam %d %.9s %zu\n", same, name, strlen(name));
	printf("tmpnam_r %d %d\n", tmpnam_r(other) == other, tmpnam_r(NULL) == NULL);
	printf("different %d\n", strcmp(name, other) != 0);
	char *own = tmpnam(NULL);
	printf("own %d %.9s\n", own != NULL, own);

	static const struct { const char *dir, *prefix; } named[] = {
		{"/rw", "abc"}, {"/rw//", "abcdefgh"}, {"/missing", ""}, {"/rw/file", "x"}, {"/secret", "x"},
		{"/rw/nested", NULL}, {NULL, "q"}, {"/ro/", "z"},
	};
	for (int with = 0; with < 3; with++) {
		if (with)
			setenv("TMPDIR", below(with == 1 ? "/rw/sub" : "/missing"), 1);
		else
			unsetenv("TMPDIR");
		for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
			char *made = tempnam(named[i].dir ? below(named[i].dir) : NULL, named[i].prefix);
			const char *from = made && !strncmp(made, app, strlen(app)) ? made + strlen(app) : made;
			if (made)
				printf("tempnam %.*s\n", (int)strlen(from) - 6, from);
			else
				printf("tempnam %s\n", strerrorname_np(errno));
			free(made);
		}
	}
	return 0;
}
