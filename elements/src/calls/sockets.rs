//! Calls on sockets: each makes the call, between what the element does before
//! and after.

use super::{Args, answered, pass};
use crate::network::Name;
use crate::{Answer, Errno, Instance};

fn sent(done: Result<isize, Errno>) -> Answer {
    done.map_or_else(Answer::fail, answered)
}

/// sendto(2)
pub(super) fn sendto(instance: &Instance<'_>, args: Args) -> Answer {
    let [fd, data, size, flags, address, len] = args;
    let given = ((data as *const u8, size), (address as *const _, len as u32 as usize));
    sent(instance.send_to(fd as i32, given, |(data, size), (address, len)| {
        pass(libc::SYS_sendto, [fd, data as usize, size, flags, address as usize, len])
    }))
}

/// sendmsg(2)
pub(super) fn sendmsg(instance: &Instance<'_>, [fd, message, flags, ..]: Args) -> Answer {
    sent(instance.send_message(fd as i32, message as *const _, |message| {
        pass(libc::SYS_sendmsg, [fd, message as usize, flags, 0, 0, 0])
    }))
}

/// sendmmsg(2)
pub(super) fn sendmmsg(instance: &Instance<'_>, args: Args) -> Answer {
    let [fd, messages, count, flags, ..] = args;
    let all = || pass(libc::SYS_sendmmsg, args);
    let one = |message| pass(libc::SYS_sendmsg, [fd, message as usize, flags, 0, 0, 0]);
    sent(instance.send_messages(fd as i32, (messages as *mut _, count as u32 as usize), all, one))
}

/// getsockname(2), getpeername(2)
pub(super) fn gives_address(instance: &Instance<'_>, number: i64, args: Args, name: Name) -> Answer {
    let given = (args[1] as *mut _, args[2] as *mut _);
    answered(instance.gives_address((name, args[0] as i32), given, || pass(number, args)))
}

/// recvfrom(2)
pub(super) fn recvfrom(instance: &Instance<'_>, args: Args) -> Answer {
    let [fd, data, size, ..] = args;
    let given = (args[4] as *mut _, args[5] as *mut _);
    let done = instance.gives_address((Name::Source, fd as i32), given, || pass(libc::SYS_recvfrom, args));
    let len = usize::try_from(done).unwrap_or(0).min(size);
    // SAFETY: the call says that it has written so much.
    let told = unsafe {
        let told = instance.show_links(fd as i32, data as *mut u8, len, size);
        instance.show_rows(fd as i32, data as *mut u8, told);
        told
    };
    answered(done.wrapping_add_unsigned(told).wrapping_sub_unsigned(len))
}

/// accept(2), accept4(2)
pub(super) fn accept(instance: &Instance<'_>, number: i64, args: Args) -> Answer {
    let given = (args[1] as *mut _, args[2] as *mut _);
    answered(instance.accepts(args[0] as i32, given, || pass(number, args)))
}

/// recvmsg(2)
pub(super) fn recvmsg(instance: &Instance<'_>, args: Args) -> Answer {
    answered(instance.receive_message(args[0] as i32, args[1] as *mut _, || pass(libc::SYS_recvmsg, args)))
}

/// recvmmsg(2)
pub(super) fn recvmmsg(instance: &Instance<'_>, args: Args) -> Answer {
    let messages = (args[1] as *mut _, args[2] as u32 as usize);
    answered(instance.receive_messages(args[0] as i32, messages, || pass(libc::SYS_recvmmsg, args)))
}
