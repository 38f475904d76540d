//! Attaching: the first thing the shim does in a process.
//!
//! ld.so runs our constructor before the program, but another library's
//! constructor may call a hook earlier still, so every hook asks
//! [`instance`], and the first to ask attaches. The instance's directory is
//! the one that this very library was loaded from, so nothing needs to be
//! passed in the environment, where a program could clear it.

use core::ffi::{c_char, c_int};
use core::sync::atomic::AtomicUsize;

use elements::files::{Glance, Start};
use elements::{Instance, instance, kernel, user};

use crate::next;

/// The process's instance. Attaches on the first call.
#[inline]
pub fn instance() -> &'static Instance<'static> {
    match instance::attached() {
        Some(instance) => instance,
        None => attach(),
    }
}

/// Takes the first look at a path.
#[inline(always)]
pub fn glance(dirfd: c_int, path: *const c_char) -> Glance {
    match instance::plain() {
        Some(instance) => instance.glance(dirfd, path.cast()),
        // Not attached yet, or one that plays somebody: all its files are looked at closer.
        None => Glance::Closer(Start::ANEW),
    }
}

#[unsafe(link_section = ".text.start")]
#[inline(never)]
fn attach() -> &'static Instance<'static> {
    next::read_objects();
    let path = next::own_path();
    let end = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    let dir = path.get(..end).unwrap_or(&[]);
    match instance::attach(dir) {
        Ok(()) => {}
        Err(instance::AttachError::File(name, errno)) => {
            let reason: &[u8] = match errno.0 {
                libc::ENOENT => b": the file is gone",
                libc::EACCES => b": permission denied",
                libc::EMFILE | libc::ENFILE => b": too many open files",
                libc::ENOMEM => b": out of memory",
                _ => b": it cannot be opened",
            };
            refuse(dir, name.as_bytes(), reason);
        }
        Err(instance::AttachError::Image(malformed)) => {
            say(b"launcher: the view is damaged: ");
            say(malformed.0.as_bytes());
            refuse(dir, b"view", b"")
        }
    }
    match instance::attached() {
        Some(instance) => instance,
        // Another thread is at it; there are no threads this early but by
        // another library's constructor. Its turn is short.
        None => loop {
            if let Some(instance) = instance::attached() {
                break instance;
            }
            core::hint::spin_loop();
        },
    }
}

#[cold]
fn refuse(dir: &[u8], name: &[u8], reason: &[u8]) -> ! {
    say(b"launcher: the program is not started: it would run outside its view\n  cannot map ");
    say(dir);
    say(b"/");
    say(name);
    say(reason);
    die(b"", b"\n  start it again with `launcher`, which makes the view anew\n")
}

/// Writes to standard error.
pub fn say(text: &[u8]) {
    // Where standard error is closed there is nobody to tell.
    let _ = kernel::write(2, text);
}

/// Ends the process as env(1) does when it cannot start a program.
pub fn die(text: &[u8], more: &[u8]) -> ! {
    say(text);
    say(more);
    kernel::exit(126)
}

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn(c_int, *mut *mut c_char, *mut *mut c_char) = constructor;

unsafe extern "C" {
    /// The program's environment. Ours must be found by its name: musl gives
    /// constructors no arguments.
    static mut environ: *mut *mut c_char;
}

#[unsafe(link_section = ".text.start")]
extern "C" fn constructor(_: c_int, _: *mut *mut c_char, _: *mut *mut c_char) {
    instance();
    // SAFETY: libc has set `environ` before it runs constructors, and no
    // other thread runs yet.
    unsafe {
        let end = hide_preload(environ);
        // The strings of the environment are the top of the main thread's stack.
        let here = core::ptr::from_ref(&end) as usize;
        if end > here {
            user::note_range(here, end);
        }
    }
    note_heap();
}

/// Takes our library out of `LD_PRELOAD`, so that the program sees the
/// environment that it would see natively; exec puts it back. Gives the
/// highest address that the environment takes.
///
/// # Safety
///
/// `list` is an environment that nobody else uses yet.
#[unsafe(link_section = ".text.start")]
unsafe fn hide_preload(list: *mut *mut c_char) -> usize {
    let mut top = list as usize;
    if list.is_null() {
        return top;
    }
    let mut from = list;
    let mut to = list;
    // SAFETY: the list ends in a null pointer, its entries in NUL, and both
    // are on the stack, which is writable.
    unsafe {
        while !(*from).is_null() {
            top = top.max(*from as usize);
            let keep = match after(*from, b"LD_PRELOAD=") {
                Some(value) => {
                    let ours = next::own_path();
                    match next::length(value).checked_sub(ours.len()) {
                        Some(theirs) if after(value.add(theirs), ours).is_some() => {
                            if theirs > 0 {
                                // Ours is last, after a separator.
                                *value.add(theirs - 1) = 0;
                            }
                            theirs > 0
                        }
                        _ => true,
                    }
                }
                None => true,
            };
            if keep {
                *to = *from;
                to = to.add(1);
            }
            from = from.add(1);
        }
        *to = core::ptr::null_mut();
    }
    top
}

/// What follows a prefix in a string. It is read no further than the two agree:
/// an environment is long.
///
/// # Safety
///
/// The string ends in NUL.
#[unsafe(link_section = ".text.start")]
unsafe fn after(string: *mut c_char, prefix: &[u8]) -> Option<*mut c_char> {
    for (at, byte) in prefix.iter().enumerate() {
        // SAFETY: what comes before was no NUL.
        if unsafe { *string.add(at) } as u8 != *byte {
            return None;
        }
    }
    // SAFETY: the prefix is part of the string.
    Some(unsafe { string.add(prefix.len()) })
}

/// glibc keeps the program break in a variable with this name; musl has none.
#[unsafe(link_section = ".text.start")]
fn note_heap() {
    if let Some(address) = next::find(b"__curbrk") {
        // SAFETY: glibc's variable lives as long as the process, and an
        // aligned word can be read atomically.
        user::note_break(unsafe { &*(address as *const AtomicUsize) });
    }
}
