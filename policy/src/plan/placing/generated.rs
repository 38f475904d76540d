//! Files that the policy's identity makes. They stand like mounts, but nobody
//! has spelled them out: where the tree has no place for one, it is left out.

use super::Planner;
use crate::checked::Policy;
use crate::host::Found;
use crate::identity::GeneratedFile;
use crate::links::Behind;

impl Planner<'_> {
    /// Puts the files in their places. No mount lies in one of them, so they come last.
    pub(super) fn place_generated(&mut self, policy: &Policy) {
        self.roomy.clear();
        for (number, file) in policy.generated.iter().enumerate() {
            self.place_file(policy.mounts.len(), number, file);
        }
        self.settle();
    }

    /// Puts a file in its place, if there is one.
    fn place_file(&mut self, mounts: usize, number: usize, file: &GeneratedFile) {
        let Some((at, _)) = self.tree.resolve(&file.mount.at) else { return };
        if let Some((first, row)) = self.points.get(&at).and_then(|first| self.rows.get(*first)) {
            // By two names, as /etc/os-release mostly is, it is still one file.
            if *first >= mounts || file.gives_way {
                return;
            }
            let (key, line) = (file.key, row.line);
            let message = format!("`{key}` and a mount both say what {} is", at.display());
            let expected = format!("line {line} mounts another thing there");
            let help = format!("take the mount away, or `{key}`");
            self.report.add(file.mount.span.clone(), message, expected, Some(help));
            return;
        }
        if self.has_place(file) {
            let before = self.rows.len();
            self.place(mounts + number, &file.mount);
            self.plan.generated += self.rows.len() - before;
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
