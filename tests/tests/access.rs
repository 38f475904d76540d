//! access(2) answers under a mount and in a union as in a plain directory, whoever asks and whatever the kernel has.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tests::{assert_same, feed, is_root, launcher, transcript, write};

/// Asks for each path in each way, by the real user that is given, and with these flags of faccessat(3). What takes a walk is asked
/// for as the effective user, as writing in a union does: docs/limitations.md.
const ASK: &str = "
import ctypes, errno, os, sys
libc = ctypes.CDLL(None, use_errno=True)
os.chdir(sys.argv[1])
if sys.argv[2] != 'same': os.setresuid(int(sys.argv[2]), 0, 0)
paths = ['file', 'file/', 'file/x', 'none', 'none/', 'none/x', 'sub', 'sub/', 'sub/none', 'link', 'link/', 'way/file', 'way/none',
         'way', 'way/', 'loop', 'loop/', 'dangling', 'dangling/', 'mine', 'closed', 'closed/file', 'closed/none', 'closed/link']
modes = [0, 1, 4, 0, 4] + [2, 6, 8] * (sys.argv[2] == 'same')
def say(done): return 'yes' if done == 0 else errno.errorcode[ctypes.get_errno()]
for path in paths:
    for given in (path.encode(), (sys.argv[1] + '/' + path).encode()):
        said = [say(libc.access(given, mode)) for mode in modes]
        said += [say(libc.faccessat(-100, given, 4, flags)) for flags in map(int, sys.argv[3:])]
        print(path, *said)
";

/// A tree in a plain directory, and the same one behind a mount and as the layer of a union.
struct Ground(PathBuf);

impl Drop for Ground {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

impl Ground {
    fn new(name: &str) -> Ground {
        let dir = std::env::temp_dir().join(format!("launcher-access-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        for tree in ["plain", "behind", "layer"] {
            let tree = dir.join(tree);
            for file in ["file", "sub/file", "mine", "closed/file"] {
                write(tree.join(file), "text\n");
            }
            for (link, target) in [("link", "file"), ("way", "sub"), ("loop", "loop"), ("dangling", "gone")] {
                symlink(target, tree.join(link)).expect("a fresh tree");
            }
            symlink("file", tree.join("closed/link")).expect("a fresh tree");
            for (path, mode) in [("mine", 0o600), ("closed", 0o700)] {
                fs::set_permissions(tree.join(path), PermissionsExt::from_mode(mode)).expect("it is ours");
            }
        }
        fs::create_dir(dir.join("app")).expect("a fresh tree");
        let (door, app) = (std::env::var("DOOR").unwrap_or_else(|_| "shim".into()), dir.join("app"));
        let policy = format!(
            "coverage.door = \"{door}\"\n[[mount]]\nat = \"{0}/behind\"\nsource = \"behind\"\naccess = \"read-write\"\n\
             [[mount]]\nat = \"{0}/union\"\nlayers = [\"layer\"]\nwrite = \"ephemeral\"\n",
            app.display()
        );
        write(dir.join("policy.toml"), &policy);
        Ground(dir)
    }

    /// What is said of the plain tree, and of the two in the view, where a call has been taken away if an errno is given.
    fn hold(&self, arguments: &[&str], without: Option<i32>) {
        let natively = says(&mut Command::new("/usr/bin/python3"), &self.0.join("plain"), arguments);
        assert!(natively.contains("yes") && natively.contains("ELOOP"), "{natively}");
        for tree in ["app/behind", "app/union"] {
            let mut command = Command::new(launcher());
            command.arg("--policy").arg(self.0.join("policy.toml")).arg("/usr/bin/python3");
            if let Some(errno) = without {
                take_away(&mut command, libc::SYS_faccessat2, errno);
            }
            assert_same("natively", &natively, tree, &says(&mut command, &self.0.join(tree), arguments));
        }
    }
}

fn says(command: &mut Command, tree: &Path, arguments: &[&str]) -> String {
    command.args(["-c", ASK]).arg(tree).args(arguments);
    transcript(&feed(command.env_remove("XDG_RUNTIME_DIR").current_dir("/"), b""))
}

/// Takes a system call away from a program, as an older kernel does, or a filter around it.
fn take_away(command: &mut Command, number: i64, errno: i32) {
    let statement = |code: u32, jf, k| libc::sock_filter { code: code as u16, jt: 0, jf, k };
    let number = u32::try_from(number).expect("a small number");
    let filter = [
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, number),
        statement(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ERRNO | errno as u32),
        statement(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ALLOW),
    ];
    // SAFETY: prctl(2) is a plain system call, and copies the filter.
    unsafe {
        command.pre_exec(move || {
            let program = libc::sock_fprog { len: 4, filter: filter.as_ptr().cast_mut() };
            match libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        });
    }
}

#[test]
fn access_answers_as_in_a_plain_directory() {
    Ground::new("plain").hold(&["same", "256", "512", "16384"], None);
}

#[test]
fn access_is_judged_by_the_real_user() {
    if !is_root() {
        eprintln!("skipped: only root can become others");
        return;
    }
    Ground::new("real").hold(&["65534"], None);
}

#[test]
fn access_needs_no_call_that_an_older_kernel_has_not() {
    if !is_root() {
        eprintln!("skipped: only root installs a filter for what may gain rights");
        return;
    }
    // libc's own function makes that call where it has flags.
    Ground::new("without").hold(&["same"], Some(libc::ENOSYS));
}
