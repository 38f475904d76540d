/* Imports what the shim cannot serve, and what it can. */
#include <fcntl.h>
#include <nl_types.h>
#include <netinet/ether.h>
#include <rpc/netdb.h>

int main(int argc, char **argv) {
	struct ether_addr address;
	return open(argv[0], O_RDONLY) < 0 || catopen(argv[0], 0) == (nl_catd)-1 || !getrpcbyname(argv[0]) || ether_hostton(argv[0], &address);
}
