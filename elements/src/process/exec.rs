//! Starting a program: execve(2) and execveat(2).
//!
//! The new program comes in by the same [`Door`]: through the shim its
//! environment gets the shim back into `LD_PRELOAD`, whatever else is in it;
//! through the gate it is the gate that the kernel starts. A script that the
//! kernel cannot start itself, because it or its interpreter has another name
//! on the host, is taken apart here, as the kernel would.
//!
//! All memory is on the stack, or mapped for the occasion: a vfork child must
//! leave nothing in its parent's.

use core::mem::MaybeUninit;

use super::gated;
use super::program::{HEAD, Program, Why, interpreter, look, shut_out};
use crate::files::{Scratch, Text, Want};
use crate::kernel::{self, AT_FDCWD, waiting_syscall};
use crate::{Errno, Instance, user};

/// How many interpreters a script may lead through, as in the kernel.
const MAX_INTERPRETERS: u32 = 5;
/// How many pointers an array on the stack holds; longer ones are mapped.
const ON_STACK: usize = 128;

/// How a new program comes under the view.
#[derive(Clone, Copy)]
pub enum Door<'a> {
    /// ld.so loads the shim, which has this host path.
    Shim(&'a [u8]),
    /// The kernel starts the gate, and that the program.
    Gate {
        /// The gate's host path.
        path: &'a core::ffi::CStr,
        /// What it is told (`gated::FIRST` and others).
        note: u8,
    },
}

/// What to hand to the kernel, or to a function of libc that starts a program.
pub struct Start {
    /// The descriptor that `path` is relative to.
    pub dirfd: i32,
    /// The program's host path.
    pub path: *const u8,
    /// Its arguments.
    pub argv: *const *const u8,
    /// Its environment.
    pub envp: *const *const u8,
    /// Flags of execveat(2).
    pub flags: i32,
    /// The name that was asked for, where that was a script's and `path` is
    /// its interpreter's; null elsewhere.
    pub script: *const u8,
    /// Whom the program's file has it run as.
    pub runs_as: RunsAs,
}

pub use crate::identity::credentials::RunsAs;

pub(super) type Strings = *const *const u8;

impl Instance<'_> {
    /// execve(2) and execveat(2): returns only where it fails.
    pub fn execveat(&self, door: Door<'_>, start: &Start) -> Errno {
        let done = self.prepare(door, start, 0, &mut |start| {
            let before = self.credentials_for_program(&start.runs_as)?;
            let dirfd = start.dirfd as usize;
            let (path, argv, envp) = (start.path as usize, start.argv as usize, start.envp as usize);
            let flags = start.flags as usize;
            // SAFETY: the program's own strings, and ours.
            let failed = unsafe {
                if start.flags == 0 && start.dirfd == AT_FDCWD {
                    waiting_syscall(libc::SYS_execve, [path, argv, envp, 0, 0, 0])
                } else {
                    waiting_syscall(libc::SYS_execveat, [dirfd, path, argv, envp, flags, 0])
                }
            };
            self.credentials_back(before);
            failed
        });
        done.err().unwrap_or(Errno::ENOSYS)
    }

    /// Makes what starts a program, and gives it to `call`.
    ///
    /// # Errors
    ///
    /// What execve(2) would answer, `EACCES` for a program that no door
    /// covers (after one line to standard error), and `call`'s own.
    pub fn prepare(
        &self,
        door: Door<'_>,
        start: &Start,
        depth: u32,
        call: &mut dyn FnMut(&Start) -> Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        if depth > MAX_INTERPRETERS {
            return Err(Errno::ELOOP);
        }
        let follow = start.flags & libc::AT_SYMLINK_NOFOLLOW == 0;
        let mut scratch = Scratch::new();
        let host = self.host_path(start.dirfd, start.path, Want::LOOK.following(follow), &mut scratch)?;
        let (dirfd, path) = host.map_or((start.dirfd, start.path), |host| (AT_FDCWD, host));
        let mut head = [0; HEAD];
        let raises = self.view.flags() & view::flags::NO_NEW_PRIVS == 0;
        let seen = look(dirfd, path, start.flags, raises, &mut head)?;
        if let Some((Program::Script, len)) = seen
            && let Some((name, argument)) = interpreter(head.get(..len).unwrap_or(&[]))
        {
            return self.script(door, start, (dirfd, path), host.is_some(), (name, argument), depth, call);
        }
        let mut flags = start.flags;
        if host.is_some() {
            flags &= !libc::AT_EMPTY_PATH;
        }
        self.may_execute((start.dirfd, start.path), (dirfd, path), flags)?;
        let start = &Start { runs_as: self.runs_as(dirfd, path, flags), ..*start };
        let uncovered = match (door, seen) {
            (Door::Shim(shim), Some((Program::Loader, _))) => {
                return self.by_loader(shim, start, (dirfd, path), call);
            }
            (Door::Shim(_), Some((Program::Uncovered(why), _))) => Some(why),
            (Door::Shim(shim), Some((Program::Dynamic, _))) => shut_out(shim)?,
            (Door::Shim(_), _) => None,
            (Door::Gate { .. }, Some((Program::Uncovered(why), _))) if !why.is_for_gate() => Some(why),
            (Door::Gate { path: gate, note }, _) => {
                let head = head.get(..seen.map_or(0, |(_, len)| len)).unwrap_or(&[]);
                let found = gated::Found { dirfd, path, flags, head };
                let mut interpreter = Text::new();
                self.may_start(&found, &mut interpreter)?;
                return self.through_gate((gate, note), start, &found, interpreter.bytes(), call);
            }
        };
        if let Some(why) = uncovered {
            self.allow_uncovered(door, start.path, why)?;
        }
        let Door::Shim(shim) = door else {
            // Uncovered, and the policy lets it go.
            return call(&Start { dirfd, path, flags, ..*start });
        };
        self.with_environment(shim, start.envp, &mut |envp| {
            let found = Start { dirfd, path, envp, flags, ..*start };
            match host {
                Some(_) if follow => self.by_name(&found, (start.dirfd, start.path), call),
                _ => call(&found),
            }
        })
    }

    /// Whom a program's file has it run as. A program that the kernel starts with other rights
    /// than these has them played.
    fn runs_as(&self, dirfd: i32, path: *const u8, flags: i32) -> RunsAs {
        if !self.plays() {
            return RunsAs::default();
        }
        let flags = flags & libc::AT_EMPTY_PATH;
        match self.stat_of_place(dirfd, path, flags) {
            Ok(about) => {
                let is_set = |bits: u32| about.mode & bits == bits;
                RunsAs {
                    uid: is_set(libc::S_ISUID).then_some(about.uid),
                    gid: is_set(libc::S_ISGID | libc::S_IXGRP).then_some(about.gid),
                    capabilities: self.capabilities_of_file((dirfd, path, flags), about.version.inode),
                }
            }
            Err(_) => RunsAs::default(),
        }
    }

    /// A script: its interpreter is a program of the app's tree. A frame of its
    /// own, as the others: interpreters nest, and stacks are small.
    #[inline(never)]
    #[expect(clippy::too_many_arguments, reason = "the state of one recursion")]
    fn script(
        &self,
        door: Door<'_>,
        start: &Start,
        (dirfd, path): (i32, *const u8),
        elsewhere: bool,
        (name, argument): (&[u8], Option<&[u8]>),
        depth: u32,
        call: &mut dyn FnMut(&Start) -> Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        match start.flags & libc::AT_EMPTY_PATH {
            0 => kernel::faccessat(dirfd, path, libc::X_OK)?,
            empty => kernel::faccessat2(dirfd, path, libc::X_OK, empty)?,
        }
        let mut interpreter = Text::<256>::new();
        interpreter.push(name)?;
        let mut option = Text::<256>::new();
        option.push(argument.unwrap_or(&[]))?;
        let mut probe = Scratch::new();
        let moved = self.host_path(AT_FDCWD, interpreter.as_ptr(), Want::LOOK, &mut probe)?.is_some();
        if let Door::Shim(shim) = door
            && !elsewhere
            && !moved
            && start.dirfd == AT_FDCWD
        {
            // The kernel starts it as well as we would; only see to the interpreter.
            let program = Start {
                dirfd: AT_FDCWD,
                path: interpreter.as_ptr(),
                argv: start.argv,
                envp: start.envp,
                flags: 0,
                script: core::ptr::null(),
                runs_as: RunsAs::default(),
            };
            let mut nothing = |_: &Start| Ok(0);
            self.prepare(door, &program, depth + 1, &mut nothing)?;
            return self.with_environment(shim, start.envp, &mut |envp| {
                call(&Start { dirfd, path, envp, ..*start })
            });
        }
        let mut by_fd = Text::<{ 2 * crate::files::MAX_PATH }>::new();
        let script = self.script_name(start, &mut by_fd)?;
        if script != start.path && kernel::closes_on_exec(start.dirfd) {
            // The interpreter could not open it: so says the kernel.
            return Err(Errno::ENOENT);
        }
        let count = count(start.argv)?;
        let mut made = Pointers::new(count + 4)?;
        made.push(interpreter.as_ptr());
        if argument.is_some() {
            made.push(option.as_ptr());
        }
        made.push(script);
        for index in 1..count {
            // SAFETY: the array has been counted.
            made.push(unsafe { *start.argv.add(index) });
        }
        let program = Start {
            dirfd: AT_FDCWD,
            path: interpreter.as_ptr(),
            argv: made.finish(),
            envp: start.envp,
            flags: 0,
            script: if start.script.is_null() { script } else { start.script },
            runs_as: RunsAs::default(),
        };
        self.prepare(door, &program, depth + 1, call)
    }

    /// The name that the interpreter opens the script by: the app path, or
    /// one by descriptor where it was named so.
    pub(super) fn script_name(
        &self,
        start: &Start,
        text: &mut Text<{ 2 * crate::files::MAX_PATH }>,
    ) -> Result<*const u8, Errno> {
        // SAFETY: host_path has found the string readable.
        let path = unsafe { core::ffi::CStr::from_ptr(start.path.cast()) }.to_bytes();
        if start.dirfd == AT_FDCWD || path.first() == Some(&b'/') {
            return Ok(start.path);
        }
        text.push(b"/dev/fd/")?;
        text.push_decimal(start.dirfd.unsigned_abs())?;
        if !path.is_empty() {
            text.push(b"/")?;
            text.push(path)?;
        }
        Ok(text.as_ptr())
    }

    /// Refuses a program that no door covers, or lets it go and says so once.
    #[inline(never)]
    pub(super) fn allow_uncovered(&self, door: Door<'_>, path: *const u8, why: Why) -> Result<(), Errno> {
        // The gate's filter lasts: without a handler the first call that traps would end the program.
        let lasts = matches!(door, Door::Gate { note, .. } if note & gated::FIRST == 0);
        let required = self.view.flags() & view::flags::COVERAGE_REQUIRED != 0;
        if !lasts && !required && !self.shared.is_none_or(|shared| shared.directories.first_uncovered()) {
            return Ok(());
        }
        let mut line = Text::<{ 3 * crate::files::MAX_PATH }>::new();
        // SAFETY: host_path has found the string readable.
        let path = unsafe { core::ffi::CStr::from_ptr(path.cast()) }.to_bytes();
        let verdict: &[u8] =
            if required || lasts { b": not started: it is " } else { b": runs outside the view: it is " };
        let remedy: &[u8] = if required && why.is_for_gate() {
            b"; set coverage.door = \"gate\", which covers such programs\n"
        } else if lasts {
            b"; nothing that the gate has started leaves the view: with coverage = { level = \"best-effort\", door = \"shim\" } such programs run outside it\n"
        } else if required {
            b"; set coverage = \"best-effort\" to let such programs run outside the view\n"
        } else {
            b"; further ones are not reported\n"
        };
        let coverage: &[u8] =
            if required { b" (coverage = \"required\" in " } else { b" (coverage = \"best-effort\" in " };
        for part in [b"launcher: ", path, verdict, why.words(), coverage, self.view.policy_file()] {
            line.push(part)?;
        }
        match self.view.coverage_line() {
            0 => line.push(b", by default")?,
            number => {
                line.push(b":")?;
                line.push_decimal(number)?;
            }
        }
        line.push(b")")?;
        line.push(remedy)?;
        // Where standard error is closed there is nobody to tell.
        let _ = kernel::write(2, line.bytes());
        if required || lasts { Err(Errno::EACCES) } else { Ok(()) }
    }

    /// Gives `call` the environment with the shim in `LD_PRELOAD`: last, after
    /// the program's own, which are part of the application.
    #[inline(never)]
    pub(super) fn with_environment(
        &self,
        shim: &[u8],
        envp: Strings,
        call: &mut dyn FnMut(Strings) -> Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        const NAME: &[u8] = b"LD_PRELOAD=";
        let count = count(envp)?;
        let mut preload = Scratch::new();
        preload.push(NAME)?;
        let mut made = Pointers::new(count + 2)?;
        for index in 0..count {
            // SAFETY: the array has been counted.
            let entry = unsafe { *envp.add(index) };
            match text(entry)?.strip_prefix(NAME) {
                // The first of several is the one that counts.
                Some(theirs) if preload.len() == NAME.len() => {
                    preload.push(theirs)?;
                    preload.push(if theirs.is_empty() { b"" } else { b":" })?;
                }
                Some(_) => {}
                None => made.push(entry),
            }
        }
        if !preload.bytes().ends_with(shim) {
            preload.push(shim)?;
        }
        made.push(preload.as_ptr());
        call(made.finish())
    }
}

/// A string of the program's.
pub(super) fn text<'s>(string: *const u8) -> Result<&'s [u8], Errno> {
    if !user::is_string(string) {
        return Err(Errno::EFAULT);
    }
    // SAFETY: found readable; it stays for as long as the call that gave it.
    Ok(unsafe { core::ffi::CStr::from_ptr(string.cast()) }.to_bytes())
}

/// How many strings an array holds.
pub(super) fn count(strings: Strings) -> Result<usize, Errno> {
    let mut count = 0;
    // A null array is an empty one, as in the kernel.
    while !strings.is_null() {
        let entry = strings.wrapping_add(count);
        if !user::is_word(entry as usize) {
            return Err(Errno::EFAULT);
        }
        // SAFETY: found readable.
        if unsafe { *entry }.is_null() {
            break;
        }
        count += 1;
    }
    Ok(count)
}

/// An array of strings in the making, always ended by a null pointer. What of it
/// is not used is not touched: after a fork each page of the stack is a fault.
pub(super) struct Pointers {
    far: Option<(usize, usize)>,
    len: usize,
    near: [MaybeUninit<*const u8>; ON_STACK],
}

impl Pointers {
    pub(super) fn new(capacity: usize) -> Result<Pointers, Errno> {
        let far = if capacity < ON_STACK {
            None
        } else {
            let bytes = (capacity + 1) * size_of::<usize>();
            Some((kernel::map_anonymous(bytes)?, bytes))
        };
        let mut made = Pointers { far, len: 0, near: [MaybeUninit::uninit(); ON_STACK] };
        made.set(0, core::ptr::null());
        Ok(made)
    }

    fn set(&mut self, index: usize, entry: *const u8) {
        match self.far {
            // SAFETY: the mapping has room for all that `new` was told of, and a null.
            Some((address, _)) => unsafe { *(address as *mut *const u8).add(index) = entry },
            None => {
                if let Some(to) = self.near.get_mut(index) {
                    to.write(entry);
                }
            }
        }
    }

    pub(super) fn push(&mut self, entry: *const u8) {
        self.set(self.len, entry);
        self.len += 1;
        self.set(self.len, core::ptr::null());
    }

    /// The array.
    pub(super) fn finish(&self) -> Strings {
        self.far.map_or(self.near.as_ptr().cast(), |(address, _)| address as Strings)
    }
}

impl Drop for Pointers {
    fn drop(&mut self) {
        if let Some((address, bytes)) = self.far {
            // SAFETY: nothing uses the array any more.
            unsafe { kernel::unmap(address, bytes) };
        }
    }
}
