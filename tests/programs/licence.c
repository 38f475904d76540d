/* A licence checker: asks who the machine is in every way that there is, and
 * prints one line for each. With words, it does something else: see main. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

static const char *why(long answer) {
	static char text[32];
	if (answer >= 0)
		return "ok";
	snprintf(text, sizeof text, "errno %d", errno);
	return text;
}

static void names(const char *way, const struct utsname *u) {
	printf("%s: %s|%s|%s|%s|%s|%s\n", way, u->sysname, u->nodename, u->release, u->version, u->machine, u->domainname);
}

/* A file's text, its bytes in hexadecimal where they are none. */
static void file(const char *path) {
	char text[4096];
	int fd = open(path, O_RDONLY);
	if (fd < 0) {
		printf("%s: %s\n", path, why(fd));
		return;
	}
	ssize_t len = read(fd, text, sizeof text - 1);
	struct stat st;
	close(fd);
	stat(path, &st);
	printf("%s: %o ", path, st.st_mode);
	int plain = 1;
	for (ssize_t i = 0; i < len; i++)
		plain &= text[i] == '\n' || (text[i] >= ' ' && text[i] <= '~');
	for (ssize_t i = 0; i < len; i++)
		if (!plain)
			printf("%02x", (unsigned char)text[i]);
		else if (text[i] == '\n')
			printf("|");
		else
			putchar(text[i]);
	printf("\n");
}

static void host(void) {
	struct utsname u;
	char name[65];
	uname(&u);
	names("uname", &u);
	memset(&u, 'x', sizeof u);
	syscall(SYS_uname, &u);
	names("syscall", &u);
	printf("gethostname: %s", why(gethostname(name, sizeof name)));
	printf(" %s\n", name);
	printf("getdomainname: %s", why(getdomainname(name, sizeof name)));
	printf(" %s\n", name);
	printf("gethostid: %lx\n", gethostid());
	static const char *files[] = {"/etc/hostname", "/etc/machine-id", "/etc/hostid", "/etc/os-release", "/usr/lib/os-release",
		"/etc/redhat-release", "/etc/system-release", "/etc/debian_version", "/etc/lsb-release", "/proc/version",
		"/proc/sys/kernel/hostname", "/proc/sys/kernel/domainname", "/proc/sys/kernel/osrelease", "/proc/sys/kernel/version",
		"/proc/sys/kernel/ostype", "/proc/sys/kernel/random/boot_id"};
	for (unsigned i = 0; i < sizeof files / sizeof *files; i++)
		file(files[i]);
}

/* What is answered where the caller is wrong, or has little room. */
static void edges(void) {
	char room[80];
	for (size_t size = 0; size < 8; size++) {
		memset(room, '#', sizeof room);
		int answer = gethostname(room, size);
		printf("gethostname %zu: %s %.8s\n", size, why(answer), room);
		memset(room, '#', sizeof room);
		answer = getdomainname(room, size);
		printf("getdomainname %zu: %s %.8s\n", size, why(answer), room);
	}
	char *pages = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(pages + 4096, 4096);
	mprotect(pages + 8192, 4096, PROT_READ);
	printf("uname null: %s\n", why(syscall(SYS_uname, NULL)));
	printf("uname over the edge: %s\n", why(syscall(SYS_uname, pages + 4096 - 100)));
	printf("uname before it: %s\n", why(syscall(SYS_uname, pages + 4096 - sizeof(struct utsname))));
	printf("uname read-only: %s\n", why(syscall(SYS_uname, pages + 8192)));
	printf("uname half read-only: %s\n", why(syscall(SYS_uname, pages + 12288 - 100)));
}

static void set(void) {
	char text[80];
	struct utsname u;
	memset(text, 'a', sizeof text);
	printf("too long: %s\n", why(sethostname(text, 65)));
	printf("negative: %s\n", why(sethostname(text, -1)));
	printf("null: %s\n", why(syscall(SYS_sethostname, NULL, 3)));
	printf("longest: %s\n", why(sethostname(text, 64)));
	uname(&u);
	names("longest", &u);
	printf("part: %s\n", why(sethostname("part-of-it", 4)));
	printf("domain: %s\n", why(setdomainname("new.example", 11)));
	uname(&u);
	names("new", &u);
	printf("empty: %s\n", why(sethostname("", 0)));
	file("/proc/sys/kernel/hostname");
	printf("nul: %s\n", why(sethostname("ab\0cd", 5)));
	uname(&u);
	names("nul", &u);
	file("/proc/sys/kernel/hostname");
	printf("last: %s\n", why(sethostname("last", 4)));
	file("/proc/sys/kernel/hostname");
	file("/proc/sys/kernel/domainname");
	if (setuid(65534) == 0) {
		printf("a user: %s\n", why(sethostname("other", 5)));
		printf("a user: %s\n", why(setdomainname("other", 5)));
		uname(&u);
		names("a user", &u);
	}
}

/* Asks often, for as long as a name is set: every answer is one or the other. */
static void many(void) {
	struct utsname u;
	for (int i = 0; i < 100000; i++) {
		uname(&u);
		if (strcmp(u.nodename, "one") && strcmp(u.nodename, "the-other")) {
			printf("half a name: %s\n", u.nodename);
			exit(1);
		}
	}
	printf("whole names\n");
}

int main(int argc, char **argv) {
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc < 2)
		host();
	else if (!strcmp(argv[1], "edges"))
		edges();
	else if (!strcmp(argv[1], "set"))
		set();
	else if (!strcmp(argv[1], "many"))
		many();
	else if (!strcmp(argv[1], "swap"))
		for (int i = 0; i < 2000; i++)
			if (sethostname(i % 2 ? "one" : "the-other", i % 2 ? 3 : 9))
				return 1;
	return 0;
}
