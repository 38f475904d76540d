//! The instance's shared page: what its processes tell each other.
//!
//! The first pages of the view's file, which every process of the instance
//! maps for reading and writing. They hold plain atomics only, so a process may die at any point
//! without leaving it in a state that another trips over. All zeros is the
//! right state to begin with.

pub mod asked;
mod clock;
pub mod copies;
pub mod credentials;
pub mod directories;
mod filter;
pub mod habits;
mod hash;
pub mod layers;
mod names;
pub mod notices;
pub mod owners;
pub mod sites;

use core::mem::offset_of;
use core::ops::Range;

pub use clock::Anchor;
pub use directories::Directories;
pub use hash::{directory_hash, key_below, path_hash};
pub use layers::Layers;
pub use names::Cell;

/// How many bytes it takes; the view's image follows.
pub const LEN: usize = 768 * 1024;

/// Where in it the moment is that the application's clock reckons from: three words of an [`Anchor`].
pub const CLOCK: usize = offset_of!(Shared, clock);

/// The layout of the file. Every field is zero in a new one.
#[repr(C)]
pub struct Shared {
    /// What is known of directories; first, since a process without a part in the rest has one of its own.
    pub directories: Directories,
    /// What sethostname(2) has set.
    pub host_name: Cell,
    /// What setdomainname(2) has set.
    pub domain_name: Cell,
    /// The addresses that programs have asked for.
    pub asked: asked::Asked,
    /// When the instance was started, by the host's clock and by its own.
    pub clock: Anchor,
    /// The credentials of the instance's processes.
    pub credentials: credentials::Table,
    /// What is known of files' owners.
    pub owners: owners::Cache,
    /// By which inodes copies are known.
    pub copies: copies::Copies,
}

const _: () = assert!(size_of::<Shared>() <= LEN);

impl Shared {
    /// The parts of the file that processes of a view with these flags write to, in bytes. They need
    /// room on the disk before one runs: what is written to memory cannot be told of a full one.
    pub fn parts(flags: u32) -> impl Iterator<Item = Range<usize>> {
        let (asked, clock) = (offset_of!(Shared, asked), offset_of!(Shared, clock));
        let (credentials, copies) = (offset_of!(Shared, credentials), offset_of!(Shared, copies));
        let parts = [
            (true, 0..asked),
            (flags & view::flags::NETWORK != 0, asked..clock),
            (true, clock..credentials),
            (flags & view::flags::CREDENTIALS != 0, credentials..copies),
            (flags & view::flags::LAYERS != 0, copies..size_of::<Shared>()),
        ];
        parts.into_iter().filter(|(is_used, _)| *is_used).map(|(_, part)| part)
    }
}
