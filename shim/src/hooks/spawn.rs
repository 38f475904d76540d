//! Starting programs beside: posix_spawn, system, popen.
//!
//! libc starts these by calls that no symbol stands before, so the hooks make
//! what is to be started and have libc's posix_spawn start that. system and
//! popen are written out here, over posix_spawn.

use core::ffi::{c_char, c_int, c_void};
use core::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use elements::Errno;
use elements::files::{Change, Scratch, Want};
use elements::kernel::AT_FDCWD;
use elements::process::exec::Start;
use libc::{mode_t, pid_t};

use super::exec::{environment, search};
use crate::answer::{returned, set_errno};
use crate::start::instance;
use crate::{next, real};

type Strings = *const *const c_char;

pub unsafe fn posix_spawn(
    pid: *mut pid_t,
    path: *const c_char,
    actions: *const c_void,
    attributes: *const c_void,
    argv: Strings,
    envp: Strings,
) -> c_int {
    match spawn(pid, path, actions, attributes, argv, envp) {
        Ok(()) => 0,
        Err(errno) => errno.0,
    }
}

fn spawn(
    pid: *mut pid_t,
    path: *const c_char,
    actions: *const c_void,
    attributes: *const c_void,
    argv: Strings,
    envp: Strings,
) -> Result<(), Errno> {
    let Some(next) = real!(
        posix_spawn as fn(*mut pid_t, *const c_char, *const c_void, *const c_void, Strings, Strings) -> c_int
    ) else {
        return Err(Errno::ENOSYS);
    };
    let start = Start { dirfd: AT_FDCWD, path: path.cast(), argv: argv.cast(), envp: envp.cast(), flags: 0 };
    let done = instance().prepare(next::own_path(), &start, 0, &mut |start| {
        let (path, argv, envp) = (start.path.cast(), start.argv.cast(), start.envp.cast());
        // SAFETY: the program's own arguments, and what has been made of them.
        match unsafe { next(pid, path, actions, attributes, argv, envp) } {
            0 => Ok(0),
            errno => Err(Errno(errno)),
        }
    });
    done.map(|_| ())
}

pub unsafe fn posix_spawnp(
    pid: *mut pid_t,
    file: *const c_char,
    actions: *const c_void,
    attributes: *const c_void,
    argv: Strings,
    envp: Strings,
) -> c_int {
    match search(file, &mut |path| spawn(pid, path, actions, attributes, argv, envp)) {
        Ok(()) => 0,
        Err(errno) => errno.0,
    }
}

pub unsafe fn posix_spawn_file_actions_addopen(
    actions: *mut c_void,
    fd: c_int,
    path: *const c_char,
    flags: c_int,
    mode: mode_t,
) -> c_int {
    let Some(next) = real!(
        posix_spawn_file_actions_addopen as fn(*mut c_void, c_int, *const c_char, c_int, mode_t) -> c_int
    ) else {
        return libc::ENOSYS;
    };
    let change = match flags & libc::O_ACCMODE {
        libc::O_RDONLY if flags & (libc::O_CREAT | libc::O_TRUNC) == 0 => Change::None,
        _ => Change::Modify,
    };
    let want = Want { follow: flags & libc::O_NOFOLLOW == 0, change };
    let mut scratch = Scratch::new();
    match instance().host_path(AT_FDCWD, path.cast(), want, &mut scratch) {
        // SAFETY: the program's own arguments.
        Ok(None) => unsafe { next(actions, fd, path, flags, mode) },
        // SAFETY: libc copies the path.
        Ok(Some(host)) => unsafe { next(actions, fd, host.cast(), flags, mode) },
        Err(errno) => errno.0,
    }
}

pub unsafe fn posix_spawn_file_actions_addchdir_np(actions: *mut c_void, path: *const c_char) -> c_int {
    let Some(next) = real!(posix_spawn_file_actions_addchdir_np as fn(*mut c_void, *const c_char) -> c_int)
    else {
        return libc::ENOSYS;
    };
    let mut scratch = Scratch::new();
    match instance().host_path(AT_FDCWD, path.cast(), Want::LOOK, &mut scratch) {
        // SAFETY: the program's own arguments.
        Ok(None) => unsafe { next(actions, path) },
        // SAFETY: libc copies the path.
        Ok(Some(host)) => unsafe { next(actions, host.cast()) },
        Err(errno) => errno.0,
    }
}

const SHELL: *const c_char = c"/bin/sh".as_ptr();

/// Starts `/bin/sh -c command`.
fn shell(
    pid: *mut pid_t,
    command: *const c_char,
    actions: *const c_void,
    attributes: *const c_void,
) -> Result<(), Errno> {
    let argv = [c"sh".as_ptr(), c"-c".as_ptr(), command, core::ptr::null()];
    spawn(pid, SHELL, actions, attributes, argv.as_ptr(), environment())
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
                libc::sigaction(signal, &raw const ignore, old);
            }
            let mut child: libc::sigset_t = core::mem::zeroed();
            libc::sigaddset(&raw mut child, libc::SIGCHLD);
            let mut mask: libc::sigset_t = core::mem::zeroed();
            libc::sigprocmask(libc::SIG_BLOCK, &raw const child, &raw mut mask);
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
                    libc::sigaction(signal, slot.0.get().cast(), core::ptr::null_mut());
                }
            }
            libc::sigprocmask(libc::SIG_SETMASK, &raw const self.mask, core::ptr::null_mut());
        }
    }
}

/// posix_spawn attributes that give the child the signals that the caller had.
struct Attributes(core::mem::MaybeUninit<libc::posix_spawnattr_t>);

impl Attributes {
    fn new() -> Attributes {
        let mut attributes = core::mem::MaybeUninit::uninit();
        // SAFETY: initialises the struct.
        unsafe { libc::posix_spawnattr_init(attributes.as_mut_ptr()) };
        Attributes(attributes)
    }

    fn restore(&mut self, running: &Ignoring) {
        // SAFETY: initialised structs of C.
        unsafe {
            let mut reset: libc::sigset_t = core::mem::zeroed();
            for (signal, slot) in IGNORED.into_iter().zip(&OLD) {
                if (*slot.0.get()).assume_init_ref().sa_sigaction != libc::SIG_IGN {
                    libc::sigaddset(&raw mut reset, signal);
                }
            }
            let attributes = self.0.as_mut_ptr();
            libc::posix_spawnattr_setsigmask(attributes, &raw const running.mask);
            libc::posix_spawnattr_setsigdefault(attributes, &raw const reset);
            let flags = libc::POSIX_SPAWN_SETSIGDEF | libc::POSIX_SPAWN_SETSIGMASK;
            libc::posix_spawnattr_setflags(attributes, flags as libc::c_short);
        }
    }

    fn as_ptr(&self) -> *const c_void {
        self.0.as_ptr().cast()
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`.
        unsafe { libc::posix_spawnattr_destroy(self.0.as_mut_ptr()) };
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
        if libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) < 0 {
            return Err(last());
        }
        let [read, write] = ends;
        let (ours, theirs, standard) = if reads { (read, write, 1) } else { (write, read, 0) };
        let mut actions = core::mem::MaybeUninit::<libc::posix_spawn_file_actions_t>::uninit();
        libc::posix_spawn_file_actions_init(actions.as_mut_ptr());
        libc::posix_spawn_file_actions_adddup2(actions.as_mut_ptr(), theirs, standard);
        for stream in &STREAM {
            // Streams of earlier calls are closed in the child, see popen(3).
            let earlier = stream.load(Ordering::Acquire);
            if earlier > 1 {
                let fd = libc::fileno(earlier as *mut libc::FILE);
                libc::posix_spawn_file_actions_addclose(actions.as_mut_ptr(), fd);
            }
        }
        let mut pid = 0;
        let started = shell(&raw mut pid, command, actions.as_ptr().cast(), core::ptr::null());
        libc::posix_spawn_file_actions_destroy(actions.as_mut_ptr());
        libc::close(theirs);
        if let Err(errno) = started {
            libc::close(ours);
            return Err(errno);
        }
        child.store(pid, Ordering::Release);
        if !close_on_exec {
            libc::fcntl(ours, libc::F_SETFD, 0);
        }
        let stream = libc::fdopen(ours, if reads { c"r".as_ptr() } else { c"w".as_ptr() });
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
    unsafe { libc::fclose(stream.cast()) };
    ours.store(0, Ordering::Release);
    wait(pid)
}
