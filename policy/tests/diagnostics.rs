//! What a person is told about a policy that is wrong.

use std::path::Path;

use launcher_policy::{Report, parse, plan};
use proptest::prelude::*;

fn wrong(text: &str) -> Report {
    match parse(Path::new("/p/app.toml"), text, &|_| None).and_then(|policy| plan(&policy, false)) {
        Ok(_) => panic!("this policy is taken:\n{text}"),
        Err(report) => report,
    }
}

/// The messages, with their lines and columns.
fn told(text: &str) -> Vec<String> {
    wrong(text).diagnostics().iter().map(|d| format!("{}:{} {}", d.line, d.column, d.message)).collect()
}

#[test]
fn all_that_is_wrong_with_the_structure_is_told_at_once() {
    let text =
        "coverage = \"requird\"\n[app]\nnam = \"x\"\nworkdir = 5\n[[mount]]\nat = \"/a\"\nkind = \"hiden\"\n";
    assert_eq!(
        told(text),
        [
            "1:12 `coverage` cannot be \"requird\"",
            "3:1 unknown key `nam` in `app`",
            "4:11 `workdir` cannot be an integer",
            "7:8 `kind` cannot be \"hiden\"",
        ]
    );
}

#[test]
fn the_nearest_right_word_is_named() {
    let report = wrong("[[mount]]\nat = \"/a\"\ncontent = \"\"\nacess = \"read-only\"\n");
    let text = report.render(false);
    assert!(text.contains("did you mean `access`?"), "{text}");
    assert!(text.contains("^^^^^ expected one of: access, at, content"), "{text}");
}

#[test]
fn all_that_is_wrong_with_the_meaning_is_told_at_once() {
    let text = "
        [[mount]]
        at = \"relative\"
        kind = \"hidden\"
        [[mount]]
        at = \"/b/../c\"
        kind = \"empty\"
        [[mount]]
        at = \"/d\"
        source = \"/nonexistent/source\"
        [[mount]]
        at = \"/e\"
        [[mount]]
        at = \"/f\"
        content = \"${NOT_SET}\"
        [[mount]]
        at = \"/g\"
        kind = \"hidden\"
        source = \"/etc\"
        [[mount]]
        at = \"/h\"
        kind = \"empty\"
        mode = \"999\"
    ";
    let told = told(text);
    for part in [
        "relative",
        "/b/../c",
        "/nonexistent/source",
        "nothing stands at \"/e\"",
        "NOT_SET",
        "`source` does not go",
        "999",
    ] {
        assert!(told.iter().any(|line| line.contains(part)), "{part} is not in {told:#?}");
    }
}

#[test]
fn errors_of_syntax_are_told_with_their_place() {
    let report = wrong("[app\nname = 3\n");
    assert_eq!(report.diagnostics().first().map(|d| d.line), Some(1));
}

#[test]
fn two_mounts_at_one_place_are_refused_by_whatever_names() {
    let told =
        told("[[mount]]\nat = \"/x//y\"\nkind = \"hidden\"\n[[mount]]\nat = \"/x/y\"\nkind = \"denied\"\n");
    assert_eq!(told, ["5:6 a second mount at /x/y"]);
}

#[test]
fn nothing_can_be_mounted_in_what_is_no_directory() {
    let denied = "[[mount]]\nat = \"/x\"\nkind = \"denied\"\n[[mount]]\nat = \"/x/y\"\nkind = \"empty\"\n";
    assert_eq!(told(denied), ["5:6 /x/y lies in a mount that can hold none"]);
    let file = "[[mount]]\nat = \"/etc/passwd/y\"\nkind = \"empty\"\n";
    assert_eq!(told(file), ["2:6 /etc/passwd cannot hold a mount"]);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let report = launcher_policy::load(Path::new("/nonexistent/app.toml"), &|_| None);
    assert!(report.expect_err("there is no such file").render(false).contains("/nonexistent/app.toml"));
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,200}") {
        let _ = parse(Path::new("/p/app.toml"), &text, &|_| None).and_then(|policy| plan(&policy, false));
    }

    #[test]
    fn no_mount_makes_the_planner_panic(at in "[/a-z.]{0,40}", kind in "hidden|denied|empty|host|content") {
        let text = format!("[[mount]]\nat = \"{at}\"\nkind = \"{kind}\"\n[[mount]]\nat = \"/a/b\"\ncontent = \"\"\n");
        let _ = parse(Path::new("/p/app.toml"), &text, &|_| None).and_then(|policy| plan(&policy, false));
    }
}
