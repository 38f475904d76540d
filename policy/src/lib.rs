//! The policy: what a person writes about one application, checked and
//! compiled.
//!
//! Three steps, each a type: the file's words ([`raw`]), what they mean on this
//! host ([`Policy`]), and the view they become ([`Plan`]). Whatever a person
//! can get wrong is told by the first two, all of it at once, with the place
//! in the file ([`Report`]); a plan cannot fail for reasons of spelling.

#![forbid(unsafe_code)]

mod check;
mod checked;
mod expand;
mod host;
mod identity;
mod links;
mod names;
mod network;
mod plan;
mod raw;
mod report;
mod signal;
mod structure;

use std::path::Path;

pub use check::{NAME, is_name};
pub use checked::{Coverage, Door, Env, Image, Mount, Policy, What, Write};
pub use host::{Fact, Found, Host};
pub use identity::{GeneratedFile, Group, Identity, Kernel, Link, Said, User, Users};
pub use names::{Names, Resolver, Source};
pub use network::{Network, endpoints};
pub use plan::{
    FORMAT, Places, Plan, PlannedDirectory, PlannedFile, PlannedLayer, PlannedVolume, SHARED_MEMORY,
    STOP_SIGNAL,
};
pub use report::{Diagnostic, Report};
pub use signal::signal;

/// A file that is not a policy at all is not told of for ever.
const MANY: usize = 10;

/// How the variables of `${VAR}` are looked up.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// How the images of `[root]` are looked up: an image, or why it cannot be had.
pub type Images<'a> = &'a dyn Fn(&str) -> Result<Image, String>;

/// No images.
///
/// # Errors
///
/// Always.
pub fn no_images(name: &str) -> Result<Image, String> {
    Err(format!("there is no image `{name}`"))
}

/// Reads and checks a policy file. Sources are looked up on the host.
///
/// # Errors
///
/// All that is wrong with the file.
pub fn load(file: &Path, variables: Variables<'_>, images: Images<'_>) -> Result<Policy, Report> {
    let bytes = std::fs::read(file).map_err(|error| Report::unreadable(file, &error))?;
    parse_bytes(file, &bytes, variables, images)
}

/// Checks a policy's bytes, as [`parse`] does its text.
///
/// # Errors
///
/// All that is wrong with them.
pub fn parse_bytes(
    file: &Path,
    bytes: &[u8],
    variables: Variables<'_>,
    images: Images<'_>,
) -> Result<Policy, Report> {
    match std::str::from_utf8(bytes) {
        Ok(text) => parse_with(file, text, variables, images),
        Err(_) => Err(not_utf8(file, bytes)),
    }
}

fn not_utf8(file: &Path, bytes: &[u8]) -> Report {
    let mut text = String::new();
    let mut wrong = Vec::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            let start = text.len();
            text.push(char::REPLACEMENT_CHARACTER);
            let shown: Vec<String> = chunk.invalid().iter().map(|byte| format!("{byte:#04x}")).collect();
            wrong.push((start..text.len(), shown.join(" ")));
        }
    }
    let mut report = Report::new(file, &text);
    if bytes.contains(&0) {
        let help = "name the policy with --policy FILE".to_owned();
        report.add(0..0, "the file is no text", "a policy is TOML", Some(help));
        return report;
    }
    for (span, shown) in wrong.into_iter().take(MANY) {
        let help = "save the file as UTF-8".to_owned();
        report.add(span, format!("the file is not UTF-8: {shown}"), "this is no character", Some(help));
    }
    report
}

/// Checks the text of a policy that has no image. `file` says where relative sources begin.
///
/// # Errors
///
/// All that is wrong with the text, also with the places of its mounts.
pub fn parse(file: &Path, text: &str, variables: Variables<'_>) -> Result<Policy, Report> {
    parse_with(file, text, variables, &no_images)
}

fn parse_with(
    file: &Path,
    text: &str,
    variables: Variables<'_>,
    images: Images<'_>,
) -> Result<Policy, Report> {
    let (raw, mut report) = structure::read(file, text)?;
    let policy = check::check(file, text, &raw, (variables, images), &mut report);
    if report.diagnostics().is_empty() {
        return Ok(policy);
    }
    // What is right may still have no place to stand, which is told with the rest.
    if let Err(more) = plan::plan(&policy, false) {
        report.extend(more);
    }
    report.into_result().map(|()| policy)
}

/// Makes a plan of the view: canonical mount points, and what must be made
/// for them.
///
/// # Errors
///
/// Mounts that cannot stand where they are said to.
pub fn plan(policy: &Policy, trace: bool) -> Result<Plan, Report> {
    plan::plan(policy, trace)
}

/// The JSON schema of the policy file, made from the types that parse it.
pub fn schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(raw::Raw);
    schema.insert("title".into(), "launcher policy".into());
    schema.to_value()
}
