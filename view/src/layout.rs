//! The bytes of a view image and the checks made when one is mapped.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::identity::RawIdentity;
use crate::ipc::RawIpc;
use crate::key::Key;
use crate::network::{RawRule, Tables};
use crate::time::RawTime;
use crate::tree::NodeId;

/// The first eight bytes of every image. The last one counts incompatible changes.
pub const MAGIC: [u8; 8] = *b"lnchvw\0\x0b";

/// Bits of [`View::flags`].
pub mod flags {
    /// A process that no door covers does not run (`coverage = "required"`).
    pub const COVERAGE_REQUIRED: u32 = 1 << 0;
    /// Report every decision into the trace ring.
    pub const TRACE: u32 = 1 << 1;
    /// The processes run with no_new_privs set, so that setuid has no effect.
    pub const NO_NEW_PRIVS: u32 = 1 << 2;
    /// Some mount is a union of layers. The writer of an image sets it.
    pub const LAYERS: u32 = 1 << 3;
    /// The processes have credentials, and their files owners, that the kernel knows nothing of.
    pub const CREDENTIALS: u32 = 1 << 4;
    /// Some mount is a volume, whose files may have come with records of their owners.
    pub const VOLUMES: u32 = 1 << 5;
    /// The machine has other processors or other memory than the host. The writer of an image sets it.
    pub const MACHINE: u32 = 1 << 6;
    /// There are rules on addresses. The writer of an image sets it.
    pub const NETWORK: u32 = 1 << 7;
}

/// A run of bytes in the string pool.
#[derive(Clone, Copy, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(crate) struct Str {
    pub off: u32,
    pub len: u32,
}

/// A run of records, as byte offset and count.
#[derive(Clone, Copy, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(crate) struct Span {
    pub off: u32,
    pub count: u32,
}

#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(crate) struct Header {
    pub magic: [u8; 8],
    pub len: u32,
    pub flags: u32,
    pub app_root: u32,
    pub host_root: u32,
    pub nodes: Span,
    pub slots: Span,
    pub mounts: Span,
    pub strings: Span,
    pub name: Str,
    pub policy_file: Str,
    pub coverage_line: u32,
    pub reserved: u32,
    pub ways: Span,
    pub layers: Span,
    pub identity: Span,
    pub network: Tables,
    pub time: Span,
    pub ipc: Span,
    /// For each first byte of an absolute path's first name: the way that the
    /// path may go, plus one, or [`NO_WAY`]. More than there are ways: it takes
    /// a closer look.
    pub first: [u8; 256],
}

/// How many bytes of a label a [`Way`] holds.
pub const LABEL: usize = 112;

/// A way from the app tree's root that meets no other, for a reader in haste.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Way {
    /// The components on the way, with a slash between each two; after them
    /// bytes that end no path. A longer label is cut off.
    pub label: [u8; LABEL],
    /// How long the label is, with the slash before it.
    pub after: u32,
    /// Where it leads; [`NodeId::NONE`] where that takes a closer look.
    pub node: u32,
    /// One [`crate::bit`] for each byte that may follow there, after a slash,
    /// in a path that has to do with the view.
    pub starts: u64,
}

/// What [`Header::first`] holds where the path has nothing to do with the view.
pub(crate) const NO_WAY: u8 = 0;

/// What it holds where `/` is a mount. There are never as many ways.
pub(crate) const FROM_ROOT: u8 = u8::MAX - 1;

/// A path that is a mount point or lies above one.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Node {
    /// One bit for each first byte (modulo 64) that a child's name has: most
    /// look-ups of a name that is not here end at this word.
    pub(crate) starts: u64,
    pub(crate) parent: u32,
    /// First slot of the children's hash table, and its size: a power of two, or 0.
    pub(crate) first_slot: u32,
    pub(crate) slot_count: u32,
    pub(crate) region: u32,
    pub(crate) name: Str,
    /// Bits of [`node`].
    pub(crate) flags: u32,
    /// The host path behind the region; empty where nothing stands behind it.
    pub(crate) source: Str,
    pub(crate) reserved: [u32; 5],
}

/// Bits of [`Node::flags`].
pub(crate) mod node {
    /// A mount stands at this very node.
    pub const MOUNT_POINT: u32 = 1 << 0;
    /// The mount that stands here is a symbolic link.
    pub const LINK: u32 = 1 << 1;
    /// The node's region is the host's own tree.
    pub const PASSES: u32 = 1 << 2;
    /// The node's region is a union of layers.
    pub const LAYERED: u32 = 1 << 3;
}

#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(crate) struct Slot {
    pub key: Key,
    /// The child, or [`NO_NODE`] where the slot is free.
    pub node: u32,
    pub reserved: u32,
}

pub(crate) const NO_NODE: u32 = u32::MAX;

/// How many bytes of the pool follow each string: its NUL, and what a reader
/// by chunks may touch beyond it.
pub(crate) const AFTER_STRING: usize = 33;

/// What stands at a mount point.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Kind {
    /// The host's own tree under its own names: calls pass unchanged.
    Pass = 0,
    /// A directory or file of the host under another name (a volume).
    Host = 1,
    /// An inline file. Its bytes lie in the instance's directory.
    Content = 2,
    /// A private scratch directory.
    Empty = 3,
    /// Looks non-existent: `ENOENT`.
    Hidden = 4,
    /// Exists but may not be touched: `EACCES`.
    Denied = 5,
    /// A symbolic link of the host that leads to a mount; `source` is its target.
    Link = 6,
    /// A directory that exists only because a mount point lies below it.
    Scaffold = 7,
    /// A union of directories, as overlayfs makes it: [`View::layers`].
    Layers = 8,
}

impl Kind {
    fn from_u8(byte: u8) -> Option<Kind> {
        Some(match byte {
            0 => Kind::Pass,
            1 => Kind::Host,
            2 => Kind::Content,
            3 => Kind::Empty,
            4 => Kind::Hidden,
            5 => Kind::Denied,
            6 => Kind::Link,
            7 => Kind::Scaffold,
            8 => Kind::Layers,
            _ => return None,
        })
    }

    /// Whether a host path stands behind the mount.
    pub fn has_source(self) -> bool {
        matches!(self, Kind::Host | Kind::Content | Kind::Empty | Kind::Scaffold | Kind::Layers)
    }
}

/// Whether a mount takes changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Access {
    /// Changes answer `EROFS`.
    ReadOnly = 0,
    /// Changes reach the source.
    ReadWrite = 1,
}

#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(crate) struct RawMount {
    pub at: Str,
    pub source: Str,
    pub line: u32,
    pub node: u32,
    pub kind: u8,
    pub access: u8,
    pub is_dir: u8,
    pub reserved: u8,
    /// Layers of a union: the first one's place in the list, and how many there are.
    pub layers: [u32; 2],
    pub reserved2: u32,
}

/// How many layers a union has at the most, with the one that takes changes.
pub const MAX_LAYERS: usize = 255;

/// One row of the view's path table.
#[derive(Clone, Copy, Debug)]
pub struct Mount<'a> {
    /// Position in the list of mounts; 0 is `/`.
    pub id: u32,
    /// What stands there.
    pub kind: Kind,
    /// Whether it takes changes.
    pub access: Access,
    /// Whether the mount point is a directory.
    pub is_dir: bool,
    /// The app path of the mount point, canonical and absolute.
    pub at: &'a [u8],
    /// The host path behind it, canonical and absolute; of a union, the lowest
    /// layer's; the target of a [`Kind::Link`]; empty where nothing stands behind.
    pub source: &'a [u8],
    /// The line of the policy file that made the row; 0 where none did.
    pub line: u32,
    /// The node of the mount point.
    pub node: NodeId,
}

/// Why bytes are not a view image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(
    /// The first thing found wrong.
    pub &'static str,
);

/// A checked image, ready for look-ups.
#[derive(Clone, Copy)]
pub struct View<'a> {
    pub(crate) header: &'a Header,
    pub(crate) nodes: &'a [Node],
    pub(crate) slots: &'a [Slot],
    pub(crate) ways: &'a [Way],
    mounts: &'a [RawMount],
    layers: &'a [Str],
    pub(crate) identity: &'a [RawIdentity],
    pub(crate) rules: &'a [RawRule],
    pub(crate) time: &'a [RawTime],
    pub(crate) ipc: &'a [RawIpc],
    strings: &'a [u8],
}

fn span<T: FromBytes + KnownLayout + Immutable>(bytes: &[u8], span: Span) -> Result<&[T], Malformed> {
    let off = span.off as usize;
    let size = (span.count as usize).checked_mul(size_of::<T>()).ok_or(Malformed("a count overflows"))?;
    let end = off.checked_add(size).ok_or(Malformed("an offset overflows"))?;
    let run = bytes.get(off..end).ok_or(Malformed("a table lies outside the image"))?;
    <[T]>::ref_from_bytes(run).map_err(|_| Malformed("a table is misaligned"))
}

impl<'a> View<'a> {
    /// Checks `bytes` and gives the view in them.
    ///
    /// # Errors
    ///
    /// The first offset, count or value that no compiler of ours would have written.
    pub fn from_bytes(bytes: &'a [u8]) -> Result<View<'a>, Malformed> {
        let view = View::of_compiler(bytes)?;
        view.check()?;
        Ok(view)
    }

    /// The view in bytes that the compiler wrote and nobody has changed: only
    /// the header is looked at, so that it costs the same for any view.
    /// Look-ups in other bytes give nonsense, but stay within them.
    ///
    /// # Errors
    ///
    /// Another version's image, or one that has been cut off.
    #[inline(always)]
    pub fn of_compiler(bytes: &'a [u8]) -> Result<View<'a>, Malformed> {
        let (header, _) = Header::ref_from_prefix(bytes).map_err(|_| Malformed("shorter than its header"))?;
        if header.magic != MAGIC {
            return Err(Malformed("not a view image of this version"));
        }
        let bytes = bytes.get(..header.len as usize).ok_or(Malformed("shorter than it says"))?;
        Ok(View {
            header,
            nodes: span(bytes, header.nodes)?,
            slots: span(bytes, header.slots)?,
            ways: span(bytes, header.ways)?,
            mounts: span(bytes, header.mounts)?,
            layers: span(bytes, header.layers)?,
            identity: span(bytes, header.identity)?,
            rules: span(bytes, header.network.rules)?,
            time: span(bytes, header.time)?,
            ipc: span(bytes, header.ipc)?,
            strings: span(bytes, header.strings)?,
        })
    }

    fn check(&self) -> Result<(), Malformed> {
        // A string is handed to the kernel as it is, and read by whole words.
        let string = |s: Str| {
            let end = (s.off as usize).checked_add(s.len as usize);
            match end.and_then(|end| self.strings.get(end..end.checked_add(AFTER_STRING)?)) {
                Some([0, ..]) => Ok(()),
                _ => Err(Malformed("a string does not end in the pool")),
            }
        };
        string(self.header.name)?;
        string(self.header.policy_file)?;
        for root in [self.header.app_root, self.header.host_root] {
            if root as usize >= self.nodes.len() {
                return Err(Malformed("a root is no node"));
            }
        }
        for (id, node) in self.nodes.iter().enumerate() {
            string(node.name)?;
            string(node.source)?;
            // A parent comes before its children, so that every walk upwards ends.
            let is_root = [self.header.app_root, self.header.host_root].contains(&(id as u32));
            if !(is_root && node.parent as usize == id) && node.parent as usize >= id {
                return Err(Malformed("a node comes before its parent"));
            }
            if node.region as usize >= self.mounts.len() {
                return Err(Malformed("a node's region is no mount"));
            }
            let end = (node.first_slot as usize).checked_add(node.slot_count as usize);
            if !matches!(end, Some(end) if end <= self.slots.len()) {
                return Err(Malformed("a node's children lie outside the table"));
            }
            if node.slot_count != 0 && !node.slot_count.is_power_of_two() {
                return Err(Malformed("a hash table's size is no power of two"));
            }
            // A child knows its parent, so that every walk downwards ends.
            let slots = self.slots.get(node.first_slot as usize..).unwrap_or(&[]);
            for slot in slots.iter().take(node.slot_count as usize).filter(|slot| slot.node != NO_NODE) {
                match self.nodes.get(slot.node as usize) {
                    None => return Err(Malformed("a child is no node")),
                    Some(child) if child.parent as usize != id || slot.node as usize == id => {
                        return Err(Malformed("a child is another node's"));
                    }
                    Some(_) => {}
                }
            }
        }
        for mount in self.mounts {
            string(mount.at)?;
            string(mount.source)?;
            if Kind::from_u8(mount.kind).is_none() || mount.access > 1 {
                return Err(Malformed("a mount's kind is unknown"));
            }
            if mount.node as usize >= self.nodes.len() {
                return Err(Malformed("a mount's point is no node"));
            }
            let [first, count] = mount.layers.map(|number| number as usize);
            let is_union = mount.kind == Kind::Layers as u8;
            if first.checked_add(count).is_none_or(|end| end > self.layers.len())
                || (count != 0) != is_union
                || count > MAX_LAYERS
            {
                return Err(Malformed("a union's layers lie outside the list"));
            }
        }
        for layer in self.layers {
            string(*layer)?;
        }
        self.check_identity(string)?;
        self.check_network(string)?;
        self.check_time()?;
        self.check_ipc(string)?;
        if self.mounts.is_empty() {
            return Err(Malformed("no mount stands at /"));
        }
        Ok(())
    }

    #[inline]
    pub(crate) fn string(&self, s: Str) -> &'a [u8] {
        self.try_string(s).unwrap_or(&[])
    }

    #[inline]
    pub(crate) fn try_string(&self, s: Str) -> Option<&'a [u8]> {
        let off = s.off as usize;
        self.strings.get(off..off + s.len as usize)
    }

    /// The bits of [`flags`].
    pub fn flags(&self) -> u32 {
        self.header.flags
    }

    /// The application's name.
    pub fn name(&self) -> &'a [u8] {
        self.string(self.header.name)
    }

    /// The policy file that the view was compiled from.
    pub fn policy_file(&self) -> &'a [u8] {
        self.string(self.header.policy_file)
    }

    /// The line of the policy that says how coverage is held; 0 where it is the default.
    pub fn coverage_line(&self) -> u32 {
        self.header.coverage_line
    }

    /// How many mounts there are, `/` included.
    pub fn mount_count(&self) -> u32 {
        self.mounts.len() as u32
    }

    /// The mount at a position of the list; `/` where there is none such.
    #[inline]
    pub fn mount(&self, id: u32) -> Mount<'a> {
        const ROOT: RawMount = RawMount {
            at: Str { off: 0, len: 0 },
            source: Str { off: 0, len: 0 },
            line: 0,
            node: 0,
            kind: Kind::Pass as u8,
            access: Access::ReadWrite as u8,
            is_dir: 1,
            reserved: 0,
            layers: [0; 2],
            reserved2: 0,
        };
        let raw = self.mounts.get(id as usize).unwrap_or(&ROOT);
        Mount {
            id,
            kind: Kind::from_u8(raw.kind).unwrap_or(Kind::Denied),
            access: if raw.access == 0 { Access::ReadOnly } else { Access::ReadWrite },
            is_dir: raw.is_dir != 0,
            at: self.string(raw.at),
            source: self.string(raw.source),
            line: raw.line,
            node: NodeId(raw.node),
        }
    }

    /// How many layers a union has; none for another mount.
    #[inline]
    pub fn layer_count(&self, id: u32) -> usize {
        self.mounts.get(id as usize).map_or(0, |raw| (raw.layers[1] as usize).min(MAX_LAYERS))
    }

    /// The host path of a union's layer, canonical and absolute. Layer 0 is the
    /// lowest. Where the mount takes changes, the last is the write layer.
    #[inline]
    pub fn layer(&self, id: u32, number: usize) -> &'a [u8] {
        let first = self.mounts.get(id as usize).map_or(0, |raw| raw.layers[0] as usize);
        self.layers.get(first + number).map_or(&[], |layer| self.string(*layer))
    }

    /// All mounts, `/` first, in the policy's order.
    pub fn mounts(&self) -> impl Iterator<Item = Mount<'a>> + use<'a> {
        let view = *self;
        (0..view.mount_count()).map(move |id| view.mount(id))
    }
}
