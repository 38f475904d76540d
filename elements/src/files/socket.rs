//! Unix socket addresses: a path inside a struct of 108 bytes.
//!
//! The kernel keeps the address that a socket was bound to and hands it out
//! again, letter by letter. A host path that leads back to what the program
//! wrote is kept as it is. Else (the program wrote `../run/s`, or the host path
//! is longer than `sun_path`) the socket is named by symbolic links in the
//! instance's directory, which lead to the host's and back to the program's.

use super::place::{Change, Place, Scratch, Want};
use super::text::Text;
use super::{MAX_PATH, scan};

use crate::ipc::sockets;
use crate::kernel::{self, AT_FDCWD, syscall, waiting_syscall};
use crate::network::{Name, address::fresh};
use crate::shared::path_hash;
use crate::{Answer, Errno, Instance};

/// Room for a path in `struct sockaddr_un`, see unix(7).
pub const SUN_PATH_LEN: usize = 108;
const FAMILY: usize = 2;

/// A Unix address with a host path in it.
pub struct UnixAddress {
    name: UnixName,
    /// The host path that a socket is renamed to once it is bound.
    made_as: Option<Scratch>,
}

/// The address itself.
pub struct UnixName {
    bytes: Text<{ FAMILY + SUN_PATH_LEN + 1 }>,
    /// How many bytes follow the name: a NUL after a path.
    after: usize,
}

impl UnixAddress {
    fn new(after: usize) -> UnixAddress {
        UnixAddress { name: UnixName { bytes: Text::new(), after }, made_as: None }
    }

    /// What is sent to is not renamed.
    pub fn into_name(self) -> UnixName {
        self.name
    }
}

/// Whether an address is one of a Unix socket, by its family.
///
/// # Safety
///
/// Two bytes of it can be read.
pub unsafe fn is_unix(address: *const u8) -> bool {
    // SAFETY: the caller's promise.
    i32::from(unsafe { address.cast::<libc::sa_family_t>().read_unaligned() }) == libc::AF_UNIX
}

impl UnixName {
    /// The struct's bytes, with the NUL after a path.
    pub fn as_parts(&mut self) -> (*const u8, usize) {
        let len = (self.bytes.len() + self.after).min(FAMILY + SUN_PATH_LEN);
        (self.bytes.as_ptr(), len)
    }
}

/// The path in a program's address. None: it has none.
fn unix_path(address: *const u8, len: usize) -> Option<Text<{ SUN_PATH_LEN + 2 }>> {
    if len <= FAMILY || len > FAMILY + SUN_PATH_LEN + 1 || !crate::user::is_readable(address, len) {
        return None;
    }
    // SAFETY: found readable; the kernel reads as many bytes.
    let bytes = unsafe { core::slice::from_raw_parts(address, len) };
    let (family, path) = bytes.split_at(FAMILY);
    let unix = family == (libc::AF_UNIX as u16).to_ne_bytes();
    if !unix || path.first() == Some(&0) {
        return None;
    }
    let end = path.iter().position(|byte| *byte == 0).unwrap_or(path.len());
    let mut app = Text::new();
    app.push(path.get(..end).unwrap_or(&[])).ok()?;
    Some(app)
}

/// The name in a program's address that is no path, without the NUL before it.
fn abstract_name<'n>(address: *const u8, len: usize) -> Option<&'n [u8]> {
    if len <= FAMILY || len > FAMILY + SUN_PATH_LEN || !crate::user::is_readable(address, len) {
        return None;
    }
    // SAFETY: found readable; the kernel reads as many bytes.
    let bytes = unsafe { core::slice::from_raw_parts(address, len) };
    let (family, path) = bytes.split_at(FAMILY);
    let (first, name) = path.split_first()?;
    (family == (libc::AF_UNIX as u16).to_ne_bytes() && *first == 0).then_some(name)
}

impl Instance<'_> {
    /// bind(2) of a Unix socket's path.
    pub(crate) fn bind_unix(&self, socket: i32, address: *const u8, len: usize) -> Answer {
        let answer = self.with_address(libc::SYS_bind, socket, address, len, Want::CREATE);
        let Some(mut path) = unix_path(address, len).filter(|_| self.marks_made()) else { return answer };
        let done = match answer {
            // SAFETY: the program's own arguments, for the kernel to judge.
            Answer::Pass => unsafe {
                waiting_syscall(libc::SYS_bind, [socket as usize, address as usize, len, 0, 0, 0])
            },
            Answer::Done(done) => done,
        };
        if done.is_ok() {
            let mark = |place: &Place| self.mark_made_at(place.dirfd, place.path).map(|()| 0);
            if let Answer::Pass = self.at(libc::SYS_bind, AT_FDCWD, path.as_ptr(), Want::LOOK_AT_LINK, mark) {
                // The socket is there, whosever it is shown as.
                let _ = self.mark_made_at(AT_FDCWD, path.as_ptr());
            }
        }
        Answer::Done(done)
    }

    /// connect(2) to one.
    pub(crate) fn connect_unix(&self, socket: i32, address: *const u8, len: usize) -> Answer {
        self.with_address(libc::SYS_connect, socket, address, len, Want::LOOK)
    }

    fn with_address(&self, nr: i64, socket: i32, address: *const u8, len: usize, want: Want) -> Answer {
        match self.unix_address(address, len, want) {
            Ok(None) => Answer::Pass,
            Err(Errno::EEXIST) => Answer::Done(Err(Errno(libc::EADDRINUSE))),
            Err(errno) => Answer::fail(errno),
            Ok(Some(mut host)) => {
                let (address, len) = host.name.as_parts();
                // SAFETY: the kernel only reads the address.
                let done = unsafe { waiting_syscall(nr, [socket as usize, address as usize, len, 0, 0, 0]) };
                Answer::Done(match (done, host.made_as.as_mut()) {
                    // SAFETY: the address is a string after its family.
                    (Ok(_), Some(name)) => unsafe { rename_bound(address.add(FAMILY), name) },
                    (done, _) => done,
                })
            }
        }
    }

    /// The address to hand to the kernel for a program's. None: its own.
    ///
    /// # Errors
    ///
    /// Those of a look at the path, and `ENAMETOOLONG` where even the short
    /// name does not fit.
    pub fn unix_address(
        &self,
        address: *const u8,
        len: usize,
        want: Want,
    ) -> Result<Option<UnixAddress>, Errno> {
        if let Some(name) = abstract_name(address, len) {
            return self.abstract_address(name);
        }
        let Some(mut app) = unix_path(address, len) else { return Ok(None) };
        let family = &(libc::AF_UNIX as u16).to_ne_bytes();
        let spelled = app.as_ptr();
        if want.change == Change::Create {
            self.may_change_name((AT_FDCWD, spelled), false)?;
        } else {
            self.may_use_path((AT_FDCWD, spelled), true, libc::W_OK as u32, false)?;
        }
        let mut scratch = Scratch::new();
        let look = self.look_up(AT_FDCWD, spelled, want);
        let place = match self.place(AT_FDCWD, spelled, look, want, &mut scratch)? {
            Some(place) if want.change == Change::Create && self.is_layered(&place) => {
                self.make_room_in_union((AT_FDCWD, spelled))?;
                place
            }
            // What begins in the mount is the same name for the kernel.
            Some(place) if place.path != spelled => place,
            _ => return Ok(None),
        };
        // SAFETY: a place's path is a string that ends in NUL.
        let host = unsafe { core::slice::from_raw_parts(place.path, scan::length(place.path)) };
        let creates = want.change == Change::Create;
        let mut address = UnixAddress::new(1);
        address.name.bytes.push(family)?;
        let fits = host.len() < SUN_PATH_LEN;
        // The kernel keeps what a socket was bound to, and hands it out.
        if fits && (!creates || self.is_app_path_of(app.bytes(), host)) {
            address.name.bytes.push(host)?;
        } else if let Err(errno) = self.name_by_link(app.bytes(), host, creates, &mut address) {
            if !fits {
                return Err(errno);
            }
            address.name.bytes.truncate(FAMILY);
            address.name.bytes.push(host)?;
        }
        Ok(Some(address))
    }

    /// The address of a name that is no path, where that is the instance's own.
    fn abstract_address(&self, name: &[u8]) -> Result<Option<UnixAddress>, Errno> {
        let Some(ipc) = self.own_names() else { return Ok(None) };
        let Some(host) = sockets::host_name(&ipc, name)? else { return Ok(None) };
        let mut address = UnixAddress::new(0);
        for part in [&(libc::AF_UNIX as u16).to_ne_bytes()[..], b"\0", host.bytes()] {
            address.name.bytes.push(part)?;
        }
        Ok(Some(address))
    }

    fn is_app_path_of(&self, app: &[u8], host: &[u8]) -> bool {
        let mut back = Scratch::new();
        self.reverse(host, &mut back).is_ok() && back.bytes() == app
    }

    /// Names a socket by links in the instance's directory, the first two or the third:
    ///
    /// - `s-HASH`: the directory that a socket is bound in
    /// - `n-HASH`: the name that the program gave it, after a `=`
    /// - `c-HASH`: the socket that is connected to
    fn name_by_link(
        &self,
        spelled: &[u8],
        host: &[u8],
        creates: bool,
        address: &mut UnixAddress,
    ) -> Result<(), Errno> {
        if !creates {
            let mut link = self.link_name(b"/c-", path_hash(host))?;
            make_link(host, &mut link)?;
            return address.name.bytes.push(link.bytes());
        }
        let slash = host.iter().rposition(|byte| *byte == b'/').ok_or(Errno::ENAMETOOLONG)?;
        if self.dir().is_empty() {
            // An instance that has not been placed, as in the launcher: nowhere to put a link.
            return Err(Errno::ENAMETOOLONG);
        }
        let (directory, name) = host.split_at(slash);
        let mut identity = Text::<{ 2 * MAX_PATH }>::new();
        identity.push(directory)?;
        identity.push(b"\0")?;
        identity.push(spelled)?;
        let hash = path_hash(identity.bytes());
        let mut text = Scratch::new();
        text.push(b"=")?;
        text.push(spelled)?;
        make_link(text.bytes(), &mut self.link_name(b"/n-", hash)?)?;
        let mut link = self.link_name(b"/s-", hash)?;
        make_link(directory, &mut link)?;
        address.name.bytes.push(link.bytes())?;
        if address.name.bytes.len() + name.len() < FAMILY + SUN_PATH_LEN {
            return address.name.bytes.push(name);
        }
        // Bound under a short name, it is renamed to its own.
        address.name.bytes.push(b"/.s-")?;
        push_hash(&mut address.name.bytes, hash, 8)?;
        let mut made_as = Scratch::new();
        made_as.push(host)?;
        address.made_as = Some(made_as);
        Ok(())
    }

    fn link_name(&self, prefix: &[u8], hash: u64) -> Result<Scratch, Errno> {
        if self.dir().is_empty() {
            return Err(Errno::ENAMETOOLONG);
        }
        let mut link = Scratch::new();
        link.push(self.dir())?;
        link.push(prefix)?;
        push_hash(&mut link, hash, 12)?;
        Ok(link)
    }

    /// Turns an address that the kernel has handed out back into the
    /// program's: in place, `room` bytes at `address`. Gives the new length.
    ///
    /// # Safety
    ///
    /// The kernel has just written `len.min(room)` bytes at `address`, where there is room for as many as said.
    pub unsafe fn address_back(
        &self,
        (name, socket): (Name, i32),
        address: *mut u8,
        room: usize,
        len: usize,
    ) -> usize {
        if self.view.leads_to_unix()
            && matches!(name, Name::Own | Name::Peer)
            && let Some(told) = self.unix_as_network(name == Name::Peer, socket)
        {
            // SAFETY: the caller's promise, that there is so much room.
            let room = unsafe { core::slice::from_raw_parts_mut(address, room) };
            let (bytes, len) = fresh(&told);
            for (to, from) in room.iter_mut().zip(bytes.iter().take(len)) {
                *to = *from;
            }
            return len;
        }
        if len <= FAMILY || room <= FAMILY || len > FAMILY + SUN_PATH_LEN + 1 || len > room {
            return len;
        }
        // SAFETY: the caller's promise.
        let bytes = unsafe { core::slice::from_raw_parts_mut(address, room) };
        if self.view.has_network()
            && bytes.get_mut(..len).is_some_and(|given| self.network_back(name, socket, given))
        {
            return len;
        }
        let unix = bytes.get(..FAMILY) == Some(&(libc::AF_UNIX as u16).to_ne_bytes()[..]);
        let Some(path) = bytes.get_mut(FAMILY..len) else { return len };
        if let (true, Some((0, host))) = (unix, path.split_first_mut()) {
            let shown = self.own_names().and_then(|ipc| sockets::show_name(ipc.salt, host));
            return shown.map_or(len, |name| FAMILY + 1 + name);
        }
        if !unix || path.first() != Some(&b'/') {
            return len;
        }
        let end = path.iter().position(|byte| *byte == 0).unwrap_or(path.len());
        let path = path.get(..end).unwrap_or(&[]);
        let mut app = Scratch::new();
        let known = match self.spelled(path, &mut app) {
            Some(known) => known,
            None => self.is_behind_mount(path) && self.reverse(path, &mut app).is_ok(),
        };
        if !known {
            return len;
        }
        let full = (FAMILY + app.len() + 1).min(FAMILY + SUN_PATH_LEN + 1);
        for (to, from) in bytes.iter_mut().skip(FAMILY).zip(app.bytes().iter().chain(&[0])) {
            *to = *from;
        }
        full
    }

    /// Finds the name that the program gave to what [`Self::name_by_link`] has
    /// named. None: it is no such name.
    fn spelled(&self, path: &[u8], app: &mut Scratch) -> Option<bool> {
        let ours = path.strip_prefix(self.dir()).filter(|_| !self.dir().is_empty());
        let rest = ours?.strip_prefix(b"/s-")?;
        let hash = rest.split(|byte| *byte == b'/').next()?;
        let mut link = Scratch::new();
        let mut text = Scratch::new();
        let found =
            [self.dir(), b"/n-", hash].into_iter().try_for_each(|part| link.push(part)).and_then(|()| {
                text.read(|room| kernel::readlinkat(AT_FDCWD, link.as_ptr(), room))?;
                app.push(text.bytes().get(1..).unwrap_or(&[]))
            });
        Some(found.is_ok())
    }
}

/// Gives a bound socket its own name, which nothing else may have.
///
/// # Safety
///
/// `short` is a string.
unsafe fn rename_bound(short: *const u8, name: &mut Scratch) -> Result<usize, Errno> {
    let here = AT_FDCWD as usize;
    let flags = libc::RENAME_NOREPLACE as usize;
    // SAFETY: the kernel only reads the strings.
    unsafe {
        syscall(libc::SYS_renameat2, [here, short as usize, here, name.as_ptr() as usize, flags, 0]).map_err(
            |errno| {
                // The name is taken, most likely; the socket goes either way.
                let _ = syscall(libc::SYS_unlinkat, [here, short as usize, 0, 0, 0, 0]);
                if errno == Errno::EEXIST { Errno(libc::EADDRINUSE) } else { errno }
            },
        )
    }
}

/// Adds a hash in so many hexadecimal digits. There are 108 bytes for it all.
fn push_hash<const N: usize>(text: &mut Text<N>, hash: u64, digits: u32) -> Result<(), Errno> {
    (0..digits).try_for_each(|digit| {
        let digit = (hash >> (60 - 4 * digit) & 0xf) as usize;
        text.push(b"0123456789abcdef".get(digit..=digit).unwrap_or(b"0"))
    })
}

/// Makes a symbolic link, where another process has not done so.
fn make_link(target: &[u8], link: &mut Scratch) -> Result<(), Errno> {
    let mut text = Scratch::new();
    text.push(target)?;
    let args = [text.as_ptr() as usize, AT_FDCWD as usize, link.as_ptr() as usize, 0, 0, 0];
    // SAFETY: the kernel only reads the strings.
    match unsafe { syscall(libc::SYS_symlinkat, args) } {
        Ok(_) | Err(Errno::EEXIST) => Ok(()),
        Err(errno) => Err(errno),
    }
}
