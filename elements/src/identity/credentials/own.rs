//! This process's credentials.
//!
//! A copy lies in the process's own memory, so that getuid(2) makes no call. A child of
//! fork(2) has it too, and what the copy does not say is kept in a page that the
//! kernel empties in a child: whose process it is. A child that shares its parent's
//! memory (vfork(2)) must leave the copy alone. What such a child becomes is in its row
//! of the shared table, and whoever reads the copy looks whether there is such a child. Threads that have
//! become others by themselves are in [`super::threads`]; in the shared table a process is who its first thread is.

use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

use super::rules::{Credentials, EFFECTIVE, RunsAs, WORDS};
use super::threads;
use crate::kernel;
use crate::shared::Shared;
use crate::shared::credentials::{Process, Starter};
use crate::{Errno, Instance};

/// The copy. The sequence is odd while it is written to, and 0 where nobody has.
pub(super) struct Copy {
    sequence: AtomicU32,
    words: [AtomicU32; WORDS],
}

static COPY: Copy = Copy::new();

/// Who reads the copy and is not who it says, if anybody: a child that shares this memory and
/// has become somebody else, a thread that has.
#[unsafe(link_section = ".bss.soon")]
static OTHERS: AtomicU32 = AtomicU32::new(0);
const BORROWER: u32 = 1 << 0;
const THREADS: u32 = 1 << 1;

/// Of which threads a call changes who they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// The one that calls: the system call.
    Thread,
    /// All of the process: what libc makes of it.
    Process,
}

/// The page that a child of fork(2) finds empty.
#[unsafe(link_section = ".bss.soon")]
static PAGE: AtomicUsize = AtomicUsize::new(0);

/// What is in it.
#[repr(C)]
struct Page {
    /// The process whose page it is; 0: a new one's.
    process: AtomicU32,
    /// Whether that has a row in the shared table.
    has_row: AtomicU32,
    /// When it started.
    started: AtomicU64,
}

const PAGE_SIZE: usize = 4096;

fn page() -> Option<&'static Page> {
    let page = PAGE.load(Ordering::Acquire);
    // SAFETY: a page that is never unmapped, and holds atomics.
    (page != 0).then(|| unsafe { &*(page as *const Page) })
}

/// How a process is met in its own memory.
enum Met {
    /// It owns the memory, and the copy.
    Owner(u32),
    /// It shares its parent's.
    Borrower(u32),
}

/// Who asks. The first question of a child of fork(2) makes the page its own.
fn met(page: &Page) -> Met {
    let own = kernel::getpid() as u32;
    match page.process.compare_exchange(0, own, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => {
            if OTHERS.load(Ordering::Acquire) & THREADS != 0 {
                if let Some(maker) = threads::of_maker() {
                    COPY.write(&maker);
                }
                threads::give_up_all();
            }
            OTHERS.store(0, Ordering::Release);
            Met::Owner(own)
        }
        Err(owner) if owner == own => Met::Owner(own),
        Err(_) => Met::Borrower(own),
    }
}

impl Copy {
    pub(super) const fn new() -> Copy {
        Copy { sequence: AtomicU32::new(0), words: [const { AtomicU32::new(0) }; WORDS] }
    }

    /// Reads it. A thread writes for some nanoseconds; whoever has been reading for longer than that
    /// has come in between, as a signal handler does, or a child of a fork: it takes what is there.
    pub(super) fn read(&self) -> Credentials {
        const ATTEMPTS: u32 = 2000;
        let mut words = [0; WORDS];
        for _ in 0..ATTEMPTS {
            let before = self.sequence.load(Ordering::Acquire);
            for (to, from) in words.iter_mut().zip(&self.words) {
                *to = from.load(Ordering::Relaxed);
            }
            fence(Ordering::Acquire);
            if before & 1 == 0 && self.sequence.load(Ordering::Relaxed) == before {
                break;
            }
            core::hint::spin_loop();
        }
        Credentials::from_words(&words)
    }

    pub(super) fn write(&self, credentials: &Credentials) {
        let sequence = self.sequence.load(Ordering::Relaxed) | 1;
        self.sequence.store(sequence, Ordering::Relaxed);
        fence(Ordering::Release);
        for (to, word) in self.words.iter().zip(credentials.words()) {
            to.store(word, Ordering::Relaxed);
        }
        self.sequence.store(sequence.wrapping_add(1), Ordering::Release);
    }
}

/// When a process started, in ticks since the boot (proc(5), field 22 of `stat`).
pub(super) fn started(process: &[u8]) -> Result<u64, Errno> {
    let mut buffer = [0; 512];
    let text = stat_of(process, &mut buffer)?;
    field(text, 19).ok_or(Errno::ESRCH)
}

/// The fields of a process's `stat` after its name.
pub(super) fn stat_of<'b>(process: &[u8], buffer: &'b mut [u8; 512]) -> Result<&'b [u8], Errno> {
    let mut path = crate::files::Text::<64>::new();
    for part in [b"/proc/", process, b"/stat"] {
        path.push(part)?;
    }
    let file = kernel::open_at_once(path.as_ptr())?;
    let read = kernel::read(file, buffer);
    kernel::close(file);
    let text = buffer.get(..read?).unwrap_or(&[]);
    // The name may hold anything, parentheses too.
    let end = text.iter().rposition(|byte| *byte == b')').ok_or(Errno::ESRCH)?;
    Ok(text.get(end + 2..).unwrap_or(&[]))
}

/// A field of those, from 0.
pub(super) fn field(text: &[u8], number: usize) -> Option<u64> {
    let digits = text.split(|byte| *byte == b' ').nth(number)?;
    digits.iter().try_fold(0_u64, |sum, digit| {
        digit.is_ascii_digit().then_some(())?;
        sum.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    })
}

impl Instance<'_> {
    /// Whether this process has credentials that the kernel knows nothing of: it is one of the instance,
    /// whose policy says so.
    #[inline]
    pub fn plays(&self) -> bool {
        self.view.flags() & view::flags::CREDENTIALS != 0 && self.told.is_some()
    }

    /// Who started the instance.
    #[inline]
    pub fn starter(&self) -> Option<Starter> {
        if self.plays() { self.told?.credentials.starter() } else { None }
    }

    /// Finds out who this process is, when it attaches: what it was before execve(2), or
    /// else who started the instance.
    pub(crate) fn begin_credentials(&self) {
        if !self.plays() || PAGE.load(Ordering::Acquire) != 0 {
            return;
        }
        let own = kernel::getpid() as u32;
        let since = started(b"self").unwrap_or(0);
        let kept = self.told.and_then(|told| told.credentials.get(own, |started| started == since));
        let has_row = kept.is_some();
        // What its parent has started otherwise than by execve(2) is as the parent is, which waits.
        let of_parent = || self.credentials_of(kernel::getppid()).ok()?.started(&RunsAs::default()).ok();
        let found = kept.or_else(of_parent).or_else(|| {
            let Starter { uid, gid, .. } = self.starter()?;
            Some(Credentials::of(uid, gid, &[]))
        });
        COPY.write(&found.unwrap_or_else(|| Credentials::of(kernel::getuid(), kernel::getgid(), &[])));
        const WIPE_ON_FORK: usize = 18;
        let Ok(address) = kernel::map_anonymous(PAGE_SIZE) else { return };
        // SAFETY: a fresh page of ours.
        let _ = unsafe { kernel::syscall(libc::SYS_madvise, [address, PAGE_SIZE, WIPE_ON_FORK, 0, 0, 0]) };
        // SAFETY: as above; it holds atomics, and is never unmapped.
        let page = unsafe { &*(address as *const Page) };
        page.process.store(own, Ordering::Relaxed);
        page.started.store(since, Ordering::Relaxed);
        page.has_row.store(u32::from(has_row), Ordering::Relaxed);
        PAGE.store(address, Ordering::Release);
    }

    /// This process's credentials; where its threads differ, this thread's.
    #[inline]
    pub fn credentials(&self) -> Credentials {
        if OTHERS.load(Ordering::Acquire) != 0
            && let Some(own) = self.credentials_of_other()
        {
            return own;
        }
        COPY.read()
    }

    #[cold]
    #[inline(never)]
    fn credentials_of_other(&self) -> Option<Credentials> {
        match met(page()?) {
            Met::Borrower(own) => {
                let since = started(b"self").ok()?;
                self.told?.credentials.get(own, |started| started == since)
            }
            Met::Owner(_) if OTHERS.load(Ordering::Acquire) & THREADS != 0 => {
                threads::get(kernel::gettid() as u32)
            }
            Met::Owner(_) => None,
        }
    }

    /// A number that is another one when this process is somebody else. None: it, or one of its threads, is not who its
    /// memory says.
    #[inline]
    pub(crate) fn credentials_version(&self) -> Option<u32> {
        (OTHERS.load(Ordering::Acquire) == 0).then(|| COPY.sequence.load(Ordering::Acquire))
    }

    /// One word of the credentials: of the user's ids (0 to 3) and the group's (4 to 7).
    #[inline]
    pub fn id(&self, word: usize) -> u32 {
        if OTHERS.load(Ordering::Acquire) != 0 {
            return self.credentials().words().get(word).copied().unwrap_or(0);
        }
        COPY.words.get(word).map_or(0, |word| word.load(Ordering::Relaxed))
    }

    /// Whether this process uses a capability: one of the first 32.
    #[inline]
    pub fn has(&self, capability: u32) -> bool {
        if OTHERS.load(Ordering::Acquire) != 0 {
            return self.credentials().can(capability);
        }
        COPY.words.get(EFFECTIVE).is_some_and(|word| word.load(Ordering::Relaxed) & 1 << capability != 0)
    }

    /// Changes the credentials of this process, or of this thread.
    ///
    /// # Errors
    ///
    /// Those of `change`; `EAGAIN` where they cannot be kept.
    pub(super) fn change_credentials(
        &self,
        scope: Scope,
        change: impl FnOnce(&Credentials) -> Result<Credentials, Errno>,
    ) -> Result<(), Errno> {
        let old = self.credentials();
        let new = change(&old)?;
        if new == old { Ok(()) } else { self.become_other(scope, &new) }
    }

    /// Gives this process, or this thread, other credentials, by no rule.
    fn become_other(&self, scope: Scope, new: &Credentials) -> Result<(), Errno> {
        let page = page().ok_or(Errno::EAGAIN)?;
        match met(page) {
            Met::Owner(own) => match if scope == Scope::Thread { count_threads() } else { 1 } {
                1 => {
                    self.write_row(own, page, new)?;
                    COPY.write(new);
                    threads::give_up_all();
                    OTHERS.store(0, Ordering::Release);
                }
                count => self.thread_becomes(own, page, count, new)?,
            },
            Met::Borrower(own) => {
                let process = Process { id: own, started: started(b"self")? };
                self.write(process, new)?;
                OTHERS.fetch_or(BORROWER, Ordering::Release);
            }
        }
        Ok(())
    }

    /// The same of one thread among several.
    fn thread_becomes(&self, own: u32, page: &Page, count: usize, new: &Credentials) -> Result<(), Errno> {
        let thread = kernel::gettid() as u32;
        if *new == COPY.read() {
            threads::give_up(thread);
            if !threads::any() {
                OTHERS.fetch_and(!THREADS, Ordering::Release);
            }
            return if thread == own { self.write_row(own, page, new) } else { Ok(()) };
        }
        threads::set(thread, new)?;
        OTHERS.fetch_or(THREADS, Ordering::Release);
        if thread == own {
            self.write_row(own, page, new)?;
        }
        if threads::count(new) >= count {
            // The last of all threads to make the call: they are one process again.
            self.write_row(own, page, new)?;
            COPY.write(new);
            threads::give_up_all();
            OTHERS.fetch_and(!THREADS, Ordering::Release);
        }
        Ok(())
    }

    fn write_row(&self, own: u32, page: &Page, credentials: &Credentials) -> Result<(), Errno> {
        if page.started.load(Ordering::Relaxed) == 0 {
            page.started.store(started(b"self")?, Ordering::Relaxed);
        }
        let process = Process { id: own, started: page.started.load(Ordering::Relaxed) };
        self.write(process, credentials)?;
        page.has_row.store(1, Ordering::Relaxed);
        Ok(())
    }

    fn write(&self, process: Process, credentials: &Credentials) -> Result<(), Errno> {
        let shared = self.shared.ok_or(Errno::EAGAIN)?;
        if shared.credentials.set(process, credentials, is_gone) { Ok(()) } else { Err(Errno::EAGAIN) }
    }

    /// Sees to it that a program that this process is about to start finds who it is;
    /// `file` is whom the program's file has it run as. Gives what is to be handed to
    /// [`Self::credentials_back`] where the start fails.
    ///
    /// # Errors
    ///
    /// `EAGAIN` where that cannot be kept, and `EPERM`, as [`Credentials::started`].
    pub(crate) fn credentials_for_program(&self, file: &RunsAs) -> Result<Option<Credentials>, Errno> {
        let Some(page) = page() else { return Ok(None) };
        let own = self.credentials();
        let after = own.started(file)?;
        let mut before = own;
        match met(page) {
            Met::Owner(_)
                if page.has_row.load(Ordering::Relaxed) != 0
                    && after == own
                    && OTHERS.load(Ordering::Acquire) & THREADS == 0 => {}
            Met::Owner(own) => {
                // To others it is still who its first thread is, where the start fails.
                before = threads::get(own).unwrap_or_else(|| COPY.read());
                self.write_row(own, page, &after)?;
            }
            Met::Borrower(own) => self.write(Process { id: own, started: started(b"self")? }, &after)?,
        }
        Ok(Some(before))
    }

    /// Takes back what [`Self::credentials_for_program`] has done.
    pub(crate) fn credentials_back(&self, before: Option<Credentials>) {
        if let Some(before) = before {
            // There was room for it a moment ago.
            let _ = match page().map(|page| (met(page), page)) {
                Some((Met::Owner(own), page)) => self.write_row(own, page, &before),
                Some((Met::Borrower(own), _)) => {
                    started(b"self").and_then(|started| self.write(Process { id: own, started }, &before))
                }
                None => Ok(()),
            };
        }
    }
}

/// Says in an instance's pages who this process is: the program that it becomes finds it there.
///
/// # Errors
///
/// `EAGAIN` where there is no room, or what hides the process's own start from it.
pub fn begin_as(shared: &Shared, uid: u32, gid: u32, groups: &[u32]) -> Result<(), Errno> {
    let process = Process { id: kernel::getpid() as u32, started: started(b"self")? };
    let credentials = Credentials::of(uid, gid, groups);
    if shared.credentials.set(process, &credentials, is_gone) { Ok(()) } else { Err(Errno::EAGAIN) }
}

/// How many threads this process has.
fn count_threads() -> usize {
    let mut buffer = [0; 512];
    stat_of(b"self", &mut buffer).ok().and_then(|text| field(text, 17)).map_or(1, |count| count as usize)
}

/// Whether the process of a row has ended.
fn is_gone(process: Process) -> bool {
    let mut text = crate::files::Text::<16>::new();
    let now = text.push_decimal(process.id).and_then(|()| started(text.bytes()));
    now != Ok(process.started)
}
