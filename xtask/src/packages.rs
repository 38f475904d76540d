//! The Debian packages that the tests run: real programs, and the compilers
//! of the small ones.

use std::process::Command;

use crate::{Result, must};

/// What `cargo xtask test` needs.
pub const TESTS: &[&str] = &[
    "apache2-bin",
    "attr",
    "bind9-dnsutils",
    "bind9-host",
    "binutils",
    "bsdutils",
    "btrfs-progs",
    "bubblewrap",
    "buildah",
    "busybox-static",
    "caddy",
    "chromium-headless-shell",
    "curl",
    "dash",
    "dnsmasq-base",
    "esbuild",
    "etcd-client",
    "etcd-server",
    "fakeroot",
    "faketime",
    "gcc",
    "gdb",
    "git",
    "golang-go",
    "groff-base",
    "gron",
    "hugo",
    "iproute2",
    "libacl1-dev",
    "libc6-dev",
    "libcap2-bin",
    "libnss-wrapper",
    "libresolv-wrapper",
    "libseccomp-dev",
    "libsocket-wrapper",
    "libuid-wrapper",
    "make",
    "memcached",
    "mmdebstrap",
    "musl",
    "musl-tools",
    "net-tools",
    "nginx-light",
    "ninja-build",
    "nodejs",
    "openjdk-17-jdk-headless",
    "openssh-client",
    "openssh-server",
    "openssl",
    "perl",
    "php-cli",
    "postgresql-15",
    "procps",
    "proxychains4",
    "python3-pip",
    "python3-requests",
    "python3.11",
    "python3.11-venv",
    "rclone",
    "redis-server",
    "rsync",
    "skopeo",
    "sqlite3",
    "strace",
    "stress-ng",
    "sudo",
    "systemd",
    "tmux",
    "umoci",
    "util-linux",
    "valgrind",
    "vsftpd",
    "wget",
    "wrk",
    "xfsprogs",
    "zstd",
];

/// What `cargo xtask suite cpython` needs beside those.
pub const CPYTHON: &[&str] =
    &["gcc", "libpython3.11-testsuite", "python3.11", "python3.11-venv", "util-linux"];

/// What `cargo xtask suite go` needs.
pub const GO: &[&str] = &["gcc", "golang-go", "libc6-dev", "python3.11", "tzdata", "util-linux"];

/// What `cargo xtask bench` needs: the programs that it runs.
pub const BENCH: &[&str] = &[
    "apache2-utils",
    "dash",
    "esbuild",
    "gcc",
    "git",
    "golang-go",
    "hostname",
    "libc6-dev",
    "musl-tools",
    "nginx-light",
    "openjdk-17-jdk-headless",
    "perl",
    "postgresql-15",
    "redis-server",
    "redis-tools",
    "sqlite3",
    "util-linux",
];

/// Who it measures beside the launcher, and perf(1), which counts. One that is missing is `absent` in the result.
pub const PEERS: &[&str] = &[
    "bubblewrap",
    "fakechroot",
    "fakeroot",
    "faketime",
    "fuse-overlayfs",
    "libnss-wrapper",
    "libresolv-wrapper",
    "libsocket-wrapper",
    "libuid-wrapper",
    "linux-perf",
    "proot",
    "proxychains4",
];

/// Installs what is missing. Needs root only where something is.
pub fn install(packages: &[&'static str]) -> Result<()> {
    let missing: Vec<&str> = packages.iter().copied().filter(|package| !is_installed(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("installing {}", missing.join(" "));
    let apt = || {
        let mut apt = Command::new("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive").arg("-qq");
        apt
    };
    must(apt().arg("update"))?;
    // Servers are started by the tests that want them.
    let no_start = "--option=DPkg::Options::=--force-confdef";
    must(
        apt()
            .env("RUNLEVEL", "1")
            .args(["install", "--yes", "--no-install-recommends", no_start])
            .args(missing),
    )
}

fn is_installed(package: &str) -> bool {
    let query =
        Command::new("dpkg-query").args(["--show", "--showformat=${db:Status-Status}", package]).output();
    query.is_ok_and(|answer| answer.stdout == b"installed")
}
