//! What is asked, and what the policy promises as the answer.
//!
//! A row is one or more steps, each a start of a program in the view; their
//! answers, joined by `; `, are held against the promise. To add a row is to add a line:
//! the first word of a step is a program, `{files}` (tests/programs/proof.c) or
//! `{host}` (proof_host.c) most often, the next one its check. A step that begins with
//! `outside` is run on the host itself. The names in braces are those of `world.rs`.

/// What a row is about, and so who claims to serve it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Group {
    /// Files and directories that stand at other paths.
    Paths,
    /// Layers with a write layer over them.
    Union,
    /// That whatever the program starts, and however, is covered too.
    Starts,
    /// The machine's name and make.
    Host,
    /// Users and groups by name.
    Users,
    /// Who the program is, and whose files are.
    Credentials,
    /// The date.
    Time,
    /// Names of hosts and services.
    Names,
    /// Addresses and ports.
    Addresses,
}

use Group::{Addresses, Credentials, Host, Names, Paths, Starts, Time, Union, Users};

impl Group {
    /// All of them, in the order of the table.
    pub const ALL: [Group; 9] = [Paths, Union, Starts, Host, Users, Credentials, Time, Names, Addresses];

    /// What the table calls it.
    pub fn title(self) -> &'static str {
        match self {
            Paths => "files at other paths",
            Union => "layers",
            Starts => "coverage of what is started",
            Host => "the machine",
            Users => "users and groups",
            Credentials => "credentials and ownership",
            Time => "the date",
            Names => "names of hosts",
            Addresses => "addresses and ports",
        }
    }

    /// The policy that its rows run under.
    pub fn policy(self) -> &'static str {
        match self {
            Credentials => "root",
            Time => "time",
            Names | Addresses => "network",
            _ => "plain",
        }
    }
}

/// How the steps of a row are run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    /// One after the other.
    InTurn,
    /// In two instances at the same time, `a` and `b`: the answer of `b` follows that of `a`.
    TwoAtOnce,
}

/// One line of the table.
pub struct Row {
    /// What it is about.
    pub group: Group,
    /// What the table calls it.
    pub name: &'static str,
    /// How its steps are run.
    pub how: How,
    /// What is run.
    pub steps: &'static [&'static str],
    /// What the answers are where the view is served. `{ask}` stands for what the
    /// peer is asked.
    pub promise: &'static str,
}

const fn row(group: Group, name: &'static str, steps: &'static [&'static str], promise: &'static str) -> Row {
    Row { group, name, how: How::InTurn, steps, promise }
}

const fn twice(
    group: Group,
    name: &'static str,
    steps: &'static [&'static str],
    promise: &'static str,
) -> Row {
    Row { group, name, how: How::TwoAtOnce, steps, promise }
}

/// All of them.
pub static ROWS: &[Row] = &[
    row(Paths, "open of a mapped path", &["{files} open {data}/file"], "mapped"),
    row(Paths, "the same by a raw system call", &["{files} raw {data}/file"], "mapped"),
    row(Paths, "the same by fopen", &["{files} fopen {data}/file"], "mapped"),
    row(Paths, "the same by the parent's descriptor", &["{files} parent {app} data/file"], "mapped"),
    row(Paths, "the same from a working directory in it", &["{files} relative {data}/dir ../file"], "mapped"),
    row(Paths, "the same in a thread", &["{files} thread {data}/file"], "mapped"),
    row(Paths, "the same in a signal handler", &["{files} signal {data}/file"], "mapped"),
    row(Paths, "mmap of a mapped file", &["{files} mapping {data}/file"], "mapped"),
    row(Paths, "stat", &["{files} size {data}/file"], "7"),
    row(Paths, "readlink", &["{files} readlink {data}/link"], "file"),
    row(Paths, "an absolute link leads inside", &["{files} open {data}/inside"], "inline"),
    row(Paths, "`..` of a mount point", &["{files} open {data}/../conf"], "inline"),
    row(Paths, "getcwd", &["{files} getcwd {data}/dir"], "{data}/dir"),
    row(Paths, "/proc/self/cwd", &["{files} proc-cwd {data}/dir"], "{data}/dir"),
    row(Paths, "/proc/self/fd", &["{files} proc-fd {data}/file"], "{data}/file"),
    row(Paths, "/proc/self/exe of a mapped program", &["{data}/files exe"], "{data}/files"),
    row(Paths, "realpath", &["{files} realpath {data}/dir/../link"], "{data}/file"),
    row(Paths, "listing", &["{files} names {data}/dir"], "one two"),
    row(Paths, "nftw", &["{files} walk {data}/dir"], "3"),
    row(Paths, "glob", &["{files} glob {data}/dir/*"], "2"),
    row(Paths, "dlopen of a mapped library", &["{files} dlopen {data}/library.so"], "loaded"),
    row(
        Paths,
        "a mapped program by PATH",
        &["{files} start exec-path {data} files open {data}/file"],
        "mapped",
    ),
    row(Paths, "a mapped script and its interpreter", &["{data}/script"], "mapped"),
    row(Paths, "write to a read-only mount", &["{files} write {data}/file more"], "EROFS"),
    row(
        Paths,
        "write to a read-write mount",
        &["{files} write {rw}/new more", "outside {files} open {source}/new"],
        "written; more",
    ),
    row(Paths, "mkstemp in a mount", &["{files} mkstemp {rw}/draftXXXXXX"], "made"),
    row(Paths, "rename out of a mount", &["{files} rename {rw}/file {app}/moved"], "EXDEV"),
    row(Paths, "link out of a mount", &["{files} link {rw}/file {app}/linked"], "EXDEV"),
    row(Paths, "a hidden file", &["{files} open {app}/hidden"], "ENOENT"),
    row(Paths, "a denied file", &["{files} open {app}/denied"], "EACCES"),
    row(
        Paths,
        "listing beside mounts and hidden files",
        &["{files} names {app}"],
        "conf data denied rw scratch union",
    ),
    row(Paths, "the name of a Unix socket", &["{files} socket {rw}/socket"], "{rw}/socket"),
    row(Paths, "inotify", &["{files} inotify {rw} {rw}/made"], "told"),
    twice(Paths, "two instances see their own files", &["{files} open {rw}/instance"], "a; b"),
    row(Union, "read of the base", &["{files} open {union}/file"], "base"),
    row(Union, "the upper layer wins", &["{files} open {union}/both"], "upper"),
    row(Union, "a merged listing", &["{files} names {union}/dir"], "one three two"),
    row(
        Union,
        "copy-up leaves the base alone",
        &["{files} write {union}/file more", "outside {files} size {base}/file"],
        "written; 5",
    ),
    row(
        Union,
        "what is written is there in the next run",
        &["{files} truncate {union}/file", "{files} open {union}/file", "outside {files} open {base}/file"],
        "new; new; base",
    ),
    row(
        Union,
        "deletion of a file of the base",
        &["{files} unlink {union}/file", "{files} open {union}/file", "outside {files} open {base}/file"],
        "ENOENT; ENOENT; base",
    ),
    row(
        Union,
        "a directory removed and made again is empty",
        &["{files} remake {union}/dir", "outside {files} names {base}/dir"],
        "empty:; one two",
    ),
    row(
        Union,
        "rename of a merged directory",
        &[
            "{files} rename {union}/dir {union}/moved",
            "{files} names {union}/moved",
            "{files} names {union}/dir",
        ],
        "renamed; one three two; ENOENT",
    ),
    row(
        Union,
        "rename of a file of the base",
        &[
            "{files} rename {union}/file {union}/moved",
            "{files} open {union}/moved",
            "outside {files} open {base}/file",
        ],
        "renamed; base; base",
    ),
    row(
        Union,
        "chmod of a file of the base",
        &["{files} chmod {union}/file 600", "outside {files} mode {base}/file"],
        "600 {uid}:{uid}; 644 {uid}:{uid}",
    ),
    row(
        Union,
        "a hard link to a file of the base",
        &[
            "{files} link {union}/file {union}/again",
            "{files} open {union}/again",
            "outside {files} names {base}",
        ],
        "linked; base; both dir file",
    ),
    row(Union, "copy-up keeps the inode number", &["{files} same-inode {union}/file"], "same"),
    twice(Union, "two instances write their own", &["{files} shared {union}/shared {instance}"], "a; b"),
    row(Starts, "a dynamic program", &["{ask}"], "{ask}"),
    row(Starts, "a static program", &["{ask-static}"], "{ask}"),
    row(Starts, "a program of another libc (musl)", &["{ask-musl}"], "{ask}"),
    row(Starts, "a set-user-ID program", &["{ask-setuid}"], "{ask}"),
    row(Starts, "exec with an empty environment", &["{files} start exec-bare {ask}"], "{ask}"),
    row(Starts, "`env -i`", &["env -i {ask}"], "{ask}"),
    row(Starts, "clearenv, then exec", &["{files} start clearenv {ask}"], "{ask}"),
    row(Starts, "vfork and exec with an empty environment", &["{files} start vfork {ask}"], "{ask}"),
    row(Starts, "posix_spawn with an empty environment", &["{files} start spawn {ask}"], "{ask}"),
    row(Starts, "fork, exec, fork, exec", &["{files} start fork {files} start fork {ask}"], "{ask}"),
    row(Starts, "exec of a static program", &["{files} start fork {ask-static}"], "{ask}"),
    row(Starts, "a static program starts a dynamic one", &["{files-static} start exec-bare {ask}"], "{ask}"),
    row(Starts, "after all descriptors are closed", &["{files} start closed {ask}"], "{ask}"),
    row(Host, "uname: the name", &["{host} uname"], "erp01"),
    row(Host, "gethostname", &["{host} gethostname"], "erp01"),
    row(Host, "getdomainname", &["{host} getdomainname"], "corp.example"),
    row(Host, "/etc/hostname", &["{files} open /etc/hostname"], "erp01"),
    row(Host, "/proc/sys/kernel/hostname", &["{files} open /proc/sys/kernel/hostname"], "erp01"),
    row(Host, "uname: the kernel's release", &["{host} release"], "{release}"),
    row(Host, "/proc/sys/kernel/osrelease", &["{files} open /proc/sys/kernel/osrelease"], "{release}"),
    row(Host, "gethostid", &["{host} gethostid"], "0a01020f"),
    row(Host, "/etc/machine-id", &["{files} open /etc/machine-id"], "0123456789abcdef0123456789abcdef"),
    row(Host, "/etc/os-release", &["{files} value /etc/os-release ID"], "rhel"),
    row(Host, "the number of processors", &["{host} cpus"], "3"),
    row(Host, "the size of memory", &["{host} memory"], "1536 MiB"),
    row(Users, "getpwnam", &["{host} getpwnam oracle"], "54321 54321 /home/oracle"),
    row(Users, "getpwuid", &["{host} getpwuid 54321"], "oracle"),
    row(Users, "getgrnam", &["{host} getgrnam dba"], "54322 oracle"),
    row(Users, "getgrouplist", &["{host} getgrouplist oracle"], "54321 54322"),
    row(Users, "a user of the host is none here", &["{host} getpwnam games"], "none"),
    row(Users, "/etc/passwd", &["grep -c ^oracle: /etc/passwd"], "1"),
    row(Users, "id(1)", &["id -u oracle"], "54321"),
    row(
        Users,
        "getpwnam of a static program",
        &["{host-static} getpwnam oracle"],
        "54321 54321 /home/oracle",
    ),
    row(Credentials, "getresuid, getresgid", &["{files} ids"], "0 0 0 0 0 0"),
    row(Credentials, "the same by a raw system call", &["{files} raw-ids"], "0 0"),
    row(Credentials, "the same of a static program", &["{files-static} ids"], "0 0 0 0 0 0"),
    row(Credentials, "whoami(1)", &["whoami"], "root"),
    row(
        Credentials,
        "chown, seen by another process",
        &["{files} chown {rw}/file 54321 54322", "{files} mode {rw}/file"],
        "644 54321:54322; 644 54321:54322",
    ),
    row(
        Credentials,
        "an owner survives a rename",
        &[
            "{files} chown {rw}/file 54321 54322",
            "{files} rename {rw}/file {rw}/renamed",
            "{files} mode {rw}/renamed",
        ],
        "644 54321:54322; renamed; 644 54321:54322",
    ),
    row(
        Credentials,
        "chmod of a set-user-ID bit",
        &["{files} chown {rw}/file 0 0", "{files} chmod {rw}/file 4755"],
        "644 0:0; 4755 0:0",
    ),
    row(Credentials, "mknod of a device", &["{files} mknod {rw}/device"], "character device 103"),
    row(
        Credentials,
        "root becomes a user, and cannot come back",
        &["{files} drop 54321"],
        "54321, back: EPERM; 54321 54321 54321 54321 54321 54321",
    ),
    row(Credentials, "what one thread becomes all are", &["{files} drop-thread 54321"], "54321"),
    row(
        Credentials,
        "a user may not read what is root's",
        &["{files} drop-open 54321 {rw}/secret"],
        "EACCES",
    ),
    row(Time, "clock_gettime", &["{host} clock {now}"], "-400.0 days"),
    row(Time, "time", &["{host} time {now}"], "-400.0 days"),
    row(Time, "gettimeofday", &["{host} gettimeofday {now}"], "-400.0 days"),
    row(Time, "clock_gettime by a raw system call", &["{host} raw-clock {now}"], "-400.0 days"),
    row(Time, "clock_gettime of a static program", &["{host-static} clock {now}"], "-400.0 days"),
    row(Time, "date(1)", &["date -u +%F"], "{date}"),
    row(Time, "what is no date stays", &["{host} uptime"], "the host's"),
    row(Time, "a sleep takes its time", &["{host} sleep"], "true"),
    row(Time, "a sleep until a date", &["{host} sleep-until"], "true"),
    row(Names, "getaddrinfo", &["{host} getaddrinfo db.old.corp"], "127.9.2.3"),
    row(Names, "gethostbyname", &["{host} gethostbyname db.old.corp"], "127.9.2.3"),
    row(Names, "getnameinfo", &["{host} getnameinfo 127.9.2.3"], "db.old.corp"),
    row(Names, "getservbyname", &["{host} getservbyname shop"], "9001"),
    row(Names, "/etc/hosts", &["grep -c db.old.corp /etc/hosts"], "1"),
    row(Names, "getaddrinfo by the policy's nameserver", &["{host} getaddrinfo mail.old.corp"], "127.9.2.4"),
    row(Names, "res_query by the policy's nameserver", &["{host} res_query mail.old.corp"], "127.9.2.4"),
    row(Names, "getaddrinfo of a musl program", &["{host-musl} getaddrinfo db.old.corp"], "127.9.2.3"),
    row(Addresses, "bind to port 80 by an ordinary user", &["{host} getsockname 0.0.0.0 80"], "0.0.0.0:80"),
    row(Addresses, "its own client reaches it", &["{host} reach 0.0.0.0 80"], "hello"),
    twice(Addresses, "two instances have port 80 at once", &["{host} hold 0.0.0.0 80"], "bound; bound"),
    row(Addresses, "connect to an old address", &["{host} greet 127.9.2.3 5432"], "welcome"),
    row(Addresses, "getpeername", &["{host} getpeername 127.9.2.3 5432"], "127.9.2.3:5432"),
    row(Addresses, "a datagram and its answer", &["{host} datagram 127.9.2.3 5433"], "127.9.2.3:5433"),
    row(Addresses, "a denied address", &["{host} refused 127.9.2.6 {greeter}"], "EACCES"),
    row(Addresses, "connect by a static program", &["{host-static} greet 127.9.2.3 5432"], "welcome"),
];
