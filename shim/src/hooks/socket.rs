//! Addresses of sockets, in and out.
//!
//! connect, accept, send and recv are cancellation points, so what passes
//! goes to the next definition.

use core::ffi::{c_int, c_uint, c_void};

use elements::network::{Name, Way};
use elements::{Answer, Errno};
use libc::{mmsghdr, msghdr, size_t, socklen_t, ssize_t, timespec};

use crate::answer::{finish, finish_int, returned};
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
    let given = ((data.cast(), size), (address, len as usize));
    let done = sent(instance().send_to(socket, given, |(data, size), (address, len)| {
        // SAFETY: the program's own arguments, but for names in them.
        unsafe { next(socket, data.cast(), size, flags, address, len as socklen_t) }
    }));
    if instance().tells_of_queries() {
        instance().tell_of_message(Way::Out, socket, data.cast(), done, given.1);
    }
    done
}

pub unsafe fn sendmsg(socket: c_int, message: *const msghdr, flags: c_int) -> ssize_t {
    let Some(next) = real!(sendmsg as fn(c_int, *const msghdr, c_int) -> ssize_t) else {
        return missing() as ssize_t;
    };
    // SAFETY: the program's own message, but for the address.
    let done =
        sent(instance().send_message(socket, message, |message| unsafe { next(socket, message, flags) }));
    if instance().tells_of_queries() {
        instance().tell_of_header(Way::Out, socket, message, done);
    }
    done
}

pub unsafe fn sendmmsg(socket: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int) -> c_int {
    let Some(all) = real!(sendmmsg as fn(c_int, *mut mmsghdr, c_uint, c_int) -> c_int) else {
        return missing();
    };
    let Some(one) = real!(sendmsg as fn(c_int, *const msghdr, c_int) -> ssize_t) else {
        return missing();
    };
    // SAFETY: the program's own messages, but for the addresses.
    let all = || unsafe { all(socket, messages, count, flags) } as isize;
    // SAFETY: as above.
    let one = |message| unsafe { one(socket, message, flags) };
    let done = sent(instance().send_messages(socket, (messages, count as usize), all, one));
    if instance().tells_of_queries() {
        instance().tell_of_headers(Way::Out, socket, messages, done);
    }
    done as c_int
}

/// What a call has returned; an error that came before it is put into errno.
fn sent(done: Result<isize, Errno>) -> isize {
    done.unwrap_or_else(|errno| returned(Err(errno)))
}

pub unsafe fn getsockname(socket: c_int, address: *mut c_void, len: *mut socklen_t) -> c_int {
    name(libc::SYS_getsockname, Name::Own, socket, address, len)
}

pub unsafe fn getpeername(socket: c_int, address: *mut c_void, len: *mut socklen_t) -> c_int {
    name(libc::SYS_getpeername, Name::Peer, socket, address, len)
}

fn name(nr: i64, of: Name, socket: c_int, address: *mut c_void, len: *mut socklen_t) -> c_int {
    let args = [socket as usize, address as usize, len as usize, 0, 0, 0];
    // SAFETY: the program's own arguments.
    instance().gives_address((of, socket), (address, len), || unsafe { finish(Answer::Pass, nr, args) })
        as c_int
}

pub unsafe fn accept(socket: c_int, address: *mut c_void, len: *mut socklen_t) -> c_int {
    let Some(next) = real!(accept as fn(c_int, *mut c_void, *mut socklen_t) -> c_int) else {
        return missing();
    };
    // SAFETY: the program's own arguments.
    instance().accepts(socket, (address, len), || unsafe { next(socket, address, len) } as isize) as c_int
}

pub unsafe fn accept4(socket: c_int, address: *mut c_void, len: *mut socklen_t, flags: c_int) -> c_int {
    let Some(next) = real!(accept4 as fn(c_int, *mut c_void, *mut socklen_t, c_int) -> c_int) else {
        return missing();
    };
    // SAFETY: the program's own arguments.
    instance().accepts(socket, (address, len), || unsafe { next(socket, address, len, flags) } as isize)
        as c_int
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
    // SAFETY: the program's own arguments.
    let done = instance().gives_address((Name::Source, socket), (address, len), || unsafe {
        next(socket, data, size, flags, address, len)
    });
    if instance().tells_of_queries() && !len.is_null() {
        // SAFETY: the program's own, which the call has filled.
        let from = (address.cast_const(), unsafe { len.read_unaligned() } as usize);
        instance().tell_of_message(Way::In, socket, data.cast(), done, from);
    }
    let given = usize::try_from(done).unwrap_or(0).min(size);
    // SAFETY: the call says that it has written so much.
    unsafe {
        let told = instance().show_links(socket, data.cast(), given, size);
        instance().show_rows(socket, data.cast(), told);
        done.wrapping_add_unsigned(told).wrapping_sub_unsigned(given)
    }
}

pub unsafe fn recvmsg(socket: c_int, message: *mut msghdr, flags: c_int) -> ssize_t {
    let Some(next) = real!(recvmsg as fn(c_int, *mut msghdr, c_int) -> ssize_t) else {
        return missing() as ssize_t;
    };
    // SAFETY: the program's own arguments.
    let done = instance().receive_message(socket, message, || unsafe { next(socket, message, flags) });
    if instance().tells_of_queries() {
        instance().tell_of_header(Way::In, socket, message, done);
    }
    done
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
    // SAFETY: the program's own arguments.
    let call = || unsafe { next(socket, messages, count, flags, timeout) } as isize;
    let done = instance().receive_messages(socket, (messages, count as usize), call);
    if instance().tells_of_queries() {
        instance().tell_of_headers(Way::In, socket, messages, done);
    }
    done as c_int
}

pub unsafe fn setsockopt(
    socket: c_int,
    level: c_int,
    option: c_int,
    value: *const c_void,
    len: socklen_t,
) -> c_int {
    let args = [socket as usize, level as usize, option as usize, value as usize, len as usize, 0];
    let answer = if instance().view.leads_to_unix() { instance().setsockopt(args) } else { Answer::Pass };
    // SAFETY: the program's own arguments.
    unsafe { finish_int(answer, libc::SYS_setsockopt, args) }
}

fn missing() -> c_int {
    returned(Err(Errno::ENOSYS)) as c_int
}
