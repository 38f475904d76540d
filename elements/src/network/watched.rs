//! What is known of a socket apart from it, for the one that takes its place at a descriptor.
//!
//! A set of epoll(7) watches a file, and forgets it with its last descriptor. So what the sets of this
//! process watch of the old socket is read from proc(5) before, and they are told of the new one after. Such
//! a change is made once for a connection, by rules that lead to a Unix socket.

use core::mem::MaybeUninit;

use crate::files::Text;
use crate::kernel::{self, AT_FDCWD};
use crate::proc::Snapshot;

/// As many sets as watch one socket.
const SETS: usize = 8;
/// What a descriptor of a set is called in /proc/self/fd.
const SET: &[u8] = b"anon_inode:[eventpoll]";
/// Where the length and the name of an entry are in `struct linux_dirent64`.
const LENGTH: usize = 16;
const NAME: usize = 19;

/// The sets that watch a descriptor.
pub struct Watched {
    list: [Watch; SETS],
    count: usize,
}

#[derive(Clone, Copy, Default)]
struct Watch {
    set: i32,
    events: u32,
    data: u64,
}

impl Watched {
    /// Those of this process.
    pub fn of(socket: i32) -> Watched {
        let mut found = Watched { list: [Watch::default(); SETS], count: 0 };
        let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
        let Ok(list) = kernel::openat_at_once(AT_FDCWD, c"/proc/self/fd".as_ptr().cast(), flags, 0) else {
            return found;
        };
        let mut entries = [0; 1024];
        while let Ok(len @ 1..) = kernel::getdents64(list, &mut entries) {
            let mut rest = entries.get(..len).unwrap_or(&[]);
            while let Some([low, high]) = rest.get(LENGTH..NAME - 1) {
                let len = usize::from(u16::from_ne_bytes([*low, *high]));
                let name = rest.get(NAME..len).unwrap_or(&[]);
                rest = rest.get(len..).unwrap_or(&[]);
                let mut link = [MaybeUninit::uninit(); 32];
                if kernel::readlinkat(list, name.as_ptr(), &mut link) == Ok(SET) {
                    found.look(name, socket);
                }
            }
        }
        kernel::close(list);
        found
    }

    /// Looks into a set, by the name of its descriptor.
    fn look(&mut self, name: &[u8], socket: i32) {
        let name = name.split(|byte| *byte == 0).next().unwrap_or(&[]);
        let Some(set) = number(name, 10) else { return };
        let mut path = Text::<64>::new();
        if path.push(b"/proc/self/fdinfo/").and_then(|()| path.push(name)).is_err() {
            return;
        }
        let flags = libc::O_RDONLY | libc::O_CLOEXEC;
        let Ok(file) = kernel::openat_at_once(AT_FDCWD, path.as_ptr(), flags, 0) else { return };
        let text = Snapshot::of(file);
        kernel::close(file);
        let Ok(text) = text else { return };
        for line in text.bytes().split(|byte| *byte == b'\n') {
            if let Some((watched, events, data)) = watch(line)
                && watched == socket
                && let Some(to) = self.list.get_mut(self.count)
            {
                *to = Watch { set: set as i32, events, data };
                self.count += 1;
            }
        }
    }

    /// Has them watch what is at the descriptor now.
    pub fn watch(&self, socket: i32) {
        for watch in self.list.iter().take(self.count) {
            let event = libc::epoll_event { events: watch.events, u64: watch.data };
            let event = &raw const event as usize;
            let args = [watch.set as usize, libc::EPOLL_CTL_ADD as usize, socket as usize, event, 0, 0];
            // SAFETY: the kernel only reads the event.
            let _ = unsafe { kernel::syscall(libc::SYS_epoll_ctl, args) };
        }
    }
}

fn number(digits: &[u8], radix: u32) -> Option<u64> {
    u64::from_str_radix(core::str::from_utf8(digits).ok()?, radix).ok()
}

/// A line of a set in /proc/self/fdinfo: the descriptor, the events, and the program's data.
fn watch(line: &[u8]) -> Option<(i32, u32, u64)> {
    let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let mut after = |key: &[u8], radix| {
        let word = words.next()?;
        if word == key { number(words.next()?, radix) } else { None }
    };
    let socket = after(b"tfd:", 10)?;
    let (events, data) = (after(b"events:", 16)?, after(b"data:", 16)?);
    Some((i32::try_from(socket).ok()?, u32::try_from(events).ok()?, data))
}

/// Gives a socket the timeouts of another.
pub fn carry_timeouts(from: i32, to: i32) {
    for option in [libc::SO_RCVTIMEO, libc::SO_SNDTIMEO] {
        let (mut value, mut len) = ([0_u64; 2], 16_u32);
        let place = value.as_mut_ptr() as usize;
        let args =
            |socket: i32, len| [socket as usize, libc::SOL_SOCKET as usize, option as usize, place, len, 0];
        // SAFETY: the value and the length are our own, and large enough.
        unsafe {
            if kernel::syscall(libc::SYS_getsockopt, args(from, &raw mut len as usize)).is_ok() {
                let _ = kernel::syscall(libc::SYS_setsockopt, args(to, len as usize));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_set_is_read() {
        let line = b"tfd:        5 events: 80002019 data: 7f00deadbeef0001  pos:0 ino:61 sdev:7";
        assert_eq!(watch(line), Some((5, 0x8000_2019, 0x7f00_dead_beef_0001)));
        for none in [&b"pos:\t0"[..], b"", b"tfd: x events: 1 data: 2", b"tfd: 5 events:", b"tfd: 5 data: 1"]
        {
            assert_eq!(watch(none), None);
        }
    }

    #[test]
    fn a_set_watches_what_takes_the_place_of_a_socket() {
        // SAFETY: descriptors of the test's own.
        unsafe {
            let mut pair = [0; 2];
            assert_eq!(libc::socketpair(libc::AF_UNIX, libc::SOCK_STREAM, 0, pair.as_mut_ptr()), 0);
            let (set, old) = (libc::epoll_create1(0), libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0));
            let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 77 };
            assert_eq!(libc::epoll_ctl(set, libc::EPOLL_CTL_ADD, old, &raw mut event), 0);
            let watched = Watched::of(old);
            libc::dup2(pair[0], old);
            watched.watch(old);
            assert_eq!(libc::write(pair[1], b"x".as_ptr().cast(), 1), 1);
            event.u64 = 0;
            assert_eq!(libc::epoll_wait(set, &raw mut event, 1, 1000), 1);
            assert_eq!({ event.u64 }, 77);
            for file in [set, old, pair[0], pair[1]] {
                libc::close(file);
            }
        }
    }
}
