//! The writer: from a list of mounts to an image.
//!
//! The caller gives canonical, absolute paths and one row for `/`, first. Of
//! two rows with the same app path the later one wins (a policy that says the
//! same path twice is refused long before this).

use std::collections::BTreeMap;

use zerocopy::IntoBytes;

pub use crate::identity::{IdentityFacts, LinkFacts};
pub use crate::ipc::IpcFacts;
use crate::key::Key;
use crate::layout::{
    AFTER_STRING, Access, FROM_ROOT, Header, Kind, LABEL, MAGIC, NO_NODE, NO_WAY, Node, RawMount, Slot, Span,
    Str, Way, flags, node,
};
use crate::network::Tables;
pub use crate::network::{NamesFacts, NetworkFacts, RuleFacts};
use crate::time::Time;
use crate::tree::bit;

/// A row to be written. The fields mean what they mean in [`crate::Mount`].
#[derive(Clone, Debug)]
pub struct Row {
    /// The app path of the mount point, canonical and absolute.
    pub at: Vec<u8>,
    /// What stands there.
    pub kind: Kind,
    /// Whether it takes changes.
    pub access: Access,
    /// Whether the mount point is a directory.
    pub is_dir: bool,
    /// The host path behind it, or a link's target; empty where there is none.
    pub source: Vec<u8>,
    /// The host paths of a union's layers, lowest first, the write layer last;
    /// empty for another mount.
    pub layers: Vec<Vec<u8>>,
    /// The line of the policy that made the row, or 0.
    pub line: u32,
}

/// What the image says besides its mounts.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The application's name.
    pub name: Vec<u8>,
    /// The policy file, as it is named in messages.
    pub policy_file: Vec<u8>,
    /// Bits of [`crate::flags`].
    pub flags: u32,
    /// The line of the policy that says how coverage is held, or 0.
    pub coverage_line: u32,
    /// What it says of the machine.
    pub identity: IdentityFacts,
    /// What it says of addresses.
    pub network: NetworkFacts,
    /// What it says of the clock.
    pub time: Option<Time>,
    /// What makes names the instance's own, unless they are the host's.
    pub ipc: Option<IpcFacts>,
}

struct Draft {
    children: BTreeMap<Vec<u8>, u32>,
    parent: u32,
    name: Vec<u8>,
    mount: Option<u32>,
}

#[derive(Default)]
struct Pool {
    bytes: Vec<u8>,
}

impl Pool {
    fn add(&mut self, bytes: &[u8]) -> Str {
        let off = self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytes);
        // A terminator, so that a reader may hand a string to the kernel as it is.
        self.bytes.push(0);
        Str { off, len: bytes.len() as u32 }
    }
}

fn grow(drafts: &mut Vec<Draft>, root: u32, path: &[u8]) -> u32 {
    let mut at = root;
    for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
        at = match drafts[at as usize].children.get(name) {
            Some(child) => *child,
            None => {
                let child = drafts.len() as u32;
                drafts.push(Draft {
                    children: BTreeMap::new(),
                    parent: at,
                    name: name.to_vec(),
                    mount: None,
                });
                drafts[at as usize].children.insert(name.to_vec(), child);
                child
            }
        };
    }
    at
}

fn root(drafts: &mut Vec<Draft>) -> u32 {
    let id = drafts.len() as u32;
    drafts.push(Draft { children: BTreeMap::new(), parent: id, name: Vec::new(), mount: Some(0) });
    id
}

/// Lays the children of a node out as an open-addressing table, at most half full.
fn table(children: &BTreeMap<Vec<u8>, u32>, slots: &mut Vec<Slot>) -> (u32, u32, u64) {
    if children.is_empty() {
        return (0, 0, 0);
    }
    let size = (children.len() * 2).next_power_of_two();
    let first = slots.len();
    slots.resize(first + size, Slot { key: Key::of(b""), node: NO_NODE, reserved: 0 });
    // A slash or the path's end is for a reader to see.
    let mut starts = bit(b'/') | bit(0);
    for (name, node) in children {
        starts |= bit(name[0]);
        let key = Key::of(name);
        let mut at = key.hash() as usize & (size - 1);
        while slots[first + at].node != NO_NODE {
            at = (at + 1) & (size - 1);
        }
        slots[first + at] = Slot { key, node: *node, reserved: 0 };
    }
    (first as u32, size as u32, starts)
}

/// From a child on, for as long as there is one way: the names on it, and where it leads.
fn label(drafts: &[Draft], name: &[u8], child: u32) -> (Vec<u8>, u32) {
    let (mut label, mut node) = (name.to_vec(), child);
    loop {
        let here = &drafts[node as usize];
        let mut below = here.children.iter();
        let (Some((name, child)), None, None) = (below.next(), below.next(), here.mount) else {
            return (label, node);
        };
        label.push(b'/');
        label.extend_from_slice(name);
        node = *child;
    }
}

/// Stands in the header for a byte that several ways begin with, or none that will do.
const UNSURE: u8 = u8::MAX;
/// Follows a label: no path's end, and no slash.
const LABEL_END: u8 = 0xff;

/// The ways for a reader in haste, to mounts and to where the kernel's own
/// links are, and which of them a path's first byte tells.
fn ways(drafts: &[Draft], root: u32, rows: &[Row]) -> (Vec<Way>, [u8; 256]) {
    let mut ways = Vec::new();
    let mut first = [NO_WAY; 256];
    for byte in [0, b'.', b'/'] {
        first[usize::from(byte)] = UNSURE;
    }
    let magic = [&b"proc"[..], b"dev"].map(|label| (label.to_vec(), NO_NODE));
    let edges = drafts[root as usize].children.iter().map(|(name, child)| label(drafts, name, *child));
    // What lies below such a place needs no way of its own.
    let is_below =
        |label: &[u8]| magic.iter().any(|(place, _)| label.starts_with(&[place, &b"/"[..]].concat()));
    let edges: Vec<_> = edges.filter(|(label, _)| !is_below(label)).collect();
    for (label, node) in edges.into_iter().chain(magic) {
        let mount = drafts.get(node as usize).and_then(|draft| draft.mount);
        let is_link = mount.is_some_and(|mount| rows[mount as usize].kind == Kind::Link);
        let number = &mut first[usize::from(label[0])];
        if *number != NO_WAY || ways.len() + 1 == usize::from(FROM_ROOT) {
            *number = UNSURE;
            continue;
        }
        let mut way = Way {
            label: [LABEL_END; LABEL],
            after: label.len() as u32 + 1,
            node: if is_link { NO_NODE } else { node },
            starts: match drafts.get(node as usize) {
                Some(Draft { mount: None, children, .. }) => {
                    let names = children.keys().map(|name| name[0]);
                    names.chain([0, b'.', b'/']).fold(0, |bits, byte| bits | bit(byte))
                }
                _ => u64::MAX,
            },
        };
        let len = label.len().min(LABEL);
        way.label[..len].copy_from_slice(&label[..len]);
        ways.push(way);
        *number = ways.len() as u8;
    }
    (ways, first)
}

/// What the first bytes tell where `/` is a mount: every path begins under it.
fn root_alone() -> [u8; 256] {
    let mut first = [FROM_ROOT; 256];
    for byte in [0, b'.', b'/'] {
        first[usize::from(byte)] = UNSURE;
    }
    first
}

/// Tables of more children than this are kept apart from the others.
const SMALL: usize = 32;
/// How many slots take as much room as a node.
const SLOTS_OF_NODE: usize = size_of::<Node>() / size_of::<Slot>();

const _: () = assert!(size_of::<Node>().is_multiple_of(size_of::<Slot>()));

/// Puts the nodes that have children before all others, so that what most
/// look-ups read lies in few pages. Gives where each node has come to.
fn inner_first(drafts: &mut Vec<Draft>) -> Vec<u32> {
    let (inner, leaves): (Vec<usize>, Vec<usize>) =
        (0..drafts.len()).partition(|id| !drafts[*id].children.is_empty());
    let mut order = vec![0; drafts.len()];
    for (new, old) in inner.iter().chain(&leaves).enumerate() {
        order[*old] = new as u32;
    }
    let mut places: Vec<usize> = (0..drafts.len()).collect();
    places.sort_by_key(|old| order[*old]);
    let mut old: Vec<Option<Draft>> = drafts.drain(..).map(Some).collect();
    for place in places {
        drafts.extend(old[place].take());
    }
    for draft in drafts {
        draft.parent = order[draft.parent as usize];
        for child in draft.children.values_mut() {
            *child = order[*child as usize];
        }
    }
    order
}

/// Writes the image. `rows[0]` must be the row of `/`.
///
/// # Panics
///
/// If there are no rows or more than the image's 32-bit offsets can name.
pub fn image(rows: &[Row], facts: &Facts) -> Vec<u8> {
    assert!(!rows.is_empty(), "a view needs a row for /");
    let mut drafts = Vec::new();
    let app_root = root(&mut drafts);
    let mut points = vec![app_root];
    for (id, row) in rows.iter().enumerate().skip(1) {
        let node = grow(&mut drafts, app_root, &row.at);
        drafts[node as usize].mount = Some(id as u32);
        points.push(node);
    }
    let host_root = root(&mut drafts);
    for (id, row) in rows.iter().enumerate() {
        let source = (row.kind.has_source() && row.layers.is_empty()).then_some(&row.source);
        for source in row.layers.iter().chain(source) {
            let node = grow(&mut drafts, host_root, source);
            // The first row that shows a host path gives it its name.
            drafts[node as usize].mount.get_or_insert(id as u32);
        }
    }

    let order = inner_first(&mut drafts);
    let at = |node: u32| order[node as usize];
    let (app_root, host_root) = (at(app_root), at(host_root));
    let points: Vec<u32> = points.into_iter().map(at).collect();

    let mut pool = Pool::default();
    // What no string has been given to is the first: empty.
    pool.add(&[]);
    let sources: Vec<Str> = rows.iter().map(|row| pool.add(&row.source)).collect();
    let (mut slots, mut more_slots) = (Vec::new(), Vec::new());
    let mut nodes: Vec<Node> = Vec::with_capacity(drafts.len());
    let (ways, first) = match (rows[0].kind, facts.flags & flags::TRACE) {
        (Kind::Pass, 0) => ways(&drafts, app_root, rows),
        (Kind::Host | Kind::Layers, 0) => (Vec::new(), root_alone()),
        // All paths are of interest.
        _ => (Vec::new(), [UNSURE; 256]),
    };
    for (id, draft) in drafts.iter().enumerate() {
        let is_small = draft.children.len() <= SMALL;
        let to = if is_small { &mut slots } else { &mut more_slots };
        let (first_slot, slot_count, starts) = table(&draft.children, to);
        // A parent comes before its children, so its region is known by now.
        let inherited = nodes.get(draft.parent as usize).map_or(0, |parent: &Node| parent.region);
        let region = draft.mount.unwrap_or(if draft.parent as usize == id { 0 } else { inherited });
        let kind = rows[region as usize].kind;
        let mut flags = 0;
        for (bit, set) in [
            (node::MOUNT_POINT, draft.mount.is_some()),
            (node::LINK, draft.mount.is_some() && kind == Kind::Link),
            (node::PASSES, kind == Kind::Pass),
            (node::LAYERED, kind == Kind::Layers),
        ] {
            flags |= if set { bit } else { 0 };
        }
        nodes.push(Node {
            starts,
            parent: draft.parent,
            first_slot,
            slot_count,
            region,
            name: pool.add(&draft.name),
            flags,
            source: if kind.has_source() { sources[region as usize] } else { Str::default() },
            reserved: [0; 5],
        });
    }
    // The large tables come after the nodes, the small ones before them.
    let hole = slots.len() + nodes.len() * SLOTS_OF_NODE;
    for (node, _) in nodes.iter_mut().zip(&drafts).filter(|(_, draft)| draft.children.len() > SMALL) {
        node.first_slot += hole as u32;
    }
    let mut layers: Vec<Str> = Vec::new();
    let mounts: Vec<RawMount> = rows
        .iter()
        .zip(&points)
        .zip(&sources)
        .map(|((row, node), source)| {
            let first = layers.len() as u32;
            layers.extend(row.layers.iter().map(|layer| pool.add(layer)));
            RawMount {
                at: pool.add(&row.at),
                source: *source,
                line: row.line,
                node: *node,
                kind: row.kind as u8,
                access: row.access as u8,
                is_dir: u8::from(row.is_dir),
                reserved: 0,
                layers: [first, row.layers.len() as u32],
                reserved2: 0,
            }
        })
        .collect();
    let name = pool.add(&facts.name);
    let policy_file = pool.add(&facts.policy_file);
    let identity = facts.identity.write(|name| pool.add(name));
    let (rules, network) = facts.network.write(|path| pool.add(path));
    let time: Vec<_> = facts.time.iter().map(Time::write).collect();
    let ipc: Vec<_> = facts.ipc.iter().map(|ipc| ipc.write(|names| pool.add(names))).collect();
    // Readers take a string's terminator, and more, for granted.
    pool.bytes.extend_from_slice(&[0; AFTER_STRING - 1]);

    let has_machine = identity.first().is_some_and(|raw| raw.cpus != 0 || raw.memory != 0);
    let derived = [
        (flags::LAYERS, !layers.is_empty()),
        (flags::MACHINE, has_machine),
        (flags::NETWORK, !rules.is_empty()),
    ]
    .iter()
    .fold(0, |flags, (flag, holds)| if *holds { flags | flag } else { flags });

    let mut at = size_of::<Header>();
    let mut place = |bytes: usize, count: usize| {
        let span = Span { off: at as u32, count: count as u32 };
        at = (at + bytes).next_multiple_of(8);
        span
    };
    let ways_span = place(size_of_val(&ways[..]), ways.len());
    let small = place(size_of_val(&slots[..]), slots.len());
    let nodes_span = place(size_of_val(&nodes[..]), nodes.len());
    let large = place(size_of_val(&more_slots[..]), more_slots.len());
    let header = Header {
        magic: MAGIC,
        nodes: nodes_span,
        // All of it, with the nodes as a hole in it.
        slots: Span { off: small.off, count: (hole + more_slots.len()) as u32 },
        mounts: place(size_of_val(&mounts[..]), mounts.len()),
        layers: place(size_of_val(&layers[..]), layers.len()),
        identity: place(size_of_val(&identity[..]), identity.len()),
        network: Tables { rules: place(size_of_val(&rules[..]), rules.len()), ..network },
        time: place(size_of_val(&time[..]), time.len()),
        ipc: place(size_of_val(&ipc[..]), ipc.len()),
        strings: place(pool.bytes.len(), pool.bytes.len()),
        len: 0,
        flags: facts.flags | derived,
        app_root,
        host_root,
        name,
        policy_file,
        coverage_line: facts.coverage_line,
        reserved: 0,
        ways: ways_span,
        first,
    };
    let len = u32::try_from(at).expect("a view image is smaller than 4 GiB");
    let header = Header { len, ..header };

    let mut image = vec![0; len as usize];
    for (off, bytes) in [
        (0, header.as_bytes()),
        (header.nodes.off, nodes.as_bytes()),
        (small.off, slots.as_bytes()),
        (large.off, more_slots.as_bytes()),
        (header.ways.off, ways.as_bytes()),
        (header.mounts.off, mounts.as_bytes()),
        (header.layers.off, layers.as_bytes()),
        (header.identity.off, identity.as_bytes()),
        (header.network.rules.off, rules.as_bytes()),
        (header.time.off, time.as_bytes()),
        (header.ipc.off, ipc.as_bytes()),
        (header.strings.off, &pool.bytes),
    ] {
        image[off as usize..off as usize + bytes.len()].copy_from_slice(bytes);
    }
    image
}
