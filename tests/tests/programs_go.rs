//! Go programs: they make their system calls themselves, so they have the view
//! through the gate alone, static or not.

use std::fs;
use std::path::Path;
use std::process::Command;

use tests::{Mount, WAITING, World, feed, free_port, link, read_only, read_write, transcript, write};

const MOUNTS: &[Mount] =
    &[read_write("work", "data"), read_only("site", "site"), read_only("work/conf", "conf")];

/// What a Go program does with paths, processes and threads.
const PROGRAM: &str = r#"package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"os/user"
	"path/filepath"
	"sync"
	"syscall"
)

func main() {
	app := os.Getenv("APP")
	self, err := os.Executable()
	fmt.Println(self, err, os.Args[0])
	filepath.WalkDir(app+"/site", func(path string, entry fs.DirEntry, err error) error {
		fmt.Println(path, entry.Type(), err)
		return nil
	})
	_, err = os.Create(app + "/site/new")
	fmt.Println(err)
	fmt.Println(os.Rename(app+"/work/conf", app+"/work/other"))
	fmt.Println(os.Chdir(app + "/work"))
	fmt.Println(os.Getwd())
	fmt.Println(filepath.EvalSymlinks("link/page.md"))
	out, err := exec.Command("cat", "conf/app.toml").CombinedOutput()
	fmt.Printf("%s%v\n", out, err)
	var all sync.WaitGroup
	failed := make(chan error, 1000)
	for n := 0; n < 32; n++ {
		all.Add(1)
		go func(n int) {
			defer all.Done()
			name := fmt.Sprintf("%s/work/file%d", app, n)
			for round := 0; round < 50; round++ {
				if err := os.WriteFile(name, []byte(name), 0644); err != nil {
					failed <- err
				}
				if text, err := os.ReadFile(name); err != nil || string(text) != name {
					failed <- fmt.Errorf("%s: %q %v", name, text, err)
				}
			}
			if out, err := exec.Command("/bin/cat", name).Output(); err != nil || string(out) != name {
				failed <- fmt.Errorf("cat %s: %q %v", name, out, err)
			}
			os.Remove(name)
		}(n)
	}
	all.Wait()
	close(failed)
	for err := range failed {
		fmt.Println(err)
	}
	taken := make(chan os.Signal, 1)
	signal.Notify(taken, syscall.SIGUSR1)
	syscall.Kill(os.Getpid(), syscall.SIGUSR1)
	fmt.Println(<-taken)
	who, err := user.LookupId("0")
	fmt.Println(who.Username, err)
	fmt.Println(syscall.Exec("/bin/cat", []string{"cat", app + "/work/conf/app.toml"}, nil))
}
"#;

fn fill(dir: &Path) {
    let host = dir.join("host");
    write(host.join("site/index.html"), "<p>hello from the view</p>\n");
    write(
        host.join("site/config.toml"),
        "baseURL = 'http://localhost/'\ntitle = 'A site'\ndisableKinds = ['RSS', 'sitemap']\n",
    );
    write(host.join("site/content/page.md"), "---\ntitle: Page\n---\nSome *text*.\n");
    write(host.join("site/layouts/_default/single.html"), "<h1>{{ .Title }}</h1>{{ .Content }}\n");
    write(
        host.join("site/layouts/index.html"),
        "{{ range .Site.RegularPages }}<a href='{{ .RelPermalink }}'>{{ .Title }}</a>{{ end }}\n",
    );
    write(host.join("site/app.js"), "import { word } from './lib/word';\nconsole.log(word());\n");
    write(host.join("site/lib/word.ts"), "export function word(): string { return 'bundled'; }\n");
    write(host.join("conf/app.toml"), "name = \"app\"\n");
    write(host.join("data/go/main.go"), PROGRAM);
    write(host.join("data/go/go.mod"), "module probe\n\ngo 1.19\n");
    write(host.join("data/sub/page.md"), "page\n");
    link("sub", host.join("data/link"));
    fs::create_dir_all(host.join("data/conf")).expect("a fresh tree");
    fs::create_dir_all(dir.join("home")).expect("a fresh tree");
}

fn same(name: &str, script: &str) {
    let world = World::new(name, MOUNTS, fill).saying("coverage.door = \"gate\"").as_user(65534);
    world.same_session("/bin/bash", &format!("{WAITING}cd \"$APP/work\"\n{script}"));
}

/// Opens a file from many threads, waits in calls that no element has a say in, and says how its
/// own system calls are made.
const CALLER: &str = r#"package main

import (
	"bytes"
	"fmt"
	"os"
	"sync"
)

func main() {
	var all sync.WaitGroup
	for n := 0; n < 300; n++ {
		all.Add(1)
		go func() {
			defer all.Done()
			from, to, _ := os.Pipe()
			go func() { to.Write([]byte("x")) }()
			from.Read(make([]byte, 1))
			for round := 0; round < 100; round++ {
				if text, err := os.ReadFile(os.Args[1]); err != nil || string(text) != "name = \"app\"\n" {
					fmt.Println(text, err)
				}
			}
			from.Close()
			to.Close()
		}()
	}
	all.Wait()
	var start, end int64
	maps, _ := os.ReadFile("/proc/self/maps")
	fmt.Sscanf(string(maps[bytes.Index(maps, []byte("r-xp"))-18:]), "%x-%x", &start, &end)
	text := make([]byte, end-start)
	memory, _ := os.Open("/proc/self/mem")
	memory.ReadAt(text, start)
	rest := []byte{0x48, 0x3d, 1, 0xf0, 0xff, 0xff, 0x76, 0x15, 0x48, 0xf7, 0xd8}
	fmt.Println(bytes.Count(text, append([]byte{0x0f, 5}, rest...)), bytes.Count(text, append([]byte{0xeb, 0x28}, rest...)))
}
"#;

#[test]
fn the_function_that_makes_all_calls_of_a_go_program_jumps_to_the_gate() {
    let world = World::new("go-jump", MOUNTS, fill).saying("coverage.door = \"gate\"");
    let (source, program) = (world.dir.join("caller.go"), world.dir.join("caller"));
    write(source.clone(), CALLER);
    let mut build = Command::new("go");
    build.args(["build", "-o"]).arg(&program).arg(source).current_dir(&world.dir);
    build.env("CGO_ENABLED", "0").env("GO111MODULE", "off").env("GOCACHE", world.dir.join("cache"));
    assert!(build.status().expect("go is installed").success());
    let file = world.dir.join("app/work/conf/app.toml");
    let mut command = world.in_view(&program);
    let found = transcript(&feed(command.arg(file), b""));
    assert!(found.contains("\n0 1\n") || found.starts_with("0 1\n"), "{found}");
}

/// The compiler and the linker are Go programs as well.
#[test]
fn go_builds_programs_that_run() {
    same(
        "go-build",
        r#"
        export GOCACHE="$APP/work/cache" GOFLAGS=-mod=mod GOPATH="$APP/work/path" GO111MODULE=on
        cd go
        CGO_ENABLED=0 run go build -o ../static .
        CGO_ENABLED=1 run go build -o ../dynamic .
        cd ..; file_of() { readelf -lW "$1" | grep -c INTERP; }
        run file_of static; run file_of dynamic
        run ./static; run "$APP/work/dynamic"
        rm -rf cache path
        "#,
    );
}

#[test]
fn hugo_builds_a_site() {
    same(
        "go-hugo",
        r#"
        # hugo keeps what it has generated beside the site.
        cp -r "$APP/site" "$APP/work/src"
        run hugo --quiet --source "$APP/work/src" --contentDir "$APP/site/content" --destination "$APP/work/public" --cacheDir "$APP/work/cache"
        (cd public && find . -type f | sort | while read -r name; do echo "$name"; cat "$name"; done)
        rm -rf cache src
        "#,
    );
}

#[test]
fn esbuild_bundles() {
    same(
        "go-esbuild",
        r#"
        run esbuild --log-level=warning --bundle "$APP/site/app.js" --outfile="$APP/work/out/app.js" --sourcemap
        cat out/app.js; cat out/app.js.map
        cd "$APP/site"; run esbuild --log-level=warning --bundle app.js --minify
        run esbuild --log-level=error --bundle missing.js
        run esbuild --log-level=error --bundle app.js --outfile="$APP/site/out.js"
        "#,
    );
}

#[test]
fn rclone_copies_and_compares() {
    same(
        "go-rclone",
        r#"
        export RCLONE_CONFIG="$APP/work/rclone.conf"
        mkdir many; for n in $(seq 200); do echo "$n" > "many/$n"; done
        run rclone config create here alias remote "$APP/work" > /dev/null; cat rclone.conf
        run rclone sync -q many "$APP/work/copy"; run rclone check -q many here:copy
        diff -r many copy && echo alike
        echo more > many/7; rm many/8; run rclone check -q many copy 2>&1 | sed 's|^[0-9/]* [0-9:]* ||' | sort
        run rclone sync -q many here:copy; diff -r many copy && echo alike
        run rclone lsf -R here:sub; run rclone cat here:conf/app.toml; run rclone size here:many
        run rclone copy -q many "$APP/site/many" 2>&1 | grep -c 'read-only file system' | sed 's/^[1-9].*/refused/'
        rm -rf many copy .cache
        "#,
    );
}

#[test]
fn caddy_serves_files() {
    let port = free_port();
    same(
        "go-caddy",
        &format!(
            r#"
            export XDG_DATA_HOME="$APP/work/share" XDG_CONFIG_HOME="$APP/work/config"
            caddy file-server --root "$APP/site" --listen 127.0.0.1:{port} --browse > log 2>&1 & server=$!
            listens {port}; get() {{ run curl -s -o - -w '%{{http_code}}\n' "http://127.0.0.1:{port}$1"; }}
            get /; get /lib/word.ts; get /missing; get /lib/../app.js
            get /lib/ | grep -o 'href="[^"]*"'
            for n in $(seq 20); do curl -s "http://127.0.0.1:{port}/app.js" & done | sort | uniq -c
            kill -INT $server; wait $server; echo "= $?"
            rm -rf log share config .config .local
            "#
        ),
    );
}

#[test]
fn etcd_keeps_what_it_is_given() {
    let (clients, peers) = (free_port(), free_port());
    same(
        "go-etcd",
        &format!(
            r#"
            export ETCDCTL_API=3 ETCDCTL_ENDPOINTS=127.0.0.1:{clients}
            for round in 1 2; do
                etcd --name one --data-dir "$APP/work/etcd" --listen-client-urls http://127.0.0.1:{clients} \
                    --advertise-client-urls http://127.0.0.1:{clients} --listen-peer-urls http://127.0.0.1:{peers} \
                    --initial-advertise-peer-urls http://127.0.0.1:{peers} --initial-cluster one=http://127.0.0.1:{peers} \
                    > log$round 2>&1 & server=$!
                listens {clients}
                run etcdctl get round; run etcdctl put round $round; run etcdctl put "key$round" "$(cat conf/app.toml)"
                run etcdctl get --prefix key; run etcdctl endpoint health 2>&1 | sed 's/took = .*//'
                run etcdctl snapshot save "$APP/work/backup$round" 2>&1 | grep -c 'Snapshot saved'
                kill -TERM $server; wait $server; echo "= $?"
            done
            run etcdctl snapshot restore backup2 --data-dir "$APP/work/restored" > /dev/null; ls restored/member
            rm -rf log? etcd restored backup?
            "#
        ),
    );
}
