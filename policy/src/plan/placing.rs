//! Putting mounts in their places, and making room for them.
//!
//! A mount stands in a directory of the app's tree. Where the host has that
//! directory, nothing is to be done. Where nobody has it, a *scaffold* is made
//! in the instance's directory: the directories on the way, and a placeholder
//! for each mount in them, so that their listings are right.

mod generated;

use std::collections::{HashMap, HashSet};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use view::{Access, Kind};

use super::{Plan, PlannedFile, PlannedLayer, PlannedRow, PlannedVolume, Source};
use crate::checked::{Mount, Policy, What, Write};
use crate::host::Found;
use crate::links::{Behind, Tree};
use crate::report::Report;

/// Puts the mounts of a policy into a plan.
pub fn place(policy: &Policy, plan: Plan) -> Result<Plan, Report> {
    let mut planner = Planner {
        plan,
        name: &policy.name,
        tree: Tree::new(&policy.host),
        report: Report::new(&policy.file, &policy.text),
        rows: Vec::new(),
        settled: 0,
        scaffolds: Vec::new(),
        points: HashMap::new(),
        roomy: HashSet::new(),
    };
    // A mount is placed after those that it lies in.
    let mut order: Vec<(usize, usize)> =
        policy.mounts.iter().map(|mount| mount.at.components().count()).enumerate().collect();
    order.sort_by_key(|(_, depth)| *depth);
    let mut depth = 0;
    for (index, deeper) in order {
        if deeper != depth {
            planner.settle();
            depth = deeper;
        }
        if let Some(mount) = policy.mounts.get(index) {
            planner.place(index, mount);
        }
    }
    planner.settle();
    planner.place_generated(policy);
    planner.place_shared_memory(policy);
    planner.finish()
}

struct Planner<'a> {
    plan: Plan,
    /// The application's name.
    name: &'a str,
    tree: Tree<'a>,
    report: Report,
    /// Rows by the position of their mount in the policy.
    rows: Vec<(usize, PlannedRow)>,
    /// How many of them are in the tree.
    settled: usize,
    scaffolds: Vec<PlannedRow>,
    /// Canonical mount points, and where in `rows` their rows are.
    points: HashMap<PathBuf, usize>,
    /// Directories that hold a mount already, and so can hold another.
    roomy: HashSet<PathBuf>,
}

impl Planner<'_> {
    /// Mounts of one depth cannot lie in each other, so what they stand on is
    /// resolved before any of them is put into the tree.
    fn settle(&mut self) {
        let placed = self.rows.get(self.settled..).unwrap_or(&[]);
        self.tree.place(placed.iter().map(|(_, row)| (row.at.clone(), row.behind())));
        self.settled = self.rows.len();
    }

    fn place(&mut self, index: usize, mount: &Mount) {
        let Some((at, behind)) = self.tree.resolve(&mount.at) else {
            let message = format!("the links on the way to {} lead in a circle", mount.at.display());
            self.report.add(mount.span.clone(), message, "too many levels of symbolic links", None);
            return;
        };
        self.place_at(index, mount, (at, behind));
    }

    /// Puts a mount where it is known to come to stand.
    fn place_at(&mut self, index: usize, mount: &Mount, (at, behind): (PathBuf, Behind)) {
        if let Some(first) = self.points.get(&at).and_then(|first| self.rows.get(*first)) {
            let line = first.1.line;
            let message = format!("a second mount at {}", at.display());
            let expected = format!("line {line} says the same place by another name");
            self.report.add(mount.span.clone(), message, expected, Some("take one of them away".into()));
            return;
        }
        let is_dir = match &mount.what {
            What::Host { is_dir, .. } => *is_dir,
            What::Content { .. } | What::Link { .. } => false,
            What::Empty { .. } | What::Layers { .. } | What::Volume { .. } => true,
            What::Hidden | What::Denied => match &behind {
                Behind::Host(host) => self.tree.host.look(host) != Found::File,
                _ => true,
            },
        };
        if !self.make_room(&at, is_dir, mount) {
            return;
        }
        let mut layers = Vec::new();
        let (kind, source) = match &mount.what {
            What::Host { source, .. } => (Kind::Host, Source::Text(source.clone())),
            What::Content { bytes, mode } => self.content(index, bytes.clone(), *mode, false),
            What::Link { target } => self.content(index, target.as_os_str().as_bytes().to_vec(), 0o777, true),
            What::Empty { mode } => {
                let name = Path::new("empty").join(index.to_string());
                self.plan.directories.insert("empty".into(), 0o755);
                self.plan.directories.insert(name.clone(), *mode);
                self.plan.is_private = true;
                (Kind::Empty, Source::Planned(name))
            }
            What::Layers { layers: said, write } => {
                layers = self.layers(index, &at, said, *write);
                (Kind::Layers, layers.first().cloned().unwrap_or(Source::None))
            }
            What::Volume { name } => {
                let own = || format!("{}@{}", self.name, layer_name(&at));
                let volume = PlannedVolume {
                    at: at.clone(),
                    name: name.clone().unwrap_or_else(own),
                    is_own: name.is_none(),
                };
                let source = Source::Volume(volume.name.clone());
                self.plan.volumes.push(volume);
                (Kind::Host, source)
            }
            What::Hidden => (Kind::Hidden, Source::None),
            What::Denied => (Kind::Denied, Source::None),
        };
        // A changed file must not be shared between runs.
        self.plan.is_private |= kind == Kind::Content && mount.access == Access::ReadWrite;
        let row = PlannedRow { at, kind, access: mount.access, is_dir, source, layers, line: mount.line };
        self.points.insert(row.at.clone(), self.rows.len());
        self.rows.push((index, row));
    }

    /// A file of the policy's own, or a link.
    fn content(&mut self, index: usize, bytes: Vec<u8>, mode: u32, is_link: bool) -> (Kind, Source) {
        let name = Path::new("content").join(index.to_string());
        self.plan.files.push(PlannedFile { name: name.clone(), bytes, mode, is_link });
        self.plan.directories.insert("content".into(), 0o755);
        (Kind::Content, Source::Planned(name))
    }

    /// The layers of a union, with the one that its changes go to.
    fn layers(&mut self, index: usize, at: &Path, said: &[PathBuf], write: Write) -> Vec<Source> {
        let mut layers: Vec<Source> = said.iter().cloned().map(Source::Text).collect();
        let (name, is_kept) = match write {
            Write::None => return layers,
            Write::Private => (Path::new("write").join(layer_name(at)), true),
            Write::Ephemeral => (Path::new("write").join(index.to_string()), false),
        };
        let upper = name.join("upper");
        layers.push(if is_kept { Source::Kept(upper) } else { Source::Planned(upper) });
        self.plan.is_private |= !is_kept;
        let (at, layers_below) = (at.to_owned(), said.to_vec());
        self.plan.write_layers.push(PlannedLayer { name, is_kept, at, layers: layers_below });
        layers
    }

    /// Sees to it that the directory that the mount point is in exists in the
    /// app's tree. False where it cannot.
    fn make_room(&mut self, at: &Path, is_dir: bool, mount: &Mount) -> bool {
        // `/` is in no directory.
        let Some(parent) = at.parent() else { return true };
        if at != mount.at {
            // Found by a link, so it may be less deep than what was placed before it.
            self.roomy.clear();
        }
        if !self.make_way(parent, mount) {
            return false;
        }
        // A placeholder, so that the scaffold's own listing is right.
        if let Some((_, Behind::Planned(name))) = self.tree.resolve(parent) {
            self.placeholder(&name, at, is_dir);
        }
        true
    }

    /// Goes down to a directory, and makes what is missing on the way.
    fn make_way(&mut self, parent: &Path, mount: &Mount) -> bool {
        let mut above: Vec<PathBuf> =
            parent.ancestors().take_while(|above| !self.roomy.contains(*above)).map(Path::to_owned).collect();
        above.reverse();
        for (depth, directory) in above.iter().enumerate() {
            let Some((_, behind)) = self.tree.resolve(directory) else { return false };
            let point = self.points.get(directory).copied();
            if let Some((_, row)) = point.and_then(|point| self.rows.get_mut(point)) {
                let line = row.line;
                match row.kind {
                    // Hidden but for what is mounted in it: an empty directory.
                    Kind::Hidden => {
                        let name = scaffold_name(directory);
                        row.kind = Kind::Scaffold;
                        row.access = Access::ReadOnly;
                        row.is_dir = true;
                        row.source = Source::Planned(name.clone());
                        self.tree.place([(directory.clone(), Behind::Planned(name.clone()))]);
                        self.plan.directories.insert("scaffold".into(), 0o755);
                        self.make_directories(&name);
                        continue;
                    }
                    Kind::Denied | Kind::Content => return self.no_room(mount, directory, line),
                    _ if !row.is_dir => return self.no_room(mount, directory, line),
                    _ => continue,
                }
            }
            match behind {
                Behind::Host(host) => match self.tree.host.look(&host) {
                    Found::Directory => {}
                    Found::Nothing => {
                        self.scaffold(directory, above.get(depth..).unwrap_or(&[]));
                        break;
                    }
                    Found::File | Found::Link(_) => {
                        let message = format!("{} cannot hold a mount", directory.display());
                        let expected = format!("{} is no directory", host.display());
                        self.report.add(mount.span.clone(), message, expected, None);
                        return false;
                    }
                },
                Behind::Layers(layers) => {
                    let found = layers.iter().map(|layer| self.tree.host.look(layer));
                    match found.into_iter().find(|found| *found != Found::Nothing) {
                        Some(Found::Directory) => {}
                        None => {
                            self.scaffold(directory, above.get(depth..).unwrap_or(&[]));
                            break;
                        }
                        _ => return self.no_room(mount, directory, 0),
                    }
                }
                Behind::Planned(name) => self.make_directories(&name),
                Behind::Nothing => return self.no_room(mount, directory, 0),
            }
        }
        self.roomy.extend(above);
        true
    }

    fn no_room(&mut self, mount: &Mount, directory: &Path, line: u32) -> bool {
        let message = format!("{} lies in a mount that can hold none", mount.at.display());
        let expected = if line == 0 {
            format!("{} is not a directory of the view", directory.display())
        } else {
            format!("line {line} makes {} something else than a directory", directory.display())
        };
        self.report.add(mount.span.clone(), message, expected, None);
        false
    }

    /// A directory that the host does not have, for the sake of what is
    /// mounted below it.
    fn scaffold(&mut self, top: &Path, missing: &[PathBuf]) {
        let name = scaffold_name(top);
        self.plan.directories.insert("scaffold".into(), 0o755);
        for directory in missing {
            self.make_directories(&scaffold_name(directory));
        }
        self.scaffolds.push(PlannedRow {
            at: top.to_owned(),
            kind: Kind::Scaffold,
            access: Access::ReadOnly,
            is_dir: true,
            source: Source::Planned(name.clone()),
            layers: Vec::new(),
            line: 0,
        });
        self.tree.place([(top.to_owned(), Behind::Planned(name))]);
    }

    fn make_directories(&mut self, name: &Path) {
        for directory in name.ancestors().filter(|directory| !directory.as_os_str().is_empty()) {
            if self.plan.directories.contains_key(directory) {
                // What is above it has been made with it.
                return;
            }
            self.plan.directories.insert(directory.to_owned(), 0o755);
        }
    }

    fn placeholder(&mut self, parent: &Path, at: &Path, is_dir: bool) {
        let Some(name) = at.file_name() else { return };
        let name = parent.join(name);
        if is_dir {
            self.make_directories(&name);
        } else {
            self.plan.files.push(PlannedFile { name, bytes: Vec::new(), mode: 0o444, is_link: false });
        }
    }

    fn finish(mut self) -> Result<Plan, Report> {
        self.report.into_result()?;
        self.tree.place(self.scaffolds.iter().map(|row| (row.at.clone(), row.behind())));
        // A view with nothing of the policy's in it is left as it is.
        if self.rows.iter().any(|(_, row)| row.line != 0) {
            self.tree.find_unspoken_links();
            // The root of the view by its name in /proc leads back into the view.
            let proc = self.tree.resolve(Path::new("/proc")).map(|(_, behind)| behind);
            let is_kernels = proc == Some(Behind::Host("/proc".into()));
            for process in ["self", "thread-self"].into_iter().filter(|_| is_kernels) {
                let root = Path::new("/proc").join(process).join("root");
                self.tree.links.entry(root).or_insert_with(|| "/".into());
            }
        }
        self.rows.sort_by_key(|(index, _)| *index);
        // The row of `/` is always the first.
        if let Some(root) = self.rows.iter().position(|(_, row)| row.at == Path::new("/")) {
            self.plan.rows = vec![self.rows.remove(root).1];
        }
        self.plan.rows.extend(self.rows.into_iter().map(|(_, row)| row));
        self.plan.rows.extend(self.tree.links.iter().map(|(app, target)| PlannedRow {
            at: app.clone(),
            kind: Kind::Link,
            access: Access::ReadOnly,
            is_dir: false,
            source: Source::Text(target.clone()),
            layers: Vec::new(),
            line: 0,
        }));
        self.plan.rows.extend(self.scaffolds);
        Ok(self.plan)
    }
}

/// The name of a write layer's directory, which tells people where it belongs.
fn layer_name(at: &Path) -> String {
    const LONGEST: usize = 200;
    let at = at.as_os_str().as_bytes();
    let escaped: String = at
        .iter()
        .skip(1)
        .map(|byte| match byte {
            b'/' => "-".to_owned(),
            b'-' | b'%' | 0..=b' ' | 0x7f.. => format!("%{byte:02x}"),
            byte => char::from(*byte).to_string(),
        })
        .collect();
    match escaped.len() {
        0 => "-".into(),
        1..LONGEST => escaped,
        _ => blake3::hash(at).to_hex().to_string(),
    }
}

fn scaffold_name(app: &Path) -> PathBuf {
    Path::new("scaffold").join(app.strip_prefix("/").unwrap_or(app))
}

impl PlannedRow {
    fn behind(&self) -> Behind {
        match &self.source {
            Source::Text(path) if self.kind == Kind::Host => Behind::Host(path.clone()),
            Source::Planned(name) if self.is_dir => Behind::Planned(name.clone()),
            _ if self.kind == Kind::Layers => Behind::Layers(
                self.layers
                    .iter()
                    .rev()
                    .filter_map(|layer| match layer {
                        Source::Text(path) => Some(path.clone()),
                        _ => None,
                    })
                    .collect(),
            ),
            _ => Behind::Nothing,
        }
    }
}
