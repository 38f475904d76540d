//! What of `[identity]` and `[time]` a door does not tell a given program.
//!
//! The gate answers system calls, whoever makes them. The shim answers for libc's symbols: what libc, or the program,
//! finds out otherwise is the host's. So it counts what a program imports.

use policy::Door;

use super::{Findings, Verdict};

/// A way past the shim.
pub struct Hole {
    /// The section of the policy that it has to do with.
    section: Section,
    /// The functions by which a program takes it.
    pub names: &'static [&'static str],
    /// What is told then.
    text: &'static str,
}

/// What a policy can say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    /// `[time]`
    Time,
    /// `[identity]`, but for what follows.
    Identity,
    /// `run_as`, where it is played.
    RunAs,
    /// `interfaces` and `mac`.
    Interfaces,
    /// `users` and `groups`.
    Users,
}

/// All of them.
pub const HOLES: &[Hole] = &[
    Hole {
        section: Section::Time,
        names: &["getauxval", "__getauxval", "dl_iterate_phdr", "_dl_find_object"],
        text: "a program that finds the kernel's vDSO by these and calls it has the host's clock",
    },
    Hole {
        section: Section::Time,
        names: &["syslog", "vsyslog", "__syslog_chk", "__vsyslog_chk"],
        text: "libc writes the host's time beside these messages",
    },
    Hole {
        section: Section::Time,
        names: &["getutent", "getutxent", "getutid", "getutxid", "getutline", "getutxline"],
        text: "the times in the record of logins are the host's",
    },
    Hole {
        section: Section::RunAs,
        names: &["getauxval", "__getauxval", "secure_getenv", "__secure_getenv"],
        text: "these tell of the host user",
    },
    Hole {
        section: Section::RunAs,
        names: &["seteuid", "setegid", "setreuid", "setregid", "setresuid", "setresgid"],
        text: "a process whose effective ids are not its real ones starts no program: ld.so would leave the shim out",
    },
    Hole {
        section: Section::RunAs,
        names: &["sigaction", "__sigaction", "sigwaitinfo", "sigtimedwait", "waitid"],
        text: "`si_uid` of a signal is the host user",
    },
    Hole {
        section: Section::Interfaces,
        names: &["recv", "__recv_chk"],
        text: "messages of rtnetlink(7) that these take have the host's names and addresses",
    },
    Hole { section: Section::Users, names: &["getpw"], text: "libc looks up the host's users by itself" },
    Hole {
        section: Section::Identity,
        names: &["pthread_attr_setaffinity_np", "sched_getcpu"],
        text: "these go by the host's processors",
    },
];

impl Section {
    const ALL: [Section; 5] =
        [Section::Time, Section::Identity, Section::RunAs, Section::Interfaces, Section::Users];

    fn is_said(self, view: &view::View<'_>) -> bool {
        let identity = view.identity();
        match self {
            Section::Time => view.has_time(),
            Section::Identity => view.cpus() != 0 || identity.is_some_and(|identity| identity.has_names()),
            Section::RunAs => view.flags() & view::flags::CREDENTIALS != 0,
            Section::Interfaces => view.has_links(),
            Section::Users => identity.is_some_and(|identity| !identity.passwd.is_empty()),
        }
    }

    fn subject(self) -> &'static str {
        match self {
            Section::Time => "time",
            Section::Identity => "identity",
            Section::RunAs => "run_as",
            Section::Interfaces => "interfaces",
            Section::Users => "users",
        }
    }
}

/// What a program that a door covers is told. `imports` gives what it imports by a hole's place among [`HOLES`].
pub fn covered(
    view: Option<&view::View<'_>>,
    door: Door,
    imports: impl Fn(usize) -> Vec<String>,
    findings: &mut Findings,
) {
    let Some(view) = view else { return };
    for section in Section::ALL.into_iter().filter(|section| section.is_said(view)) {
        let subject = section.subject();
        if door == Door::Gate {
            findings.add(Verdict::Pass, subject, "the gate tells it, also to what makes system calls itself");
            continue;
        }
        let mut is_whole = true;
        for (place, hole) in HOLES.iter().enumerate().filter(|(_, hole)| hole.section == section) {
            let names = imports(place);
            if !names.is_empty() {
                is_whole = false;
                let text = format!("{}, past the shim: {}", hole.text, names.join(", "));
                findings.add(Verdict::Warn, subject, text);
            }
        }
        if is_whole {
            findings.add(Verdict::Pass, subject, "the shim tells it by every function that is imported");
        }
    }
}

/// What a program is told that no door covers.
pub fn uncovered(view: Option<&view::View<'_>>, findings: &mut Findings) {
    let Some(view) = view else { return };
    for section in Section::ALL.into_iter().filter(|section| section.is_said(view)) {
        findings.add(Verdict::Blocked, section.subject(), "outside the view the program is told the host's");
    }
}
