//! Calls that take or give a socket's address, alone or in a message.
//!
//! A door makes the call itself, since it may be a cancellation point that
//! only libc knows how to be: it hands in a closure that gives what the call
//! returned, negative where it failed. What stands here puts host paths into
//! the addresses before, and app paths into them after.

use libc::{c_int, c_void, mmsghdr, msghdr, socklen_t};

use super::note_open;
use crate::identity::credentials::Control;
use crate::network::Name;
use crate::{Errno, Instance, user};

/// The kernel takes this many messages at a time, and no more.
const MESSAGES: usize = 1024;

/// The messages of a call that takes several: none where they cannot be read.
fn several<'m>(messages: *mut mmsghdr, count: usize) -> &'m mut [mmsghdr] {
    let count = count.min(MESSAGES);
    let each = size_of::<mmsghdr>();
    if !(0..count).all(|index| user::is_readable(messages.wrapping_add(index).cast(), each)) {
        return &mut [];
    }
    // SAFETY: found readable; the program gives them to the call alone.
    unsafe { core::slice::from_raw_parts_mut(messages, count) }
}

impl Instance<'_> {
    /// sendto(2): `call` gets the address to hand to the kernel.
    ///
    /// # Errors
    ///
    /// Those of a look at a path in the address.
    pub fn send_to(
        &self,
        socket: c_int,
        (address, len): (*const c_void, usize),
        call: impl FnOnce(*const c_void, usize) -> isize,
    ) -> Result<isize, Errno> {
        // An address is some kilobytes, which are not moved about for nothing.
        if !self.may_go_elsewhere(address.cast(), len) {
            return Ok(call(address, len));
        }
        Ok(match self.outgoing(libc::SYS_sendto, socket, address.cast(), len)? {
            None => call(address, len),
            Some(mut host) => {
                let (address, len) = host.as_parts();
                call(address.cast(), len)
            }
        })
    }

    /// sendmsg(2): `call` gets the message to hand to the kernel.
    ///
    /// # Errors
    ///
    /// As [`Instance::send_to`].
    pub fn send_message(
        &self,
        socket: c_int,
        message: *const msghdr,
        call: impl FnOnce(*const msghdr) -> isize,
    ) -> Result<isize, Errno> {
        if !user::is_readable(message.cast(), size_of::<msghdr>()) {
            // The kernel looks at the socket first.
            return Ok(call(message));
        }
        // SAFETY: the struct can be read.
        let mut copy = unsafe { message.read_unaligned() };
        let (name, len) = (copy.msg_name.cast(), copy.msg_namelen as usize);
        if copy.msg_controllen == 0 && !self.may_go_elsewhere(name, len) {
            return Ok(call(message));
        }
        let mut control = Control::new();
        let with_ids = self.credentials_to_send(&copy, &mut control)?;
        let message = with_ids.as_ref().map_or(message, core::ptr::from_ref);
        copy = with_ids.unwrap_or(copy);
        let mut outgoing = self.outgoing(libc::SYS_sendmsg, socket, name, len)?;
        let mut led = self.control_for(socket, &copy);
        if outgoing.is_none() && led.is_none() {
            return Ok(call(message));
        }
        if let Some(host) = &mut outgoing {
            let (address, len) = host.as_parts();
            copy.msg_name = address.cast_mut().cast();
            copy.msg_namelen = len as socklen_t;
        }
        if let Some(led) = &mut led {
            copy.msg_control = led.as_mut_ptr().cast();
        }
        Ok(call(&raw const copy))
    }

    /// sendmmsg(2): `all` makes the call as it was asked, `one` sends one
    /// message of it, as sendmsg(2) does.
    ///
    /// # Errors
    ///
    /// As [`Instance::send_message`], where no message has been sent.
    pub fn send_messages(
        &self,
        socket: c_int,
        (messages, count): (*mut mmsghdr, usize),
        all: impl FnOnce() -> isize,
        one: impl Fn(*const msghdr) -> isize,
    ) -> Result<isize, Errno> {
        let list = several(messages, count);
        let is_plain = |message: &mmsghdr| {
            let header = &message.msg_hdr;
            let controls = self.says_source(header) || self.plays() && header.msg_controllen > 0;
            !controls && !self.goes_elsewhere(socket, header.msg_name.cast(), header.msg_namelen as usize)
        };
        if list.iter().all(is_plain) {
            return Ok(all());
        }
        for (sent, message) in list.iter_mut().enumerate() {
            match self.send_message(socket, &raw const message.msg_hdr, &one) {
                Ok(size) if size >= 0 => message.msg_len = size as u32,
                // As the kernel does: the error is told where nothing went out.
                _ if sent > 0 => return Ok(sent as isize),
                failed => return failed,
            }
        }
        Ok(list.len() as isize)
    }

    /// A call that gives an address: getsockname(2), getpeername(2), recvfrom(2).
    pub fn gives_address(
        &self,
        of: (Name, c_int),
        (address, len): (*mut c_void, *mut socklen_t),
        call: impl FnOnce() -> isize,
    ) -> isize {
        let room = if address.is_null() || !user::is_readable(len.cast(), size_of::<socklen_t>()) {
            0
        } else {
            // SAFETY: found readable.
            unsafe { len.read_unaligned() as usize }
        };
        let done = call();
        if done >= 0 && room > 0 {
            // SAFETY: the call has succeeded, so it has written both.
            unsafe {
                let given = len.read_unaligned() as usize;
                len.write_unaligned(self.address_back(of, address.cast(), room, given) as socklen_t);
            }
        }
        done
    }

    /// accept(2) and accept4(2): as [`Instance::gives_address`]; the descriptor is new.
    pub fn accepts(
        &self,
        socket: c_int,
        given: (*mut c_void, *mut socklen_t),
        call: impl FnOnce() -> isize,
    ) -> isize {
        let done = self.gives_address((Name::Accepted, socket), given, call);
        if done >= 0 {
            note_open(done as c_int);
        }
        done
    }

    /// recvmsg(2)
    pub fn receive_message(
        &self,
        socket: c_int,
        message: *mut msghdr,
        call: impl FnOnce() -> isize,
    ) -> isize {
        let room = if user::is_readable(message.cast(), size_of::<msghdr>()) {
            // SAFETY: found readable.
            let message = unsafe { message.read_unaligned() };
            name_room(&message)
        } else {
            0
        };
        let done = call();
        if done >= 0 {
            // SAFETY: the call has succeeded, so it has filled the message.
            unsafe { self.message_back(socket, &mut *message, room) };
            // SAFETY: as above.
            unsafe { self.links_back(socket, &*message, done as usize) };
        }
        done
    }

    /// recvmmsg(2)
    pub fn receive_messages(
        &self,
        socket: c_int,
        (messages, count): (*mut mmsghdr, usize),
        call: impl FnOnce() -> isize,
    ) -> isize {
        let mut rooms = [0; MESSAGES];
        for (message, room) in several(messages, count).iter().zip(&mut rooms) {
            *room = name_room(&message.msg_hdr);
        }
        let done = call();
        for (message, room) in several(messages, usize::try_from(done).unwrap_or(0)).iter_mut().zip(rooms) {
            // SAFETY: the call says that it has filled so many.
            unsafe { self.message_back(socket, &mut message.msg_hdr, room) };
            // SAFETY: as above.
            unsafe { self.links_back(socket, &message.msg_hdr, message.msg_len as usize) };
        }
        done
    }

    /// Puts the addresses of links into a message, whose first part holds it all
    /// in any program that asks for them.
    ///
    /// # Safety
    ///
    /// The kernel has filled the message with so many bytes.
    unsafe fn links_back(&self, socket: c_int, message: &msghdr, len: usize) {
        let has_any = self.view.has_links() || self.view.has_network();
        if has_any && message.msg_iovlen > 0 {
            // SAFETY: the caller's promise.
            unsafe {
                let part = message.msg_iov.read_unaligned();
                let len = len.min(part.iov_len);
                self.show_links(socket, part.iov_base.cast(), len);
                self.show_rows(socket, part.iov_base.cast(), len);
            }
        }
    }

    /// # Safety
    ///
    /// The kernel has filled the message, which had so much room for a name.
    unsafe fn message_back(&self, socket: c_int, message: &mut msghdr, room: usize) {
        if room > 0 {
            let given = message.msg_namelen as usize;
            // SAFETY: the caller's promise.
            message.msg_namelen =
                unsafe { self.address_back((Name::Source, socket), message.msg_name.cast(), room, given) }
                    as socklen_t;
        }
        // SAFETY: the caller's promise.
        unsafe {
            self.control_back(socket, message);
            note_passed(message);
            self.credentials_that_came(message);
            self.show_stamps(message);
        }
    }
}

fn name_room(message: &msghdr) -> usize {
    if message.msg_name.is_null() { 0 } else { message.msg_namelen as usize }
}

/// Forgets what descriptors stood for that have come with a message.
///
/// # Safety
///
/// The kernel has filled the message.
unsafe fn note_passed(message: &msghdr) {
    // SAFETY: the macros of cmsg(3) keep within the control buffer.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(message);
        while !header.is_null() {
            if (*header).cmsg_level == libc::SOL_SOCKET && (*header).cmsg_type == libc::SCM_RIGHTS {
                let data = libc::CMSG_DATA(header).cast::<c_int>();
                let len = (*header).cmsg_len as usize - libc::CMSG_LEN(0) as usize;
                let count = len / size_of::<c_int>();
                for index in 0..count {
                    note_open(data.add(index).read_unaligned());
                }
            }
            header = libc::CMSG_NXTHDR(message, header);
        }
    }
}
