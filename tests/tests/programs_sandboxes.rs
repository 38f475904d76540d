//! Programs that build a sandbox of their own, by seccomp filters and
//! namespaces, in the view: the gate's filter is there before theirs.

use std::fs;
use std::path::Path;
use std::process::Command;

use tests::{Mount, WAITING, World, free_port, is_root, read_only, read_write, write};

const MOUNTS: &[Mount] = &[read_write("work", "data"), read_only("pub", "pub")];

fn fill(dir: &Path) {
    let host = dir.join("host");
    write(host.join("data/file"), "data\n");
    write(host.join("pub/page.html"), "<p id=a></p><script src=script.js></script>\n");
    write(host.join("pub/script.js"), "document.getElementById('a').textContent = 'sum ' + (40 + 2);\n");
    write(host.join("pub/dir/one.txt"), "one\n");
    fs::create_dir_all(dir.join("home")).expect("a fresh tree");
}

fn world(name: &str) -> World {
    World::new(name, MOUNTS, fill).saying("coverage.door = \"gate\"")
}

/// What a browser says of its surroundings differs from run to run; the page does not.
fn dump(flag: &str) -> String {
    format!(
        r#"
        browse() {{
            timeout 60 /usr/lib/chromium/chromium-headless-shell --disable-gpu --disable-quic --no-first-run --disable-background-networking \
                --disable-component-update --disable-sync --user-data-dir="$APP/work/profile" --allow-file-access-from-files {flag} \
                --dump-dom "$1" 2> log; echo "= $?"; grep -o 'No usable sandbox' log
        }}
        cd "$APP/work"; browse "file://$APP/pub/page.html"; browse "file://$APP/pub/dir/" | grep -o 'one.txt' | sort -u
        rm -rf profile log .cache .config .pki .local
        "#
    )
}

#[test]
fn chromium_renders_a_page_of_the_view() {
    world("chromium").as_user(65534).same_session("/bin/bash", &dump("--no-sandbox"));
}

/// Its sandbox: a user namespace, a chroot into an empty directory, and a filter in each renderer.
#[test]
fn chromium_renders_it_in_its_own_sandbox() {
    world("chromium-sandbox").as_user(65534).same_session("/bin/bash", &dump(""));
}

/// As root it separates privileges, and its child for the network runs in a sandbox; as an ordinary
/// user it serves that user alone.
fn sshd(user: &str) -> String {
    let port = free_port();
    format!(
        r#"{WAITING}
        umask 077; mkdir -p /run/sshd 2> /dev/null; cd "$APP/work"; ssh-keygen -q -t ed25519 -N '' -f host; ssh-keygen -q -t ed25519 -N '' -f id
        cp id.pub keys
        /usr/sbin/sshd -D -e -f /dev/null -p {port} -h "$APP/work/host" -o ListenAddress=127.0.0.1 -o AuthorizedKeysFile="$APP/work/keys" \
            -o StrictModes=no -o UsePAM=no -o PidFile=none -o Subsystem='sftp internal-sftp' 2> log & server=$!
        listens {port}
        words="-i id -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes -o LogLevel=ERROR -F /dev/null"
        run ssh -p {port} $words -l {user} 127.0.0.1 "cat '$APP/work/file'; echo came in; id -un; exit 7"
        for n in 1 2 3 4; do ssh -p {port} $words -l {user} 127.0.0.1 "cat > '$APP/work/copy$n'; ls -d '$APP/pub/dir'" < file & done; wait $(jobs -p | grep -v "^$server\$")
        cat copy?; rm copy?
        run scp -q -P {port} $words {user}@127.0.0.1:"$APP/pub/dir/one.txt" came; cat came; rm came
        run ssh -p {port} $words -o IdentityFile=none -l nobodyhere 127.0.0.1 true
        kill $server; wait $server; grep -c 'Accepted publickey' log; grep -iE 'fatal|sandbox|violation' log; rm -f log host* id* keys
        "#
    )
}

#[test]
fn sshd_run_by_root_lets_a_user_in_through_its_sandbox() {
    world("sshd-root").same_session("/bin/bash", &sshd("root"));
}

/// postgres is an ordinary user that has a shell.
#[test]
fn sshd_run_by_a_user_lets_that_user_in() {
    let id = Command::new("id").args(["-u", "postgres"]).output().expect("id is installed");
    let id = String::from_utf8_lossy(&id.stdout).trim().parse();
    let id = id.expect("postgresql is installed: `cargo xtask packages`");
    world("sshd-user").as_user(id).same_session("/bin/bash", &sshd("postgres"));
}

/// Each session is in a chroot, in namespaces of its own and, where it is asked for, under a filter.
/// Debian's 3.0.3 does not know the calls of today's libc: under its filter it ends sessions natively.
fn vsftpd(name: &str, filter: &str, asked: &str) {
    if !is_root() {
        eprintln!("not root, so vsftpd has no user to separate its privileges to");
        return;
    }
    let port = free_port();
    world(name).same_session(
        "/bin/bash",
        &format!(
            r#"{WAITING}
            cd "$APP/work"; mkdir -m 755 empty; chmod 755 "$APP" .
            cat > conf <<END
listen=YES
listen_address=127.0.0.1
listen_port={port}
background=NO
anonymous_enable=YES
no_anon_password=YES
anon_root=$APP/pub
ftp_username=daemon
nopriv_user=nobody
secure_chroot_dir=$APP/work/empty
seccomp_sandbox={filter}
pasv_address=127.0.0.1
xferlog_enable=YES
vsftpd_log_file=$APP/work/log
END
            chown root:root conf; vsftpd "$APP/work/conf" & server=$!
            listens {port}
            fetch() {{ curl -s --max-time 20 "$@"; }}; ftp=ftp://127.0.0.1:{port}
            {asked}
            kill $server; wait $server; echo "= $?"; grep -oE 'OK (DOWNLOAD|LOGIN)' log | sort | uniq -c
            rm -rf conf log empty
            "#
        ),
    );
}

#[test]
fn vsftpd_serves_from_a_chroot() {
    vsftpd(
        "vsftpd",
        "NO",
        r#"
        run fetch $ftp/page.html; run fetch $ftp/dir/one.txt; run fetch $ftp/none; run fetch -l $ftp/dir/
        for n in 1 2 3 4 5; do fetch $ftp/dir/one.txt & done; wait $(jobs -p | grep -v "^$server\$")
        run fetch -T file $ftp/up
        "#,
    );
}

#[test]
fn vsftpd_s_own_filter_ends_the_sessions_that_it_ends_natively() {
    vsftpd("vsftpd-filter", "YES", "fetch $ftp/page.html || echo ended; fetch -l $ftp/dir/ || echo ended");
}
