//! The ready-to-use policies run what they are for. Their sources are made in
//! a mount namespace, so that the host's own /srv is left alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tests::{feed, free_port, is_root, launcher, transcript};

fn policies() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies").canonicalize().expect("policies/ is there")
}

/// Runs a script as root in a namespace with an empty /srv, and with the
/// launcher where the example units look for it.
fn with_srv(script: &str) -> String {
    let prologue = r#"
        set -e; mount --make-rprivate /
        mount -t tmpfs -o mode=755 none /srv; mount -t tmpfs -o mode=755 none /usr/local/bin
        cp "$LAUNCHER" /usr/local/bin/launcher; chmod 755 /usr/local/bin/launcher
        cp -r "$POLICIES" /srv/policies; mkdir -p /srv/home; chown 65534 /srv/home
        become() { exec setpriv --reuid 65534 --regid 65534 --clear-groups -- env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/srv/home "$@"; }
        as_user() { (become "$@"); }
        ends() { for _ in $(seq 200); do kill -0 "$1" 2>/dev/null || break; sleep 0.05; done; kill -9 "$1" 2>/dev/null; wait "$1"; echo "status $?"; }
        appears() { for _ in $(seq 200); do [ -s "$1" ] && return; sleep 0.05; done; echo "$1 did not appear"; }
        listens() { for _ in $(seq 200); do (: < "/dev/tcp/127.0.0.1/$1") 2>/dev/null && return; sleep 0.05; done; echo "nobody listens"; }
        set +e
    "#;
    let mut command = Command::new("unshare");
    command.args(["--mount", "/bin/bash", "-c", &format!("{prologue}\n{script}")]);
    command.env("LAUNCHER", launcher()).env("POLICIES", policies()).current_dir("/");
    transcript(&feed(&mut command, b""))
}

#[test]
fn the_legacy_shop_finds_its_old_host() {
    if !is_root() {
        return;
    }
    let said = with_srv(
        r#"
        mkdir -p /srv/old-host/opt/shop/bin /srv/shop /srv/state; chown 65534 /srv/shop /srv/state
        cat > /srv/old-host/opt/shop/bin/shopd <<'END'
#!/bin/sh
echo "$0 $1"; cat /etc/shop.conf; echo "$LANG"; echo order > /var/lib/shop/orders; ls /var/lib/shop
ls -d /root; echo x > /opt/shop/bin/x; ls /opt/shop/bin
END
        chmod 755 /srv/old-host/opt/shop/bin/shopd
        policy=/srv/policies/legacy-shop.toml
        as_user launcher check --policy $policy
        as_user /usr/local/bin/launcher --policy $policy /opt/shop/bin/shopd --daemon; cat /srv/shop/orders
        as_user STATE_DIRECTORY=/srv/state /usr/local/bin/launcher --policy $policy /opt/shop/bin/shopd --again > /dev/null; ls /srv/state
        ls /opt/shop /etc/shop.conf /var/lib/shop
        "#
        .replace("as_user launcher", "as_user /usr/local/bin/launcher")
        .as_str(),
    );
    assert!(
        said.contains("/opt/shop/bin/shopd --daemon\nport=9000\nC.UTF-8\norders\nshopd\norder\norders\n"),
        "{said}"
    );
    assert!(said.contains("cannot access '/root': No such file"), "{said}");
    assert!(said.contains("/opt/shop/bin/x: Read-only file system"), "{said}");
    assert!(said.contains("cannot access '/opt/shop': No such file"), "{said}");
}

#[test]
fn nginx_serves_the_old_hosts_pages() {
    if !is_root() {
        return;
    }
    let port = free_port();
    let said = with_srv(&format!(
        r#"
        cd /srv; mkdir -p old-host/etc/nginx old-host/var/www old-host/var/log/nginx old-host/var/lib/nginx
        echo 'the old page' > old-host/var/www/index.html
        cat > old-host/etc/nginx/nginx.conf <<'END'
pid /run/nginx.pid;
error_log /var/log/nginx/error.log;
events {{ }}
http {{ access_log /var/log/nginx/access.log; server {{ listen 127.0.0.1:{port}; root /var/www; }} }}
END
        chown -R 65534 old-host/var/log old-host/var/lib
        become /usr/local/bin/launcher --policy /srv/policies/nginx.toml /usr/sbin/nginx -g 'daemon off;' & pid=$!
        listens {port}; exec 3<> /dev/tcp/127.0.0.1/{port}; printf 'GET / HTTP/1.0\r\n\r\n' >&3; tail -n 1 <&3
        kill -TERM $pid; ends $pid; wc -l < old-host/var/log/nginx/access.log; cat old-host/var/log/nginx/error.log
        "#
    ));
    assert!(said.starts_with("the old page\nstatus 0\n1\n"), "{said}");
}

#[test]
fn redis_keeps_the_old_hosts_data() {
    if !is_root() {
        return;
    }
    let port = free_port();
    let said = with_srv(&format!(
        r#"
        cd /srv/; mkdir -p old-host/etc/redis old-host/var/log/redis old-host/var/lib/redis
        cat > old-host/etc/redis/redis.conf <<'END'
bind 127.0.0.1
port {port}
dir /var/lib/redis
logfile /var/log/redis/redis.log
pidfile /run/redis/redis.pid
unixsocket /run/redis/redis.sock
END
        chown -R 65534 old-host
        run() {{ become /usr/local/bin/launcher --policy /srv/policies/redis.toml /usr/bin/redis-server /etc/redis/redis.conf & pid=$!; listens {port}; }}
        run; redis-cli -p {port} incr visits; redis-cli -p {port} config set maxmemory 32mb; redis-cli -p {port} config rewrite
        redis-cli -p {port} shutdown; ends $pid; ls old-host/var/lib/redis
        run; redis-cli -p {port} incr visits; redis-cli -p {port} shutdown nosave; ends $pid
        grep maxmemory old-host/etc/redis/redis.conf; ls old-host/var/log/redis; ls -d /run/redis
        "#
    ));
    let expected = "1\nOK\nOK\nstatus 0\ndump.rdb\n2\nstatus 0\nmaxmemory 32mb\nredis.log\n";
    assert!(said.starts_with(expected), "{said}");
}

#[test]
fn a_licensed_program_finds_its_old_machine_and_its_user() {
    if !is_root() {
        return;
    }
    let said = with_srv(
        r#"
        mkdir -p /srv/old-host/opt/erp/bin; chown 54321:54322 /srv/old-host/opt/erp
        cat > /srv/old-host/opt/erp/bin/erpd <<'END'
#!/bin/sh
id -un; uname -nr; hostid; cat /etc/redhat-release; nproc; : > /opt/erp/licensed; stat -c '%U %G' /opt/erp /opt/erp/licensed; echo ~erp
END
        chmod 755 /srv/old-host/opt/erp/bin/erpd
        /usr/local/bin/launcher --policy /srv/policies/licensed.toml /opt/erp/bin/erpd; uname -n
        "#,
    );
    let here = Command::new("uname").arg("-n").output().expect("uname is installed");
    let expected = format!(
        "erp\nerp01 2.6.32-754.el6.x86_64\n0a01020f\nRed Hat Enterprise Linux Server release 6.10 (Santiago)\n4\n\
         erp erpadmin\nerp erp\n/opt/erp\n{}--- standard error\n--- exit status: 0\n",
        String::from_utf8_lossy(&here.stdout)
    );
    assert_eq!(said, expected);
}

#[test]
fn an_installer_that_wants_to_be_root_changes_what_is_its_own() {
    if !is_root() {
        return;
    }
    let said = with_srv(
        r#"
        mkdir -p /srv/state; chown 65534 /srv/state
        cat > /srv/install.sh <<'END'
[ $(id -u) = 0 ] || exit 9
mkdir -p /opt/shop/bin; echo 'id -un' > /opt/shop/bin/shopd; chown -R daemon:daemon /opt/shop; chmod 4755 /opt/shop/bin/shopd
echo port=1 > /etc/shop.conf; echo '127.0.0.2 shop' >> /etc/hosts; ln -s /opt/shop/bin/shopd /usr/local/bin/shopd
END
        run() { as_user STATE_DIRECTORY=/srv/state /usr/local/bin/launcher --policy /srv/policies/as-root.toml "$@"; }
        run sh -e /srv/install.sh
        run sh -c 'stat -c "%U %A" /opt/shop/bin/shopd /etc/shop.conf /etc; tail -1 /etc/hosts; readlink /usr/local/bin/shopd; setpriv --reuid daemon --regid daemon --init-groups sh -c "sh /opt/shop/bin/shopd; touch /etc/x"'
        ls /etc/shop.conf /opt/shop; grep -c 127.0.0.2.shop /etc/hosts
        "#,
    );
    let expected = "daemon -rwsr-xr-x\nroot -rw-r--r--\nroot drwxr-xr-x\n127.0.0.2 shop\n/opt/shop/bin/shopd\ndaemon\n0\n--- standard error\n\
        touch: cannot touch '/etc/x': Permission denied\nls: cannot access '/etc/shop.conf': No such file or directory\n\
        ls: cannot access '/opt/shop': No such file or directory\n--- exit status: 1\n";
    assert_eq!(said, expected);
}

#[test]
fn every_policy_has_a_unit_that_systemd_accepts_in_silence() {
    if !is_root() {
        return;
    }
    let mut count = 0;
    for entry in fs::read_dir(policies()).expect("policies/ can be read").flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            let unit = path.with_extension("service");
            let name = unit.file_name().unwrap_or_default().to_string_lossy().into_owned();
            assert!(unit.exists(), "{name} is missing");
            let said = with_srv(&format!("systemd-analyze verify /srv/policies/{name}"));
            assert_eq!(said, "--- standard error\n--- exit status: 0\n", "{name}");
            let text = fs::read_to_string(&unit).expect("the unit can be read");
            let policy = path.file_name().unwrap_or_default().to_string_lossy();
            assert!(
                text.contains(&format!("--policy /etc/launcher/{policy} ")),
                "{name} runs another policy"
            );
            count += 1;
        }
    }
    assert!(count >= 3);
}
