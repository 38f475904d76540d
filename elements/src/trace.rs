//! Telling the launcher what was asked and what was answered.
//!
//! `launcher trace` gives the instance a ring in shared memory. Every process
//! writes a record for each call that names a path; the launcher reads them
//! as they come. Nobody waits: a record that finds no room is counted as lost.
//!
//! A writer reserves room by moving the head on, fills it, and marks it ready
//! with the record's first word. The reader clears what it has read, so that
//! the first word of what comes next is 0 until it is ready.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::files::{MAX_PATH, Text};
use crate::{Errno, Instance, kernel};

/// The file's length.
pub const LEN: usize = 16 * 1024 * 1024;
const HEADER: usize = 64;
const CAPACITY: usize = LEN - HEADER;
const ALIGN: usize = 16;
const FIXED: usize = size_of::<Fixed>();

/// The start of the file. Zero is the right state to begin with.
#[repr(C)]
pub struct Ring {
    /// How many bytes have been reserved, ever.
    head: AtomicU64,
    /// How many have been read.
    tail: AtomicU64,
    lost: AtomicU64,
    reserved: [u64; 5],
}

const _: () = assert!(size_of::<Ring>() == HEADER && CAPACITY.is_multiple_of(ALIGN));

/// What stands for a system call's number where a name has been looked up by getaddrinfo(3).
pub const NAME: i64 = 0x1_0000;
/// The same of gethostbyname(3) and its kin.
pub const BY_NAME: i64 = 0x1_0003;
/// The same of gethostbyaddr(3): the name of an address.
pub const BY_ADDRESS: i64 = 0x1_0004;
/// The same of getnameinfo(3).
pub const FROM_ADDRESS: i64 = 0x1_0005;
/// The same of res_query(3) and its kin: `app` is a name and a type, where there was an answer.
pub const RESOLVED: i64 = 0x1_0006;
/// The same of what a name server has been asked: `app` is a name and a type, with a space between them, `host` the name server.
pub const QUERY: i64 = 0x1_0001;
/// The same of what it has answered, which follows in `host`, each after a space. The result is
/// its code (`RCODE` of RFC 1035), and [`TRUNCATED`] where not all of it has come.
pub const REPLY: i64 = 0x1_0002;

/// A bit of a [`REPLY`]'s result.
pub const TRUNCATED: usize = 0x100;

/// What every record has.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct Fixed {
    /// The record's length, once it is ready. Written last.
    len: u32,
    pid: i32,
    number: u32,
    line: u32,
    result: i64,
    app_len: u16,
    host_len: u16,
    touched: u16,
    /// Nothing but a gap before the end of the ring.
    gap: u16,
}

/// One call, as it is told.
pub struct Event<'a> {
    /// The process.
    pub pid: i32,
    /// The system call's number.
    pub number: i64,
    /// The line of the policy that decided; 0 where none did.
    pub line: u32,
    /// What was answered.
    pub result: Result<usize, Errno>,
    /// Whether a mount was involved.
    pub touched: bool,
    /// The app path, as it was asked, made absolute.
    pub app: &'a [u8],
    /// The host path that the kernel was given.
    pub host: &'a [u8],
}

impl Ring {
    /// How many records found no room.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn data(&self, at: u64) -> *mut u8 {
        let start = core::ptr::from_ref(self).cast::<u8>().cast_mut();
        start.wrapping_add(HEADER + at as usize % CAPACITY)
    }

    fn first_word(&self, at: u64) -> &AtomicU32 {
        // SAFETY: records begin aligned in the ring's mapping, which is LEN long.
        unsafe { &*self.data(at).cast::<AtomicU32>() }
    }

    /// Reserves room for `len` bytes in one piece.
    fn reserve(&self, len: usize) -> Option<u64> {
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            let left = CAPACITY - head as usize % CAPACITY;
            let gap = if left < len { left } else { 0 };
            let end = head + (gap + len) as u64;
            if end - self.tail.load(Ordering::Acquire) > CAPACITY as u64 {
                self.lost.fetch_add(1, Ordering::Relaxed);
                return None;
            }
            match self.head.compare_exchange_weak(head, end, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => {
                    if gap > 0 {
                        self.put(head, &Fixed { len: gap as u32, gap: 1, ..Fixed::default() }, &[], &[]);
                    }
                    return Some(head + gap as u64);
                }
                Err(now) => head = now,
            }
        }
    }

    /// Fills reserved room. A gap may be too small for more than its first word.
    fn put(&self, at: u64, fixed: &Fixed, app: &[u8], host: &[u8]) {
        // SAFETY: the room was reserved for this record alone.
        unsafe {
            let to = self.data(at);
            if fixed.gap != 0 {
                (*to.cast::<Fixed>().cast::<u32>().add(1)) = u32::MAX;
            } else {
                let body = core::ptr::from_ref(fixed).cast::<u8>();
                core::ptr::copy_nonoverlapping(body.add(4), to.add(4), FIXED - 4);
                core::ptr::copy_nonoverlapping(app.as_ptr(), to.add(FIXED), app.len());
                core::ptr::copy_nonoverlapping(host.as_ptr(), to.add(FIXED + app.len()), host.len());
            }
        }
        self.first_word(at).store(fixed.len, Ordering::Release);
    }

    /// Writes a record, if there is room.
    pub fn write(&self, event: &Event<'_>) {
        let (app, host) = (cut(event.app), cut(event.host));
        let len = (FIXED + app.len() + host.len()).next_multiple_of(ALIGN);
        let Some(at) = self.reserve(len) else { return };
        let fixed = Fixed {
            len: len as u32,
            pid: event.pid,
            number: event.number as u32,
            line: event.line,
            result: match event.result {
                Ok(value) => value as i64,
                Err(errno) => -i64::from(errno.0),
            },
            app_len: app.len() as u16,
            host_len: host.len() as u16,
            touched: u16::from(event.touched),
            gap: 0,
        };
        self.put(at, &fixed, app, host);
    }

    /// Reads the next record. None where there is none yet.
    pub fn read(&self, with: &mut dyn FnMut(&Event<'_>)) -> Option<()> {
        let at = self.tail.load(Ordering::Relaxed);
        if at == self.head.load(Ordering::Acquire) {
            return None;
        }
        let len = self.first_word(at).load(Ordering::Acquire) as usize;
        if len == 0 || len > CAPACITY {
            return None;
        }
        // SAFETY: a ready record of that length; nobody else touches it now.
        let bytes = unsafe { core::slice::from_raw_parts_mut(self.data(at), len) };
        if bytes.get(4..8) != Some(&u32::MAX.to_ne_bytes()) {
            // SAFETY: a record that is no gap begins with the fixed part.
            let fixed = unsafe { bytes.as_ptr().cast::<Fixed>().read() };
            let app_end = FIXED + usize::from(fixed.app_len);
            let result = fixed.result;
            with(&Event {
                pid: fixed.pid,
                number: i64::from(fixed.number),
                line: fixed.line,
                result: if result < 0 { Err(Errno(-result as i32)) } else { Ok(result as usize) },
                touched: fixed.touched != 0,
                app: bytes.get(FIXED..app_end).unwrap_or(&[]),
                host: bytes.get(app_end..app_end + usize::from(fixed.host_len)).unwrap_or(&[]),
            });
        }
        bytes.fill(0);
        self.tail.store(at + len as u64, Ordering::Release);
        Some(())
    }

    /// Gives up on a record that its writer did not live to finish, if the
    /// next one is such.
    pub fn skip_unfinished(&self) {
        let head = self.head.load(Ordering::Acquire);
        let mut at = self.tail.load(Ordering::Relaxed);
        if at == head {
            return;
        }
        while at < head && self.first_word(at).load(Ordering::Acquire) == 0 {
            at += ALIGN as u64;
        }
        self.lost.fetch_add(1, Ordering::Relaxed);
        self.tail.store(at, Ordering::Release);
    }
}

fn cut(path: &[u8]) -> &[u8] {
    path.get(..path.len().min(MAX_PATH)).unwrap_or(&[])
}

impl Instance<'_> {
    /// Tells of a name that was looked up, and of what was found.
    #[cold]
    pub fn tell_of_name(
        &self,
        number: i64,
        name: &[u8],
        found: &[u8],
        line: u32,
        result: Result<usize, Errno>,
    ) {
        let Some(ring) = self.ring else { return };
        let (pid, touched) = (kernel::getpid(), line != 0);
        ring.write(&Event { pid, number, line, result, touched, app: name, host: found });
    }

    /// Tells of a call on a path. `host` is what the kernel was given, where
    /// that was something else.
    #[cold]
    pub(crate) fn tell(
        &self,
        number: i64,
        (dirfd, path): (i32, *const u8),
        host: Option<*const u8>,
        mount: Option<u32>,
        result: Result<usize, Errno>,
    ) {
        let Some(ring) = self.ring else { return };
        let string = |text: *const u8| {
            if crate::user::is_string(text) {
                // SAFETY: found readable.
                unsafe { core::ffi::CStr::from_ptr(text.cast()) }.to_bytes()
            } else {
                b"(bad pointer)"
            }
        };
        let asked = string(path);
        let mut app = Text::<{ 2 * MAX_PATH }>::new();
        if asked.first() != Some(&b'/') {
            let mut base = Text::new();
            if self.base_path(dirfd, &mut base).is_ok() && app.push(base.bytes()).is_ok() {
                // The base fits with room for as long a path again.
                let _ = app.push(if base.bytes() == b"/" { b"" } else { b"/" });
            }
        }
        // What does not fit is cut: the record has no room for it either.
        let _ = app.push(asked);
        // Where links were followed, only the walk knows what decided.
        let walked = || {
            let path = (dirfd == kernel::AT_FDCWD && host.is_some()).then_some(path)?;
            // SAFETY: a call was made with the path, so it has been found readable.
            Some(self.explain(unsafe { core::ffi::CStr::from_ptr(path.cast()) }, true).mount.id)
        };
        let mount = mount.or_else(walked);
        ring.write(&Event {
            pid: kernel::getpid(),
            number,
            line: mount.map_or(0, |mount| self.view.mount(mount).line),
            result,
            touched: mount.is_some_and(|mount| self.view.mount(mount).kind != view::Kind::Pass),
            app: app.bytes(),
            host: host.map_or(app.bytes(), string),
        });
    }
}
