/* Imports what the shim cannot serve. */
#include <fcntl.h>
#include <nl_types.h>
#include <netdb.h>

int main(int argc, char **argv) {
	return open(argv[0], O_RDONLY) < 0 || catopen(argv[0], 0) == (nl_catd)-1 || !getrpcbyname(argv[0]);
}
