//! ioctl(2) on sockets: netdevice(7).

use libc::{c_ulong, ifreq};

use super::LEN;
use crate::{Answer, Instance, kernel, user};

/// The requests that tell a hardware address.
pub const REQUESTS: &[u32] = &[libc::SIOCGIFHWADDR as u32, SIOCETHTOOL];

/// The requests that tell or are told a name, `REQUESTS` among them.
pub const NAMED: &[u32] = &[
    SIOCGIFNAME,
    0x8911,
    SIOCGIFCONF,
    0x8913,
    0x8914,
    0x8915,
    0x8916,
    0x8917,
    0x8918,
    0x8919,
    0x891a,
    0x891b,
    0x891c,
    0x891d,
    0x891e,
    0x891f,
    0x8920,
    0x8921,
    0x8922,
    0x8923,
    0x8924,
    0x8925,
    0x8926,
    libc::SIOCGIFHWADDR as u32,
    0x8929,
    0x8930,
    0x8931,
    0x8932,
    0x8933,
    0x8934,
    0x8935,
    0x8936,
    0x8937,
    0x8942,
    0x8943,
    SIOCETHTOOL,
    0x8947,
    0x8948,
    0x8949,
    0x8970,
    0x8971,
    0x8990,
    0x8991,
    0x8992,
    0x8993,
    0x8994,
    0x8995,
    0x89b0,
    0x89b1,
];

const SIOCGIFNAME: u32 = 0x8910;
const SIOCGIFCONF: u32 = 0x8912;
const SIOCETHTOOL: u32 = 0x8946;
/// ethtool(8): the address that the device was made with.
const GPERMADDR: u32 = 0x20;

const IFREQ: usize = size_of::<ifreq>();
/// Where the union is that follows the name.
const VALUE: usize = libc::IFNAMSIZ;

impl Instance<'_> {
    /// ioctl(2), where the request is one of [`NAMED`].
    pub fn ioctl(&self, file: i32, request: c_ulong, argument: usize) -> Answer {
        let has_names = self.view.has_link_names();
        let number = request as u32;
        if !self.view.has_links() || !(if has_names { NAMED } else { REQUESTS }).contains(&number) {
            return Answer::Pass;
        }
        let call = |argument: usize| {
            // SAFETY: the program's own arguments, or a copy of what they point to.
            unsafe { kernel::syscall(libc::SYS_ioctl, [file as usize, request as usize, argument, 0, 0, 0]) }
        };
        if number == SIOCGIFCONF {
            let done = call(argument);
            if done.is_ok() {
                self.show_list(argument);
            }
            return Answer::Done(done);
        }
        if !user::is_readable(argument as *const u8, IFREQ) {
            return Answer::Done(call(argument));
        }
        let theirs = argument as *mut [u8; IFREQ];
        // SAFETY: found readable.
        let mut copy = unsafe { theirs.read_unaligned() };
        let (name, _) = copy.split_at(VALUE);
        let host = if number == SIOCGIFNAME { None } else { self.host_link(name) };
        let done = match host {
            None => call(argument),
            Some(host) => {
                copy.split_at_mut(VALUE).0.copy_from_slice(host.field());
                let done = call(copy.as_mut_ptr() as usize);
                if done.is_ok() && user::is_writable(argument as *mut u8, IFREQ) {
                    // SAFETY: found writable; what follows the name is the kernel's answer.
                    unsafe {
                        let (from, to) = (copy.as_ptr().add(VALUE), theirs.cast::<u8>().add(VALUE));
                        core::ptr::copy_nonoverlapping(from, to, IFREQ - VALUE);
                    }
                }
                done
            }
        };
        if done.is_ok() {
            // SAFETY: the kernel has just used it.
            unsafe {
                if number == SIOCGIFNAME {
                    self.show_link_name(theirs.cast());
                } else if REQUESTS.contains(&number) {
                    self.show_address(number, theirs.cast());
                }
            }
        }
        Answer::Done(done)
    }

    /// # Safety
    ///
    /// The kernel has written an `ifreq` there.
    unsafe fn show_link_name(&self, ifreq: *mut u8) {
        // SAFETY: the caller's promise.
        let field = unsafe { core::slice::from_raw_parts_mut(ifreq, VALUE) };
        if let Some(shown) = self.shown_link(field) {
            field.copy_from_slice(shown.field());
        }
    }

    /// The names in what SIOCGIFCONF has written.
    fn show_list(&self, ifconf: usize) {
        // SAFETY: the kernel has just written it.
        let list = unsafe { (ifconf as *const libc::ifconf).read_unaligned() };
        // SAFETY: a union of pointers.
        let buffer = unsafe { list.ifc_ifcu.ifcu_buf }.cast::<u8>();
        if buffer.is_null() {
            return;
        }
        for index in 0..usize::try_from(list.ifc_len).unwrap_or(0) / IFREQ {
            // SAFETY: the kernel says that it has written so many.
            unsafe { self.show_link_name(buffer.add(index * IFREQ)) };
        }
    }

    /// # Safety
    ///
    /// The request has succeeded with an `ifreq` there.
    unsafe fn show_address(&self, request: u32, ifreq: *mut u8) {
        // SAFETY: the caller's promise.
        let field = unsafe { core::slice::from_raw_parts(ifreq, libc::IFNAMSIZ) };
        let Some(address) = self.link_address(field) else { return };
        let value = ifreq.wrapping_add(VALUE);
        let to = if request == SIOCETHTOOL {
            // SAFETY: the caller's promise: the union holds a pointer.
            let data = unsafe { value.cast::<*mut u8>().read_unaligned() };
            if !user::is_readable(data, 8 + LEN) {
                return;
            }
            // SAFETY: found readable.
            let (command, len) =
                unsafe { (data.cast::<u32>().read_unaligned(), data.add(4).cast::<u32>().read_unaligned()) };
            if (command, len as usize) != (GPERMADDR, LEN) {
                return;
            }
            // SAFETY: found readable.
            let made: [u8; LEN] = unsafe { data.add(8).cast::<[u8; LEN]>().read_unaligned() };
            if made == [0; LEN] {
                // A device that was made with none.
                return;
            }
            data.wrapping_add(8)
        } else {
            // SAFETY: the caller's promise: the union holds a socket's address.
            let family = unsafe { value.cast::<u16>().read_unaligned() };
            if family != libc::ARPHRD_ETHER {
                return;
            }
            value.wrapping_add(2)
        };
        // SAFETY: where the kernel has just written as much.
        unsafe { core::ptr::copy_nonoverlapping(address.as_ptr(), to, LEN) };
    }
}
