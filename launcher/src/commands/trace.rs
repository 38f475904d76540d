//! `launcher trace`: run a program, and tell what it asks for and gets.
//!
//! Here the launcher stays, as the program's parent: it reads the ring that
//! the program's processes write to, until the last of what it started is
//! done. Its exit status is the program's.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use elements::Errno;
use elements::trace::{Event, LEN, QUERY, REPLY, Ring, TRUNCATED};
use rustix::mm::{MapFlags, ProtFlags};
use rustix::process::{Pid, WaitOptions, waitpid};
use serde_json::json;

use super::explain::symbol;
use crate::FAILED;
use crate::cli::Trace;
use crate::instance::Placed;
use crate::output::say;
use crate::prepare::{Asked, Ready, prepare};

/// How often the ring is looked at.
const PERIOD: Duration = Duration::from_millis(2);
/// How long a record may take to be finished before it is given up.
const PATIENCE: Duration = Duration::from_secs(1);

/// Runs a program and prints what it asks for.
pub fn trace(asked: &Trace) -> Result<u8> {
    let out: Box<dyn Write> = match &asked.output {
        Some(path) => {
            let file =
                std::fs::File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
            Box::new(std::io::BufWriter::new(file))
        }
        None => Box::new(std::io::LineWriter::new(std::io::stderr())),
    };
    let wanted =
        Asked { policy: &asked.policy.policy, name: None, keeps: false, traces: true, program: None };
    let Some(ready) = prepare(wanted)? else { return Ok(FAILED) };
    let ring = make_ring(&ready.placed)?;
    // SAFETY: this process has one thread.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let Ready { placed, held, .. } = &ready;
        let done = super::run::start(placed, held.as_ref(), &asked.program, asked.door, false, None);
        let failed = done.unwrap_or_else(|error| {
            say!("launcher: {error:#}");
            FAILED
        });
        std::process::exit(i32::from(failed))
    }
    // What is held is the child's alone from here on, until it is the program.
    let placed = ready.let_go();
    let status = match child {
        -1 => Err(std::io::Error::last_os_error()).context("cannot start a process"),
        child => follow(child, ring, &placed, Printer::new(asked, out)),
    };
    // The processes have it mapped; nobody needs its names any more.
    let _ = std::fs::remove_dir_all(&placed.dir);
    status
}

/// Makes the ring's file and maps it.
fn make_ring(placed: &Placed) -> Result<&'static Ring> {
    let path = placed.dir.join("trace");
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("cannot create {}", path.display()))?;
    file.write_all_at(&[0], LEN as u64 - 1).with_context(|| format!("cannot fill {}", path.display()))?;
    let both = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a fresh mapping as long as the file, never taken away; a ring
    // is made of atomics, and zeros are an empty one.
    unsafe {
        let address = rustix::mm::mmap(std::ptr::null_mut(), LEN, both, MapFlags::SHARED, &file, 0)
            .with_context(|| format!("cannot map {}", path.display()))?;
        Ok(&*address.cast::<Ring>())
    }
}

/// Reads events until the child has ended, and gives its status.
fn follow(child: i32, ring: &Ring, placed: &Placed, mut printer: Printer) -> Result<u8> {
    // The terminal sends these to the program as well: its answer is ours.
    for signal in [libc::SIGINT, libc::SIGQUIT] {
        // SAFETY: ignoring a signal runs no code.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    let child = Pid::from_raw(child).context("the program has no process id")?;
    let mut last = Instant::now();
    loop {
        let ended = waitpid(Some(child), WaitOptions::NOHANG).context("cannot wait for the program")?;
        let mut error = None;
        while ring.read(&mut |event| error = printer.print(event).err().or(error.take())).is_some() {
            last = Instant::now();
        }
        if let Some(error) = error {
            return Err(error).context("cannot write the trace");
        }
        if let Some((_, status)) = ended {
            let covered = placed.checked_in().context("cannot read the instance's view")?;
            printer.finish(ring.lost(), covered).context("cannot write the trace")?;
            let signal = status.terminating_signal().map(|signal| 128 + signal);
            let code = status.exit_status().or(signal).unwrap_or(i32::from(FAILED));
            return Ok(u8::try_from(code).unwrap_or(FAILED));
        }
        if last.elapsed() > PATIENCE {
            ring.skip_unfinished();
            last = Instant::now();
        }
        std::thread::sleep(PERIOD);
    }
}

/// What is counted for the summary, by deciding line.
#[derive(Default)]
struct Count {
    calls: u64,
    errors: u64,
}

struct Printer {
    json: bool,
    all: bool,
    file: String,
    out: Box<dyn Write>,
    counts: BTreeMap<(u32, &'static str), Count>,
}

impl Printer {
    fn new(asked: &Trace, out: Box<dyn Write>) -> Printer {
        let file = asked.policy.policy.display().to_string();
        Printer { json: asked.json, all: asked.all, file, out, counts: BTreeMap::new() }
    }

    fn print(&mut self, event: &Event<'_>) -> std::io::Result<()> {
        let call = name(event.number);
        let count = self.counts.entry((event.line, call)).or_default();
        count.calls += 1;
        count.errors += u64::from(event.result.is_err());
        if !event.touched && event.line == 0 && !self.all {
            return Ok(());
        }
        let text = |bytes: &[u8]| {
            String::from_utf8_lossy(std::ffi::OsStr::from_bytes(bytes).as_bytes()).into_owned()
        };
        let (app, host) = (text(event.app), text(event.host));
        if matches!(event.number, QUERY | REPLY) {
            return self.print_asked(event, &app, &host);
        }
        let errno = event.result.err();
        if self.json {
            let line = json!({
                "pid": event.pid, "call": call, "app": app, "host": host, "file": self.file,
                "line": event.line, "result": event.result.ok(), "error": errno.map(symbol),
            });
            return writeln!(self.out, "{line}");
        }
        let rule = self.rule(event.line);
        let result = match (event.result, errno) {
            (Ok(value), _) => value.to_string(),
            (Err(_), Some(errno)) => symbol(errno),
            (Err(Errno(number)), None) => number.to_string(),
        };
        let becomes = if app == host || errno.is_some() && host.is_empty() {
            String::new()
        } else {
            format!(" -> {host}")
        };
        // A name may hold what a terminal would take for a command.
        let line = format!("{} {call} {app}{becomes} [{rule}] = {result}", event.pid);
        let line: String = line
            .chars()
            .flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
            .collect();
        writeln!(self.out, "{line}")
    }

    fn rule(&self, line: u32) -> String {
        if line == 0 { "host".to_owned() } else { format!("{}:{line}", self.file) }
    }

    /// What a name server has been asked, or has answered: all of it is text that can be shown.
    fn print_asked(&mut self, event: &Event<'_>, asked: &str, host: &str) -> std::io::Result<()> {
        let (name, kind) = asked.split_once(' ').unwrap_or((asked, ""));
        let mut words = host.split(' ');
        let server = words.next().unwrap_or_default();
        let answers: Vec<_> = words.collect();
        let (call, pid, value) = (self::name(event.number), event.pid, event.result.unwrap_or_default());
        let is_reply = event.number == REPLY;
        if self.json {
            let mut line = json!({
                "pid": pid, "call": call, "app": name, "type": kind, "nameserver": server,
                "file": self.file, "line": event.line,
            });
            if is_reply {
                line["answers"] = json!(answers);
                line["status"] = json!(status(value));
                line["truncated"] = json!(value & TRUNCATED != 0);
            }
            return writeln!(self.out, "{line}");
        }
        let rule = self.rule(event.line);
        if !is_reply {
            return writeln!(self.out, "{pid} {call} {name} {kind} to {server} [{rule}]");
        }
        let becomes = if answers.is_empty() { String::new() } else { format!(" -> {}", answers.join(" ")) };
        let rest = if value & TRUNCATED == 0 { "" } else { ", truncated" };
        writeln!(
            self.out,
            "{pid} {call} {name} {kind} from {server}{becomes} [{rule}] = {}{rest}",
            status(value)
        )
    }

    /// Ends with the summary. `covered` is how many programs have come under the view.
    fn finish(&mut self, lost: u64, covered: u64) -> std::io::Result<()> {
        if self.json {
            let rows: Vec<_> = self
                .counts
                .iter()
                .map(|((line, call), count)| {
                    json!({ "line": line, "call": call, "calls": count.calls, "errors": count.errors })
                })
                .collect();
            writeln!(self.out, "{}", json!({ "summary": rows, "lost": lost, "covered": covered }))?;
            return self.out.flush();
        }
        writeln!(self.out, "\n{:<32} {:<18} {:>8} {:>8}", "rule", "call", "calls", "errors")?;
        for ((line, call), count) in &self.counts {
            let rule = if *line == 0 { "host".into() } else { format!("{}:{line}", self.file) };
            writeln!(self.out, "{rule:<32} {call:<18} {:>8} {:>8}", count.calls, count.errors)?;
        }
        writeln!(self.out, "{covered} program{} ran covered", if covered == 1 { "" } else { "s" })?;
        if lost > 0 {
            writeln!(self.out, "{lost} calls came faster than they could be written down and are not shown")?;
        }
        self.out.flush()
    }
}

/// The code of an answer of DNS (RFC 1035, RFC 2136).
fn status(result: usize) -> String {
    let code = result & !TRUNCATED;
    const CODES: [&str; 11] = [
        "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET",
        "NOTAUTH", "NOTZONE",
    ];
    CODES.get(code).map_or_else(|| code.to_string(), |known| (*known).to_owned())
}

/// The name of a system call that the elements tell of.
fn name(number: i64) -> &'static str {
    macro_rules! names {
        ($($name:ident = $number:ident)*) => {
            match number {
                $(libc::$number => stringify!($name),)*
                452 => "fchmodat2",
                elements::trace::NAME => "getaddrinfo",
                elements::trace::BY_NAME => "gethostbyname",
                elements::trace::BY_ADDRESS => "gethostbyaddr",
                elements::trace::FROM_ADDRESS => "getnameinfo",
                elements::trace::RESOLVED => "res_query",
                QUERY => "query",
                REPLY => "reply",
                _ => "call",
            }
        };
    }
    names! {
        openat = SYS_openat openat2 = SYS_openat2 stat = SYS_newfstatat statx = SYS_statx access = SYS_faccessat2
        readlink = SYS_readlinkat statfs = SYS_statfs getxattr = SYS_getxattr lgetxattr = SYS_lgetxattr
        listxattr = SYS_listxattr llistxattr = SYS_llistxattr setxattr = SYS_setxattr lsetxattr = SYS_lsetxattr
        removexattr = SYS_removexattr lremovexattr = SYS_lremovexattr mkdir = SYS_mkdirat mknod = SYS_mknodat
        symlink = SYS_symlinkat unlink = SYS_unlinkat chmod = SYS_fchmodat chown = SYS_fchownat
        utimens = SYS_utimensat futimesat = SYS_futimesat truncate = SYS_truncate chdir = SYS_chdir
        inotify_add_watch = SYS_inotify_add_watch rename = SYS_renameat2 link = SYS_linkat execve = SYS_execve
        bind = SYS_bind connect = SYS_connect sendto = SYS_sendto sendmsg = SYS_sendmsg
    }
}
