//! The symbols that have to do with paths and are right without a hook.
//!
//! They are few: a function is here if it looks up no file by a name of the
//! program's, not because it calls one that has a hook.

use crate::{Group, group, row};

/// The symbols that need no hook.
pub const SAFE: &[Group] = &[
    group(
        "text",
        "works on the letters of a path and looks up no file",
        &[],
        &[
            row("basename(3)", &["basename", "__xpg_basename", "dirname"]),
            row("fnmatch(3)", &["fnmatch"]),
            row("glob(3)", &["glob_pattern_p"]),
        ],
    ),
    group(
        "text",
        "gives a constant, or the words that the program was started with",
        &[],
        &[
            row("confstr(3)", &["confstr", "__confstr_chk"]),
            row("gettext(3)", &["_nl_default_dirname"]),
            row("error(3)", &["program_invocation_name", "__progname_full"]),
            row("error(3)", &["program_invocation_short_name", "__progname"]),
        ],
    ),
    group(
        "terminal",
        "a constant, or a name made from the terminal's number",
        &[],
        &[row("ctermid(3)", &["ctermid"]), row("ptsname(3)", &["ptsname", "ptsname_r", "__ptsname_r_chk"])],
    ),
    group(
        "name",
        "the name is of another kind than a file's",
        &[],
        &[
            row("memfd_create(2)", &["memfd_create"]),
            row("fsopen(2)", &["fsopen"]),
            row("open_by_handle_at(2)", &["open_by_handle_at"]),
        ],
    ),
    group(
        "names",
        "the thread's own state, which is filled when something is asked; musl's has none to fill",
        &[],
        &[row("resolver(3)", &["__res_state", "res_init"])],
    ),
    group(
        "names",
        "asks by a state of the program's own, which res_ninit(3) has filled",
        &[],
        &[
            row("resolver(3)", &["res_nquery", "__res_nquery", "res_nsearch", "__res_nsearch"]),
            row("resolver(3)", &["res_nquerydomain", "__res_nquerydomain", "res_nsend", "__res_nsend"]),
            row("resolver(3)", &["res_nmkquery", "__res_nmkquery"]),
        ],
    ),
    group(
        "machine",
        "the process's own figures, from /proc/self",
        &[],
        &[
            row("pthread_getattr_np(3)", &["pthread_getattr_np"]),
            row("pthread_setname_np(3)", &["pthread_setname_np", "pthread_getname_np"]),
            row("pidfd_getpid(3)", &["pidfd_getpid"]),
        ],
    ),
    group(
        "machine",
        "the machine's own figures, from /proc and /sys",
        &[],
        &[row("getloadavg(3)", &["getloadavg"])],
    ),
    group(
        "object",
        "may load libgcc_s, which like every library is the host's",
        &[],
        &[
            row("backtrace(3)", &["backtrace", "__backtrace"]),
            row("pthread_cancel(3)", &["pthread_cancel"]),
            row("pthread_exit(3)", &["pthread_exit"]),
        ],
    ),
    group(
        "object",
        "a message for people, which may show the host's path",
        &[],
        &[row("dlerror(3)", &["dlerror"])],
    ),
    group(
        "absent",
        "not in Linux, or no longer: the answer is ENOSYS",
        &[],
        &[
            row("unimplemented(2)", &["fattach", "fdetach", "chflags", "revoke"]),
            row("nfsservctl(2)", &["nfsservctl"]),
            row("uselib(2)", &["uselib"]),
        ],
    ),
];
