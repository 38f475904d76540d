/* Asks for users and groups in every way that libc has. The words are names. */
#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <shadow.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <gshadow.h>
#endif

static void user(const char *way, const struct passwd *p) {
	if (p)
		printf("%s: %s:%s:%u:%u:%s:%s:%s\n", way, p->pw_name, p->pw_passwd, p->pw_uid, p->pw_gid, p->pw_gecos, p->pw_dir, p->pw_shell);
	else
		printf("%s: none\n", way);
}

static void members(char **list) {
	for (; *list; list++)
		printf(" %s", *list);
	printf("\n");
}

static void group(const char *way, const struct group *g) {
	if (!g) {
		printf("%s: none\n", way);
		return;
	}
	printf("%s: %s:%s:%u", way, g->gr_name, g->gr_passwd, g->gr_gid);
	members(g->gr_mem);
}

static void shadow(const char *way, const struct spwd *s) {
	if (s)
		printf("%s: %s:%s:%ld:%ld:%ld:%ld:%ld:%ld:%lx\n", way, s->sp_namp, s->sp_pwdp, s->sp_lstchg, s->sp_min, s->sp_max, s->sp_warn, s->sp_inact, s->sp_expire, s->sp_flag);
	else
		printf("%s: none\n", way);
}

static void one_name(const char *name) {
	char buf[4096];
	struct passwd p, *found;
	struct group g, *in;
	struct spwd s, *secret;
	printf("== %s\n", name);
	user("getpwnam", getpwnam(name));
	printf("%d ", getpwnam_r(name, &p, buf, sizeof buf, &found));
	user("getpwnam_r", found);
	group("getgrnam", getgrnam(name));
	printf("%d ", getgrnam_r(name, &g, buf, sizeof buf, &in));
	group("getgrnam_r", in);
	shadow("getspnam", getspnam(name));
	printf("%d ", getspnam_r(name, &s, buf, sizeof buf, &secret));
	shadow("getspnam_r", secret);
	/* The least room that will do. */
	for (size_t size = 0; size < sizeof buf; size++)
		if (getpwnam_r(name, &p, buf, size, &found) != ERANGE) {
			printf("enough: %s\n", found ? found->pw_shell : "none");
			break;
		} else if (found)
			printf("too little, and found\n");
	for (size_t size = 0; size < sizeof buf; size++)
		if (getgrnam_r(name, &g, buf, size, &in) != ERANGE) {
			printf("enough: %s\n", in ? in->gr_name : "none");
			break;
		} else if (in)
			printf("too little, and found\n");
	for (int room = 0; room < 5; room++) {
		gid_t groups[8] = {0};
		int count = room, answer = getgrouplist(name, 77, groups, &count);
		printf("getgrouplist %d: %d %d:", room, answer, count);
		for (int i = 0; i < count && i < room; i++)
			printf(" %u", groups[i]);
		printf("\n");
	}
	if (!geteuid() && !initgroups(name, 77)) {
		gid_t groups[64];
		int count = getgroups(64, groups);
		printf("initgroups:");
		for (int i = 0; i < count; i++)
			printf(" %u", groups[i]);
		printf("\n");
	}
}

static void one_number(unsigned id) {
	char buf[4096];
	struct passwd p, *found;
	struct group g, *in;
	printf("== %u\n", id);
	user("getpwuid", getpwuid(id));
	printf("%d ", getpwuid_r(id, &p, buf, sizeof buf, &found));
	user("getpwuid_r", found);
	group("getgrgid", getgrgid(id));
	printf("%d ", getgrgid_r(id, &g, buf, sizeof buf, &in));
	group("getgrgid_r", in);
}

static void all(void) {
	struct passwd *p;
	struct group *g;
	struct spwd *s;
	for (int twice = 0; twice < 2; twice++) {
		while ((p = getpwent()))
			user("getpwent", p);
		while ((g = getgrent()))
			group("getgrent", g);
		while ((s = getspent()))
			shadow("getspent", s);
		setpwent();
		setgrent();
		setspent();
	}
	user("one", getpwent());
	/* Looking for one does not disturb the walk. */
	getpwnam("root");
	user("two", getpwent());
	endpwent();
	user("one again", getpwent());
	endpwent();
	endgrent();
	endspent();
#ifdef __GLIBC__
	char buf[4096];
	struct passwd in, *found;
	int answer;
	while (!(answer = getpwent_r(&in, buf, sizeof buf, &found)))
		user("getpwent_r", found);
	printf("end %d %d\n", answer, found != NULL);
	setpwent();
	printf("too little %d\n", getpwent_r(&in, buf, 3, &found));
	printf("then %d\n", getpwent_r(&in, buf, sizeof buf, &found));
	user("then", found);
	struct sgrp *sg = getsgnam("dba");
	if (sg) {
		printf("getsgnam: %s:%s:", sg->sg_namp, sg->sg_passwd);
		members(sg->sg_adm);
		members(sg->sg_mem);
	} else
		printf("getsgnam: none\n");
	while ((sg = getsgent()))
		printf("getsgent: %s\n", sg->sg_namp);
	endsgent();
#endif
	char own[L_cuserid];
	char *name = cuserid(own);
	printf("cuserid: %s %s\n", name ? name : "none", own);
}

int main(int argc, char **argv) {
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 1; i < argc; i++)
		if (argv[i][0] >= '0' && argv[i][0] <= '9')
			one_number(strtoul(argv[i], NULL, 10));
		else
			one_name(argv[i]);
	all();
	return 0;
}
