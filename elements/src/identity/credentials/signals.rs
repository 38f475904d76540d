//! Who may signal whom, and who is told to have done so: kill(2) and its kin, and `si_uid` of sigaction(2).
//!
//! To the kernel all processes of an instance are the host user's, so that it would let each signal
//! all. One process is judged before the call. Of a group, and of all that there are, each is
//! judged and signalled by itself: "all" are the instance's.

use super::other::Shown;
use super::own::{field, stat_of};
use super::rules::{Credentials, capability};
use crate::files::Text;
use crate::kernel::{self, AT_FDCWD};
use crate::{Answer, Errno, Instance};

/// Whom a call signals.
#[derive(Clone, Copy)]
enum Whom {
    /// The processes of a group.
    Group(u32),
    /// All but the caller.
    All,
}

/// A sender as `siginfo_t` tells of one: where the words are, of four bytes each.
const CODE: usize = 2;
const PROCESS: usize = 4;
const USER: usize = 5;

/// How much of a stack it takes to find out who has sent a signal, in bytes, at the most.
pub const SENDER_ROOM: usize = 4096;

/// `siginfo_t`
pub type Info = [i32; 32];

impl Instance<'_> {
    /// Whether a signal may be sent to a process: `Pass`, or `EPERM`.
    fn judge_signal(&self, process: i32, signal: i32) -> Answer {
        let own = self.credentials();
        match self.credentials_of(process as u32) {
            Ok(other) if !self.may(&own, &other, process as u32, signal) => Answer::fail(Errno::EPERM),
            _ => Answer::Pass,
        }
    }

    fn may(&self, own: &Credentials, other: &Credentials, process: u32, signal: i32) -> bool {
        own.may_signal(other) || signal == libc::SIGCONT && is_in_session(process)
    }

    /// tkill(2), tgkill(2), rt_sigqueueinfo(2) and what else signals one process.
    pub fn may_signal(&self, process: i32, signal: i32) -> Answer {
        if !self.plays() || process <= 0 { Answer::Pass } else { self.judge_signal(process, signal) }
    }

    /// kill(2)
    pub fn kill(&self, process: i32, signal: i32) -> Answer {
        if !self.plays() {
            return Answer::Pass;
        }
        let whom = match process {
            -1 => Whom::All,
            i32::MIN => return Answer::fail(Errno::ESRCH),
            0 => Whom::Group(kernel::getpgrp() as u32),
            group if group < -1 => Whom::Group(group.unsigned_abs()),
            one => return self.judge_signal(one, signal),
        };
        let own = self.credentials();
        if matches!(whom, Whom::Group(_)) && own.can(capability::KILL) {
            return Answer::Pass;
        }
        Answer::Done(self.kill_each(&own, whom, signal).map(|()| 0))
    }

    /// pidfd_send_signal(2)
    pub fn pidfd_send_signal(&self, file: i32, signal: i32) -> Answer {
        if !self.plays() {
            return Answer::Pass;
        }
        match process_of(file) {
            Some(process) => self.may_signal(process, signal),
            // The kernel says what is wrong with it.
            None => Answer::Pass,
        }
    }

    /// Signals each process of the instance that is meant, as the kernel does: what is refused counts where
    /// nothing else has gone well.
    fn kill_each(&self, own: &Credentials, whom: Whom, signal: i32) -> Result<(), Errno> {
        let caller = kernel::getpid() as u32;
        let (mut done, mut is_refused, mut last) = (false, false, Errno::ESRCH);
        each_process(|process, group| {
            let is_meant = match whom {
                Whom::Group(wanted) => group == wanted,
                Whom::All => process > 1 && process != caller,
            };
            let Some(other) = is_meant.then(|| self.credentials_of(process).ok()).flatten() else { return };
            if !self.may(own, &other, process, signal) {
                is_refused = true;
                return;
            }
            // SAFETY: numbers only.
            match unsafe { kernel::syscall(libc::SYS_kill, [process as usize, signal as usize, 0, 0, 0, 0]) }
            {
                Ok(_) => done = true,
                Err(errno) => last = errno,
            }
        })?;
        match (done, is_refused) {
            (true, _) => Ok(()),
            (false, true) => Err(Errno::EPERM),
            (false, false) => Err(last),
        }
    }

    /// Puts into what is told of a signal who has sent it. Without [`SENDER_ROOM`] on the stack, that is told
    /// as it is of a process which has become nobody else.
    pub fn show_sender(&self, info: &mut Info, has_room: bool) {
        let (signal, code) = (info[0], info[CODE]);
        let says_user = matches!(code, libc::SI_USER | libc::SI_TKILL | libc::SI_MESGQ)
            || signal == libc::SIGCHLD && code > 0;
        let (process, uid) = (info[PROCESS], info[USER] as u32);
        if self.plays() && says_user && process > 0 {
            let user = if has_room { self.sender(signal, process as u32, uid) } else { self.user_shown(uid) };
            info[USER] = user as i32;
        }
    }

    /// Apart, since it takes the room.
    #[inline(never)]
    fn sender(&self, signal: i32, process: u32, uid: u32) -> u32 {
        match self.credentials_of(process) {
            Ok(sender) => sender.user.real,
            // It is gone by now.
            Err(_) => self.last_user_of(process).unwrap_or_else(|| match signal {
                libc::SIGCHLD => self.id(0),
                _ => self.user_shown(uid),
            }),
        }
    }

    fn user_shown(&self, uid: u32) -> u32 {
        self.shown(Shown { uid, gid: 0 }).uid
    }

    /// Who a process was that may be gone by now, if it has said so.
    fn last_user_of(&self, process: u32) -> Option<u32> {
        Some(self.told?.credentials.get(process, |_| true)?.user.real)
    }

    /// waitid(2), which tells of a child as a signal does.
    pub fn waitid(&self, args: [usize; 6]) -> Answer {
        if !self.plays() {
            return Answer::Pass;
        }
        // SAFETY: the program's own arguments, for the kernel to judge.
        let done = unsafe { kernel::waiting_syscall(libc::SYS_waitid, args) };
        if done.is_ok() {
            let info = args[2] as *mut Info;
            // SAFETY: a call that succeeds has filled it.
            let mut told = unsafe { info.read_unaligned() };
            if told[PROCESS] > 0 {
                // It may be gone by now, but for what it has said of itself.
                let row =
                    self.told.and_then(|told_of| told_of.credentials.get(told[PROCESS] as u32, |_| true));
                told[USER] = row.map_or(self.id(0), |child| child.user.real) as i32;
                // SAFETY: as above.
                unsafe { info.write_unaligned(told) };
            }
        }
        Answer::Done(done)
    }
}

/// Whether a process is in this one's session.
fn is_in_session(process: u32) -> bool {
    let session = |process: u32| {
        // SAFETY: numbers only.
        unsafe { kernel::syscall(libc::SYS_getsid, [process as usize, 0, 0, 0, 0, 0]) }.ok()
    };
    session(process) == session(0)
}

/// The process that a descriptor stands for.
fn process_of(file: i32) -> Option<i32> {
    let mut path = Text::<64>::new();
    path.push(b"/proc/thread-self/fdinfo/").ok()?;
    path.push_decimal(u32::try_from(file).ok()?).ok()?;
    let about = kernel::open_at_once(path.as_ptr()).ok()?;
    let mut text = [0; 512];
    let read = kernel::read(about, &mut text);
    kernel::close(about);
    let text = text.get(..read.ok()?)?;
    let line = text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"Pid:\t"))?;
    decimal(line).and_then(|process| i32::try_from(process).ok()).filter(|process| *process > 0)
}

fn decimal(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u32, |sum, digit| {
        let digit = digit.is_ascii_digit().then(|| u32::from(digit - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

/// Tells of every process that /proc has: its id, and that of its group.
fn each_process(mut with: impl FnMut(u32, u32)) -> Result<(), Errno> {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
    let directory = kernel::openat(AT_FDCWD, c"/proc".as_ptr().cast(), flags, 0)?;
    let mut entries = [0; 4096];
    let read = loop {
        let len = match kernel::getdents64(directory, &mut entries) {
            Ok(0) => break Ok(()),
            Ok(len) => len,
            Err(errno) => break Err(errno),
        };
        let mut left = entries.get(..len).unwrap_or(&[]);
        while let Some(length) =
            left.get(16..18).and_then(|bytes| bytes.try_into().ok()).map(u16::from_ne_bytes)
        {
            let (entry, rest) = left.split_at(usize::from(length).clamp(1, left.len()));
            left = rest;
            let name = entry.get(19..).unwrap_or(&[]).split(|byte| *byte == 0).next().unwrap_or(&[]);
            let Some(process) = decimal(name) else { continue };
            let mut buffer = [0; 512];
            let group = stat_of(name, &mut buffer).ok().and_then(|text| field(text, 2));
            if let Some(group) = group {
                with(process, group as u32);
            }
        }
    };
    kernel::close(directory);
    read
}
