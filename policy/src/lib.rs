//! The policy: what a person writes about one application, checked and
//! compiled.
//!
//! Three steps, each a type: the file's words ([`raw`]), what they mean on this
//! host ([`Policy`]), and the view they become ([`Plan`]). Whatever a person
//! can get wrong is told by the first two, all of it at once, with the place
//! in the file ([`Report`]); a plan cannot fail for reasons of spelling.

#![forbid(unsafe_code)]

mod check;
mod expand;
mod host;
mod links;
mod plan;
mod raw;
mod report;
mod structure;

use std::path::Path;

pub use check::{Coverage, Env, Mount, Policy, What};
pub use host::{Fact, Found, Host};
pub use plan::{Plan, PlannedDirectory, PlannedFile};
pub use report::{Diagnostic, Report};

/// How the variables of `${VAR}` are looked up.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Reads and checks a policy file. Sources are looked up on the host.
///
/// # Errors
///
/// All that is wrong with the file.
pub fn load(file: &Path, variables: Variables<'_>) -> Result<Policy, Report> {
    let bytes = read(file)?;
    parse_bytes(file, &bytes, variables)
}

/// Reads a policy file.
///
/// # Errors
///
/// Why it cannot be read.
pub fn read(file: &Path) -> Result<Vec<u8>, Report> {
    std::fs::read(file).map_err(|error| Report::unreadable(file, &error.to_string()))
}

/// Checks a policy's bytes, as [`parse`] does its text.
///
/// # Errors
///
/// All that is wrong with them.
pub fn parse_bytes(file: &Path, bytes: &[u8], variables: Variables<'_>) -> Result<Policy, Report> {
    match std::str::from_utf8(bytes) {
        Ok(text) => parse(file, text, variables),
        Err(error) => {
            let at = error.valid_up_to();
            let text = String::from_utf8_lossy(bytes).into_owned();
            let mut report = Report::new(file, &text);
            report.add(at..at + 1, "the file is not UTF-8", "this byte is not part of a character", None);
            Err(report)
        }
    }
}

/// Checks a policy's text. `file` says where relative sources begin.
///
/// # Errors
///
/// All that is wrong with the text.
pub fn parse(file: &Path, text: &str, variables: Variables<'_>) -> Result<Policy, Report> {
    let raw = structure::read(file, text)?;
    check::check(file, text, raw, variables)
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
