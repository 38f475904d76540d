/* Walks the app directory by fts(3), with one option, order and instruction
 * after another, and prints all that an entry says. The argument is the app
 * directory, and what is in it is made by tests/tests/fts.rs. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What is said to the walk when it comes by a name, so many times. */
struct rule {
	const char *name;
	int info, instruction, times;
};

static const char *kinds[] = {"?", "D", "DC", "DEFAULT", "DNR", "DOT", "DP", "ERR", "F", "INIT", "NS", "NSOK", "SL", "SLNONE", "W"};
static const char *app;
/* Whether the walk is deeper than getcwd(3) can say in a view. */
static int too_deep;

static int by_name(const FTSENT **a, const FTSENT **b) { return strcmp((*a)->fts_name, (*b)->fts_name); }
static int backwards(const FTSENT **a, const FTSENT **b) { return by_name(b, a); }
static int by_kind(const FTSENT **a, const FTSENT **b) {
	int kind = (*a)->fts_info - (*b)->fts_info;
	return kind ? kind : by_name(a, b);
}
static int all_equal(const FTSENT **a, const FTSENT **b) { return 0; }

/* A path, with the app directory as @ and a long middle left out. */
static const char *shorten(const char *path) {
	static char text[4][512];
	static int turn;
	char *out = text[turn++ % 4];
	size_t top = strlen(app), len;
	const char *sign = "";
	if (strncmp(path, app, top) == 0)
		path += top, sign = "@";
	len = strlen(path);
	if (len < 200)
		snprintf(out, 512, "%s%s", sign, path);
	else
		snprintf(out, 512, "%s%.40s(%zu)%s", sign, path, len, path + len - 40);
	return out;
}

static const char *where(void) {
	static char buf[65536];
	if (too_deep)
		return "depth";
	return getcwd(buf, sizeof buf) ? shorten(buf) : strerrorname_np(errno);
}

static void show(const char *mark, FTSENT *e, int options) {
	struct stat st;
	printf("%s %d %s path %s acc %s name %s lens %d %d errno %s", mark, e->fts_level, kinds[e->fts_info],
		shorten(e->fts_path), shorten(e->fts_accpath), shorten(e->fts_name), e->fts_pathlen, e->fts_namelen,
		strerrorname_np(e->fts_errno));
	printf(" number %ld", e->fts_number++);
	if (e->fts_info == FTS_DC)
		printf(" cycle %s", shorten(e->fts_cycle->fts_name));
	if (e->fts_level > 0)
		printf(" parent %s", shorten(e->fts_parent->fts_name));
	if (!(options & FTS_NOSTAT) && e->fts_info != FTS_NSOK) {
		int found = e->fts_info == FTS_SL || e->fts_info == FTS_SLNONE ? lstat(e->fts_accpath, &st) : stat(e->fts_accpath, &st);
		if (found == 0)
			printf(" stat %o %d", e->fts_statp->st_mode, e->fts_statp->st_ino == st.st_ino && e->fts_statp->st_dev == st.st_dev);
		else
			printf(" stat %o %s", e->fts_statp->st_mode, strerrorname_np(errno));
	}
	if (e->fts_info == FTS_D && !(options & FTS_NOSTAT))
		printf(" dir %d", e->fts_ino == e->fts_statp->st_ino && e->fts_dev == e->fts_statp->st_dev && e->fts_nlink == e->fts_statp->st_nlink);
	printf(" at %s\n", where());
}

/* children: 0 none, 1 all, 2 names, 3 names and then all, 4 all, and SKIP for the last of them. */
static void walk(const char *label, char **roots, int options, int (*order)(const FTSENT **, const FTSENT **), int children, struct rule *rules) {
	printf("== %s, options %x, children %d\n", label, options, children);
	errno = 0;
	FTS *tree = fts_open(roots, options, order);
	if (!tree) {
		printf("fts_open %s\n", strerrorname_np(errno));
		return;
	}
	if (children) {
		int count = 0;
		for (FTSENT *e = fts_children(tree, 0); e; e = e->fts_link)
			printf("root %s %s\n", shorten(e->fts_name), kinds[e->fts_info]), count++;
		printf("roots %d\n", count);
	}
	FTSENT *e;
	int shown = 0;
	while (errno = 77, e = fts_read(tree)) {
		show("-", e, options);
		if (++shown > 300)
			break;
		for (int round = 0; round < 2 && children && e->fts_info != FTS_DP; round++) {
			int names = children == 2 || (children == 3 && round == 0);
			if (round == 1 && children != 3)
				break;
			errno = 77;
			FTSENT *child = fts_children(tree, names ? FTS_NAMEONLY : 0), *last = NULL;
			printf("children errno %s path %s at %s\n", strerrorname_np(errno), shorten(e->fts_path), where());
			for (; child; child = child->fts_link) {
				last = child;
				if (names)
					printf("  %s %d %s\n", shorten(child->fts_name), child->fts_namelen, kinds[child->fts_info]);
				else
					printf("  %s %d %s %s acc %d\n", shorten(child->fts_name), child->fts_pathlen, kinds[child->fts_info],
						strerrorname_np(child->fts_errno), child->fts_accpath == child->fts_name);
			}
			if (children == 4 && last)
				printf("set %d\n", fts_set(tree, last, FTS_SKIP));
		}
		for (struct rule *rule = rules; rule && rule->name; rule++)
			if (rule->times > 0 && e->fts_info == rule->info && strcmp(rule->name, e->fts_name) == 0) {
				rule->times--;
				printf("set %d\n", fts_set(tree, e, rule->instruction));
				if (rule->instruction == FTS_AGAIN)
					chmod(e->fts_accpath, 0755);
				break;
			}
	}
	printf("end %s\n", strerrorname_np(errno));
	errno = 0;
	printf("close %d %s at %s\n", fts_close(tree), strerrorname_np(errno), where());
	if (chdir(app))
		exit(65);
}

#define ROOTS(...) ((char *[]){__VA_ARGS__, NULL})
#define RULES(...) ((struct rule[]){__VA_ARGS__, {NULL}})

static void deep(char *top, int levels) {
	char name[201];
	memset(name, 'd', 200), name[200] = 0;
	printf("== deep %s\n", top);
	if (chdir(top))
		return;
	for (int level = 0; level < levels; level++) {
		name[0] = 'a' + level % 26;
		if (mkdir(name, 0777) || chdir(name))
			printf("%d %s\n", level, strerrorname_np(errno));
	}
	close(creat("bottom", 0666));
	if (chdir(app))
		exit(65);
	too_deep = 1;
	walk("deep", ROOTS(top), FTS_PHYSICAL, by_name, 0, NULL);
	walk("deep", ROOTS(top), FTS_PHYSICAL, by_name, 1, NULL);
	walk("deep", ROOTS(top), FTS_PHYSICAL | FTS_NOSTAT, by_name, 2, NULL);
}

static void deep_by_path(char *top) {
	walk("deep", ROOTS(top), FTS_LOGICAL, by_name, 0, NULL);
	walk("deep", ROOTS(top), FTS_PHYSICAL | FTS_NOCHDIR, by_name, 1, NULL);
}

static void wide(void) {
	char path[300];
	mkdir("w/wide", 0777);
	for (int number = 0; number < 120; number++) {
		snprintf(path, sizeof path, "w/wide/%c%03d", 'a' + number * 7 % 26, number);
		close(creat(path, 0666));
	}
	walk("wide", ROOTS("w/wide"), FTS_PHYSICAL, by_name, 0, NULL);
}

static void again64(void) {
	char *roots[] = {"w/sub", NULL};
	FTS64 *tree = fts64_open(roots, FTS_PHYSICAL, (void *)by_name);
	for (FTSENT64 *e; tree && (e = fts64_read(tree));) {
		printf("64 %s %s %lld\n", kinds[e->fts_info], e->fts_path, (long long)(S_ISREG(e->fts_statp->st_mode) ? e->fts_statp->st_size : 0));
		FTSENT64 *child = fts64_children(tree, 0);
		printf("64 child %s\n", child ? child->fts_name : "none");
		if (strcmp(e->fts_name, "nested") == 0)
			fts64_set(tree, e, FTS_SKIP);
	}
	printf("64 %d\n", tree ? fts64_close(tree) : -1);
}

int main(int argc, char **argv) {
	int base[] = {FTS_PHYSICAL, FTS_LOGICAL, FTS_PHYSICAL | FTS_NOCHDIR};
	int more[] = {0, FTS_NOSTAT, FTS_SEEDOT, FTS_XDEV, FTS_COMFOLLOW, FTS_WHITEOUT, FTS_NOSTAT | FTS_SEEDOT};
	char whole[4096];
	if (argc < 2 || chdir(argv[1]) < 0)
		return 64;
	umask(022);
	app = argv[1];
	snprintf(whole, sizeof whole, "%s/w", app);
	for (unsigned i = 0; i < sizeof base / sizeof *base; i++) {
		for (unsigned j = 0; j < sizeof more / sizeof *more; j++)
			walk("options", ROOTS("."), base[i] | more[j], by_name, 0, NULL);
		for (int children = 1; children < 5; children++) {
			walk("children", ROOTS("w", "r"), base[i], by_name, children, NULL);
			walk("children", ROOTS("x/", whole), base[i], by_name, children, NULL);
			walk("children", ROOTS("w"), base[i] | FTS_NOSTAT, by_name, children, NULL);
		}
		walk("neither", ROOTS("r"), base[i] & FTS_NOCHDIR, by_name, 0, NULL);
		walk("backwards", ROOTS("w", "r"), base[i], backwards, 0, NULL);
		walk("by kind", ROOTS("w", "x", "r", "w/file"), base[i], by_kind, 0, NULL);
		walk("equal", ROOTS("r/file", "w/file", "w/one"), base[i], all_equal, 1, NULL);
		walk("unordered", ROOTS("w/one", "r/file", "w/none", "w/empty"), base[i], NULL, 1, NULL);
		walk("slashes", ROOTS("w/sub/", "r//", "w/empty/", "w/sub///", "./r/", "w/none/", "w/file/"), base[i], by_name, 0, NULL);
		walk("slashes", ROOTS("w/sub/", "w/empty/", "x/"), base[i], by_name, 1, NULL);
		walk("dots", ROOTS("w/sub/nested/..", "w/sub/.", "w/sub/..", ".."), base[i] | FTS_XDEV, by_name, 0,
			RULES({"..", FTS_D, FTS_SKIP, 9}, {"w", FTS_D, FTS_SKIP, 9}));
		walk("whole", ROOTS(whole), base[i], by_name, 0, NULL);
		walk("links", ROOTS("w/link", "w/to-sub", "w/dangling", "w/to-sub/", "w/to-empty"), base[i], by_name, 0, NULL);
		walk("links", ROOTS("w/link", "w/to-sub", "w/dangling"), base[i] | FTS_COMFOLLOW, by_name, 0,
			RULES({"to-sub", FTS_D, FTS_AGAIN, 1}));
		walk("empty", ROOTS("w", ""), base[i], by_name, 0, NULL);
		walk("skip", ROOTS("w", "r"), base[i], by_name, 0,
			RULES({"sub", FTS_D, FTS_SKIP, 9}, {"r", FTS_D, FTS_SKIP, 1}, {"only", FTS_D, FTS_SKIP, 1}));
		walk("again", ROOTS("w", "."), base[i], by_name, 0,
			RULES({"file", FTS_F, FTS_AGAIN, 2}, {"sub", FTS_D, FTS_AGAIN, 1}, {"sub", FTS_DP, FTS_AGAIN, 1}, {".", FTS_D, FTS_AGAIN, 1}));
		walk("again", ROOTS("w"), base[i], by_name, 0, RULES({"secret", FTS_DNR, FTS_AGAIN, 1}));
		chmod("w/secret", 0);
		walk("follow", ROOTS("w/tour", "w/link", "w/dangling"), base[i], by_name, 0,
			RULES({"a-link", FTS_SL, FTS_FOLLOW, 1}, {"to-nested", FTS_SL, FTS_FOLLOW, 1}, {"to-r", FTS_SL, FTS_FOLLOW, 1},
				{"up", FTS_SL, FTS_FOLLOW, 1}, {"z-dangling", FTS_SL, FTS_FOLLOW, 1}, {"link", FTS_SL, FTS_FOLLOW, 1},
				{"dangling", FTS_SL, FTS_FOLLOW, 1}, {"inner", FTS_F, FTS_FOLLOW, 1}));
		walk("follow", ROOTS("w/tour"), base[i], by_name, 0,
			RULES({"to-nested", FTS_SL, FTS_FOLLOW, 1}, {"to-nested", FTS_D, FTS_SKIP, 1}, {"to-nested", FTS_DP, FTS_AGAIN, 1},
				{"up", FTS_SL, FTS_FOLLOW, 1}));
		walk("follow to nothing", ROOTS("w/void"), base[i], by_name, 0, RULES({"to-empty", FTS_SL, FTS_FOLLOW, 1}));
		walk("none", ROOTS("none", "w/none", "w/sub/nested/none"), base[i], by_name, 1, NULL);
	}
	walk("bad", ROOTS("w"), 0x100, by_name, 0, NULL);
	walk("bad", ROOTS("w"), FTS_PHYSICAL | 0x1000, NULL, 0, NULL);
	FTS *tree = fts_open(ROOTS("w"), FTS_PHYSICAL, by_name);
	FTSENT *first = fts_read(tree);
	errno = 0;
	printf("bad children %d %s\n", fts_children(tree, 7) == NULL, strerrorname_np(errno));
	errno = 0;
	printf("bad set %d %s\n", fts_set(tree, first, 5), strerrorname_np(errno));
	printf("good set %d %d\n", fts_set(tree, first, 0), fts_set(tree, first, FTS_NOINSTR));
	fts_read(tree);
	first = fts_read(tree);
	printf("in the midst %s at %s ", first ? first->fts_path : "none", where());
	printf("close %d ", fts_close(tree));
	printf("at %s\n", where());
	tree = fts_open(ROOTS("w"), FTS_PHYSICAL, NULL);
	printf("unread %d at %s\n", tree ? fts_close(tree) : -1, where());
	again64();
	wide();
	deep("w/abyss", 30);
	deep_by_path("w/abyss");
	int next = open("/dev/null", O_RDONLY);
	printf("descriptors %d\n", next);
	return 0;
}
