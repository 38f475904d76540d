//! The proc element: what a file of /proc says of the program.
//!
//! The kernel tells of a process as it is, with the gate in it and under the
//! host's paths. [`mappings`] has the text that the program would find without
//! us, and [`machine`] that of the policy's machine; here an open of such a file gets it, as a file without a name in the
//! place of the kernel's. Where that cannot be, the kernel's own stays.

pub mod machine;
pub mod mappings;
pub mod status;

use crate::files::{MAX_PATH, Text, scan};
use crate::identity::Scale;
use crate::identity::links::table as links;
use crate::ipc;
use crate::kernel;
use crate::network::rows::{self, Table};
use crate::{Errno, Instance, time};

use machine::File;
use mappings::{Format, Ours};
use status::Told;

/// procfs, as fstatfs(2) calls it.
const PROC_SUPER_MAGIC: u64 = 0x9fa0;

/// Flags of an open that does more than read.
const MORE: i32 = libc::O_ACCMODE | libc::O_PATH | libc::O_DIRECTORY | libc::O_CREAT | libc::O_TRUNC;

impl Instance<'_> {
    /// Whether an open may be of a file of /proc that tells something else here, by the
    /// path's last component and the flags.
    #[inline]
    pub fn may_tell_otherwise(&self, path: *const u8, flags: i32) -> bool {
        if flags & MORE != libc::O_RDONLY {
            return false;
        }
        let Some(survey) = scan::survey(path, 0) else { return false };
        // SAFETY: just read.
        let path = unsafe { core::slice::from_raw_parts(path, survey.len) };
        Format::of(path).is_some()
            || (self.has_machine() || self.view.has_time()) && File::named(path).is_some()
            || self.own_names().is_some() && ipc::File::named(path).is_some()
            || self.view.has_network() && Table::named(path).is_some()
            || self.view.has_link_names() && links::Table::named(path).is_some()
            || self.plays() && path.ends_with(b"status")
    }

    /// Whether the machine has other processors or other memory than the host.
    #[inline]
    pub(crate) fn has_machine(&self) -> bool {
        self.view.flags() & view::flags::MACHINE != 0
    }
}

/// The least memory that a text is read into, and the most.
const ROOM: usize = 256 * 1024;
const MOST: usize = 1 << 30;

/// A text in memory of its own.
pub(crate) struct Snapshot {
    address: usize,
    room: usize,
    len: usize,
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        // SAFETY: our own mapping, which nobody else knows of.
        unsafe { kernel::unmap(self.address, self.room) };
    }
}

impl Snapshot {
    /// Reads a file whole. It keeps its position.
    pub(crate) fn of(file: i32) -> Result<Snapshot, Errno> {
        let mut room = ROOM;
        loop {
            let mut text = Snapshot { address: kernel::map_apart(room)?, room, len: 0 };
            loop {
                // SAFETY: the mapping's own bytes.
                let left = unsafe {
                    let next = (text.address + text.len) as *mut u8;
                    core::slice::from_raw_parts_mut(next, room - text.len)
                };
                match kernel::pread(file, left, text.len as u64)? {
                    0 if text.len < room => return Ok(text),
                    0 => break,
                    more => text.len += more,
                }
            }
            if room >= MOST {
                return Err(Errno::ENOMEM);
            }
            room *= 4;
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: the kernel has written so many.
        unsafe { core::slice::from_raw_parts(self.address as *const u8, self.len) }
    }
}

impl Instance<'_> {
    /// Has a descriptor that was just opened, to read a file that may show
    /// mappings, show those of the program.
    #[cold]
    #[inline(never)]
    pub(crate) fn show_mappings(&self, fd: i32, flags: i32) {
        // What cannot be shown otherwise stays as the kernel shows it.
        let _ = self.replace_mappings(fd, flags);
    }

    fn replace_mappings(&self, fd: i32, flags: i32) -> Result<(), Errno> {
        if kernel::file_system(fd)? != PROC_SUPER_MAGIC {
            return Ok(());
        }
        let path = path_of(fd)?;
        if let Some(file) = File::at(path.bytes()) {
            return self.replace(fd, flags, c"machine", |text, out| self.tell_of_machine(file, text, out));
        }
        if self.view.has_network()
            && let Some(table) = Table::at(path.bytes())
        {
            return self.replace(fd, flags, c"sockets", |text, out| {
                let told = |own: &_, peer: &_| self.row_as(table.protocol, own, peer, None);
                rows::rewrite(table, text.bytes(), told, &mut |part| out.put(part))?;
                Ok(true)
            });
        }
        if self.view.has_link_names()
            && let Some(table) = links::Table::at(path.bytes())
        {
            return self.replace(fd, flags, c"interfaces", |text, out| {
                let shown = |name: &[u8]| self.shown_link(name);
                links::rewrite(table, text.bytes(), shown, &mut |part| out.put(part)).map(|()| true)
            });
        }
        if let (Some(names), Some(file)) = (self.own_names(), ipc::File::at(path.bytes())) {
            return self.replace(fd, flags, c"names", |text, out| {
                file.tell(&names, text.bytes(), &mut |part| out.put(part)).map(|()| true)
            });
        }
        if let Some(process) = status_of(path.bytes()).filter(|_| self.plays()) {
            return self.replace(fd, flags, c"status", |text, out| self.tell_of_process(process, text, out));
        }
        let Some(format) = format_of(path.bytes()) else { return Ok(()) };
        self.replace(fd, flags, c"mappings", |text, out| self.tell_of_mappings(format, text, out))
    }

    fn tell_of_mappings(&self, format: Format, text: &Snapshot, out: &mut Out) -> Result<bool, Errno> {
        let buffer = text.address as u64..(text.address + text.room) as u64;
        let ours = Ours { dir: self.dir(), buffer };
        let rename = |host: &[u8], app: &mut Text<MAX_PATH>| {
            self.is_behind_mount(host) && self.reverse(host, app).is_ok()
        };
        mappings::rewrite(format, text.bytes(), &ours, rename, |part| out.put(part))
    }

    /// Says what the policy's machine has, if it has anything of its own.
    fn tell_of_machine(&self, file: File, text: &Snapshot, out: &mut Out) -> Result<bool, Errno> {
        let (cpus, memory) = (self.view.cpus(), self.view.memory());
        let put = &mut |part: &[u8]| out.put(part);
        match file {
            File::Cpuinfo if cpus != 0 => machine::cpuinfo(text.bytes(), cpus, put)?,
            File::Stat if cpus != 0 || self.view.has_time() => {
                machine::stat(text.bytes(), cpus, self.booted(), put)?;
            }
            File::Meminfo if memory != 0 => {
                let host = machine::total(text.bytes()).unwrap_or(0);
                machine::meminfo(text.bytes(), &Scale { host, told: memory / 1024 }, put)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// When the machine was booted, by the application's clock, where that is not the host's.
    fn booted(&self) -> Option<u64> {
        let shown = self.clock()?.shown(time::now(libc::CLOCK_REALTIME));
        let since = time::now(libc::CLOCK_BOOTTIME);
        u64::try_from(shown.saturating_sub(since).div_euclid(time::SECOND)).ok()
    }

    /// Says who a process is.
    fn tell_of_process(&self, process: u32, text: &Snapshot, out: &mut Out) -> Result<bool, Errno> {
        let known = self.credentials_of(process);
        let told = match (&known, self.starter()) {
            (Ok(known), _) => Told::Whole(known),
            (_, Some(starter)) => {
                Told::Ids { user: (starter.host_uid, starter.uid), group: (starter.host_gid, starter.gid) }
            }
            _ => return Ok(false),
        };
        status::rewrite(text.bytes(), &told, &mut |part| out.put(part))?;
        Ok(true)
    }

    /// Puts a file with another text in a descriptor's place, where there is one.
    fn replace(
        &self,
        fd: i32,
        flags: i32,
        name: &core::ffi::CStr,
        tell: impl FnOnce(&Snapshot, &mut Out) -> Result<bool, Errno>,
    ) -> Result<(), Errno> {
        let text = Snapshot::of(fd)?;
        let shown = Descriptor(kernel::memfd_create(name)?);
        let mut out = Out { file: shown.0, held: [0; 2048], len: 0 };
        if !tell(&text, &mut out)? {
            return Ok(());
        }
        out.flush()?;
        kernel::fchmod(shown.0, 0o444)?;
        kernel::seal(shown.0)?;
        // Opened anew, it can be read and no more, from its beginning.
        let mut link = descriptor(shown.0)?;
        let reader = kernel::open_at_once(link.as_ptr())?;
        let reader = Descriptor(reader);
        kernel::dup3(reader.0, fd, flags & libc::O_CLOEXEC)
    }
}

/// A descriptor of ours for the while.
struct Descriptor(i32);

impl Drop for Descriptor {
    fn drop(&mut self) {
        kernel::close(self.0);
    }
}

fn descriptor(fd: i32) -> Result<Text<64>, Errno> {
    let mut link = Text::new();
    // A thread may have descriptors of its own.
    link.push(b"/proc/thread-self/fd/")?;
    link.push_decimal(fd.unsigned_abs())?;
    Ok(link)
}

/// The path of a descriptor, if it is as short as those of interest.
fn path_of(fd: i32) -> Result<Text<64>, Errno> {
    let mut link = descriptor(fd)?;
    let mut path = Text::<64>::new();
    path.read(|room| kernel::readlinkat(kernel::AT_FDCWD, link.as_ptr(), room))?;
    Ok(path)
}

/// Which of a process's files is at a path.
fn format_of(path: &[u8]) -> Option<Format> {
    let process = path.strip_prefix(b"/proc/").and_then(<[u8]>::first);
    if process.is_some_and(u8::is_ascii_digit) { Format::of(path) } else { None }
}

/// The process whose `status` is at a path.
fn status_of(path: &[u8]) -> Option<u32> {
    let mut parts = path.strip_prefix(b"/proc/")?.split(|byte| *byte == b'/');
    let process = parts.next()?;
    match (parts.next()?, parts.next(), parts.next()) {
        (b"status", None, _) | (b"task", Some(_), Some(b"status")) => {}
        _ => return None,
    }
    process.iter().try_fold(0_u32, |sum, digit| {
        let digit = digit.is_ascii_digit().then(|| u32::from(digit - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

/// Writes to a file, much at a time.
struct Out {
    file: i32,
    held: [u8; 2048],
    len: usize,
}

impl Out {
    fn put(&mut self, mut part: &[u8]) -> Result<(), Errno> {
        while !part.is_empty() {
            if self.len == self.held.len() {
                self.flush()?;
            }
            let room = self.held.get_mut(self.len..).unwrap_or(&mut []);
            let (now, later) = part.split_at(part.len().min(room.len()));
            if let Some(room) = room.get_mut(..now.len()) {
                room.copy_from_slice(now);
            }
            self.len += now.len();
            part = later;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Errno> {
        let mut left = self.held.get(..self.len).unwrap_or(&[]);
        while !left.is_empty() {
            let written = kernel::write(self.file, left)?;
            left = left.get(written..).unwrap_or(&[]);
        }
        self.len = 0;
        Ok(())
    }
}
