/* Asks libc for all that it finds in files of names, one after another and by a key, and looks names up while it
 * goes on. Prints what it is told. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <locale.h>
#include <netdb.h>
#include <resolv.h>
#include <rpc/netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void list(char **names) {
	while (*names) printf(" %s", *names++);
	printf("\n");
}

static void service(const char *what, struct servent *s) {
	if (!s) { printf("%s: none\n", what); return; }
	printf("%s: %s %d/%s", what, s->s_name, ntohs(s->s_port), s->s_proto);
	list(s->s_aliases);
}

static void protocol(const char *what, struct protoent *p) {
	if (!p) { printf("%s: none\n", what); return; }
	printf("%s: %s %d", what, p->p_name, p->p_proto);
	list(p->p_aliases);
}

static void program(const char *what, struct rpcent *r) {
	if (!r) { printf("%s: none\n", what); return; }
	printf("%s: %s %d", what, r->r_name, r->r_number);
	list(r->r_aliases);
}

static void network(const char *what, struct netent *n) {
	if (!n) { printf("%s: none, %d\n", what, h_errno); return; }
	printf("%s: %s %d %08x", what, n->n_name, n->n_addrtype, n->n_net);
	list(n->n_aliases);
}

static void host(const char *what, struct hostent *h) {
	if (!h) { printf("%s: none, %d\n", what, h_errno); return; }
	printf("%s: %s %d %d %s", what, h->h_name, h->h_addrtype, h->h_length, inet_ntoa(*(struct in_addr *)h->h_addr));
	list(h->h_aliases);
}

static void walks(void) {
	struct servent *s, room_s;
	struct protoent *p, room_p;
	struct netent *n, room_n;
	struct hostent *h, room_h;
	char buffer[2048];
	int count = 0, error = 0, done;
	setservent(1);
	while ((s = getservent())) if (count++ < 4) service("service", s);
	printf("%d services\n", count);
	endservent();
	done = getservent_r(&room_s, buffer, sizeof buffer, &s);
	printf("getservent_r: %d\n", done);
	service("  first", s);
	done = getservent_r(&room_s, buffer, 8, &s);
	printf("getservent_r without room: %s, %d\n", strerrorname_np(done), s == NULL);
	endservent();
	setprotoent(0);
	for (count = 0; (p = getprotoent()); count++) if (count < 3) protocol("protocol", p);
	printf("%d protocols\n", count);
	done = getprotoent_r(&room_p, buffer, sizeof buffer, &p);
	printf("getprotoent_r after the last: %s\n", strerrorname_np(done));
	endprotoent();
	protocol("tunnel", getprotobyname("tunnel"));
	protocol("TUNNEL", getprotobyname("TUNNEL"));
	protocol("tcp", getprotobyname("tcp"));
	protocol("TCP", getprotobyname("TCP"));
	protocol("253", getprotobynumber(253));
	protocol("17", getprotobynumber(17));
	protocol("251", getprotobynumber(251));
	done = getprotobyname_r("tunnel", &room_p, buffer, sizeof buffer, &p);
	printf("getprotobyname_r: %d\n", done);
	protocol("  tunnel", p);
	done = getprotobyname_r("nonsense", &room_p, buffer, sizeof buffer, &p);
	printf("getprotobyname_r of none: %d %d\n", done, p == NULL);
	done = getprotobynumber_r(253, &room_p, buffer, 4, &p);
	printf("getprotobynumber_r without room: %s %d\n", strerrorname_np(done), p == NULL);
	struct rpcent *r, room_r;
	setrpcent(1);
	for (count = 0; (r = getrpcent()); count++) program("program", r);
	endrpcent();
	program("till", getrpcbyname("till"));
	program("cash", getrpcbyname("cash"));
	program("CASH", getrpcbyname("CASH"));
	program("300019", getrpcbynumber(300019));
	program("300020", getrpcbynumber(300020));
	done = getrpcbyname_r("till", &room_r, buffer, sizeof buffer, &r);
	printf("getrpcbyname_r: %d\n", done);
	program("  till", r);
	done = getrpcbynumber_r(300019, &room_r, buffer, 4, &r);
	printf("getrpcbynumber_r without room: %s %d\n", strerrorname_np(done), r == NULL);
	done = getrpcent_r(&room_r, buffer, sizeof buffer, &r);
	printf("getrpcent_r: %d\n", done);
	program("  first", r);
	endrpcent();
	for (count = 0; (n = getnetent()); count++) network("network", n);
	endnetent();
	network("oldnet", getnetbyname("oldnet"));
	network("OLDNET", getnetbyname("OLDNET"));
	network("nonsense", getnetbyname("nonsense"));
	network("by address", getnetbyaddr(0x0a000000, AF_INET));
	network("by address of any family", getnetbyaddr(0x0a000000, AF_UNSPEC));
	network("by address of none", getnetbyaddr(0x0b000000, AF_INET));
	done = getnetbyname_r("oldnet", &room_n, buffer, sizeof buffer, &n, &error);
	printf("getnetbyname_r: %d %d\n", done, error);
	network("  oldnet", n);
	done = getnetbyname_r("nonsense", &room_n, buffer, sizeof buffer, &n, &error);
	printf("getnetbyname_r of none: %d %d %d\n", done, error, n == NULL);
	done = getnetbyaddr_r(0x0a000000, AF_INET, &room_n, buffer, 4, &n, &error);
	printf("getnetbyaddr_r without room: %s %d %d\n", strerrorname_np(done), error, n == NULL);
	done = getnetent_r(&room_n, buffer, sizeof buffer, &n, &error);
	printf("getnetent_r: %d\n", done);
	network("  first", n);
	endnetent();
	sethostent(1);
	for (count = 0; (h = gethostent()); count++) host("host", h);
	endhostent();
	done = gethostent_r(&room_h, buffer, sizeof buffer, &h, &error);
	printf("gethostent_r: %d\n", done);
	host("  first", h);
	endhostent();
}

static void print(const char *what, struct gaicb *request) {
	char text[64] = "nothing";
	if (gai_error(request) == 0)
		getnameinfo(request->ar_result->ai_addr, request->ar_result->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST);
	printf("%s %s: %d %s\n", what, request->ar_name, gai_error(request), text);
	if (gai_error(request) == 0) freeaddrinfo(request->ar_result);
	request->ar_result = NULL;
}

static const char *const asked[] = {"db.old.corp", "app", "nobody.old.corp", "alias"};
enum { ASKED = sizeof asked / sizeof *asked };

/* The fourth is told of by a signal, and the third by a thread. */
static volatile int told;
static void tell(union sigval value) { __atomic_store_n(&told, value.sival_int, __ATOMIC_RELEASE); }

static void later(void) {
	struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
	struct gaicb requests[ASKED], *all[ASKED + 1] = {0};
	memset(requests, 0, sizeof requests);
	for (int i = 0; i < ASKED; i++) {
		requests[i].ar_name = asked[i];
		requests[i].ar_request = &hints;
		all[i] = &requests[i];
	}
	printf("wait: %d\n", getaddrinfo_a(GAI_WAIT, all, ASKED + 1, NULL));
	for (int i = 0; i < ASKED; i++) print("waited for", all[i]);
	printf("done: %d %d\n", gai_suspend((const struct gaicb **)all, ASKED, NULL), gai_cancel(all[0]));
	int started = getaddrinfo_a(GAI_NOWAIT, all, ASKED, NULL);
	/* One at a time: of several, glibc's own leaves behind what ends while it returns, and crashes later. */
	for (int i = 0; i < ASKED; i++)
		while (gai_suspend((const struct gaicb **)all + i, 1, NULL) == 0);
	printf("later: %d\n", started);
	for (int i = 0; i < ASKED; i++) print("later", all[i]);
	struct sigevent event = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = tell, .sigev_value.sival_int = 7};
	getaddrinfo_a(GAI_NOWAIT, all, 2, &event);
	for (int i = 0; i < 5000 && !__atomic_load_n(&told, __ATOMIC_ACQUIRE); i++) usleep(1000);
	printf("told by a thread: %d, %d %d\n", told, gai_error(all[0]), gai_error(all[1]));
	sigset_t set;
	siginfo_t info;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	struct sigevent by_signal = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 9};
	struct timespec limit = {5, 0};
	getaddrinfo_a(GAI_NOWAIT, all + 1, 1, &by_signal);
	int number = sigtimedwait(&set, &info, &limit);
	printf("told by a signal: %d, code %d, value %d, %d\n", number == SIGUSR1, info.si_code, info.si_value.sival_int, gai_error(all[1]));
	printf("another way: %d\n", getaddrinfo_a(7, all, 1, NULL));
	printf("none: %d\n", getaddrinfo_a(GAI_WAIT, all, 0, NULL));
}

static void asks(void) {
	unsigned char answer[512], query[512];
	struct __res_state state;
	memset(&state, 0, sizeof state);
	printf("res_ninit: %d, search %s\n", res_ninit(&state), state.dnsrch[0]);
	printf("res_nquery: %d\n", res_nquery(&state, "app.old.corp", C_IN, T_A, answer, sizeof answer) > 12);
	printf("res_nsearch: %d\n", res_nsearch(&state, "app", C_IN, T_A, answer, sizeof answer) > 12);
	printf("res_nquerydomain: %d\n", res_nquerydomain(&state, "app", "old.corp", C_IN, T_A, answer, sizeof answer) > 12);
	int len = res_nmkquery(&state, QUERY, "app.old.corp", C_IN, T_A, NULL, 0, NULL, query, sizeof query);
	printf("res_nsend: %d\n", res_nsend(&state, query, len, answer, sizeof answer) > 12);
	res_nclose(&state);
	struct __res_state unmade;
	memset(&unmade, 0, sizeof unmade);
	printf("res_nquery by one that is not made: %d\n", res_nquery(&unmade, "app.old.corp", C_IN, T_A, answer, sizeof answer) > 12);
	res_nclose(&unmade);
	printf("res_init: %d, search %s, %d name server\n", res_init(), _res.dnsrch[0], _res.nscount);
	len = res_mkquery(QUERY, "app.old.corp", C_IN, T_A, NULL, 0, NULL, query, sizeof query);
	printf("res_send: %d\n", res_send(query, len, answer, sizeof answer) > 12);
	int found = res_query("nobody.old.corp", C_IN, T_A, answer, sizeof answer);
	printf("res_query of nobody: %d, %d\n", found, h_errno);
}

static void foreign(void) {
	static const char *const names[] = {"b\xc3\xbc\x63her.old.corp", "B\xc3\x9c\x43HER.old.corp", "xn--bcher-kva.old.corp", "b\xffher.old.corp"};
	static const int flags[] = {0, AI_IDN, AI_IDN | AI_CANONNAME, AI_IDN | AI_CANONNAME | AI_CANONIDN};
	setlocale(LC_ALL, "C.UTF-8");
	for (int i = 0; i < 4; i++)
		for (int j = 0; j < 4; j++) {
			struct addrinfo hints = {.ai_flags = flags[j], .ai_socktype = SOCK_STREAM}, *all = NULL;
			int done = getaddrinfo(names[i], "80", &hints, &all);
			printf("%s %x: %d %s", names[i], flags[j], done, done == 0 && all->ai_canonname ? all->ai_canonname : "");
			printf(" %s\n", done == 0 ? inet_ntoa(((struct sockaddr_in *)all->ai_addr)->sin_addr) : "");
			if (all) freeaddrinfo(all);
		}
	struct sockaddr_in end = {.sin_family = AF_INET};
	char text[128];
	inet_pton(AF_INET, "10.1.2.33", &end.sin_addr);
	for (int i = 0; i < 2; i++) {
		int done = getnameinfo((struct sockaddr *)&end, sizeof end, text, sizeof text, NULL, 0, i ? NI_IDN : 0);
		printf("back: %d %s\n", done, done ? "" : text);
	}
}

static void by_name_and_address(void) {
	struct in_addr four;
	struct in6_addr six;
	struct hostent *h, room;
	char buffer[2048], text[64];
	int error = 0;
	host("gethostbyname", gethostbyname("db.old.corp"));
	host("gethostbyname of an address", gethostbyname("10.9.8.7"));
	host("gethostbyname of nobody", gethostbyname("nobody.old.corp"));
	h = gethostbyname2("erp01", AF_INET6);
	printf("gethostbyname2: %s %s\n", h ? h->h_name : "none", h ? inet_ntop(AF_INET6, h->h_addr, text, sizeof text) : "");
	int done = gethostbyname2_r("db.old.corp", AF_INET, &room, buffer, sizeof buffer, &h, &error);
	printf("gethostbyname2_r: %d\n", done);
	host("  db", h);
	done = gethostbyname2_r("db.old.corp", AF_INET, &room, buffer, 8, &h, &error);
	printf("gethostbyname2_r without room: %s %d\n", strerrorname_np(done), error);
	inet_pton(AF_INET, "10.1.2.3", &four);
	inet_pton(AF_INET6, "fd00::9", &six);
	host("gethostbyaddr", gethostbyaddr(&four, sizeof four, AF_INET));
	h = gethostbyaddr(&six, sizeof six, AF_INET6);
	printf("gethostbyaddr in six: %s\n", h ? h->h_name : "none");
	/* An address of one link, by its number and its name. */
	static const char *const names[] = {"fe80::1%lo", "fe80::1%1", "fe80::1%nonsense", "::ffff:10.1.2.3"};
	for (int i = 0; i < 4; i++) {
		struct addrinfo *all = NULL;
		done = getaddrinfo(names[i], "shop", NULL, &all);
		printf("%s: %d", names[i], done);
		if (all) {
			struct sockaddr_in6 *end = (void *)all->ai_addr;
			getnameinfo(all->ai_addr, all->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST);
			printf(" %s, scope %d, port %d", text, end->sin6_scope_id, ntohs(end->sin6_port));
			freeaddrinfo(all);
		}
		printf("\n");
	}
	/* One dot does not make a name whole, by the policy's ndots. */
	done = getaddrinfo("a.b", NULL, NULL, &(struct addrinfo *){NULL});
	printf("a.b: %d\n", done);
}

int main(void) {
	alarm(60);
	by_name_and_address();
	foreign();
	walks();
	later();
	asks();
	return 0;
}
