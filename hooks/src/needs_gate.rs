//! The symbols that open files, or name them, by calls of libc's own.
//!
//! Inside libc a call does not go by the exported symbol, so a hook on `open`
//! does not see the `open` of `getpwnam`. The gate sees it, at the system call.
//! Until then these work on the host's own files, and `doctor` says so.

use crate::{Group, Row, group, row};

/// The symbols that the shim cannot serve. They work on the host's own files.
pub const NEEDS_GATE: &[Group] = &[
    group(
        "users",
        "the order of look-ups is a file that libc opens",
        &["/etc/nsswitch.conf"],
        &[row("getpw(3)", &["getpw"]), NSS],
    ),
    group(
        "users",
        "mail aliases, shells and net groups are read inside libc",
        &["/etc/aliases", "/etc/shells", "/etc/netgroup", "/etc/nsswitch.conf"],
        &[
            row(
                "aliases(5)",
                &["getaliasbyname", "getaliasbyname_r", "getaliasent", "getaliasent_r", "setaliasent"],
            ),
            row("getusershell(3)", &["getusershell", "setusershell"]),
            row("setnetgrent(3)", &["setnetgrent", "getnetgrent", "getnetgrent_r", "innetgr"]),
        ],
    ),
    group(
        "logins",
        "the record of logins is opened inside libc",
        &["/var/run/utmp", "/var/log/wtmp"],
        &[
            row(
                "getutent(3)",
                &["getutent", "getutent_r", "getutid", "getutid_r", "getutline", "getutline_r", "setutent"],
            ),
            row("getutent(3)", &["getutxent", "getutxid", "getutxline", "setutxent"]),
            row("getutent(3)", &["pututline", "pututxline", "utmpname", "utmpxname"]),
            row("updwtmp(3)", &["updwtmp", "updwtmpx", "logwtmp"]),
            row("login(3)", &["login", "logout"]),
        ],
    ),
    group(
        "names",
        "addresses of Ethernet are read inside libc",
        &["/etc/ethers", "/etc/nsswitch.conf"],
        &[row("ether_aton(3)", &["ether_hostton", "ether_ntohost"])],
    ),
    group(
        "remote",
        ".rhosts, hosts.equiv and .netrc are read inside libc",
        &[],
        &[
            row(
                "rcmd(3)",
                &["rcmd", "rcmd_af", "ruserok", "ruserok_af", "iruserok", "iruserok_af", "__ivaliduser"],
            ),
            row("rexec(3)", &["rexec", "rexec_af", "ruserpass"]),
        ],
    ),
    group(
        "remote",
        "Sun RPC looks up hosts and keys, and connects to Unix sockets, inside libc",
        &["/etc/hosts", "/etc/publickey", "/var/run/keyservsock"],
        &[
            row("rpc(3)", &["callrpc", "clnt_create", "clntunix_create", "svcunix_create", "getrpcport"]),
            row("rpc(3)", &["authdes_create", "authdes_pk_create", "authdes_getucred", "netname2user"]),
            row("publickey(5)", &["getpublickey", "getsecretkey"]),
            row(
                "keyserv(8)",
                &[
                    "key_decryptsession",
                    "key_decryptsession_pk",
                    "key_encryptsession",
                    "key_encryptsession_pk",
                    "key_gendes",
                    "key_get_conv",
                    "key_secretkey_is_set",
                    "key_setnet",
                    "key_setsecret",
                ],
            ),
        ],
    ),
    group(
        "locale",
        "locales and message catalogues are opened inside libc",
        &["/usr/lib/locale", "/usr/share/locale"],
        &[
            row("setlocale(3)", &["setlocale"]),
            row("newlocale(3)", &["newlocale", "__newlocale"]),
            row("catopen(3)", &["catopen"]),
            row("gettext(3)", &["gettext", "dgettext", "__dgettext", "dcgettext", "__dcgettext"]),
            row("ngettext(3)", &["ngettext", "dngettext", "dcngettext"]),
            row("bindtextdomain(3)", &["bindtextdomain"]),
        ],
    ),
    group(
        "locale",
        "character set modules are opened inside libc",
        &["/usr/lib/x86_64-linux-gnu/gconv", "/usr/lib64/gconv"],
        &[row("iconv_open(3)", &["iconv_open"])],
    ),
    group(
        "time",
        "the time zone is read inside libc",
        &["/etc/localtime", "/usr/share/zoneinfo"],
        &[
            row("tzset(3)", &["tzset"]),
            row("ctime(3)", &["localtime", "localtime_r", "ctime", "ctime_r", "mktime", "timelocal"]),
            row("strftime(3)", &["strftime", "strftime_l", "__strftime_l"]),
            row("wcsftime(3)", &["wcsftime", "wcsftime_l", "__wcsftime_l"]),
        ],
    ),
    group(
        "time",
        "the file that DATEMSK names is opened inside libc",
        &[],
        &[row("getdate(3)", &["getdate", "getdate_r"])],
    ),
    group(
        "terminal",
        "terminals are opened and named inside libc",
        &["/dev/ptmx", "/dev/pts", "/dev/tty", "/etc/ttys"],
        &[
            row("openpty(3)", &["openpty", "forkpty"]),
            row("posix_openpt(3)", &["posix_openpt", "getpt"]),
            row("grantpt(3)", &["grantpt"]),
            row("ttyname(3)", &["ttyname", "ttyname_r", "__ttyname_r_chk"]),
            row("getpass(3)", &["getpass"]),
            row("getttyent(3)", &["getttyent", "getttynam", "setttyent"]),
            row("ttyslot(3)", &["ttyslot"]),
        ],
    ),
    group(
        "log",
        "the system's log and the console are opened inside libc",
        &["/dev/log", "/dev/console"],
        &[
            row("syslog(3)", &["syslog", "__syslog_chk", "vsyslog", "__vsyslog_chk", "openlog"]),
            row("fmtmsg(3)", &["fmtmsg"]),
        ],
    ),
    group(
        "mount",
        "paths are taken for the host's; most ask for privileges",
        &[],
        &[
            row("chroot(2)", &["chroot"]),
            row("pivot_root(2)", &["pivot_root"]),
            row("mount(2)", &["mount"]),
            row("umount(2)", &["umount", "umount2"]),
            row("mount_setattr(2)", &["mount_setattr"]),
            row("open_tree(2)", &["open_tree", "move_mount", "fspick", "fsconfig"]),
            row("swapon(2)", &["swapon", "swapoff"]),
            row("quotactl(2)", &["quotactl"]),
            row("acct(2)", &["acct"]),
        ],
    ),
    group(
        "mount",
        "the table of file systems is opened inside libc",
        &["/etc/fstab"],
        &[row("getfsent(3)", &["getfsent", "getfsspec", "getfsfile", "setfsent"])],
    ),
    group(
        "object",
        "paths of the program and its libraries are given as the host's",
        &[],
        &[
            row("dladdr(3)", &["dladdr", "dladdr1"]),
            row("dlinfo(3)", &["dlinfo"]),
            row("dl_iterate_phdr(3)", &["dl_iterate_phdr"]),
            row("_dl_find_object(3)", &["_dl_find_object"]),
            row("", &["_dl_debug_addr"]),
            row(
                "backtrace(3)",
                &[
                    "backtrace_symbols",
                    "__backtrace_symbols",
                    "backtrace_symbols_fd",
                    "__backtrace_symbols_fd",
                ],
            ),
            row("getauxval(3)", &["getauxval", "__getauxval"]),
        ],
    ),
    group(
        "shell",
        "a shell is started, and directories are read, inside libc",
        &[],
        &[row("wordexp(3)", &["wordexp"])],
    ),
    group(
        "stdio",
        "files are opened for the iostreams of GCC 2",
        &[],
        &[row("", &["_IO_file_fopen", "_IO_file_open", "_IO_proc_open"])],
    ),
    group(
        "profile",
        "a report is written by calls inside libc",
        &[],
        &[row("mtrace(3)", &["mtrace"]), row("gprof(1)", &["_mcleanup"])],
    ),
];

const NSS: Row = row(
    "nsswitch.conf(5)",
    &[
        "__nss_configure_lookup",
        "__nss_database_lookup",
        "__nss_group_lookup",
        "__nss_hosts_lookup",
        "__nss_next",
        "__nss_passwd_lookup",
    ],
);
