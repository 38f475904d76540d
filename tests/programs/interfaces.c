/* Names network interfaces in every way that there is; the one that is asked for is the first argument. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void by_libc(const char *name)
{
	char back[IF_NAMESIZE] = "";
	unsigned index = if_nametoindex(name);
	printf("if_nametoindex: %d\n", index != 0);
	printf("if_indextoname: %s\n", if_indextoname(index, back) ? back : "?");
	struct if_nameindex *all = if_nameindex();
	for (struct if_nameindex *i = all; i && i->if_name; i++)
		printf("if_nameindex: %s %d\n", i->if_name, if_nametoindex(i->if_name) == i->if_index);
	if_freenameindex(all);
	struct ifaddrs *list;
	getifaddrs(&list);
	for (struct ifaddrs *i = list; i; i = i->ifa_next)
		printf("getifaddrs: %s %d\n", i->ifa_name, i->ifa_addr ? i->ifa_addr->sa_family : 0);
	freeifaddrs(list);
}

static void by_ioctl(const char *name)
{
	int s = socket(AF_INET, SOCK_DGRAM, 0);
	static const struct { unsigned long number; const char *name; } requests[] = {
		{ SIOCGIFINDEX, "SIOCGIFINDEX" }, { SIOCGIFFLAGS, "SIOCGIFFLAGS" }, { SIOCGIFMTU, "SIOCGIFMTU" },
		{ SIOCGIFADDR, "SIOCGIFADDR" }, { SIOCGIFNETMASK, "SIOCGIFNETMASK" }, { SIOCGIFHWADDR, "SIOCGIFHWADDR" },
		{ SIOCGIFTXQLEN, "SIOCGIFTXQLEN" }, { SIOCGIFMAP, "SIOCGIFMAP" },
	};
	for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
		struct ifreq request = { 0 };
		strcpy(request.ifr_name, name);
		int done = ioctl(s, requests[i].number, &request);
		printf("%s: %s %d %d ", requests[i].name, request.ifr_name, done, done ? errno : 0);
		for (size_t at = 0; at < 16; at++)
			printf("%02x", ((unsigned char *)&request.ifr_ifru)[at]);
		printf("\n");
	}
	struct ifreq request = { .ifr_ifindex = if_nametoindex(name) };
	printf("SIOCGIFNAME: %d", syscall(SYS_ioctl, s, SIOCGIFNAME, &request) ? errno : 0);
	printf(" %s\n", request.ifr_name);
	struct ifreq all[16];
	struct ifconf list = { sizeof all, { (char *)all } };
	printf("SIOCGIFCONF: %d\n", ioctl(s, SIOCGIFCONF, &list));
	for (int i = 0; i < list.ifc_len / (int)sizeof *all; i++)
		printf("SIOCGIFCONF: %s\n", all[i].ifr_name);
	close(s);
}

static void show(struct nlmsghdr *m)
{
	int link = m->nlmsg_type == RTM_NEWLINK;
	int len = link ? IFLA_PAYLOAD(m) : IFA_PAYLOAD(m);
	struct rtattr *a = link ? IFLA_RTA(NLMSG_DATA(m)) : IFA_RTA(NLMSG_DATA(m));
	int count = 0;
	for (; RTA_OK(a, len); a = RTA_NEXT(a, len), count++)
		if (a->rta_type == (link ? IFLA_IFNAME : IFA_LABEL))
			printf("%s: %.*s|\n", link ? "link" : "label", (int)RTA_PAYLOAD(a) - 1, (char *)RTA_DATA(a));
	printf("%s: %d attributes, %d left\n", link ? "link" : "label", count, len);
}

/* By one call and the other; `name` asks for one alone. */
static void by_netlink(int by_message, int type, const char *name)
{
	static char room[32768] __attribute__((aligned(8)));
	int s = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), ends = 0;
	struct { struct nlmsghdr head; struct ifinfomsg info; char more[64]; } ask =
		{ { NLMSG_LENGTH(sizeof(struct ifinfomsg)), type, NLM_F_REQUEST | (name ? 0 : NLM_F_DUMP), 1 } };
	if (name) {
		struct rtattr *a = (void *)ask.more;
		a->rta_type = IFLA_IFNAME;
		a->rta_len = RTA_LENGTH(strlen(name) + 1);
		strcpy(RTA_DATA(a), name);
		ask.head.nlmsg_len += RTA_ALIGN(a->rta_len);
	}
	struct iovec part = { &ask, ask.head.nlmsg_len };
	struct sockaddr_nl kernel = { AF_NETLINK };
	struct msghdr message = { &kernel, sizeof kernel, &part, 1 };
	ssize_t sent = by_message ? sendmsg(s, &message, 0)
	                          : sendto(s, &ask, part.iov_len, 0, (struct sockaddr *)&kernel, sizeof kernel);
	printf("sent: %d\n", sent == (ssize_t)part.iov_len);
	while (!ends) {
		part = (struct iovec) { room, sizeof room };
		ssize_t got = by_message ? recvmsg(s, &message, 0)
		                         : recvfrom(s, room, sizeof room, 0, NULL, NULL);
		if (got <= 0)
			break;
		int len = got;
		for (struct nlmsghdr *m = (void *)room; NLMSG_OK(m, len); m = NLMSG_NEXT(m, len)) {
			ends |= name != NULL || m->nlmsg_type == NLMSG_DONE || m->nlmsg_type == NLMSG_ERROR;
			if (m->nlmsg_type == NLMSG_ERROR)
				printf("error: %d\n", ((struct nlmsgerr *)NLMSG_DATA(m))->error);
			else if (m->nlmsg_type == RTM_NEWLINK || m->nlmsg_type == RTM_NEWADDR)
				show(m);
		}
	}
	close(s);
}

static int by_name(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

static void list(const char *path)
{
	struct dirent **all;
	int count = scandir(path, &all, NULL, by_name);
	printf("%s:", path);
	for (int i = 0; i < count; i++)
		printf(" %s", all[i]->d_name);
	printf("\n");
}

static void by_files(const char *name)
{
	char path[128], text[512];
	struct stat about;
	list("/sys/class/net");
	list("/proc/sys/net/ipv4/conf");
	list("/proc/sys/net/ipv6/neigh");
	snprintf(path, sizeof path, "/sys/class/net/%s", name);
	ssize_t len = readlink(path, text, sizeof text);
	printf("link: %.*s %d\n", (int)len, text, !lstat(path, &about) && S_ISLNK(about.st_mode));
	printf("directory: %d\n", !stat(path, &about) && S_ISDIR(about.st_mode));
	list(path);
	static const char *files[] = { "address", "uevent", "mtu", "statistics/../operstate" };
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		snprintf(path, sizeof path, "/sys/class/net/%s/%s", name, files[i]);
		FILE *file = fopen(path, "r");
		while (file && fgets(text, sizeof text, file))
			if (strncmp(text, "IFINDEX", 7))
				printf("%s: %s", path, text);
		printf("%s: %s\n", path, file && !fclose(file) ? "read" : strerror(errno));
	}
	snprintf(path, sizeof path, "/sys/class/net/%s/device/net", name);
	list(path);
	printf("canonical: %s\n", realpath(path, text) ? text : "none");
	snprintf(path, sizeof path, "/proc/sys/net/ipv4/conf/%s/forwarding", name);
	printf("%s: %d\n", path, access(path, R_OK));
	static const char *tables[] = { "/proc/net/dev", "/proc/net/route", "/proc/self/net/if_inet6", "/proc/net/igmp",
		"/proc/net/ipv6_route", "/proc/net/dev_mcast" };
	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
		FILE *file = fopen(tables[i], "r");
		while (file && fgets(text, sizeof text, file)) {
			/* What has been sent and received goes on. */
			char *end = i == 0 ? strchr(text, ':') : NULL;
			printf("%s: %.*s\n", tables[i], end ? (int)(end - text) : (int)strcspn(text, "\n"), text);
		}
		if (file)
			fclose(file);
	}
}

int main(int argc, char **argv)
{
	by_libc(argv[1]);
	by_ioctl(argv[1]);
	for (int by_message = 0; by_message < 2; by_message++) {
		by_netlink(by_message, RTM_GETLINK, NULL);
		by_netlink(by_message, RTM_GETADDR, NULL);
		by_netlink(by_message, RTM_GETLINK, argv[1]);
	}
	by_files(argv[1]);
	/* What nobody is called. */
	if (argc > 2) {
		by_ioctl(argv[2]);
		by_netlink(0, RTM_GETLINK, argv[2]);
		by_netlink(1, RTM_GETLINK, argv[2]);
		unsigned index = if_nametoindex(argv[2]);
		printf("nobody: %u %d\n", index, errno);
		char path[64];
		snprintf(path, sizeof path, "/sys/class/net/%s", argv[2]);
		int there = access(path, F_OK);
		printf("nobody: %d %d\n", there, errno);
	}
	return 0;
}
