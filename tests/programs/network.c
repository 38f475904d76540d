/* Binds, connects, sends and receives at addresses that another machine had, and
 * prints whatever it is told of them. "named FD" prints the name of a socket that it was
 * started with. Ports that the kernel chooses are told as "some port". */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

typedef union {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_storage all;
} address;

static const int ports[] = {80, 81, 82, 83, 53, 8081, 5000, 5005, 5009, 9000};

static const char *shown(const address *a, socklen_t len) {
	static char text[4][128];
	static int turn;
	char *to = text[turn++ % 4], host[64];
	int port = ntohs(a->v4.sin_port), known = port == 0;
	for (size_t i = 0; i < sizeof ports / sizeof *ports; i++) known |= port == ports[i];
	if (a->any.sa_family == AF_INET)
		inet_ntop(AF_INET, &a->v4.sin_addr, host, sizeof host);
	else if (a->any.sa_family == AF_INET6)
		inet_ntop(AF_INET6, &a->v6.sin6_addr, host, sizeof host);
	else
		snprintf(host, sizeof host, "family %d", a->any.sa_family);
	if (known)
		sprintf(to, "%s port %d (%d)", host, port, (int)len);
	else
		sprintf(to, "%s some port (%d)", host, (int)len);
	return to;
}

static socklen_t make(address *a, const char *host, int port) {
	memset(a, 0, sizeof *a);
	int v6 = strchr(host, ':') != NULL;
	a->any.sa_family = v6 ? AF_INET6 : AF_INET;
	inet_pton(a->any.sa_family, host, v6 ? (void *)&a->v6.sin6_addr : (void *)&a->v4.sin_addr);
	a->v4.sin_port = htons(port);
	return v6 ? sizeof a->v6 : sizeof a->v4;
}

static int said(const char *what, int done) {
	int error = errno;
	if (done < 0)
		printf("%s: %s\n", what, strerror(error));
	else
		printf("%s: ok\n", what);
	return done;
}

static void name(const char *what, int fd, int (*call)(int, struct sockaddr *, socklen_t *)) {
	address a;
	socklen_t len = sizeof a;
	if (call(fd, &a.any, &len) < 0)
		printf("%s: %s\n", what, strerror(errno));
	else
		printf("%s: %s\n", what, shown(&a, len));
}

static int fresh(const char *host, int kind) {
	int fd = socket(strchr(host, ':') ? AF_INET6 : AF_INET, kind, 0), one = 1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	return fd;
}

static int bound(const char *host, int port, int kind) {
	address a;
	char what[100];
	int fd = fresh(host, kind);
	socklen_t len = make(&a, host, port);
	sprintf(what, "bind %s port %d", host, port);
	said(what, bind(fd, &a.any, len));
	name("  its name", fd, getsockname);
	return fd;
}

static int listening(const char *host, int port) {
	int fd = bound(host, port, SOCK_STREAM);
	said("  listen", listen(fd, 5));
	name("  its name then", fd, getsockname);
	return fd;
}

/* What getsockopt says of the peer, which gives no more of it than there is. */
static int by_option(int fd, struct sockaddr *to, socklen_t *len) {
	address a;
	socklen_t whole = sizeof a, more = sizeof a;
	if (getpeername(fd, &a.any, &whole) < 0) return -1;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERNAME, &a, &more) == 0) return errno = 0, -1;
	*len = whole;
	return getsockopt(fd, SOL_SOCKET, SO_PEERNAME, to, len);
}

/* Connects, and shows both ends. */
static void meet(int server, const char *host, int port, int flags) {
	address a;
	char what[100], data[8] = "";
	int fd = fresh(host, SOCK_STREAM | flags), error = -1;
	socklen_t len = make(&a, host, port), size = sizeof error;
	sprintf(what, "connect %s port %d", host, port);
	int done = connect(fd, &a.any, len);
	if (done < 0 && errno == EINPROGRESS) {
		struct pollfd one = {fd, POLLOUT, 0};
		poll(&one, 1, 5000);
		done = getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 ? -1 : error ? (errno = error, -1) : 0;
	}
	if (said(what, done) < 0) {
		close(fd);
		return;
	}
	name("  the peer", fd, getpeername);
	name("  the peer by option", fd, by_option);
	int twin = dup(fd);
	name("  the peer of a duplicate", twin, getpeername);
	close(twin);
	len = sizeof a;
	int other = accept4(server, &a.any, &len, SOCK_CLOEXEC);
	if (other < 0) {
		printf("  accept4: %s\n", strerror(errno));
		exit(1);
	}
	int is_loopback = a.any.sa_family == AF_INET && a.v4.sin_addr.s_addr == htonl(INADDR_LOOPBACK);
	/* Who connects to another address than 127.0.0.1 has that address natively. */
	printf("  accept4: family %d, %d%s\n", a.any.sa_family, (int)len, strcmp(host, "127.0.0.1") || is_loopback ? "" : ", not loopback");
	if (strcmp(host, "::1")) name("  the name of the other end", other, getsockname);
	write(other, "hello", 5);
	read(fd, data, sizeof data - 1);
	printf("  it says %s\n", data);
	close(other);
	close(fd);
}

static void datagrams(const char *host, int port) {
	address to, from;
	char data[32] = "";
	int server = bound(host, port, SOCK_DGRAM), client = fresh(host, SOCK_DGRAM);
	socklen_t len = make(&to, host, port), got = sizeof from;
	said("  sendto", sendto(client, "1", 1, 0, &to.any, len));
	ssize_t size = recvfrom(server, data, sizeof data, 0, &from.any, &got);
	printf("  recvfrom: %zd %c family %d\n", size, data[0], from.any.sa_family);
	said("  sendto back", sendto(server, "2", 1, 0, &from.any, got));
	struct iovec part = {data, sizeof data};
	struct msghdr message = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &part, .msg_iovlen = 1};
	size = recvmsg(client, &message, 0);
	printf("  recvmsg: %zd %c from %s\n", size, data[0], shown(&from, message.msg_namelen));
	struct iovec out[2] = {{"3", 1}, {"4", 1}};
	struct mmsghdr several[2] = {
		{.msg_hdr = {.msg_name = &to, .msg_namelen = len, .msg_iov = &out[0], .msg_iovlen = 1}},
		{.msg_hdr = {.msg_name = &to, .msg_namelen = len, .msg_iov = &out[1], .msg_iovlen = 1}},
	};
	printf("  sendmmsg: %d\n", sendmmsg(client, several, 2, 0));
	printf("  their lengths: %u %u\n", several[0].msg_len, several[1].msg_len);
	for (int i = 0; i < 2; i++) {
		got = sizeof from;
		recvfrom(server, data, sizeof data, 0, &from.any, &got);
		sendto(server, data, 1, 0, &from.any, got);
	}
	address names[2];
	char into[2][8];
	struct iovec in[2] = {{into[0], 8}, {into[1], 8}};
	struct mmsghdr both[2] = {
		{.msg_hdr = {.msg_name = &names[0], .msg_namelen = sizeof names[0], .msg_iov = &in[0], .msg_iovlen = 1}},
		{.msg_hdr = {.msg_name = &names[1], .msg_namelen = sizeof names[1], .msg_iov = &in[1], .msg_iovlen = 1}},
	};
	int count = recvmmsg(client, both, 2, 0, NULL);
	for (int i = 0; i < count; i++)
		printf("  recvmmsg: %c from %s\n", into[i][0], shown(&names[i], both[i].msg_hdr.msg_namelen));
	message.msg_name = &to;
	message.msg_namelen = len;
	part.iov_len = 1;
	data[0] = '5';
	said("  sendmsg", sendmsg(client, &message, 0));
	recv(server, data, sizeof data, 0);
	printf("  recv: %c\n", data[0]);
	name("  the peer of one that is not connected", client, getpeername);
	said("  connect", connect(client, &to.any, len));
	name("  the peer", client, getpeername);
	said("  send", send(client, "6", 1, 0));
	got = sizeof from;
	recvfrom(server, data, sizeof data, 0, &from.any, &got);
	sendto(server, "7", 1, 0, &from.any, got);
	got = sizeof from;
	recvfrom(client, data, sizeof data, 0, &from.any, &got);
	printf("  recvfrom: %c from %s\n", data[0], shown(&from, got));
	struct sockaddr none = {AF_UNSPEC};
	said("  disconnect", connect(client, &none, sizeof none));
	name("  the peer after that", client, getpeername);
	close(server);
	close(client);
}

/* Answers from the address that it is asked at. */
static void informed(const char *host, int port) {
	int v6 = strchr(host, ':') != NULL, one = 1;
	int level = v6 ? IPPROTO_IPV6 : IPPROTO_IP, kind = v6 ? IPV6_PKTINFO : IP_PKTINFO;
	address to, from;
	char data[8], room[128], text[64];
	int server = bound(host, port, SOCK_DGRAM), client = fresh(host, SOCK_DGRAM);
	setsockopt(server, level, v6 ? IPV6_RECVPKTINFO : IP_PKTINFO, &one, sizeof one);
	socklen_t len = make(&to, host, port);
	for (int round = 0; round < 2; round++) {
		sendto(client, "1", 1, 0, &to.any, len);
		struct iovec part = {data, sizeof data};
		struct msghdr message = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
		recvmsg(server, &message, 0);
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);
		if (!header || header->cmsg_level != level || header->cmsg_type != kind) {
			printf("  no address with a datagram\n");
			return;
		}
		void *where = CMSG_DATA(header);
		inet_ntop(v6 ? AF_INET6 : AF_INET, v6 ? (void *)&((struct in6_pktinfo *)where)->ipi6_addr : (void *)&((struct in_pktinfo *)where)->ipi_addr, text, sizeof text);
		printf("  asked at %s", text);
		if (!v6) {
			inet_ntop(AF_INET, &((struct in_pktinfo *)where)->ipi_spec_dst, text, sizeof text);
			printf(", by %s", text);
		}
		printf("\n");
		part.iov_len = 1;
		struct mmsghdr several = {.msg_hdr = message};
		ssize_t sent = round ? sendmmsg(server, &several, 1, 0) : sendmsg(server, &message, 0);
		printf("  answered: %zd %s\n", sent, sent < 0 ? strerror(errno) : "");
		struct msghdr back = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &part, .msg_iovlen = 1};
		recvmsg(client, &back, 0);
		printf("  by %s\n", shown(&from, back.msg_namelen));
	}
	close(server);
	close(client);
}

/* Sockets of one device, of one family of two, and a connection with its first bytes. */
static void particular(void) {
	address a;
	char data[8] = "";
	int one = 1, server = fresh("10.1.2.9", SOCK_STREAM);
	socklen_t len = make(&a, "10.1.2.9", 8081);
	said("SO_BINDTODEVICE", setsockopt(server, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
	said("  bind", bind(server, &a.any, len));
	said("  listen", listen(server, 5));
	int client = fresh("10.1.2.9", SOCK_STREAM);
	said("  of the client", setsockopt(client, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
	said("  connect", connect(client, &a.any, len));
	name("  the peer", client, getpeername);
	close(client);
	close(accept(server, NULL, NULL));
	client = fresh("10.1.2.9", SOCK_STREAM);
	said("MSG_FASTOPEN", sendto(client, "first", 5, MSG_FASTOPEN, &a.any, len));
	name("  the peer", client, getpeername);
	int other = accept(server, NULL, NULL);
	read(other, data, 5);
	printf("  it says %s\n", data);
	name("  the name of the other end", other, getsockname);
	close(other);
	close(client);
	close(server);

	int v4 = bound("0.0.0.0", 83, SOCK_STREAM), v6 = fresh("::", SOCK_STREAM);
	said("IPV6_V6ONLY", setsockopt(v6, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one));
	said("  bind", bind(v6, &a.any, make(&a, "::", 83)));
	name("  its name", v6, getsockname);
	said("  listen", listen(v6, 5));
	said("  listen in four", listen(v4, 5));
	meet(v4, "127.0.0.1", 83, 0);
	meet(v6, "::1", 83, 0);
	close(v4);
	close(v6);
}

/* What comes back where nobody is. */
static void returned(const char *host, int port) {
	int v6 = strchr(host, ':') != NULL, one = 1;
	address to, from;
	char data[8], room[512];
	int client = fresh(host, SOCK_DGRAM);
	setsockopt(client, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_RECVERR : IP_RECVERR, &one, sizeof one);
	socklen_t len = make(&to, host, port);
	sendto(client, "1", 1, 0, &to.any, len);
	struct pollfd wait = {client, 0, 0};
	poll(&wait, 1, 2000);
	struct iovec part = {data, sizeof data};
	struct msghdr message = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
	ssize_t size = recvmsg(client, &message, MSG_ERRQUEUE);
	printf("returned by nobody: %zd, sent to %s\n", size, size < 0 ? strerror(errno) : shown(&from, message.msg_namelen));
	close(client);
}

/* Has another process print the name of a socket, which it gets by a message. */
static void pass(int fd) {
	int pair[2];
	char room[CMSG_SPACE(sizeof(int))], byte = 'x';
	struct iovec part = {&byte, 1};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
	socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		close(fd);
		recvmsg(pair[1], &message, 0);
		int got;
		memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof got);
		name("  its name where it was passed to", got, getsockname);
		fflush(stdout);
		_exit(0);
	}
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(header), &fd, sizeof fd);
	sendmsg(pair[0], &message, 0);
	waitpid(child, NULL, 0);
	close(pair[0]);
	close(pair[1]);
}

static void table(const char *file, const char *row) {
	char line[512];
	FILE *in = fopen(file, "r");
	int found = 0;
	while (in && fgets(line, sizeof line, in)) found += strstr(line, row) != NULL;
	if (in) fclose(in);
	printf("%s: %s is %s\n", file, row, found ? "there" : "missing");
}

int main(int count, char **words) {
	address a;
	if (count == 3 && strcmp(words[1], "named") == 0) {
		name("  its name over exec", atoi(words[2]), getsockname);
		return 0;
	}
	alarm(30);
	int server = listening("0.0.0.0", 80);
	meet(server, "127.0.0.1", 80, 0);
	meet(server, "127.0.0.1", 80, SOCK_NONBLOCK);
	meet(server, "0.0.0.0", 80, 0);
	table("/proc/net/tcp", " 00000000:0050 00000000:0000 0A");
	pass(server);
	fflush(stdout);
	if (fork() == 0) {
		char number[16];
		sprintf(number, "%d", server);
		execl("/proc/self/exe", words[0], "named", number, NULL);
		_exit(127);
	}
	wait(NULL);
	int second = bound("0.0.0.0", 80, SOCK_STREAM);
	said("  listen on the same", listen(second, 5));
	close(second);
	said("bind again", bind(server, &a.any, make(&a, "0.0.0.0", 81)));
	close(server);
	int reused = bound("10.1.2.9", 8081, SOCK_DGRAM);
	printf("the same descriptor: %d\n", reused == server);
	close(reused);

	server = listening("10.1.2.9", 8081);
	meet(server, "10.1.2.9", 8081, 0);
	meet(server, "10.1.2.9", 8081, SOCK_NONBLOCK);
	meet(server, "::ffff:10.1.2.9", 8081, 0);
	table("/proc/net/tcp", " 0902010A:1F91 00000000:0000 0A");
	close(server);
	server = listening("10.2.3.4", 5005);
	meet(server, "10.2.3.4", 5005, 0);
	int other = bound("10.2.3.5", 5000, SOCK_STREAM);
	close(other);
	close(server);
	server = bound("10.1.2.9", 0, SOCK_STREAM);
	close(server);
	server = bound("127.0.0.1", 0, SOCK_STREAM);
	close(server);
	for (int i = 0; i < 2; i++) {
		int one = 1;
		int fd = fresh("0.0.0.0", SOCK_STREAM);
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
		socklen_t len = make(&a, "0.0.0.0", 82);
		said("bind with SO_REUSEPORT", bind(fd, &a.any, len));
		said("  listen", listen(fd, 5));
		name("  its name", fd, getsockname);
	}

	server = listening("fd00::1", 80);
	meet(server, "fd00::1", 80, 0);
	table("/proc/net/tcp6", " 000000FD000000000000000001000000:0050 00000000000000000000000000000000:0000 0A");
	close(server);
	server = listening("::", 81);
	meet(server, "127.0.0.1", 81, 0);
	meet(server, "::1", 81, 0);
	close(server);

	datagrams("10.1.2.9", 53);
	datagrams("fd00::1", 53);
	datagrams("127.0.0.1", 9000);
	returned("10.1.2.9", 53);
	returned("fd00::1", 53);
	returned("127.0.0.1", 9000);
	particular();
	informed("10.1.2.9", 53);
	informed("fd00::1", 53);
	informed("127.0.0.1", 9000);

	server = fresh("0.0.0.0", SOCK_STREAM);
	socklen_t len = make(&a, "10.1.2.9", 8081);
	said("a short address", bind(server, &a.any, 8));
	said("a long address", bind(server, &a.any, 200));
	said("no address", bind(server, NULL, len));
	said("a bad pointer", connect(server, (void *)8, len));
	a.any.sa_family = 77;
	said("another family", bind(server, &a.any, len));
	len = make(&a, "10.1.2.9", 8081);
	said("a short name", (len = 4, getsockname(server, &a.any, &len)));
	printf("  its length: %d\n", (int)len);
	name("the name of a pipe", 0, getsockname);
	said("of no descriptor", connect(777, &a.any, make(&a, "10.1.2.9", 8081)));
	said("refused by nobody there", connect(server, &a.any, make(&a, "10.1.2.9", 8081)));
	return 0;
}
