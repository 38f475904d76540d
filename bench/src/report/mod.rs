//! The result: for people as Markdown and plots, for programs as JSON.
//!
//! `docs/benchmarks` has the whole of it, and the README a region that is written anew each time.

mod conformance;
mod growth;
mod head;
mod plot;
mod readme;
mod speed;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;

use crate::conformance::{Cells, Row};
use crate::counts;
use crate::growth::Growth;

pub use head::Head;

/// All that was found out in one run.
pub struct Report {
    /// Where it was found out.
    pub head: Head,
    /// What works.
    pub conformance: Vec<(&'static Row, Cells)>,
    /// What it costs.
    pub measured: Measured,
}

/// What it costs, in times and in counts.
#[derive(Default)]
pub struct Measured {
    /// Times of each operation, under each of its peers.
    pub speed: Vec<speed::Row>,
    /// Instructions and system calls of those that can be counted.
    pub counts: Vec<counts::Row>,
    /// How costs grow.
    pub growth: Vec<Growth>,
}

impl Report {
    /// The page.
    pub fn markdown(&self) -> String {
        let mut text = self.head.markdown();
        if !self.conformance.is_empty() {
            text += "\n## What works\n\n![What works under which peer](conformance.svg)\n\n";
            text += &conformance::summary(&self.conformance);
            text += "\n";
            text += &conformance::legend();
            text += "\n";
            text += &conformance::table(&self.conformance);
        }
        if !self.measured.speed.is_empty() {
            text += "\n## What it costs\n\n![What calls cost, in times of native](speed.svg)\n\n";
            text += &speed::tables(&self.measured.speed);
            text += "\n";
            text += &speed::counts(&self.measured.counts);
        }
        if !self.measured.growth.is_empty() {
            text += "\n## How costs grow\n\n";
            text += &growth::tables(&self.measured.growth);
        }
        text
    }

    /// The same, and more, for programs.
    pub fn json(&self) -> Result<String> {
        let all = json!({
            "head": self.head.json(),
            "conformance": conformance::json(&self.conformance),
            "speed": speed::json(&self.measured.speed),
            "growth": growth::json(&self.measured.growth),
            "counts": speed::counts_json(&self.measured.counts),
        });
        // Where this machine keeps things is nobody's business.
        let show = |path: &Path| path.to_string_lossy().into_owned();
        let here = show(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/")));
        let text = serde_json::to_string_pretty(&all)?.replace(&here, "REPOSITORY");
        Ok(text.replace(&show(&std::env::temp_dir()), "/tmp") + "\n")
    }

    /// Writes `docs/benchmarks` and the README's region, in the repository at `root`.
    pub fn write(&self, root: &Path) -> Result<()> {
        let dir = root.join("docs/benchmarks");
        fs::create_dir_all(&dir)?;
        let place = |name: &str, text: String| {
            let file = dir.join(name);
            fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
        };
        place("results.md", self.markdown())?;
        place("results.json", self.json()?)?;
        if !self.conformance.is_empty() {
            place("conformance.svg", plot::conformance(&self.conformance)?)?;
        }
        if !self.measured.speed.is_empty() {
            place("speed.svg", plot::speed(&self.measured.speed)?)?;
        }
        let readme = root.join("README.md");
        let text =
            fs::read_to_string(&readme).with_context(|| format!("cannot read {}", readme.display()))?;
        let text = readme::renewed(&text, &readme::region(self))?;
        fs::write(&readme, text).with_context(|| format!("cannot write {}", readme.display()))
    }
}
