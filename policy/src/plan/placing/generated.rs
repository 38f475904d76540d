//! Files that the policy's identity makes. They stand like mounts, but nobody
//! has spelled them out: where the tree has no place for one, it is left out.

use std::path::{Path, PathBuf};

use view::{Access, Kind};

use super::{PlannedRow, Planner, Source};
use crate::checked::{Policy, What};
use crate::host::Found;
use crate::identity::GeneratedFile;
use crate::links::Behind;
use crate::plan::SHARED_MEMORY;

impl Planner<'_> {
    /// Puts the files in their places. No mount lies in one of them, so they come last.
    pub(super) fn place_generated(&mut self, policy: &Policy) {
        self.roomy.clear();
        for (number, file) in policy.generated.iter().enumerate() {
            self.place_file(policy, number, file);
            if matches!(file.mount.what, What::Host { .. }) {
                // Others may lie in it.
                self.settle();
            }
        }
        self.settle();
    }

    /// Puts the instance's own directory of shared memory in its place, unless the policy has something there, or below, itself.
    pub(super) fn place_shared_memory(&mut self, policy: &Policy) {
        let at = Path::new(SHARED_MEMORY);
        // A start makes the directory that this row leads to, and finds out by that whether the host still has
        // one: it need not be asked besides.
        let is_there = std::fs::canonicalize(at).is_ok_and(|found| found == at) && at.is_dir();
        if policy.ipc.is_none() || !is_there {
            return;
        }
        let is_behind_mount = self.points.keys().any(|point| at.starts_with(point));
        let is_hosts =
            !is_behind_mount || self.tree.resolve(at) == Some((at.to_owned(), Behind::Host(at.to_owned())));
        if !is_hosts || self.points.keys().any(|point| point.starts_with(at)) {
            return;
        }
        let row = PlannedRow {
            at: at.to_owned(),
            kind: Kind::Host,
            access: Access::ReadWrite,
            is_dir: true,
            source: Source::SharedMemory,
            layers: Vec::new(),
            line: 0,
        };
        self.points.insert(row.at.clone(), self.rows.len());
        self.rows.push((usize::MAX, row));
        self.settle();
    }

    /// Puts a file in its place, if there is one.
    fn place_file(&mut self, policy: &Policy, number: usize, file: &GeneratedFile) {
        let mounts = policy.mounts.len();
        let Some((at, behind)) = self.resolve_generated(file) else { return };
        if let (true, Some(mount)) =
            (file.replaces_link, policy.mounts.iter().find(|mount| mount.at == file.mount.at))
        {
            self.refuse_generated(file, &file.mount.at, mount.line);
            return;
        }
        if let Some((first, row)) = self.points.get(&at).and_then(|first| self.rows.get(*first)) {
            // By two names, as /etc/os-release mostly is, it is still one file.
            if *first >= mounts || file.gives_way {
                return;
            }
            let line = row.line;
            self.refuse_generated(file, &at, line);
            return;
        }
        if self.has_place(file) {
            let before = self.rows.len();
            self.place_at(mounts + number, &file.mount, (at, behind));
            self.plan.generated += self.rows.len() - before;
        }
    }

    fn refuse_generated(&mut self, file: &GeneratedFile, at: &Path, line: u32) {
        let key = file.key;
        let message = format!("`{key}` and a mount both say what {} is", at.display());
        let expected = format!("line {line} mounts another thing there");
        let help = format!("take the mount away, or `{key}`");
        self.report.add(file.mount.span.clone(), message, expected, Some(help));
    }

    /// Where it comes to stand, and what is there.
    fn resolve_generated(&mut self, file: &GeneratedFile) -> Option<(PathBuf, Behind)> {
        let at = &file.mount.at;
        match (at.parent(), at.file_name()) {
            (Some(parent), Some(name)) if file.replaces_link => {
                let (parent, behind) = self.tree.resolve(parent)?;
                Some((parent.join(name), behind.join(name)))
            }
            _ => self.tree.resolve(at),
        }
    }

    /// Whether there is a directory for it, or can be.
    fn has_place(&mut self, file: &GeneratedFile) -> bool {
        let Some((_, behind)) = file.mount.at.parent().and_then(|parent| self.tree.resolve(parent)) else {
            return false;
        };
        let found = match behind {
            Behind::Host(host) => self.tree.host.look(&host),
            Behind::Layers(layers) => layers
                .iter()
                .map(|layer| self.tree.host.look(layer))
                .find(|found| *found != Found::Nothing)
                .unwrap_or(Found::Nothing),
            Behind::Planned(_) => Found::Directory,
            Behind::Nothing => return false,
        };
        match found {
            Found::Directory => true,
            Found::Nothing => !file.needs_directory,
            Found::File | Found::Link(_) => false,
        }
    }
}
