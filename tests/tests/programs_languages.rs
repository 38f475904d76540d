//! Languages and their tools: python, perl, gcc, make.

use std::fs;
use std::path::Path;

use tests::{Mount, World, link, read_only, read_write, write};

const MOUNTS: &[Mount] =
    &[read_write("work", "data"), read_only("lib", "fixed"), read_only("work/conf", "conf")];

const PYTHON: &str = r#"
import fnmatch, glob, os, pathlib, shutil, stat, subprocess, sys, tempfile
import greeting
print(greeting.__file__, greeting.hello())
app = pathlib.Path(os.environ["APP"])
os.chdir(app / "work")
print(os.getcwd(), pathlib.Path.cwd(), os.path.realpath("link"), pathlib.Path("link/../conf").resolve())
def tried(name, call):
    try:
        print(name, call())
    except OSError as error:
        print(name, type(error).__name__, error.errno, error.filename)
for top, dirs, files in sorted(os.walk(app)):
    print(top, sorted(dirs), sorted(files))
print(sorted(os.listdir(app)), sorted(e.name for e in os.scandir("..") if e.is_dir()))
print(sorted(glob.glob("**/*.txt", recursive=True)), sorted(glob.glob(str(app / "*/*.py"))))
print(sorted(map(str, app.rglob("*.txt"))), [p.name for p in sorted(pathlib.Path("..").iterdir())])
tried("read-only", lambda: open(app / "lib/new", "w"))
tried("missing", lambda: os.stat("nothing"))
tried("mount point", lambda: os.rename("conf", "other"))
tried("across", lambda: os.rename(app / "lib/greeting.py", "greeting.py"))
with tempfile.TemporaryDirectory(dir=".") as scratch, tempfile.NamedTemporaryFile(dir=scratch) as file:
    file.write(b"x"); file.flush()
    print(os.path.getsize(file.name), os.path.dirname(os.path.dirname(file.name)))
with tempfile.TemporaryFile(dir=app / "work") as file:
    print(file.write(b"nameless"))
os.environ["TMPDIR"] = str(app / "work"); tempfile.tempdir = None
print(tempfile.gettempdir(), os.rmdir(tempfile.mkdtemp(prefix="kept-")))
shutil.copytree(app / "lib", "copied", symlinks=True); print(sorted(os.listdir("copied")))
shutil.copy2("conf/app.txt", "copied"); shutil.move("copied", "moved"); print(sorted(os.listdir("moved")))
print(shutil.make_archive("packed", "zip", "moved"), shutil.which("greet", path=str(app / "lib")))
shutil.unpack_archive("packed.zip", "unpacked"); print(sorted(os.listdir("unpacked"))); shutil.rmtree("moved")
print(shutil.disk_usage(app / "work").total > 0, os.statvfs("conf").f_namemax)
for how in [["cat", "conf/app.txt"], [str(app / "lib/greet"), "you"], ["./missing"]]:
    tried(how[0], lambda: subprocess.run(how, capture_output=True, text=True))
tried("cwd", lambda: subprocess.check_output(["pwd"], cwd=app / "lib", text=True))
tried("shell", lambda: subprocess.getoutput("cat conf/app.txt; pwd"))
tried("no env", lambda: subprocess.check_output(["/bin/cat", app / "work/conf/app.txt"], env={}, text=True))
tried("spawn", lambda: os.waitpid(os.posix_spawn("/bin/cat", ["cat", "a.txt"], {}, file_actions=[
    (os.POSIX_SPAWN_OPEN, 1, str(app / "work/spawned"), os.O_WRONLY | os.O_CREAT, 0o644)]), 0)[1])
print(open("spawned").read(), end="")
here = os.open("conf", os.O_RDONLY)
tried("dir_fd", lambda: os.stat("app.txt", dir_fd=here).st_size)
tried("fd", lambda: os.readlink(f"/proc/self/fd/{here}"))
os.fchdir(here); print(os.getcwd()); os.chdir("..")
os.symlink("conf/app.txt", "sym"); os.link("a.txt", "hard"); os.chmod("hard", 0o600)
print(os.readlink("sym"), stat.filemode(os.stat("a.txt").st_mode), os.lstat("sym").st_size)
import sqlite3, zipfile, mmap, ctypes, importlib.util
with sqlite3.connect("py.db") as db:
    db.execute("create table t (x)"); db.execute("insert into t values (1)")
print(sqlite3.connect(str(app / "work/py.db")).execute("select x from t").fetchall())
with open("conf/app.txt") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
    print(bytes(mapped[:4]))
os.execv(sys.executable, [sys.executable, "-c", "import os; print('exec', os.getcwd())"])
"#;

const PERL: &str = r#"
use strict; use warnings; use Cwd qw(getcwd abs_path realpath); use File::Find; use File::Copy;
use File::Temp qw(tempfile tempdir); use File::Path qw(make_path remove_tree); use File::Basename; use Fcntl ':flock';
my $app = $ENV{APP};
chdir "$app/work" or die $!;
print getcwd, " ", abs_path("link"), " ", realpath("conf/.."), "\n";
my @seen; find(sub { push @seen, $File::Find::name }, $app); print join(" ", sort @seen), "\n";
print join(" ", sort glob("*.txt conf/* ../lib/*")), "\n";
opendir my $dir, ".." or die $!; print join(" ", sort grep { !/^\./ } readdir $dir), "\n"; closedir $dir;
open(my $out, ">", "../lib/x") or print "refused: $!\n";
open($out, ">", "made") or die $!; flock($out, LOCK_EX) or die $!; print $out "made\n"; close $out;
copy("conf/app.txt", "copy") or print "copy: $!\n"; move("copy", "$app/work/moved") or print "move: $!\n";
print -e "moved" ? "moved\n" : "lost\n", -d "conf" ? "dir\n" : "none\n", -l "link" ? readlink("link") : "", "\n";
my ($fh, $name) = tempfile("tXXXX", DIR => "."); print -s $name, "\n"; unlink $name;
make_path("p/q/r"); print join(",", glob("p/*/*")), "\n"; remove_tree("p"); print -e "p" ? "there\n" : "gone\n";
print `cat conf/app.txt`, `pwd`; system("../lib/greet", "perl"); print $? >> 8, "\n";
open(my $pipe, "-|", "cat", "a.txt") or die $!; print <$pipe>; close $pipe;
rename("conf", "other") or print "rename: $!\n"; symlink("a.txt", "s") or die $!; print readlink "s", "\n";
my @st = stat "a.txt"; printf "%o %d\n", $st[2], $st[7]; utime 5, 6, "made"; print +(stat "made")[9], "\n";
require "$app/lib/greeting.pl"; print hello(), "\n";
exec "/bin/cat", "conf/app.txt";
"#;

fn fill(dir: &Path) {
    let host = dir.join("host");
    write(host.join("data/a.txt"), "a\n");
    write(host.join("data/sub/b.txt"), "b\n");
    link("sub", host.join("data/link"));
    fs::create_dir_all(host.join("data/conf")).expect("a fresh tree");
    write(host.join("conf/app.txt"), "conf\n");
    write(host.join("fixed/greeting.py"), "def hello():\n    return 'hello'\n");
    write(host.join("fixed/greeting.pl"), "sub hello { 'hello' } 1;\n");
    write(host.join("fixed/greet"), "#!/bin/sh\necho \"hello $1 from $0\"\n");
    write(host.join("fixed/session.py"), PYTHON);
    write(host.join("fixed/session.pl"), PERL);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(host.join("fixed/greet"), mode).expect("our own file");
    write(host.join("fixed/tool.h"), "#define WORD \"built\"\n");
    write(
        host.join("data/src/main.c"),
        "#include <stdio.h>\n#include <tool.h>\nint one(void);\nint two(void);\n\
         int main(int argc, char **argv) { FILE *f = fopen(argv[1], \"r\"); char line[99];\n\
         fgets(line, 99, f); printf(\"%s %d %s\", WORD, one() + two(), line); return 0; }\n",
    );
    write(host.join("data/src/one.c"), "int one(void) { return 1; }\n");
    write(host.join("data/src/two.c"), "int two(void) { return 2; }\n");
    write(
        host.join("data/src/Makefile"),
        "CFLAGS = -I$(APP)/lib -O1\nprog: main.o one.o two.o\n\t$(CC) -o $@ $^\n\
         lib.so: one.c\n\t$(CC) -shared -fPIC -o $@ $<\n\
         many: $(foreach n,1 2 3 4 5 6 7 8 9,out/$n)\nout/%: \n\t@mkdir -p out; cat $(APP)/work/conf/app.txt > $@\n\
         clean:\n\trm -rf *.o prog out\nsub:\n\t$(MAKE) -C $(APP)/work/src prog\n",
    );
    fs::create_dir_all(dir.join("home")).expect("a fresh tree");
}

fn world(name: &str) -> World {
    World::new(name, MOUNTS, fill).as_user(65534)
}

#[test]
fn python_and_its_library_work() {
    world("python").same_session(
        "/bin/bash",
        r#"export PYTHONPATH="$APP/lib"; run /usr/bin/python3.11 "$APP/lib/session.py""#,
    );
}

#[test]
fn python_makes_and_uses_a_virtual_environment() {
    world("python-venv").same_session(
        "/bin/bash",
        r#"
        cd "$APP/work"
        run /usr/bin/python3.11 -m venv --without-pip env
        run env/bin/python -c 'import sys; print(sys.prefix, sys.executable)'
        run "$APP/work/env/bin/python" -m compileall -q "$APP/work/env"
        . env/bin/activate; run python -c 'import sys; print(sys.prefix)'
        rm -rf env
        "#,
    );
}

#[test]
fn perl_and_its_library_work() {
    world("perl").same_session("/bin/bash", r#"run perl "$APP/lib/session.pl""#);
}

#[test]
fn gcc_builds_a_program_that_runs() {
    world("gcc").same_session(
        "/bin/bash",
        r#"
        cd "$APP/work"
        run gcc -I ../lib -o prog src/main.c src/one.c "$APP/work/src/two.c"
        run ./prog conf/app.txt
        run "$APP/work/prog" "$APP/work/conf/app.txt"
        run gcc -pipe -save-temps=obj -c -I../lib src/main.c -o main.o; ls main*
        run gcc -c src/one.c -o ../lib/one.o
        run gcc -c src/missing.c
        run gcc -MM -I"$APP/lib" src/main.c
        run gcc -shared -fPIC -o libtwo.so src/two.c
        run gcc -I../lib -o linked src/main.c src/one.c -L. -ltwo
        run ar rcs lib.a main.o; run ar t lib.a
        rm -f main.* prog linked
        "#,
    );
}

#[test]
fn make_runs_many_jobs_at_once() {
    world("make").same_session(
        "/bin/bash",
        r#"
        run make -j8 -s -C "$APP/work/src" prog many
        run "$APP/work/src/prog" "$APP/work/conf/app.txt"
        cat "$APP"/work/src/out/*
        cd "$APP/work/src"; run make -j4 prog; run make sub; run make -n lib.so; run make clean; run make missing
        "#,
    );
}
