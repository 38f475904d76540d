#!/usr/bin/python3
"""What calls on files answer at the edges: the longest names, chains of links, odd paths, what is handed on, what is gone.

    edges.py DIR     DIR has `base` with what tests/tests/union_rules.rs puts there

Each question is answered in one line.
"""

import errno
import os
import struct
import sys

ROOT = sys.argv[1]
OPEN = {"new": os.O_CREAT | os.O_WRONLY, "read": os.O_RDONLY}


def told(name, call, *arguments):
    try:
        answer = call(*arguments)
    except OSError as error:
        answer = errno.errorcode[error.errno]
    if isinstance(answer, os.stat_result):
        answer = "%o %d" % (answer.st_mode, answer.st_size)
    print(name, "->", str(answer)[:80].replace(ROOT, "ROOT"))


def opened(path, how="new", mode=0o644):
    os.close(os.open(path, OPEN[how], mode))


def shape(path):
    found = os.lstat(path)
    return "%o %d %d" % (found.st_mode, found.st_uid, found.st_gid)


def names():
    for name in ["n" * 255, "n" * 256, "é" * 127 + "x", "é" * 128]:
        label = "name of %d bytes:" % len(name.encode())
        other = "o" + name[1:]
        for call, arguments in [
            (opened, [name]), (os.stat, [name]), (os.stat, [ROOT + "/" + name]), (os.link, [name, other]), (os.unlink, [other]),
            (os.symlink, ["x", other]), (os.rename, [other, "m" + name[1:]]), (os.unlink, ["m" + name[1:]]), (os.mkdir, [other]), (os.rmdir, [other]),
        ]:
            told(label + call.__name__, call, *arguments)


def paths():
    for length in range(4093, 4099):
        head = ROOT + "/" + "./" * 1900
        path = head + "/" * (length - len(head) - 9) + "base/file"
        for call, arguments in [
            (os.stat, [path]), (opened, [path, "read"]), (os.access, [path, os.R_OK]), (os.readlink, [path]), (os.chmod, [path, 0o644]),
            (os.truncate, [path, 4]), (os.chdir, [path]), (os.mkdir, [path[:-9] + "made-here"]), (os.rmdir, ["made-here"]),
        ]:
            told("path of %d bytes: %s" % (length, call.__name__), call, *arguments)


def links():
    for number in range(60):
        os.symlink("chain%d" % (number + 1) if number < 59 else "base/file", "chain%d" % number)
        os.symlink("to%d" % (number - 1) if number else "base", "to%d" % number)
    for number in [0, 19, 20, 21, 59]:
        told("chain of %d" % (60 - number), os.stat, "chain%d" % number)
        told("chain of %d, opened" % (60 - number), opened, "chain%d" % number, "read")
    for number in [38, 39, 40, 41]:
        told("directories behind %d links" % number, os.stat, "to%d/file" % number)
        told("made behind %d links" % number, opened, "to%d/new" % number)
    for number in [20, 40, 41]:
        told("%d times in and out" % number, os.stat, "/".join(["to0/.."] * number) + "/base/file")
    os.symlink("a" * 4095, "long")
    told("a long link", os.stat, "long")
    told("its length", lambda: len(os.readlink("long")))
    told("a longer one", os.symlink, "a" * 4096, "longer")
    os.symlink("a" * 256, "to-long-name")
    told("to a long name", os.stat, "to-long-name")
    told("made at a long name", opened, "to-long-name")


def odd_paths():
    for call, arguments in [
        (os.stat, [""]), (opened, [""]), (os.mkdir, [""]), (os.unlink, [""]), (os.rename, ["", "x"]), (os.rename, ["base/file", ""]), (os.link, ["base/file", ""]),
        (os.link, ["", "x"]), (os.symlink, ["x", ""]), (os.symlink, ["", "x"]), (os.chdir, [""]), (os.readlink, [""]), (os.chmod, ["", 0]), (os.truncate, ["", 0]),
        (os.rmdir, ["/"]), (os.rmdir, ["."]), (os.rmdir, ["base/.."]), (os.unlink, ["/"]), (os.unlink, ["base"]), (os.mkdir, ["/"]), (os.mkdir, ["."]), (os.mkdir, [".."]),
        (os.rename, [".", "x"]), (os.rename, ["base", "base/."]), (os.rename, ["base", ".."]), (os.rename, ["/", "x"]), (os.link, [".", "x"]), (os.symlink, ["x", "."]),
        (os.symlink, ["x", ".."]), (os.listdir, ["base/file"]), (os.rename, ["base/file", "/tmp/of-another-mount"]), (os.link, ["base/file", "/tmp/of-another-mount"]),
    ]:
        told("%s%s" % (call.__name__, arguments), call, *arguments)


def handed_on():
    for mask in [0, 0o22, 0o77, 0o777]:
        os.umask(mask)
        opened("file%o" % mask, mode=0o7777)
        os.mkdir("dir%o" % mask, 0o7777)
        os.mkfifo("fifo%o" % mask, 0o666)
        for kind in ["file", "dir", "fifo"]:
            told("umask %o, %s" % (mask, kind), shape, "%s%o" % (kind, mask))
    os.umask(0o22)
    os.chown("base/group", 0, 77)
    os.chmod("base/group", 0o2775)
    entries = [(1, 7, 0xFFFFFFFF), (2, 5, 1234), (4, 5, 0xFFFFFFFF), (16, 7, 0xFFFFFFFF), (32, 0, 0xFFFFFFFF)]
    told("setxattr", os.setxattr, "base/list", "system.posix_acl_default", struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries))
    for directory in ["group", "list"]:
        os.chdir("base/" + directory)
        # The base has these two.
        os.unlink("old")
        os.rmdir("old-dir")
        for name in ["old", "new"]:
            opened(name, mode=0o666)
            os.mkdir(name + "-dir", 0o777)
        os.symlink("x", "link")
        os.mkfifo("fifo", 0o666)
        for name in sorted(os.listdir(".")):
            told("%s/%s" % (directory, name), shape, name)
            for kind in ["access", "default"]:
                told("its list, " + kind, lambda: os.getxattr(name, "system.posix_acl_" + kind, follow_symlinks=False).hex())
        os.chdir(ROOT)
    for name, change in [("a", lambda path: os.chown(path, 5, 5)), ("b", lambda path: os.truncate(path, 1)), ("c", lambda path: os.chown(path, -1, -1))]:
        told("set-ids before", shape, "base/set-ids-" + name)
        change("base/set-ids-" + name)
        told("set-ids after", shape, "base/set-ids-" + name)


def gone():
    kept = os.open("base/file", os.O_RDWR)
    os.unlink("base/file")
    os.write(kept, b"more")
    told("no name", lambda: (os.fstat(kept).st_nlink, os.pread(kept, 10, 0)))
    os.fchmod(kept, 0o600)
    told("its mode", lambda: "%o" % os.fstat(kept).st_mode)
    for directory in ["base/gone", "made"]:
        if directory == "made":
            os.mkdir(directory)
        os.chdir(directory)
        os.rmdir(ROOT + "/" + directory)
        for call, arguments in [(opened, ["x"]), (os.mkdir, ["x"]), (os.getcwd, []), (os.stat, ["x"]), (os.symlink, ["x", "y"])]:
            told("in %s that is gone: %s" % (directory, call.__name__), call, *arguments)
        os.chdir(ROOT)
    os.makedirs("count/a/b")
    os.mkdir("count/c")
    told("links", lambda: os.stat("count").st_nlink)
    os.rename("count/c", "count/a/c")
    told("links after a rename", lambda: (os.stat("count").st_nlink, os.stat("count/a").st_nlink))
    told("blocks of a sparse file", lambda: os.stat("base/sparse").st_blocks < 100)
    os.chmod("base/sparse", 0o600)
    told("blocks of its copy", lambda: os.stat("base/sparse").st_blocks < 100)
    told("an attribute", os.getxattr, "base/attribute", "user.a")
    os.chmod("base/attribute", 0o600)
    told("an attribute of a copy", os.getxattr, "base/attribute", "user.a")
    told("names of attributes", os.listxattr, "base/attribute")


os.chdir(ROOT)
for part in [names, paths, links, odd_paths, handed_on, gone]:
    part()
    os.chdir(ROOT)
