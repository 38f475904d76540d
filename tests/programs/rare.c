/* Makes the calls that few programs make. The argument is the app directory;
 * w is a read-write mount in it, r a read-only one. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <spawn.h>
#include <sys/fanotify.h>
#include <sys/ipc.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
int __statfs(const char *, struct statfs *);
FILE *_IO_fopen(const char *, const char *);
FILE *_IO_popen(const char *, const char *);
int __connect(int, const struct sockaddr *, socklen_t);

static const char *PATHS[] = {"w/file", "r/file", "w/link", "w/none", "w/sub", "r", "none", "etc/one.conf", "../app/r/file", ""};
#define EACH(p) for (unsigned i_ = 0; i_ < sizeof PATHS / sizeof *PATHS; i_++) for (const char *p = PATHS[i_]; p; p = NULL)

static const char *why(long answer) { return answer < 0 ? strerrorname_np(errno) : "ok"; }

static void keys(void) {
	EACH(p) {
		struct stat st;
		key_t key = ftok(p, 'k');
		printf("ftok %s %s", p, why(key));
		if (key != -1)
			printf(" %d", stat(p, &st) == 0 && key == (key_t)((st.st_ino & 0xffff) | (st.st_dev & 0xff) << 16 | 'k' << 24));
		puts("");
	}
}

static void handles(void) {
	struct {
		struct file_handle head;
		unsigned char room[MAX_HANDLE_SZ];
	} handle;
	int mount, w = open("w", O_PATH), flags[] = {0, AT_SYMLINK_FOLLOW, AT_EMPTY_PATH};
	EACH(p) for (int i = 0; i < 3; i++) {
		handle.head.handle_bytes = MAX_HANDLE_SZ;
		int done = name_to_handle_at(AT_FDCWD, p, &handle.head, &mount, flags[i]);
		printf("handle %s %d %s", p, flags[i], why(done));
		for (unsigned j = 0; done == 0 && j < handle.head.handle_bytes; j++)
			printf("%02x", handle.head.f_handle[j]);
		handle.head.handle_bytes = MAX_HANDLE_SZ;
		done = name_to_handle_at(w, *p ? "file" : p, &handle.head, &mount, flags[i]);
		printf(" below %s", why(done));
		handle.head.handle_bytes = MAX_HANDLE_SZ;
		done = syscall(SYS_name_to_handle_at, AT_FDCWD, p, &handle.head, &mount, flags[i]);
		printf(" by number %s\n", why(done));
	}
}

static void marks(void) {
	int fan = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK, O_RDONLY), w = open("w", O_RDONLY);
	printf("fanotify %s\n", why(fan));
	EACH(p) {
		printf("mark %s %s", p, why(fanotify_mark(fan, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, p)));
		printf(" link %s", why(fanotify_mark(fan, FAN_MARK_ADD | FAN_MARK_DONT_FOLLOW, FAN_OPEN, AT_FDCWD, p)));
		printf(" directory %s\n", why(fanotify_mark(fan, FAN_MARK_ADD | FAN_MARK_ONLYDIR, FAN_OPEN, AT_FDCWD, p)));
	}
	printf("descriptor %s\n", why(fanotify_mark(fan, FAN_MARK_ADD, FAN_OPEN, w, NULL)));
	char buf[4096];
	close(open("r/file", O_RDONLY));
	printf("told %d\n", fan >= 0 && read(fan, buf, sizeof buf) > 0);
	close(fan);
}

static void tables(void) {
	FILE *table = setmntent("w/mtab", "r");
	struct mntent *entry = table ? getmntent(table) : NULL;
	printf("setmntent %s %s\n", why(table ? 0 : -1), entry ? entry->mnt_dir : "");
	if (table) {
		printf("cloexec %d\n", fcntl(fileno(table), F_GETFD));
		endmntent(table);
	}
	printf("setmntent %s\n", why(setmntent("r/none", "r") ? 0 : -1));
	printf("setmntent %s\n", why(setmntent("r/new", "w") ? 0 : -1));
	table = setmntent("w/new-mtab", "a");
	struct mntent mine = {"device", "place", "type", "rw", 0, 0};
	printf("addmntent %d\n", table ? addmntent(table, &mine) : -1);
	if (table)
		endmntent(table);
}

static void spellings(void) {
	struct statfs sf;
	char text[64] = "";
	EACH(p) {
		FILE *file = _IO_fopen(p, "r");
		printf("%s %s", p, why(file ? 0 : -1));
		printf(" %s %s\n", file && fgets(text, sizeof text, file) ? text : "", why(__statfs(p, &sf)));
	}
	FILE *pipe = _IO_popen("cat r/file", "r");
	printf("%s", pipe && fgets(text, sizeof text, pipe) ? text : "nothing\n");
	printf("%d\n", pipe ? pclose(pipe) : -1);
	/* Directories with mount points in them. */
	char buf[4096], names[4096] = "";
	const char *dirs[] = {".", "etc", "w", "w/sub"};
	for (int i = 0; i < 4; i++) {
		off_t base = -1;
		int fd = open(dirs[i], O_RDONLY | O_DIRECTORY), count = 0;
		for (ssize_t len; (len = getdirentries(fd, buf, sizeof buf, &base)) > 0;)
			for (ssize_t at = 0; at < len; at += ((struct dirent *)(buf + at))->d_reclen)
				count++;
		printf("%s has %d from %d\n", dirs[i], count, base >= 0);
	}
}

static void several(const char *top) {
	struct sockaddr_un names[3] = {{AF_UNIX}, {AF_UNIX}, {AF_UNIX, "w/none"}}, from[3];
	sprintf(names[0].sun_path, "%s/w/a", top);
	sprintf(names[1].sun_path, "%s/w/b", top);
	int a = socket(AF_UNIX, SOCK_DGRAM, 0), b = socket(AF_UNIX, SOCK_DGRAM, 0);
	printf("bind %s", why(bind(a, (void *)&names[0], sizeof *names)));
	printf(" %s\n", why(bind(b, (void *)&names[1], sizeof *names)));
	struct iovec text[3] = {{"one", 3}, {"three", 5}, {"none", 4}};
	struct mmsghdr out[3] = {0}, in[3] = {0};
	for (int i = 0; i < 3; i++)
		out[i].msg_hdr = (struct msghdr){&names[i], sizeof *names, &text[i], 1};
	int sent = sendmmsg(a, out, 3, 0);
	printf("sent %d %u %u %u\n", sent, out[0].msg_len, out[1].msg_len, out[2].msg_len);
	sent = sendmmsg(a, out + 2, 1, 0);
	printf("sent %d %s\n", sent, why(sent));
	printf("sent %d %s\n", sendmmsg(a, out, 0, 0), why(sendmmsg(a, NULL, 1, 0)));
	char room[3][16] = {0};
	struct iovec into[3] = {{room[0], 15}, {room[1], 15}, {room[2], 15}};
	sendmmsg(a, out + 1, 1, 0);
	for (int i = 0; i < 3; i++)
		in[i].msg_hdr = (struct msghdr){i == 1 ? NULL : &from[i], sizeof *from, &into[i], 1};
	int got = recvmmsg(b, in, 3, MSG_DONTWAIT, NULL);
	printf("got %d %u %s from %s %u, %s\n", got, in[0].msg_len, room[0], from[0].sun_path, in[0].msg_hdr.msg_namelen, room[1]);
	got = recvmmsg(b, in, 3, MSG_DONTWAIT, NULL);
	printf("got %d %s\n", got, why(got));
	printf("connect %s\n", why(__connect(a, (void *)&names[1], sizeof *names)));
}

static void daemons(void) {
	int ends[2];
	char text[256] = "";
	for (int stays = 0; stays < 2; stays++) {
		fflush(stdout);
		pipe(ends);
		pid_t pid = fork();
		if (pid == 0) {
			chdir("w");
			daemon(stays, 0);
			FILE *out = fdopen(ends[1], "w");
			struct stat st;
			char here[4096];
			fprintf(out, "in %s file %d root %d\n", getcwd(here, sizeof here), access("file", F_OK), access("etc/passwd", F_OK));
			fclose(out);
			_exit(0);
		}
		close(ends[1]);
		int len = 0, more;
		while ((more = read(ends[0], text + len, sizeof text - 1 - len)) > 0)
			len += more;
		text[len] = 0;
		printf("daemon %s", text);
		waitpid(pid, NULL, 0);
	}
}

int main(int argc, char **argv) {
	if (argc < 2 || chdir(argv[1]) < 0)
		return 64;
	keys();
	handles();
	marks();
	tables();
	spellings();
	several(argv[1]);
	daemons();
	return 0;
}
