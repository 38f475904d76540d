//! The addresses of network interfaces.

use core::ffi::{c_int, c_ulong, c_void};

use elements::{Answer, Errno};
use libc::{ifaddrs, sockaddr_ll};

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
            let mut entry = (*list).cast::<ifaddrs>();
            while !entry.is_null() {
                show(&*entry);
                entry = (*entry).ifa_next;
            }
        }
    }
    done
}

/// # Safety
///
/// An entry of libc's.
unsafe fn show(entry: &ifaddrs) {
    // SAFETY: the name is a string, and the address is what its family says.
    unsafe {
        let name = core::ffi::CStr::from_ptr(entry.ifa_name).to_bytes();
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
