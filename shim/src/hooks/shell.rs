//! Commands that libc starts by the shell: system(3) and popen(3).
//!
//! libc starts them by calls that no symbol stands before, so they are
//! written out here, over our posix_spawn.

use core::ffi::{c_char, c_int, c_void};
use core::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use elements::{Errno, kernel};
use libc::pid_t;

use super::exec::environment;
use super::{actions, spawn};
use crate::answer::{returned, set_errno};
use crate::{late, real};

const SHELL: *const c_char = c"/bin/sh".as_ptr();

/// Starts `/bin/sh -c command`.
fn shell(
    pid: *mut pid_t,
    command: *const c_char,
    actions: *const c_void,
    attributes: *const c_void,
) -> Result<(), Errno> {
    let argv = [c"sh".as_ptr(), c"-c".as_ptr(), command, core::ptr::null()];
    spawn::start(pid, SHELL, false, (actions, attributes), (argv.as_ptr(), environment()))
}

/// Waits for a child, through interruptions, and gives its status.
fn wait(pid: pid_t) -> c_int {
    let mut status = -1;
    // The next definition: waiting is a cancellation point.
    if let Some(waitpid) = real!(waitpid as fn(pid_t, *mut c_int, c_int) -> pid_t) {
        // SAFETY: the status is ours.
        while unsafe { waitpid(pid, &raw mut status, 0) } < 0 {
            if crate::answer::errno() != libc::EINTR {
                return -1;
            }
        }
    }
    status
}

/// system(3). SIGINT and SIGQUIT are ignored and SIGCHLD is blocked while the
/// command runs; the last of several calls at once puts them back.
pub unsafe fn system(command: *const c_char) -> c_int {
    if command.is_null() {
        // SAFETY: the command of system(3)'s own test.
        return c_int::from(unsafe { system(c"exit 0".as_ptr()) } == 0);
    }
    let running = Ignoring::begin();
    let mut attributes = Attributes::new();
    attributes.restore(&running);
    let mut pid = 0;
    let status = match shell(&raw mut pid, command, core::ptr::null(), attributes.as_ptr()) {
        Ok(()) => wait(pid),
        // As if the shell could not be started.
        Err(_) => 127 << 8,
    };
    drop(running);
    status
}

static CALLS: AtomicI32 = AtomicI32::new(0);
static OLD: [ActionSlot; 2] = [ActionSlot::new(), ActionSlot::new()];

/// Where a signal's action is kept while it is ignored.
struct ActionSlot(core::cell::UnsafeCell<core::mem::MaybeUninit<libc::sigaction>>);

// SAFETY: written by the first caller and read by the last, which CALLS counts.
unsafe impl Sync for ActionSlot {}

impl ActionSlot {
    const fn new() -> ActionSlot {
        ActionSlot(core::cell::UnsafeCell::new(core::mem::MaybeUninit::zeroed()))
    }
}

const IGNORED: [c_int; 2] = [libc::SIGINT, libc::SIGQUIT];

struct Ignoring {
    mask: libc::sigset_t,
}

impl Ignoring {
    fn begin() -> Ignoring {
        // SAFETY: plain structs of C; the calls are those of system(3).
        unsafe {
            let first = CALLS.fetch_add(1, Ordering::AcqRel) == 0;
            for (signal, slot) in IGNORED.into_iter().zip(&OLD) {
                let mut ignore: libc::sigaction = core::mem::zeroed();
                ignore.sa_sigaction = libc::SIG_IGN;
                let old = if first { slot.0.get().cast() } else { core::ptr::null_mut() };
                late::sigaction(signal, &raw const ignore, old);
            }
            let mut child: libc::sigset_t = core::mem::zeroed();
            late::sigaddset(&raw mut child, libc::SIGCHLD);
            let mut mask: libc::sigset_t = core::mem::zeroed();
            late::sigprocmask(libc::SIG_BLOCK, &raw const child, &raw mut mask);
            Ignoring { mask }
        }
    }
}

impl Drop for Ignoring {
    fn drop(&mut self) {
        // SAFETY: puts back what `begin` has kept.
        unsafe {
            if CALLS.fetch_sub(1, Ordering::AcqRel) == 1 {
                for (signal, slot) in IGNORED.into_iter().zip(&OLD) {
                    late::sigaction(signal, slot.0.get().cast(), core::ptr::null_mut());
                }
            }
            late::sigprocmask(libc::SIG_SETMASK, &raw const self.mask, core::ptr::null_mut());
        }
    }
}

/// posix_spawn attributes that give the child the signals that the caller had.
struct Attributes(core::mem::MaybeUninit<libc::posix_spawnattr_t>);

impl Attributes {
    fn new() -> Attributes {
        let mut attributes = core::mem::MaybeUninit::uninit();
        // SAFETY: initialises the struct.
        unsafe { late::posix_spawnattr_init(attributes.as_mut_ptr()) };
        Attributes(attributes)
    }

    fn restore(&mut self, running: &Ignoring) {
        // SAFETY: initialised structs of C.
        unsafe {
            let mut reset: libc::sigset_t = core::mem::zeroed();
            for (signal, slot) in IGNORED.into_iter().zip(&OLD) {
                if (*slot.0.get()).assume_init_ref().sa_sigaction != libc::SIG_IGN {
                    late::sigaddset(&raw mut reset, signal);
                }
            }
            let attributes = self.0.as_mut_ptr();
            late::posix_spawnattr_setsigmask(attributes, &raw const running.mask);
            late::posix_spawnattr_setsigdefault(attributes, &raw const reset);
            let flags = libc::POSIX_SPAWN_SETSIGDEF | libc::POSIX_SPAWN_SETSIGMASK;
            late::posix_spawnattr_setflags(attributes, flags as libc::c_short);
        }
    }

    fn as_ptr(&self) -> *const c_void {
        self.0.as_ptr().cast()
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`.
        unsafe { late::posix_spawnattr_destroy(self.0.as_mut_ptr()) };
    }
}

/// The streams that popen has given, and whose they are. More at once than
/// this answer `EMFILE`.
const STREAMS: usize = 256;
static STREAM: [AtomicUsize; STREAMS] = [const { AtomicUsize::new(0) }; STREAMS];
static CHILD: [AtomicI32; STREAMS] = [const { AtomicI32::new(0) }; STREAMS];

pub unsafe fn popen(command: *const c_char, mode: *const c_char) -> *mut c_void {
    match open_pipe(command, mode) {
        Ok(stream) => stream,
        Err(errno) => {
            returned(Err(errno));
            core::ptr::null_mut()
        }
    }
}

fn open_pipe(command: *const c_char, mode: *const c_char) -> Result<*mut c_void, Errno> {
    // SAFETY: popen's contract: both are strings.
    let letters = unsafe { core::ffi::CStr::from_ptr(mode) }.to_bytes();
    let reads = letters.contains(&b'r');
    let known = letters.iter().all(|letter| matches!(letter, b'r' | b'w' | b'e'));
    if !known || reads == letters.contains(&b'w') {
        return Err(Errno::EINVAL);
    }
    let slot = STREAM
        .iter()
        .position(|slot| slot.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed).is_ok())
        .ok_or(Errno::EMFILE)?;
    let (Some(stream), Some(child)) = (STREAM.get(slot), CHILD.get(slot)) else { return Err(Errno::EMFILE) };
    let opened = pipe_to(command, reads, letters.contains(&b'e'), child);
    stream.store(opened.map_or(0, |opened| opened as usize), Ordering::Release);
    opened
}

fn pipe_to(
    command: *const c_char,
    reads: bool,
    close_on_exec: bool,
    child: &AtomicI32,
) -> Result<*mut c_void, Errno> {
    let last = || Errno(crate::answer::errno());
    let mut ends = [0; 2];
    // SAFETY: the calls are those of popen(3), on descriptors that are ours.
    unsafe {
        kernel::pipe2(&mut ends, libc::O_CLOEXEC)?;
        let [read, write] = ends;
        let (ours, theirs, standard) = if reads { (read, write, 1) } else { (write, read, 0) };
        let mut actions = core::mem::MaybeUninit::<libc::posix_spawn_file_actions_t>::uninit();
        actions::posix_spawn_file_actions_init(actions.as_mut_ptr().cast());
        actions::posix_spawn_file_actions_adddup2(actions.as_mut_ptr().cast(), theirs, standard);
        for stream in &STREAM {
            // Streams of earlier calls are closed in the child, see popen(3).
            let earlier = stream.load(Ordering::Acquire);
            if earlier > 1 {
                let fd = late::fileno(earlier as *mut libc::FILE);
                actions::posix_spawn_file_actions_addclose(actions.as_mut_ptr().cast(), fd);
            }
        }
        let mut pid = 0;
        let started = shell(&raw mut pid, command, actions.as_ptr().cast(), core::ptr::null());
        actions::posix_spawn_file_actions_destroy(actions.as_mut_ptr().cast());
        kernel::close(theirs);
        if let Err(errno) = started {
            kernel::close(ours);
            return Err(errno);
        }
        child.store(pid, Ordering::Release);
        if !close_on_exec {
            kernel::set_close_on_exec(ours, false)?;
        }
        let stream = late::fdopen(ours, if reads { c"r".as_ptr() } else { c"w".as_ptr() });
        if stream.is_null() { Err(last()) } else { Ok(stream.cast()) }
    }
}

pub unsafe fn pclose(stream: *mut c_void) -> c_int {
    let slot = STREAM.iter().position(|slot| slot.load(Ordering::Acquire) == stream as usize);
    let Some((ours, child)) = slot.and_then(|slot| Some((STREAM.get(slot)?, CHILD.get(slot)?))) else {
        set_errno(Errno::EINVAL);
        return -1;
    };
    let pid = child.load(Ordering::Acquire);
    // SAFETY: the stream is one that popen gave.
    unsafe { late::fclose(stream.cast()) };
    ours.store(0, Ordering::Release);
    wait(pid)
}
