//! Shells, and the programs that walk and copy trees, in a directory that
//! exists only in the view.

use std::fs;
use std::path::Path;

use tests::{Mount, World, hidden, link, read_only, read_write, write};

const MOUNTS: &[Mount] = &[
    read_write("work", "data"),
    read_only("ro", "fixed"),
    read_only("work/mounted", "nested"),
    hidden("work/secret"),
];

fn fill(dir: &Path) {
    let host = dir.join("host");
    write(host.join("data/a/one.txt"), "one\n");
    write(host.join("data/a/b/two.txt"), "two\n");
    write(host.join("data/three.log"), "three\n");
    write(host.join("data/secret/key"), "key\n");
    fs::create_dir_all(host.join("data/mounted")).expect("a fresh tree");
    write(host.join("nested/inner.txt"), "inner\n");
    write(host.join("fixed/lib.sh"), "greet() { echo hello from \"$1\"; }\n");
    write(host.join("fixed/hi"), "#!/bin/sh\necho \"hi from $0 with $*\"\n");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(host.join("fixed/hi"), mode).expect("our own file");
    link("a/b", host.join("data/short"));
    link("/bin/sh", host.join("fixed/shell"));
    fs::create_dir_all(dir.join("home")).expect("a fresh tree");
}

fn world(name: &str) -> World {
    World::new(name, MOUNTS, fill).as_user(65534)
}

/// What a POSIX shell does with paths.
const POSIX: &str = r#"
cd "$APP/work" || exit 9
pwd; pwd -P
echo *; echo */*; echo "$APP"/*; echo ../ro/*; echo secret*
cd short && pwd && pwd -P; cd ..; pwd; cd -P .. 2>/dev/null; pwd
cd "$APP/work"; cd ../ro && pwd; cd "$OLDPWD"; pwd
. ../ro/lib.sh && greet "$(pwd)"
../ro/hi a 'b c'; "$APP/ro/hi"; (cd ../ro && ./hi)
PATH="$APP/ro:$PATH"; hi from path; command -v hi
../ro/shell -c 'echo in a linked shell: $(pwd)'
echo out > out; cat < out; echo more >> out; cat out
echo no > ../ro/out; echo "status $?"
cat < secret/key; echo "status $?"
set -C; echo clobber > out; echo "status $?"; set +C
for file in a/*.txt short/*.txt mounted/*; do
    if [ -f "$file" ]; then while read -r line; do echo "$file: $line"; done < "$file"; fi
done
cat <<END
here: $(cat a/one.txt)
END
exec 5> held; echo kept >&5; exec 5>&-; cat held
(exec 6< a/one.txt; cat <&6)
cat a/one.txt | { read -r line; echo "piped $line"; }
sleep 0 & wait $!; echo "waited $?"
trap 'echo leaving $(pwd)' EXIT
umask 077; mkdir private; ls -ld private | cut -c 1-10
test -d a/b -a ! -e secret; echo "test $?"
[ a/one.txt -nt missing ]; echo "newer $?"
exec ../ro/hi the end
"#;

#[test]
fn dash_runs_its_scripts() {
    world("dash").same_session("/bin/dash", POSIX);
}

#[test]
fn bash_runs_its_scripts() {
    world("bash").same_session("/bin/bash", POSIX);
}

#[test]
fn what_only_bash_can_do_works() {
    world("bash-own").same_session(
        "/bin/bash",
        r#"
        cd "$APP/work"
        shopt -s globstar nullglob dotglob
        echo **; echo **/*.txt
        pushd a > /dev/null; dirs -p; popd > /dev/null; pwd
        mapfile -t lines < a/b/two.txt; echo "${lines[0]}"
        diff <(cat a/one.txt) <(cat mounted/inner.txt)
        cat <<< "$(< a/one.txt)"
        exec {fd}<> a/one.txt; read -r -u "$fd" line; echo "$line"; exec {fd}>&-
        coproc cat; echo co >&"${COPROC[1]}"; read -r -u "${COPROC[0]}" line; echo "$line"
        compgen -f "$APP/work/" | sort; compgen -d "$APP/" | sort
        source ../ro/lib.sh; export -f greet; bash -c 'greet child'
        hash -p "$APP/ro/hi" salute; salute
        cd -P short; echo "$PWD $DIRSTACK"
        [[ $APP/work -ef $APP/ro/../work ]]; echo "same $?"
        history -w "$APP/work/.history"; ls -A "$APP/work"
        bash --rcfile "$APP/ro/lib.sh" -i -c 'greet interactive' 2>/dev/null
        BASH_ENV=$APP/ro/lib.sh bash -c 'greet env'
        "#,
    );
}

#[test]
fn find_sees_the_tree_of_the_view() {
    world("find").same_session(
        "/bin/bash",
        r#"
        cd "$APP/work"
        sorted() { run "$@" | sort; }
        sorted find . ; sorted find "$APP" -type f; sorted find -L . -name '*.txt'; sorted find ../ro -type l
        sorted find . -printf '%y %m %d %P %l\n'
        sorted find . -depth -name '*.txt'
        sorted find . -xdev -type d
        sorted find short/ secret missing mounted
        sorted find . -name '*.txt' -execdir pwd \;
        sorted find . -name one.txt -execdir cat {} \;
        sorted find . -name '*.txt' -exec cat {} +
        sorted find . -samefile short/two.txt
        sorted find . -newer ../ro/lib.sh -name '*.x'
        sorted find . -empty; sorted find . -perm 644 -size -1k
        sorted find ../ro -name hi -delete; sorted find . -name three.log -delete
        find . -print0 | sort -z | xargs -0 -n 3 echo
        find a -type f | xargs cat
        "#,
    );
}

#[test]
fn tar_packs_and_unpacks() {
    world("tar").same_session(
        "/bin/bash",
        r#"
        cd "$APP/work"
        run tar -cf all.tar --sort=name -C "$APP" ro work/a work/short work/mounted
        run tar -tf all.tar
        mkdir out; run tar -xf all.tar -C out; find out | sort
        run tar -czf packed.tgz a && run tar -tzf packed.tgz
        run tar --compare -f all.tar -C "$APP"
        run tar -xf all.tar -C "$APP/ro" ro/hi
        run tar -rf all.tar three.log; run tar --delete -f all.tar ro/hi; run tar -tf all.tar
        run tar -cf ../ro/x.tar a
        run tar -cPf abs.tar "$APP/ro/lib.sh"; rm -rf out; run tar -tPf abs.tar
        run tar -cf - a | tar -xf - -C mounted
        run tar --listed-incremental=snap -cf incremental.tar a; run tar -tf incremental.tar
        run tar -cf - --xattrs --one-file-system . | tar -tf - | sort
        "#,
    );
}

#[test]
fn rsync_copies_trees() {
    world("rsync").same_session(
        "/bin/bash",
        r#"
        cd "$APP/work"
        run rsync -a ../ro/ copy/; find copy | sort; cat copy/lib.sh
        touch -d @1000000000 a
        run rsync -a --delete --itemize-changes a/ copy/; find copy | sort
        run rsync -a --itemize-changes a/ copy/
        run rsync -rlt --exclude=three.log --exclude=copy ./ mirror/; find mirror | sort
        run rsync -a a "$APP/ro/"
        run rsync -aL short/ flat/; find flat | sort
        run rsync -a --checksum --inplace --backup --suffix=.old mounted/inner.txt a/one.txt; find a | sort
        run rsync -a --link-dest="$APP/work/copy" copy/ linked/; find linked -links 2 -type f | sort
        run rsync missing copy/
        run rsync -a secret copy/
        "#,
    );
}
