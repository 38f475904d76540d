//! From what a program printed to a cell of the table.

use std::os::unix::process::ExitStatusExt;
use std::process::Output;

/// What became of a row under a peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The answer is what the policy promises.
    Works,
    /// There is an answer, and it is neither the promise nor what the host says.
    Differs,
    /// The peer said that it does not, and no answer was given.
    Refused,
    /// The program was told what the host itself says, and no one a word of that.
    Wrong,
    /// The program was ended by a signal, or gave neither an answer nor a message.
    Crashed,
    /// The program did not end.
    Hung,
    /// The peer is not installed, or needs root.
    Absent,
    /// The run was a quick one, and the peer is not made for this.
    Unasked,
}

impl Verdict {
    /// All of them, as the legend has them.
    pub const ALL: [Verdict; 8] = [
        Verdict::Works,
        Verdict::Differs,
        Verdict::Refused,
        Verdict::Wrong,
        Verdict::Crashed,
        Verdict::Hung,
        Verdict::Absent,
        Verdict::Unasked,
    ];

    /// The word in the table.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Works => "works",
            Verdict::Differs => "differs",
            Verdict::Refused => "refused",
            Verdict::Wrong => "wrong",
            Verdict::Crashed => "crashed",
            Verdict::Hung => "hung",
            Verdict::Absent => "absent",
            Verdict::Unasked => "unasked",
        }
    }

    /// What the word means.
    pub fn meaning(self) -> &'static str {
        match self {
            Verdict::Works => "the program was told what the policy says, as on a machine where it is so",
            Verdict::Differs => "it was told something else than that, and than the host's own answer",
            Verdict::Refused => "the peer said why it does not, and the program got no answer",
            Verdict::Wrong => "it was told the host's own answer, without a word: silently wrong",
            Verdict::Crashed => "it was ended by a signal, or ended without an answer or a message",
            Verdict::Hung => "it did not end within the time that it was given",
            Verdict::Absent => "the peer is not installed, or can only be had by root",
            Verdict::Unasked => "a quick run asks a peer only what it is made for",
        }
    }
}

/// One start of a program: what it answered, or how it failed to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// What it printed.
    Said(String),
    /// It printed nothing, but something complained.
    Complained(String),
    /// Its end was not its own.
    Died(String),
    /// It was waited for in vain.
    Hung,
}

/// timeout(1) says so of a program that it has ended, and of one that it had to kill.
const TIMED_OUT: [i32; 2] = [124, 137];

/// What an ended program comes to.
pub fn answer(output: &Output) -> Answer {
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let status = output.status;
    match status.code() {
        Some(code) if TIMED_OUT.contains(&code) => Answer::Hung,
        Some(code) if code > 128 => Answer::Died(format!("signal {}", code - 128)),
        None => Answer::Died(format!("signal {}", status.signal().unwrap_or_default())),
        Some(0) => Answer::Said(said),
        // grep(1) found nothing: an answer, if a short one.
        Some(_) if complaint.is_empty() && !said.is_empty() => Answer::Said(said),
        Some(_) if !complaint.is_empty() => Answer::Complained(complaint),
        Some(code) => Answer::Died(format!("status {code}, without a word")),
    }
}

/// All steps of a row as one answer: the first that is none stands for all.
pub fn joined(answers: Vec<Answer>) -> Answer {
    let mut said = Vec::new();
    for answer in answers {
        match answer {
            Answer::Said(text) => said.push(text),
            other => return other,
        }
    }
    Answer::Said(said.join("; "))
}

/// The cell.
pub fn verdict(answer: &Answer, promise: &str, native: Option<&Answer>) -> Verdict {
    match answer {
        Answer::Said(said) if said == promise => Verdict::Works,
        // Native is the host itself.
        answer if native.is_none_or(|native| native == answer) && matches!(answer, Answer::Said(_)) => {
            Verdict::Wrong
        }
        Answer::Said(_) => Verdict::Differs,
        // A program of the host complains of what it does not find there: no peer spoke.
        Answer::Complained(_)
            if native.is_none_or(|native| matches!(native, Answer::Complained(_)) && native == answer) =>
        {
            Verdict::Wrong
        }
        Answer::Complained(_) => Verdict::Refused,
        Answer::Died(_) if native.is_none_or(|native| native == answer) => Verdict::Wrong,
        Answer::Died(_) => Verdict::Crashed,
        Answer::Hung => Verdict::Hung,
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Verdict, joined, verdict};

    fn said(text: &str) -> Answer {
        Answer::Said(text.into())
    }

    #[test]
    fn a_cell_follows_from_the_answer_the_promise_and_the_host() {
        let host = said("host");
        for (answer, expected) in [
            (said("mapped"), Verdict::Works),
            (said("host"), Verdict::Wrong),
            (said("ENOENT"), Verdict::Differs),
            (Answer::Complained("no".into()), Verdict::Refused),
            (Answer::Died("signal 11".into()), Verdict::Crashed),
            (Answer::Hung, Verdict::Hung),
        ] {
            assert_eq!(verdict(&answer, "mapped", Some(&host)), expected, "{answer:?}");
        }
        assert_eq!(verdict(&host, "mapped", None), Verdict::Wrong);
    }

    #[test]
    fn an_answer_that_the_host_gives_too_works_where_it_is_the_promise() {
        assert_eq!(verdict(&said("true"), "true", Some(&said("true"))), Verdict::Works);
    }

    #[test]
    fn the_first_step_without_an_answer_stands_for_the_row() {
        assert_eq!(joined(vec![said("a"), said("b")]), said("a; b"));
        assert_eq!(joined(vec![said("a"), Answer::Hung, said("b")]), Answer::Hung);
    }
}
