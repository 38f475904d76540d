//! Walking a tree: ftw(3) and nftw(3).
//!
//! libc's own walk opens directories by calls that no symbol stands before,
//! so it is written out here, over the other hooks.

use core::ffi::{CStr, c_char, c_int, c_void};

use elements::Errno;
use elements::files::{MAX_PATH, Text};
use elements::kernel;
use libc::{dirent64, stat};

use super::{cwd, dir, stat as look};
use crate::allocate::{free, malloc, realloc};
use crate::answer::{errno, returned};

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

const FTW_CONTINUE: c_int = 0;
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

/// A directory above the one being walked, so that a circle of links is seen.
struct Above<'a> {
    device: u64,
    inode: u64,
    above: Option<&'a Above<'a>>,
}

struct Walk {
    path: Text<MAX_PATH>,
    visitor: Visitor,
    flags: c_int,
    device: u64,
    /// How many more descriptors may be held open.
    descriptors: c_int,
}

pub unsafe fn nftw(path: *const c_char, visit: Visit, descriptors: c_int, flags: c_int) -> c_int {
    start(path, Visitor::New(visit), descriptors, flags)
}

pub unsafe fn ftw(path: *const c_char, visit: OldVisit, descriptors: c_int) -> c_int {
    start(path, Visitor::Old(visit), descriptors, 0)
}

fn start(path: *const c_char, visitor: Visitor, descriptors: c_int, flags: c_int) -> c_int {
    if !elements::user::is_string(path.cast()) {
        return returned(Err(Errno::EFAULT)) as c_int;
    }
    // SAFETY: found readable.
    let name = unsafe { CStr::from_ptr(path) }.to_bytes();
    if name.is_empty() {
        return returned(Err(Errno::ENOENT)) as c_int;
    }
    let end = name.iter().rposition(|byte| *byte != b'/').map_or(1, |last| last + 1);
    let mut walk = Walk { path: Text::new(), visitor, flags, device: 0, descriptors: descriptors.max(1) };
    if let Err(errno) = walk.path.push(name.get(..end).unwrap_or(name)) {
        return returned(Err(errno)) as c_int;
    }
    let here = if flags & FTW_CHDIR != 0 {
        // SAFETY: a string of ours.
        let fd = unsafe {
            super::open::open(c".".as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC, 0)
        };
        if fd < 0 {
            return -1;
        }
        Some(fd)
    } else {
        None
    };
    let base = walk.path.bytes().iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    let done = walk.root(base);
    if let Some(fd) = here {
        // SAFETY: a descriptor of ours.
        unsafe { cwd::fchdir(fd) };
        kernel::close(fd);
    }
    match done {
        FTW_SKIP_SUBTREE | FTW_SKIP_SIBLINGS if flags & FTW_ACTIONRETVAL != 0 => 0,
        done => done,
    }
}

impl Walk {
    fn root(&mut self, base: usize) -> c_int {
        if self.flags & FTW_CHDIR != 0 && base > 0 {
            let mut parent = Text::<MAX_PATH>::new();
            let end = if base > 1 { base - 1 } else { 1 };
            // It is shorter than the path that has been taken.
            let _ = parent.push(self.path.bytes().get(..end).unwrap_or(b"/"));
            // SAFETY: a string of ours.
            if unsafe { cwd::chdir(parent.as_ptr().cast()) } < 0 {
                return -1;
            }
        }
        let Some((about, _)) = self.look(base) else { return -1 };
        self.device = about.st_dev;
        self.entry(base, 0, None)
    }

    /// What the path is, as the walk was told to look: and its kind.
    fn look(&mut self, base: usize) -> Option<(stat, c_int)> {
        let mut about = core::mem::MaybeUninit::<stat>::zeroed();
        let whole = self.path.as_ptr();
        let name = if self.flags & FTW_CHDIR != 0 { whole.wrapping_add(base) } else { whole };
        let name = if self.path.bytes() == b"/" { whole } else { name };
        // SAFETY: a string of ours, and room for the answer.
        unsafe {
            let physical = self.flags & FTW_PHYS != 0;
            let name = name.cast();
            let found = if physical {
                look::lstat(name, about.as_mut_ptr())
            } else {
                look::stat(name, about.as_mut_ptr())
            };
            if found == 0 {
                let about = about.assume_init();
                let kind = match about.st_mode & libc::S_IFMT {
                    libc::S_IFDIR => FTW_D,
                    libc::S_IFLNK => FTW_SL,
                    _ => FTW_F,
                };
                return Some((about, kind));
            }
            if errno() != libc::EACCES && errno() != libc::ENOENT {
                return None;
            }
            let missing = errno();
            if !physical && missing == libc::ENOENT && look::lstat(name, about.as_mut_ptr()) == 0 {
                return Some((about.assume_init(), FTW_SLN));
            }
            if base == 0 && self.device == 0 && missing == libc::ENOENT {
                return None;
            }
            Some((about.assume_init(), FTW_NS))
        }
    }

    fn visit(&mut self, about: &stat, kind: c_int, base: usize, level: c_int) -> c_int {
        let path = self.path.as_ptr().cast();
        // SAFETY: the program's own function, with what it expects.
        unsafe {
            match self.visitor {
                Visitor::New(visit) => visit(path, about, kind, &mut Ftw { base: base as c_int, level }),
                // The older function knows no dangling links.
                Visitor::Old(visit) => visit(path, about, if kind == FTW_SLN { FTW_NS } else { kind }),
            }
        }
    }

    fn entry(&mut self, base: usize, level: c_int, above: Option<&Above<'_>>) -> c_int {
        let Some((about, kind)) = self.look(base) else { return -1 };
        if self.flags & FTW_MOUNT != 0 && kind != FTW_NS && about.st_dev != self.device {
            return 0;
        }
        if kind != FTW_D {
            return self.visit(&about, kind, base, level);
        }
        let mut link = above;
        while let Some(seen) = link {
            if self.flags & FTW_PHYS == 0 && (seen.device, seen.inode) == (about.st_dev, about.st_ino) {
                return 0;
            }
            link = seen.above;
        }
        let here = Above { device: about.st_dev, inode: about.st_ino, above };
        self.directory(&about, base, level, &here)
    }

    fn directory(&mut self, about: &stat, base: usize, level: c_int, here: &Above<'_>) -> c_int {
        let whole = self.path.as_ptr();
        let by_name = self.flags & FTW_CHDIR != 0 && self.path.bytes() != b"/";
        let name = if by_name { whole.wrapping_add(base) } else { whole };
        // SAFETY: a string of ours.
        let stream = unsafe { dir::opendir(name.cast()) };
        if stream.is_null() {
            return if errno() == libc::EACCES { self.visit(about, FTW_DNR, base, level) } else { -1 };
        }
        if self.flags & FTW_DEPTH == 0 {
            let answer = self.visit(about, FTW_D, base, level);
            if answer != FTW_CONTINUE {
                // SAFETY: a stream of ours.
                unsafe { dir::closedir(stream) };
                let skips = self.flags & FTW_ACTIONRETVAL != 0 && answer == FTW_SKIP_SUBTREE;
                return if skips { 0 } else { answer };
            }
        }
        if self.flags & FTW_CHDIR != 0 {
            // SAFETY: the stream's descriptor.
            if unsafe { cwd::fchdir(dir::dirfd(stream)) } < 0 {
                // SAFETY: a stream of ours.
                unsafe { dir::closedir(stream) };
                return -1;
            }
        }
        let mut done = self.children(stream, level, here);
        if self.flags & FTW_ACTIONRETVAL != 0 && done == FTW_SKIP_SIBLINGS {
            done = 0;
        }
        if self.flags & FTW_CHDIR != 0 && level > 0 {
            // SAFETY: a string of ours.
            if unsafe { cwd::chdir(c"..".as_ptr()) } < 0 && done == 0 {
                return -1;
            }
        }
        if done == 0 && self.flags & FTW_DEPTH != 0 {
            done = self.visit(about, FTW_DP, base, level);
        }
        done
    }

    /// Visits what is in a stream, and closes it: after each entry, or, where
    /// too many are open already, after all names have been read.
    fn children(&mut self, stream: *mut c_void, level: c_int, here: &Above<'_>) -> c_int {
        self.descriptors -= 1;
        let done = if self.descriptors > 0 {
            self.one_by_one(stream, level, here)
        } else {
            match Names::read(stream) {
                Some(names) => self.by_memory(&names, level, here),
                None => -1,
            }
        };
        self.descriptors += 1;
        done
    }

    fn one_by_one(&mut self, stream: *mut c_void, level: c_int, here: &Above<'_>) -> c_int {
        let mut done = 0;
        // SAFETY: a stream of ours and its entries.
        unsafe {
            loop {
                let entry = dir::readdir(stream).cast::<dirent64>();
                if entry.is_null() || done != 0 {
                    break;
                }
                let name = CStr::from_ptr((*entry).d_name.as_ptr()).to_bytes();
                done = self.child(name, level, here);
            }
            dir::closedir(stream);
        }
        done
    }

    fn by_memory(&mut self, names: &Names, level: c_int, here: &Above<'_>) -> c_int {
        let mut done = 0;
        for name in names.bytes().split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
            if done != 0 {
                break;
            }
            done = self.child(name, level, here);
        }
        done
    }

    fn child(&mut self, name: &[u8], level: c_int, here: &Above<'_>) -> c_int {
        if name == b"." || name == b".." {
            return 0;
        }
        let len = self.path.len();
        let slash: &[u8] = if self.path.bytes() == b"/" { b"" } else { b"/" };
        let grown = self.path.push(slash).and_then(|()| self.path.push(name));
        let done = match grown {
            Ok(()) => self.entry(len + slash.len(), level + 1, Some(here)),
            Err(errno) => returned(Err(errno)) as c_int,
        };
        self.path.truncate(len);
        done
    }
}

/// The names of a directory, each with its NUL.
struct Names {
    start: *mut u8,
    len: usize,
}

impl Names {
    /// Reads a stream to its end and closes it. None where memory is out.
    fn read(stream: *mut c_void) -> Option<Names> {
        // SAFETY: memory of the program's allocator, as nftw(3) uses it too.
        unsafe {
            let mut room = 1024;
            let mut names = Names { start: malloc(room).cast(), len: 0 };
            loop {
                let entry = dir::readdir(stream).cast::<dirent64>();
                if entry.is_null() || names.start.is_null() {
                    break;
                }
                let name = CStr::from_ptr((*entry).d_name.as_ptr()).to_bytes_with_nul();
                if names.len + name.len() > room {
                    room *= 2;
                    let grown = realloc(names.start.cast(), room);
                    if grown.is_null() {
                        free(names.start.cast());
                    }
                    names.start = grown.cast();
                    if grown.is_null() {
                        break;
                    }
                }
                core::ptr::copy_nonoverlapping(name.as_ptr(), names.start.add(names.len), name.len());
                names.len += name.len();
            }
            dir::closedir(stream);
            if names.start.is_null() { None } else { Some(names) }
        }
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: that many have been written.
        unsafe { core::slice::from_raw_parts(self.start, self.len) }
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        // SAFETY: memory of malloc's, or null.
        unsafe { free(self.start.cast()) };
    }
}
