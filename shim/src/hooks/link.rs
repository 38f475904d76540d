//! The names and addresses of network interfaces.

use core::ffi::{CStr, c_char, c_int, c_uint, c_ulong, c_void};

use elements::{Answer, Errno};
use libc::{ifaddrs, sockaddr_ll};

use super::is_glibc;
use crate::allocate::realloc;
use crate::answer::{finish_int, returned};
use crate::real;
use crate::start::instance;

/// The third argument is passed on whether or not the caller gave one: on
/// this architecture it comes in a register either way.
pub unsafe fn ioctl(file: c_int, request: c_ulong, argument: usize) -> c_int {
    let answer = instance().ioctl(file, request, argument);
    match (answer, real!(ioctl as fn(c_int, c_ulong, usize) -> c_int)) {
        // SAFETY: the program's own arguments.
        (Answer::Pass, Some(next)) => unsafe { next(file, request, argument) },
        // SAFETY: as above.
        _ => unsafe {
            finish_int(answer, libc::SYS_ioctl, [file as usize, request as usize, argument, 0, 0, 0])
        },
    }
}

/// libc asks the kernel by calls of its own.
pub unsafe fn getifaddrs(list: *mut *mut c_void) -> c_int {
    let Some(next) = real!(getifaddrs as fn(*mut *mut c_void) -> c_int) else {
        return returned(Err(Errno::ENOSYS)) as c_int;
    };
    // SAFETY: the program's own argument.
    let done = unsafe { next(list) };
    if done == 0 && instance().view.has_links() {
        // SAFETY: libc has made a list there, which is the program's own.
        unsafe {
            let first = (*list).cast::<ifaddrs>();
            let mut entry = first;
            while !entry.is_null() {
                if !has_name_of_other(first, entry) {
                    rename((*entry).ifa_name);
                }
                show(&*entry);
                entry = (*entry).ifa_next;
            }
        }
    }
    done
}

/// Whether an entry shares its name with one before it.
///
/// # Safety
///
/// A list of libc's, and an entry of it.
unsafe fn has_name_of_other(first: *mut ifaddrs, entry: *mut ifaddrs) -> bool {
    let mut before = first;
    // SAFETY: the caller's promise.
    unsafe {
        while before != entry {
            if (*before).ifa_name == (*entry).ifa_name {
                return true;
            }
            before = (*before).ifa_next;
        }
    }
    false
}

/// Puts the application's name in the host's place: libcs have room for the longest.
///
/// # Safety
///
/// A string, in a place for `IFNAMSIZ` bytes.
unsafe fn rename(name: *mut c_char) {
    // SAFETY: the caller's promise.
    unsafe {
        if let Some(shown) = instance().shown_link(CStr::from_ptr(name).to_bytes()) {
            core::ptr::copy_nonoverlapping(shown.field().as_ptr().cast(), name, shown.field().len());
        }
    }
}

/// # Safety
///
/// An entry of libc's.
unsafe fn show(entry: &ifaddrs) {
    // SAFETY: the name is a string, and the address is what its family says.
    unsafe {
        let name = CStr::from_ptr(entry.ifa_name).to_bytes();
        if entry.ifa_addr.is_null() || c_int::from((*entry.ifa_addr).sa_family) != libc::AF_PACKET {
            return;
        }
        let address = &mut *entry.ifa_addr.cast::<sockaddr_ll>();
        if let (Some(said), 6) = (instance().link_address(name), address.sll_halen)
            && let Some(to) = address.sll_addr.get_mut(..said.len())
        {
            to.copy_from_slice(&said);
        }
    }
}

/// libc asks the kernel by calls of its own.
pub unsafe fn if_nametoindex(name: *const c_char) -> c_uint {
    let Some(next) = real!(if_nametoindex as fn(*const c_char) -> c_uint) else { return missing() };
    // SAFETY: the caller's string, as libc itself reads it.
    let host = if instance().view.has_link_names() {
        // SAFETY: as above.
        instance().host_link(unsafe { CStr::from_ptr(name) }.to_bytes())
    } else {
        None
    };
    // SAFETY: the program's own string, or ours.
    unsafe { next(host.as_ref().map_or(name, |host| host.field().as_ptr().cast())) }
}

pub unsafe fn if_indextoname(index: c_uint, name: *mut c_char) -> *mut c_char {
    let Some(next) = real!(if_indextoname as fn(c_uint, *mut c_char) -> *mut c_char) else {
        missing();
        return core::ptr::null_mut();
    };
    // SAFETY: the program's own arguments: there is room for `IFNAMSIZ` bytes.
    unsafe {
        let found = next(index, name);
        if !found.is_null() {
            rename(found);
        }
        found
    }
}

/// `struct if_nameindex`
#[repr(C)]
struct Indexed {
    index: c_uint,
    name: *mut c_char,
}

pub unsafe fn if_nameindex() -> *mut c_void {
    let Some(next) = real!(if_nameindex as fn() -> *mut c_void) else {
        missing();
        return core::ptr::null_mut();
    };
    // SAFETY: takes nothing.
    let list = unsafe { next() };
    let mut entry = list.cast::<Indexed>();
    // SAFETY: libc's list ends with an entry without a name. glibc frees each name by itself.
    unsafe {
        while !entry.is_null() && !(*entry).name.is_null() {
            let name = (*entry).name;
            let host = CStr::from_ptr(name).to_bytes();
            if let Some(shown) = instance().shown_link(host) {
                let len = shown.bytes().len() + 1;
                let to = if len <= host.len() + 1 { name } else { larger(name, len) };
                if !to.is_null() {
                    core::ptr::copy_nonoverlapping(shown.field().as_ptr().cast(), to, len);
                    (*entry).name = to;
                }
            }
            entry = entry.add(1);
        }
    }
    list
}

/// Room for a longer name, in the place of one of libc's.
///
/// # Safety
///
/// A name in a list of libc's.
unsafe fn larger(name: *mut c_char, len: usize) -> *mut c_char {
    // glibc has each name apart; musl frees the list as one.
    let old = if is_glibc() { name.cast() } else { core::ptr::null_mut() };
    // SAFETY: what the program frees is from its allocator.
    unsafe { realloc(old, len).cast() }
}

fn missing() -> c_uint {
    returned(Err(Errno::ENOSYS));
    0
}
