// What is said of directories, and of paths by way of them, again and again, while somebody takes them away, renames them, or no longer
// lets everybody in.
//
//   asked make DIR   directories of DIR, up to three for each question
//   asked ask DIR    asks all questions
//   asked serve      does what its input says, a line at a time: see `obey`
//
// A question has one process that asks, and another one that changes something. Both begin as programs of their own, so that who asks has
// been nobody else before. Each directory `p/d/e` that is asked for comes from the base, or from there with a new name beside it in `p` and
// in `d`, or has been made in this run. Where rights change meanwhile it has been made in this run: what the write layer closes stays open below where
// layers alone have it (docs/limitations.md). What two runs on directories that were made alike print must be the same.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { USER = 1001, TEAM = 2001, OTHERS = 2002 };

// Whether it is one user, and another one where files are concerned.
static int is_two;

static void told(const char *what, long done)
{
    printf(" %s=%s", what, done < 0 ? strerrorname_np(errno) : "done");
}

static void read_link(const char *path)
{
    char text[100] = "";
    // Twice by each, so that what was said once can be remembered.
    for (int i = 0; i < 4; i++) {
        ssize_t len = i % 2 ? readlink(path, text, sizeof text - 1) : readlinkat(AT_FDCWD, path, text, sizeof text - 1);
        printf(" %.*s", len < 0 ? 20 : (int)len, len < 0 ? strerrorname_np(errno) : text);
    }
}

// What leads through directories that are left by `..`, through a link, and through one that is missing.
static void ask_by(const char *path, const char *way)
{
    static const char *const names[] = {"e", "e/none/x", "e/none/y/../x", "e/../e/"};
    char other[400];
    struct stat st;
    for (unsigned i = 0; i < 2 * sizeof names / sizeof *names; i++) {
        snprintf(other, sizeof other, "%s/%s%s", path, way, names[i / 2]);
        told("look", stat(other, &st));
        // With another effective user a path that takes a walk is asked for as that one: docs/limitations.md.
        if (!is_two)
            told("may", access(other, R_OK));
        told("link", readlink(other, other + 300, 99));
        int fd = open(other, O_RDONLY);
        told("open", fd);
        if (fd >= 0)
            close(fd);
        struct statx stx;
        told("statx", statx(AT_FDCWD, other, 0, STATX_MODE, &stx));
    }
    snprintf(other, sizeof other, "%s/%se/none/made", path, way);
    told("make", mkdir(other, 0755));
    told("unmake", rmdir(other));
}

// What a link in the last place leads to: a file by two links, a directory, itself, nothing, and a file by a way that climbs.
static void ask_for_links(const char *path)
{
    static const char *const names[] = {"l1", "l2", "le", "ll", "ln", "lu", "le/", "l1/"};
    char other[400], text[20];
    struct stat st;
    struct statx stx;
    for (unsigned i = 0; i < 2 * sizeof names / sizeof *names; i++) {
        snprintf(other, sizeof other, "%s/%s", path, names[i / 2]);
        printf(" %s", names[i / 2]);
        int fd = open(other, O_RDONLY | O_CLOEXEC);
        told("open", fd);
        if (fd >= 0) {
            ssize_t len = read(fd, text, sizeof text);
            printf(" %.*s", len < 0 ? 0 : (int)len, text);
            close(fd);
        }
        fd = open(other, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        told("itself", fd);
        if (fd >= 0)
            close(fd);
        int look = stat(other, &st), extended = statx(AT_FDCWD, other, 0, STATX_MODE | STATX_TYPE, &stx);
        told("look", look);
        told("statx", extended);
        printf(" %o %o", look ? 0 : st.st_mode, extended ? 0 : stx.stx_mode);
        if (!is_two)
            told("may", access(other, R_OK));
    }
}

// A directory by its descriptor, which is opened like a file, and by one that was opened before the first change.
static void look_at_opened(const char *path)
{
    static int kept = -1;
    struct stat by_path = {0}, opened = {0};
    struct statx stx = {0};
    if (kept < 0)
        kept = open(path, O_RDONLY | O_CLOEXEC);
    if (stat(path, &by_path))
        by_path.st_ino = 0;
    for (int i = 0; i < 2; i++) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        told("opened", fd);
        if (fd < 0)
            continue;
        told("fstat", fstat(fd, &opened));
        told("statx", statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stx));
        printf(" %o %d %d", opened.st_mode, opened.st_ino == by_path.st_ino, opened.st_ctim.tv_nsec == by_path.st_ctim.tv_nsec);
        printf(" %o %d %d", stx.stx_mode, stx.stx_ino == by_path.st_ino, stx.stx_nlink == opened.st_nlink && stx.stx_nlink == by_path.st_nlink);
        close(fd);
    }
    // What can no longer be reached is not looked at.
    if (kept < 0 || !by_path.st_ino)
        return;
    told("kept", fstat(kept, &opened));
    told("kept", statx(kept, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stx));
    printf(" %o %o %d", opened.st_mode, stx.stx_mode, stx.stx_ino == opened.st_ino);
}

// A path in each way that may be asked for, from its directory on.
static void ask(const char *path)
{
    char other[300], *slash;
    printf(" [");
    read_link(path);
    snprintf(other, sizeof other, "%s/", path);
    read_link(other);
    snprintf(other, sizeof other, "%s/../d", path);
    read_link(other);
    struct stat st;
    snprintf(other, sizeof other, "%s/..", path);
    for (int i = 0; i < 2; i++) told("above", stat(other, &st));
    told("none", readlink(path, other, 0));
    told("nowhere", readlink(path, (char *)8, 9));
    snprintf(other, sizeof other, "%s", path);
    while ((slash = strrchr(other, '/')) && strcmp(slash, "/p")) {
        *slash = 0;
        read_link(other);
    }
    *other = 0;
    snprintf(other, sizeof other, "%s", path);
    if ((slash = strstr(other, "/p/")))
        slash[2] = 0;
    ask_by(other, "d/");
    ask_by(other, "d/e/../");
    ask_by(other, "d/../d/e/../../d/");
    ask_by(other, "s/");
    ask_by(other, "s/../s/");
    look_at_opened(path);
    ask_for_links(other);
    printf(" ]");
}

static void *in_thread(void *path)
{
    told("thread", syscall(SYS_setresuid, USER, USER, USER));
    read_link(path);
    return NULL;
}

static void deny(const char *path, int fd)
{
    // linux/posix_acl_xattr.h: a version, and entries of a tag, rights and an id.
    struct { unsigned version; struct { unsigned short tag, rights; unsigned id; } entries[5]; } list = {
        2, {{1, 7, -1}, {2, 0, 0}, {4, 5, -1}, {0x10, 7, -1}, {0x20, 5, -1}},
    };
    told("list", path ? setxattr(path, "system.posix_acl_access", &list, sizeof list, 0) : fsetxattr(fd, "system.posix_acl_access", &list, sizeof list, 0));
}

static int become(const char *how)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[2] = {{0}};
    is_two = strchr("ef", how[3]) != NULL;
    if (!strcmp(how, "setuid")) return setuid(USER);
    if (!strcmp(how, "setreuid")) return setreuid(USER, USER);
    if (!strcmp(how, "setresuid")) return setresuid(USER, USER, USER);
    if (!strcmp(how, "seteuid")) return seteuid(USER);
    if (!strcmp(how, "setfsuid")) return setfsuid(USER) < 0;
    if (!strcmp(how, "rawuid")) return syscall(SYS_setresuid, USER, USER, USER);
    if (!strcmp(how, "setgid")) return setgid(OTHERS);
    if (!strcmp(how, "setregid")) return setregid(OTHERS, OTHERS);
    if (!strcmp(how, "setresgid")) return setresgid(OTHERS, OTHERS, OTHERS);
    if (!strcmp(how, "setegid")) return setegid(OTHERS);
    if (!strcmp(how, "setfsgid")) return setfsgid(OTHERS) < 0;
    if (!strcmp(how, "setgroups")) return setgroups(0, NULL);
    if (!strcmp(how, "capset")) return syscall(SYS_capset, &header, none);
    if (!strcmp(how, "unshare")) return unshare(CLONE_NEWUSER);
    return 0;
}

// One line: a word, and up to two paths or words.
static void obey(const char *verb, const char *one, const char *two)
{
    struct stat st;
    char link[40];
    int fd;
    if (!strcmp(verb, "ask")) ask(one);
    else if (!strcmp(verb, "become")) told(one, become(one));
    else if (!strcmp(verb, "rmdir")) told(verb, rmdir(one));
    else if (!strcmp(verb, "mkdir")) told(verb, mkdir(one, 0755));
    else if (!strcmp(verb, "symlink")) told(verb, symlink(two, one));
    else if (!strcmp(verb, "rename")) told(verb, rename(one, two));
    else if (!strcmp(verb, "exchange")) told(verb, syscall(SYS_renameat2, AT_FDCWD, one, AT_FDCWD, two, RENAME_EXCHANGE));
    else if (!strcmp(verb, "chmod")) told(verb, chmod(one, strtol(two, NULL, 8)));
    else if (!strcmp(verb, "own")) told(verb, chown(one, atoi(two), TEAM));
    else if (!strcmp(verb, "deny")) deny(one, -1);
    else if (!strcmp(verb, "allow")) told(verb, removexattr(one, "system.posix_acl_access"));
    else if (!strcmp(verb, "thread")) {
        pthread_t thread;
        pthread_create(&thread, NULL, in_thread, (void *)one);
        pthread_join(thread, NULL);
    } else if (!strcmp(verb, "forked")) {
        // It is another one, and remembers what its parent does.
        fflush(stdout);
        pid_t child = fork();
        if (!child) {
            told(two, become(two));
            read_link(one);
            fflush(stdout);
            _exit(0);
        }
        waitpid(child, NULL, 0);
        read_link(one);
    } else if ((fd = open(one, (*verb == 'p' ? O_PATH : O_RDONLY) | O_DIRECTORY)) >= 0) {
        sprintf(link, "/proc/self/fd/%d", fd);
        if (!strcmp(verb, "fchmod")) told(verb, fchmod(fd, strtol(two, NULL, 8)));
        else if (!strcmp(verb, "fown")) told(verb, fchown(fd, atoi(two), TEAM));
        else if (!strcmp(verb, "path-own")) told(verb, fchownat(fd, "", atoi(two), TEAM, AT_EMPTY_PATH));
        else if (!strcmp(verb, "path-chmod")) told(verb, chmod(link, strtol(two, NULL, 8)));
        else if (!strcmp(verb, "fdeny")) deny(NULL, fd);
        else told(verb, fstat(fd, &st));
        close(fd);
    } else
        told(verb, -1);
}

static int serve(void)
{
    char line[1000], verb[20], one[400], two[400];
    while (fgets(line, sizeof line, stdin)) {
        int words = sscanf(line, "%19s %399s %399s", verb, one, two);
        obey(verb, one, words > 2 ? two : "");
        fflush(stdout);
        if (write(3, "", 1) != 1)
            return 1;
    }
    return 0;
}

struct server { FILE *to; int done; pid_t pid; };

// Who asks is root, who does so beside the group or in it and has no rights to what is not root's, another user, or who changes things too.
enum { ROOT, GUEST, MEMBER, STRANGER, SELF };

static void become_asker(int asks)
{
    gid_t own = asks == GUEST ? OTHERS : TEAM, beside = TEAM;
    if (asks == ROOT || asks == SELF)
        return;
    if (prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0) || prctl(PR_CAPBSET_DROP, CAP_DAC_READ_SEARCH, 0, 0, 0))
        perror("capabilities");
    if (setgroups(asks == GUEST, &beside) || setresgid(own, own, own) || (asks == STRANGER && setresuid(USER, USER, USER)))
        perror("another user");
}

static struct server begin(const char *self, int asks)
{
    int to[2], done[2];
    struct server server;
    if (pipe2(to, O_CLOEXEC) || pipe2(done, O_CLOEXEC))
        perror("pipe2");
    fflush(stdout);
    server.pid = fork();
    if (!server.pid) {
        dup2(to[0], 0);
        if (done[1] == 3)
            fcntl(3, F_SETFD, 0);
        else
            dup2(done[1], 3);
        become_asker(asks);
        execl(self, self, "serve", NULL);
        _exit(1);
    }
    close(to[0]);
    close(done[1]);
    server.to = fdopen(to[1], "w");
    server.done = done[0];
    return server;
}

static void end(struct server server)
{
    fclose(server.to);
    close(server.done);
    waitpid(server.pid, NULL, 0);
}

// To whom p/d is closed: to nobody, to all but root, to all but the group, to all but a user.
enum { OPEN, ROOTS, TEAMS, USERS };

// What is done, one after the other: `@` is p. Before and after each, p/d/e is asked for.
static const struct { const char *name; int asks; const char *steps[6]; int closed; } questions[] = {
    {"rmdir", ROOT, {"rmdir @/d/e", "rmdir @/d", "mkdir @/d", "mkdir @/d/e"}},
    {"rmdir-self", SELF, {"rmdir @/d/e", "rmdir @/d", "mkdir @/d", "mkdir @/d/e"}},
    {"link", ROOT, {"rmdir @/d/e", "symlink @/d/e text"}},
    {"link-self", SELF, {"rmdir @/d/e", "symlink @/d/e text"}},
    {"over", ROOT, {"symlink @/l text", "rename @/l @/d", "rename @/d @/away", "rename @/l @/d"}},
    {"over-self", SELF, {"symlink @/l text", "rename @/l @/d", "rename @/d @/away", "rename @/l @/d"}},
    {"exchange", ROOT, {"symlink @/l text", "exchange @/l @/d", "exchange @/d @/l"}},
    {"exchange-self", SELF, {"symlink @/l text", "exchange @/d/e @/l", "exchange @/l @/d/e"}},
    {"above", ROOT, {"rename @ @2", "rename @2 @"}},
    {"missing", ROOT, {"mkdir @/d/e/none", "mkdir @/d/e/none/x", "rmdir @/d/e/none/x", "rmdir @/d/e/none", "symlink @/d/e/none .."}},
    {"missing-self", SELF, {"mkdir @/d/e/none", "mkdir @/d/e/none/x", "rmdir @/d/e/none/x", "rmdir @/d/e/none", "symlink @/d/e/none .."}},
    {"last", ROOT, {"rename @/f @/g", "symlink @/f d/e", "rename @/g @/f", "rename @/l2 @/l3", "symlink @/l2 none", "rename @/l3 @/none"}},
    {"last-self", SELF, {"rename @/f @/g", "symlink @/f d/e", "rename @/g @/f", "rename @/l2 @/l3", "symlink @/l2 none", "rename @/l3 @/none"}},
    {"turn", ROOT, {"symlink @/t d/e", "mkdir @/d/e/e", "rename @/t @/s", "rename @/s @/t"}},
    {"turn-self", SELF, {"symlink @/t d/e", "mkdir @/d/e/e", "rename @/t @/s", "rename @/s @/t"}},
    {"turn-away", ROOT, {"rename @/d @/c", "mkdir @/d", "mkdir @/d/e", "exchange @/c @/d"}},
    {"chmod", MEMBER, {"chmod @ 0", "chmod @ 755", "chmod @/d 700", "chmod @/d 755", "chmod @/d/e 0"}},
    {"chmod-stranger", STRANGER, {"chmod @ 0", "chmod @ 755", "chmod @/d 700", "chmod @/d 755"}},
    {"chmod-root", ROOT, {"chmod @ 0"}},
    {"fchmod", MEMBER, {"fchmod @ 0", "fchmod @ 755", "fchmod @/d 700", "fchmod @/d 755"}},
    {"path-chmod", MEMBER, {"path-chmod @ 0", "path-chmod @ 755", "path-chmod @/d 700", "path-chmod @/d 755"}},
    {"own", MEMBER, {"own @ 1001", "chmod @ 700", "own @ 0", "own @ 1001"}},
    {"fown", MEMBER, {"own @ 1001", "chmod @ 700", "fown @ 0", "fown @ 1001"}},
    {"path-own", MEMBER, {"own @ 1001", "chmod @ 700", "path-own @ 0", "path-own @ 1001"}},
    {"deny", MEMBER, {"own @ 1001", "own @/d 1001", "deny @", "allow @", "fdeny @/d"}},
    {"setuid", ROOT, {"=become setuid"}, ROOTS},
    {"setreuid", ROOT, {"=become setreuid"}, ROOTS},
    {"setresuid", ROOT, {"=become setresuid"}, ROOTS},
    {"seteuid", ROOT, {"=become seteuid"}, ROOTS},
    {"setfsuid", ROOT, {"=become setfsuid"}, ROOTS},
    {"rawuid", ROOT, {"=become rawuid"}, ROOTS},
    {"capset", ROOT, {"=become capset"}, USERS},
    {"unshare", ROOT, {"=become unshare"}, USERS},
    {"setgid", MEMBER, {"=become setgid"}, TEAMS},
    {"setregid", MEMBER, {"=become setregid"}, TEAMS},
    {"setresgid", MEMBER, {"=become setresgid"}, TEAMS},
    {"setegid", MEMBER, {"=become setegid"}, TEAMS},
    {"setfsgid", MEMBER, {"=become setfsgid"}, TEAMS},
    {"setgroups", GUEST, {"=become setgroups"}, TEAMS},
    {"thread", ROOT, {"=thread @/d/e", "=thread @/d/e"}, ROOTS},
    {"forked", ROOT, {"=forked @/d/e setresuid", "=forked @/d/e capset"}, ROOTS},
};
static const char *const origins[] = {"base", "written", "made"};
enum { BASE, WRITTEN, MADE };
enum { QUESTIONS = sizeof questions / sizeof *questions };

static void make_tree(const char *p, int closed)
{
    static const mode_t modes[] = {0755, 0700, 0750, 0700};
    char path[400];
    const char *const below[] = {"", "/d", "/d/e"};
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s%s", p, below[i]);
        if (mkdir(path, 0755))
            perror(path);
    }
    static const char *const links[][2] = {{"s", "d"}, {"l1", "l2"}, {"l2", "f"}, {"le", "d/e"}, {"ll", "ll"}, {"ln", "none"}, {"lu", "d/../f"}};
    for (unsigned i = 0; i < sizeof links / sizeof *links; i++) {
        snprintf(path, sizeof path, "%s/%s", p, links[i][0]);
        if (symlink(links[i][1], path))
            perror(path);
    }
    snprintf(path, sizeof path, "%s/f", p);
    int file = open(path, O_CREAT | O_WRONLY, 0644);
    if (write(file, "a file", 6) != 6)
        perror(path);
    close(file);
    snprintf(path, sizeof path, "%s/d", p);
    if (chown(path, closed > ROOTS ? USER : 0, TEAM) || chmod(path, modes[closed]))
        perror(path);
}

static void make_file(const char *dir)
{
    char path[400];
    snprintf(path, sizeof path, "%s/new", dir);
    close(open(path, O_CREAT | O_WRONLY, 0644));
}

static void tell_server(struct server server, const char *step, const char *p)
{
    char byte;
    for (; *step; step++)
        if (*step == '@')
            fputs(p, server.to);
        else
            putc(*step, server.to);
    putc('\n', server.to);
    fflush(server.to);
    if (read(server.done, &byte, 1) != 1)
        printf(" lost");
}

static void question(const char *self, int number, int origin, const char *root)
{
    char p[200], path[300];
    snprintf(p, sizeof p, "%s/%s-%s/p", root, questions[number].name, origins[origin]);
    if (origin == MADE)
        make_tree(p, questions[number].closed);
    if (origin == WRITTEN) {
        make_file(p);
        snprintf(path, sizeof path, "%s/d", p);
        make_file(path);
        snprintf(path, sizeof path, "%s/d/new", p);
        unlink(path);
    }
    printf("%s-%s:", questions[number].name, origins[origin]);
    int asks = questions[number].asks;
    struct server one = begin(self, asks), other = begin(self, ROOT);
    tell_server(one, "ask @/d/e", p);
    for (int i = 0; i < 6 && questions[number].steps[i]; i++) {
        const char *step = questions[number].steps[i];
        if (*step == '=' || asks == SELF)
            tell_server(one, step + (*step == '='), p);
        else
            tell_server(other, step, p);
        tell_server(one, "ask @/d/e", p);
    }
    end(one);
    end(other);
    printf("\n");
}

int main(int argc, char **argv)
{
    if (argc == 2)
        return serve();
    umask(0);
    for (int number = 0; number < QUESTIONS; number++)
        for (int origin = questions[number].asks == MEMBER && !questions[number].closed ? MADE : BASE; origin <= MADE; origin++) {
            char path[200];
            snprintf(path, sizeof path, "%s/%s-%s", argv[2], questions[number].name, origins[origin]);
            if (!strcmp(argv[1], "ask")) {
                question(argv[0], number, origin, argv[2]);
                continue;
            }
            if (mkdir(path, 0755))
                perror(path);
            strcat(path, "/p");
            if (origin != MADE)
                make_tree(path, questions[number].closed);
        }
    return 0;
}
