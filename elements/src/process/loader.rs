//! Starting a program by naming its ld.so, as ldd(1) does, and scripts that
//! bring a libc of their own along: `ld.so [OPTION]... PROGRAM [ARGUMENT]...`.
//!
//! ld.so has no interpreter and so looks static, but it loads the shim into
//! what it runs. It opens that by calls of its own: it is given host paths.

use super::exec::{Door, Pointers, Start, count, text};
use super::program::{HEAD, Program, classify, shut_out, word};
use crate::files::{Scratch, Want};
use crate::kernel::{self, AT_FDCWD};
use crate::{Errno, Instance};

/// Options that have the next word for their value.
const WITH_VALUE: [&[u8]; 7] = [
    b"--library-path",
    b"--inhibit-rpath",
    b"--preload",
    b"--audit",
    b"--argv0",
    b"--glibc-hwcaps-mask",
    b"--glibc-hwcaps-prepend",
];

/// Reads a file's bytes from an offset on, and tells how many there were.
pub type Read<'a> = &'a mut dyn FnMut(&mut [u8], u64) -> Option<usize>;

/// Whether a program without an interpreter is glibc's ld.so: the object has
/// the name of one. A static program has no name.
pub fn is_loader(head: &[u8], read: Read<'_>) -> bool {
    soname(head, read).is_some_and(|name| name.starts_with(b"ld-linux"))
}

fn soname(head: &[u8], read: Read<'_>) -> Option<[u8; 8]> {
    const PT_LOAD: u32 = 1;
    const PT_DYNAMIC: u32 = 2;
    const DT_STRTAB: u64 = 5;
    const DT_SONAME: u64 = 14;
    let long = |bytes: &[u8], at: usize| word(bytes, at).map(u64::from_le_bytes);
    let offset = usize::try_from(long(head, 32)?).ok()?;
    let size = usize::from(u16::from_le_bytes(word(head, 54)?));
    let entries = usize::from(u16::from_le_bytes(word(head, 56)?));
    let (mut base, mut dynamic) = (None, None);
    for index in 0..entries {
        let header = head.get(index.checked_mul(size)?.checked_add(offset)?..)?;
        match u32::from_le_bytes(word(header, 0)?) {
            PT_LOAD if base.is_none() => base = Some(long(header, 16)?.wrapping_sub(long(header, 8)?)),
            PT_DYNAMIC => dynamic = Some(long(header, 8)?),
            _ => {}
        }
    }
    let mut table = [0; 1024];
    let len = read(&mut table, dynamic?)?;
    let (mut name, mut strings) = (None, None);
    for entry in table.get(..len)?.chunks_exact(16) {
        match long(entry, 0)? {
            0 => break,
            DT_STRTAB => strings = Some(long(entry, 8)?.wrapping_sub(base?)),
            DT_SONAME => name = Some(long(entry, 8)?),
            _ => {}
        }
    }
    let mut text = [0; 8];
    let len = read(&mut text, strings?.wrapping_add(name?))?;
    (len == text.len()).then_some(text)
}

impl Instance<'_> {
    /// Starts ld.so, which stands at `path`, with the host path of the program
    /// that it is to run.
    pub(super) fn by_loader(
        &self,
        shim: &[u8],
        start: &Start,
        (dirfd, path): (i32, *const u8),
        call: &mut dyn FnMut(&Start) -> Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        let count = count(start.argv)?;
        // SAFETY: the array has been counted.
        let word = |index: usize| unsafe { *start.argv.add(index) };
        let mut made = Pointers::new(count + 1)?;
        let mut libraries = Scratch::new();
        let mut runs = true;
        let mut next = 0;
        while next < count && (next == 0 || text(word(next))?.starts_with(b"--")) {
            let option = text(word(next))?;
            made.push(word(next));
            next += 1;
            runs &= !matches!(option, b"--list" | b"--verify");
            if next < count && WITH_VALUE.contains(&option) {
                if option == b"--library-path" {
                    self.host_list(text(word(next))?, &mut libraries)?;
                    made.push(libraries.as_ptr());
                } else {
                    made.push(word(next));
                }
                next += 1;
            }
        }
        let mut scratch = Scratch::new();
        if next < count {
            let named = word(next);
            let host = self.host_path(AT_FDCWD, named, Want::LOOK, &mut scratch)?.unwrap_or(named);
            if runs {
                self.cover(shim, named, host)?;
            }
            made.push(host);
            (next + 1..count).for_each(|index| made.push(word(index)));
        }
        let argv = made.finish();
        let mut call = |envp| call(&Start { dirfd, path, argv, envp, ..*start });
        // What is only listed is not run, and the shim is no part of the list.
        if runs && !is_traced(start)? {
            self.with_environment(shim, start.envp, &mut call)
        } else {
            call(start.envp)
        }
    }

    /// Refuses a program that ld.so would run without the shim. What ld.so
    /// cannot read, or is no program, it refuses itself.
    fn cover(&self, shim: &[u8], named: *const u8, host: *const u8) -> Result<(), Errno> {
        let flags = libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK;
        let Ok(file) = kernel::openat_at_once(AT_FDCWD, host, flags, 0) else { return Ok(()) };
        let mut head = [0; HEAD];
        let read = kernel::pread(file, &mut head, 0);
        kernel::close(file);
        let uncovered = match read.map(|len| classify(head.get(..len).unwrap_or(&[]))) {
            Ok(Program::Uncovered(why)) => Some(why),
            Ok(Program::Dynamic) => shut_out(shim)?,
            _ => None,
        };
        uncovered.map_or(Ok(()), |why| self.allow_uncovered(Door::Shim(shim), named, why))
    }

    /// A list of directories as the host has them.
    fn host_list(&self, list: &[u8], hosts: &mut Scratch) -> Result<(), Errno> {
        let mut first = true;
        for directory in list.split(|byte| matches!(byte, b':' | b';')) {
            let (mut app, mut scratch) = (Scratch::new(), Scratch::new());
            app.push(directory)?;
            if !first {
                hosts.push(b":")?;
            }
            first = false;
            match self.host_path(AT_FDCWD, app.as_ptr(), Want::LOOK, &mut scratch) {
                Ok(Some(_)) => hosts.push(scratch.bytes())?,
                Ok(None) => hosts.push(directory)?,
                // What the application does not see is not searched.
                Err(_) => hosts.push(b"/proc/self/fd/none")?,
            }
        }
        Ok(())
    }
}

/// Whether the environment has ld.so list a program's libraries.
fn is_traced(start: &Start) -> Result<bool, Errno> {
    for index in 0..count(start.envp)? {
        // SAFETY: the array has been counted.
        let entry = text(unsafe { *start.envp.add(index) })?;
        if entry.strip_prefix(b"LD_TRACE_LOADED_OBJECTS=").is_some_and(|value| !value.is_empty()) {
            return Ok(true);
        }
    }
    Ok(false)
}
