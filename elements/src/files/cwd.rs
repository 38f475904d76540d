//! The working directory: chdir(2), fchdir(2), getcwd(2).
//!
//! The kernel's working directory is the host's directory behind the app's.

use core::sync::atomic::{AtomicBool, Ordering};

use super::lexical::Look;
use super::namei::Walk;
use super::place::Want;
use super::text::Text;
use super::union::{WholePath, forget_answers};
use super::{MAX_PATH, note_duplicate};
use crate::kernel::{self, AT_FDCWD, syscall};
use crate::{Answer, Errno, Instance, process};

/// Whether the kernel's root is no longer the host's: no host path leads anywhere.
#[unsafe(link_section = ".bss.soon")]
static IS_JAILED: AtomicBool = AtomicBool::new(false);

impl Instance<'_> {
    /// chdir(2). Never passes, since what it changes must be noted.
    pub fn chdir(&self, path: *const u8) -> Answer {
        if let Err(errno) = self.may_enter((AT_FDCWD, path)) {
            return Answer::fail(errno);
        }
        // SAFETY: the kernel only reads the string.
        let as_given = || Answer::Done(unsafe { syscall(libc::SYS_chdir, [path as usize, 0, 0, 0, 0, 0]) });
        let epoch = self.directories.map(|directories| directories.epoch());
        let mut is_in_mount = false;
        let answer = match self.look_up(AT_FDCWD, path, Want::LOOK) {
            Look::Untouched | Look::Boundary(_) => as_given(),
            _ if IS_JAILED.load(Ordering::Relaxed) => as_given(),
            _ => {
                is_in_mount = true;
                self.settle_directory(path);
                self.look(libc::SYS_chdir, path, true, [0; 3])
            }
        };
        if matches!(answer, Answer::Done(Ok(_))) {
            self.note_directory(AT_FDCWD, None);
            if let Some(epoch) = epoch.filter(|_| is_in_mount && self.has_unions()) {
                self.enter_lowest(epoch);
            }
        }
        answer
    }

    /// chroot(2). The kernel's root becomes the directory's own on the host. In a union that is its side in the write
    /// layer, which must be all of it: `EPERM` otherwise, since what the other sides have would be missing there. From then on
    /// what the view has is out of reach (`ENOENT`), as it is for who gives up its rights in an empty directory.
    pub fn chroot(&self, path: *const u8) -> Answer {
        forget_answers();
        match self.look_up(AT_FDCWD, path, Want::LOOK) {
            Look::Untouched | Look::Boundary(_) => Answer::Pass,
            _ => {
                if let Err(errno) = self.make_whole((AT_FDCWD, path), true, false) {
                    return Answer::fail(errno);
                }
                let answer = self.look(libc::SYS_chroot, path, true, [0; 3]);
                // A vfork child's root is its own, and the memory its parent's.
                if matches!(answer, Answer::Done(Ok(_))) && !process::is_borrower() {
                    IS_JAILED.store(true, Ordering::Relaxed);
                }
                answer
            }
        }
    }

    /// fchdir(2). Never passes, as chdir.
    pub fn fchdir(&self, fd: i32) -> Answer {
        // SAFETY: touches no memory.
        let done = unsafe { syscall(libc::SYS_fchdir, [fd as usize, 0, 0, 0, 0, 0]) };
        if done.is_ok() {
            note_duplicate(fd, AT_FDCWD);
        }
        Answer::Done(done)
    }

    /// Puts the app path of the working directory right, which has been found by its letters: a layer keeps what the program
    /// has renamed or taken away.
    ///
    /// # Errors
    ///
    /// `ENOENT` where it is in the union no longer.
    fn follow_working_directory(&self, host: &[u8], app: &mut Text<MAX_PATH>) -> Result<(), Errno> {
        if !self.has_unions() || self.layers_own(host).is_none() {
            return Ok(());
        }
        let mut kept = WholePath::new();
        if self.kept_path(AT_FDCWD, &mut kept).is_some() {
            app.truncate(0);
            return app.push(kept.bytes());
        }
        let finding = self.begin_path(AT_FDCWD);
        let mut walk = Walk::new();
        if self.walk_to_side(&mut walk, host, app.bytes()).map_err(|_| Errno::ENOENT)? {
            app.truncate(0);
            app.push(walk.app.bytes())?;
            if let Some(finding) = finding {
                finding.keep(app.bytes());
            }
        }
        Ok(())
    }

    /// getcwd(2): the length, with the NUL.
    ///
    /// The kernel writes to where the program wants it: most working directories are told of as the kernel does.
    pub fn getcwd(&self, buf: *mut u8, size: usize) -> Answer {
        let Ok(len @ 1..) = kernel::getcwd_to(buf, size) else { return self.getcwd_beyond_kernel(buf, size) };
        // SAFETY: the kernel has just written as many.
        let host = unsafe { core::slice::from_raw_parts_mut(buf, len) };
        let path = &host[..len - 1];
        if !self.is_unreachable(path) && !self.is_behind_mount(path) {
            return Answer::Done(Ok(len));
        }
        // Not to be seen, also where what follows fails.
        host.fill(0);
        self.getcwd_beyond_kernel(buf, size)
    }

    #[inline(never)]
    fn getcwd_beyond_kernel(&self, buf: *mut u8, size: usize) -> Answer {
        let mut host = Text::<MAX_PATH>::new();
        if let Err(errno) = host.read(kernel::getcwd) {
            return Answer::fail(errno);
        }
        let unreachable = self.is_unreachable(host.bytes());
        if !unreachable && !self.is_behind_mount(host.bytes()) {
            return Answer::Pass;
        }
        let mut app = Text::<MAX_PATH>::new();
        let told = if unreachable {
            // The kernel's own word for what lies outside of the root.
            app.push(b"(unreachable)").and_then(|()| app.push(host.bytes()))
        } else {
            self.reverse(host.bytes(), &mut app)
        };
        if let Err(errno) = told {
            return Answer::fail(errno);
        }
        if !unreachable && let Err(errno) = self.follow_working_directory(host.bytes(), &mut app) {
            return Answer::fail(errno);
        }
        let len = app.len() + 1;
        if len > size {
            return Answer::fail(Errno::ERANGE);
        }
        if !crate::user::is_writable(buf, len) {
            return Answer::fail(Errno::EFAULT);
        }
        // SAFETY: the program's buffer of at least `size` bytes, found
        // writable; the text ends in NUL.
        unsafe { core::ptr::copy_nonoverlapping(app.as_ptr(), buf, len) };
        Answer::Done(Ok(len))
    }
}
