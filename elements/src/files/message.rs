//! Calls that take or give a socket's address, alone or in a message.
//!
//! A door makes the call itself, since it may be a cancellation point that
//! only libc knows how to be: it hands in a closure that gives what the call
//! returned, negative where it failed. What stands here puts host paths into
//! the addresses before, and app paths into them after.

use libc::{c_int, c_void, iovec, mmsghdr, msghdr, socklen_t};

use super::note_open;
use crate::identity::credentials::Control;
use crate::identity::links::Outgoing;
use crate::network::Name;
use crate::{Errno, Instance, user};

/// The kernel takes this many messages at a time, and no more.
const MESSAGES: usize = 1024;

/// Bytes of the program's: where they are, and how many.
pub type Part<T> = (*const T, usize);

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
    /// sendto(2): `call` gets the data and the address to hand to the kernel.
    ///
    /// # Errors
    ///
    /// Those of a look at a path in the address.
    #[inline(always)]
    pub fn send_to(
        &self,
        socket: c_int,
        (data, address): (Part<u8>, Part<c_void>),
        call: impl FnOnce(Part<u8>, Part<c_void>) -> isize,
    ) -> Result<isize, Errno> {
        // An address is some kilobytes, which are not moved about for nothing.
        if !self.view.has_link_names() && !self.may_go_elsewhere(address.0.cast(), address.1) {
            return Ok(call(data, address));
        }
        self.send_elsewhere(socket, data, address, call)
    }

    #[inline(never)]
    fn send_elsewhere(
        &self,
        socket: c_int,
        data: Part<u8>,
        address: Part<c_void>,
        call: impl FnOnce(Part<u8>, Part<c_void>) -> isize,
    ) -> Result<isize, Errno> {
        if self.view.has_link_names() {
            return self.send_request(socket, data, |data| self.send_data(socket, (data, address), call));
        }
        self.send_data(socket, (data, address), call)
    }

    fn send_data(
        &self,
        socket: c_int,
        (data, (address, len)): (Part<u8>, Part<c_void>),
        call: impl FnOnce(Part<u8>, Part<c_void>) -> isize,
    ) -> Result<isize, Errno> {
        if !self.may_go_elsewhere(address.cast(), len) {
            return Ok(call(data, (address, len)));
        }
        Ok(match self.outgoing(libc::SYS_sendto, socket, address.cast(), len)? {
            None => call(data, (address, len)),
            Some(mut host) => {
                let (address, len) = host.as_parts();
                call(data, (address.cast(), len))
            }
        })
    }

    /// Sends what may be a request of rtnetlink(7), with the host's names of interfaces.
    #[inline(never)]
    fn send_request(
        &self,
        socket: c_int,
        data: Part<u8>,
        send: impl FnOnce(Part<u8>) -> Result<isize, Errno>,
    ) -> Result<isize, Errno> {
        let mut room = Outgoing::new();
        match self.links_out(socket, data, &mut room) {
            None => send(data),
            Some(other) => {
                let done = send(other)?;
                Ok(if done == other.1 as isize { data.1 as isize } else { done })
            }
        }
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
        if self.view.has_link_names() && copy.msg_iovlen == 1 && copy.msg_controllen == 0 {
            return self.send_only_part(socket, &copy, call);
        }
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

    /// A message of one part, which may be a request of rtnetlink(7). Those that have control messages are none.
    fn send_only_part(
        &self,
        socket: c_int,
        message: &msghdr,
        call: impl FnOnce(*const msghdr) -> isize,
    ) -> Result<isize, Errno> {
        let mut copy = *message;
        if !user::is_readable(message.msg_iov.cast(), size_of::<iovec>()) {
            return Ok(call(message));
        }
        // SAFETY: found readable.
        let part = unsafe { message.msg_iov.read_unaligned() };
        let address = (message.msg_name.cast_const(), message.msg_namelen as usize);
        self.send_request(socket, (part.iov_base.cast::<u8>().cast_const(), part.iov_len), |(data, len)| {
            let mut part = iovec { iov_base: data.cast_mut().cast(), iov_len: len };
            self.send_data(socket, ((data, len), address), |_, (address, len)| {
                copy.msg_iov = &raw mut part;
                (copy.msg_name, copy.msg_namelen) = (address.cast_mut(), len as socklen_t);
                call(&raw const copy)
            })
        })
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
            return unsafe { self.links_back(socket, &*message, done as usize) } as isize;
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
            let len = unsafe { self.links_back(socket, &message.msg_hdr, message.msg_len as usize) };
            message.msg_len = len as u32;
        }
        done
    }

    /// Puts names and addresses of links into a message, whose first part holds it all
    /// in any program that asks for them. Gives how long the message is then.
    ///
    /// # Safety
    ///
    /// The kernel has filled the message with so many bytes.
    unsafe fn links_back(&self, socket: c_int, message: &msghdr, len: usize) -> usize {
        let has_any = self.view.has_links() || self.view.has_network();
        if !has_any || message.msg_iovlen == 0 {
            return len;
        }
        // SAFETY: the caller's promise.
        unsafe {
            let part = message.msg_iov.read_unaligned();
            let there = len.min(part.iov_len);
            let told = self.show_links(socket, part.iov_base.cast(), there, part.iov_len);
            self.show_rows(socket, part.iov_base.cast(), told);
            len - there + told
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
