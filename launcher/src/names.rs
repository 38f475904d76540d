//! The machine's names at a start: those that programs of an earlier run have
//! set are gone, as they are when a machine starts.

use anyhow::{Context, Result, anyhow};
use elements::Instance;
use view::View;

use crate::commands::run::words;
use crate::instance::Placed;
use crate::stale::is_in_use;

impl Placed {
    /// Takes back what sethostname(2) and setdomainname(2) have set in the instance, unless a
    /// process is left in it.
    ///
    /// # Errors
    ///
    /// Those of mapping a file, and of writing those that show the names.
    pub fn restore_names(&self, view: &View<'_>) -> Result<()> {
        const SHARED: &str = "cannot write to the instance's view";
        if view.identity().is_none_or(|identity| !identity.has_names()) {
            return Ok(());
        }
        let is_set = self
            .with_shared(|shared| shared.host_name.generation() != 0 || shared.domain_name.generation() != 0);
        if !is_set.context(SHARED)? || is_in_use(&self.dir) {
            return Ok(());
        }
        let restored = self.with_shared(|shared| Instance::new(*view, Some(shared)).forget_names());
        restored.context(SHARED)?.map_err(|errno| anyhow!("cannot restore the host name: {}", words(errno)))
    }
}
