//! Shared memory and semaphores by name: files below /dev/shm.
//!
//! libc opens them by calls that no symbol stands before. Where no mount is
//! touched they are libc's business; where one is, they are files of the view:
//! a semaphore is a `sem_t` in a file of its own, which libc's other functions
//! use through the mapping.

use core::ffi::{CStr, c_char, c_int, c_uint, c_void};

use elements::files::Text;
use elements::kernel::{self, AT_FDCWD};
use elements::{Errno, user};
use libc::mode_t;

use super::{change, open, temp};
use crate::answer::{errno, returned, set_errno};
use crate::start::instance;
use crate::{next, real};

mod mapped;

const DIRECTORY: &[u8] = b"/dev/shm/";
const NAME_MAX: usize = 255;
const SEM_VALUE_MAX: c_uint = 0x7fff_ffff;

/// The room of a `sem_t`, in glibc and in musl.
type Semaphore = [u64; 4];

type Path = Text<{ DIRECTORY.len() + NAME_MAX + 1 }>;

/// The file that stands for a name, by the rules of shm_open(3).
fn path_of(name: *const c_char, prefix: &[u8]) -> Result<Path, Errno> {
    if !user::is_string(name.cast()) {
        return Err(Errno::EFAULT);
    }
    // SAFETY: found readable.
    let name = unsafe { CStr::from_ptr(name) }.to_bytes();
    let start = name.iter().position(|byte| *byte != b'/').unwrap_or(name.len());
    let name = name.get(start..).unwrap_or(&[]);
    if name.is_empty() || name.contains(&b'/') {
        return Err(Errno::EINVAL);
    }
    let mut path = Path::new();
    for part in [DIRECTORY, prefix, name] {
        let too_long = if name.len() > NAME_MAX { Errno::ENAMETOOLONG } else { Errno::EINVAL };
        path.push(part).map_err(|_| too_long)?;
    }
    Ok(path)
}

/// The file that stands for a name, where the view has a say in it. What is no
/// name is for libc to refuse.
fn touched_path_of(name: *const c_char, prefix: &[u8]) -> Option<Path> {
    let mut path = path_of(name, prefix).ok()?;
    instance().is_touched(AT_FDCWD, path.as_ptr()).then_some(path)
}

/// What libc puts before a semaphore's name.
fn prefix() -> &'static [u8] {
    if next::find(b"gnu_get_libc_version").is_some() { b"sem." } else { b"" }
}

fn failed(errno: Errno) -> c_int {
    returned(Err(errno)) as c_int
}

pub unsafe fn shm_open(name: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    match touched_path_of(name, b"") {
        Some(mut path) => {
            let flags = flags | libc::O_NOFOLLOW | libc::O_CLOEXEC;
            // SAFETY: a string of ours.
            let fd = unsafe { open::open(path.as_ptr().cast(), flags, mode) };
            if fd < 0 && errno() == libc::EISDIR {
                set_errno(Errno::EINVAL);
            }
            fd
        }
        None => match real!(shm_open as fn(*const c_char, c_int, mode_t) -> c_int) {
            // SAFETY: the program's own arguments.
            Some(next) => unsafe { next(name, flags, mode) },
            None => failed(Errno::ENOSYS),
        },
    }
}

pub unsafe fn shm_unlink(name: *const c_char) -> c_int {
    match touched_path_of(name, b"") {
        Some(mut path) => unlink(&mut path),
        None => match real!(shm_unlink as fn(*const c_char) -> c_int) {
            // SAFETY: the program's own argument.
            Some(next) => unsafe { next(name) },
            None => failed(Errno::ENOSYS),
        },
    }
}

pub unsafe fn sem_unlink(name: *const c_char) -> c_int {
    match touched_path_of(name, prefix()) {
        Some(mut path) => unlink(&mut path),
        None => match real!(sem_unlink as fn(*const c_char) -> c_int) {
            // SAFETY: the program's own argument.
            Some(next) => unsafe { next(name) },
            None => failed(Errno::ENOSYS),
        },
    }
}

fn unlink(path: &mut Path) -> c_int {
    // SAFETY: a string of ours.
    let done = unsafe { change::unlink(path.as_ptr().cast()) };
    if done < 0 && errno() == libc::EPERM {
        set_errno(Errno::EACCES);
    }
    done
}

/// sem_open(3). Its last two arguments are only there with `O_CREAT`; they come
/// in registers, so that they can always be taken.
pub unsafe fn sem_open(name: *const c_char, flags: c_int, mode: mode_t, value: c_uint) -> *mut c_void {
    let opened = match touched_path_of(name, prefix()) {
        Some(mut path) => open_semaphore(&mut path, flags, mode, value),
        None => match real!(sem_open as fn(*const c_char, c_int, mode_t, c_uint) -> *mut c_void) {
            // SAFETY: the program's own arguments.
            Some(next) => return unsafe { next(name, flags, mode, value) },
            None => Err(Errno::ENOSYS),
        },
    };
    opened.unwrap_or_else(|errno| {
        set_errno(errno);
        core::ptr::null_mut()
    })
}

pub unsafe fn sem_close(semaphore: *mut c_void) -> c_int {
    if mapped::close(semaphore) {
        return 0;
    }
    match real!(sem_close as fn(*mut c_void) -> c_int) {
        // SAFETY: the program's own argument.
        Some(next) => unsafe { next(semaphore) },
        None => failed(Errno::EINVAL),
    }
}

fn open_semaphore(path: &mut Path, flags: c_int, mode: mode_t, value: c_uint) -> Result<*mut c_void, Errno> {
    let creates = flags & libc::O_CREAT != 0;
    let exclusive = creates && flags & libc::O_EXCL != 0;
    loop {
        if !exclusive {
            let flags = flags & !(libc::O_CREAT | libc::O_ACCMODE);
            let flags = flags | libc::O_RDWR | libc::O_NOFOLLOW | libc::O_CLOEXEC;
            // SAFETY: a string of ours.
            match unsafe { open::open(path.as_ptr().cast(), flags, 0) } {
                fd @ 0.. => return map(path, fd),
                _ if !creates || errno() != libc::ENOENT => return Err(Errno(errno())),
                _ => {}
            }
        }
        match create(path, mode, value) {
            Ok(fd) => return map(path, fd),
            // Somebody else was faster: it is there to be opened.
            Err(Errno::EEXIST) if !exclusive => {}
            Err(errno) => return Err(errno),
        }
    }
}

fn map(path: &Path, fd: c_int) -> Result<*mut c_void, Errno> {
    let mapping = mapped::open(path.bytes(), fd, size_of::<Semaphore>());
    kernel::close(fd);
    mapping
}

/// Makes a semaphore: whole, under a name of its own, and then in its place.
fn create(path: &mut Path, mode: mode_t, value: c_uint) -> Result<c_int, Errno> {
    if value > SEM_VALUE_MAX {
        return Err(Errno::EINVAL);
    }
    let mut semaphore: Semaphore = [0; 4];
    let init = real!(sem_init as fn(*mut Semaphore, c_int, c_uint) -> c_int).ok_or(Errno::ENOSYS)?;
    // SAFETY: room for a `sem_t`.
    if unsafe { init(&mut semaphore, 1, value) } < 0 {
        return Err(Errno(errno()));
    }
    let mut draft = *b"/dev/shm/sem.XXXXXX\0";
    let draft = draft.as_mut_ptr().cast();
    let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC;
    let fd = temp::fill(draft, 0, &mut |name| {
        // SAFETY: a string of ours.
        unsafe { open::open(name, flags, mode) }
    });
    if fd < 0 {
        return Err(Errno(errno()));
    }
    // SAFETY: the bytes of a number that has been set.
    let bytes =
        unsafe { core::slice::from_raw_parts(semaphore.as_ptr().cast::<u8>(), size_of::<Semaphore>()) };
    let placed = kernel::write(fd, bytes).and_then(|_| {
        // SAFETY: strings of ours.
        let linked = unsafe { change::link(draft, path.as_ptr().cast()) };
        if linked < 0 { Err(Errno(errno())) } else { Ok(()) }
    });
    // SAFETY: a string of ours.
    unsafe { change::unlink(draft) };
    if let Err(errno) = placed {
        kernel::close(fd);
        return Err(errno);
    }
    Ok(fd)
}
