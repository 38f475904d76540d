//! Signals by name, as images and people say them.

/// The names and numbers of signal(7), as x86-64 has them.
const NAMES: [(&str, i32); 31] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("PWR", 30),
    ("SYS", 31),
];

/// The real-time signals, as the kernel and glibc have them, whatever this program's libc
/// keeps for itself.
const REAL_TIME: (i32, i32) = (34, 64);

/// A signal's number, by its name with or without `SIG`, or by itself.
pub fn signal(said: &str) -> Option<i32> {
    let upper = said.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let known = NAMES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
    let real_time = || {
        let (from, shift) = match name.split_once(['+', '-']) {
            Some((from, shift)) => (from, shift.parse::<i32>().ok()?),
            None => (name, 0),
        };
        match from {
            "RTMIN" => REAL_TIME.0.checked_add(shift),
            "RTMAX" => REAL_TIME.1.checked_sub(shift),
            _ => from.parse().ok().filter(|_| shift == 0),
        }
    };
    known.or_else(real_time).filter(|number| (1..=REAL_TIME.1).contains(number))
}

#[cfg(test)]
mod tests {
    #[test]
    fn signals_are_known_by_name_and_number() {
        for (said, number) in [
            ("SIGTERM", Some(15)),
            ("quit", Some(3)),
            ("9", Some(9)),
            ("SIGRTMIN+3", Some(37)),
            ("RTMAX-1", Some(63)),
            ("RTMAX", Some(64)),
            ("RTMIN+40", None),
            ("RTMAX--2147483648", None),
            ("0", None),
            ("65", None),
            ("SIGNAL", None),
            ("", None),
        ] {
            assert_eq!(super::signal(said), number, "{said}");
        }
    }
}
