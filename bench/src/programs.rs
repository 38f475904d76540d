//! Whole programs: shell scripts that tell how long their work took.
//!
//! `TREE` stands for a directory of 20,000 files in a work tree of git(1), under a
//! mount; `READ` for the Go program that reads them, `PORT` for a free port and
//! `DIR` for a directory to write to, `LARGE` for one with files of some sizes by many names, under a mount,
//! `MOUNT` for where the mount is. What only prepares is left out of the time.

use std::path::PathBuf;

use crate::ground::Ground;

/// find(1) that looks at each file.
pub const FIND: &str = "begin; find TREE -type f -size +100k > DIR/out; end 1";
/// tar(1) that reads them all.
pub const TAR: &str = "begin; tar -C TREE -cf - . | cat > /dev/null; end 1";
/// git(1) that compares them all with its index.
pub const GIT: &str = "begin; git -C TREE status --porcelain > DIR/out; end 1";
/// A static Go program.
pub const GO: &str = "begin; READ TREE 5; end 1";
/// A build of fifty files by two processes at a time.
pub const MAKE: &str =
    "rm -rf DIR/build; mkdir DIR/build; begin; make -s -j2 -C MOUNT/c OUT=DIR/build; end 1";
/// Two hundred commits to a database in the mount; what they cost without the disk.
pub const SQLITE: &str = "rm -f MOUNT/db; sqlite3 MOUNT/db 'create table t (a)'; begin; i=0; \
    { echo 'pragma synchronous = off;'; while [ $i -lt 200 ]; do echo \"insert into t values ($i);\"; i=$((i+1)); done; } | \
    sqlite3 MOUNT/db > DIR/out; end 200; rm MOUNT/db";
/// A loop in perl(1) that forks.
pub const PERL: &str =
    "begin; perl -e 'for (1..200) { my $p = fork; exit unless $p; waitpid $p, 0 }'; end 200";
/// A loop in bash(1) that forks.
pub const BASH: &str = "begin; bash -c 'for i in {1..200}; do (:); done'; end 200";
/// A bundler of JavaScript, which is a Go program.
pub const ESBUILD: &str =
    "begin; esbuild --bundle --log-level=error --outfile=DIR/out.js MOUNT/js/index.js; end 1";
/// The start of a Java machine.
pub const JAVA: &str = "begin; java -version 2> DIR/out; end 1";
/// 20,000 requests to redis, by sixteen clients.
pub const REDIS: &str = "redis-server --port PORT --bind 127.0.0.1 --save '' --dir DIR > DIR/out & \
    until redis-cli -p PORT ping > DIR/out 2>&1; do sleep 0.02; done; \
    begin; redis-benchmark -p PORT -c 16 -n 20000 -t get -q > DIR/out; end 20000; kill $!; wait";
/// 10,000 requests for a file under a mount to nginx, by sixteen clients.
pub const NGINX: &str = "printf 'daemon off; pid DIR/pid; error_log DIR/err; events {} http { access_log off; \
    client_body_temp_path DIR/1; proxy_temp_path DIR/2; fastcgi_temp_path DIR/3; uwsgi_temp_path DIR/4; scgi_temp_path DIR/5; \
    server { listen 127.0.0.1:PORT; root TREE; } }' > DIR/conf; nginx -e DIR/err -c DIR/conf & \
    until ab -n 1 http://127.0.0.1:PORT/0/0/0 > DIR/out 2>&1; do sleep 0.02; done; \
    begin; ab -q -k -c 16 -n 10000 http://127.0.0.1:PORT/0/0/0 > DIR/out; end 10000; kill $!; wait";

/// A start of python(1), each with the same order of hashes: with others it takes some percent more or less.
pub const PYTHON: &str =
    "begin; PYTHONHASHSEED=0 /usr/bin/python3 -c 'import json, email, http.client, sqlite3'; end 1";
/// gcc(1) of a file that includes much.
pub const GCC: &str = "printf '#include <stdio.h>\\n#include <stdlib.h>\\n#include <string.h>\\n#include <sys/socket.h>\\n\
    int main(void) { return 0; }' > DIR/a.c; begin; gcc -O -o DIR/a DIR/a.c; end 1";

/// The first writes to so many files of a size of the base (`material.rs`), each time others.
macro_rules! first_write {
    ($size:literal) => {
        concat!("size=", $size, "; ", "read n times < DIR/next-$size; last=$((n + times - 1)); echo $((last + 1)) $times > DIR/next-$size; \
            cd LARGE/$size; test -s $last || exit 1; files=$(seq $n $last); \
            begin; for file in $files; do : >> $file; done; end $times; rm $files")
    };
}
/// What those are held against: cp(1) of as many.
macro_rules! copy {
    ($size:literal) => {
        concat!(
            "size=",
            $size,
            "; ",
            "read n times < DIR/next-$size; rm -rf DIR/copies; mkdir DIR/copies; cd LARGE/$size; \
            files=$(seq 1 $times); begin; cp $files DIR/copies; end $times; rm -r DIR/copies"
        )
    };
}
/// For each size: what it is held against, and the first write.
pub const FIRST_WRITES: [(&str, &str); 4] = [
    (copy!("4K"), first_write!("4K")),
    (copy!("1M"), first_write!("1M")),
    (copy!("64M"), first_write!("64M")),
    (copy!("1G"), first_write!("1G")),
];

/// A thousand transactions of postgresql by four clients, without the disk: in a directory of its own, and under the mount.
macro_rules! pgbench {
    ($data:literal) => {
        concat!("data=", $data, "; ", "cd /; user() { setpriv --reuid 65534 --regid 65534 --clear-groups \"$@\"; }; \
            bin=$(echo /usr/lib/postgresql/*/bin); export PGHOST=DIR; \
            user $bin/pg_ctl -s -w -D $data -l DIR/log -o '-k DIR -c listen_addresses= -c fsync=off' start || exit 1; \
            begin; user $bin/pgbench -n -c 4 -t 250 postgres > DIR/out 2>&1 || { cat DIR/out >&2; exit 1; }; end 1000; \
            user $bin/pg_ctl -s -w -m fast -D $data stop")
    };
}
/// Natively beside a union, whose layers must not change.
pub const PGBENCH_APART: &str = pgbench!("DIR/pg");
/// Under the mount.
pub const PGBENCH: &str = pgbench!("MOUNT/pg");
/// In a union: another cluster, since natively the one under the mount changes, and this one's lower files with it.
pub const PGBENCH_UNION: &str = pgbench!("MOUNT/pg-union");

/// Who looks at the clock.
#[derive(Clone, Copy)]
pub enum Clock {
    /// The script, by date(1): it prints nanoseconds of each operation.
    Inside,
    /// Who reads what it prints: a line when the work begins, and one with how many operations it was when it ends. A clock that
    /// is a program of its own starts as slowly as all programs of the peer do.
    Outside,
}

impl Clock {
    fn words(self) -> &'static str {
        match self {
            Clock::Inside => {
                "begin() { from=$(date +%s%N); }; end() { echo $((($(date +%s%N) - from) / $1)); }; "
            }
            Clock::Outside => "begin() { echo; }; end() { echo $1; }; ",
        }
    }
}

/// The script with the names of this run.
pub fn script(text: &str, ground: &Ground, clock: Clock) -> String {
    let show = |path: PathBuf| path.to_string_lossy().into_owned();
    clock.words().to_owned()
        + &text
            .replace("TREE", &show(ground.at(0).join("many")))
            .replace("MOUNT", &show(ground.at(0)))
            .replace("LARGE", &show(ground.large()))
            .replace("READ", &show(ground.reader()))
            .replace("PORT", &tests::free_port().to_string())
            .replace("DIR", &show(ground.scratch()))
}
