//! What a person is told of a `[time]` or an `[ipc]` that is wrong.

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
fn all_that_is_wrong_with_a_clock_is_told_at_once() {
    let text = "[time]
zone = \"America/Torronto\"
offset = \"400 days\"
at = \"2015-06-31T00:00:00\"
rate = -1
frozen = true
[env]
set = { TZ = \"UTC\" }
";
    assert_eq!(
        told(text),
        [
            "2 there is no time zone `America/Torronto`",
            "3 `offset` cannot be \"400 days\"",
            "3 `offset` and `at` both say when the clock begins",
            "4 `at` cannot be \"2015-06-31T00:00:00\"",
            "5 `rate` cannot be -1",
            "5 `rate` is of a clock that goes",
        ]
    );
}

#[test]
fn a_zone_must_be_one_of_the_hosts() {
    for wrong in ["", "../../etc/passwd", "/etc/localtime", "Nowhere/Else", "America", "tzdata.zi"] {
        let told = told(&format!("[time]\nzone = \"{wrong}\"\n"));
        assert!(told.len() == 1 && told[0].starts_with("2 "), "{wrong}: {told:?}");
    }
    for right in ["UTC", "Etc/GMT+5", "America/Argentina/Buenos_Aires"] {
        is_taken(&format!("[time]\nzone = \"{right}\"\n"));
    }
    let report = parse(Path::new("/p/app.toml"), "[time]\nzone = \"America/Torronto\"\n", &|_| None);
    let text = report.expect_err("there is none").to_string();
    assert!(text.contains("did you mean `America/Toronto`?"), "{text}");
}

#[test]
fn a_clock_is_told_apart_from_the_hosts_in_one_way() {
    for wrong in ["", "400", "1y", "-", "+-1d", "99999999d", "-99999999d", "-80w-3d"] {
        assert_eq!(
            told(&format!("[time]\noffset = \"{wrong}\"\n")),
            [format!("2 `offset` cannot be {wrong:?}")]
        );
    }
    for wrong in ["now", "1969-01-01T00:00:00Z", "2300-01-01T00:00:00Z", "23:59:00"] {
        assert_eq!(told(&format!("[time]\nat = \"{wrong}\"\n")), [format!("2 `at` cannot be {wrong:?}")]);
    }
    for wrong in ["0", "0.0", "-2.5", "1e9", "nan", "inf"] {
        let told = told(&format!("[time]\nrate = {wrong}\n"));
        assert!(told.len() == 1 && told[0].starts_with("2 `rate` cannot be "), "{told:?}");
    }
    assert_eq!(told("[time]\nrate = \"2\"\n"), ["2 `rate` cannot be a string"]);
    assert_eq!(told("[time]\nfiles = true\n"), ["2 `files` is of a clock that is not the host's"]);
    for right in [
        "offset = \"-400d\"",
        "offset = \"+3h30m\"",
        "offset = \"1w2d\"",
        "at = \"2015-06-30T23:59:00\"",
        "at = \"2015-06-30T23:59:00-04:00\"",
        "at = \"2015-06-30\"",
        "rate = 60",
        "rate = 0.5",
        "frozen = true",
        "offset = \"1s\"\nfiles = true",
    ] {
        is_taken(&format!("[time]\n{right}\n"));
    }
}

#[test]
fn a_zone_and_a_mount_do_not_both_say_where_it_is() {
    let zone = "[time]\nzone = \"America/Toronto\"\n";
    for at in ["/etc/localtime", "/etc/timezone"] {
        let told = told(&format!("{zone}[[mount]]\nat = \"{at}\"\ncontent = \"x\"\n"));
        assert_eq!(told, [format!("2 `zone` and a mount both say what {at} is")]);
    }
    let both = format!("{zone}[env]\nset = {{ TZ = \"UTC\" }}\n");
    assert_eq!(told(&both), ["2 `zone` and `TZ` of `[env]` both say where the application is"]);
}

#[test]
fn a_name_that_no_socket_can_have_is_refused() {
    let long = "a".repeat(108);
    for wrong in ["", "@name", "a\\u0000b", &long] {
        let told = told(&format!("[ipc]\nhost = [\"right-*\", \"{wrong}\"]\n"));
        assert!(told.len() == 1 && told[0].starts_with("2 `host` cannot hold "), "{told:?}");
    }
    is_taken("[ipc]\nhost = [\"/com/example/agent\", \"licence-*\"]\n");
    is_taken("[ipc]\nshare = true\n");
}
