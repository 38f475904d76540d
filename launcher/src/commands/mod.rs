//! The verbs, one file each. Each gives the exit status.

pub mod check;
pub mod doctor;
pub mod explain;
pub mod run;
pub mod trace;

use std::io::{ErrorKind, IsTerminal, Write};
use std::path::Path;

use anyhow::{Context, Result};
use policy::{Policy, Report};

/// Writes to standard output. A reader that has gone away is no error.
pub fn print(text: &str) -> Result<u8> {
    match std::io::stdout().write_all(text.as_bytes()).and_then(|()| std::io::stdout().flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("cannot write the answer"),
        _ => Ok(0),
    }
}

/// Reads a policy with the process's own variables.
pub fn load(file: &Path) -> Result<Policy, Report> {
    policy::load(file, &|name| std::env::var(name).ok())
}

/// Prints a report to standard error, in colour where that is read by a person.
pub fn complain(report: &Report) {
    let color = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    eprint!("{}", report.render(color));
}

/// Says what is wrong with a policy, to a person or to a program, and gives
/// the exit status that it was asked for.
pub fn refuse(report: &Report, json: bool, status: u8) -> Result<u8> {
    if json {
        print(&format!("{}\n", report.to_json()))?;
    } else {
        complain(report);
    }
    Ok(status)
}

/// `completions`
pub fn completions(shell: clap_complete::Shell, command: &mut clap::Command) -> Result<u8> {
    let mut out = Vec::new();
    clap_complete::generate(shell, command, "launcher", &mut out);
    print(&String::from_utf8_lossy(&out))
}

/// `man`
pub fn man(dir: Option<&Path>, command: clap::Command) -> Result<u8> {
    match dir {
        Some(dir) => {
            std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
            clap_mangen::generate_to(command, dir)
                .with_context(|| format!("cannot write the manual pages to {}", dir.display()))?;
            Ok(0)
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page).context("cannot make the manual page")?;
            print(&String::from_utf8_lossy(&page))
        }
    }
}
