//! The image of a view: refused, or read without harm, whatever is in it.

use std::ffi::CStr;

use elements::Instance;
use view::build::{Facts, IdentityFacts, IpcFacts, LinkFacts, Row, image};
use view::{Access, Begins, First, Kind, NodeId, RATE_ONE, Time, View};

use crate::guarded::Guarded;

/// Reads an image, and looks up all that it has.
///
/// # Panics
///
/// If it does harm.
pub fn target(data: &[u8]) {
    let image = Guarded::new(data, 8);
    let Ok(view) = View::from_bytes(image.bytes()) else { return };
    let _ = (view.flags(), view.name(), view.policy_file(), view.coverage_line());
    let _ = (view.identity(), view.links().count(), view.has_link_names());
    let _ = (view.time(), view.ipc().map(|ipc| ipc.is_hosts(b"/tmp/.X11-unix/X0")));
    let mut seen = 0;
    for root in [view.app_root(), view.host_root()] {
        seen += descend(&view, root);
    }
    for byte in 0..=u8::MAX {
        if let First::Way(way) = view.first(byte) {
            let _ = (way.after, way.starts, view.region(NodeId(way.node)));
        }
    }
    for mount in view.mounts() {
        assert!(mount.id < view.mount_count());
        let _ = (view.passes(mount.node), mount.at.len(), mount.source.len(), view.region(mount.node));
        ascend(&view, mount.node);
    }
    // What is in no image.
    let nowhere = NodeId(u32::MAX);
    assert!(view.child(nowhere, b"a").is_none() && view.children(nowhere).next().is_none());
    assert!(view.mount(u32::MAX).at.is_empty());
    // Bytes that are no image of ours may name paths of this host, but no walk ends in harm.
    if seen < 1000 {
        let instance = Instance::new(view, None);
        for path in [c"/", c"/a/b/c", c"/l/../a/./b/", c"/l/x", c"a/../../l", c"/f/x", c"/h/y", c""] {
            let path: &CStr = path;
            let explained = instance.explain(path, true);
            assert!(explained.app.len() < 4096 && explained.host.len() < 4096);
        }
    }
}

/// Goes down the whole tree: each node is met once, and found by its name.
fn descend(view: &View<'_>, root: NodeId) -> usize {
    let mut pending = vec![root];
    let mut met = 0;
    while let Some(node) = pending.pop() {
        met += 1;
        assert!(met < 1 << 20, "the tree has no end");
        assert!(view.region(node) < view.mount_count());
        let _ = (view.is_mount_point(node), view.has_children(node), view.child(node, b"no such name"));
        for child in view.children(node) {
            assert!(view.parent(child) == node);
            let _ = view.child(node, view.name_of(child));
            pending.push(child);
        }
    }
    met
}

/// Goes up to the root.
fn ascend(view: &View<'_>, mut node: NodeId) {
    let mut steps = 0;
    while view.parent(node) != node {
        node = view.parent(node);
        steps += 1;
        assert!(steps < 1 << 20, "the way up has no end");
    }
}

/// Images of ours.
pub fn seeds() -> Vec<Vec<u8>> {
    let row = |at: &str, kind, source: &str| Row {
        at: at.into(),
        kind,
        access: Access::ReadOnly,
        is_dir: true,
        source: source.into(),
        layers: Vec::new(),
        line: 1,
    };
    let root = row("/", Kind::Pass, "");
    let rows = [
        root.clone(),
        row("/a/b", Kind::Host, "/usr/share"),
        row("/a/b/c", Kind::Content, "/i/content/1"),
        row("/l", Kind::Link, "a/b"),
        row("/m", Kind::Link, "/l/../m"),
        row("/f", Kind::Hidden, ""),
        row("/h", Kind::Denied, ""),
        row("/e", Kind::Empty, "/i/empty/2"),
        row("/s", Kind::Scaffold, "/i/scaffold/s"),
    ];
    let identity = IdentityFacts {
        host_name: "erp01".into(),
        release: "2.6.32".into(),
        host_id: Some(7),
        links: vec![LinkFacts {
            host: "ens3".into(),
            name: "eth0".into(),
            address: Some([2, 0, 0, 0, 0, 9]),
        }],
        ..Default::default()
    };
    let time =
        Time { begins: Begins::At(1_435_708_740_000_000_000), rate: RATE_ONE, frozen: true, files: true };
    let ipc = IpcFacts { salt: 7, hosts: vec!["/tmp/.X11-unix/*".into(), "bus".into()] };
    let facts = Facts {
        name: "app".into(),
        policy_file: "/p".into(),
        flags: 5,
        coverage_line: 3,
        identity,
        network: crate::address::network(),
        time: Some(time),
        ipc: Some(ipc),
    };
    let many: Vec<Row> = std::iter::once(root.clone())
        .chain((0..40).map(|n| row(&format!("/w/{n}"), Kind::Host, &format!("/x/{n}"))))
        .collect();
    vec![image(&rows, &facts), image(&[root], &Facts::default()), image(&many, &facts)]
}
