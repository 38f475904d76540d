//! Walking a tree: ftw(3) and nftw(3).
//!
//! libc's own walk opens directories by calls that no symbol stands before,
//! so it is written out here, over the other hooks. It calls back in the same
//! order and with the same working directory as glibc's, and makes as many
//! system calls.

use core::ffi::{CStr, c_char, c_int, c_void};

use elements::kernel::{self, AT_FDCWD};
use elements::{Errno, user};
use libc::stat;

use super::{cwd, dir, open, stat as look};
use crate::answer::{errno, returned, set_errno};
use crate::next;

pub mod grown;
mod level;
mod seen;

use grown::Grown;
use level::Level;
use seen::Seen;

const FTW_F: c_int = 0;
const FTW_D: c_int = 1;
const FTW_DNR: c_int = 2;
const FTW_NS: c_int = 3;
const FTW_SL: c_int = 4;
const FTW_DP: c_int = 5;
const FTW_SLN: c_int = 6;

const FTW_PHYS: c_int = 1;
const FTW_MOUNT: c_int = 2;
const FTW_CHDIR: c_int = 4;
const FTW_DEPTH: c_int = 8;
const FTW_ACTIONRETVAL: c_int = 16;
const KNOWN_FLAGS: c_int = FTW_PHYS | FTW_MOUNT | FTW_CHDIR | FTW_DEPTH | FTW_ACTIONRETVAL;

const FTW_STOP: c_int = 1;
const FTW_SKIP_SUBTREE: c_int = 2;
const FTW_SKIP_SIBLINGS: c_int = 3;

/// `struct FTW`
#[repr(C)]
pub struct Ftw {
    base: c_int,
    level: c_int,
}

type Visit = unsafe extern "C" fn(*const c_char, *const stat, c_int, *mut Ftw) -> c_int;
type OldVisit = unsafe extern "C" fn(*const c_char, *const stat, c_int) -> c_int;

enum Visitor {
    New(Visit),
    Old(OldVisit),
}

struct Walk {
    path: Grown,
    visitor: Visitor,
    flags: c_int,
    /// What is added to the kinds above: musl counts them from 1.
    first_kind: c_int,
    /// Where the walk began, for `FTW_MOUNT`.
    device: u64,
    seen: Seen,
    /// How many streams may be open at once.
    descriptors: c_int,
    /// The working directory that is to be restored, for `FTW_CHDIR`.
    home: c_int,
}

pub unsafe fn nftw(path: *const c_char, visit: Visit, descriptors: c_int, flags: c_int) -> c_int {
    if flags & !KNOWN_FLAGS != 0 {
        return failed(Errno::EINVAL);
    }
    start(path, Visitor::New(visit), descriptors, flags)
}

pub unsafe fn ftw(path: *const c_char, visit: OldVisit, descriptors: c_int) -> c_int {
    start(path, Visitor::Old(visit), descriptors, 0)
}

fn failed(errno: Errno) -> c_int {
    returned(Err(errno)) as c_int
}

fn start(path: *const c_char, visitor: Visitor, descriptors: c_int, flags: c_int) -> c_int {
    if !user::is_string(path.cast()) {
        return failed(Errno::EFAULT);
    }
    // SAFETY: found readable.
    let name = unsafe { CStr::from_ptr(path) }.to_bytes();
    if name.is_empty() {
        return failed(Errno::ENOENT);
    }
    let end = name.iter().rposition(|byte| *byte != b'/').map_or(1, |last| last + 1);
    let mut walk = Walk {
        path: Grown::new(),
        visitor,
        flags,
        first_kind: c_int::from(next::find(b"gnu_get_libc_version").is_none()),
        device: 0,
        seen: Seen::new(),
        descriptors: descriptors.max(1),
        home: -1,
    };
    if let Err(errno) = walk.path.push(name.get(..end).unwrap_or(name)) {
        return failed(errno);
    }
    if !walk.has(FTW_CHDIR) {
        return walk.root();
    }
    // SAFETY: a string of ours.
    walk.home = unsafe { open::open(c".".as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC, 0) };
    if walk.home < 0 {
        return -1;
    }
    let done = walk.root();
    let before = errno();
    // SAFETY: a descriptor of ours.
    unsafe { cwd::fchdir(walk.home) };
    kernel::close(walk.home);
    set_errno(Errno(before));
    done
}

/// What a look at a name has found.
enum Found {
    Kind(c_int),
    /// The walk ends here.
    Error,
}

impl Walk {
    fn has(&self, flag: c_int) -> bool {
        self.flags & flag != 0
    }

    /// What the last component is called by: the path, or with `FTW_CHDIR` its
    /// name in the working directory.
    fn name(&self, base: usize) -> *const c_char {
        match base {
            _ if !self.has(FTW_CHDIR) => self.path.string(0),
            base if base == self.path.len() => c".".as_ptr(),
            base => self.path.string(base),
        }
    }

    fn root(&mut self) -> c_int {
        let base = self.path.bytes().iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        if self.has(FTW_CHDIR) && base > 0 && self.enter(base) < 0 {
            return -1;
        }
        let mut about = core::mem::MaybeUninit::<stat>::zeroed();
        let found = self.look(None, base, about.as_mut_ptr());
        // SAFETY: noughts, if nothing else has been written.
        let about = unsafe { about.assume_init() };
        self.device = about.st_dev;
        let done = match found {
            // What is not there at all is an error at the root.
            Found::Error | Found::Kind(FTW_NS) => -1,
            Found::Kind(FTW_D) => self.new_directory(&about, None, base),
            Found::Kind(kind) => self.visit(&about, kind, base, 0),
        };
        let skips = done == FTW_SKIP_SUBTREE || done == FTW_SKIP_SIBLINGS;
        if skips && self.has(FTW_ACTIONRETVAL) { 0 } else { done }
    }

    /// Makes the directory that the path's component at `base` is in the
    /// working directory.
    fn enter(&self, base: usize) -> c_int {
        let mut parent = Grown::new();
        let end = if base > 1 { base - 1 } else { 1 };
        match parent.push(self.path.bytes().get(..end).unwrap_or(b"/")) {
            // SAFETY: a string of ours.
            Ok(()) => unsafe { cwd::chdir(parent.string(0)) },
            Err(errno) => failed(errno),
        }
    }

    /// Looks at the last component, as the walk was told to look.
    fn look(&self, parent: Option<&Level<'_>>, base: usize, about: *mut stat) -> Found {
        let (dirfd, name) = match parent.and_then(Level::descriptor) {
            Some(fd) => (fd, self.path.string(base)),
            None => (AT_FDCWD, self.name(base)),
        };
        // SAFETY: a string of ours, and room for the answer.
        let stat = |flags| unsafe { look::fstatat(dirfd, name, about, flags) == 0 };
        let physical = self.has(FTW_PHYS);
        if stat(if physical { libc::AT_SYMLINK_NOFOLLOW } else { 0 }) {
            // SAFETY: it has just been written.
            return Found::Kind(match unsafe { (*about).st_mode } & libc::S_IFMT {
                libc::S_IFDIR => FTW_D,
                libc::S_IFLNK => FTW_SL,
                _ => FTW_F,
            });
        }
        let why = errno();
        if why != libc::EACCES && why != libc::ENOENT {
            return Found::Error;
        }
        let dangles = !physical
            && stat(libc::AT_SYMLINK_NOFOLLOW)
            // SAFETY: it has just been written.
            && unsafe { (*about).st_mode } & libc::S_IFMT == libc::S_IFLNK;
        Found::Kind(if dangles { FTW_SLN } else { FTW_NS })
    }

    fn visit(&self, about: &stat, kind: c_int, base: usize, level: c_int) -> c_int {
        let path = self.path.string(0);
        // SAFETY: the program's own function, with what it expects.
        unsafe {
            match self.visitor {
                Visitor::New(visit) => {
                    let mut place = Ftw { base: base as c_int, level };
                    visit(path, about, kind + self.first_kind, &mut place)
                }
                Visitor::Old(visit) => {
                    // The older function knows neither links nor what comes last.
                    let kind = match kind {
                        FTW_SL => FTW_F,
                        FTW_SLN => FTW_NS,
                        kind => kind,
                    };
                    visit(path, about, kind + self.first_kind)
                }
            }
        }
    }

    /// Visits the last component of the path.
    fn entry(&mut self, parent: &Level<'_>, base: usize) -> c_int {
        let mut about = core::mem::MaybeUninit::<stat>::zeroed();
        let found = self.look(Some(parent), base, about.as_mut_ptr());
        // SAFETY: noughts, if nothing else has been written.
        let about = unsafe { about.assume_init() };
        let elsewhere = self.has(FTW_MOUNT) && about.st_dev != self.device;
        let done = match found {
            Found::Error => -1,
            Found::Kind(kind) if kind != FTW_NS && elsewhere => 0,
            Found::Kind(FTW_D) => self.new_directory(&about, Some(parent), base),
            Found::Kind(kind) => self.visit(&about, kind, base, parent.depth + 1),
        };
        if done == FTW_SKIP_SUBTREE && self.has(FTW_ACTIONRETVAL) { 0 } else { done }
    }

    /// Visits a directory, unless links have led here before.
    fn new_directory(&mut self, about: &stat, parent: Option<&Level<'_>>, base: usize) -> c_int {
        if !self.has(FTW_PHYS) {
            match self.seen.add(about.st_dev, about.st_ino) {
                Ok(true) => {}
                Ok(false) => return 0,
                Err(errno) => return failed(errno),
            }
        }
        self.directory(about, parent, base)
    }

    fn directory(&mut self, about: &stat, parent: Option<&Level<'_>>, base: usize) -> c_int {
        let level = parent.map_or(0, |parent| parent.depth + 1);
        if let Some(parent) = parent
            && parent.open_streams() >= self.descriptors
            && let Err(errno) = parent.close_uppermost()
        {
            return failed(errno);
        }
        let stream = self.open(parent, base);
        if stream.is_null() {
            return if errno() == libc::EACCES { self.visit(about, FTW_DNR, base, level) } else { -1 };
        }
        let here = Level::new(parent, stream);
        let mut done = if self.has(FTW_DEPTH) { 0 } else { self.visit(about, FTW_D, base, level) };
        if done == 0 && self.has(FTW_CHDIR) {
            // SAFETY: the stream's descriptor.
            done = here.descriptor().map_or(0, |fd| unsafe { cwd::fchdir(fd) });
        }
        if done != 0 {
            here.close();
            return done;
        }
        done = self.children(&here);
        if done == FTW_SKIP_SIBLINGS && self.has(FTW_ACTIONRETVAL) {
            done = 0;
        }
        if done == 0 && self.has(FTW_DEPTH) {
            done = self.visit(about, FTW_DP, base, level);
        }
        let goes_on = done == 0 || (self.has(FTW_ACTIONRETVAL) && done != -1 && done != FTW_STOP);
        if let Some(parent) = parent
            && self.has(FTW_CHDIR)
            && goes_on
            && self.leave(parent, base) < 0
        {
            return -1;
        }
        done
    }

    fn open(&self, parent: Option<&Level<'_>>, base: usize) -> *mut c_void {
        let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NONBLOCK | libc::O_CLOEXEC;
        // SAFETY: strings and descriptors of ours.
        unsafe {
            let Some(parent) = parent.and_then(Level::descriptor) else {
                return dir::opendir(self.name(base));
            };
            let fd = open::openat(parent, self.path.string(base), flags, 0);
            if fd < 0 {
                return core::ptr::null_mut();
            }
            let stream = dir::fdopendir(fd);
            if stream.is_null() {
                kernel::close(fd);
            }
            stream
        }
    }

    /// Goes back to the directory above, after `FTW_CHDIR` has gone into the
    /// one at `base`. That may have been by a link, so `..` will not do.
    fn leave(&self, parent: &Level<'_>, base: usize) -> c_int {
        // SAFETY: descriptors of ours.
        unsafe {
            match parent.descriptor() {
                Some(fd) => cwd::fchdir(fd),
                None if cwd::fchdir(self.home) < 0 => -1,
                None => self.enter(base),
            }
        }
    }

    /// Visits what is in a directory.
    fn children(&mut self, here: &Level<'_>) -> c_int {
        let len = self.path.len();
        if !self.path.bytes().ends_with(b"/")
            && let Err(errno) = self.path.push(b"/")
        {
            here.close();
            return failed(errno);
        }
        let base = self.path.len();
        let done = here.each(|name| {
            let done = match self.path.push(name) {
                Ok(()) => self.entry(here, base),
                Err(errno) => failed(errno),
            };
            self.path.truncate(base);
            done
        });
        self.path.truncate(len);
        done
    }
}
