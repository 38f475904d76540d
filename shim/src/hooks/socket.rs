//! Unix socket addresses, in and out.
//!
//! connect, accept, send and recv are cancellation points, so what passes
//! goes to the next definition.

use core::ffi::{c_int, c_uint, c_void};

use elements::files::Want;
use elements::{Answer, Errno, files, user};
use libc::{mmsghdr, msghdr, size_t, socklen_t, ssize_t, timespec};

use crate::answer::{finish_int, returned};
use crate::real;
use crate::start::instance;

pub unsafe fn bind(socket: c_int, address: *const c_void, len: socklen_t) -> c_int {
    let answer = instance().bind(socket, address.cast(), len as usize);
    // SAFETY: the program's own arguments.
    unsafe { finish_int(answer, libc::SYS_bind, [socket as usize, address as usize, len as usize, 0, 0, 0]) }
}

pub unsafe fn connect(socket: c_int, address: *const c_void, len: socklen_t) -> c_int {
    match instance().connect(socket, address.cast(), len as usize) {
        Answer::Done(result) => returned(result) as c_int,
        Answer::Pass => match real!(connect as fn(c_int, *const c_void, socklen_t) -> c_int) {
            // SAFETY: the program's own arguments.
            Some(next) => unsafe { next(socket, address, len) },
            None => missing(),
        },
    }
}

pub unsafe fn sendto(
    socket: c_int,
    data: *const c_void,
    size: size_t,
    flags: c_int,
    address: *const c_void,
    len: socklen_t,
) -> ssize_t {
    let Some(next) =
        real!(sendto as fn(c_int, *const c_void, size_t, c_int, *const c_void, socklen_t) -> ssize_t)
    else {
        return missing() as ssize_t;
    };
    match instance().unix_address(address.cast(), len as usize, Want::LOOK) {
        // SAFETY: the program's own arguments.
        Ok(None) => unsafe { next(socket, data, size, flags, address, len) },
        Ok(Some(mut host)) => {
            let (address, len) = host.as_parts();
            // SAFETY: the program's own arguments, but for the address.
            unsafe { next(socket, data, size, flags, address.cast(), len as socklen_t) }
        }
        Err(errno) => returned(Err(errno)),
    }
}

pub unsafe fn sendmsg(socket: c_int, message: *const msghdr, flags: c_int) -> ssize_t {
    let Some(next) = real!(sendmsg as fn(c_int, *const msghdr, c_int) -> ssize_t) else {
        return missing() as ssize_t;
    };
    if !user::is_readable(message.cast(), size_of::<msghdr>()) {
        return returned(Err(Errno::EFAULT));
    }
    // SAFETY: the struct can be read.
    let mut copy = unsafe { *message };
    match instance().unix_address(copy.msg_name.cast(), copy.msg_namelen as usize, Want::LOOK) {
        // SAFETY: the program's own arguments.
        Ok(None) => unsafe { next(socket, message, flags) },
        Ok(Some(mut host)) => {
            let (address, len) = host.as_parts();
            copy.msg_name = address.cast_mut().cast();
            copy.msg_namelen = len as socklen_t;
            // SAFETY: the program's own message, but for the address.
            unsafe { next(socket, &raw const copy, flags) }
        }
        Err(errno) => returned(Err(errno)),
    }
}

pub unsafe fn sendmmsg(socket: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int) -> c_int {
    let Some(next) = real!(sendmmsg as fn(c_int, *mut mmsghdr, c_uint, c_int) -> c_int) else {
        return missing();
    };
    // SAFETY: the caller's contract: as many messages as it says.
    let list = unsafe { several(messages, count) };
    let is_plain = |message: &mmsghdr| {
        let header = &message.msg_hdr;
        let address = (header.msg_name.cast(), header.msg_namelen as usize);
        matches!(instance().unix_address(address.0, address.1, Want::LOOK), Ok(None))
    };
    if list.iter().all(is_plain) {
        // SAFETY: the program's own arguments.
        return unsafe { next(socket, messages, count, flags) };
    }
    let mut sent = 0;
    for message in list {
        // SAFETY: the program's own message.
        let size = unsafe { sendmsg(socket, &raw const message.msg_hdr, flags) };
        if size < 0 {
            // As the kernel does: the error is told where nothing went out.
            return if sent > 0 { sent } else { -1 };
        }
        message.msg_len = size as c_uint;
        sent += 1;
    }
    sent
}

/// The kernel takes this many messages at a time, and no more.
const MESSAGES: usize = 1024;

/// The messages of a call that takes several.
///
/// # Safety
///
/// `messages` points to `count` messages, or to nothing that can be read.
unsafe fn several<'m>(messages: *mut mmsghdr, count: c_uint) -> &'m mut [mmsghdr] {
    let count = (count as usize).min(MESSAGES);
    let each = size_of::<mmsghdr>();
    if !(0..count).all(|index| user::is_readable(messages.wrapping_add(index).cast(), each)) {
        return &mut [];
    }
    // SAFETY: found readable, and the caller's promise.
    unsafe { core::slice::from_raw_parts_mut(messages, count) }
}

/// The room that a caller gives for an address.
fn room(address: *mut c_void, len: *mut socklen_t) -> usize {
    if address.is_null() || !user::is_readable(len.cast(), size_of::<socklen_t>()) {
        return 0;
    }
    // SAFETY: found readable.
    unsafe { *len as usize }
}

/// Turns the address that a call has given into the program's.
///
/// # Safety
///
/// The call has succeeded with these arguments, and `room` was what `len` said before.
unsafe fn back(address: *mut c_void, len: *mut socklen_t, room: usize) {
    if room > 0 {
        // SAFETY: the caller's promise.
        unsafe { *len = instance().address_back(address.cast(), room, *len as usize) as socklen_t };
    }
}

pub unsafe fn getsockname(socket: c_int, address: *mut c_void, len: *mut socklen_t) -> c_int {
    // SAFETY: the caller's contract.
    unsafe { name(libc::SYS_getsockname, socket, address, len) }
}

pub unsafe fn getpeername(socket: c_int, address: *mut c_void, len: *mut socklen_t) -> c_int {
    // SAFETY: the caller's contract.
    unsafe { name(libc::SYS_getpeername, socket, address, len) }
}

unsafe fn name(nr: i64, socket: c_int, address: *mut c_void, len: *mut socklen_t) -> c_int {
    let room = room(address, len);
    let args = [socket as usize, address as usize, len as usize, 0, 0, 0];
    // SAFETY: the program's own arguments.
    unsafe {
        let done = finish_int(Answer::Pass, nr, args);
        if done == 0 {
            back(address, len, room);
        }
        done
    }
}

pub unsafe fn accept(socket: c_int, address: *mut c_void, len: *mut socklen_t) -> c_int {
    let Some(next) = real!(accept as fn(c_int, *mut c_void, *mut socklen_t) -> c_int) else {
        return missing();
    };
    let room = room(address, len);
    // SAFETY: the program's own arguments.
    unsafe {
        let done = next(socket, address, len);
        if done >= 0 {
            files::note_open(done);
            back(address, len, room);
        }
        done
    }
}

pub unsafe fn accept4(socket: c_int, address: *mut c_void, len: *mut socklen_t, flags: c_int) -> c_int {
    let Some(next) = real!(accept4 as fn(c_int, *mut c_void, *mut socklen_t, c_int) -> c_int) else {
        return missing();
    };
    let room = room(address, len);
    // SAFETY: the program's own arguments.
    unsafe {
        let done = next(socket, address, len, flags);
        if done >= 0 {
            files::note_open(done);
            back(address, len, room);
        }
        done
    }
}

pub unsafe fn recvfrom(
    socket: c_int,
    data: *mut c_void,
    size: size_t,
    flags: c_int,
    address: *mut c_void,
    len: *mut socklen_t,
) -> ssize_t {
    let Some(next) =
        real!(recvfrom as fn(c_int, *mut c_void, size_t, c_int, *mut c_void, *mut socklen_t) -> ssize_t)
    else {
        return missing() as ssize_t;
    };
    let room = room(address, len);
    // SAFETY: the program's own arguments.
    unsafe {
        let done = next(socket, data, size, flags, address, len);
        if done >= 0 {
            back(address, len, room);
        }
        done
    }
}

pub unsafe fn recvmsg(socket: c_int, message: *mut msghdr, flags: c_int) -> ssize_t {
    let Some(next) = real!(recvmsg as fn(c_int, *mut msghdr, c_int) -> ssize_t) else {
        return missing() as ssize_t;
    };
    let room = if user::is_readable(message.cast(), size_of::<msghdr>()) {
        // SAFETY: found readable.
        unsafe { if (*message).msg_name.is_null() { 0 } else { (*message).msg_namelen as usize } }
    } else {
        0
    };
    // SAFETY: the program's own arguments; the call has filled the message.
    unsafe {
        let done = next(socket, message, flags);
        if done >= 0 {
            let message = &mut *message;
            back(message.msg_name, &raw mut message.msg_namelen, room);
            note_passed(message);
        }
        done
    }
}

pub unsafe fn recvmmsg(
    socket: c_int,
    messages: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
    timeout: *mut timespec,
) -> c_int {
    let Some(next) = real!(recvmmsg as fn(c_int, *mut mmsghdr, c_uint, c_int, *mut timespec) -> c_int) else {
        return missing();
    };
    let mut rooms = [0; MESSAGES];
    // SAFETY: the caller's contract: as many messages as it says.
    for (message, room) in unsafe { several(messages, count) }.iter().zip(&mut rooms) {
        *room = if message.msg_hdr.msg_name.is_null() { 0 } else { message.msg_hdr.msg_namelen };
    }
    // SAFETY: the program's own arguments; the call has filled as many as it says.
    unsafe {
        let done = next(socket, messages, count, flags, timeout);
        let filled = several(messages, c_uint::try_from(done).unwrap_or(0));
        for (message, room) in filled.iter_mut().zip(rooms) {
            let header = &mut message.msg_hdr;
            back(header.msg_name, &raw mut header.msg_namelen, room as usize);
            note_passed(header);
        }
        done
    }
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
                let count = ((*header).cmsg_len - libc::CMSG_LEN(0) as usize) / size_of::<c_int>();
                for index in 0..count {
                    files::note_open(data.add(index).read_unaligned());
                }
            }
            header = libc::CMSG_NXTHDR(message, header);
        }
    }
}

fn missing() -> c_int {
    returned(Err(Errno::ENOSYS)) as c_int
}
