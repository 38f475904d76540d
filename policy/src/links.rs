//! Where a mount point really stands: symbolic links above it.
//!
//! A policy may say `/var/run/app` on a host where `/var/run` is a link to
//! `/run`. The mount then stands at `/run/app`, and the view gets a row for
//! the link, so that the program finds it by either spelling. Links that the
//! policy does not spell are looked for in the directories where
//! distributions put them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::host::{Found, Host};

/// How many links one path may lead through, as in the kernel.
const MAX_LINKS: u32 = 40;
/// Larger directories are not searched for links: a start must stay quick.
const MAX_ENTRIES: usize = 500;

/// What stands behind an app path while the mounts are being placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behind {
    /// A path of the host.
    Host(PathBuf),
    /// Paths of the host that make up a union, highest first.
    Layers(Vec<PathBuf>),
    /// A path of the instance's directory that is still to be made.
    Planned(PathBuf),
    /// Nothing: the path is hidden, denied, a file of the view, or missing.
    Nothing,
}

impl Behind {
    /// The same, one component down.
    pub fn join(&self, name: &std::ffi::OsStr) -> Behind {
        match self {
            Behind::Host(path) => Behind::Host(path.join(name)),
            Behind::Layers(layers) => Behind::Layers(layers.iter().map(|layer| layer.join(name)).collect()),
            Behind::Planned(path) => Behind::Planned(path.join(name)),
            Behind::Nothing => Behind::Nothing,
        }
    }
}

/// The app tree as far as it has been placed.
pub struct Tree<'a> {
    /// What stands at each mount point.
    pub points: HashMap<PathBuf, Behind>,
    /// The links met: app path and the link's text.
    pub links: BTreeMap<PathBuf, PathBuf>,
    /// Directories already resolved, as written, and what became of them.
    resolved: HashMap<PathBuf, (PathBuf, Behind)>,
    /// The host's own tree.
    pub host: &'a Host,
}

impl<'a> Tree<'a> {
    /// A tree in which nothing has been placed.
    pub fn new(host: &'a Host) -> Tree<'a> {
        Tree { points: HashMap::new(), links: BTreeMap::new(), resolved: HashMap::new(), host }
    }

    /// Resolves an app path: its canonical spelling, and what is behind it.
    /// None where links lead in a circle.
    pub fn resolve(&mut self, path: &Path) -> Option<(PathBuf, Behind)> {
        let parent = path.parent().unwrap_or(Path::new("/"));
        let (mut app, mut behind) = match self.resolved.get(parent) {
            Some(known) => known.clone(),
            None => {
                let found = self.walk(parent)?;
                self.resolved.insert(parent.to_owned(), found.clone());
                found
            }
        };
        let Some(name) = path.file_name() else { return Some((app, behind)) };
        let next = app.join(name);
        if let Some(target) = self.link(&next, &behind.join(name)) {
            return self.walk(&app.join(target));
        }
        behind = self.points.get(&next).cloned().unwrap_or_else(|| behind.join(name));
        app = next;
        Some((app, behind))
    }

    /// Puts mounts in. Forgets what was resolved, since they may stand in the way.
    pub fn place(&mut self, mounts: impl IntoIterator<Item = (PathBuf, Behind)>) {
        self.points.extend(mounts);
        self.resolved.clear();
    }

    /// `/`, and what is behind it: the host's own, where no mount stands there.
    fn root(&self) -> (PathBuf, Behind) {
        let app = PathBuf::from("/");
        let behind = self.points.get(&app).cloned().unwrap_or_else(|| Behind::Host(app.clone()));
        (app, behind)
    }

    fn walk(&mut self, path: &Path) -> Option<(PathBuf, Behind)> {
        let mut pending: Vec<PathBuf> = parts(path);
        let (mut app, mut behind) = self.root();
        let mut links = 0;
        while let Some(name) = pending.pop() {
            if name.as_os_str() == ".." {
                app.pop();
                (app, behind) = self.walk_again(&app)?;
                continue;
            }
            let next = app.join(&name);
            let inside = behind.join(name.as_os_str());
            if let Some(target) = self.link(&next, &inside) {
                links += 1;
                if links > MAX_LINKS {
                    return None;
                }
                if target.is_absolute() {
                    (app, behind) = self.root();
                }
                pending.extend(parts(&target));
                continue;
            }
            behind = self.points.get(&next).cloned().unwrap_or(inside);
            app = next;
        }
        Some((app, behind))
    }

    /// What is behind a canonical app path.
    fn walk_again(&self, app: &Path) -> Option<(PathBuf, Behind)> {
        let (mut at, mut behind) = self.root();
        for name in app.components().skip(1) {
            at.push(name);
            behind = self.points.get(&at).cloned().unwrap_or_else(|| behind.join(name.as_os_str()));
        }
        Some((at, behind))
    }

    /// The text of the link at an app path, if there is one and no mount
    /// stands on it. Remembers it.
    fn link(&mut self, app: &Path, behind: &Behind) -> Option<PathBuf> {
        // The links of /proc are of the process that looks.
        if self.points.contains_key(app) || app.starts_with("/proc") {
            return None;
        }
        if let Some(known) = self.links.get(app) {
            return Some(known.clone());
        }
        let (found, is_own) = match behind {
            Behind::Host(host) => (self.host.look(host), host == app),
            Behind::Layers(layers) => {
                let found = layers.iter().map(|layer| self.host.look(layer));
                (found.into_iter().find(|found| *found != Found::Nothing)?, false)
            }
            Behind::Planned(_) | Behind::Nothing => return None,
        };
        let Found::Link(target) = found else { return None };
        // Only a link in the host's own tree needs a row; one in a source is
        // met by the walk that every path under a mount may take.
        if is_own {
            self.links.insert(app.to_owned(), target.clone());
        }
        Some(target)
    }

    /// Looks for links that lead to a mount by a name the policy does not say.
    pub fn find_unspoken_links(&mut self) {
        let mut directories: BTreeSet<PathBuf> = ["/", "/usr", "/var"].map(PathBuf::from).into();
        for point in self.points.keys() {
            directories.extend(point.parent().map(Path::to_owned));
        }
        // In the order of their components: what lies below a path follows it.
        let points: BTreeSet<PathBuf> = self.points.keys().cloned().collect();
        let mut links = self.links.clone();
        let relevant = |path: &Path| {
            let below = points.range::<Path, _>((Bound::Included(path), Bound::Unbounded)).next();
            below.is_some_and(|point| point.starts_with(path))
                || path.ancestors().any(|above| points.contains(above))
        };
        for directory in directories {
            if directory.ancestors().any(|above| self.points.contains_key(above)) {
                continue;
            }
            let Ok(entries) = self.host.list(&directory) else { continue };
            for entry in entries.take(MAX_ENTRIES).flatten() {
                let app = entry.path();
                let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
                if !is_link || links.contains_key(&app) || self.points.contains_key(&app) {
                    continue;
                }
                let Found::Link(target) = self.host.look(&app) else { continue };
                let path = lexical(&directory.join(&target));
                let leads = self.resolve(&path).map_or(path, |(leads, _)| leads);
                if relevant(&leads) {
                    links.insert(app, target);
                }
            }
        }
        // A link that stands on a mount, or above one of another name, serves nothing.
        // What was merely met while these were looked at serves nothing either.
        self.links = links;
        self.links.retain(|app, _| !points.contains(app) && app.as_os_str().as_bytes() != b"/");
    }
}

fn parts(path: &Path) -> Vec<PathBuf> {
    let names = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(PathBuf::from(name)),
        Component::ParentDir => Some(PathBuf::from("..")),
        _ => None,
    });
    let mut names: Vec<PathBuf> = names.collect();
    names.reverse();
    names
}

fn lexical(path: &Path) -> PathBuf {
    let mut out = PathBuf::from("/");
    for name in parts(path).into_iter().rev() {
        if name.as_os_str() == ".." {
            out.pop();
        } else {
            out.push(name);
        }
    }
    out
}
