//! Addresses in the control messages of a datagram: `IP_PKTINFO` of ip(7) and `IPV6_PKTINFO` of ipv6(7).
//!
//! A server that wants to answer from the address that it was asked at is told that
//! address with each datagram, and says it with the answer.

use libc::{c_int, cmsghdr, msghdr};
use view::{Action, Direction, Endpoint, MAPPED};

use super::back::Name;
use super::lead::local_endpoint;
use crate::{Instance, user};

/// Control messages that are longer are none of those that servers of datagrams send.
const ROOM: usize = 256;

/// Where in `struct in_pktinfo` the addresses are: `ipi_spec_dst`, and `ipi_addr`.
const SOURCE: usize = 4;
const DESTINATION: usize = 8;

/// Control messages for the kernel in the place of the program's.
#[repr(C, align(8))]
pub struct Control {
    bytes: [u8; ROOM],
}

impl Control {
    /// Where they are.
    pub fn as_mut_ptr(&mut self) -> *mut u8 {
        self.bytes.as_mut_ptr()
    }
}

/// How long the control messages are: libcs give the number different types.
#[allow(clippy::unnecessary_cast, reason = "not for every libc")]
fn length(message: &msghdr) -> usize {
    message.msg_controllen as usize
}

/// Calls `each` with the data of each control message that has an address, and whether it is of IPv6.
///
/// # Safety
///
/// The control messages can be read and written.
unsafe fn walk(message: &msghdr, mut each: impl FnMut(&mut [u8], bool)) {
    // SAFETY: the macros of cmsg(3) keep within the control buffer.
    unsafe {
        let mut header: *mut cmsghdr = libc::CMSG_FIRSTHDR(message);
        while !header.is_null() {
            let data = libc::CMSG_DATA(header);
            let end = message.msg_control as usize + length(message);
            let given = ((*header).cmsg_len as usize).saturating_sub(libc::CMSG_LEN(0) as usize);
            let len = given.min(end.saturating_sub(data as usize));
            let is_v6 = match ((*header).cmsg_level, (*header).cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) if len >= size_of::<libc::in_pktinfo>() => Some(false),
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) if len >= size_of::<libc::in6_pktinfo>() => {
                    Some(true)
                }
                _ => None,
            };
            if let Some(is_v6) = is_v6 {
                each(core::slice::from_raw_parts_mut(data, len), is_v6);
            }
            header = libc::CMSG_NXTHDR(message, header);
        }
    }
}

/// The address at a place of the data.
fn read(data: &[u8], at: usize, is_v6: bool, port: u16) -> Option<Endpoint> {
    let mut address = [0; 16];
    if is_v6 {
        address.copy_from_slice(data.get(..16)?);
    } else {
        let (start, end) = address.split_at_mut(MAPPED.len());
        start.copy_from_slice(&MAPPED);
        end.copy_from_slice(data.get(at..at + 4)?);
    }
    Some(Endpoint { address, port, is_v6 })
}

fn write(data: &mut [u8], at: usize, told: &Endpoint) {
    let (to, from) = if told.is_v6 {
        (data.get_mut(..16), told.address.get(..))
    } else {
        (data.get_mut(at..at + 4), told.address.get(MAPPED.len()..))
    };
    if let (Some(to), Some(from)) = (to, from) {
        to.copy_from_slice(from);
    }
}

impl Instance<'_> {
    /// Puts what the program is told into the control messages that have come with a message.
    ///
    /// # Safety
    ///
    /// The kernel has filled the message.
    pub(crate) unsafe fn control_back(&self, socket: c_int, message: &msghdr) {
        if !self.view.has_network() || message.msg_control.is_null() {
            return;
        }
        let show = |data: &mut [u8], is_v6: bool| {
            let Some(own) = local_endpoint(socket) else { return };
            for at in if is_v6 { &[0][..] } else { &[SOURCE, DESTINATION] } {
                let Some(kernel) = read(data, *at, is_v6, own.port) else { continue };
                let told = self.told_of(Name::Own, socket, &kernel);
                if let Some(told) = told.filter(|told| !told.is_wildcard() && told.is_v6 == is_v6) {
                    write(data, *at, &told);
                }
            }
        };
        // SAFETY: the caller's promise.
        unsafe { walk(message, show) };
    }

    /// Whether a message says by its control messages from which address it is to go.
    pub(crate) fn says_source(&self, message: &msghdr) -> bool {
        let mut says = false;
        if self.has_control(message) {
            // SAFETY: found readable; nothing is written.
            unsafe { walk(message, |_, _| says = true) };
        }
        says
    }

    fn has_control(&self, message: &msghdr) -> bool {
        let len = length(message);
        self.view.has_network()
            && (1..=ROOM).contains(&len)
            && user::is_readable(message.msg_control.cast(), len)
    }

    /// The control messages to send in the place of a program's, if they say another address.
    pub(crate) fn control_for(&self, socket: c_int, message: &msghdr) -> Option<Control> {
        if !self.says_source(message) {
            return None;
        }
        let mut control = Control { bytes: [0; ROOM] };
        // SAFETY: found readable, and not longer than the room.
        unsafe {
            let from = message.msg_control.cast::<u8>();
            core::ptr::copy_nonoverlapping(from, control.as_mut_ptr(), length(message));
        }
        let mut copy = *message;
        copy.msg_control = control.as_mut_ptr().cast();
        let mut led = false;
        let lead = |data: &mut [u8], is_v6: bool| {
            let Some(own) = local_endpoint(socket) else { return };
            let port = self.told_of(Name::Own, socket, &own).map_or(own.port, |told| told.port);
            let Some(asked) = read(data, SOURCE, is_v6, port) else { return };
            let rule = self.rule_for(Direction::Bind, socket, &asked);
            let target = rule.filter(|rule| rule.action == Action::Lead).map(|rule| rule.target(&asked));
            if let Some(target) = target.filter(|target| !asked.is_wildcard() && target.is_v6 == is_v6) {
                write(data, SOURCE, &target);
                led = true;
            }
        };
        // SAFETY: our own copy.
        unsafe { walk(&copy, lead) };
        led.then_some(control)
    }
}
