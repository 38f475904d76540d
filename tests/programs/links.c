/* Asks for the address of a network interface in every way that there is. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/ethtool.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static void show(const char *way, const char *name, const unsigned char *a) {
	printf("%s: %s %02x:%02x:%02x:%02x:%02x:%02x\n", way, name, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static void by_ioctl(const char *name) {
	int s = socket(AF_INET, SOCK_DGRAM, 0);
	struct ifreq request = {0};
	strcpy(request.ifr_name, name);
	if (!ioctl(s, SIOCGIFHWADDR, &request))
		show("SIOCGIFHWADDR", name, (unsigned char *)request.ifr_hwaddr.sa_data);
	memset(&request.ifr_hwaddr, 0, sizeof request.ifr_hwaddr);
	if (!syscall(SYS_ioctl, s, SIOCGIFHWADDR, &request))
		show("syscall", name, (unsigned char *)request.ifr_hwaddr.sa_data);
	union {
		struct ethtool_perm_addr head;
		unsigned char room[64];
	} made = {.head = {.cmd = ETHTOOL_GPERMADDR, .size = 32}};
	request.ifr_data = (char *)&made;
	if (!ioctl(s, SIOCETHTOOL, &request) && made.head.size == 6)
		show("ETHTOOL_GPERMADDR", name, made.head.data);
	printf("null: %d", ioctl(s, SIOCGIFHWADDR, NULL));
	printf(" %d\n", errno);
	strcpy(request.ifr_name, "none7");
	printf("none: %d", ioctl(s, SIOCGIFHWADDR, &request));
	printf(" %d\n", errno);
	printf("no socket: %d", ioctl(-1, SIOCGIFHWADDR, &request));
	printf(" %d\n", errno);
	close(s);
}

static void link_of(const char *way, struct nlmsghdr *m) {
	struct ifinfomsg *info = NLMSG_DATA(m);
	int len = IFLA_PAYLOAD(m);
	const char *name = "?";
	for (struct rtattr *a = IFLA_RTA(info); RTA_OK(a, len); a = RTA_NEXT(a, len))
		if (a->rta_type == IFLA_IFNAME)
			name = RTA_DATA(a);
	len = IFLA_PAYLOAD(m);
	for (struct rtattr *a = IFLA_RTA(info); RTA_OK(a, len); a = RTA_NEXT(a, len))
		if ((a->rta_type == IFLA_ADDRESS || a->rta_type == IFLA_PERM_ADDRESS) && RTA_PAYLOAD(a) == 6) {
			char text[80];
			snprintf(text, sizeof text, "%s %d", way, a->rta_type);
			show(text, name, RTA_DATA(a));
		}
}

static ssize_t take(int how, int s, char *room, size_t size) {
	struct sockaddr_nl from;
	socklen_t len = sizeof from;
	struct iovec part = {room, size};
	struct msghdr message = {&from, sizeof from, &part, 1};
	struct mmsghdr several = {message};
	switch (how) {
	case 0: return recvfrom(s, room, size, 0, (struct sockaddr *)&from, &len);
	case 1: return recvmsg(s, &message, 0);
	case 2: return recvmmsg(s, &several, 1, 0, NULL) == 1 ? several.msg_len : -1;
	case 3: return recvmsg(s, &(struct msghdr){.msg_iov = &part, .msg_iovlen = 1}, 0);
	case 4: return syscall(SYS_recvfrom, s, room, size, 0, NULL, NULL);
	default: return recv(s, room, size, 0);
	}
}

static void by_netlink(int how) {
	static const char *ways[] = {"recvfrom", "recvmsg", "recvmmsg", "recvmsg without an address", "recvfrom without one", "recv"};
	static char room[32768] __attribute__((aligned(8)));
	int s = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), ends = 0;
	struct {
		struct nlmsghdr head;
		struct ifinfomsg info;
	} ask = {{sizeof ask, RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 1}};
	send(s, &ask, sizeof ask, 0);
	while (!ends) {
		ssize_t got = take(how, s, room, sizeof room);
		if (got <= 0)
			break;
		int len = got;
		for (struct nlmsghdr *m = (void *)room; NLMSG_OK(m, len); m = NLMSG_NEXT(m, len))
			if (m->nlmsg_type == NLMSG_DONE)
				ends = 1;
			else if (m->nlmsg_type == RTM_NEWLINK)
				link_of(ways[how], m);
	}
	close(s);
}

/* The same bytes on another kind of socket are nobody's address. */
static void by_pair(const char *name) {
	int ends[2];
	char text[64] = {0}, back[64] = {0};
	struct nlmsghdr *m = (void *)text;
	m->nlmsg_len = 60;
	m->nlmsg_type = RTM_NEWLINK;
	struct rtattr *a = (void *)(text + 32);
	a->rta_len = 20;
	a->rta_type = IFLA_IFNAME;
	strcpy(RTA_DATA(a), name);
	a = (void *)(text + 52);
	a->rta_len = 10;
	a->rta_type = IFLA_ADDRESS;
	socketpair(AF_UNIX, SOCK_DGRAM, 0, ends);
	send(ends[0], text, sizeof text, 0);
	recvfrom(ends[1], back, sizeof back, 0, NULL, NULL);
	printf("pair: %d\n", memcmp(text, back, sizeof text));
}

int main(int argc, char **argv) {
	setvbuf(stdout, NULL, _IOLBF, 0);
	by_ioctl(argv[1]);
	struct ifaddrs *list;
	getifaddrs(&list);
	for (struct ifaddrs *i = list; i; i = i->ifa_next)
		if (i->ifa_addr && i->ifa_addr->sa_family == AF_PACKET)
			show("getifaddrs", i->ifa_name, ((struct sockaddr_ll *)i->ifa_addr)->sll_addr);
	/* With a word more: all that only the gate sees. */
	for (int how = 0; how < (argc > 2 ? 6 : 5); how++)
		by_netlink(how);
	by_pair(argv[1]);
	char path[80], text[32];
	snprintf(path, sizeof path, "/sys/class/net/%s/address", argv[1]);
	int fd = open(path, O_RDONLY);
	ssize_t got = read(fd, text, sizeof text);
	printf("sys: %.*s", (int)got, text);
	return 0;
}
