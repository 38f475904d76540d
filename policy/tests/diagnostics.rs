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
    let report =
        launcher_policy::load(Path::new("/nonexistent/app.toml"), &|_| None, &launcher_policy::no_images);
    assert!(report.expect_err("there is no such file").render(false).contains("/nonexistent/app.toml"));
}

/// Every stage finds something, in ten mounts that are wrong each in its way.
#[test]
fn all_stages_tell_what_they_find_at_once() {
    let text = r#"
coverage = "requird"
workdir = "/x"
[app]
name = "a b"
[env]
set = { "A=B" = "x", LANG = "${ONE}${TWO:-ok}/$three" }
unset = ["", "FINE", 7]
[[mount]]
at = "/a"
kind = "hiden"
mode = "99"
[[mount]]
at = "/a"
acess = "read-only"
source = "/nonexistent/${FOUR}"
[[mount]]
at = "/b"
source = "/nonexistent/b"
mode = "0644"
[[mount]]
source = "/etc"
content = "both"
optional = "yes"
[[mount]]
at = "/d"
kind = "denied"
access = "read-only"
[[mount]]
at = "/e"
kind = "denied"
[[mount]]
at = "/e/f"
kind = "empty"
[[mount]]
at = "/etc/passwd/x"
content = ""
"#;
    assert_eq!(
        told(text),
        [
            "2:12 `coverage` cannot be \"requird\"",
            "3:1 unknown key `workdir` in the policy",
            "5:8 `name` cannot be \"a b\"",
            "7:9 \"A=B\" cannot be the name of a variable",
            "7:30 the variable `ONE` is not set",
            "7:47 a `$` that begins no variable",
            "8:10 \"\" cannot be the name of a variable",
            "8:22 `unset` cannot be an integer",
            "11:8 `kind` cannot be \"hiden\"",
            "12:8 `mode` cannot be \"99\"",
            "14:6 a second mount at /a",
            "15:1 unknown key `acess` in `mount`",
            "16:24 the variable `FOUR` is not set",
            "19:10 the source /nonexistent/b cannot be used: No such file or directory (os error 2)",
            "20:8 `mode` does not go with kind \"host\"",
            "21:1 `mount` has no `at`",
            "23:11 a mount with `source` and `content`",
            "24:12 `optional` cannot be a string",
            "28:10 `access` says nothing about a denied path",
            "33:6 /e/f lies in a mount that can hold none",
            "36:6 /etc/passwd cannot hold a mount",
        ]
    );
}

#[test]
fn one_mistake_is_told_once() {
    // Neither is said to lack what it was meant to have, nor is the mount in it wrong.
    let damaged = "[[mount]]\nat = \"/a\"\nkind = \"hiden\"\n[[mount]]\nat = \"/a/b\"\nkind = \"empty\"\n\
                   [[mount]]\nat = \"/c\"\nsorce = \"/etc\"\n";
    assert_eq!(told(damaged), ["3:8 `kind` cannot be \"hiden\"", "9:1 unknown key `sorce` in `mount`"]);
    let missing = "[[mount]]\nat = \"/etc/passwd\"\nsource = \"/nonexistent/x\"\n\
                   [[mount]]\nat = \"/etc/passwd/y\"\ncontent = \"\"\n";
    assert_eq!(told(missing).len(), 1, "{:?}", told(missing));
    let both = "[[mount]]\nat = \"/a\"\nsource = \"/nonexistent\"\ncontent = \"\"\n";
    assert_eq!(told(both), ["4:11 a mount with `source` and `content`"]);
}

#[test]
fn a_key_in_the_wrong_place_is_led_to_its_own() {
    let helps = |text: &str| -> Vec<String> {
        wrong(text).diagnostics().iter().filter_map(|found| found.help.clone()).collect()
    };
    let text = "name = \"x\"\n[[mount]]\nat = \"/a\"\nkind = \"hidden\"\ncoverage = \"required\"\napp = 5\n";
    assert_eq!(
        helps(text),
        [
            "`name` goes into `[app]`",
            "`coverage` goes to the top of the file, before the first table, or is a table of its own: `[coverage]`",
            "`app` is a table of its own: `[app]`",
        ]
    );
    let headers = "[mount]\nat = \"/a\"\nkind = \"x\"\n[[app]]\nname = \"x\"\n";
    assert_eq!(helps(headers), ["write `[[mount]]`, with two brackets on each side", "write `[app]`"]);
    assert_eq!(told(headers).len(), 3);
}

#[test]
fn wrong_types_everywhere_are_all_told() {
    let text = "coverage = 1\napp = []\nenv = \"x\"\n\
                mount = [5, {at = 3, kind = true, content = [], mode = 644, optional = \"no\"}]\n";
    let told = told(text);
    for part in ["1:", "2:", "3:", "`mount` cannot be", "`at`", "`kind`", "`content`", "`mode`", "`optional`"]
    {
        assert!(told.iter().any(|line| line.contains(part)), "{part} is not in {told:#?}");
    }
    assert_eq!(told.len(), 9, "{told:#?}");
}

#[test]
fn a_key_that_is_said_twice_hides_nothing_else() {
    let text = "[[mount]]\nat = \"/a\"\nat = \"/b\"\nkind = \"hidden\"\nmode = \"1\"\n";
    assert_eq!(told(text), ["3:1 `at` is said twice", "5:8 `mode` does not go with kind \"hidden\""]);
}

#[test]
fn lines_and_columns_are_those_of_the_editor() {
    let marked = "\u{feff}coverag = \"required\"\r\n[[mount]]\r\nat = \"/äö${X}\"\r\nkind = \"hidden\"\r\n";
    assert_eq!(told(marked), ["1:1 unknown key `coverag` in the policy", "3:10 the variable `X` is not set"]);
    assert!(!wrong(marked).render(false).contains('␍'));
    let long = format!("[[mount]]\nat = \"/{}\"\ncontnt = \"\"\n", "x".repeat(1_000_000));
    let report = wrong(&long).render(false);
    assert!(report.len() < 2000 && report.contains("did you mean `content`?"), "{report}");
}

#[test]
fn files_that_are_no_policies_are_refused_with_a_reason() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let said = |bytes: &[u8]| {
        let file = dir.path().join("app.toml");
        std::fs::write(&file, bytes).expect("our own directory");
        launcher_policy::load(&file, &|_| None, &launcher_policy::no_images)
            .expect_err("no policy")
            .render(false)
    };
    let latin = said(b"[app]\nname = \"caf\xe9\"\n[env]\nkeep = [\"\xff\"]\n");
    assert!(latin.contains("app.toml:2:12") && latin.contains("app.toml:4:10"), "{latin}");
    assert!(said(b"\x7fELF\0\xff").contains("the file is no text"));
    let directory = launcher_policy::load(dir.path(), &|_| None, &launcher_policy::no_images)
        .expect_err("no policy")
        .render(false);
    assert!(directory.contains("directory") && directory.contains("name a file in it"), "{directory}");
    let nested = said(format!("a = {}", "[".repeat(100_000)).as_bytes());
    assert!(nested.len() < 2000, "{nested}");
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

#[test]
fn what_is_wrong_with_an_image_is_told_where_it_is_named() {
    let images = |name: &str| match name {
        "shop" => Ok(launcher_policy::Image { layers: vec!["/usr".into()], ..Default::default() }),
        _ => Err("it has gone".to_owned()),
    };
    let read = |text: &str| {
        let read =
            launcher_policy::parse_bytes(Path::new("/p/app.toml"), text.as_bytes(), &|_| None, &images);
        read.map_err(|report| {
            report
                .diagnostics()
                .iter()
                .map(|d| format!("{}:{} {}", d.line, d.column, d.message))
                .collect::<Vec<_>>()
        })
    };
    let told = |text: &str| read(text).expect_err("it is wrong");
    assert_eq!(told("[root]\nimage = \"gone\"\n"), ["2:9 the image \"gone\" cannot be had: it has gone"]);
    assert_eq!(
        told("[root]\nimage = \"shop\"\nlayers = [\"/opt\"]\n"),
        ["3:10 a root with `image` and `layers`"]
    );
    assert_eq!(
        told("[app]\nuser = \":5\"\n[root]\nimage = \"${NOT}\"\n"),
        ["2:8 `user` cannot be \":5\"", "4:10 the variable `NOT` is not set"]
    );
    let policy =
        read("[root]\nimage = \"shop\"\n[[mount]]\nat = \"/dev\"\nkind = \"empty\"\n").expect("it is right");
    let points: Vec<_> = policy.mounts.iter().map(|mount| mount.at.to_string_lossy()).collect();
    assert_eq!(points, ["/", "/dev", "/proc", "/sys"]);
    assert_eq!(policy.workdir, Some("/".into()));
}
