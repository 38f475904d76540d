/* Walks trees below the directory that it is given by ftw(3) and nftw(3), and
 * says what was visited. The order of entries in a directory is the file
 * system's own, so what is visited is sorted before it is shown. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *app;
static char path[8192];
static char *seen[4096];
static int count;
static const char *special;
static int answer;
static int chdirs;
static int first_descriptor, most;

static char *below(const char *name) {
	snprintf(path, sizeof path, "%s%s", *name == '/' ? app : "", name);
	return path;
}

static const char *shown(const char *name) {
	return strncmp(name, app, strlen(app)) ? name : name + strlen(app);
}

static const char *const kinds[] = {"F", "D", "DNR", "NS", "SL", "DP", "SLN"};

/* Whether a directory above (or below) the path has been visited already. */
static int visited(const char *name) {
	size_t len = strlen(name);
	for (int i = 0; i < count; i++)
		if (!strncmp(seen[i], name, len) && (seen[i][len] == '/' || seen[i][len] == ' '))
			return 1;
	return 0;
}

static int record(const char *name, const struct stat *about, int kind, int base, int level) {
	char line[16384], above[8192], here[4096];
	snprintf(above, sizeof above, "%s", shown(name));
	int after = visited(above);
	char *slash = strrchr(above, '/');
	if (slash)
		*slash = 0;
	int n = snprintf(line, sizeof line, "%s %s size %ld", shown(name), kinds[kind],
	                 kind != FTW_NS && S_ISREG(about->st_mode) ? (long)about->st_size : -1);
	if (base >= 0)
		n += snprintf(line + n, sizeof line - n, " base %s level %d", name + base, level);
	if (kind == FTW_DP || kind == FTW_D)
		n += snprintf(line + n, sizeof line - n, " after %d", after);
	if (chdirs) {
		struct stat there;
		n += snprintf(line + n, sizeof line - n, " in %s", shown(getcwd(here, sizeof here)));
	}
	int fd = dup(0);
	if (fd - first_descriptor > most)
		most = fd - first_descriptor;
	close(fd);
	seen[count++] = strdup(line);
	return special && !strcmp(special, shown(name)) ? answer : 0;
}

static int visit(const char *name, const struct stat *about, int kind, struct FTW *where) {
	return record(name, about, kind, where->base, where->level);
}

static int old_visit(const char *name, const struct stat *about, int kind) {
	return record(name, about, kind, -1, 0);
}

static int compare(const void *a, const void *b) { return strcmp(*(char **)a, *(char **)b); }

static void finish(int done, int show, int max) {
	char here[4096];
	int error = done == -1 ? errno : 0;
	printf(" -> %d %s, %s, in %s\n", done, strerrorname_np(error) ?: "0",
	       most <= max ? "few descriptors" : "many descriptors", shown(getcwd(here, sizeof here)));
	qsort(seen, count, sizeof *seen, compare);
	for (int i = 0; i < count; i++) {
		if (show)
			printf("  %s\n", seen[i]);
		free(seen[i]);
	}
	int fd = dup(0);
	if (fd != first_descriptor)
		printf("  descriptors left open\n");
	close(fd);
	count = 0;
	most = 0;
}

static void walk(const char *root, int descriptors, int flags, int show) {
	char start[8192];
	chdirs = flags & FTW_CHDIR;
	printf("nftw %s %d %#x", root, descriptors, flags);
	strcpy(start, below(root));
	finish(nftw(start, visit, descriptors, flags), show, descriptors + 1);
}

static void skip(const char *root, int flags, const char *at, int with, int show) {
	special = at;
	answer = with;
	printf("answer %d at %s: ", with, at);
	walk(root, 20, flags, show);
	special = NULL;
}

int main(int argc, char **argv) {
	static const char *const roots[] = {
		"/", "/rw", "/rw/", "/ro", "/rw/nested", "/etc", "/secret", "/missing", "/missing/x", "/rw/file",
		"/rw/file/x", "/rw/subdir", "/rw/dangling", "/rw/loop", "sub", ".", "..", "", "./nested/", "../ro",
		"/plain", "/rw/closed",
	};
	static const int flags[] = {
		0, FTW_PHYS, FTW_PHYS | FTW_DEPTH, FTW_PHYS | FTW_MOUNT, FTW_PHYS | FTW_CHDIR, FTW_DEPTH,
		FTW_PHYS | FTW_CHDIR | FTW_DEPTH, FTW_CHDIR, FTW_ACTIONRETVAL | FTW_PHYS, 1 << 10,
	};
	app = argv[1];
	umask(022);
	setvbuf(stdout, NULL, _IOLBF, 0);
	mkdir(below("/rw/closed"), 0);
	mkdir(below("/rw/sub/more"), 0755);
	mkdir(below("/rw/sub/more/below"), 0755);
	close(open(below("/rw/sub/more/below/file"), O_CREAT | O_WRONLY, 0644));
	unlink(below("/rw/up"));
	unlink(below("/rw/loop"));
	unlink(below("/rw/outside"));
	chdir(below("/rw"));
	first_descriptor = dup(0);
	close(first_descriptor);
	for (size_t i = 0; i < sizeof roots / sizeof *roots; i++) {
		for (size_t j = 0; j < sizeof flags / sizeof *flags; j++) {
			/* Which of several ways into a directory is taken depends on the order. */
			int show = flags[j] & FTW_PHYS || !strcmp(roots[i], "/plain");
			if (*roots[i] == '.' && !show && flags[j] & FTW_CHDIR)
				continue;
			walk(roots[i], 20, flags[j], show);
		}
		walk(roots[i], 1, FTW_PHYS, 1);
		walk(roots[i], 2, FTW_PHYS | FTW_DEPTH, 1);
		if (*roots[i] == '/')
			walk(roots[i], 1, FTW_PHYS | FTW_CHDIR, 1);
		char start[8192];
		strcpy(start, below(roots[i]));
		chdirs = 0;
		printf("ftw %s", roots[i]);
		finish(ftw(start, old_visit, 5), !strcmp(roots[i], "/plain"), 6);
	}
	for (int with = -1; with <= 4; with++) {
		for (int extra = 0; extra <= FTW_CHDIR; extra += FTW_CHDIR) {
			skip("/rw/sub", FTW_PHYS | FTW_ACTIONRETVAL | extra, "/rw/sub/more", with, with != 1 && with != 3);
			skip("/rw/sub/more", FTW_PHYS | FTW_ACTIONRETVAL | extra, "/rw/sub/more/below/file", with, 1);
			skip("/rw/sub/more", FTW_PHYS | FTW_ACTIONRETVAL | FTW_DEPTH | extra, "/rw/sub/more/below", with, 1);
			skip("/rw/sub", FTW_PHYS | FTW_ACTIONRETVAL | extra, "/rw/sub", with, 1);
			skip("/rw/sub/more", FTW_PHYS | extra, "/rw/sub/more/below", with, 1);
		}
	}

	/* A tree that is deeper than a path can say. */
	char name[101];
	memset(name, 'd', 100);
	name[100] = 0;
	chdir(below("/rw/sub/more"));
	int levels = 0;
	for (; levels < 60; levels++)
		if (mkdir(name, 0755) || chdir(name))
			break;
	printf("levels %d\n", levels);
	chdir(below("/rw"));
	count = 0;
	walk("sub/more", 100, FTW_PHYS, 0);
	walk("sub/more", 3, FTW_PHYS, 0);
	return 0;
}
