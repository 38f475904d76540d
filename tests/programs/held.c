// Files of a layer that are held open, mapped and locked while they get a copy.
//
//   held DIR     DIR has `data`, of 8192 bytes `a`, that nobody has written to
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void told(const char *what, int is_true) { printf("%s: %s\n", what, is_true ? "yes" : "no"); }

static char at(int fd, off_t where)
{
    char byte = '?';
    pread(fd, &byte, 1, where);
    return byte;
}

// Whether a lock of another process's is refused.
static int is_locked(int fd, int kind)
{
    int status = 0;
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    pid_t child = fork();
    if (child == 0)
        _exit((kind == 0 ? fcntl(fd, F_SETLK, &lock) : fcntl(fd, F_OFD_SETLK, &lock)) < 0);
    waitpid(child, &status, 0);
    return WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
    if (argc < 2 || chdir(argv[1]))
        return 2;
    // Before the copy: to read, mapped, and locked whole by flock(2).
    int before = open("data", O_RDONLY);
    char *map = mmap(0, 8192, PROT_READ, MAP_SHARED, before, 0);
    struct stat first, second;
    fstat(before, &first);
    told("a lock before", flock(before, LOCK_EX) == 0);

    int after = open("data", O_RDWR);
    fstat(after, &second);
    told("the same inode", first.st_ino == second.st_ino && first.st_dev == second.st_dev);
    told("a lock after", flock(after, LOCK_EX | LOCK_NB) == 0);
    pwrite(after, "b", 1, 5000);
    int again = open("data", O_RDONLY);
    told("a later one reads what is written", at(again, 5000) == 'b');
    told("one from before does", at(before, 5000) == 'b');
    told("its mapping does", map[5000] == 'b');
    // What is opened after the copy is one file for all.
    char *shared = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, after, 0);
    shared[100] = 'c';
    told("a mapping writes", at(again, 100) == 'c');
    told("flock between later ones", flock(again, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    fcntl(after, F_SETLK, &lock);
    told("fcntl between later ones", is_locked(open("data", O_RDONLY), 0));
    lock.l_type = F_UNLCK;
    fcntl(after, F_SETLK, &lock);
    lock.l_type = F_WRLCK;
    fcntl(after, F_OFD_SETLK, &lock);
    told("locks of open files between later ones", is_locked(open("data", O_RDONLY), 1));
    // What has been opened lives on without a name, and under another.
    rename("data", "moved");
    unlink("moved");
    fstat(after, &second);
    told("without a name", second.st_nlink == 0 && at(after, 5000) == 'b' && at(before, 0) == 'a');
    told("it can be written to", pwrite(after, "d", 1, 0) == 1 && at(again, 0) == 'd');
    mkdir("gone", 0755);
    int directory = open("gone", O_RDONLY | O_DIRECTORY);
    rmdir("gone");
    told("nothing is made in a directory that is gone", openat(directory, "x", O_CREAT | O_WRONLY, 0644) < 0 && errno == ENOENT);
    return 0;
}
