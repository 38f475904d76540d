//! What a person is told of an `[identity]` that is wrong.

use std::path::Path;

use launcher_policy::{parse, plan};

/// The messages, with their lines.
fn told(text: &str) -> Vec<String> {
    match parse(Path::new("/p/app.toml"), text, &|_| None).and_then(|policy| plan(&policy, false)) {
        Ok(_) => panic!("this policy is taken:\n{text}"),
        Err(report) => report.diagnostics().iter().map(|d| format!("{} {}", d.line, d.message)).collect(),
    }
}

fn is_taken(text: &str) {
    if let Err(report) =
        parse(Path::new("/p/app.toml"), text, &|_| None).and_then(|policy| plan(&policy, false))
    {
        panic!("{report}");
    }
}

#[test]
fn a_host_name_that_no_machine_can_have_is_refused() {
    let long = "a".repeat(65);
    for wrong in ["", "a b", "a..b", "-a", "a/b", "a\\n", "ö", &long, &format!("{}.b", "a".repeat(64))] {
        let told = told(&format!("[identity]\nhostname = \"{wrong}\"\n"));
        assert!(told.len() == 1 && told[0].starts_with("2 `hostname` cannot be "), "{told:?}");
    }
    for right in ["erp01", "ERP_01.corp.example", "7", "a.".repeat(31).trim_end_matches('.')] {
        is_taken(&format!("[identity]\nhostname = \"{right}\"\n"));
    }
    is_taken("[identity]\ndomainname = \"(none)\"\n");
}

#[test]
fn all_that_is_wrong_with_a_machine_is_told_at_once() {
    let text = "[identity]
machine_id = \"0123456789ABCDEF0123456789abcdef\"
host_id = 0x100000000
os_release = { id = \"rhel\", NAME = \"two\\nlines\" }
[identity.kernel]
release = \"2.6 32\"
version = \"\"
";
    assert_eq!(
        told(text),
        [
            "2 `machine_id` cannot be \"0123456789ABCDEF0123456789abcdef\"",
            "3 `host_id` cannot be 4294967296",
            "4 \"id\" cannot be a key of os-release",
            "4 `NAME` cannot be \"two\\nlines\"",
            "6 `release` cannot be \"2.6 32\"",
            "7 `version` cannot be \"\"",
        ]
    );
}

#[test]
fn a_kernel_without_a_release_is_refused() {
    assert_eq!(told("[identity]\nkernel = { version = \"#1\" }\n"), ["2 `kernel` has no `release`"]);
}

#[test]
fn a_key_that_nothing_stands_behind_is_unknown() {
    assert_eq!(told("[identity]\nrun_as = \"oracle\"\n"), ["2 unknown key `run_as` in `identity`"]);
}

#[test]
fn a_file_has_one_source() {
    let text = "[identity]\nhostname = \"erp01\"\n[[mount]]\nat = \"/etc/hostname\"\ncontent = \"other\"\n";
    assert_eq!(told(text), ["2 `hostname` and a mount both say what /etc/hostname is"]);
    // What only follows from it may be said otherwise.
    is_taken(
        "[identity]\nos_release = { ID = \"rhel\", VERSION_ID = \"6\" }\n[[mount]]\nat = \"/etc/redhat-release\"\ncontent = \"Other\"\n",
    );
}

#[test]
fn a_tree_without_a_place_for_a_file_goes_without_it() {
    is_taken(
        "[identity]\nhostname = \"erp01\"\nkernel = { release = \"2.6\" }\n[[mount]]\nat = \"/proc\"\nkind = \"hidden\"\n[[mount]]\nat = \"/etc\"\nkind = \"denied\"\n",
    );
}
