//! Programs that keep data in files of their own making: git, sqlite3,
//! openssl.

use std::fs;
use std::path::Path;

use tests::{Mount, World, read_only, read_write, write};

const MOUNTS: &[Mount] =
    &[read_write("work", "data"), read_only("upstream", "fixed"), read_only("etc/app.conf", "conf")];

fn fill(dir: &Path) {
    let host = dir.join("host");
    write(host.join("data/first.txt"), "first\n");
    write(host.join("data/sub/second.txt"), "second\n");
    write(host.join("fixed/notes"), "notes\n");
    write(host.join("conf"), "conf\n");
    fs::create_dir_all(dir.join("home")).expect("a fresh tree");
}

fn world(name: &str) -> World {
    World::new(name, MOUNTS, fill).as_user(65534)
}

/// Git writes the same objects for the same dates, so hashes can be compared.
const GIT: &str = r#"
export GIT_CONFIG_GLOBAL="$APP/work/.gitconfig" GIT_CONFIG_NOSYSTEM=1 GIT_PAGER=cat
export GIT_AUTHOR_DATE='2001-01-01T00:00:00Z' GIT_COMMITTER_DATE='2001-01-01T00:00:00Z'
git config --global user.name N; git config --global user.email n@example.org
git config --global init.defaultBranch main; git config --global advice.detachedHead false
git config --global protocol.file.allow always
cd "$APP/work"
"#;

#[test]
fn git_commits_clones_and_collects() {
    world("git").same_session(
        "/bin/bash",
        &format!(
            r#"{GIT}
            run git init -q repo; cd repo; cp ../first.txt .; cp -r ../sub .
            run git add .; run git commit -q -m one; run git rev-parse HEAD 'HEAD^{{tree}}' --show-toplevel --git-dir
            echo more >> first.txt; run git status --short; run git diff; run git commit -qam two
            run git log --oneline --stat
            run git checkout -q -b side HEAD~1; echo side > side.txt; run git add side.txt; run git commit -q -m side
            run git checkout -q main; run git merge -q side -m merged; run git log --graph --format=%h:%s
            run git tag v1; run git stash list; echo x >> first.txt; run git stash -q; run git stash pop -q
            run git worktree add -q ../tree side; run git -C ../tree status --short --branch
            run git worktree list; run git -C "$APP/work/tree" rev-parse --show-toplevel --git-common-dir
            run git checkout -q first.txt; run git mv first.txt renamed.txt; run git commit -qm renamed
            run git gc -q --prune=now; run git fsck --no-progress; run git count-objects
            run git clone -q "$APP/work/repo" ../clone; run git -C ../clone log --format=%h:%s
            run git clone -q --bare --no-local . ../bare.git; run git -C ../clone push -q ../bare.git HEAD:refs/heads/pushed
            run git -C ../bare.git for-each-ref
            run git clone -q ../repo ../../upstream/clone
            run git -C ../../upstream status
            run git init -q ../../upstream
            printf '#!/bin/sh\necho hook in "$(pwd)"\n' > .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit
            echo y > y; run git add y; run git commit -qm hooked
            run git grep -n more; run git blame -s renamed.txt; run git archive HEAD --format=tar -o ../a.tar
            tar -tf ../a.tar; run git submodule --quiet add "$APP/work/bare.git" module; run git submodule status
            run git worktree remove ../tree; run git worktree prune; run git reflog --format=%gs
            run git ls-files -s; run git clean -ndx
            cd ..; rm -rf repo clone bare.git tree
            "#
        ),
    );
}

#[test]
fn sqlite_keeps_its_journal_beside_the_database() {
    world("sqlite").same_session(
        "/bin/bash",
        r#"
        cd "$APP/work"
        run sqlite3 plain.db 'create table t (x); insert into t values (1), (2); select sum(x) from t;'
        run sqlite3 "$APP/work/plain.db" 'select count(*) from t; pragma database_list;'
        run sqlite3 wal.db 'pragma journal_mode=wal; create table t (x); insert into t values (7);'
        (echo 'begin immediate; insert into t values (8);'; echo '.shell ls wal.db*'
         echo '.shell sqlite3 wal.db "insert into t values (9);"'
         echo 'commit; select * from t;') | sqlite3 wal.db 2>&1
        ls
        run sqlite3 "$APP/work/sub/../wal.db" 'select * from t; pragma wal_checkpoint(truncate); vacuum;'
        run sqlite3 plain.db "attach 'wal.db' as other; select count(*) from other.t; pragma integrity_check;"
        run sqlite3 plain.db ".backup '$APP/work/backup.db'"; run sqlite3 -readonly backup.db '.dump'
        run sqlite3 ../upstream/new.db 'create table t (x);'
        run sqlite3 ../upstream/notes 'select 1 from t;'
        run sqlite3 missing/x.db 'select 1;'
        run sqlite3 :memory: ".import --csv first.txt lines" '.mode csv' 'select * from lines;'
        run sqlite3 plain.db 'pragma locking_mode=exclusive; delete from t; pragma journal_mode=persist; insert into t values (3);'
        "#,
    );
}

#[test]
fn writers_of_one_database_wait_for_each_other() {
    world("sqlite-locks").same_session(
        "/bin/bash",
        r#"
        cd "$APP/work"
        sqlite3 shared.db 'create table t (x);'
        for n in 1 2 3 4 5 6 7 8; do
            sqlite3 -cmd '.timeout 60000' "$APP/work/shared.db" "insert into t values ($n);" &
        done; wait
        run sqlite3 shared.db 'select count(*), sum(x) from t;'
        "#,
    );
}

#[test]
fn openssl_reads_and_writes_keys() {
    world("openssl").same_session(
        "/bin/bash",
        r#"
        cd "$APP/work"
        export RANDFILE="$APP/work/.rnd" OPENSSL_CONF="$APP/work/openssl.cnf"
        printf '[req]\ndistinguished_name = dn\nprompt = no\n[dn]\nCN = app\n' > openssl.cnf
        run openssl genpkey -quiet -algorithm ED25519 -out key.pem 2>/dev/null || openssl genpkey -algorithm ED25519 -out key.pem
        run openssl req -new -x509 -key key.pem -out cert.pem -days 1
        run openssl x509 -in cert.pem -noout -subject
        run openssl verify -CAfile cert.pem "$APP/work/cert.pem"
        mkdir certs; cp cert.pem certs; run openssl rehash certs; run openssl verify -CApath certs cert.pem
        run openssl dgst -sha256 first.txt "$APP/upstream/notes" ../etc/app.conf
        run openssl dgst -sha256 missing | sed 's/^[0-9A-F]*:error/error/'
        run openssl enc -aes-128-cbc -K 00112233445566778899aabbccddeeff -iv 0 -in first.txt -out first.enc
        run openssl enc -d -aes-128-cbc -K 00112233445566778899aabbccddeeff -iv 0 -in "$APP/work/first.enc"
        run openssl genpkey -algorithm ED25519 -out ../upstream/key.pem | sed 's/^[0-9A-F]*:error/error/'
        run openssl pkeyutl -sign -rawin -inkey key.pem -in first.txt -out sig
        run openssl pkeyutl -verify -rawin -inkey key.pem -in first.txt -sigfile sig
        run openssl version -d
        rm -rf certs
        "#,
    );
}
