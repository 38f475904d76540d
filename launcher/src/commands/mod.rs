//! The verbs, one file each. Each gives the exit status.

pub mod check;
pub mod commit;
pub mod cp;
pub mod create;
pub mod diff;
pub mod doctor;
pub mod exec;
pub mod explain;
pub mod export;
pub mod image;
pub mod import;
pub mod logs;
pub mod ps;
pub mod rm;
pub mod run;
pub mod stop;
pub mod trace;
pub mod volume;

use std::io::{IsTerminal, Write};
use std::path::Path;

use ::image::import::Progress;
use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use policy::{Policy, Report};

use crate::cli::{EXAMPLES, EXIT_STATUS};
use crate::input::read_policy;
use crate::output::tell;
pub use crate::output::{ignore_closed_pipes, print};
use crate::root_image;

/// Reads a policy with the process's own variables.
pub fn load(file: &Path) -> Result<Policy, Report> {
    policy::parse_bytes(file, &read_policy(file)?, &|name| std::env::var(name).ok(), &root_image::find)
}

/// Prints a report to standard error, in colour where that is read by a person.
pub fn complain(report: &Report) {
    let color = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tell(&report.render(color));
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

/// A progress bar, where a person looks.
pub fn bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
    }
    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
    let bar = ProgressBar::no_length();
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar
}

/// What shows on a bar how far it is.
pub fn shown_on(bar: &ProgressBar) -> impl Fn(Progress) + Send + Sync + 'static {
    let bar = bar.clone();
    move |step| match step {
        Progress::Total(Some(total)) => bar.set_length(total),
        Progress::Total(None) => {}
        Progress::Read(bytes) => bar.inc(bytes),
    }
}

/// A number of mounts, in words.
pub fn counted(mounts: usize) -> String {
    format!("{mounts} mount{}", if mounts == 1 { "" } else { "s" })
}

/// `completions`
pub fn completions(shell: clap_complete::Shell, command: &mut clap::Command) -> Result<u8> {
    let mut out = Vec::new();
    clap_complete::generate(shell, command, "launcher", &mut out);
    print(&String::from_utf8_lossy(&out))
}

/// `man`
pub fn man(dir: Option<&Path>, command: clap::Command) -> Result<u8> {
    let page = main_page(&command).context("cannot make the manual page")?;
    let Some(dir) = dir else { return print(&String::from_utf8_lossy(&page)) };
    std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    clap_mangen::generate_to(command, dir)
        .and_then(|()| std::fs::write(dir.join("launcher.1"), &page))
        .with_context(|| format!("cannot write the manual pages to {}", dir.display()))?;
    Ok(0)
}

/// The page of the launcher itself. What stands below the help is set in
/// sections of its own, as manual pages have them.
fn main_page(command: &clap::Command) -> std::io::Result<Vec<u8>> {
    let man = clap_mangen::Man::new(command.clone());
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    page.write_all(
        b".SH SYNOPSIS\n\\fBlauncher\\fR [\\fB\\-v\\fR] \\fB\\-\\-policy\\fR \\fIFILE\\fR \\fIPROGRAM\\fR \
          [\\fIARGUMENT\\fR...]\n.br\n\\fBlauncher\\fR \\fICOMMAND\\fR ...\n",
    )?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    man.render_subcommands_section(&mut page)?;
    let plain = |text: &str| text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq");
    write!(page, ".SH EXIT STATUS\nThat is {}\n", plain(EXIT_STATUS))?;
    write!(page, ".SH EXAMPLES\n.nf\n")?;
    for line in EXAMPLES.lines() {
        // The command, and below it what it does.
        let (command, what) = line.trim().split_once("   ").unwrap_or((line.trim(), ""));
        write!(page, "{}\n    {}\n", plain(command), plain(what.trim()))?;
    }
    writeln!(page, ".fi")?;
    man.render_version_section(&mut page)?;
    Ok(page)
}
