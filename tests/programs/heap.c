// Asks the kernel for a heap by sbrk(2), as allocators and the start of a static program do.
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(void)
{
	enum { MUCH = 64 << 20 };
	char *heap = sbrk(MUCH);

	if (heap == (void *)-1) {
		perror("sbrk");
		return 1;
	}
	memset(heap, 1, MUCH);
	printf("a heap of %d MiB\n", (int)(((char *)sbrk(0) - heap) >> 20));
	return 0;
}
