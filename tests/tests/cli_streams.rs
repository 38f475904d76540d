//! Standard streams that are closed, full or read by nobody, and files that are no files.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, Output, Stdio};

use tests::images::must;
use tests::instances::{ROOT, Site, until};

/// Has a command begin with a signal of pipes that does what this says.
fn with_pipes(command: &mut Command, action: libc::sighandler_t) -> &mut Command {
    // SAFETY: signal(2) may be called between fork(2) and execve(2).
    unsafe {
        command.pre_exec(move || {
            libc::signal(libc::SIGPIPE, action);
            Ok(())
        })
    }
}

/// Has a command begin without one of its streams.
fn without(command: &mut Command, stream: i32) -> &mut Command {
    // SAFETY: close(2) may be called between fork(2) and execve(2).
    unsafe {
        command.pre_exec(move || {
            libc::close(stream);
            Ok(())
        })
    }
}

/// A pipe that nobody reads.
fn unread() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("there are descriptors");
    drop(reader);
    writer.into()
}

fn full() -> Stdio {
    File::options().write(true).open("/dev/full").expect("it is there").into()
}

/// The words, given up after some seconds.
fn in_time(site: &Site, words: &[&str]) -> Output {
    let launcher = site.command(words);
    let mut command = Command::new("timeout");
    command
        .arg("10")
        .arg(launcher.get_program())
        .args(words)
        .envs(launcher.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(&site.dir).output().expect("timeout runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_message_that_nobody_hears_changes_no_exit_status() {
    let site = Site::new("unheard");
    site.policy("unheard", ROOT);
    let commands: [(&[&str], i32); 4] = [
        (&["--policy", "missing.toml", "x"], 125),
        (&["image", "show", "missing"], 125),
        (&["--policy", "unheard.toml", "/bin/missing"], 127),
        (&["run", "--verbose", "--policy", "unheard.toml", "/bin/sh", "-c", "exit 3"], 3),
    ];
    for (words, status) in commands {
        for stream in [unread(), full()] {
            let mut command = site.command(words);
            let ended = with_pipes(command.stderr(stream), libc::SIG_IGN).status().expect("it runs");
            assert_eq!(ended.code(), Some(status), "{words:?}: {ended:?}");
        }
        let ended = without(&mut site.command(words), 2).status().expect("it runs");
        assert_eq!(ended.code(), Some(status), "{words:?}: {ended:?}");
    }
}

#[test]
fn an_answer_that_cannot_be_written_is_an_error_and_one_that_is_not_read_is_none() {
    let site = Site::new("unwritten");
    site.policy("unwritten", ROOT);
    site.good(&["create", "-p", "unwritten.toml", "/bin/true"]);
    site.good(&["run", "--detach", "-p", "unwritten.toml", "/bin/sh", "-c", "echo said"]);
    until("it has ended", || !text(&site.run(&["ps", "--json"]).stdout).contains("unwritten"));
    let commands: [&[&str]; 8] = [
        &["ps"],
        &["ps", "--all", "--json"],
        &["image", "ls"],
        &["schema"],
        &["check", "-p", "missing.toml", "--json"],
        &["logs", "unwritten"],
        &["cp", "unwritten:/etc", "-"],
        &["export", "unwritten"],
    ];
    for words in commands {
        let is_export = words[0] == "export";
        let on_full = site.command(words).stdout(full()).output().expect("it runs");
        assert_eq!(on_full.status.code(), Some(125), "{words:?}");
        assert!(text(&on_full.stderr).contains("No space left on device"), "{words:?}: {on_full:?}");
        let closed = without(&mut site.command(words), 1).output().expect("it runs");
        assert_eq!(closed.status.code(), Some(125), "{words:?}");
        assert!(text(&closed.stderr).contains("Bad file descriptor"), "{words:?}: {closed:?}");
        let mut command = site.command(words);
        let ended = with_pipes(command.stdout(unread()), libc::SIG_DFL).output().expect("it runs");
        assert_eq!(ended.status.signal(), Some(libc::SIGPIPE), "{words:?}: {ended:?}");
        assert!(ended.stderr.is_empty(), "{words:?}: {ended:?}");
        // What is cut off is not whole, whoever does not read it.
        let mut command = site.command(words);
        let ended = with_pipes(command.stdout(unread()), libc::SIG_IGN).output().expect("it runs");
        let is_cut = is_export || words[0] == "cp";
        let status = if is_cut { 125 } else { i32::from(words[0] == "check") };
        assert_eq!(ended.status.code(), Some(status), "{words:?}: {ended:?}");
        assert_eq!(ended.stderr.is_empty(), !is_cut, "{words:?}: {ended:?}");
    }
    for word in ["--help", "--version"] {
        let on_full = site.command(&[word]).stdout(full()).output().expect("it runs");
        assert_eq!(on_full.status.code(), Some(125), "{word}");
        assert!(text(&on_full.stderr).contains("No space left on device"), "{word}: {on_full:?}");
    }
}

#[test]
fn a_stream_that_is_closed_is_closed_for_the_program() {
    let site = Site::new("closed");
    site.policy("closed", ROOT);
    for stream in 0..3 {
        let mut command = site.command(&[
            "--policy",
            "closed.toml",
            "/bin/sh",
            "-c",
            "test -e /proc/self/fd/$0 && ls -l /proc/self/fd > /tmp/open; test ! -e /tmp/open",
            &stream.to_string(),
        ]);
        let ended = without(&mut command, stream).status().expect("it runs");
        assert_eq!(ended.code(), Some(0), "{stream}");
    }
}

#[test]
fn what_is_neither_a_file_nor_a_directory_is_refused_by_an_import() {
    let site = Site::new("no-file");
    must("sh", &["-ec", "mkfifo fifo; tar cf image.tar -C root ."], &site.dir);
    let _socket = std::os::unix::net::UnixListener::bind(site.dir.join("socket")).expect("it is free");
    let refused = |words: &[&str], why: &str| {
        let ended = in_time(&site, words);
        assert_eq!(ended.status.code(), Some(125), "{words:?}: {ended:?}");
        assert!(text(&ended.stderr).contains(why), "{words:?}: {ended:?}");
    };
    for (file, why) in [("fifo", "fifo is a pipe"), ("socket", "is a socket"), ("/dev/zero", "is a device")] {
        for source in [file.to_owned(), format!("docker-archive:{file}"), format!("oci-archive:{file}")] {
            refused(&["image", "import", "--name", "none", &source], why);
            refused(&["image", "import", "--name", "none", &source], "write it to a file first");
        }
    }
    for (file, why) in [("socket", "is a socket"), ("/dev/zero", "is a device"), ("root", "is a directory")] {
        refused(&["import", file], why);
        refused(&["import", file], "or - for standard input");
    }
    for file in ["fifo", "socket", "/dev/zero"] {
        let ended =
            in_time(&site, &["doctor", &format!("{}/{file}", if file.starts_with('/') { "" } else { "." })]);
        assert!(text(&ended.stdout).contains("and no program"), "{file}: {ended:?}");
    }
}

#[test]
fn whoever_waits_for_the_writer_of_a_fifo_says_so_and_reads_what_comes() {
    let site = Site::new("fifo");
    let policy = site.policy("fifo", ROOT);
    site.good(&["create", "-p", "fifo.toml", "/bin/true"]);
    let exported = site.run(&["export", "fifo"]);
    assert!(exported.status.success(), "{exported:?}");
    let policy = fs::read(policy).expect("it is ours");
    must("mkfifo", &["pipe"], &site.dir);
    let commands: [(&[&str], &[u8]); 3] = [
        (&["check", "-p", "pipe"], &policy),
        (&["run", "-p", "pipe", "/bin/true"], &policy),
        (&["import", "pipe", "--name", "other"], &exported.stdout),
    ];
    for (words, bytes) in commands {
        let mut command = site.command(words);
        let mut child = command.stderr(Stdio::piped()).spawn().expect("it runs");
        let said = "launcher: pipe is a FIFO: waiting for what is written to it\n";
        let mut heard = vec![0; said.len()];
        child.stderr.as_mut().expect("it is piped").read_exact(&mut heard).expect("it says something");
        assert_eq!(text(&heard), said, "{words:?}");
        fs::write(site.dir.join("pipe"), bytes).expect("somebody reads");
        let ended = child.wait_with_output().expect("it ends");
        assert!(ended.status.success() && ended.stderr.is_empty(), "{words:?}: {ended:?}");
    }
}

#[test]
fn a_shells_process_substitution_is_a_file_to_be_read() {
    let site = Site::new("substituted");
    site.policy("substituted", &ROOT.replace("\"root\"", &format!("{:?}", site.dir.join("root"))));
    let launcher = tests::launcher();
    let launcher = launcher.display();
    let script = format!(
        "set -e; exec 2>&1; {launcher} check -p <(cat substituted.toml)\n\
         {launcher} run -p <(sleep 0.3; cat substituted.toml) --name x /bin/echo ran\n\
         {launcher} create -p substituted.toml /bin/true\n\
         {launcher} export substituted > file; {launcher} import <(cat file) --name other\n\
         {launcher} check -p <(true) || echo $?; {launcher} import <(true) || echo $?; {launcher} import - < file --name third"
    );
    let mut command = site.command(&[]);
    let environment: Vec<_> =
        command.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect();
    command = Command::new("timeout");
    let words = ["60", "bash", "-c", &script];
    let ended = command.args(words).env_clear().envs(environment).current_dir(&site.dir).output();
    let said = text(&ended.expect("bash runs").stdout);
    assert!(said.contains("\nran\n") && said.contains("other\t") && said.contains("third\t"), "{said}");
    assert!(!said.contains("waiting"), "{said}");
}
