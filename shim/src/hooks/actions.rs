//! The file actions of posix_spawn(3).
//!
//! libc keeps them in a form of its own and carries them out by calls that no
//! symbol stands before. So they are kept here, for [`super::spawn`] to carry
//! out: in a list that begins in the padding which glibc and musl both leave
//! at the end of `posix_spawn_file_actions_t`.

use core::ffi::{c_char, c_int, c_void};

use elements::Errno;
use elements::files::Text;
use libc::mode_t;

use crate::allocate::{free, malloc};
use crate::real;

/// What is to be done in the child.
#[derive(Clone, Copy)]
pub enum Action {
    /// close(2)
    Close(c_int),
    /// dup2(2), which also clears close-on-exec of a descriptor on itself.
    Duplicate(c_int, c_int),
    /// open(2) to a given descriptor.
    Open(c_int, c_int, mode_t),
    /// chdir(2)
    ChangeDirectory,
    /// fchdir(2)
    ChangeToDescriptor(c_int),
    /// closefrom(3)
    CloseFrom(c_int),
    /// tcsetpgrp(3) to the child's own process group.
    Foreground(c_int),
}

/// One action, and the path it needs, if any, right behind it.
struct Entry {
    next: *mut Entry,
    action: Action,
}

/// What stands in the padding.
#[repr(C)]
struct List {
    mark: u64,
    first: *mut Entry,
    last: *mut Entry,
}

const MARK: u64 = 0x6c61_756e_6368_6572;
/// Both libcs have a pointer, two ints and sixteen ints of padding.
const OFFSET: usize = 16 + 64 - size_of::<List>();

fn list<'a>(actions: *mut c_void) -> &'a mut List {
    // SAFETY: an initialised object, of which this part is padding.
    unsafe { &mut *actions.cast::<u8>().add(OFFSET).cast::<List>() }
}

/// Whether the object is one that our init has seen.
pub fn is_ours(actions: *const c_void) -> bool {
    list(actions.cast_mut()).mark == MARK
}

/// Calls `each` with every action and its path, in order.
pub fn walk(
    actions: *const c_void,
    each: &mut dyn FnMut(Action, *const c_char) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let mut entry = list(actions.cast_mut()).first;
    while !entry.is_null() {
        // SAFETY: an entry of the list, with its path behind it.
        let (action, path, next) = unsafe { ((*entry).action, entry.add(1).cast::<c_char>(), (*entry).next) };
        each(action, path)?;
        entry = next;
    }
    Ok(())
}

fn add(actions: *mut c_void, action: Action, path: *const c_char) -> c_int {
    let list = list(actions);
    if list.mark != MARK {
        return libc::EINVAL;
    }
    let mut text = Text::<{ elements::files::MAX_PATH }>::new();
    if !path.is_null() {
        // SAFETY: the caller's contract: a string.
        let bytes = unsafe { core::ffi::CStr::from_ptr(path) }.to_bytes();
        if text.push(bytes).is_err() {
            return libc::ENAMETOOLONG;
        }
    }
    let len = text.len() + 1;
    // SAFETY: fresh memory of the program's allocator, as libc would use it.
    unsafe {
        let entry = malloc(size_of::<Entry>() + len).cast::<Entry>();
        if entry.is_null() {
            return libc::ENOMEM;
        }
        entry.write(Entry { next: core::ptr::null_mut(), action });
        core::ptr::copy_nonoverlapping(text.as_ptr(), entry.add(1).cast(), len);
        if list.first.is_null() {
            list.first = entry;
        } else {
            (*list.last).next = entry;
        }
        list.last = entry;
    }
    0
}

fn add_for(fd: c_int, actions: *mut c_void, action: Action, path: *const c_char) -> c_int {
    if fd < 0 { libc::EBADF } else { add(actions, action, path) }
}

pub unsafe fn posix_spawn_file_actions_init(actions: *mut c_void) -> c_int {
    let done = match real!(posix_spawn_file_actions_init as fn(*mut c_void) -> c_int) {
        // SAFETY: the caller's object.
        Some(next) => unsafe { next(actions) },
        None => libc::ENOSYS,
    };
    if done == 0 {
        *list(actions) = List { mark: MARK, first: core::ptr::null_mut(), last: core::ptr::null_mut() };
    }
    done
}

pub unsafe fn posix_spawn_file_actions_destroy(actions: *mut c_void) -> c_int {
    let list = list(actions);
    if list.mark == MARK {
        let mut entry = core::mem::replace(&mut list.first, core::ptr::null_mut());
        list.mark = 0;
        while !entry.is_null() {
            // SAFETY: an entry of the list, which nobody uses any more.
            unsafe {
                let next = (*entry).next;
                free(entry.cast());
                entry = next;
            }
        }
    }
    match real!(posix_spawn_file_actions_destroy as fn(*mut c_void) -> c_int) {
        // SAFETY: the caller's object.
        Some(next) => unsafe { next(actions) },
        None => 0,
    }
}

pub unsafe fn posix_spawn_file_actions_addopen(
    actions: *mut c_void,
    fd: c_int,
    path: *const c_char,
    flags: c_int,
    mode: mode_t,
) -> c_int {
    add_for(fd, actions, Action::Open(fd, flags, mode), path)
}

pub unsafe fn posix_spawn_file_actions_addclose(actions: *mut c_void, fd: c_int) -> c_int {
    add_for(fd, actions, Action::Close(fd), core::ptr::null())
}

pub unsafe fn posix_spawn_file_actions_adddup2(actions: *mut c_void, fd: c_int, new: c_int) -> c_int {
    add_for(fd.min(new), actions, Action::Duplicate(fd, new), core::ptr::null())
}

pub unsafe fn posix_spawn_file_actions_addchdir_np(actions: *mut c_void, path: *const c_char) -> c_int {
    add(actions, Action::ChangeDirectory, path)
}

pub unsafe fn posix_spawn_file_actions_addfchdir_np(actions: *mut c_void, fd: c_int) -> c_int {
    add_for(fd, actions, Action::ChangeToDescriptor(fd), core::ptr::null())
}

pub unsafe fn posix_spawn_file_actions_addclosefrom_np(actions: *mut c_void, from: c_int) -> c_int {
    add_for(from, actions, Action::CloseFrom(from), core::ptr::null())
}

pub unsafe fn posix_spawn_file_actions_addtcsetpgrp_np(actions: *mut c_void, fd: c_int) -> c_int {
    add_for(fd, actions, Action::Foreground(fd), core::ptr::null())
}
