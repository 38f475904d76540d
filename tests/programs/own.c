/* A library that a program of told.c finds beside itself. */
int own(void) { return 1; }
