//! The instance that this process belongs to.
//!
//! A door attaches once, as early as it can, and from then on the instance
//! never changes, so that it can be used from anywhere: a signal handler, a
//! vfork child, another library's constructor.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU32, Ordering};

use view::View;

use crate::errno::Errno;
use crate::files::{MAX_PATH, Text};
use crate::kernel;
use crate::shared::copies::Copies;
use crate::shared::notices::Notices;
use crate::shared::owners::Book;
use crate::shared::{self, Directories, Shared};
use crate::trace::{self, Ring};

/// One application's view, mapped, and what its processes share.
pub struct Instance<'v> {
    /// What the application sees.
    pub view: View<'v>,
    /// The page shared by the instance's processes; none where it could not
    /// be mapped for writing (another user's process), which only costs time.
    pub shared: Option<&'v Shared>,
    /// The same page, to read what others have told.
    pub told: Option<&'v Shared>,
    /// What is known of directories, and where others are told of changes: what is shared, or a table of this process's own. None
    /// where it would not hear of others' changes.
    pub directories: Option<&'v Directories>,
    /// What has been found of files that may be copies: what is shared, or this process's own.
    pub copies: Option<&'v Copies>,
    /// Which files have owners that the kernel knows nothing of; none where it could not be mapped.
    pub book: Option<&'v Book>,
    /// Where calls are told of, if they are.
    pub ring: Option<&'v Ring>,
    dir: &'v [u8],
}

/// Why a process could not attach to its instance.
#[derive(Clone, Copy, Debug)]
pub enum AttachError {
    /// A file of the instance's directory could not be used.
    File(&'static str, Errno),
    /// The image is not one of ours.
    Image(view::Malformed),
}

impl<'v> Instance<'v> {
    /// An instance of a view that the caller holds, without a directory.
    pub fn new(view: View<'v>, shared: Option<&'v Shared>) -> Instance<'v> {
        let directories = shared.map(|shared| &shared.directories);
        let copies = shared.map(|shared| &shared.copies);
        Instance { view, shared, told: shared, directories, copies, book: None, ring: None, dir: &[] }
    }

    /// The instance's directory on the host.
    pub fn dir(&self) -> &[u8] {
        self.dir
    }

    /// Whether every decision is to be reported.
    #[inline]
    pub fn traces(&self) -> bool {
        self.view.flags() & view::flags::TRACE != 0
    }
}

const UNATTACHED: u32 = 0;
const ATTACHING: u32 = 1;
const ATTACHED: u32 = 2;
const PLAYING: u32 = 3;

struct Cell(UnsafeCell<MaybeUninit<Instance<'static>>>);

// SAFETY: written once, before STATE says ATTACHED; only read after that.
unsafe impl Sync for Cell {}

// What a start touches lies together, in pages that ld.so has written to already.
#[unsafe(link_section = ".data.start")]
static STATE: AtomicU32 = AtomicU32::new(UNATTACHED);
#[unsafe(link_section = ".data.start")]
static INSTANCE: Cell = Cell(UnsafeCell::new(MaybeUninit::uninit()));

/// The instance that this process has attached to.
#[inline]
pub fn attached() -> Option<&'static Instance<'static>> {
    if STATE.load(Ordering::Acquire) == ATTACHED {
        // SAFETY: ATTACHED is stored after the cell is written, and never taken back.
        Some(unsafe { (*INSTANCE.0.get()).assume_init_ref() })
    } else {
        playing()
    }
}

/// The same, where it plays nobody ([`Instance::plays`]): what a door in haste asks, who has
/// no other question then.
#[inline]
pub fn plain() -> Option<&'static Instance<'static>> {
    if STATE.load(Ordering::Acquire) == ATTACHED {
        // SAFETY: ATTACHED is stored after the cell is written, and never taken back.
        Some(unsafe { (*INSTANCE.0.get()).assume_init_ref() })
    } else {
        None
    }
}

/// The instance in which this process plays somebody.
#[cold]
#[inline(never)]
fn playing() -> Option<&'static Instance<'static>> {
    if STATE.load(Ordering::Acquire) == PLAYING {
        // SAFETY: as above.
        Some(unsafe { (*INSTANCE.0.get()).assume_init_ref() })
    } else {
        None
    }
}

/// Attaches to the instance whose directory is `dir` (a host path).
///
/// Makes five system calls. A second call, or one that comes while another is
/// at work, changes nothing.
///
/// # Errors
///
/// The file that could not be mapped, and why. The process is then not covered.
#[unsafe(link_section = ".text.start")]
pub fn attach(dir: &'static [u8]) -> Result<(), AttachError> {
    if STATE.compare_exchange(UNATTACHED, ATTACHING, Ordering::AcqRel, Ordering::Acquire).is_err() {
        return Ok(());
    }
    let attached = map_instance(dir);
    match attached {
        Ok(instance) => {
            let state = if instance.plays() { PLAYING } else { ATTACHED };
            // SAFETY: STATE keeps all others away until it says ATTACHED.
            unsafe { (*INSTANCE.0.get()).write(instance) };
            // SAFETY: just written, and only read from now on.
            unsafe { (*INSTANCE.0.get()).assume_init_ref() }.begin_credentials();
            STATE.store(state, Ordering::Release);
            Ok(())
        }
        Err(error) => {
            STATE.store(UNATTACHED, Ordering::Release);
            Err(error)
        }
    }
}

impl Instance<'_> {
    /// The lowest address of what an attached instance has mapped.
    pub fn lowest_mapping(&self) -> usize {
        let view = self.told.map_or(0, |told| core::ptr::from_ref(told) as usize);
        let ring = self.ring.map_or(view, |ring| core::ptr::from_ref(ring) as usize);
        let book = self.book.map_or(view, |book| core::ptr::from_ref(book) as usize);
        let directories = self.directories.map_or(view, |table| core::ptr::from_ref(table) as usize);
        view.min(ring).min(book).min(directories)
    }
}

/// The size of a page.
const PAGE: usize = 4096;

/// The name in an instance's directory of the page in which processes of other users tell of changes.
pub const NOTICES: &str = "notices";

/// The file of the view: first what the processes share, then the image.
pub const VIEW: &str = "view";

/// The name in an instance's directory that leads to the book of owners.
pub const BOOK: &str = "owners";

#[unsafe(link_section = ".text.start")]
fn map_instance(dir: &'static [u8]) -> Result<Instance<'static>, AttachError> {
    let file = |errno| AttachError::File(VIEW, errno);
    let (address, len, writable) = match map(dir, VIEW, libc::O_RDWR, libc::PROT_READ) {
        Ok((address, len)) => (address, len, true),
        // Another user's process has no part in what is shared, nor has one
        // that a filter keeps from writing, with an errno of the filter's own.
        Err(_) => {
            let (address, len) = map(dir, VIEW, libc::O_RDONLY, libc::PROT_READ).map_err(file)?;
            (address, len, false)
        }
    };
    if len < shared::LEN {
        return Err(AttachError::Image(view::Malformed("the file is too short")));
    }
    // SAFETY: a fresh mapping of ours, whose first pages hold atomics.
    let writable = writable && unsafe { kernel::allow_writing(address, shared::LEN) }.is_ok();
    // SAFETY: the mapping is as long as said, is never unmapped, and the
    // launcher never changes a view that it has put in place.
    let image =
        unsafe { core::slice::from_raw_parts((address + shared::LEN) as *const u8, len - shared::LEN) };
    let view = View::of_compiler(image).map_err(AttachError::Image)?;
    // SAFETY: the mapping is long enough, aligned to a page, never unmapped,
    // and holds atomics, for which any bytes will do.
    let told = unsafe { &*(address as *const Shared) };
    let shared = writable.then_some(told);
    let shared = if told.directories.has_notices() {
        // Who would not hear of changes has no part in what is shared.
        shared.filter(|shared| hear_notices(dir, &shared.directories).is_ok())
    } else {
        shared
    };
    let mut instance = Instance::new(view, shared);
    if shared.is_none()
        && told.directories.has_notices()
        && let Ok(own) = own_copy(dir)
    {
        (instance.directories, instance.copies) = (Some(&own.directories), Some(&own.copies));
    }
    instance.told = Some(told);
    instance.dir = dir;
    if instance.traces()
        && let Ok((address, len)) = map(dir, "trace", libc::O_RDWR, libc::PROT_READ | libc::PROT_WRITE)
        && len >= trace::LEN
    {
        // SAFETY: as for the shared words.
        instance.ring = Some(unsafe { &*(address as *const Ring) });
    }
    if instance.plays()
        && let Ok((address, len)) = map(dir, BOOK, libc::O_RDWR, libc::PROT_READ | libc::PROT_WRITE)
        && len >= Book::LEN
    {
        // SAFETY: as for the shared words.
        instance.book = Some(unsafe { &*(address as *const Book) });
    }
    if let Some(shared) = shared {
        shared.directories.check_in();
    }
    Ok(instance)
}

impl Instance<'_> {
    /// Maps a file of the instance's directory that is kept, and that is made where it is missing.
    /// Gives the address.
    ///
    /// # Errors
    ///
    /// Those of open(2), ftruncate(2) and mmap(2).
    pub(crate) fn map_kept(&self, name: &str, len: usize) -> Result<usize, Errno> {
        let mut path = Text::<MAX_PATH>::new();
        for part in [self.dir, b"/", name.as_bytes()] {
            path.push(part)?;
        }
        let flags = libc::O_RDWR | libc::O_CREAT | libc::O_CLOEXEC;
        let file = kernel::openat_at_once(kernel::AT_FDCWD, path.as_ptr(), flags, 0o600)?;
        let mapped = kernel::lseek(file, 0, libc::SEEK_END)
            .and_then(|there| if there < len { kernel::ftruncate(file, len as u64) } else { Ok(()) })
            .and_then(|()| kernel::map_file(file, len, libc::PROT_READ | libc::PROT_WRITE));
        kernel::close(file);
        mapped
    }
}

/// Maps the notices over their place in a table of directories.
#[cold]
fn hear_notices(dir: &[u8], directories: &Directories) -> Result<(), Errno> {
    let place = core::ptr::from_ref(directories.notices()) as usize;
    let both = libc::PROT_READ | libc::PROT_WRITE;
    with_file(dir, NOTICES, libc::O_RDWR, |file| {
        // SAFETY: pages of a mapping of ours, which holds atomics before and after.
        unsafe { kernel::map_over(file, place, Notices::LEN, both) }
    })
}

/// A copy of what is shared for this process alone, which begins with what is known there of directories and copies, and hears of
/// what others change. The rest of it is of no use.
#[cold]
fn own_copy(dir: &[u8]) -> Result<&'static Shared, Errno> {
    let address = with_file(dir, VIEW, libc::O_RDONLY, |file| {
        let address = kernel::map_copy(file, shared::LEN)?;
        // SAFETY: pages of what has just been mapped, which holds atomics before and after.
        unsafe { kernel::map_over(file, address, Directories::ANNOUNCED, libc::PROT_READ) }.map(|()| address)
    })?;
    // SAFETY: as for the shared words.
    let own = unsafe { &*(address as *const Shared) };
    own.directories.make_private();
    hear_notices(dir, &own.directories)?;
    // The counts, which it will write to; the file has holes.
    kernel::reserve(core::ptr::from_ref(own.directories.notices()) as usize, PAGE)?;
    Ok(own)
}

#[inline(always)]
fn with_file<T>(
    dir: &[u8],
    name: &str,
    flags: i32,
    use_it: impl FnOnce(i32) -> Result<T, Errno>,
) -> Result<T, Errno> {
    let mut path = Text::<MAX_PATH>::new();
    for part in [dir, b"/", name.as_bytes()] {
        path.push_at_start(part)?;
    }
    let file = kernel::openat_at_once(kernel::AT_FDCWD, path.as_ptr(), flags | libc::O_CLOEXEC, 0)?;
    let done = use_it(file);
    kernel::close(file);
    done
}

/// Maps a file of the instance's directory. Gives address and length.
#[unsafe(link_section = ".text.start")]
fn map(dir: &[u8], name: &str, flags: i32, protection: i32) -> Result<(usize, usize), Errno> {
    with_file(dir, name, flags, |file| {
        let len = kernel::lseek(file, 0, libc::SEEK_END)?;
        Ok((kernel::map_file(file, len, protection)?, len))
    })
}
