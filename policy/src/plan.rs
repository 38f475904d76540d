//! The plan of a view: every mount at its canonical place, and the files and
//! directories that the launcher must make for them.
//!
//! What a plan names lies in the instance's directory, which is not known
//! yet: its name depends on the plan's digest. So sources of that kind are
//! relative until [`Plan::image`] is told the directory.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use view::build::{Facts, Row};
use view::{Access, Kind, flags};

use crate::checked::{Coverage, Mount, Policy, What};
use crate::links::{Behind, Found, Tree};
use crate::report::Report;

/// A file that the launcher makes in the instance's directory.
#[derive(Clone, Debug)]
pub struct PlannedFile {
    /// Its path in the instance's directory.
    pub name: PathBuf,
    /// What is in it.
    pub bytes: Vec<u8>,
    /// Its permissions.
    pub mode: u32,
}

/// A directory that the launcher makes in the instance's directory.
#[derive(Clone, Debug)]
pub struct PlannedDirectory {
    /// Its path in the instance's directory.
    pub name: PathBuf,
    /// Its permissions.
    pub mode: u32,
}

#[derive(Clone, Debug)]
struct PlannedRow {
    at: PathBuf,
    kind: Kind,
    access: Access,
    is_dir: bool,
    source: Source,
    line: u32,
}

#[derive(Clone, Debug)]
enum Source {
    None,
    /// A host path, or a link's text.
    Text(PathBuf),
    /// A path of the instance's directory.
    Planned(PathBuf),
}

/// The view before its instance directory is known.
#[derive(Clone, Debug)]
pub struct Plan {
    rows: Vec<PlannedRow>,
    facts: Facts,
    files: Vec<PlannedFile>,
    directories: BTreeMap<PathBuf, u32>,
    is_private: bool,
}

/// Bumped when the layout of an instance's directory changes.
const FORMAT: u32 = 1;

pub fn plan(policy: &Policy, trace: bool) -> Result<Plan, Report> {
    let mut bits = 0;
    for (bit, set) in [
        (flags::COVERAGE_REQUIRED, policy.coverage == Coverage::Required),
        (flags::NO_NEW_PRIVS, policy.no_new_privs),
        (flags::TRACE, trace),
    ] {
        bits |= if set { bit } else { 0 };
    }
    let facts = Facts {
        name: policy.name.clone().into_bytes(),
        policy_file: policy.file.as_os_str().as_bytes().to_vec(),
        flags: bits,
        coverage_line: policy.coverage_line,
    };
    let root = PlannedRow {
        at: "/".into(),
        kind: Kind::Pass,
        access: Access::ReadWrite,
        is_dir: true,
        source: Source::None,
        line: 0,
    };
    let mut planner = Planner {
        plan: Plan {
            rows: vec![root],
            facts,
            files: Vec::new(),
            directories: BTreeMap::new(),
            is_private: trace,
        },
        tree: Tree::default(),
        report: Report::new(&policy.file, &policy.text),
        rows: Vec::new(),
        scaffolds: Vec::new(),
        points: HashMap::new(),
    };
    // A mount is placed after those that it lies in.
    let mut order: Vec<usize> = (0..policy.mounts.len()).collect();
    order.sort_by_key(|index| policy.mounts[*index].at.components().count());
    let mut depth = 0;
    for index in order {
        let mount = &policy.mounts[index];
        let deeper = mount.at.components().count();
        if deeper != depth {
            planner.settle();
            depth = deeper;
        }
        planner.place(index, mount);
    }
    planner.settle();
    planner.finish()
}

struct Planner {
    plan: Plan,
    tree: Tree,
    report: Report,
    /// Rows by the position of their mount in the policy.
    rows: Vec<(usize, PlannedRow)>,
    scaffolds: Vec<PlannedRow>,
    /// Canonical mount points, and where in `rows` their rows are.
    points: HashMap<PathBuf, usize>,
}

impl Planner {
    /// Mounts of one depth cannot lie in each other, so what they stand on is
    /// resolved before any of them is put into the tree.
    fn settle(&mut self) {
        let placed: Vec<(PathBuf, Behind)> = self
            .rows
            .iter()
            .filter(|(_, row)| !self.tree.points.contains_key(&row.at))
            .map(|(_, row)| (row.at.clone(), row.behind()))
            .collect();
        for (at, behind) in placed {
            self.tree.place(at, behind);
        }
    }

    fn place(&mut self, index: usize, mount: &Mount) {
        let Some((at, behind)) = self.tree.resolve(&mount.at) else {
            let message = format!("the links on the way to {} lead in a circle", mount.at.display());
            self.report.add(mount.span.clone(), message, "too many levels of symbolic links", None);
            return;
        };
        if let Some(first) = self.points.get(&at).and_then(|first| self.rows.get(*first)) {
            let line = first.1.line;
            let message = format!("a second mount at {}", at.display());
            let expected = format!("line {line} says the same place by another name");
            self.report.add(mount.span.clone(), message, expected, Some("take one of them away".into()));
            return;
        }
        let is_dir = match &mount.what {
            What::Host { is_dir, .. } => *is_dir,
            What::Content { .. } => false,
            What::Empty { .. } => true,
            What::Hidden | What::Denied => match &behind {
                Behind::Host(host) => self.tree.on_host(host) != Found::File,
                _ => true,
            },
        };
        if !self.make_room(&at, is_dir, mount) {
            return;
        }
        let (kind, source) = match &mount.what {
            What::Host { source, .. } => (Kind::Host, Source::Text(source.clone())),
            What::Content { bytes, mode } => {
                let name = Path::new("content").join(index.to_string());
                let file = PlannedFile { name: name.clone(), bytes: bytes.clone(), mode: *mode };
                self.plan.files.push(file);
                self.plan.directories.insert("content".into(), 0o755);
                (Kind::Content, Source::Planned(name))
            }
            What::Empty { mode } => {
                let name = Path::new("empty").join(index.to_string());
                self.plan.directories.insert("empty".into(), 0o755);
                self.plan.directories.insert(name.clone(), *mode);
                self.plan.is_private = true;
                (Kind::Empty, Source::Planned(name))
            }
            What::Hidden => (Kind::Hidden, Source::None),
            What::Denied => (Kind::Denied, Source::None),
        };
        // A changed file must not be shared between runs.
        self.plan.is_private |= kind == Kind::Content && mount.access == Access::ReadWrite;
        let row = PlannedRow { at, kind, access: mount.access, is_dir, source, line: mount.line };
        self.points.insert(row.at.clone(), self.rows.len());
        self.rows.push((index, row));
    }

    /// Sees to it that the directory that the mount point is in exists in the
    /// app's tree. False where it cannot.
    fn make_room(&mut self, at: &Path, is_dir: bool, mount: &Mount) -> bool {
        let mut above: Vec<PathBuf> = at.ancestors().skip(1).map(Path::to_owned).collect();
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
                        self.tree.place(directory.clone(), Behind::Planned(name.clone()));
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
                Behind::Host(host) => match self.tree.on_host(&host) {
                    Found::Directory => {}
                    Found::Nothing => {
                        self.scaffold(directory, &above[depth..], at, is_dir);
                        return true;
                    }
                    Found::File | Found::Link(_) => {
                        let message = format!("{} cannot hold a mount", directory.display());
                        let expected = format!("{} is no directory", host.display());
                        self.report.add(mount.span.clone(), message, expected, None);
                        return false;
                    }
                },
                Behind::Planned(name) => self.make_directories(&name),
                Behind::Nothing => return self.no_room(mount, directory, 0),
            }
        }
        // A placeholder, so that the scaffold's own listing is right.
        let parent = above.last().and_then(|parent| self.tree.resolve(parent));
        if let Some((_, Behind::Planned(name))) = parent {
            self.placeholder(&name, at, is_dir);
        }
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
    fn scaffold(&mut self, top: &Path, missing: &[PathBuf], at: &Path, is_dir: bool) {
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
            line: 0,
        });
        self.tree.place(top.to_owned(), Behind::Planned(name));
        self.placeholder(&scaffold_name(at.parent().unwrap_or(top)), at, is_dir);
    }

    fn make_directories(&mut self, name: &Path) {
        for directory in name.ancestors().filter(|directory| !directory.as_os_str().is_empty()) {
            self.plan.directories.entry(directory.to_owned()).or_insert(0o755);
        }
    }

    fn placeholder(&mut self, parent: &Path, at: &Path, is_dir: bool) {
        let Some(name) = at.file_name() else { return };
        let name = parent.join(name);
        if is_dir {
            self.make_directories(&name);
        } else {
            self.plan.files.push(PlannedFile { name, bytes: Vec::new(), mode: 0o444 });
        }
    }

    fn finish(mut self) -> Result<Plan, Report> {
        self.report.into_result()?;
        for row in &self.scaffolds {
            self.tree.place(row.at.clone(), row.behind());
        }
        if !self.rows.is_empty() {
            self.tree.find_unspoken_links();
            // The root of the view by its name in /proc leads back into the view.
            for process in ["self", "thread-self"] {
                let root = Path::new("/proc").join(process).join("root");
                self.tree.links.entry(root).or_insert_with(|| "/".into());
            }
        }
        self.rows.sort_by_key(|(index, _)| *index);
        self.plan.rows.extend(self.rows.into_iter().map(|(_, row)| row));
        self.plan.rows.extend(self.tree.links.iter().map(|(app, target)| PlannedRow {
            at: app.clone(),
            kind: Kind::Link,
            access: Access::ReadOnly,
            is_dir: false,
            source: Source::Text(target.clone()),
            line: 0,
        }));
        self.plan.rows.extend(self.scaffolds);
        Ok(self.plan)
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
            _ => Behind::Nothing,
        }
    }
}

impl Plan {
    /// A name for all that the view and its files depend on, `salt` included:
    /// 32 hexadecimal digits.
    pub fn digest(&self, salt: &[u8]) -> String {
        let mut hasher = blake3::Hasher::new();
        let mut part = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        part(&FORMAT.to_le_bytes());
        part(salt);
        part(&self.image(Path::new("")));
        for file in &self.files {
            part(file.name.as_os_str().as_bytes());
            part(&file.bytes);
            part(&file.mode.to_le_bytes());
        }
        for (name, mode) in &self.directories {
            part(name.as_os_str().as_bytes());
            part(&mode.to_le_bytes());
        }
        hasher.finalize().to_hex()[..32].to_owned()
    }

    /// Whether the instance's directory belongs to one run alone, because the
    /// application can change what is in it.
    pub fn is_private(&self) -> bool {
        self.is_private
    }

    /// The files to make in the instance's directory.
    pub fn files(&self) -> &[PlannedFile] {
        &self.files
    }

    /// The directories to make there, each after the one it is in.
    pub fn directories(&self) -> Vec<PlannedDirectory> {
        self.directories
            .iter()
            .map(|(name, mode)| PlannedDirectory { name: name.clone(), mode: *mode })
            .collect()
    }

    /// How many mounts the policy makes.
    pub fn mount_count(&self) -> usize {
        self.rows.iter().filter(|row| row.line != 0).count()
    }

    /// The view's image, for an instance whose directory this is (canonical).
    pub fn image(&self, instance: &Path) -> Vec<u8> {
        let rows: Vec<Row> = self
            .rows
            .iter()
            .map(|row| Row {
                at: row.at.as_os_str().as_bytes().to_vec(),
                kind: row.kind,
                access: row.access,
                is_dir: row.is_dir,
                source: match &row.source {
                    Source::None => Vec::new(),
                    Source::Text(path) => path.as_os_str().as_bytes().to_vec(),
                    Source::Planned(name) => instance.join(name).into_os_string().into_encoded_bytes(),
                },
                line: row.line,
            })
            .collect();
        view::build::image(&rows, &self.facts)
    }
}
