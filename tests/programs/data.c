/* Writes to each page of its data, and says how many page faults that took. */
#include <stdio.h>
#include <sys/resource.h>

static volatile char data[256][4096] = {"not empty"};

static long faults(void) {
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_minflt + usage.ru_majflt;
}

int main(void) {
	long before = faults();
	for (int page = 0; page < 256; page++)
		data[page][1] = 1;
	printf("%ld\n", faults() - before);
	return 0;
}
