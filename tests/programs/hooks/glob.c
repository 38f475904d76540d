/* Lists directories by glob(3) and scandir(3) below the directory that it is
 * given, and says what each call answered. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *app;
static char path[8192];

static char *below(const char *name) {
	snprintf(path, sizeof path, "%s%s", *name == '/' ? app : "", name);
	return path;
}

static const char *shown(const char *name) {
	return strncmp(name, app, strlen(app)) ? name : name + strlen(app);
}

static int errors;

static int on_error(const char *where, int error) {
	errors++;
	printf("  error %s %s\n", shown(where), strerrorname_np(error));
	return 0;
}

static int give_up(const char *where, int error) { return 1; }

static void matches(const char *pattern, int flags, int (*failed)(const char *, int)) {
	glob_t found;
	memset(&found, 0x5a, sizeof found);
	found.gl_offs = 2;
	glob_t before = found;
	errno = 0;
	int answer = glob(below(pattern), flags, failed, &found);
	printf("glob %s %#x -> %d", pattern, flags, answer);
	printf(" functions kept %d", !memcmp(&found.gl_closedir, &before.gl_closedir, 5 * sizeof(void *)));
	if (answer == GLOB_NOSPACE || answer < 0) {
		printf(" %s\n", strerrorname_np(errno));
		return;
	}
	printf(" flags %#x count %zu\n", found.gl_flags, found.gl_pathc);
	for (size_t i = 0; i < found.gl_pathc; i++)
		printf("  %s\n", shown(found.gl_pathv[i + (flags & GLOB_DOOFFS ? 2 : 0)]));
	globfree(&found);
}

static void *open_none(const char *name) {
	errno = ENOENT;
	return NULL;
}

static int stat_none(const char *name, struct stat *about) {
	errno = ENOENT;
	return -1;
}

static int count_only(const struct dirent *entry) {
	errno = EBADMSG;
	return entry->d_name[0] != '.';
}

static int backwards(const struct dirent **a, const struct dirent **b) {
	return strcmp((*b)->d_name, (*a)->d_name);
}

static void list(const char *call, const char *name, int answer, struct dirent **entries) {
	printf("%s %s -> %d %s\n", call, name, answer, answer < 0 ? strerrorname_np(errno) : "");
	for (int i = 0; i < answer; i++) {
		printf("  %s %d\n", entries[i]->d_name, entries[i]->d_type);
		free(entries[i]);
	}
	if (answer >= 0)
		free(entries);
}

int main(int argc, char **argv) {
	static const char *const patterns[] = {
		"/*", "/rw/*", "/ro/*", "/r?/*", "/*/file", "/*/*/*", "/etc/*.conf", "/etc/app.conf", "/sec*",
		"/secret/*", "/rw/nested/*", "/missing*", "/rw/[ds]*", "/rw/{file,sub,none}", "/rw/subdir/*",
		"/rw/dangl*", "/rw/up/*", "/rw/../*", "/rw/./f*", "/rw//f*", "*", "sub/*", "../*", "./*",
		"/rw/file/*", "", "/", "/rw/\\file", "/ro/absdir/*", "~nobody-here/x", "nested/../*",
	};
	static const int flags[] = {
		0, GLOB_MARK, GLOB_NOSORT | GLOB_NOCHECK, GLOB_ONLYDIR, GLOB_BRACE | GLOB_NOMAGIC,
		GLOB_PERIOD | GLOB_DOOFFS, GLOB_NOESCAPE, GLOB_ERR, GLOB_TILDE_CHECK, 1 << 20,
	};
	app = argv[1];
	setvbuf(stdout, NULL, _IOLBF, 0);
	chdir(below("/rw"));
	for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
		for (size_t j = 0; j < sizeof flags / sizeof *flags; j++)
			if (!(flags[j] & GLOB_NOSORT) || !strpbrk(patterns[i], "*?["))
				matches(patterns[i], flags[j], on_error);
	matches("/rw/*", 0, give_up);
	matches("/rw/file/*", 0, give_up);

	glob_t found = {0};
	glob(below("/rw/f*"), 0, NULL, &found);
	glob(below("/ro/f*"), GLOB_APPEND, NULL, &found);
	for (size_t i = 0; i < found.gl_pathc; i++)
		printf("appended %s\n", shown(found.gl_pathv[i]));
	globfree(&found);

	glob_t own = {0};
	own.gl_opendir = open_none;
	own.gl_lstat = own.gl_stat = (void *)stat_none;
	int answer = glob(below("/rw/*"), GLOB_ALTDIRFUNC, NULL, &own);
	printf("functions of its own %d flags %#x\n", answer, own.gl_flags);
	errno = 0;
	answer = glob(below("/rw/*"), 0, NULL, NULL);
	printf("nowhere %d %s\n", answer, strerrorname_np(errno));

	static const char *const dirs[] = {
		"", "/", "/rw", "/ro", "/etc", "/secret", "/missing", "/rw/file", "/rw/nested", "/rw/subdir",
		"/plain", ".", "..", "sub", "nested", "/rw/loop",
	};
	int at = open(below("/rw/sub"), O_DIRECTORY);
	for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) {
		struct dirent **entries = (void *)-1;
		answer = scandir(below(dirs[i]), &entries, NULL, alphasort);
		list("scandir", dirs[i], answer, entries);
		answer = scandir64(below(dirs[i]), (void *)&entries, (void *)count_only, (void *)backwards);
		list("scandir64", dirs[i], answer, entries);
		answer = scandirat(at, below(dirs[i]), &entries, count_only, alphasort);
		list("scandirat", dirs[i], answer, entries);
		answer = scandirat64(AT_FDCWD, below(dirs[i]), (void *)&entries, NULL, (void *)versionsort);
		list("scandirat64", dirs[i], answer, entries);
		answer = scandirat(-1, below(dirs[i]), &entries, NULL, alphasort);
		list("scandirat bad", dirs[i], answer, entries);
	}
	errno = 77;
	struct dirent **entries;
	answer = scandir(below("/rw"), &entries, count_only, alphasort);
	printf("error number after success %d\n", errno);
	list("scandir", "/rw", answer, entries);
	return 0;
}
