//! What /proc and /dev/fd tell a program of its own files are app paths.

use std::fs;
use std::path::Path;

use tests::{Mount, World, compiled, link, program, read_only, read_write, write};

const MOUNTS: &[Mount] =
    &[read_write("work", "data"), read_only("ro", "fixed"), read_only("etc/app.conf", "conf")];

fn fill(dir: &Path) {
    let host = dir.join("host");
    write(host.join("data/file"), "data\n");
    write(host.join("data/sub/deep"), "deep\n");
    write(host.join("fixed/file"), "fixed\n");
    write(host.join("conf"), "conf\n");
    link("file", host.join("data/link"));
    for program in ["readlink", "cat", "ls"] {
        fs::copy(Path::new("/bin").join(program), host.join("fixed").join(program)).expect("a fresh tree");
    }
    fs::copy("/usr/bin/python3.11", host.join("fixed/python")).expect("a fresh tree");
    fs::create_dir_all(dir.join("home")).expect("a fresh tree");
}

fn world(name: &str) -> World {
    World::new(name, MOUNTS, fill).as_user(65534)
}

#[test]
fn links_in_proc_are_app_paths() {
    world("proc-links").same_session(
        "/bin/bash",
        r#"
        cd "$APP/work/sub"
        run readlink /proc/self/cwd /proc/self/root /proc/self/exe /proc/thread-self/cwd
        run "$APP/ro/readlink" /proc/self/exe; run ../../ro/readlink -f /proc/self/exe
        run realpath /proc/self/cwd /proc/self/cwd/deep /proc/self/root/etc
        exec 5< "$APP/ro/file" 6> out 7< . 8< "$APP/etc/app.conf" 9< ../link
        run readlink /proc/self/fd/5 /proc/self/fd/6 /proc/self/fd/7 /proc/self/fd/8 /proc/self/fd/9
        readlink /dev/fd/5 /proc/$$/fd/6 /proc/$$/cwd
        run realpath /dev/fd/5 /proc/self/fd/7/deep; run readlink -f /dev/fd/8
        run stat -c %N /proc/self/cwd /proc/self/fd/5
        run find /proc/self/fd/ -lname "$APP/*" -printf '%f %l\n'
        ls -l /proc/$$/fd | sed -n 's/.* \([5-9]\) -> /\1 /p'
        rm out; run readlink /proc/self/fd/6
        run python3 -c 'import os; fd = os.open("/proc/self", os.O_RDONLY); print(os.readlink("cwd", dir_fd=fd))'
        "#,
    );
}

#[test]
fn files_are_reached_through_proc_and_dev_fd() {
    world("proc-through").same_session(
        "/bin/bash",
        r#"
        cd "$APP/work"
        exec 5< "$APP/ro/file" 7< . 8<> file
        run cat /dev/fd/5; run cat /proc/self/fd/8; run cat /dev/stdin < file; run cat < /proc/self/cwd/file
        run cat /proc/self/cwd/../ro/file "/proc/self/root$APP/ro/file" /proc/self/fd/7/sub/deep /proc/self/fd/7/../etc/app.conf
        run ls /proc/self/cwd/ /proc/self/fd/7/.. "/proc/self/root$APP"
        (cd /proc/self/cwd && pwd -P); (cd /proc/self/fd/7/sub && pwd -P); (cd "/proc/self/root$APP/ro"; cat file)
        echo more > /dev/fd/8; cat file; echo x > /proc/self/fd/5; run touch /proc/self/cwd/../ro/new
        run touch /proc/self/cwd/new; run rm /proc/self/cwd/new; run mv /proc/self/fd/7/file /proc/self/cwd/moved; ls
        cat /proc/$$/cwd/moved; run test -e /proc/self/cwd/moved; run stat -L -c %s /proc/self/fd/5
        tee /dev/stderr < moved 2>&1 > /dev/null; cat <(cat moved) | cat /dev/fd/0
        "#,
    );
}

#[test]
fn a_program_learns_its_own_name_as_the_application_knows_it() {
    let own = r#"
import os, sys
print(sys.executable, os.readlink("/proc/self/exe"), open("/proc/self/exe", "rb").read(4))
print(os.stat("/proc/self/exe").st_size == os.stat(os.environ["APP"] + "/ro/python").st_size)
os.execv("/proc/self/exe", ["again", "-I", "-S", "-c", "import os; print('again', os.readlink('/proc/self/exe'))"])
"#;
    world("proc-exe").same_session(
        "/bin/bash",
        &format!(
            r#"export PYTHONHOME=/usr; cd "$APP/ro"; run ./python -S -c '{own}'; cd ..; PATH="$APP/ro" python -S -c '{own}'
            (exec -a other "$APP/ro/python" -S -c 'import os; print(os.readlink("/proc/self/exe"))')"#
        ),
    );
}

/// What /proc tells of a process beside its files: names, words, and where its parts lie.
const TELLS: &str = r#"
import ctypes, os, subprocess, threading
me = "/proc/%d/" % os.getpid()
read = lambda path: open(path, "rb").read()
libc = ctypes.CDLL(None)
libc.getauxval.restype = ctypes.c_ulong
at = lambda key: libc.getauxval(key)
for base in ("/proc/self/", me, me + "task/%d/" % os.getpid()):
    print(read(base + "comm"), read(base + "stat").split(b"(")[1].split(b")")[0], read(base + "status").split(b"\n")[0])
fields = [0, 0, 0] + read("/proc/self/stat").rsplit(b")", 1)[1].split()
code, arguments, environment = ([int(fields[n]) for n in pair] for pair in ((26, 27), (48, 49), (50, 51)))
libc.sbrk.restype = ctypes.c_ulong
print("entry in code", code[0] <= at(9) < code[1], "heap", 0 < int(fields[47]) <= libc.sbrk(0))
stack = next(line.split()[0] for line in open("/proc/self/maps") if line.endswith("[stack]\n"))
low, high = (int(end, 16) for end in stack.split("-"))
print("stack", all(low <= end <= high for end in (int(fields[28]), *arguments, *environment)))
print(read("/proc/self/cmdline"))
print("arguments", ctypes.string_at(arguments[0], arguments[1] - arguments[0]) == read("/proc/self/cmdline"))
print("environment", ctypes.string_at(environment[0], environment[1] - environment[0]) == read("/proc/self/environ"), b"MARK=here" in read("/proc/self/environ").split(b"\0"))
raw = read("/proc/self/auxv")
auxv = dict((int.from_bytes(raw[n:n + 8], "little"), int.from_bytes(raw[n + 8:n + 16], "little")) for n in range(0, len(raw), 16))
print("auxv", [key for key in (3, 4, 5, 6, 9, 11, 25) if auxv[key] != at(key)])
def thread():
    own = "/proc/self/task/%d/comm" % threading.get_native_id()
    before = read(own)
    libc.prctl(15, b"a worker", 0, 0, 0)
    print(before, read(own), read("/proc/thread-self/comm"), read("/proc/self/comm"))
worker = threading.Thread(target=thread)
worker.start(); worker.join()
show = lambda *words: print(subprocess.run(words, capture_output=True, text=True).stdout.replace(str(os.getpid()), "me"))
show("ps", "-o", "pid=,comm=", "-p", str(os.getpid()))
show("pgrep", "-P", str(os.getppid()), "-l", "python")
show("sed", "s/.*/found/", "/proc/%d/comm" % os.getpid())
"#;

#[test]
fn a_process_goes_by_its_programs_name_and_words() {
    world("proc-names").same_session(
        "/bin/bash",
        &format!(
            "export PYTHONHOME=/usr MARK=here; cat > \"$APP/work/tells\" <<'END'\n{TELLS}\nEND\n\
             \"$APP/ro/python\" -S \"$APP/work/tells\" and words; python3 -S \"$APP/work/tells\"\n\
             (exec -a 'other name' \"$APP/ro/python\" -S \"$APP/work/tells\")
             cp /bin/cat \"$APP/work/real\"; ln -s real \"$APP/work/alias\"; ln -s ./alias \"$APP/work/other\"; cd \"$APP/work\"
             for name in real alias ./other \"$APP/work/alias\"; do env PATH=. \"$name\" /proc/self/comm; done"
        ),
    );
}

/// Prints the mappings of files: rights, offset, size and path.
const MAPS: &str = r#"
import os, re
for name in ("maps", "smaps", "numa_maps"):
    for path in ("/proc/self/", "/proc/%d/task/%d/" % (os.getpid(), os.getpid())):
        text = open(path + name).read()
        print(name, "launcher/" in text)
        for start, end, rights, offset, file in re.findall(r"(?m)^([0-9a-f]+)-([0-9a-f]+) (....) ([0-9a-f]+) \S+ \d+ +(/.*)$", text):
            print(rights, offset, int(end, 16) - int(start, 16), file)
        for file in sorted(set(re.findall(r" file=(\S+)", text))):
            print(file)
"#;

fn world_of_maps(name: &str) -> World {
    let fill = |dir: &Path| {
        fill(dir);
        link("/proc/self/maps", dir.join("host/data/maps"));
        fs::copy(program("maps"), dir.join("host/fixed/maps")).expect("a fresh tree");
        let fixed = compiled("maps", &["-static"], "maps-static");
        fs::copy(fixed, dir.join("host/fixed/maps-static")).expect("a fresh tree");
    };
    World::new(name, MOUNTS, fill).as_user(65534)
}

#[test]
fn the_mappings_of_a_process_are_those_of_its_program() {
    world_of_maps("proc-maps").same_session(
        "/bin/bash",
        &format!(
            r#"
            export PYTHONHOME=/usr; cd "$APP/work"
            run "$APP/ro/maps" "$APP"; run "$APP/ro/python" -S -c '{MAPS}'; run python3 -S -c '{MAPS}'
            for i in {{1..40}}; do test -e "file$i"; done; grep -c launcher/ /proc/$$/maps
            sed -n 's/.* //; /[.]so/p' /proc/$$/maps
            "#
        ),
    );
}

#[test]
fn the_mappings_of_a_static_program_are_its_own() {
    world_of_maps("proc-maps-static")
        .saying("coverage.door = \"gate\"")
        .same_session("/bin/bash", r#"run "$APP/ro/maps-static" "$APP""#);
}
