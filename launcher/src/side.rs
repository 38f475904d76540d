//! Files as an application sees them, or as the host has them: one set of calls for both.
//!
//! In a view a call goes to the elements, as a door would hand it in; so unions,
//! whiteouts, volumes and links mean here what they mean to the application, and no
//! link leads out of its tree.

use std::ffi::{CString, OsString};
use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use elements::process::exec::Door;
use elements::{Answer, Errno, Instance, kernel};

/// Extended attributes of one file, names and values.
pub type Attributes = Vec<(Vec<u8>, Vec<u8>)>;

/// Where a path is looked up.
#[derive(Clone, Copy)]
pub enum Side<'i> {
    /// On the host.
    Host,
    /// In a view.
    View(&'i Instance<'i>),
}

/// A path as calls take it.
///
/// # Errors
///
/// `EINVAL` where it holds NUL.
pub fn c(path: &Path) -> Result<CString, Errno> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)
}

impl Side<'_> {
    /// Makes a system call. What the arguments point to is the caller's to keep valid.
    fn call(&self, number: i64, args: [usize; 6]) -> Result<usize, Errno> {
        if let Side::View(instance) = self {
            // No program is started by it.
            if let Answer::Done(done) = instance.call(&Door::Shim(b""), number, &args) {
                return done;
            }
        }
        // SAFETY: callers in this file give pointers to live buffers of the right length.
        unsafe { kernel::syscall(number, args) }
    }

    fn by_path(&self, number: i64, path: &Path, [b, d, e]: [usize; 3]) -> Result<usize, Errno> {
        let path = c(path)?;
        self.call(number, [path.as_ptr() as usize, b, d, e, 0, 0])
    }

    /// open(2), with `O_CLOEXEC`
    pub fn open(&self, path: &Path, flags: i32, mode: u32) -> Result<File, Errno> {
        let flags = (flags | libc::O_CLOEXEC) as usize;
        let fd = self.by_path(libc::SYS_open, path, [flags, mode as usize, 0])?;
        // SAFETY: the kernel has just given it to us.
        Ok(unsafe { File::from_raw_fd(fd as RawFd) })
    }

    /// lstat(2), or stat(2)
    pub fn look(&self, path: &Path, follow: bool) -> Result<libc::stat, Errno> {
        let path = c(path)?;
        let mut stat = MaybeUninit::<libc::stat>::zeroed();
        let flags = if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
        let at =
            [libc::AT_FDCWD as usize, path.as_ptr() as usize, stat.as_mut_ptr() as usize, flags as usize];
        self.call(libc::SYS_newfstatat, [at[0], at[1], at[2], at[3], 0, 0])?;
        // SAFETY: zeros would be valid too.
        Ok(unsafe { stat.assume_init() })
    }

    /// Whether there is no file of this name.
    pub fn is_gone(&self, path: &Path) -> bool {
        matches!(self.look(path, false), Err(Errno::ENOENT | Errno::ENOTDIR))
    }

    /// The names in a directory, but for `.` and `..`.
    pub fn list(&self, path: &Path) -> Result<Vec<OsString>, Errno> {
        /// Where in an entry its length and its name are; getdents64(2).
        const LENGTH: usize = 16;
        const NAME: usize = 19;
        let dir = self.open(path, libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW, 0)?;
        let mut room = vec![0_u64; 8192];
        let mut names = Vec::new();
        loop {
            let (at, len) = (room.as_mut_ptr() as usize, room.len() * 8);
            let count = self.call(libc::SYS_getdents64, [dir.as_raw_fd() as usize, at, len, 0, 0, 0])?;
            if count == 0 {
                return Ok(names);
            }
            let bytes: Vec<u8> = room.iter().flat_map(|word| word.to_ne_bytes()).take(count).collect();
            let mut rest = bytes.as_slice();
            while let Some(&[low, high]) = rest.get(LENGTH..NAME - 1) {
                let (entry, more) =
                    rest.split_at(usize::from(u16::from_ne_bytes([low, high])).min(rest.len()));
                let name = entry.get(NAME..).and_then(|name| name.split(|byte| *byte == 0).next());
                names.extend(
                    name.filter(|name| !matches!(*name, b"." | b"..")).map(|n| OsString::from_vec(n.into())),
                );
                rest = more;
            }
        }
    }

    /// readlink(2)
    pub fn read_link(&self, path: &Path) -> Result<OsString, Errno> {
        let mut text = vec![0; 4096];
        let count = self.by_path(libc::SYS_readlink, path, [text.as_mut_ptr() as usize, text.len(), 0])?;
        text.truncate(count);
        Ok(OsString::from_vec(text))
    }

    /// mkdir(2)
    pub fn make_directory(&self, path: &Path, mode: u32) -> Result<(), Errno> {
        self.by_path(libc::SYS_mkdir, path, [mode as usize, 0, 0]).map(|_| ())
    }

    /// mknod(2)
    pub fn make_node(&self, path: &Path, mode: u32, device: u64) -> Result<(), Errno> {
        self.by_path(libc::SYS_mknod, path, [mode as usize, device as usize, 0]).map(|_| ())
    }

    /// symlink(2)
    pub fn make_link(&self, text: &Path, path: &Path) -> Result<(), Errno> {
        self.two_paths(libc::SYS_symlink, text, path)
    }

    /// link(2)
    pub fn link(&self, old: &Path, new: &Path) -> Result<(), Errno> {
        self.two_paths(libc::SYS_link, old, new)
    }

    /// rename(2)
    pub fn rename(&self, old: &Path, new: &Path) -> Result<(), Errno> {
        self.two_paths(libc::SYS_rename, old, new)
    }

    fn two_paths(&self, number: i64, one: &Path, other: &Path) -> Result<(), Errno> {
        let (one, other) = (c(one)?, c(other)?);
        self.call(number, [one.as_ptr() as usize, other.as_ptr() as usize, 0, 0, 0, 0]).map(|_| ())
    }

    /// unlink(2)
    pub fn remove(&self, path: &Path) -> Result<(), Errno> {
        self.by_path(libc::SYS_unlink, path, [0; 3]).map(|_| ())
    }

    /// lchown(2)
    pub fn set_owner(&self, path: &Path, uid: u32, gid: u32) -> Result<(), Errno> {
        self.by_path(libc::SYS_lchown, path, [uid as usize, gid as usize, 0]).map(|_| ())
    }

    /// chmod(2), of what is no link
    pub fn set_mode(&self, path: &Path, mode: u32) -> Result<(), Errno> {
        self.by_path(libc::SYS_chmod, path, [mode as usize, 0, 0]).map(|_| ())
    }

    /// Sets the time of the last change, as of a link itself; utimensat(2).
    pub fn set_time(&self, path: &Path, seconds: i64, nanoseconds: i64) -> Result<(), Errno> {
        let path = c(path)?;
        let omit = libc::timespec { tv_sec: 0, tv_nsec: libc::UTIME_OMIT };
        let times = [omit, libc::timespec { tv_sec: seconds, tv_nsec: nanoseconds }];
        let (path, times) = (path.as_ptr() as usize, times.as_ptr() as usize);
        let args = [libc::AT_FDCWD as usize, path, times, libc::AT_SYMLINK_NOFOLLOW as usize, 0, 0];
        self.call(libc::SYS_utimensat, args).map(|_| ())
    }

    /// The extended attributes of a file, or of a link itself. llistxattr(2)
    pub fn attributes(&self, path: &Path) -> Result<Attributes, Errno> {
        let mut names = vec![0; 65_536];
        let listed = self.by_path(libc::SYS_llistxattr, path, [names.as_mut_ptr() as usize, names.len(), 0]);
        names.truncate(match listed {
            Err(Errno::EOPNOTSUPP) => 0,
            listed => listed?,
        });
        let mut attributes = Vec::new();
        for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
            let text = CString::new(name).map_err(|_| Errno::EINVAL)?;
            let mut value = vec![0; 65_536];
            let room = [text.as_ptr() as usize, value.as_mut_ptr() as usize, value.len()];
            let count = self.by_path(libc::SYS_lgetxattr, path, room)?;
            value.truncate(count);
            attributes.push((name.to_vec(), value));
        }
        Ok(attributes)
    }

    /// lsetxattr(2)
    pub fn set_attribute(&self, path: &Path, name: &[u8], value: &[u8]) -> Result<(), Errno> {
        let (path, name) = (c(path)?, CString::new(name).map_err(|_| Errno::EINVAL)?);
        let (path, name) = (path.as_ptr() as usize, name.as_ptr() as usize);
        self.call(libc::SYS_lsetxattr, [path, name, value.as_ptr() as usize, value.len(), 0, 0]).map(|_| ())
    }
}
