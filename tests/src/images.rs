//! A store of images of a test's own, and what is held against it.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::launcher;
use crate::tarball::layout;

/// A directory with a state directory in it.
pub struct Place {
    /// The directory.
    pub dir: PathBuf,
    /// Who the launcher runs as, where not as the test does.
    pub user: Option<u32>,
}

impl Drop for Place {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

impl Place {
    /// A fresh one. The name must be one of its own.
    pub fn new(name: &str) -> Place {
        let dir = std::env::temp_dir().join(format!("launcher-test-image-{name}"));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("state")).expect("the temporary directory is writable");
        Place { dir, user: None }
    }

    /// `launcher image` with these words.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(launcher());
        command
            .arg("image")
            .args(words)
            .env("STATE_DIRECTORY", self.dir.join("state"))
            .current_dir(&self.dir);
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command
    }

    /// Runs it.
    pub fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().expect("the launcher runs")
    }

    /// What it prints where all is well.
    pub fn good(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// What is said where it is refused; nothing of it is to be seen then.
    pub fn refused(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert_eq!(output.status.code(), Some(125), "{words:?}: {}", String::from_utf8_lossy(&output.stdout));
        assert_eq!(self.good(&["ls"]).lines().count(), 1, "{words:?}");
        for part in ["names", "layers", "drafts"] {
            let left =
                fs::read_dir(self.dir.join("state/images").join(part)).expect("the store is there").count();
            assert_eq!(left, 0, "{words:?} leaves something in {part}");
        }
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// Makes the layout `oci` of these layers.
    pub fn layers(&self, layers: &[Vec<u8>]) {
        let _ = fs::remove_dir_all(self.dir.join("oci"));
        layout(&self.dir.join("oci"), layers);
    }

    /// The trees of an image, lowest first.
    pub fn trees(&self, name: &str) -> Vec<PathBuf> {
        let shown = self.good(&["show", name]);
        shown
            .lines()
            .filter(|line| line.starts_with("              /"))
            .map(|line| line.trim().into())
            .collect()
    }

    /// One layer of a tar archive, imported; where its files are.
    pub fn tree(&self, layer: Vec<u8>) -> PathBuf {
        self.layers(&[layer]);
        self.good(&["import", "oci:oci", "--name", "one", "--replace"]);
        self.trees("one").pop().expect("it has a layer")
    }
}

/// What a program prints that has to succeed.
pub fn must(program: &str, words: &[&str], dir: &Path) -> String {
    let output = Command::new(program).args(words).current_dir(dir).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}: `cargo xtask packages`"));
    assert!(output.status.success(), "{program} {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What is in a tree: types, modes, owners, times, links, attributes, contents.
/// Where a file cannot have what it should, its extended attribute counts.
pub const LISTING: &str = r#"
import os, sys, stat, hashlib
root = sys.argv[1]
first = {}
def row(path, name):
    s = os.lstat(path)
    kind = {stat.S_IFREG: 'file', stat.S_IFDIR: 'dir', stat.S_IFLNK: 'symlink', stat.S_IFIFO: 'pipe',
            stat.S_IFCHR: 'char-%d-%d', stat.S_IFBLK: 'block-%d-%d'}[stat.S_IFMT(s.st_mode)]
    if '%' in kind: kind %= (os.major(s.st_rdev), os.minor(s.st_rdev))
    own = (s.st_uid, s.st_gid, stat.S_IMODE(s.st_mode), kind)
    attributes = {}
    if not stat.S_ISLNK(s.st_mode):
        for key in os.listxattr(path):
            value = os.getxattr(path, key)
            if key == 'user.containers.override_stat':
                uid, gid, mode, kind = value.decode().split(':')
                own = (int(uid), int(gid), int(mode, 8), kind)
            elif key.startswith('user.launcher.xattr.'):
                attributes[key[len('user.launcher.xattr.'):]] = value
            elif not key.startswith('user.overlay.'):
                attributes[key] = value
    linked = ''
    if not stat.S_ISDIR(s.st_mode) and s.st_nlink > 1:
        linked = first.setdefault((s.st_dev, s.st_ino), name)
    content = ''
    if stat.S_ISLNK(s.st_mode): content = os.readlink(path)
    elif stat.S_ISREG(s.st_mode): content = hashlib.sha256(open(path, 'rb').read()).hexdigest()
    if kind.startswith(('char', 'block')): content = ''
    print(repr(name), own, s.st_mtime_ns, linked, sorted(attributes.items()), content)
def walk(path, name):
    row(path, name)
    if stat.S_ISDIR(os.lstat(path).st_mode):
        for child in sorted(os.listdir(path)): walk(path + '/' + child, name + '/' + child)
walk(root, '')
"#;

/// The listing of a tree.
pub fn listing(tree: &Path) -> String {
    must("python3", &["-c", LISTING, &tree.to_string_lossy()], Path::new("/"))
}
