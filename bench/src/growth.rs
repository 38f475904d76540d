//! How costs grow: with the rules of a policy, with the files of a tree, and with the
//! instances that run at once.
//!
//! Of what is measured at some sizes the growth is fitted: the exponent k of a cost that goes as
//! the size to the power of k, by least squares of the logarithms. Nought is no growth, one is
//! in proportion.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::ground::{Ground, Rules};
use crate::operations::{Effort, OPERATIONS, Operation};
use crate::peers::{Among, Peer};

/// Costs of one kind, under one peer.
pub struct Growth {
    /// What is measured, and in which unit.
    pub what: &'static str,
    /// Under which peer.
    pub peer: &'static str,
    /// Sizes and costs.
    pub costs: Vec<(f64, f64)>,
}

impl Growth {
    /// The exponent, where there are two sizes at least.
    pub fn exponent(&self) -> Option<f64> {
        let points: Vec<(f64, f64)> = self
            .costs
            .iter()
            .filter(|(_, cost)| *cost > 0.0)
            .map(|(size, cost)| (size.ln(), cost.ln()))
            .collect();
        let count = points.len() as f64;
        if points.len() < 2 {
            return None;
        }
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
        let (x, y) = (mean(|point| point.0), mean(|point| point.1));
        let both: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
        let own: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
        Some(both / own)
    }
}

/// What the rules of a policy cost an open.
pub fn rules(ground: &Ground, effort: Effort) -> Result<Vec<Growth>> {
    let sizes = [10, 1000, 10_000];
    each_of_ours("open+close under a mount, by mounts (ns)", |peer| {
        let mut costs = Vec::new();
        for mounts in sizes {
            let operation = open().under(Rules::Mounts(mounts));
            // The first start prepares the view.
            operation.sample(peer, ground, effort)?;
            costs.push((mounts as f64, least(3, || operation.sample(peer, ground, effort))?));
        }
        Ok(costs)
    })
}

/// The operation that is measured under policies of all sizes.
fn open() -> &'static Operation {
    let open = OPERATIONS.iter().find(|operation| operation.name == "open+close, 10 mounts");
    open.expect("the table has it")
}

/// What a tree costs that looks at each of its files.
pub fn trees(ground: &Ground, sizes: &[usize]) -> Result<Vec<Growth>> {
    for size in sizes {
        for tree in [ground.at(1), ground.source(1)] {
            make_tree(&tree.join(format!("tree{size}")), *size)?;
        }
    }
    each_of_ours("find in a tree under a mount, by files (ms)", |peer| {
        let mut costs = Vec::new();
        for size in sizes {
            let words = [&*ground.at(1).join(format!("tree{size}")).to_string_lossy(), "-size", "+1G"]
                .map(str::to_owned);
            let find = || -> Result<f64> {
                let mut command = peer.command(ground, Rules::Mounts(10), Path::new("/usr/bin/find"), &words);
                let begun = Instant::now();
                let status = command.stdout(Stdio::null()).status()?;
                ensure!(status.success(), "{command:?}: {status}");
                Ok(begun.elapsed().as_secs_f64() * 1e3)
            };
            costs.push((*size as f64, least(3, find)?));
        }
        Ok(costs)
    })
}

/// Directories of a thousand files, of which all are one.
fn make_tree(tree: &Path, size: usize) -> Result<()> {
    const EACH: usize = 1000;
    for directory in 0..size / EACH {
        let directory = tree.join(directory.to_string());
        fs::create_dir_all(&directory)?;
        fs::write(directory.join("0"), "x\n")?;
        for file in 1..EACH {
            fs::hard_link(directory.join("0"), directory.join(file.to_string()))?;
        }
    }
    Ok(())
}

/// What instances cost that run at once: the memory of one, and the time until all are there.
pub fn instances(ground: &Ground, sizes: &[usize]) -> Result<Vec<Growth>> {
    let kinds = [
        "memory of an instance, by how many run at once (KiB)",
        "memory that an instance has to itself, by how many run at once (KiB)",
        "the most memory that an instance has had, by how many run at once (KiB)",
        "time until all are there, by how many are started at once (ms)",
    ];
    let mut grown = Vec::new();
    for peer in
        Among::Mounts.peers().iter().filter(|peer| peer.is_present() && (peer.is_native() || peer.mounts()))
    {
        let mut all = [const { Vec::new() }; 4];
        for size in sizes {
            let Ok(costs) = run_at_once(ground, peer, *size) else { continue };
            for (costs, cost) in all.iter_mut().zip(costs) {
                costs.push((*size as f64, cost));
            }
        }
        grown.extend(kinds.into_iter().zip(all).map(|(what, costs)| Growth { what, peer: peer.name, costs }));
    }
    grown.sort_by_key(|growth| growth.what);
    Ok(grown)
}

/// Shells that say that they are there, and wait: what one of them takes of memory, and the time.
fn run_at_once(ground: &Ground, peer: &Peer, size: usize) -> Result<[f64; 4]> {
    let words = ["-c", "echo there; read line"].map(str::to_owned);
    let mut running: Vec<(Child, BufReader<ChildStdout>)> = Vec::new();
    let begun = Instant::now();
    for _ in 0..size {
        let mut command = peer.command(ground, Rules::Mounts(10), Path::new("/bin/dash"), &words);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let said = child.stdout.take().context("a pipe")?;
        running.push((child, BufReader::new(said)));
    }
    let mut line = String::new();
    for (_, said) in &mut running {
        line.clear();
        said.read_line(&mut line)?;
    }
    let took = begun.elapsed().as_secs_f64() * 1e3;
    let memory = running.iter().map(|(child, _)| memory_of(child.id())).fold([0.0; 3], added);
    for (child, _) in &mut running {
        // Its standard input ends, and so does it.
        drop(child.stdin.take());
        child.wait()?;
    }
    ensure!(line == "there\n", "{}: one is not there", peer.name);
    let [shared, own, most] = memory.map(|kib| kib / size as f64);
    Ok([shared, own, most, took])
}

fn added(one: [f64; 3], other: [f64; 3]) -> [f64; 3] {
    std::array::from_fn(|at| one[at] + other[at])
}

/// The KiB that a process and what it has started take: where what several share is split among them, what none
/// shares, and the most that has been in memory, shared or not.
fn memory_of(process: u32) -> [f64; 3] {
    let sum = |file: &str, fields: &[&str]| -> f64 {
        let text = fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_default();
        let number = |line: &str| -> Option<f64> {
            let (field, rest) = line.split_once(':')?;
            if fields.contains(&field) { rest.trim().strip_suffix(" kB")?.parse().ok() } else { None }
        };
        text.lines().filter_map(number).sum()
    };
    let own = [
        sum("smaps_rollup", &["Pss"]),
        sum("smaps_rollup", &["Private_Clean", "Private_Dirty"]),
        sum("status", &["VmHWM"]),
    ];
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|child| child.parse().ok()).map(memory_of);
    children.fold(own, added)
}

/// Measures native and the launcher.
fn each_of_ours(what: &'static str, costs: impl Fn(&Peer) -> Result<Vec<(f64, f64)>>) -> Result<Vec<Growth>> {
    let peers = Among::Mounts.peers().iter().filter(|peer| peer.is_native() || peer.is_ours());
    peers.map(|peer| Ok(Growth { what, peer: peer.name, costs: costs(peer)? })).collect()
}

/// The least of some samples: what else the machine does can only make one more.
fn least(times: usize, mut sample: impl FnMut() -> Result<f64>) -> Result<f64> {
    let samples: Result<Vec<f64>> = (0..times).map(|_| sample()).collect();
    Ok(samples?.into_iter().fold(f64::INFINITY, f64::min))
}

#[cfg(test)]
mod tests {
    use super::Growth;

    #[test]
    fn the_exponent_of_a_power_is_found() {
        let grown = |cost: fn(f64) -> f64| {
            let costs = [1.0, 10.0, 100.0].map(|size| (size, cost(size))).to_vec();
            Growth { what: "", peer: "", costs }.exponent().unwrap()
        };
        assert!((grown(|size| 3.0 * size) - 1.0).abs() < 1e-9);
        assert!(grown(|_| 7.0).abs() < 1e-9);
        assert!((grown(f64::sqrt) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn one_size_has_no_growth() {
        assert!(Growth { what: "", peer: "", costs: vec![(1.0, 1.0)] }.exponent().is_none());
    }
}
