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
    assert_eq!(told("[identity]\nlocale = \"C\"\n"), ["2 unknown key `locale` in `identity`"]);
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

#[test]
fn all_that_is_wrong_with_users_and_groups_is_told_at_once() {
    let text = "[identity]
users = [
  { name = \"oracle\", uid = 54321 },
  { name = \"oracle\", uid = 54322 },
  { name = \"grid\", uid = 54321 },
  { name = \"a:b\", uid = 1 },
  { name = \"new\\nline\", uid = 2 },
  { name = \"7\", uid = 3 },
  { name = \"x\", uid = -1, home = \"relative\", shell = \"/bin/a:b\", comment = \"c:d\" },
  { name = \"y\", uid = 4294967295 },
]
groups = [
  { name = \"dba\", gid = 1 },
  { name = \"dba\", gid = 2 },
  { name = \"oper\", gid = 1 },
]
";
    assert_eq!(
        told(text),
        [
            "4 a second user with the name oracle",
            "5 a second user with the uid 54321",
            "6 `name` cannot be \"a:b\"",
            "7 `name` cannot be \"new\\nline\"",
            "8 `name` cannot be \"7\"",
            "9 `uid` cannot be -1",
            "9 `home` cannot be \"relative\"",
            "9 `shell` cannot be \"/bin/a:b\"",
            "9 `comment` cannot be \"c:d\"",
            "10 `uid` cannot be 4294967295",
            "14 a second group with the name dba",
            "15 a second group with the gid 1",
        ]
    );
}

#[test]
fn a_member_that_is_no_user_is_refused() {
    let text = "[identity]
users = [{ name = \"oracle\", uid = 54321 }]
groups = [
  { name = \"dba\", gid = 1, members = [\"oracle\", \"root\", \"scott\"] },
  { name = \"oper\", gid = 2, members = [\"dba\"] },
]
";
    assert_eq!(
        told(text),
        [
            "4 `scott` is no user, and so no member of a group",
            "5 `dba` is no user, and so no member of a group",
        ]
    );
}

#[test]
fn who_the_application_runs_as_is_one_of_its_users() {
    let text = |user| {
        format!("[app]\nuser = \"{user}\"\n[identity]\nusers = [{{ name = \"oracle\", uid = 54321 }}]\n")
    };
    assert_eq!(told(&text("orcale")), ["2 there is no user `orcale`"]);
    assert_eq!(told(&text("oracle:dba")), ["2 there is no group `dba`"]);
    for right in ["oracle", "54321", "oracle:oracle", "root", "7:8", ""] {
        is_taken(&text(right));
    }
}

#[test]
fn a_user_without_a_name_or_a_number_is_refused() {
    let text = "[identity]\nusers = [{ uid = 1 }, { name = \"a\" }]\ngroups = [{ name = \"b\" }]\n";
    let told = told(text);
    assert_eq!(told, ["2 `users` has no `name`", "2 `users` has no `uid`", "3 `groups` has no `gid`"]);
}

/// An interface of the host's that is not the loopback.
fn card() -> Option<String> {
    let all = std::fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    all.filter_map(|entry| entry.file_name().into_string().ok()).find(|name| name != "lo")
}

#[test]
fn an_address_that_no_card_can_have_is_refused() {
    let Some(card) = card() else { return };
    let text = |address: &str| format!("[identity]\nmac = {{ \"{card}\" = \"{address}\" }}\n");
    for wrong in [
        "",
        "00:50:56:aa:bb",
        "00:50:56:aa:bb:cc:dd",
        "00-50-56-aa-bb-cc",
        "0:50:56:aa:bb:cc",
        "00:50:56:aa:bb:cg",
        "00:00:00:00:00:00",
        "01:50:56:aa:bb:cc",
        "+0:50:56:aa:bb:cc",
    ] {
        let told = told(&text(wrong));
        assert_eq!(told, [format!("2 `mac` cannot be {wrong:?}")]);
    }
    is_taken(&text("00:50:56:AA:bb:cc"));
    assert_eq!(
        told("[identity]\nmac = { none7 = \"00:50:56:aa:bb:cc\" }\n"),
        ["2 the host has no network interface `none7`"]
    );
}

#[test]
fn interfaces_have_one_name_each_and_the_host_has_them() {
    let Some(card) = card() else { return };
    for (said, expected) in [
        (
            format!("old0 = \"{card}\", old1 = \"{card}\""),
            format!("2 a second name for the network interface `{card}`"),
        ),
        ("old0 = \"none7\"".into(), "2 the host has no network interface `none7`".into()),
        ("old0 = \"lo\"".into(), "2 `lo` cannot have another name".into()),
        (format!("lo = \"{card}\""), "2 a network interface cannot be called \"lo\"".into()),
        (format!("\"a:b\" = \"{card}\""), "2 a network interface cannot be called \"a:b\"".into()),
        (
            format!("sixteen-letters-x = \"{card}\""),
            "2 a network interface cannot be called \"sixteen-letters-x\"".into(),
        ),
    ] {
        assert_eq!(told(&format!("[identity]\ninterfaces = {{ {said} }}\n")), [expected]);
    }
    is_taken(&format!(
        "[identity]\ninterfaces = {{ old0 = \"{card}\" }}\nmac = {{ old0 = \"00:50:56:aa:bb:cc\" }}\n"
    ));
    let renamed = format!(
        "[identity]\ninterfaces = {{ old0 = \"{card}\" }}\nmac = {{ {card} = \"00:50:56:aa:bb:cc\" }}\n"
    );
    assert_eq!(told(&renamed), [format!("3 the application has no network interface `{card}`")]);
}

#[test]
fn a_machine_has_processors_and_memory_that_can_be() {
    for wrong in ["0", "-1", "1025"] {
        assert_eq!(told(&format!("[identity]\ncpus = {wrong}\n")), [format!("2 `cpus` cannot be {wrong}")]);
    }
    for wrong in
        ["", "8", "8GB", "8 GiB", "-1GiB", "+1GiB", "1.5GiB", "0GiB", "15MiB", "2048TiB", "99999999999TiB"]
    {
        let told = told(&format!("[identity]\nmemory = \"{wrong}\"\n"));
        assert_eq!(told, [format!("2 `memory` cannot be {wrong:?}")]);
    }
    is_taken("[identity]\ncpus = 1024\nmemory = \"16MiB\"\n");
}

#[test]
fn users_of_a_root_are_there_beside_the_policys() {
    let root = tempfile::tempdir().expect("the temporary directory is writable");
    std::fs::create_dir(root.path().join("etc")).expect("a fresh directory");
    let write =
        |name: &str, text: &str| std::fs::write(root.path().join(name), text).expect("it is writable");
    write(
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33:www:/var/www:/bin/sh\noracle:x:7:7::/old:/bin/sh\n\
         taken:x:54321:1::/:/bin/sh\nbroken:x\n",
    );
    write("etc/group", "root:x:0:\nwww-data:x:33:oracle\ndba:x:9:\n");
    let text = format!(
        "[identity]\nusers = [{{ name = \"oracle\", uid = 54321 }}]\ngroups = [{{ name = \"dba\", gid = 54322 }}]\n\
         [app]\nuser = \"www-data\"\n[[mount]]\nat = \"/\"\nsource = \"{}\"\n",
        root.path().display()
    );
    let policy = parse(Path::new("/p/app.toml"), &text, &|_| None).expect("it is right");
    let users = policy.identity.users.expect("it says who there is").value;
    assert_eq!(
        users.passwd(),
        "root:x:0:0:root:/root:/bin/bash\noracle:x:54321:54321::/:/bin/sh\nwww-data:x:33:33:www:/var/www:/bin/sh\n\
         nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
    );
    assert_eq!(
        users.group(),
        "root:x:0:\ndba:x:54322:\nwww-data:x:33:oracle\noracle:x:54321:\nnogroup:x:65534:\n"
    );
}
