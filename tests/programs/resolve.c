/* Prints the addresses of the names that it is given, by its libc's resolver. */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static int by_text(char *one, char *other) { return strcmp(one, other); }

int main(int count, char **words) {
	for (int i = 1; i < count; i++) {
		struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *all = NULL;
		int error = getaddrinfo(words[i], "9001", &hints, &all);
		char texts[8][64] = {{0}};
		int found = 0;
		for (struct addrinfo *one = all; one && found < 8; one = one->ai_next)
			getnameinfo(one->ai_addr, one->ai_addrlen, texts[found++], 64, NULL, 0, NI_NUMERICHOST);
		if (found == 2 && by_text(texts[0], texts[1]) > 0) {
			char text[64];
			strcpy(text, texts[0]);
			strcpy(texts[0], texts[1]);
			strcpy(texts[1], text);
		}
		printf("%s:", words[i]);
		for (int j = 0; j < found; j++) printf(" %s", texts[j]);
		printf("%s\n", error ? " nobody" : "");
		if (all) freeaddrinfo(all);
	}
	return 0;
}
