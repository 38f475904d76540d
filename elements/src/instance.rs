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
use crate::files::MAX_PATH;
use crate::kernel;
use crate::shared::{self, Shared};
use crate::trace::{self, Ring};

/// One application's view, mapped, and what its processes share.
pub struct Instance<'v> {
    /// What the application sees.
    pub view: View<'v>,
    /// The page shared by the instance's processes; none where it could not
    /// be mapped for writing (another user's process), which only costs time.
    pub shared: Option<&'v Shared>,
    /// Where calls are told of, if they are.
    pub ring: Option<&'v Ring>,
    dir: [u8; MAX_PATH],
    dir_len: usize,
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
        Instance { view, shared, ring: None, dir: [0; MAX_PATH], dir_len: 0 }
    }

    /// The instance's directory on the host.
    pub fn dir(&self) -> &[u8] {
        self.dir.get(..self.dir_len).unwrap_or(&[])
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

struct Cell(UnsafeCell<MaybeUninit<Instance<'static>>>);

// SAFETY: written once, before STATE says ATTACHED; only read after that.
unsafe impl Sync for Cell {}

static STATE: AtomicU32 = AtomicU32::new(UNATTACHED);
static INSTANCE: Cell = Cell(UnsafeCell::new(MaybeUninit::uninit()));

/// The instance that this process has attached to.
#[inline]
pub fn attached() -> Option<&'static Instance<'static>> {
    if STATE.load(Ordering::Acquire) == ATTACHED {
        // SAFETY: ATTACHED is stored after the cell is written, and never taken back.
        Some(unsafe { (*INSTANCE.0.get()).assume_init_ref() })
    } else {
        None
    }
}

/// Attaches to the instance whose directory is `dir` (a host path).
///
/// Makes four system calls, and a few more for the shared page. A second call,
/// or one that comes while another is at work, changes nothing.
///
/// # Errors
///
/// The file that could not be mapped, and why. The process is then not covered.
pub fn attach(dir: &[u8]) -> Result<(), AttachError> {
    if STATE.compare_exchange(UNATTACHED, ATTACHING, Ordering::AcqRel, Ordering::Acquire).is_err() {
        return Ok(());
    }
    let fail = |error| {
        STATE.store(UNATTACHED, Ordering::Release);
        Err(error)
    };
    let mut path = [0_u8; MAX_PATH];
    let bytes = match map(dir, b"/view\0", &mut path, libc::O_RDONLY, None) {
        // SAFETY: the mapping is as long as said, is never unmapped, and the
        // launcher never changes a view that it has put in place.
        Ok((address, len)) => unsafe { core::slice::from_raw_parts(address as *const u8, len) },
        Err(errno) => return fail(AttachError::File("view", errno)),
    };
    let view = match View::from_bytes(bytes) {
        Ok(view) => view,
        Err(error) => return fail(AttachError::Image(error)),
    };
    let shared = match map(dir, b"/shared\0", &mut path, libc::O_RDWR, Some(shared::LEN)) {
        // SAFETY: the mapping is long enough, aligned to a page, never
        // unmapped, and holds atomics, for which any bytes will do.
        Ok((address, _)) => Some(unsafe { &*(address as *const Shared) }),
        Err(_) => None,
    };
    let mut instance = Instance::new(view, shared);
    if instance.traces()
        && let Ok((address, _)) = map(dir, b"/trace\0", &mut path, libc::O_RDWR, Some(trace::LEN))
    {
        // SAFETY: as for the shared page.
        instance.ring = Some(unsafe { &*(address as *const Ring) });
    }
    if let (Some(to), Some(from)) = (instance.dir.get_mut(..dir.len()), path.get(..dir.len())) {
        to.copy_from_slice(from);
        instance.dir_len = dir.len();
    }
    // SAFETY: STATE keeps all others away until it says ATTACHED.
    unsafe { (*INSTANCE.0.get()).write(instance) };
    STATE.store(ATTACHED, Ordering::Release);
    if let Some(shared) = shared {
        shared.check_in();
    }
    Ok(())
}

fn map(
    dir: &[u8],
    name: &[u8],
    path: &mut [u8; MAX_PATH],
    flags: i32,
    len: Option<usize>,
) -> Result<(usize, usize), Errno> {
    let end = dir.len() + name.len();
    path.get_mut(..dir.len()).ok_or(Errno::ENAMETOOLONG)?.copy_from_slice(dir);
    path.get_mut(dir.len()..end).ok_or(Errno::ENAMETOOLONG)?.copy_from_slice(name);
    let file = kernel::openat(kernel::AT_FDCWD, path.as_ptr(), flags | libc::O_CLOEXEC, 0)?;
    let len = match len {
        Some(len) => Ok(len),
        None => kernel::lseek(file, 0, libc::SEEK_END),
    };
    let write = if flags == libc::O_RDWR { libc::PROT_WRITE } else { 0 };
    let mapped = len.and_then(|len| Ok((kernel::map_file(file, len, libc::PROT_READ | write)?, len)));
    kernel::close(file);
    mapped
}
