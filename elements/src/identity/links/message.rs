//! Messages of rtnetlink(7): names and addresses in what comes, names in what is sent.
//!
//! A name of another length makes its message, and what follows it, longer or shorter.

use super::{LEN, Name, is_rtnetlink};
use crate::{Instance, user};

/// How long a message's header is.
const HEADER: usize = 16;
/// Messages of interfaces, of addresses and of rules: `RTM_NEWLINK` to `RTM_SETLINK`, `RTM_NEWADDR` to `RTM_GETADDR`,
/// `RTM_NEWRULE` to `RTM_GETRULE`.
const LINKS: core::ops::RangeInclusive<u16> = 16..=19;
const ADDRESSES: core::ops::RangeInclusive<u16> = 20..=22;
const RULES: core::ops::RangeInclusive<u16> = 32..=34;

const IFLA_PERM_ADDRESS: u16 = 54;
/// What a driver maps, by an interface of Linux 2.0's: nobody misses it where there is no room for a name.
const IFLA_MAP: u16 = libc::IFLA_MAP;
const LABEL: u16 = 3;
const RULE_IN: u16 = 3;
const RULE_OUT: u16 = 17;

/// The longest request that names are put into.
const LONGEST: usize = 1024;

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

/// Where a message's attributes begin, and which of them are names.
fn names_in(kind: u16) -> Option<(usize, [u16; 2])> {
    if LINKS.contains(&kind) {
        Some((HEADER + 16, [libc::IFLA_IFNAME; 2]))
    } else if ADDRESSES.contains(&kind) {
        Some((HEADER + 8, [LABEL; 2]))
    } else if RULES.contains(&kind) {
        Some((HEADER + 12, [RULE_IN, RULE_OUT]))
    } else {
        None
    }
}

/// The attributes from a position on: their kinds, and where what they hold is.
fn attributes(message: &[u8], mut at: usize) -> impl Iterator<Item = (u16, core::ops::Range<usize>)> {
    core::iter::from_fn(move || {
        let len = usize::from(u16_at(message, at)?);
        let kind = u16_at(message, at + 2)?;
        if len < 4 || at + len > message.len() {
            return None;
        }
        let value = at + 4..at + len;
        at += len.next_multiple_of(4);
        Some((kind, value))
    })
}

/// Messages in a buffer that may have room for more.
struct Messages<'b> {
    room: &'b mut [u8],
    len: usize,
}

impl Messages<'_> {
    /// The message at a position: its kind, and its bytes.
    fn at(&self, at: usize) -> Option<(u16, &[u8])> {
        let bytes = self.room.get(..self.len)?;
        let len = u32_at(bytes, at)? as usize;
        if len < HEADER {
            return None;
        }
        Some((u16_at(bytes, at + 4)?, bytes.get(at..at + len)?))
    }

    /// Puts other bytes in the place of an attribute of the message at a position, or of nothing; says whether there
    /// is room.
    fn replace(&mut self, message: usize, old: core::ops::Range<usize>, new: &[u8]) -> bool {
        let (start, end) = (message + old.start, (message + old.end).min(self.len));
        let len = self.len - (end - start) + new.len();
        let before = u32_at(self.room, message).unwrap_or(0) as usize;
        if len > self.room.len() || start > end {
            return false;
        }
        self.room.copy_within(end..self.len, start + new.len());
        if let Some(to) = self.room.get_mut(start..start + new.len()) {
            to.copy_from_slice(new);
        }
        self.len = len;
        let after = (before + new.len()).saturating_sub(end - start) as u32;
        if let Some(to) = self.room.get_mut(message..message + 4) {
            to.copy_from_slice(&after.to_ne_bytes());
        }
        true
    }

    /// Gives the names in the message at a position other ones.
    fn rename(&mut self, message: usize, other: &dyn Fn(&[u8]) -> Option<Name>) {
        let mut done = 0;
        while let Some((kind, bytes)) = self.at(message) {
            let Some((start, names)) = names_in(kind) else { return };
            let next = attributes(bytes, start.max(done)).find_map(|(kind, value)| {
                let name = names.contains(&kind).then(|| other(bytes.get(value.clone())?)).flatten()?;
                Some((kind, value, name))
            });
            let Some((kind, value, name)) = next else { return };
            let mut attribute = [0; 4 + super::ROOM];
            let len = 4 + name.len + 1;
            let (head, rest) = attribute.split_at_mut(4);
            let ([a, b], [c, d]) = ((len as u16).to_ne_bytes(), kind.to_ne_bytes());
            head.copy_from_slice(&[a, b, c, d]);
            rest.copy_from_slice(name.field());
            let new = attribute.get(..len.next_multiple_of(4)).unwrap_or(&[]);
            let old = value.start - 4..value.end.next_multiple_of(4);
            if !self.replace(message, old.clone(), new) {
                let map = attributes(self.at(message).map_or(&[], |(_, bytes)| bytes), start)
                    .find(|(kind, _)| *kind == IFLA_MAP);
                match map {
                    Some((_, map)) if LINKS.contains(&self.at(message).map_or(0, |(kind, _)| kind)) => {
                        self.replace(message, map.start - 4..map.end.next_multiple_of(4), &[]);
                        continue;
                    }
                    // It keeps its name.
                    _ => done = old.end,
                }
                continue;
            }
            done = old.start + new.len();
        }
    }

    /// Puts addresses into the message at a position.
    fn readdress(&mut self, message: usize, address_of: &dyn Fn(&[u8]) -> Option<[u8; LEN]>) {
        let Some((libc::RTM_NEWLINK, bytes)) = self.at(message) else { return };
        let find = |wanted: u16| {
            attributes(bytes, HEADER + 16).find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
        };
        let named = find(libc::IFLA_IFNAME).and_then(|value| address_of(bytes.get(value)?));
        let Some(address) = named else { return };
        for place in [find(libc::IFLA_ADDRESS), find(IFLA_PERM_ADDRESS)].into_iter().flatten() {
            if let Some(old) =
                self.room.get_mut(message + place.start..message + place.end).filter(|old| old.len() == LEN)
            {
                old.copy_from_slice(&address);
            }
        }
    }
}

/// Puts other names and addresses into messages, `len` bytes at the beginning of `room`; gives how long they are then.
pub fn rewrite(
    room: &mut [u8],
    len: usize,
    other: &dyn Fn(&[u8]) -> Option<Name>,
    address_of: &dyn Fn(&[u8]) -> Option<[u8; LEN]>,
) -> usize {
    let len = len.min(room.len());
    let mut messages = Messages { room, len };
    let mut at = 0;
    while messages.at(at).is_some() {
        messages.rename(at, other);
        messages.readdress(at, address_of);
        at += messages.at(at).map_or(HEADER, |(_, message)| message.len().next_multiple_of(4));
    }
    messages.len
}

/// Room for a request in the place of a program's.
pub struct Outgoing([u8; LONGEST]);

impl Outgoing {
    /// Room that nothing is in.
    pub const fn new() -> Outgoing {
        Outgoing([0; LONGEST])
    }
}

impl Default for Outgoing {
    fn default() -> Outgoing {
        Outgoing::new()
    }
}

impl Instance<'_> {
    /// Puts names and addresses into what a socket has given, if it is one of rtnetlink(7): how long that is then.
    ///
    /// # Safety
    ///
    /// The kernel has just written `len` bytes to `data`, where there is room for `room`.
    #[inline]
    pub unsafe fn show_links(&self, socket: i32, data: *mut u8, len: usize, room: usize) -> usize {
        if !self.view.has_links() || len < HEADER {
            return len;
        }
        // So much more a message may become.
        const MORE: usize = 2048;
        let more = room.saturating_sub(len).min(MORE);
        let room = if user::is_writable(data.wrapping_add(len), more) { len + more } else { len };
        // SAFETY: the caller's promise.
        self.show_links_in(socket, unsafe { core::slice::from_raw_parts_mut(data, room) }, len)
    }

    #[inline(never)]
    fn show_links_in(&self, socket: i32, room: &mut [u8], len: usize) -> usize {
        let says_any = u16_at(room, 4).is_some_and(|kind| names_in(kind).is_some());
        if !says_any || !is_rtnetlink(socket) {
            return len;
        }
        rewrite(room, len, &|name| self.shown_link(name), &|name| self.link_address(name))
    }

    /// A request of rtnetlink(7) with the host's names, where the program's has others: its place and length.
    pub fn links_out(
        &self,
        socket: i32,
        (data, len): (*const u8, usize),
        room: &mut Outgoing,
    ) -> Option<(*const u8, usize)> {
        let fits = self.view.has_link_names() && (HEADER + 16..=LONGEST).contains(&len);
        if !fits
            || !(0..len).step_by(512).chain([len - 1]).all(|at| user::is_readable(data.wrapping_add(at), 1))
        {
            return None;
        }
        // SAFETY: found readable.
        let said = unsafe { core::slice::from_raw_parts(data, len) };
        let (kind, whole) = (u16_at(said, 4)?, u32_at(said, 0)? as usize);
        let (start, names) = names_in(kind)?;
        let is_other = |(kind, value): (u16, core::ops::Range<usize>)| {
            names.contains(&kind) && said.get(value).is_some_and(|name| self.host_link(name).is_some())
        };
        if !attributes(said.get(..whole)?, start).any(is_other) || !is_rtnetlink(socket) {
            return None;
        }
        room.0.get_mut(..len)?.copy_from_slice(said);
        let len = rewrite(&mut room.0, len, &|name| self.host_link(name), &|_| None);
        Some((room.0.as_ptr(), len))
    }
}

#[cfg(test)]
mod tests {
    use super::super::split;
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = ((4 + value.len()) as u16).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn message(kind: u16, head: usize, attributes: &[Vec<u8>]) -> Vec<u8> {
        let body = attributes.concat();
        let mut message = ((HEADER + head + body.len()) as u32).to_ne_bytes().to_vec();
        message.extend(kind.to_ne_bytes());
        message.resize(HEADER + head, 7);
        message.extend(body);
        message
    }

    fn link(name: &[u8], address: &[u8]) -> Vec<u8> {
        let attributes = [
            attribute(libc::IFLA_ADDRESS, address),
            attribute(libc::IFLA_IFNAME, name),
            attribute(IFLA_MAP, &[0; 32]),
        ];
        message(libc::RTM_NEWLINK, 16, &attributes)
    }

    fn address_of(name: &[u8]) -> Option<[u8; LEN]> {
        (split(name).0 == b"eth0").then_some([2, 0, 0, 0, 0, 9])
    }

    fn other(name: &[u8]) -> Option<Name> {
        match split(name) {
            (b"enp0s31f6", label) => Some(Name::labelled(b"eth0", label)),
            (b"em1", label) => Some(Name::labelled(b"ethernet0", label)),
            _ => None,
        }
    }

    fn told(messages: &[Vec<u8>], more: usize) -> Vec<u8> {
        let mut room = messages.concat();
        let len = room.len();
        room.resize(len + more, 0xaa);
        let len = rewrite(&mut room, len, &other, &address_of);
        room.truncate(len);
        room
    }

    #[test]
    fn the_address_of_a_named_link_alone_is_changed() {
        let messages = [
            link(b"lo\0", &[0; 6]),
            link(b"eth0\0", &[1; 6]),
            link(b"eth0\0", &[1; 4]),
            link(b"eth01\0", &[1; 6]),
        ];
        let expected = [
            link(b"lo\0", &[0; 6]),
            link(b"eth0\0", &[2, 0, 0, 0, 0, 9]),
            link(b"eth0\0", &[1; 4]),
            link(b"eth01\0", &[1; 6]),
        ];
        assert_eq!(told(&messages, 0), expected.concat());
    }

    #[test]
    fn a_name_of_another_length_moves_what_follows() {
        let label = |name: &[u8]| message(20, 8, &[attribute(LABEL, name), attribute(6, &[5; 16])]);
        let rule = |name: &[u8]| message(32, 12, &[attribute(RULE_IN, b"lo\0"), attribute(RULE_OUT, name)]);
        let messages = [
            link(b"enp0s31f6\0", &[1; 6]),
            label(b"enp0s31f6:1\0"),
            link(b"em1\0", &[3; 6]),
            rule(b"em1\0"),
            link(b"lo\0", &[0; 6]),
        ];
        let expected = [
            link(b"eth0\0", &[2, 0, 0, 0, 0, 9]),
            label(b"eth0:1\0"),
            link(b"ethernet0\0", &[3; 6]),
            rule(b"ethernet0\0"),
            link(b"lo\0", &[0; 6]),
        ];
        assert_eq!(told(&messages, 64), expected.concat());
    }

    #[test]
    fn where_there_is_no_room_nobody_misses_the_map() {
        let told = told(&[link(b"em1\0", &[3; 6])], 0);
        let attributes =
            [attribute(libc::IFLA_ADDRESS, &[3; 6]), attribute(libc::IFLA_IFNAME, b"ethernet0\0")];
        assert_eq!(told, message(libc::RTM_NEWLINK, 16, &attributes));
    }

    #[test]
    fn what_is_cut_off_or_nonsense_is_left_alone() {
        let whole = [link(b"em1\0", &[1; 6]), link(b"enp0s31f6\0", &[1; 6])].concat();
        for len in 0..whole.len() {
            let mut cut = whole.get(..len).expect("shorter").to_vec();
            assert!(rewrite(&mut cut, len, &other, &address_of) <= len);
        }
        for at in 0..whole.len() {
            for byte in [0, 1, 3, 0x7f, 0xff] {
                let mut wrong = whole.clone();
                *wrong.get_mut(at).expect("in it") = byte;
                let len = wrong.len();
                wrong.resize(len + 32, 0);
                assert!(rewrite(&mut wrong, len, &other, &address_of) <= len + 32);
            }
        }
    }
}
