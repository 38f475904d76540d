/* Makes one call after another of the families that calls.c does not have:
 * the `at` spellings with directory descriptors, the 64 spellings, links'
 * own times and attributes, and names that are no paths. The argument is the
 * app directory; w is a read-write mount in it, r a read-only one. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <ftw.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#define TRY(call)                                                                       \
	do {                                                                                \
		errno = 0;                                                                      \
		long answer = (long)(call);                                                     \
		printf("%-66s %s %s\n", #call, answer == -1 ? "-1" : "ok", strerrorname_np(answer == -1 ? errno : 0)); \
	} while (0)

static int seen;

static int visit(const char *path, const struct stat *st, int kind) {
	seen += kind + 1 + (int)strlen(path);
	return 0;
}

static int walked(int answer) {
	printf("seen %d ", seen);
	seen = 0;
	return answer;
}

static int by_name(const FTSENT **a, const FTSENT **b) { return strcmp((*a)->fts_name, (*b)->fts_name); }

static void fts(char *top, int options) {
	char *tops[] = {top, NULL};
	FTS *tree = fts_open(tops, options, by_name);
	for (FTSENT *entry; tree && (entry = fts_read(tree));)
		printf("%d:%s:%s ", entry->fts_info, entry->fts_path, entry->fts_name);
	printf("fts %s\n", tree && fts_close(tree) == 0 ? "closed" : strerrorname_np(errno));
}

static void shown(const char *name, int fd) {
	char text[64] = "";
	ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	printf("%-20s %s %zd %s\n", name, fd < 0 ? strerrorname_np(errno) : "ok", len, text);
	close(fd);
}

int main(int argc, char **argv) {
	char buf[4096];
	struct stat st;
	struct stat64 st64;
	struct statx sx;
	struct statfs64 sf;
	struct statvfs64 sv;
	struct timeval now[2] = {{7, 0}, {7, 0}};
	struct timespec times[2] = {{8, 0}, {8, 0}};
	if (argc < 2 || chdir(argv[1]) < 0)
		return 64;
	int top = open(".", O_PATH), w = open("w", O_RDONLY | O_DIRECTORY), r = open("r", O_RDONLY | O_DIRECTORY);
	int dirs[] = {AT_FDCWD, top, w, r, 99};
	for (unsigned i = 0; i < sizeof dirs / sizeof *dirs; i++) {
		int d = dirs[i];
		printf("descriptor %u\n", i);
		const char *paths[] = {"w/file", "file", "../r/file", "r/file", "link", "sub", "../w/sub/../link", "none", ".", ".."};
		for (unsigned j = 0; j < sizeof paths / sizeof *paths; j++) {
			const char *p = paths[j];
			printf("%s\n", p);
			shown("openat64", openat64(d, p, O_RDONLY));
			TRY(fstatat64(d, p, &st64, 0));
			TRY(statx(d, p, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &sx));
			TRY(faccessat(d, p, W_OK, 0));
			TRY(faccessat(d, p, W_OK, AT_EACCESS));
			TRY(syscall(SYS_faccessat2, d, p, W_OK, AT_SYMLINK_NOFOLLOW));
			TRY(readlinkat(d, p, buf, sizeof buf));
			TRY(fchmodat(d, p, 0755, 0));
			TRY(fchownat(d, p, -1, -1, AT_SYMLINK_NOFOLLOW));
			TRY(utimensat(d, p, times, AT_SYMLINK_NOFOLLOW));
			TRY(futimesat(d, p, now));
			TRY(mkdirat(d, p, 0700));
			TRY(symlinkat("x", d, p));
			TRY(linkat(d, p, w, "hard", 0));
			TRY(unlinkat(w, "hard", 0));
			TRY(renameat(d, p, r, "moved"));
			TRY(renameat2(d, p, d, p, RENAME_NOREPLACE));
			TRY(mkfifoat(d, p, 0600));
			TRY(mknodat(d, p, S_IFREG | 0600, 0));
			TRY(syscall(SYS_unlinkat, d, p, AT_REMOVEDIR | 0x40000000));
		}
	}
	TRY(fstatat(w, "", &st, AT_EMPTY_PATH));
	TRY(statx(r, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &sx));
	TRY(linkat(open("w/file", O_PATH), "", w, "hard", AT_EMPTY_PATH));
	const char *paths[] = {"w/file", "r/file", "w/link", "w/none", "r/none", "w/sub", "none", "etc/one.conf"};
	for (unsigned j = 0; j < sizeof paths / sizeof *paths; j++) {
		const char *p = paths[j];
		printf("%s\n", p);
		shown("open64", open64(p, O_RDWR));
		shown("creat64", creat64(p, 0600));
		TRY(stat64(p, &st64));
		TRY(lstat64(p, &st64));
		TRY(statfs64(p, &sf));
		TRY(statvfs64(p, &sv));
		TRY(truncate64(p, 3));
		TRY(lutimes(p, now));
		TRY(utimes(p, now));
		TRY(lsetxattr(p, "user.k", "v", 1, 0));
		TRY(setxattr(p, "user.k", "v", 1, 0));
		TRY(lgetxattr(p, "user.k", buf, sizeof buf));
		TRY(llistxattr(p, buf, sizeof buf));
		TRY(lremovexattr(p, "user.k"));
		TRY(lchown(p, -1, -1));
		TRY(eaccess(p, W_OK));
		TRY(inotify_add_watch(inotify_init1(IN_NONBLOCK), p, IN_MODIFY));
		TRY(acct("/nonexistent"));
		TRY(swapon("/nonexistent", 0));
		TRY(walked(ftw(p, visit, 4)));
		TRY(walked(ftw64(p, (void *)visit, 4)));
	}
	const char *held[] = {"w/file", "r/file", "r/link", "w/link", "w/sub", "r", "w/sub/nested/inner", "etc/one.conf"};
	for (unsigned j = 0; j < sizeof held / sizeof *held; j++) {
		int fd = open(held[j], O_RDONLY), named = open(held[j], O_PATH);
		printf("held %s\n", held[j]);
		TRY(fchmod(fd, 0755));
		TRY(fchmod(named, 0755));
		TRY(fchown(fd, -1, -1));
		TRY(fchownat(named, "", -1, -1, AT_EMPTY_PATH));
		TRY(futimens(fd, times));
		TRY(futimes(fd, now));
		TRY(fsetxattr(fd, "user.k", "v", 1, 0));
		TRY(fgetxattr(fd, "user.k", buf, sizeof buf));
		TRY(fremovexattr(fd, "user.k"));
		TRY(ftruncate(fd, 0));
		TRY(syscall(SYS_fchmod, fd, 0700));
		TRY(syscall(SYS_utimensat, fd, NULL, times, 0));
		TRY(fchmod(open(held[j], O_WRONLY), 0644));
	}
	TRY(fchmod(-1, 0755));
	TRY(futimens(-1, times));
	TRY(futimens(AT_FDCWD, times));
	TRY(futimes(99, now));
	fts("w", FTS_PHYSICAL);
	fts("w", FTS_LOGICAL | FTS_NOCHDIR);
	fts(".", FTS_PHYSICAL | FTS_NOSTAT);
	fts("none", FTS_PHYSICAL);
	FILE *file = fopen64("w/by-stdio", "w+x");
	printf("fopen64 %d\n", file && fputs("text", file) >= 0 && fclose(file) == 0);
	file = tmpfile();
	printf("tmpfile %d\n", file && fputs("text", file) >= 0 && fclose(file) == 0);
	int shared = shm_open("/launcher-test-families", O_RDWR | O_CREAT | O_EXCL, 0600);
	printf("shm_open %d %d\n", shared >= 0, shm_unlink("/launcher-test-families"));
	sem_t *semaphore = sem_open("/launcher-test-families", O_CREAT | O_EXCL, 0600, 1);
	printf("sem_open %d %d\n", semaphore != SEM_FAILED, sem_unlink("/launcher-test-families"));
	TRY(access("/dev/shm/launcher-test-families", F_OK));
	int locked = open("w/file", O_RDWR);
	TRY(flock(locked, LOCK_EX | LOCK_NB));
	TRY(flock(open("w/../w/file", O_RDWR), LOCK_EX | LOCK_NB));
	TRY(chroot("none"));
	TRY(pathconf("w/none", _PC_PATH_MAX));
	return 0;
}
