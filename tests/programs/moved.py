# Where directories are that are held open, or are the working directory, while they and those above them are renamed.
# Prints the same on any union of the same layers.
import ctypes, os, shutil, subprocess, sys

top, libc = sys.argv[1], ctypes.CDLL(None, use_errno=True)
os.chdir(top)


def tried(call, *args, **more):
    try:
        return call(*args, **more)
    except OSError as error:
        return error.strerror


def text(name, fd):
    with open(os.open(name, os.O_RDONLY, dir_fd=fd)) as file:
        return file.read().strip()


def names(fd):
    os.lseek(fd, 0, os.SEEK_SET)
    return sorted(os.listdir(fd))


def say(*what, end="\n"):
    print(*what, end=end, flush=True)


held = {name: os.open(name, os.O_RDONLY | os.O_DIRECTORY) for name in ("a", "a/x", "a/x/y", "b", "low")}
files = {name: os.open(name, os.O_RDONLY) for name in ("a/x/f", "a/x/y/deep", "low/l")}
turn = 0


def look(what):
    global turn
    turn += 1
    say("--", what)
    for name, fd in held.items():
        os.fchdir(fd)
        say(name, tried(os.getcwd).replace(top, "@"), end=" ")
        if tried(os.getcwd) == "No such file or directory":
            made = tried(os.open, "made", os.O_CREAT | os.O_RDWR, dir_fd=fd)
            say("gone", tried(names, fd), made, tried(os.mkdir, "new"), tried(os.stat, "f"))
            continue
        for link in ("/proc/self/cwd", f"/proc/self/fd/{fd}", f"/proc/thread-self/fd/{fd}"):
            say(os.readlink(link).replace(top, "@"), end=" ")
        say(names(fd), sorted(os.listdir(".")), sorted(os.listdir(f"/proc/self/fd/{fd}/..")), end=" ")
        same = {os.fstat(fd).st_ino, os.stat(".").st_ino, os.stat(os.getcwd()).st_ino}
        say(len(same), os.path.realpath(".").replace(top, "@"), end=" ")
        for file in ("f", "m", "deep", "y/deep", "z", "l", "k/l2", "../b/z"):
            say(tried(text, file, fd), end=" ")
        os.close(os.open(f"{name.replace('/', '-')}-{turn}", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
        with open("appended", "a") as file:
            file.write(str(turn))
        say(text("appended", fd), sorted(os.listdir(os.getcwd())))
        child = "/bin/pwd -P; cat appended; echo; ls; test . -ef \"$(/bin/pwd -P)\" && echo same"
        say(subprocess.run(["/bin/sh", "-c", child], capture_output=True, text=True).stdout.replace(top, "@").split())
    os.chdir(top)
    for name, fd in files.items():
        path = os.readlink(f"/proc/self/fd/{fd}")
        say(name, path.replace(top, "@"), tried(os.fchmod, fd, 0o600 + turn), end=" ")
        say(tried(lambda: oct(os.stat(path).st_mode)))


look("as it was")
os.rename("a", "r1")
look("renamed")
os.rename("r1", "r2")
look("twice")
os.makedirs("a/x/y")
open("a/x/f", "w").write("another's\n")
look("another has the name")
os.rename("r2/x", "x2")
look("out of what was renamed")
os.makedirs("far/away")
os.rename("r2", "far/away/r3")
look("into a new one")
libc.renameat2(-100, b"x2", -100, b"b", 2)
look("exchanged")
subprocess.run(["/bin/sh", "-c", "mv far/away f2; mv low f2/low; mv f2/low/k f2/k2"])
look("by another process")
os.fchdir(held["a/x/y"])
os.rename("../y", "../y2")
os.rename(top + "/b", top + "/b2")
os.chdir(top)
look("from within")
shutil.rmtree("a")
os.rename("f2/r3", "a")
os.rename("b2", "a/x")
os.rename("a/x/y2", "a/x/y")
look("back again")
shutil.rmtree("a/x")
for name in ("a/x/f", "a/x/y/deep"):
    os.close(files.pop(name))
look("removed")
os.makedirs("a/x/y")
look("made anew")
