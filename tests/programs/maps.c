/* Prints what /proc tells of this process's mappings, by every way there: of
 * each mapping of a file its rights, its offset, its size and its path. The
 * argument is the app directory of tests/tests/proc.rs. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The file that is read when a signal comes. */
static const char *wanted;

static int is_range(const char *line) { return strspn(line, "0123456789abcdef") >= 8 && line[strspn(line, "0123456789abcdef")] == '-'; }

/* Prints a text; of smaps also the sum of what the mappings of files take, and
 * what must hold of each. */
static void show(const char *name, FILE *text) {
	char line[8192], rights[8], path[4096];
	unsigned long start, end, offset, size = 0, kilobytes = 0, fields = 0, wrong = 0;
	int named = 0, lines = 0, stack = 0, vdso = 0, heap = 0;
	printf("%s: %s\n", name, text ? "opened" : "not there");
	while (text && fgets(line, sizeof line, text)) {
		unsigned long value;
		if (!is_range(line)) {
			fields++;
			if (sscanf(line, "Size: %lu kB", &value) == 1)
				wrong += value != size / 1024, kilobytes += named ? value : 0;
			if (sscanf(line, "Rss: %lu kB", &value) == 1)
				wrong += value > size / 1024;
			continue;
		}
		path[0] = 0;
		sscanf(line, "%lx-%lx %7s %lx %*s %*s %4095[^\n]", &start, &end, rights, &offset, path);
		size = end - start;
		named = path[0] == '/';
		lines++;
		if (named)
			printf("  %s %lx+%lx %s\n", rights, offset, size, path);
		stack += !strcmp(path, "[stack]");
		vdso += !strcmp(path, "[vdso]");
		heap += !strcmp(path, "[heap]");
	}
	printf("  %d stack, %d vdso, %d heap\n", stack, vdso, heap);
	if (fields)
		printf("  %lu kB, %lu wrong, %s\n", kilobytes, wrong, fields % lines ? "odd" : "even");
	if (text)
		fclose(text);
}

static void show_fd(const char *name, int fd) { show(name, fd < 0 ? NULL : fdopen(fd, "r")); }

static void on_signal(int number) {
	char buf[64];
	int fd = open(wanted, O_RDONLY);
	long len = read(fd, buf, sizeof buf);
	close(fd);
	dprintf(1, "in a handler: %ld\n", len);
}

static int count(const char *path) {
	FILE *text = fopen(path, "r");
	int lines = 0, c;
	while (text && (c = getc(text)) != EOF)
		lines += c == '\n';
	if (text)
		fclose(text);
	return lines;
}

int main(int argc, char **argv) {
	char path[4096], buf[4096];
	struct stat st;
	int first, fd;
	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("begins");
	/* Files of mounts, one that is gone, and call sites that the gate has rewritten. */
	for (int i = 0; i < 3; i++) {
		const char *names[] = {"work/sub/deep", "etc/app.conf", "work/gone"};
		snprintf(path, sizeof path, "%s/%s", argv[1], names[i]);
		fd = open(path, i == 2 ? O_RDWR | O_CREAT : O_RDONLY, 0600);
		if (i == 2 && (unlink(path) || ftruncate(fd, 4096)))
			return 1;
		if (mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED)
			return 2;
		close(fd);
	}
	for (int i = 0; i < 40; i++)
		access(path, F_OK), stat(path, &st), readlink(path, buf, sizeof buf), close(open(path, O_RDONLY));

	show("self, by fopen", fopen("/proc/self/maps", "r"));
	show_fd("self, by open", open("/proc/self/maps", O_RDONLY));
	show_fd("thread-self", open("/proc/thread-self/maps", O_RDONLY | O_CLOEXEC));
	snprintf(path, sizeof path, "/proc/%d/task/%d/smaps", getpid(), getpid());
	show("smaps", fopen(path, "r"));
	int proc = open("/proc/self", O_RDONLY | O_DIRECTORY);
	show_fd("by a descriptor", openat(proc, "maps", O_RDONLY));
	if (chdir("/proc/self/task"))
		return 3;
	show("by a relative path", fopen("../maps", "r"));
	snprintf(path, sizeof path, "%s/work/maps", argv[1]);
	show("by a link of a mount", fopen(path, "r"));

	first = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	fstat(first, &st);
	printf("mode %o, flags %x, on exec %d, next %d, writing %zd, at %ld\n", st.st_mode, fcntl(first, F_GETFL) & O_ACCMODE,
	       fcntl(first, F_GETFD), dup(first) - first, write(first, "x", 1), (long)lseek(first, 0, SEEK_CUR));
	ssize_t len = read(first, buf, 100);
	printf("again %d\n", len == 100 && lseek(first, 0, SEEK_SET) == 0 && read(first, buf + 100, 100) == 100 && !memcmp(buf, buf + 100, 100));
	printf("writing %d, a directory %d\n", open("/proc/self/maps", O_RDWR) < 0, open("/proc/self/maps", O_RDONLY | O_DIRECTORY) < 0);

	/* Another process of the same view: a child, and one that borrows its parent's memory. */
	snprintf(path, sizeof path, "/proc/%d/maps", getpid());
	if (fork() == 0) {
		show("a child, of its parent", fopen(path, "r"));
		show("a child, of itself", fopen("/proc/self/maps", "r"));
		_exit(0);
	}
	wait(NULL);
	if (vfork() == 0) {
		fd = open("/proc/self/maps", O_RDONLY);
		len = read(fd, buf, sizeof buf);
		_exit(fd < 0 || len < 1000 || memmem(buf, len, "launcher/", 9) != NULL);
	}
	int status;
	wait(&status);
	printf("a vfork child %d\n", status);
	wanted = "/proc/self/maps";
	signal(SIGUSR1, on_signal);
	raise(SIGUSR1);

	/* As many mappings as may be. */
	enum { MANY = 60000 };
	int before = count("/proc/self/maps");
	char *many = mmap(NULL, MANY * 4096L, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	for (int i = 1; i < MANY; i += 2)
		mprotect(many + i * 4096L, 4096, PROT_NONE);
	int more = count("/proc/self/maps") - before;
	printf("many %d\n", more >= MANY - 1 && more <= MANY + 1);
	munmap(many, MANY * 4096L);
	printf("as before %d\n", count("/proc/self/maps") - before);

	/* Where no more descriptors can be had the kernel's own file is better than none. */
	struct rlimit limit = {dup(first) + 1, 4096};
	close(limit.rlim_cur - 1);
	setrlimit(RLIMIT_NOFILE, &limit);
	fd = open("/proc/self/maps", O_RDONLY);
	printf("the last descriptor %d %d\n", fd >= 0, read(fd, buf, sizeof buf) > 0);
	return 0;
}
