//! Calls on sockets: each makes the call, between what the element does before
//! and after.

use libc::{c_void, iovec, socklen_t};

use super::{Args, answered, pass};
use crate::network::{Name, Way};
use crate::{Answer, Errno, Instance, user};

fn sent(done: Result<isize, Errno>) -> Answer {
    done.map_or_else(Answer::fail, answered)
}

/// sendto(2)
pub(super) fn sendto(instance: &Instance<'_>, args: Args) -> Answer {
    let [fd, data, size, flags, address, len] = args;
    let given = ((data as *const u8, size), (address as *const _, len as u32 as usize));
    let tells = instance.tells_of_queries();
    // It has come here for the sake of a trace alone.
    if tells && address == 0 && !instance.view.has_link_names() && !instance.asks_a_server(fd as i32) {
        return Answer::Pass;
    }
    let done = instance.send_to(fd as i32, given, |(data, size), (address, len)| {
        pass(libc::SYS_sendto, [fd, data as usize, size, flags, address as usize, len])
    });
    if let Ok(done) = done
        && tells
    {
        instance.tell_of_message(Way::Out, fd as i32, data as *const u8, done, given.1);
    }
    sent(done)
}

/// sendmsg(2)
pub(super) fn sendmsg(instance: &Instance<'_>, [fd, message, flags, ..]: Args) -> Answer {
    let done = instance.send_message(fd as i32, message as *const _, |message| {
        pass(libc::SYS_sendmsg, [fd, message as usize, flags, 0, 0, 0])
    });
    if let Ok(done) = done
        && instance.tells_of_queries()
    {
        instance.tell_of_header(Way::Out, fd as i32, message as *const _, done);
    }
    sent(done)
}

/// sendmmsg(2)
pub(super) fn sendmmsg(instance: &Instance<'_>, args: Args) -> Answer {
    let [fd, messages, count, flags, ..] = args;
    let all = || pass(libc::SYS_sendmmsg, args);
    let one = |message| pass(libc::SYS_sendmsg, [fd, message as usize, flags, 0, 0, 0]);
    let done = instance.send_messages(fd as i32, (messages as *mut _, count as u32 as usize), all, one);
    if let Ok(done) = done
        && instance.tells_of_queries()
    {
        instance.tell_of_headers(Way::Out, fd as i32, messages as *const _, done);
    }
    sent(done)
}

/// getsockname(2), getpeername(2)
pub(super) fn gives_address(instance: &Instance<'_>, number: i64, args: Args, name: Name) -> Answer {
    let given = (args[1] as *mut _, args[2] as *mut _);
    answered(instance.gives_address((name, args[0] as i32), given, || pass(number, args)))
}

/// recvfrom(2)
pub(super) fn recvfrom(instance: &Instance<'_>, args: Args) -> Answer {
    let [fd, data, size, ..] = args;
    let given = (args[4] as *mut c_void, args[5] as *mut socklen_t);
    let tells = instance.tells_of_queries();
    // As above.
    if tells && given.0.is_null() && !instance.view.has_links() && !instance.asks_a_server(fd as i32) {
        return Answer::Pass;
    }
    let done = instance.gives_address((Name::Source, fd as i32), given, || pass(libc::SYS_recvfrom, args));
    let len = usize::try_from(done).unwrap_or(0).min(size);
    // SAFETY: the call says that it has written so much.
    let told = unsafe {
        let told = instance.show_links(fd as i32, data as *mut u8, len, size);
        instance.show_rows(fd as i32, data as *mut u8, told);
        told
    };
    if tells {
        instance.tell_of_message(Way::In, fd as i32, data as *const u8, done, source(given));
    }
    answered(done.wrapping_add_unsigned(told).wrapping_sub_unsigned(len))
}

/// accept(2), accept4(2)
pub(super) fn accept(instance: &Instance<'_>, number: i64, args: Args) -> Answer {
    let given = (args[1] as *mut _, args[2] as *mut _);
    answered(instance.accepts(args[0] as i32, given, || pass(number, args)))
}

/// recvmsg(2)
pub(super) fn recvmsg(instance: &Instance<'_>, args: Args) -> Answer {
    let [fd, message, ..] = args;
    let done = instance.receive_message(fd as i32, message as *mut _, || pass(libc::SYS_recvmsg, args));
    if instance.tells_of_queries() {
        instance.tell_of_header(Way::In, fd as i32, message as *const _, done);
    }
    answered(done)
}

/// recvmmsg(2)
pub(super) fn recvmmsg(instance: &Instance<'_>, args: Args) -> Answer {
    let messages = (args[1] as *mut _, args[2] as u32 as usize);
    let done = instance.receive_messages(args[0] as i32, messages, || pass(libc::SYS_recvmmsg, args));
    if instance.tells_of_queries() {
        instance.tell_of_headers(Way::In, args[0] as i32, args[1] as *const _, done);
    }
    answered(done)
}

/// read(2), readv(2): for a trace, of sockets that lead to a name server.
pub(super) fn read(instance: &Instance<'_>, number: i64, args: Args) -> Answer {
    if !instance.asks_a_server(args[0] as i32) {
        return Answer::Pass;
    }
    let done = pass(number, args);
    tell(instance, Way::In, number == libc::SYS_readv, args, done);
    answered(done)
}

/// write(2), writev(2): likewise.
pub(super) fn write(instance: &Instance<'_>, number: i64, args: Args) -> Answer {
    if !instance.asks_a_server(args[0] as i32) {
        return Answer::Pass;
    }
    let done = pass(number, args);
    tell(instance, Way::Out, number == libc::SYS_writev, args, done);
    answered(done)
}

fn tell(instance: &Instance<'_>, way: Way, in_parts: bool, [fd, data, count, ..]: Args, done: isize) {
    let connected = (core::ptr::null(), 0);
    if in_parts {
        instance.tell_of_parts(way, fd as i32, data as *const iovec, count, done, connected);
    } else {
        instance.tell_of_message(way, fd as i32, data as *const u8, done, connected);
    }
}

/// The address that recvfrom(2) has given.
fn source((address, len): (*mut c_void, *mut socklen_t)) -> (*const c_void, usize) {
    if address.is_null() || !user::is_readable(len.cast(), size_of::<socklen_t>()) {
        return (core::ptr::null(), 0);
    }
    // SAFETY: found readable.
    (address, unsafe { len.read_unaligned() } as usize)
}
