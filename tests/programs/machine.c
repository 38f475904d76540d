/* Asks how many processors and how much memory there are, in every way that there is. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/syscall.h>
#include <unistd.h>

static char text[1 << 20];

static const char *file(const char *path) {
	int fd = open(path, O_RDONLY);
	ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	text[len < 0 ? 0 : len] = 0;
	close(fd);
	return text;
}

/* How many lines begin so. */
static int lines(const char *path, const char *word, int digit) {
	int count = 0;
	for (const char *line = file(path); line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		if (!strncmp(line, word, strlen(word)))
			count += !digit || (line[strlen(word)] >= '0' && line[strlen(word)] <= '9');
	return count;
}

static const char *why(long answer) {
	static char room[32];
	snprintf(room, sizeof room, answer < 0 ? "errno %d" : "ok", errno);
	return room;
}

static void set(const char *way, const cpu_set_t *all) {
	printf("%s: %d:", way, CPU_COUNT(all));
	for (int i = 0; i < 1024; i++)
		if (CPU_ISSET(i, all))
			printf(" %d", i);
	printf("\n");
}

static unsigned long long kib(const char *key) {
	const char *line = strstr(file("/proc/meminfo"), key);
	return line ? strtoull(line + strlen(key), NULL, 10) : 0;
}

int main(int argc, char **argv) {
	cpu_set_t all;
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("sysconf: %ld %ld\n", sysconf(_SC_NPROCESSORS_CONF), sysconf(_SC_NPROCESSORS_ONLN));
	printf("get_nprocs: %d %d\n", get_nprocs_conf(), get_nprocs());
	memset(&all, 0xff, sizeof all);
	sched_getaffinity(0, sizeof all, &all);
	set("sched_getaffinity", &all);
	CPU_ZERO(&all);
	syscall(SYS_sched_getaffinity, 0, sizeof all, &all);
	set("syscall", &all);
	pthread_getaffinity_np(pthread_self(), sizeof all, &all);
	set("pthread_getaffinity_np", &all);
	static const char *files[] = {"online", "possible", "present"};
	for (int i = 0; i < 3; i++) {
		char path[80];
		snprintf(path, sizeof path, "/sys/devices/system/cpu/%s", files[i]);
		printf("%s: %s", files[i], file(path));
	}
	printf("cpuinfo: %d\n", lines("/proc/cpuinfo", "processor\t:", 0));
	printf("stat: %d %d\n", lines("/proc/stat", "cpu", 1), lines("/proc/stat", "cpu ", 0));
	struct sysinfo about;
	sysinfo(&about);
	unsigned long long total = (unsigned long long)about.totalram * about.mem_unit, page = sysconf(_SC_PAGESIZE);
	printf("sysinfo: %llu\n", total);
	printf("pages: %llu %llu\n", sysconf(_SC_PHYS_PAGES) * page, get_phys_pages() * page);
	printf("meminfo: %llu\n", kib("MemTotal:") * 1024);
	unsigned long long free = kib("MemFree:") * 1024;
	printf("free: %d %d %d %d\n", free > 0 && free < total, about.freeram > 0 && about.freeram * about.mem_unit < total,
		sysconf(_SC_AVPHYS_PAGES) > 0 && sysconf(_SC_AVPHYS_PAGES) * page < total, kib("MemAvailable:") * 1024 <= total);
	/* Bound to the last one, and back. */
	int last = sysconf(_SC_NPROCESSORS_ONLN) - 1;
	CPU_ZERO(&all);
	CPU_SET(last, &all);
	printf("bind: %s\n", why(sched_setaffinity(0, sizeof all, &all)));
	CPU_ZERO(&all);
	sched_getaffinity(0, sizeof all, &all);
	printf("bound: %d\n", !!CPU_ISSET(last, &all));
	CPU_ZERO(&all);
	CPU_SET(last, &all);
	printf("thread: %d\n", pthread_setaffinity_np(pthread_self(), sizeof all, &all));
	CPU_ZERO(&all);
	CPU_SET(1023, &all);
	printf("none such: %s\n", why(sched_setaffinity(0, sizeof all, &all)));
	printf("empty: %s\n", why(syscall(SYS_sched_setaffinity, 0, 0, &all)));
	printf("odd: %s\n", why(syscall(SYS_sched_getaffinity, 0, 129, &all)));
	printf("nowhere: %s\n", why(syscall(SYS_sched_getaffinity, 0, 128, NULL)));
	printf("no process: %s\n", why(syscall(SYS_sched_getaffinity, 0x3fffffff, 128, &all)));
	printf("null: %s\n", why(syscall(SYS_sysinfo, NULL)));
	return 0;
}
