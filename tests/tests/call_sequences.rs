//! Libc calls that go by the ones before them, in a view and among the kernel's own mounts: the working directory, listings,
//! sockets, children.

use tests::calls::world;

#[test]
fn the_working_directory_is_an_app_path() {
    world("cwd").same_calls(
        "chdir @/rw
        getcwd
        getcwd_null
        getcwd_small
        __getcwd_chk
        get_current_dir_name
        open file RDONLY
        open ./sub/deep RDONLY
        open abs RDONLY
        open ../ro/file RDONLY
        open ../etc/app.conf RDONLY
        open nested/inner RDONLY
        stat ..
        realpath .
        realpath ..
        realpath sub/../file
        opendir .
        chdir sub
        getcwd
        open ../file RDONLY
        open ../../plain/file RDONLY
        chdir ..
        getcwd
        chdir nested
        getcwd
        open inner WRONLY
        open ../file RDONLY
        chdir ..
        chdir subdir
        getcwd
        fchdir @/ro
        getcwd
        open file RDONLY
        open made WRONLY|CREAT
        mkdir made
        unlink file
        chmod file 0600
        chdir absdir
        getcwd
        open deep RDONLY
        chdir @/etc
        getcwd
        open app.conf RDONLY
        open passwd RDONLY
        open ../rw/file RDONLY
        opendir .
        chdir @/secret
        chdir @/rw/file
        chdir @/missing
        chdir /
        getcwd",
    );
}

#[test]
fn a_working_directory_that_is_gone_still_has_a_way_out() {
    let lines = |top: &str, first: &str| {
        format!(
            "chdir {top}
            mkdir gone
            chdir gone
            {first}
            rmdir {top}/gone
            getcwd
            open ../file RDONLY
            open file RDONLY
            open made WRONLY|CREAT
            stat .
            stat ..
            realpath ..
            mkdir ../made
            chdir ..
            getcwd
            open file RDONLY
            opendir .
        "
        )
    };
    world("gone").same_calls(
        &(lines("@/rw", "getcwd")
            + &lines("@/plain", "")
            + &lines("@/rw/sub", "stat .")
            + &lines("@/plain", "stat .")),
    );
}

#[test]
fn a_slash_after_a_link_follows_it_in_the_view() {
    let calls = ["stat", "lstat", "access", "statfs", "opendir", "chmod", "utimes", "realpath"];
    let mut lines = String::from("symlink @/ro @/rw/to-ro\nsymlink ../ro @/rw/sub/up-ro\nchdir @/rw\n");
    for call in calls {
        let rest = match call {
            "access" => "R",
            "chmod" => "0700",
            "utimes" => "5",
            _ => "",
        };
        for path in
            ["@/rw/to-ro/", "to-ro/", "to-ro//", "@/rw/subdir/", "@/ro/absdir/", "abs/", "dangling/", "loop/"]
        {
            lines += &format!("{call} {path} {rest}\n");
        }
    }
    for call in ["rmdir", "unlink", "mkdir"] {
        for path in ["@/rw/to-ro/", "subdir/", "dangling/"] {
            lines += &format!("{call} {path}\n");
        }
    }
    lines += "mkdir empty\nsymlink empty to-empty\nrmdir @/rw/../rw/to-empty/\nstat empty\n";
    world("slash").same_calls(&lines);
}

#[test]
fn listings_show_mount_points_and_no_hidden_names() {
    world("list").same_calls(
        "opendir @/etc
        fdopendir @/etc
        rewinddir @/etc
        scandir @/etc
        opendir @/rw
        opendir @/rw/nested
        opendir @/ro
        opendir @/ro/absdir
        opendir @/rw/file
        opendir @/secret
        scandir @
        scandir @/rw
        glob @/*
        glob @/etc/*
        glob @/*/file
        glob @/rw/n*/*
        glob @/secret/*
        nftw @/rw 1
        nftw @/ro 1
        nftw @/etc 1",
    );
}

#[test]
fn unix_sockets_bear_the_names_that_the_program_gave_them() {
    world("socket").same_calls(
        "socket @/rw/s
        socket @/rw/sub/s
        socket @/ro/s
        socket @/plain/s
        socket @/missing/s
        socket @/rw/s
        datagram @/rw/a @/rw/b
        datagram @/rw/sub/a @/plain/b
        stat @/rw/s",
    );
}

#[test]
fn bad_pointers_are_the_kernels_to_refuse() {
    world("pointers").same_calls(
        "bad_open 0
        bad_open 1
        bad_open 0xdeadbeef
        bad_open 0xffffffffffffffff
        bad_open 0x7ffffffffff0
        bad_stat 1
        bad_stat 0xdeadbeef000
        bad_page",
    );
}

#[test]
fn temporary_names_are_made_in_the_view() {
    world("temporary").same_calls(
        "mkstemp @/rw/tXXXXXX
        mkstemp @/ro/tXXXXXX
        mkstemp @/rw/bad
        mkdtemp @/rw/dXXXXXX
        mkdtemp @/missing/dXXXXXX",
    );
}

#[test]
fn names_may_hold_any_byte() {
    let long = "n".repeat(255);
    let too_long = "n".repeat(256);
    let deep = "d/".repeat(2000);
    world("names").same_calls(&format!(
        "write @/rw/a%0ab%20c hello
        open @/rw/a%0ab%20c RDONLY
        write @/rw/%ff%fe%80 bytes
        open @/rw/%ff%fe%80 RDONLY
        opendir @/rw
        write @/rw/{long} long
        open @/rw/{long} RDONLY
        open @/rw/{too_long} RDONLY
        open @/rw/{deep}x RDONLY
        open @/rw/{deep}{deep}x RDONLY
        open @/rw/./././././file RDONLY"
    ));
}

#[test]
fn children_run_in_the_same_view() {
    world("children").same_calls(
        "system cat%20@/etc/app.conf
        system exit%203
        popen cat%20@/rw/file%20@/ro/file
        exec: /bin/cat @/etc/app.conf
        exec:v /bin/cat @/etc/app.conf
        exec:p cat @/etc/app.conf
        exec:l /bin/cat @/etc/app.conf @/rw/file
        exec:L cat @/etc/app.conf
        exec:E /bin/cat @/etc/app.conf @/ro/file
        exec:e /bin/cat @/etc/app.conf
        exec:a /bin/cat @/etc/app.conf
        exec:f /bin/cat @/etc/app.conf
        exec:p nonexistent x
        exec: @/rw/file x
        exec: @/missing x",
    );
}
