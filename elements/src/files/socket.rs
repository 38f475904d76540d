//! Unix socket addresses: a path inside a struct of 108 bytes.
//!
//! A host path may be longer than `sun_path` is. Then the socket's directory
//! gets a short name in the instance's directory, a symbolic link, which is
//! also what leads back when the kernel hands the address out again.

use super::place::{Scratch, Want};
use super::text::Text;

use crate::kernel::{self, AT_FDCWD, syscall};
use crate::shared::path_hash;
use crate::{Answer, Errno, Instance};

/// Room for a path in `struct sockaddr_un`, see unix(7).
pub const SUN_PATH_LEN: usize = 108;
const FAMILY: usize = 2;

/// A Unix address with a host path in it.
pub struct UnixAddress {
    bytes: Text<{ FAMILY + SUN_PATH_LEN + 1 }>,
}

impl UnixAddress {
    /// The struct's bytes, with the NUL after the path.
    pub fn as_parts(&mut self) -> (*const u8, usize) {
        let len = (self.bytes.len() + 1).min(FAMILY + SUN_PATH_LEN);
        (self.bytes.as_ptr(), len)
    }
}

impl Instance<'_> {
    /// bind(2)
    pub fn bind(&self, socket: i32, address: *const u8, len: usize) -> Answer {
        self.with_address(libc::SYS_bind, socket, address, len, Want::CREATE)
    }

    /// connect(2)
    pub fn connect(&self, socket: i32, address: *const u8, len: usize) -> Answer {
        self.with_address(libc::SYS_connect, socket, address, len, Want::LOOK)
    }

    fn with_address(&self, nr: i64, socket: i32, address: *const u8, len: usize, want: Want) -> Answer {
        match self.unix_address(address, len, want) {
            Ok(None) => Answer::Pass,
            Err(Errno::EEXIST) => Answer::Done(Err(Errno(libc::EADDRINUSE))),
            Err(errno) => Answer::fail(errno),
            Ok(Some(mut host)) => {
                let (address, len) = host.as_parts();
                // SAFETY: the kernel only reads the address.
                Answer::Done(unsafe { syscall(nr, [socket as usize, address as usize, len, 0, 0, 0]) })
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
        if len <= FAMILY || len > FAMILY + SUN_PATH_LEN + 1 || !crate::user::is_string(address) {
            return Ok(None);
        }
        // SAFETY: found readable; the kernel reads as many bytes.
        let bytes = unsafe { core::slice::from_raw_parts(address, len) };
        let (family, path) = bytes.split_at(FAMILY);
        let unix = family == (libc::AF_UNIX as u16).to_ne_bytes();
        if !unix || path.first() == Some(&0) {
            return Ok(None);
        }
        let end = path.iter().position(|byte| *byte == 0).unwrap_or(path.len());
        let mut app = Text::<{ SUN_PATH_LEN + 2 }>::new();
        app.push(path.get(..end).unwrap_or(&[]))?;
        let mut scratch = Scratch::new();
        let Some(_) = self.host_path(AT_FDCWD, app.as_ptr(), want, &mut scratch)? else { return Ok(None) };
        let mut out = UnixAddress { bytes: Text::new() };
        out.bytes.push(family)?;
        if out.bytes.push(scratch.bytes()).is_err() || out.bytes.len() > FAMILY + SUN_PATH_LEN - 1 {
            out.bytes.truncate(FAMILY);
            self.shorten(scratch.bytes(), &mut out)?;
        }
        Ok(Some(out))
    }

    /// Names a socket by a link to its directory: `<instance>/s-<hash>/name`.
    fn shorten(&self, host: &[u8], out: &mut UnixAddress) -> Result<(), Errno> {
        let slash = host.iter().rposition(|byte| *byte == b'/').ok_or(Errno::ENAMETOOLONG)?;
        if self.dir().is_empty() {
            // An instance that has not been placed, as in the launcher: nowhere to put a link.
            return Err(Errno::ENAMETOOLONG);
        }
        let (directory, name) = host.split_at(slash);
        let mut link = Scratch::new();
        link.push(self.dir())?;
        link.push(b"/s-")?;
        let hash = path_hash(directory);
        for shift in (0..64).step_by(4) {
            let digit = (hash >> (60 - shift) & 0xf) as usize;
            link.push(b"0123456789abcdef".get(digit..=digit).unwrap_or(b"0"))?;
        }
        let mut target = Scratch::new();
        target.push(directory)?;
        // SAFETY: the kernel only reads the strings.
        let made = unsafe {
            let args = [target.as_ptr() as usize, AT_FDCWD as usize, link.as_ptr() as usize, 0, 0, 0];
            syscall(libc::SYS_symlinkat, args)
        };
        if let Err(errno) = made
            && errno != Errno::EEXIST
        {
            return Err(errno);
        }
        out.bytes.push(link.bytes())?;
        out.bytes.push(name)?;
        if out.bytes.len() > FAMILY + SUN_PATH_LEN { Err(Errno::ENAMETOOLONG) } else { Ok(()) }
    }

    /// Turns an address that the kernel has handed out back into the
    /// program's: in place, `room` bytes at `address`. Gives the new length.
    ///
    /// # Safety
    ///
    /// The kernel has just written `len.min(room)` bytes at `address`.
    pub unsafe fn address_back(&self, address: *mut u8, room: usize, len: usize) -> usize {
        if len <= FAMILY || room <= FAMILY || len > FAMILY + SUN_PATH_LEN + 1 || len > room {
            return len;
        }
        // SAFETY: the caller's promise.
        let bytes = unsafe { core::slice::from_raw_parts_mut(address, room) };
        let Some(path) = bytes.get(FAMILY..len) else { return len };
        let unix = bytes.get(..FAMILY) == Some(&(libc::AF_UNIX as u16).to_ne_bytes()[..]);
        if !unix || path.first() != Some(&b'/') {
            return len;
        }
        let end = path.iter().position(|byte| *byte == 0).unwrap_or(path.len());
        let path = path.get(..end).unwrap_or(&[]);
        let mut host = Scratch::new();
        let mut app = Scratch::new();
        if self.lengthen(path, &mut host).is_err()
            || !self.is_behind_mount(host.bytes())
            || self.reverse(host.bytes(), &mut app).is_err()
        {
            return len;
        }
        let full = (FAMILY + app.len() + 1).min(FAMILY + SUN_PATH_LEN + 1);
        for (to, from) in bytes.iter_mut().skip(FAMILY).zip(app.bytes().iter().chain(&[0])) {
            *to = *from;
        }
        full
    }

    /// The host path behind a name that [`Self::shorten`] may have made.
    fn lengthen(&self, path: &[u8], host: &mut Scratch) -> Result<(), Errno> {
        let ours = path.strip_prefix(self.dir()).filter(|_| !self.dir().is_empty());
        let Some(rest) = ours.filter(|rest| rest.starts_with(b"/s-")) else { return host.push(path) };
        let slash = rest.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        let mut link = Scratch::new();
        link.push(self.dir())?;
        link.push(rest.get(..slash).unwrap_or(&[]))?;
        host.fill(|room| kernel::readlinkat(AT_FDCWD, link.as_ptr(), room))?;
        host.push(rest.get(slash..).unwrap_or(&[]))
    }
}
