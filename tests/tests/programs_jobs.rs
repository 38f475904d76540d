//! Jobs: a shell's in a terminal, a terminal multiplexer's, and those that
//! build tools run at once.

use std::fs;
use std::path::Path;

use tests::{Mount, World, read_only, read_write, write};

const MOUNTS: &[Mount] = &[read_write("work", "data"), read_only("ro", "fixed")];

/// Types lines into an interactive bash on a terminal of its own, each when
/// the one before has been answered.
const TYPIST: &str = r##"
import os, pty, re, select, signal, sys, time
pid, master = pty.fork()
if pid == 0:
    # Whoever started all this in the background had them ignored.
    signal.signal(signal.SIGINT, signal.SIG_DFL); signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    os.environ.update(PS1="ready> ", TERM="dumb", HISTFILE="")
    os.execv("/bin/bash", ["bash", "--norc", "--noprofile", "--noediting", "-i"])
seen = b""
def until(word, seconds=20):
    global seen
    end = time.monotonic() + seconds
    while word not in seen:
        if not select.select([master], [], [], max(0, end - time.monotonic()))[0]:
            print(seen, f"and no {word}"); os.kill(pid, 9); sys.exit(1)
        try:
            seen += os.read(master, 4096)
        except OSError:
            break
    before, _, seen = seen.partition(word)
    for line in before.decode().splitlines():
        print(re.sub(r"\b\d{3,}\b", "PID", line).rstrip())
until(b"ready> ")
for line in sys.stdin.read().splitlines():
    if line.startswith("key "):
        time.sleep(0.5); os.write(master, {"^C": b"\x03", "^Z": b"\x1a", "^D": b"\x04"}[line[4:]])
    else:
        os.write(master, line.encode() + b"\n")
    if not line.startswith("wait "):
        if line.endswith("# runs"):
            continue
        until(b"ready> ")
print("ended", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"##;

fn fill(dir: &Path) {
    let host = dir.join("host");
    write(host.join("fixed/typist.py"), TYPIST);
    write(host.join("fixed/word"), "word\n");
    write(
        host.join("fixed/build.ninja"),
        "rule copy\n command = cat $in > $out && sleep 0.0$jitter\n depfile = $out.d\n description = COPY $out\n\
         include many.ninja\nbuild bad: copy missing\n",
    );
    let many: String = (0..60).map(|n| format!("build out/{n}: copy word\n jitter = {}\n", n % 7)).collect();
    write(host.join("fixed/many.ninja"), &many);
    fs::create_dir_all(host.join("data")).expect("a fresh tree");
    fs::create_dir_all(dir.join("home")).expect("a fresh tree");
}

fn same(name: &str, script: &str) {
    let world = World::new(name, MOUNTS, fill).as_user(65534);
    world.same_session("/bin/bash", &format!("cd \"$APP/work\"\n{script}"));
}

#[test]
fn bash_controls_its_jobs() {
    same(
        "jobs-bash",
        r#"
        /usr/bin/python3.11 "$APP/ro/typist.py" <<'END'
cat ../ro/word; pwd
sleep 100 # runs
key ^Z
jobs
bg %1
jobs
kill %1; wait %1
cat # runs
key ^C
echo $?
cat > typed # runs
key ^D
sleep 0.2 & wait $!; echo $?
(cat ../ro/word; sleep 100) # runs
key ^Z
kill -CONT %1; fg %1 # runs
key ^C
jobs; echo $?
set -m; sleep 100 | cat & disown %1; jobs
until pgrep -P $$ sleep > found; do sleep 0.1; done; kill -TERM $(cat found); cat ../ro/word | tr a-z A-Z
trap 'echo trapped $(cat ../ro/word)' INT; sleep 100 # runs
key ^C
stty -a | grep -o 'intr = [^;]*'; tty | sed 's/[0-9].*//'
exit 7 # runs
END
        ls
        "#,
    );
}

#[test]
fn tmux_runs_shells_in_its_windows() {
    same(
        "jobs-tmux",
        r#"
        t() { tmux -f /dev/null -S "$APP/work/tmux.sock" "$@"; }
        export TERM=screen PS1='> '
        run t new-session -d -s one -x 80 -y 24 'bash --norc --noprofile'
        shows() { for _ in $(seq 200); do t capture-pane -p -t one | grep -q "$1" && return; sleep 0.05; done; echo "no $1"; }
        shows '\$'; t send-keys -t one 'cat ../ro/word; pwd; tty > terminal; echo fin""ished' Enter; shows '^finished'; sleep 0.3
        t capture-pane -p -t one | grep -v '^$'
        run t new-window -t one -n two -c "$APP/ro" 'cat word; pwd; sleep 100'
        run t split-window -t one:two "cat '$APP/ro/word'; sleep 100"
        for pane in 0 1; do
            for _ in $(seq 200); do t display-message -p -t one:two.$pane '#{pane_current_command}' | grep -q sleep && break; sleep 0.05; done
        done
        run t capture-pane -p -t one:two.0 | grep -v '^$'; run t list-windows -t one -F '#{window_name} #{window_panes}'
        run t display-message -p -t one:two.0 '#{pane_current_path} #{pane_current_command}'
        run t kill-server; for _ in $(seq 100); do t ls 2> /dev/null || break; sleep 0.05; done
        sed 's/[0-9].*//' terminal; rm -f terminal tmux.sock
        "#,
    );
}

#[test]
fn ninja_builds_with_many_jobs() {
    same(
        "jobs-ninja",
        r#"
        cp "$APP"/ro/* .
        run ninja -j8 --quiet out/1 out/2; NINJA_STATUS= ninja -j8 -k0 2>&1 | grep -v COPY
        NINJA_STATUS= ninja -j8 -k0 $(seq -f out/%g 0 59) > /dev/null; echo "= $?"; cat out/* | sort | uniq -c
        run ninja -j8 -C "$APP/work" -t clean; run ninja -t targets all | head -n 3; rm -rf out .ninja_*
        "#,
    );
}

#[test]
fn git_fetches_packs_and_collects_with_many_jobs() {
    same(
        "jobs-git",
        r#"
        export GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z'
        git config --global user.name one; git config --global user.email one@example.org
        git config --global init.defaultBranch main; git config --global protocol.file.allow always
        for n in 1 2 3 4; do
            git init -q "up$n"; for m in $(seq 50); do echo "$n $m" > "up$n/f$m"; done
            git -C "up$n" add .; git -C "up$n" commit -qm "first of $n"
        done
        run git clone -q "$APP/work/up1" all; cd all
        for n in 2 3 4; do git remote add "up$n" "../up$n"; git submodule --quiet add "$APP/work/up$n" "sub$n"; done
        git commit -qm modules
        run git fetch -q --all --jobs=4; run git branch -r | sort
        run git submodule update -q --init --jobs 4; run git submodule status
        run git -c pack.threads=4 repack -adq --threads=4; run git gc -q --aggressive; run git fsck --no-progress
        run git -c checkout.workers=4 -c checkout.thresholdForParallelism=1 checkout -q up2/main; ls | head -n 3
        run git grep --threads 4 -c '2 7' ; run git log --oneline --all | sort
        run git worktree add -q "$APP/work/tree" main; run git -C ../tree status --short; run git worktree list
        run git maintenance run --task=commit-graph --quiet; git count-objects -v | grep -E '^(count|packs)'
        cd ..; rm -rf up? all tree; rm -f "$HOME/.gitconfig"
        "#,
    );
}
