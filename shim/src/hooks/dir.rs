//! Directory streams: opendir(3) and what follows.
//!
//! libc reads directories by calls that no symbol stands before, so it cannot
//! show a mount point that the host does not have. For a directory in which
//! mount points lie, and only there, the stream is ours: a slot in a range of
//! memory of our own, by which the other functions tell it from libc's.

use core::ffi::{c_char, c_int, c_long, c_void};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use elements::files::{Glance, PlainScratch, Start};
use elements::kernel::{self, AT_FDCWD};
use elements::{Answer, Errno};
use libc::{dirent64, off_t, size_t, ssize_t};

use crate::answer::{finish, returned};
use crate::real;
use crate::start::{glance, instance};

/// How many streams of ours can be open at once; more answer `EMFILE`.
const STREAMS: usize = 256;
const BUFFER: usize = 32 * 1024;

/// A stream of ours.
#[repr(C, align(8))]
struct Stream {
    fd: c_int,
    /// How much of the buffer is filled, and how much of that has been given.
    filled: usize,
    given: usize,
    /// The position after the last entry given.
    position: off_t,
    buffer: [u8; BUFFER],
}

/// Where the slots are; 0 until the first is needed.
static SLOTS: AtomicUsize = AtomicUsize::new(0);
static TAKEN: [AtomicBool; STREAMS] = [const { AtomicBool::new(false) }; STREAMS];

fn slots() -> Result<usize, Errno> {
    let found = SLOTS.load(Ordering::Acquire);
    if found != 0 {
        return Ok(found);
    }
    let bytes = STREAMS * size_of::<Stream>();
    let made = kernel::map_anonymous(bytes)?;
    match SLOTS.compare_exchange(0, made, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => Ok(made),
        Err(theirs) => {
            // SAFETY: nobody has seen this mapping.
            unsafe { kernel::unmap(made, bytes) };
            Ok(theirs)
        }
    }
}

/// The slot's number, if the stream is one of ours.
#[inline]
fn slot(dir: *mut c_void) -> Option<usize> {
    let start = SLOTS.load(Ordering::Acquire);
    let offset = (dir as usize).wrapping_sub(start);
    (start != 0 && offset < STREAMS * size_of::<Stream>()).then_some(offset / size_of::<Stream>())
}

/// The stream, if it is one of ours.
fn ours<'a>(dir: *mut c_void) -> Option<&'a mut Stream> {
    // SAFETY: an address in the range of slots is one that `open_stream` has
    // given; a stream is used by one thread at a time, as readdir(3) says.
    slot(dir).map(|_| unsafe { &mut *dir.cast::<Stream>() })
}

fn open_stream(fd: c_int) -> Result<*mut c_void, Errno> {
    let start = slots()?;
    let free = TAKEN.iter().position(|taken| !taken.swap(true, Ordering::AcqRel)).ok_or(Errno::EMFILE)?;
    let stream = (start + free * size_of::<Stream>()) as *mut Stream;
    // SAFETY: the slot is ours alone now, in mapped memory.
    unsafe {
        (*stream).fd = fd;
        (*stream).filled = 0;
        (*stream).given = 0;
        (*stream).position = 0;
    }
    Ok(stream.cast())
}

impl Stream {
    /// The next entry; none at the end.
    fn next(&mut self) -> Result<Option<&mut dirent64>, Errno> {
        if self.given >= self.filled {
            let room = (self.buffer.as_mut_ptr(), self.buffer.len());
            let answer = instance().getdents64(self.fd, room.0, room.1);
            let filled = match answer {
                Answer::Done(done) => done,
                Answer::Pass => kernel::getdents64(self.fd, &mut self.buffer),
            };
            self.filled = match filled {
                // A directory that has been removed has come to its end, for libc too.
                Err(Errno::ENOENT) => 0,
                filled => filled?,
            };
            self.given = 0;
            if self.filled == 0 {
                return Ok(None);
            }
        }
        let entry = self.buffer.as_mut_ptr().wrapping_add(self.given).cast::<dirent64>();
        // SAFETY: the kernel, or the element, has filled the buffer with
        // entries, aligned to eight bytes, that are libc's struct dirent but
        // for the room after the name.
        let entry = unsafe {
            self.given += usize::from((*entry).d_reclen);
            self.position = (*entry).d_off;
            &mut *entry
        };
        Ok(Some(entry))
    }

    fn seek(&mut self, position: off_t) {
        // An entry position that does not exist leaves the stream where it is.
        let _ = kernel::lseek(self.fd, position, libc::SEEK_SET);
        self.filled = 0;
        self.given = 0;
        self.position = position;
    }
}

fn failed(errno: Errno) -> *mut c_void {
    returned(Err(errno));
    core::ptr::null_mut()
}

pub unsafe fn opendir(path: *const c_char) -> *mut c_void {
    match glance(AT_FDCWD, path) {
        Glance::Elsewhere => open_next(path, |fd| instance().opened_directory_elsewhere(path.cast(), fd)),
        // SAFETY: the caller's contract.
        Glance::Closer(start) => unsafe { opendir_from(path, start) },
    }
}

fn open_elsewhere(path: *const c_char) -> *mut c_void {
    open_next(path, |fd| instance().opened_directory(AT_FDCWD, path.cast(), fd))
}

#[inline(never)]
unsafe fn opendir_from(path: *const c_char, start: Start) -> *mut c_void {
    if instance().plays() {
        // SAFETY: the caller's contract.
        return unsafe { open_and_list(path) };
    }
    let mut scratch = PlainScratch::new();
    if let Some(host) = instance().plain_directory(path.cast(), start, &mut scratch) {
        return open_next(host.cast(), elements::files::note_open);
    }
    if !instance().is_touched(AT_FDCWD, path.cast()) {
        return open_elsewhere(path);
    }
    // SAFETY: the caller's contract.
    unsafe { open_and_list(path) }
}

unsafe fn open_and_list(path: *const c_char) -> *mut c_void {
    let flags = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_DIRECTORY | libc::O_CLOEXEC;
    // SAFETY: the caller's contract.
    let fd = unsafe { super::open::open(path, flags, 0) };
    if fd < 0 {
        return core::ptr::null_mut();
    }
    // libc would look at it once more.
    if instance().has_unions()
        && let Ok(dir) = open_stream(fd)
    {
        return dir;
    }
    // SAFETY: a directory that has just been opened.
    let dir = unsafe { fdopendir(fd) };
    if dir.is_null() {
        kernel::close(fd);
    }
    dir
}

/// Opens a directory in which no mount points lie, by libc.
fn open_next(path: *const c_char, note: impl FnOnce(c_int)) -> *mut c_void {
    let Some(next) = real!(opendir as fn(*const c_char) -> *mut c_void) else {
        return failed(Errno::ENOSYS);
    };
    // SAFETY: the program's own argument, or a path.
    let dir = unsafe { next(path) };
    if !dir.is_null() {
        // SAFETY: a stream that libc has just given.
        note(unsafe { dirfd(dir) });
    }
    dir
}

pub unsafe fn fdopendir(fd: c_int) -> *mut c_void {
    if instance().lists(fd) {
        return open_stream(fd).unwrap_or_else(failed);
    }
    match real!(fdopendir as fn(c_int) -> *mut c_void) {
        // SAFETY: the program's own argument.
        Some(next) => unsafe { next(fd) },
        None => failed(Errno::ENOSYS),
    }
}

pub unsafe fn readdir(dir: *mut c_void) -> *mut c_void {
    match slot(dir) {
        None => match real!(readdir as fn(*mut c_void) -> *mut c_void) {
            // SAFETY: the program's own argument.
            Some(next) => unsafe { next(dir) },
            None => failed(Errno::ENOSYS),
        },
        Some(_) => read_ours(dir),
    }
}

#[inline(never)]
fn read_ours(dir: *mut c_void) -> *mut c_void {
    match ours(dir).map_or(Ok(None), Stream::next) {
        Ok(entry) => entry.map_or(core::ptr::null_mut(), |entry| core::ptr::from_mut(entry).cast()),
        Err(errno) => failed(errno),
    }
}

pub unsafe fn readdir_r(dir: *mut c_void, entry: *mut dirent64, result: *mut *mut dirent64) -> c_int {
    let Some(stream) = ours(dir) else {
        return match real!(readdir_r as fn(*mut c_void, *mut dirent64, *mut *mut dirent64) -> c_int) {
            // SAFETY: the program's own arguments.
            Some(next) => unsafe { next(dir, entry, result) },
            None => libc::ENOSYS,
        };
    };
    // SAFETY: the caller's buffers, as readdir_r(3) wants them.
    unsafe {
        *result = core::ptr::null_mut();
        match stream.next() {
            Ok(None) => 0,
            Ok(Some(found)) => {
                let bytes = usize::from(found.d_reclen).min(size_of::<dirent64>());
                core::ptr::copy_nonoverlapping(core::ptr::from_ref(found).cast::<u8>(), entry.cast(), bytes);
                *result = entry;
                0
            }
            Err(errno) => errno.0,
        }
    }
}

pub unsafe fn closedir(dir: *mut c_void) -> c_int {
    let Some(slot) = slot(dir) else {
        return match real!(closedir as fn(*mut c_void) -> c_int) {
            // SAFETY: the program's own argument.
            Some(next) => unsafe { next(dir) },
            None => returned(Err(Errno::ENOSYS)) as c_int,
        };
    };
    if let (Some(stream), Some(taken)) = (ours(dir), TAKEN.get(slot)) {
        kernel::close(stream.fd);
        taken.store(false, Ordering::Release);
    }
    0
}

pub unsafe fn dirfd(dir: *mut c_void) -> c_int {
    match (ours(dir), real!(dirfd as fn(*mut c_void) -> c_int)) {
        (Some(stream), _) => stream.fd,
        // SAFETY: the program's own argument.
        (None, Some(next)) => unsafe { next(dir) },
        (None, None) => returned(Err(Errno::ENOSYS)) as c_int,
    }
}

pub unsafe fn rewinddir(dir: *mut c_void) {
    match (ours(dir), real!(rewinddir as fn(*mut c_void))) {
        (Some(stream), _) => stream.seek(0),
        // SAFETY: the program's own argument.
        (None, Some(next)) => unsafe { next(dir) },
        (None, None) => {}
    }
}

pub unsafe fn telldir(dir: *mut c_void) -> c_long {
    match (ours(dir), real!(telldir as fn(*mut c_void) -> c_long)) {
        (Some(stream), _) => stream.position,
        // SAFETY: the program's own argument.
        (None, Some(next)) => unsafe { next(dir) },
        (None, None) => returned(Err(Errno::ENOSYS)) as c_long,
    }
}

pub unsafe fn seekdir(dir: *mut c_void, position: c_long) {
    match (ours(dir), real!(seekdir as fn(*mut c_void, c_long))) {
        (Some(stream), _) => stream.seek(position),
        // SAFETY: the program's own arguments.
        (None, Some(next)) => unsafe { next(dir, position) },
        (None, None) => {}
    }
}

pub unsafe fn getdents64(fd: c_int, buf: *mut c_void, size: size_t) -> ssize_t {
    let answer = instance().getdents64(fd, buf.cast(), size);
    // SAFETY: the program's own arguments.
    unsafe { finish(answer, libc::SYS_getdents64, [fd as usize, buf as usize, size, 0, 0, 0]) }
}

pub unsafe fn getdirentries(fd: c_int, buf: *mut c_void, size: size_t, base: *mut off_t) -> ssize_t {
    // SAFETY: the program's own arguments; `base` is its variable.
    unsafe {
        let here = finish(Answer::Pass, libc::SYS_lseek, [fd as usize, 0, libc::SEEK_CUR as usize, 0, 0, 0]);
        if here < 0 {
            return -1;
        }
        let len = getdents64(fd, buf, size);
        if len >= 0 {
            *base = here as off_t;
        }
        len
    }
}
