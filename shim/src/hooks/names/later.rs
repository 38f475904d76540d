//! getaddrinfo_a(3): names that are looked up while the program goes on.
//!
//! libc's own threads would read libc's own files. So the threads are ours, by libc's
//! pthread_create(3), and look up as [`getaddrinfo`] does. A request tells by its `__return` whether it is done, which
//! is what gai_error(3) reads; who waits for one sleeps on [`DONE`].

use core::ffi::{c_char, c_int, c_void};
use core::sync::atomic::{AtomicI32, AtomicU32, AtomicUsize, Ordering};

use elements::{Errno, kernel};
use libc::{addrinfo, timespec};

use super::getaddrinfo;
use super::hosts::Plan;
use crate::allocate::{free, malloc};
use crate::answer::set_errno;
use crate::hooks::entries::libcs;
use crate::real;

/// `struct gaicb` of netdb.h
#[repr(C)]
pub struct Request {
    name: *const c_char,
    service: *const c_char,
    hints: *const addrinfo,
    result: *mut addrinfo,
    done: AtomicI32,
    reserved: [c_int; 5],
}

/// `struct sigevent` of signal.h
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Event {
    value: usize,
    signal: c_int,
    kind: c_int,
    call: Option<Start>,
    attributes: *const c_void,
}

type Start = unsafe extern "C" fn(*mut c_void) -> *mut c_void;

const GAI_WAIT: c_int = 0;
const GAI_NOWAIT: c_int = 1;
const EAI_INPROGRESS: c_int = -100;
const EAI_NOTCANCELED: c_int = -102;
const EAI_ALLDONE: c_int = -103;
const EAI_INTR: c_int = -104;
const SIGEV_SIGNAL: c_int = 0;
const SIGEV_THREAD: c_int = 2;
/// `si_code` of a signal that says so.
const SI_ASYNCNL: c_int = -60;

/// As many threads as look up the requests of a call.
const THREADS: usize = 8;

/// How many requests have been done: a futex(2).
static DONE: AtomicU32 = AtomicU32::new(0);

/// The requests of a call. The list follows.
#[repr(C)]
struct Job {
    count: usize,
    /// The first that no thread has taken.
    next: AtomicUsize,
    /// How many are not done.
    left: AtomicUsize,
    /// How many threads have it in hand; the last one frees it.
    users: AtomicUsize,
    event: Option<Event>,
}

impl Job {
    /// # Safety
    ///
    /// The program's own arguments. None where there is no memory.
    unsafe fn new(list: *const *mut Request, count: usize, event: Option<Event>) -> Option<&'static Job> {
        let size = size_of::<Job>() + count * size_of::<*mut Request>();
        // SAFETY: the memory is fresh, and large enough for the head and the list.
        unsafe {
            let job = malloc(size).cast::<Job>();
            if job.is_null() {
                return None;
            }
            let requests = job.add(1).cast::<*mut Request>();
            let mut known = 0;
            for index in 0..count {
                let request = list.add(index).read();
                if let Some(given) = request.as_ref() {
                    given.done.store(EAI_INPROGRESS, Ordering::Relaxed);
                    requests.add(known).write(request);
                    known += 1;
                }
            }
            let (next, left, users) = (AtomicUsize::new(0), AtomicUsize::new(known), AtomicUsize::new(1));
            job.write(Job { count: known, next, left, users, event });
            Some(&*job)
        }
    }

    /// Looks up what no thread has taken, until nothing is left of it.
    fn work(&self) {
        if self.count == 0 {
            self.tell();
        }
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            if index >= self.count {
                return;
            }
            // SAFETY: the list follows the head; the program keeps a request until it is done.
            unsafe {
                let request = core::ptr::from_ref(self).add(1).cast::<*mut Request>().add(index).read();
                let (name, service, hints) = ((*request).name, (*request).service, (*request).hints);
                let done = getaddrinfo(name, service, hints, &raw mut (*request).result);
                (*request).done.store(done, Ordering::Release);
            }
            let is_last = self.left.fetch_sub(1, Ordering::AcqRel) == 1;
            DONE.fetch_add(1, Ordering::Release);
            // SAFETY: wakes whoever sleeps on the number.
            let _ = unsafe { futex(libc::FUTEX_WAKE, c_int::MAX as usize, core::ptr::null()) };
            if is_last {
                self.tell();
            }
        }
    }

    /// Waits until all are done.
    fn wait(&self) {
        loop {
            let seen = DONE.load(Ordering::Acquire);
            if self.left.load(Ordering::Acquire) == 0 {
                return;
            }
            // SAFETY: no timeout.
            let _ = unsafe { futex(libc::FUTEX_WAIT, seen as usize, core::ptr::null()) };
        }
    }

    /// Tells the program, in the way that it wants.
    fn tell(&self) {
        let Some(event) = &self.event else { return };
        match event.kind {
            SIGEV_SIGNAL => {
                let (pid, uid) = (kernel::getpid(), kernel::getuid());
                let mut info = [0_u64; 16];
                info[0] = event.signal as u64;
                info[1] = u64::from(SI_ASYNCNL as u32);
                info[2] = u64::from(pid as u32) | u64::from(uid) << 32;
                info[3] = event.value as u64;
                let args = [pid as usize, event.signal as usize, info.as_ptr() as usize, 0, 0, 0];
                // SAFETY: a siginfo_t as the kernel has it.
                let _ = unsafe { kernel::syscall(libc::SYS_rt_sigqueueinfo, args) };
            }
            SIGEV_THREAD => {
                if let Some(call) = event.call {
                    // SAFETY: the function and the attributes that the program gives for this.
                    unsafe { start(event.attributes, call, event.value as *mut c_void) };
                }
            }
            _ => {}
        }
    }

    /// # Safety
    ///
    /// Once for each of `users`; the job may be gone then.
    unsafe fn leave(&self) {
        if self.users.fetch_sub(1, Ordering::AcqRel) == 1 {
            // SAFETY: nobody else has it.
            unsafe { free(core::ptr::from_ref(self).cast_mut().cast()) };
        }
    }
}

/// futex(2) on [`DONE`].
///
/// # Safety
///
/// The timeout is null, or one.
unsafe fn futex(operation: c_int, value: usize, timeout: *const timespec) -> Result<usize, Errno> {
    let operation = (operation | libc::FUTEX_PRIVATE_FLAG) as usize;
    // SAFETY: the caller's promise.
    unsafe {
        kernel::syscall(libc::SYS_futex, [DONE.as_ptr() as usize, operation, value, timeout as usize, 0, 0])
    }
}

/// Starts a thread that nobody joins, and that takes no signals. Whether it could.
///
/// # Safety
///
/// Attributes are null, or such; `call` takes the argument.
unsafe fn start(attributes: *const c_void, call: Start, argument: *mut c_void) -> bool {
    let (Some(create), Some(detach)) = (
        real!(pthread_create as fn(*mut usize, *const c_void, Start, *mut c_void) -> c_int),
        real!(pthread_detach as fn(usize) -> c_int),
    ) else {
        return false;
    };
    let mut mask = u64::MAX;
    // SAFETY: a mask of 8 bytes, and a place for one.
    let swap = |new: u64, old: *mut u64| unsafe {
        let args = [libc::SIG_SETMASK as usize, &raw const new as usize, old as usize, 8, 0, 0];
        kernel::syscall(libc::SYS_rt_sigprocmask, args)
    };
    let _ = swap(mask, &raw mut mask);
    let mut thread = 0;
    // SAFETY: the caller's promise.
    let done = unsafe { create(&raw mut thread, attributes, call, argument) };
    if done == 0 && attributes.is_null() {
        // SAFETY: the thread was just made.
        unsafe { detach(thread) };
    }
    let _ = swap(mask, core::ptr::null_mut());
    done == 0
}

unsafe extern "C" fn worker(job: *mut c_void) -> *mut c_void {
    // SAFETY: the job that has counted this thread.
    unsafe {
        let job = &*job.cast::<Job>();
        job.work();
        job.leave();
    }
    core::ptr::null_mut()
}

pub unsafe fn getaddrinfo_a(
    mode: c_int,
    list: *const *mut Request,
    count: c_int,
    event: *const Event,
) -> c_int {
    if Plan::of_view().is_none() {
        return libcs!(
            getaddrinfo_a(mode: c_int, list: *const *mut Request, count: c_int, event: *const Event) -> c_int,
            libc::EAI_SYSTEM
        );
    }
    if ![GAI_WAIT, GAI_NOWAIT].contains(&mode) {
        set_errno(Errno(libc::EINVAL));
        return libc::EAI_SYSTEM;
    }
    let waits = mode == GAI_WAIT;
    // SAFETY: the program's own arguments.
    let job = unsafe {
        let event = event.as_ref().copied().filter(|_| !waits);
        Job::new(list, usize::try_from(count).unwrap_or(0), event)
    };
    let Some(job) = job else { return libc::EAI_MEMORY };
    let mut started = 0;
    // Who waits looks up as well.
    while started < job.count.min(THREADS) - usize::from(waits && job.count > 0) {
        job.users.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the thread has been counted.
        if !unsafe { start(core::ptr::null(), worker, core::ptr::from_ref(job).cast_mut().cast()) } {
            job.users.fetch_sub(1, Ordering::Relaxed);
            break;
        }
        started += 1;
    }
    if waits || started == 0 {
        job.work();
    }
    if waits {
        job.wait();
    }
    // SAFETY: counted when it was made.
    unsafe { job.leave() };
    0
}

pub unsafe fn gai_suspend(list: *const *const Request, count: c_int, timeout: *const timespec) -> c_int {
    if Plan::of_view().is_none() {
        return libcs!(
            gai_suspend(list: *const *const Request, count: c_int, timeout: *const timespec) -> c_int,
            EAI_ALLDONE
        );
    }
    let left = || {
        // SAFETY: the program's own arguments.
        let all =
            (0..usize::try_from(count).unwrap_or(0)).filter_map(|at| unsafe { (*list.add(at)).as_ref() });
        all.filter(|request| request.done.load(Ordering::Acquire) == EAI_INPROGRESS).count()
    };
    let mut seen = DONE.load(Ordering::Acquire);
    let first = left();
    if first == 0 {
        return EAI_ALLDONE;
    }
    while left() == first {
        // SAFETY: the program's own timeout, or null.
        match unsafe { futex(libc::FUTEX_WAIT, seen as usize, timeout) } {
            Err(Errno(libc::ETIMEDOUT)) => return libc::EAI_AGAIN,
            Err(Errno(libc::EINTR)) => return EAI_INTR,
            _ => seen = DONE.load(Ordering::Acquire),
        }
    }
    0
}

pub unsafe fn gai_cancel(request: *mut Request) -> c_int {
    if Plan::of_view().is_none() {
        return libcs!(gai_cancel(request: *mut Request) -> c_int, EAI_ALLDONE);
    }
    // SAFETY: the program's own request.
    let done = unsafe { (*request).done.load(Ordering::Acquire) };
    if done == EAI_INPROGRESS { EAI_NOTCANCELED } else { EAI_ALLDONE }
}
