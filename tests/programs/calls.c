/* Makes the libc calls that standard input names, one a line, and says what
 * each answered: a call's name and its arguments, separated by blanks; %20
 * stands for a blank, %XX for any byte. Numbers are as strtol(3) reads them,
 * open flags may be joined by '|'. The output holds nothing that differs from
 * run to run, so that two runs can be compared. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <utime.h>

int __open_2(const char *, int);
int __open64_2(const char *, int);
int __openat_2(int, const char *, int);
int __openat64_2(int, const char *, int);
char *__realpath_chk(const char *, char *, size_t);
char *__getcwd_chk(char *, size_t, size_t);
int __xstat(int, const char *, struct stat *);
int __lxstat(int, const char *, struct stat *);
int __fxstatat(int, int, const char *, struct stat *, int);

static char *word[16];
static int words;

static const char *arg(int n) { return n < words ? word[n] : ""; }

static int number(int n) {
	static const struct { const char *name; int value; } names[] = {
		{"RDONLY", O_RDONLY}, {"WRONLY", O_WRONLY}, {"RDWR", O_RDWR}, {"CREAT", O_CREAT},
		{"EXCL", O_EXCL}, {"TRUNC", O_TRUNC}, {"APPEND", O_APPEND}, {"DIRECTORY", O_DIRECTORY},
		{"NOFOLLOW", O_NOFOLLOW}, {"PATH", O_PATH}, {"TMPFILE", O_TMPFILE}, {"NONBLOCK", O_NONBLOCK},
		{"AT_FDCWD", AT_FDCWD}, {"NOFOLLOW_AT", AT_SYMLINK_NOFOLLOW}, {"REMOVEDIR", AT_REMOVEDIR},
		{"FOLLOW_AT", AT_SYMLINK_FOLLOW}, {"EMPTY_PATH", AT_EMPTY_PATH}, {"R", R_OK}, {"W", W_OK},
		{"X", X_OK}, {"F", F_OK}, {"NOREPLACE", RENAME_NOREPLACE}, {"EXCHANGE", RENAME_EXCHANGE},
	};
	char text[256];
	snprintf(text, sizeof text, "%s", arg(n));
	int value = 0;
	for (char *part = strtok(text, "|"); part; part = strtok(NULL, "|")) {
		size_t i = 0;
		while (i < sizeof names / sizeof *names && strcmp(names[i].name, part))
			i++;
		value |= i < sizeof names / sizeof *names ? names[i].value : (int)strtol(part, NULL, 0);
	}
	return value;
}

static void decode(char *s) {
	char *to = s;
	for (; *s; s++) {
		unsigned byte;
		if (*s == '%' && sscanf(s + 1, "%2x", &byte) == 1) {
			*to++ = (char)byte;
			s += 2;
		} else {
			*to++ = *s;
		}
	}
	*to = 0;
}

static void show(const char *s) {
	for (; *s; s++)
		if ((unsigned char)*s <= ' ' || (unsigned char)*s > '~')
			printf("%%%02x", (unsigned char)*s);
		else
			putchar(*s);
}

static void result(long value) {
	if (value < 0)
		printf("-1 %s\n", strerrorname_np(errno));
	else
		printf("%ld\n", value);
}

/* A descriptor: what is in the file, not the number. */
static void opened(int fd) {
	if (fd < 0) {
		result(fd);
		return;
	}
	char text[64];
	struct stat st;
	fstat(fd, &st);
	printf("ok %o", st.st_mode & S_IFMT);
	if (S_ISREG(st.st_mode)) {
		ssize_t len = read(fd, text, sizeof text - 1);
		if (len >= 0) {
			text[len] = 0;
			printf(" \"");
			show(text);
			printf("\"");
		} else {
			printf(" %s", strerrorname_np(errno));
		}
	}
	putchar('\n');
	close(fd);
}

static void stated(int done, const struct stat *st) {
	if (done < 0) {
		result(done);
		return;
	}
	/* What has just been changed bears the time of the run. */
	long mtime = S_ISREG(st->st_mode) ? (long)st->st_mtime : 0;
	printf("mode=%o nlink=%lu size=%ld mtime=%ld\n", st->st_mode, S_ISDIR(st->st_mode) ? 0 : st->st_nlink,
	       S_ISDIR(st->st_mode) ? 0 : (long)st->st_size, mtime > 1500000000 ? -1 : mtime);
}

static void text(const char *s) {
	if (!s) {
		result(-1);
		return;
	}
	show(s);
	putchar('\n');
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* Names, sorted; DT_* where a file system gives it. */
static void listed(DIR *dir) {
	if (!dir) {
		result(-1);
		return;
	}
	char *names[4096];
	size_t count = 0;
	struct dirent *entry;
	errno = 0;
	while ((entry = readdir(dir)) && count < 4096) {
		char line[512];
		snprintf(line, sizeof line, "%s:%d", entry->d_name, entry->d_type);
		names[count++] = strdup(line);
	}
	int failed = errno;
	qsort(names, count, sizeof *names, by_name);
	for (size_t i = 0; i < count; i++) {
		printf(i ? " " : "");
		show(names[i]);
		free(names[i]);
	}
	printf(failed ? " %s\n" : "\n", strerrorname_np(failed));
	closedir(dir);
}

static char walked[1 << 16];

static int visit(const char *path, const struct stat *st, int kind, struct FTW *ftw) {
	size_t len = strlen(walked);
	snprintf(walked + len, sizeof walked - len, "%s:%d:%d\n", path, kind, ftw->level);
	(void)st;
	return 0;
}

/* The lines of `walked`, sorted. */
static void show_walked(int done) {
	char *lines[4096];
	size_t count = 0;
	for (char *line = strtok(walked, "\n"); line && count < 4096; line = strtok(NULL, "\n"))
		lines[count++] = line;
	qsort(lines, count, sizeof *lines, by_name);
	printf("%d", done);
	for (size_t i = 0; i < count; i++) {
		putchar(' ');
		show(lines[i]);
	}
	putchar('\n');
	walked[0] = 0;
}

static socklen_t address(struct sockaddr_un *un, const char *path) {
	memset(un, 0, sizeof *un);
	un->sun_family = AF_UNIX;
	strncpy(un->sun_path, path, sizeof un->sun_path - 1);
	return offsetof(struct sockaddr_un, sun_path) + strlen(un->sun_path) + 1;
}

/* Listens at a path, connects to it, and shows all four names. */
static void sockets(const char *path) {
	struct sockaddr_un un;
	socklen_t len = address(&un, path);
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
	if (bind(listener, (void *)&un, len) < 0 || listen(listener, 1) < 0) {
		result(-1);
	} else {
		len = sizeof un;
		getsockname(listener, (void *)&un, &len);
		printf("bound=%.*s len=%u ", 108, un.sun_path, len);
		len = address(&un, path);
		if (connect(client, (void *)&un, len) < 0) {
			result(-1);
		} else {
			len = sizeof un;
			getpeername(client, (void *)&un, &len);
			printf("peer=%.*s len=%u ", 108, un.sun_path, len);
			len = sizeof un;
			int accepted = accept(listener, (void *)&un, &len);
			printf("accepted=%d len=%u\n", accepted >= 0, len);
			close(accepted);
		}
	}
	close(listener);
	close(client);
}

/* Sends a datagram from one path to another, and shows where it came from. */
static void datagram(const char *from, const char *to) {
	struct sockaddr_un un;
	int a = socket(AF_UNIX, SOCK_DGRAM, 0), b = socket(AF_UNIX, SOCK_DGRAM, 0);
	socklen_t len = address(&un, from);
	int done = bind(a, (void *)&un, len);
	len = address(&un, to);
	done = done < 0 ? done : bind(b, (void *)&un, len);
	if (done < 0 || sendto(a, "x", 1, 0, (void *)&un, len) < 0) {
		result(-1);
	} else {
		char byte;
		len = sizeof un;
		recvfrom(b, &byte, 1, 0, (void *)&un, &len);
		printf("from=%.*s\n", 108, un.sun_path);
	}
	close(a);
	close(b);
}

static void ran(int status) {
	fflush(stdout);
	printf("status=%d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
}

static int fork_exec(int way) {
	extern char **environ;
	char *argv[] = {(char *)arg(1), (char *)arg(2), words > 3 ? (char *)arg(3) : NULL, NULL};
	char *none[] = {NULL};
	fflush(stdout);
	pid_t pid = way == 'v' ? vfork() : fork();
	if (pid == 0) {
		switch (way) {
		case 'l': execl(arg(1), arg(1), arg(2), words > 3 ? arg(3) : NULL, NULL); break;
		case 'L': execlp(arg(1), arg(1), arg(2), words > 3 ? arg(3) : NULL, NULL); break;
		case 'E': execle(arg(1), arg(1), arg(2), words > 3 ? arg(3) : NULL, NULL, none); break;
		case 'p': execvp(arg(1), argv); break;
		case 'e': execve(arg(1), argv, none); break;
		case 'a': execveat(AT_FDCWD, arg(1), argv, environ, 0); break;
		case 'f': fexecve(open(arg(1), O_RDONLY), argv, environ); break;
		default: execv(arg(1), argv);
		}
		_exit(errno == ENOENT ? 127 : errno == EACCES ? 126 : 125);
	}
	int status = 0;
	waitpid(pid, &status, 0);
	return status;
}

#define IS(name) (!strcmp(word[0], name))

static void call(void) {
	struct stat st;
	char buf[PATH_MAX + 1];
	if (IS("open")) opened(open(arg(1), number(2), 0640));
	else if (IS("open64")) opened(open64(arg(1), number(2), 0640));
	else if (IS("__open_2")) opened(__open_2(arg(1), number(2)));
	else if (IS("__open64_2")) opened(__open64_2(arg(1), number(2)));
	else if (IS("__openat_2")) opened(__openat_2(AT_FDCWD, arg(1), number(2)));
	else if (IS("__openat64_2")) opened(__openat64_2(AT_FDCWD, arg(1), number(2)));
	else if (IS("creat")) opened(creat(arg(1), 0640));
	else if (IS("sys_open")) opened(syscall(SYS_open, arg(1), number(2), 0640));
	else if (IS("sys_openat")) opened(syscall(SYS_openat, AT_FDCWD, arg(1), number(2), 0640));
	else if (IS("openat2")) {
		struct open_how how = {.flags = number(2), .resolve = number(3)};
		opened(syscall(SYS_openat2, AT_FDCWD, arg(1), &how, sizeof how));
	} else if (IS("openat")) {
		int dir = open(arg(1), O_RDONLY | O_DIRECTORY);
		opened(openat(dir, arg(2), number(3), 0640));
		close(dir);
	} else if (IS("fopen")) {
		FILE *file = fopen(arg(1), arg(2));
		if (!file) result(-1);
		else {
			buf[0] = 0;
			printf("ok \"");
			if (fgets(buf, 64, file)) show(buf);
			printf("\"\n");
			fclose(file);
		}
	} else if (IS("freopen")) {
		FILE *file = freopen(arg(1), arg(2), fopen("/dev/null", "r"));
		if (!file) result(-1);
		else {
			buf[0] = 0;
			printf("ok \"");
			if (fgets(buf, 64, file)) show(buf);
			printf("\"\n");
			fclose(file);
		}
	} else if (IS("write")) {
		int fd = open(arg(1), O_WRONLY | O_CREAT | O_APPEND, 0640);
		result(fd < 0 ? -1 : write(fd, arg(2), strlen(arg(2))));
		close(fd);
	} else if (IS("stat")) stated(stat(arg(1), &st), &st);
	else if (IS("lstat")) stated(lstat(arg(1), &st), &st);
	else if (IS("__xstat")) stated(__xstat(1, arg(1), &st), &st);
	else if (IS("__lxstat")) stated(__lxstat(1, arg(1), &st), &st);
	else if (IS("__fxstatat")) stated(__fxstatat(1, AT_FDCWD, arg(1), &st, number(2)), &st);
	else if (IS("fstatat")) {
		int dir = open(arg(1), O_RDONLY | O_DIRECTORY);
		stated(fstatat(dir, arg(2), &st, number(3)), &st);
		close(dir);
	} else if (IS("statx")) {
		struct statx sx;
		int done = statx(AT_FDCWD, arg(1), number(2), STATX_BASIC_STATS, &sx);
		if (done < 0) result(done);
		else printf("mode=%o\n", sx.stx_mode);
	} else if (IS("access")) result(access(arg(1), number(2)));
	else if (IS("faccessat")) result(faccessat(AT_FDCWD, arg(1), number(2), number(3)));
	else if (IS("euidaccess")) result(euidaccess(arg(1), number(2)));
	else if (IS("readlink")) {
		ssize_t len = readlink(arg(1), buf, sizeof buf - 1);
		if (len < 0) result(len);
		else { buf[len] = 0; text(buf); }
	} else if (IS("realpath")) text(realpath(arg(1), buf));
	else if (IS("realpath_null")) { char *p = realpath(arg(1), NULL); text(p); free(p); }
	else if (IS("__realpath_chk")) text(__realpath_chk(arg(1), buf, sizeof buf));
	else if (IS("canonicalize_file_name")) { char *p = canonicalize_file_name(arg(1)); text(p); free(p); }
	else if (IS("statfs")) { struct statfs sf; result(statfs(arg(1), &sf)); }
	else if (IS("statvfs")) { struct statvfs sf; result(statvfs(arg(1), &sf)); }
	else if (IS("pathconf")) result(pathconf(arg(1), _PC_NAME_MAX));
	else if (IS("mkdir")) result(mkdir(arg(1), 0755));
	else if (IS("rmdir")) result(rmdir(arg(1)));
	else if (IS("unlink")) result(unlink(arg(1)));
	else if (IS("remove")) result(remove(arg(1)));
	else if (IS("unlinkat")) {
		int dir = open(arg(1), O_RDONLY | O_DIRECTORY);
		result(unlinkat(dir, arg(2), number(3)));
		close(dir);
	} else if (IS("mkfifo")) result(mkfifo(arg(1), 0644));
	else if (IS("mknod")) result(mknod(arg(1), S_IFREG | 0644, 0));
	else if (IS("symlink")) result(symlink(arg(1), arg(2)));
	else if (IS("link")) result(link(arg(1), arg(2)));
	else if (IS("linkat")) result(linkat(AT_FDCWD, arg(1), AT_FDCWD, arg(2), number(3)));
	else if (IS("rename")) result(rename(arg(1), arg(2)));
	else if (IS("renameat2")) result(renameat2(AT_FDCWD, arg(1), AT_FDCWD, arg(2), number(3)));
	else if (IS("sys_renameat2"))
		result(syscall(SYS_renameat2, AT_FDCWD, arg(1), AT_FDCWD, arg(2), number(3)));
	else if (IS("chmod")) result(chmod(arg(1), number(2)));
	else if (IS("chown")) result(chown(arg(1), number(2), number(3)));
	else if (IS("lchown")) result(lchown(arg(1), number(2), number(3)));
	else if (IS("truncate")) result(truncate(arg(1), number(2)));
	else if (IS("utimes")) {
		struct timeval times[2] = {{number(2), 0}, {number(2), 0}};
		result(utimes(arg(1), times));
	} else if (IS("utime")) {
		struct utimbuf times = {number(2), number(2)};
		result(utime(arg(1), &times));
	} else if (IS("utimensat")) {
		struct timespec times[2] = {{number(2), 0}, {number(2), 0}};
		result(utimensat(AT_FDCWD, arg(1), times, number(3)));
	} else if (IS("setxattr")) result(setxattr(arg(1), arg(2), arg(3), strlen(arg(3)), 0));
	else if (IS("getxattr")) {
		ssize_t len = getxattr(arg(1), arg(2), buf, sizeof buf - 1);
		if (len < 0) result(len);
		else { buf[len] = 0; text(buf); }
	} else if (IS("listxattr")) result(listxattr(arg(1), buf, sizeof buf));
	else if (IS("removexattr")) result(removexattr(arg(1), arg(2)));
	else if (IS("chdir")) result(chdir(arg(1)));
	else if (IS("fchdir")) {
		int dir = open(arg(1), O_RDONLY | O_DIRECTORY);
		result(fchdir(dir));
		close(dir);
	} else if (IS("getcwd")) text(getcwd(buf, sizeof buf));
	else if (IS("getcwd_null")) { char *p = getcwd(NULL, 0); text(p); free(p); }
	else if (IS("getcwd_small")) text(getcwd(buf, 2));
	else if (IS("__getcwd_chk")) text(__getcwd_chk(buf, sizeof buf, sizeof buf));
	else if (IS("get_current_dir_name")) { char *p = get_current_dir_name(); text(p); free(p); }
	else if (IS("opendir")) listed(opendir(arg(1)));
	else if (IS("fdopendir")) {
		int fd = open(arg(1), O_RDONLY | O_DIRECTORY);
		if (fd < 0) result(fd);
		else listed(fdopendir(fd));
	} else if (IS("rewinddir")) {
		DIR *dir = opendir(arg(1));
		if (!dir) { result(-1); return; }
		while (readdir(dir))
			;
		rewinddir(dir);
		listed(dir);
	} else if (IS("scandir")) {
		struct dirent **list;
		int count = scandir(arg(1), &list, NULL, alphasort);
		if (count < 0) { result(count); return; }
		for (int i = 0; i < count; i++) {
			show(list[i]->d_name);
			printf(i + 1 < count ? " " : "\n");
			free(list[i]);
		}
		free(list);
	} else if (IS("glob")) {
		glob_t found;
		int done = glob(arg(1), 0, NULL, &found);
		printf("%d", done);
		for (size_t i = 0; !done && i < found.gl_pathc; i++) { putchar(' '); show(found.gl_pathv[i]); }
		putchar('\n');
		if (!done) globfree(&found);
	} else if (IS("nftw")) show_walked(nftw(arg(1), visit, 16, number(2)));
	else if (IS("inotify")) {
		int fd = inotify_init1(IN_NONBLOCK);
		int watch = inotify_add_watch(fd, arg(1), IN_CREATE | IN_OPEN);
		result(watch < 0 ? -1 : 0);
		close(fd);
	} else if (IS("socket")) sockets(arg(1));
	else if (IS("datagram")) datagram(arg(1), arg(2));
	else if (IS("system")) ran(system(arg(1)));
	else if (IS("popen")) {
		FILE *pipe = popen(arg(1), "r");
		if (!pipe) { result(-1); return; }
		while (fgets(buf, sizeof buf, pipe)) { show(buf); putchar(' '); }
		ran(pclose(pipe));
	} else if (!strncmp(word[0], "exec:", 5)) ran(fork_exec(word[0][5]));
	else if (IS("mkstemp")) {
		snprintf(buf, sizeof buf, "%s", arg(1));
		int fd = mkstemp(buf);
		if (fd < 0) result(fd);
		else printf("ok %d\n", strncmp(buf, arg(1), strlen(arg(1)) - 6) == 0 && unlink(buf) == 0);
		close(fd);
	} else if (IS("mkdtemp")) {
		snprintf(buf, sizeof buf, "%s", arg(1));
		char *made = mkdtemp(buf);
		if (!made) result(-1);
		else printf("ok %d\n", rmdir(made));
	} else if (IS("bad_open")) result(open((char *)strtoul(arg(1), NULL, 0), O_RDONLY));
	else if (IS("bad_stat")) result(stat((char *)strtoul(arg(1), NULL, 0), &st));
	else if (IS("bad_page")) {
		char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		mprotect(page + 4096, 4096, PROT_NONE);
		memset(page, 'a', 4096);
		page[0] = '/';
		printf("%s ", open(page, O_RDONLY) < 0 ? strerrorname_np(errno) : "opened");
		printf("%s ", open(page + 4096, O_RDONLY) < 0 ? strerrorname_np(errno) : "opened");
		printf("%s\n", stat(page + 4000, &st) < 0 ? strerrorname_np(errno) : "found");
		munmap(page, 8192);
	} else printf("unknown call\n");
}

int main(void) {
	static char line[1 << 16];
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof line, stdin)) {
		line[strcspn(line, "\n")] = 0;
		printf("%s => ", line);
		words = 0;
		for (char *part = strtok(line, " "); part && words < 16; part = strtok(NULL, " "))
			word[words++] = part;
		for (int i = 0; i < words; i++)
			decode(word[i]);
		if (words)
			call();
		else
			putchar('\n');
		fflush(stdout);
	}
	return 0;
}
