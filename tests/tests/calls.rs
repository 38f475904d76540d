//! Every family of libc calls, asked of each of a list of paths, in a view and among the kernel's own mounts.

use tests::calls::world;

/// The same but for what is hidden: to the kernel it is merely missing, and can
/// be made.
fn each_but_hidden(call: &str, rest: &str) -> String {
    each(call, rest)
        .lines()
        .filter(|line| !line.contains("/secret"))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// One line for each of a list of paths.
fn each(call: &str, rest: &str) -> String {
    let paths = [
        "rw",
        "rw/",
        "rw/file",
        "rw/file/",
        "rw/file/x",
        "rw/missing",
        "rw/missing/x",
        "rw/sub/deep",
        "rw/abs",
        "rw/rel",
        "rw/subdir/deep",
        "rw/outside",
        "rw/loop",
        "rw/dangling",
        "rw/up/plain/file",
        "rw/../ro/file",
        "rw/sub/../file",
        "rw/subdir/../file",
        "rw/nested",
        "rw/nested/inner",
        "rw/sub/..",
        "rw/.",
        "rw/./file",
        "rw//file",
        "ro",
        "ro/file",
        "ro/absdir/deep",
        "ro/absdir/../file",
        "ro/missing",
        "etc",
        "etc/app.conf",
        "etc/app.conf/",
        "etc/passwd",
        "etc/../rw/file",
        "plain/file",
        "plain/../ro/file",
        "secret",
        "secret/key",
        "missing",
        "",
    ];
    paths.iter().map(|path| format!("{call} @/{path} {rest}\n")).collect()
}

#[test]
fn opening_answers_as_the_kernel_does() {
    for (index, flags) in [
        "RDONLY",
        "WRONLY",
        "RDWR",
        "RDONLY|DIRECTORY",
        "RDONLY|NOFOLLOW",
        "PATH|NOFOLLOW",
        "RDONLY|TRUNC",
        "WRONLY|APPEND",
    ]
    .iter()
    .enumerate()
    {
        world(&format!("open-{index}")).same_calls(&each("open", flags));
    }
}

#[test]
fn creating_answers_as_the_kernel_does() {
    for (index, flags) in
        ["RDWR|CREAT", "RDWR|CREAT|EXCL", "RDONLY|CREAT", "RDWR|TMPFILE", "WRONLY|CREAT|TRUNC"]
            .iter()
            .enumerate()
    {
        let lines =
            each_but_hidden("open", flags) + "open @/rw/dangling-here WRONLY|CREAT\nstat @/rw/new-target\n";
        world(&format!("create-{index}")).same_calls(&lines);
    }
}

#[test]
fn every_spelling_of_open_goes_by_the_view() {
    let calls: String =
        ["open", "open64", "__open_2", "__open64_2", "__openat_2", "__openat64_2", "sys_open", "sys_openat"]
            .iter()
            .map(|call| {
                format!("{call} @/rw/file RDONLY\n{call} @/ro/file WRONLY\n{call} @/etc/app.conf RDONLY\n")
            })
            .collect();
    let more = "
        openat @ rw/file RDONLY
        openat @/rw file RDONLY
        openat @/rw sub/deep RDONLY
        openat @/rw subdir/deep RDONLY
        openat @/rw abs RDONLY
        openat @/rw nested/inner RDONLY
        openat @/rw ../ro/file RDONLY
        openat @/rw .. RDONLY
        openat @/rw/sub ../../etc/app.conf RDONLY
        openat @/ro new RDWR|CREAT
        openat @/etc app.conf RDONLY
        openat @/etc passwd RDONLY
        openat @/plain ../rw/file RDONLY
        openat2 @/rw/file RDONLY 0
        openat2 @/rw/abs RDONLY 0
        openat2 @/rw/abs RDONLY 4
        openat2 @/ro/file RDWR 0
        openat2 @/etc/app.conf RDONLY 0
        creat @/rw/made
        creat @/ro/made
        fopen @/rw/file r
        fopen @/ro/file r+
        fopen @/rw/fresh w
        fopen @/rw/fresh wx
        fopen @/rw/abs re
        fopen @/etc/app.conf r
        fopen @/secret/key r
        freopen @/etc/app.conf r
        freopen @/rw/missing r
    ";
    world("spellings").same_calls(&(calls + more));
}

#[test]
fn looking_answers_as_the_kernel_does() {
    let calls = [
        ("stat", ""),
        ("lstat", ""),
        ("__xstat", ""),
        ("__lxstat", ""),
        ("__fxstatat", "0"),
        ("statx", "0"),
        ("statx", "NOFOLLOW_AT"),
        ("access", "R"),
        ("access", "W"),
        ("access", "F"),
        ("access", "X"),
        ("euidaccess", "W"),
        ("readlink", ""),
        ("statfs", ""),
        ("statvfs", ""),
        ("pathconf", ""),
        ("inotify", ""),
    ];
    for (index, (call, rest)) in calls.iter().enumerate() {
        world(&format!("look-{index}")).same_calls(&each(call, rest));
    }
}

#[test]
fn canonical_paths_are_app_paths() {
    for (index, call) in
        ["realpath", "realpath_null", "__realpath_chk", "canonicalize_file_name"].iter().enumerate()
    {
        world(&format!("realpath-{index}")).same_calls(&each(call, ""));
    }
}

#[test]
fn taking_names_away_answers_as_the_kernel_does() {
    for (index, call) in ["unlink", "rmdir", "remove"].iter().enumerate() {
        world(&format!("remove-{index}")).same_calls(&each(call, ""));
    }
    world("unlinkat").same_calls(
        "unlinkat @/rw file 0
        unlinkat @/rw sub 0
        unlinkat @/rw sub REMOVEDIR
        unlinkat @/rw nested REMOVEDIR
        unlinkat @/etc app.conf 0
        unlinkat @/ro file 0
        unlinkat @/ro missing 0",
    );
}

#[test]
fn making_names_answers_as_the_kernel_does() {
    for (index, (call, rest)) in [("mkdir", ""), ("mkfifo", ""), ("mknod", "")].iter().enumerate() {
        world(&format!("make-{index}")).same_calls(&each_but_hidden(call, rest));
    }
    world("symlink").same_calls(
        "symlink @/ro/file @/rw/made
        open @/rw/made RDONLY
        readlink @/rw/made
        symlink x @/rw/file
        symlink x @/ro/made
        symlink x @/ro/file
        symlink ../etc/app.conf @/rw/conf
        open @/rw/conf RDONLY
        symlink x @/etc/app.conf
        symlink x @/missing/x",
    );
}

#[test]
fn renaming_and_linking_answer_as_the_kernel_does() {
    world("rename").same_calls(
        "rename @/rw/file @/rw/moved
        stat @/rw/file
        open @/rw/moved RDONLY
        rename @/rw/moved @/ro/moved
        rename @/rw/moved @/plain/moved
        rename @/plain/file @/rw/file
        rename @/ro/file @/ro/moved
        rename @/ro/missing @/ro/moved
        rename @/rw/nested @/rw/other
        rename @/rw/nested/inner @/rw/inner
        rename @/etc/state.conf @/etc/other.conf
        rename @/etc/passwd @/etc/state.conf
        rename @/rw/sub @/rw/newsub
        open @/rw/newsub/deep RDONLY
        open @/rw/subdir/deep RDONLY
        symlink newsub @/rw/sub
        open @/rw/sub/deep RDONLY
        rename @/rw/missing @/rw/x
        renameat2 @/rw/moved @/rw/abs EXCHANGE
        open @/rw/abs RDONLY
        renameat2 @/rw/abs @/rw/rel NOREPLACE
        sys_renameat2 @/rw/abs @/rw/fresh NOREPLACE
        open @/rw/fresh RDONLY",
    );
    world("link").same_calls(
        "link @/rw/file @/rw/hard
        stat @/rw/hard
        link @/rw/file @/ro/hard
        link @/rw/file @/plain/hard
        link @/plain/file @/rw/hard2
        link @/ro/file @/ro/hard
        link @/rw/abs @/rw/hardlink
        lstat @/rw/hardlink
        linkat @/rw/rel @/rw/followed FOLLOW_AT
        lstat @/rw/followed
        link @/rw/missing @/rw/x
        link @/rw/file @/rw/sub
        link @/rw/sub @/rw/x",
    );
}

#[test]
fn a_directory_that_was_replaced_by_a_link_is_not_believed_in() {
    world("replaced").same_calls(
        "open @/rw/sub/deep RDONLY
        stat @/rw/sub/deep
        rename @/rw/sub @/rw/gone
        symlink @/ro/sub @/rw/sub
        open @/rw/sub/deep RDONLY
        stat @/rw/sub/deep
        chmod @/rw/sub/deep 0600
        unlink @/rw/sub
        mkdir @/rw/sub
        stat @/rw/sub/deep",
    );
}

#[test]
fn changing_files_answers_as_the_kernel_does() {
    let calls = [
        ("chmod", "0600"),
        ("chown", "1 1"),
        ("lchown", "1 1"),
        ("truncate", "2"),
        ("utimes", "5"),
        ("utime", "6"),
        ("utimensat", "7 0"),
        ("utimensat", "8 NOFOLLOW_AT"),
        ("setxattr", "user.a b"),
        ("getxattr", "user.a"),
        ("removexattr", "user.a"),
    ];
    for (index, (call, rest)) in calls.iter().enumerate() {
        let after = each("lstat", "");
        world(&format!("change-{index}")).same_calls(&(each(call, rest) + &after));
    }
}

#[test]
fn an_ordinary_user_is_refused_what_the_kernel_refuses() {
    for (index, (call, rest)) in
        [("open", "WRONLY"), ("access", "W"), ("chmod", "0755"), ("chown", "0 0"), ("unlink", "")]
            .iter()
            .enumerate()
    {
        world(&format!("user-{index}")).as_user(65534).same_calls(&each(call, rest));
    }
}
