//! uname(2), sethostname(2), setdomainname(2).
//!
//! The policy's names go before the host's, and what a program of the instance
//! has set goes before the policy's. What comes of that is kept, for as long
//! as nobody sets a name, so that a call costs a copy and no system call.

use core::sync::atomic::{AtomicU64, Ordering, fence};

use libc::utsname;
use view::{Identity, LONGEST};

use crate::files::{MAX_PATH, Text};
use crate::identity::credentials::capability;
use crate::kernel::{self, AT_FDCWD};
use crate::shared::Cell;
use crate::{Answer, Errno, Instance, user};

const SIZE: usize = size_of::<utsname>();
const WORDS: usize = SIZE / 8;
/// The bytes after the last whole word.
const TAIL: usize = SIZE % 8;

/// The last answer, and what it is worth: [`NONE`], [`BUSY`], or the
/// generation of the names in it, plus [`FIRST`].
static KEPT: Kept = Kept {
    state: AtomicU64::new(NONE),
    words: [const { AtomicU64::new(0) }; WORDS],
    tail: AtomicU64::new(0),
};

const NONE: u64 = 0;
const BUSY: u64 = 1;
const FIRST: u64 = 2;

struct Kept {
    state: AtomicU64,
    words: [AtomicU64; WORDS],
    tail: AtomicU64,
}

impl Kept {
    /// Copies what is kept for a state. False where that was not so, or not
    /// to the end; what has been written then means nothing.
    ///
    /// # Safety
    ///
    /// There is room for a `utsname`.
    #[inline]
    unsafe fn copy(&self, state: u64, to: *mut utsname) -> bool {
        if self.state.load(Ordering::Acquire) != state {
            return false;
        }
        let to = to.cast::<u8>();
        for (index, word) in self.words.iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { to.add(index * 8).cast::<u64>().write_unaligned(word.load(Ordering::Relaxed)) };
        }
        let tail = self.tail.load(Ordering::Relaxed).to_ne_bytes();
        // SAFETY: the caller's promise.
        unsafe { to.add(WORDS * 8).cast::<[u8; TAIL]>().write_unaligned(head(tail)) };
        fence(Ordering::Acquire);
        self.state.load(Ordering::Relaxed) == state
    }

    /// Keeps an answer, unless another thread is about to.
    fn keep(&self, state: u64, from: &utsname) {
        let old = self.state.load(Ordering::Relaxed);
        if old == BUSY || self.state.compare_exchange(old, BUSY, Ordering::AcqRel, Ordering::Relaxed).is_err()
        {
            return;
        }
        // Who reads what is written now finds that it is busy.
        fence(Ordering::Release);
        let from = core::ptr::from_ref(from).cast::<u8>();
        for (index, word) in self.words.iter().enumerate() {
            // SAFETY: within the struct.
            word.store(unsafe { from.add(index * 8).cast::<u64>().read_unaligned() }, Ordering::Relaxed);
        }
        let mut tail = [0; 8];
        for (index, byte) in tail.iter_mut().take(TAIL).enumerate() {
            // SAFETY: within the struct.
            *byte = unsafe { from.add(WORDS * 8 + index).read() };
        }
        self.tail.store(u64::from_ne_bytes(tail), Ordering::Relaxed);
        self.state.store(state, Ordering::Release);
    }
}

fn head(word: [u8; 8]) -> [u8; TAIL] {
    core::array::from_fn(|index| word.get(index).copied().unwrap_or(0))
}

/// Puts a name into a field, whose rest is zeros.
fn put(field: &mut [libc::c_char], name: &[u8]) {
    let rest = name.iter().map(|byte| *byte as libc::c_char).chain(core::iter::repeat(0));
    for (to, from) in field.iter_mut().zip(rest) {
        *to = from;
    }
}

/// A name that a program can set: where it is kept, and the file that shows it.
struct Settable<'i> {
    cell: Option<&'i Cell>,
    file: &'static [u8],
}

impl Instance<'_> {
    /// uname(2)
    #[inline]
    pub fn uname(&self, buf: *mut utsname) -> Answer {
        let Some(identity) = self.view.identity() else { return Answer::Pass };
        let state = FIRST + self.generation();
        if user::is_writable_page(buf as usize) && user::is_writable_page(buf as usize + SIZE - 1) {
            // SAFETY: both pages that it can lie in can be written to.
            if unsafe { KEPT.copy(state, buf) } {
                return Answer::Done(Ok(0));
            }
        }
        self.uname_anew(&identity, state, buf)
    }

    #[cold]
    #[inline(never)]
    fn uname_anew(&self, identity: &Identity<'_>, state: u64, buf: *mut utsname) -> Answer {
        if !identity.has_names() {
            return Answer::Pass;
        }
        // The kernel judges the pointer.
        // SAFETY: the program's own argument.
        if let Err(errno) = unsafe { kernel::syscall(libc::SYS_uname, [buf as usize, 0, 0, 0, 0, 0]) } {
            return Answer::fail(errno);
        }
        // SAFETY: the kernel has just written all of it.
        let mut names = unsafe { buf.read_unaligned() };
        for (field, name) in [
            (&mut names.nodename, identity.host_name),
            (&mut names.domainname, identity.domain_name),
            (&mut names.release, identity.release),
            (&mut names.version, identity.version),
            (&mut names.machine, identity.machine),
        ] {
            if !name.is_empty() {
                put(field, name);
            }
        }
        for (field, settable) in
            [(&mut names.nodename, self.host_name()), (&mut names.domainname, self.domain_name())]
        {
            if let Some((name, len)) = settable.cell.and_then(Cell::get) {
                put(field, name.get(..len).unwrap_or(&[]));
            }
        }
        // SAFETY: as above.
        unsafe { buf.write_unaligned(names) };
        // The host's own names may change at any time; what the kernel is does not.
        let is_lasting = !identity.host_name.is_empty() && !identity.domain_name.is_empty();
        if is_lasting && self.generation() + FIRST == state {
            KEPT.keep(state, &names);
        }
        Answer::Done(Ok(0))
    }

    /// A number for the names as they are: another one after each change.
    #[inline]
    fn generation(&self) -> u64 {
        let of = |cell: &Cell| u64::from(cell.generation());
        self.told.map_or(0, |told| of(&told.host_name) << 31 ^ of(&told.domain_name))
    }

    fn host_name(&self) -> Settable<'_> {
        Settable { cell: self.told.map(|told| &told.host_name), file: b"/proc/sys/kernel/hostname" }
    }

    fn domain_name(&self) -> Settable<'_> {
        Settable { cell: self.told.map(|told| &told.domain_name), file: b"/proc/sys/kernel/domainname" }
    }

    /// sethostname(2): changes what this instance's processes see, and no more.
    pub fn sethostname(&self, name: *const u8, len: usize) -> Answer {
        match self.view.identity() {
            Some(identity) if !identity.host_name.is_empty() => self.set_name(&self.host_name(), name, len),
            _ => Answer::Pass,
        }
    }

    /// setdomainname(2), likewise.
    pub fn setdomainname(&self, name: *const u8, len: usize) -> Answer {
        match self.view.identity() {
            Some(identity) if !identity.domain_name.is_empty() => {
                self.set_name(&self.domain_name(), name, len)
            }
            _ => Answer::Pass,
        }
    }

    #[inline(never)]
    fn set_name(&self, which: &Settable<'_>, name: *const u8, len: usize) -> Answer {
        // Root alone may, as on a machine of its own.
        let may = self.shared.is_some() && self.may_change_machine(capability::SYS_ADMIN);
        let (Some(cell), true) = (which.cell, may) else {
            return Answer::fail(Errno::EPERM);
        };
        // The kernel takes the length for an int.
        let len = len as i32;
        if !(0..=LONGEST as i32).contains(&len) {
            return Answer::fail(Errno::EINVAL);
        }
        let len = len as usize;
        if !user::is_readable(name, len) {
            return Answer::fail(Errno::EFAULT);
        }
        let mut bytes = [0; LONGEST];
        let Some(copy) = bytes.get_mut(..len) else { return Answer::fail(Errno::EINVAL) };
        // SAFETY: found readable.
        unsafe { core::ptr::copy_nonoverlapping(name, copy.as_mut_ptr(), len) };
        if let Err(errno) = self.show_name(which.file, copy) {
            return Answer::fail(errno);
        }
        cell.set(copy);
        Answer::Done(Ok(0))
    }

    /// Whether this process may change what its machine is like: by a capability that it plays, or, where it
    /// plays nobody, as root.
    pub(crate) fn may_change_machine(&self, capability: u32) -> bool {
        if self.plays() { self.credentials().can(capability) } else { kernel::geteuid() == 0 }
    }

    /// Has the file of a name show it from the next open on.
    fn show_name(&self, at: &[u8], name: &[u8]) -> Result<(), Errno> {
        let Some(mount) = self.view.mounts().find(|mount| mount.at == at) else { return Ok(()) };
        let (mut file, mut draft) = (Text::<MAX_PATH>::new(), Text::<MAX_PATH>::new());
        file.push(mount.source)?;
        draft.push(mount.source)?;
        draft.push(b".")?;
        draft.push_decimal(kernel::gettid().unsigned_abs())?;
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC | libc::O_CLOEXEC;
        let opened = kernel::openat_at_once(AT_FDCWD, draft.as_ptr(), flags, 0o644)?;
        // What is there of a name ends at its first NUL, as for the kernel's own file.
        let shown = name.split(|byte| *byte == 0).next().unwrap_or(&[]);
        let written = kernel::fchmod(opened, 0o644)
            .and_then(|()| kernel::write(opened, shown))
            .and_then(|_| kernel::write(opened, b"\n"))
            .and_then(|_| kernel::renameat2((AT_FDCWD, draft.as_ptr()), (AT_FDCWD, file.as_ptr()), 0));
        kernel::close(opened);
        if written.is_err() {
            let _ = kernel::unlinkat(AT_FDCWD, draft.as_ptr(), 0);
        }
        written
    }

    /// Takes back what programs have set: the names are the policy's again.
    ///
    /// # Errors
    ///
    /// Those of writing to the files that show them.
    pub fn forget_names(&self) -> Result<(), Errno> {
        let Some(identity) = self.view.identity() else { return Ok(()) };
        let names = [(self.host_name(), identity.host_name), (self.domain_name(), identity.domain_name)];
        for (settable, name) in names {
            if let Some(cell) = settable.cell.filter(|cell| cell.generation() != 0) {
                self.show_name(settable.file, name)?;
                cell.forget();
            }
        }
        Ok(())
    }
}
