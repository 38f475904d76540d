//! The region of the README that a run writes anew.

use anyhow::{Context, Result};

use super::{Report, conformance};
use crate::conformance::{Group, PEERS};

const BEGIN: &str = "<!-- written by `cargo xtask bench --write`: begin -->\n";
const END: &str = "<!-- written by `cargo xtask bench --write`: end -->\n";

/// The text with the region replaced.
pub fn renewed(text: &str, region: &str) -> Result<String> {
    let (before, rest) =
        text.split_once(BEGIN).with_context(|| format!("README.md has no line {BEGIN:?}"))?;
    let (_, after) = rest.split_once(END).with_context(|| format!("README.md has no line {END:?}"))?;
    Ok(format!("{before}{BEGIN}{region}{END}{after}"))
}

/// What stands there: how much works, and what a call costs, beside the peers.
pub fn region(report: &Report) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    if !report.conformance.is_empty() {
        text += "| of | rows |";
        for group in Group::ALL {
            // Writing to a string does not fail.
            let _ = write!(text, " {} ({}) |", group.title(), conformance::total(&report.conformance, group));
        }
        text = text.replacen("| of | rows |", "| rows that work |", 1);
        let _ = write!(text, "\n|---|{}\n", "--:|".repeat(Group::ALL.len()));
        let works: Vec<_> =
            Group::ALL.map(|group| conformance::works(&report.conformance, group)).into_iter().collect();
        for (index, peer) in PEERS.iter().enumerate() {
            let _ = write!(text, "| {} |", peer.name);
            for (group, works) in Group::ALL.iter().zip(&works) {
                let count = works[index].map_or("–".into(), |count| count.to_string());
                let _ = match peer.claims.contains(group) {
                    true => write!(text, " **{count}** |"),
                    false => write!(text, " {count} |"),
                };
            }
            text.push('\n');
        }
        text += "\nBold: what the tool is made for. Each cell counts programs that ran and were told what the policy says.\n\n";
    }
    if !report.measured.speed.is_empty() {
        text += "![What calls cost, in times of native](docs/benchmarks/speed.svg)\n\n";
    }
    let head = &report.head;
    let _ = writeln!(
        text,
        "Measured on {}, {}, {}. [docs/benchmarks](docs/benchmarks/README.md) has all of it.",
        head.of("processor"),
        head.of("kernel"),
        head.of("libc")
    );
    text
}

#[cfg(test)]
mod tests {
    use super::{BEGIN, END, renewed};

    #[test]
    fn only_the_region_changes() {
        let text = format!("before\n{BEGIN}old\n{END}after\n");
        assert_eq!(renewed(&text, "new\n").unwrap(), format!("before\n{BEGIN}new\n{END}after\n"));
        assert!(renewed("no region", "new\n").is_err());
    }
}
