//! The links of /proc that the kernel follows without reading their text:
//! a process's `cwd`, `root`, `exe` and `fd/N`, and /dev/fd over them.
//!
//! The kernel follows them into the host's tree. That is right for the file
//! itself, but what comes after such a link in a path, and whether the file
//! may be written, is a matter of the app's tree.

use super::base::Cursor;
use super::lexical::Look;
use super::namei::Walk;
use super::text::Text;
use super::{MAX_PATH, Want, scan};
use crate::kernel::{self, AT_FDCWD};
use crate::{Errno, Instance};

/// Whether a host path is one of the links, or lies where only they do:
/// /proc/PID/{fd/*,exe,cwd,root,ns/*,map_files/*}.
pub(super) fn is_magic(host: &[u8]) -> bool {
    let mut names = host.split(|byte| *byte == b'/').skip(1);
    names.next() == Some(b"proc") && names.next().is_some() && names.next().is_some()
}

/// Splits a path after the link that it begins with: /proc/self/fd/3, /rest.
fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut end = 0;
    let mut next = || {
        let rest = path.get(end..)?;
        let start = end + rest.iter().position(|byte| *byte != b'/')?;
        let rest = path.get(start..)?;
        end = start + rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
        path.get(start..end)
    };
    let is_link = match (next()?, next()?) {
        (b"dev", b"fd") => next().is_some(),
        (b"dev", name) => matches!(name, b"stdin" | b"stdout" | b"stderr"),
        (b"proc", process) => {
            let is_process = matches!(process, b"self" | b"thread-self");
            if !is_process && !process.iter().all(u8::is_ascii_digit) {
                return None;
            }
            let mut name = next()?;
            if name == b"task" {
                next()?;
                name = next()?;
            }
            matches!(name, b"cwd" | b"root" | b"exe") || (name == b"fd" && next().is_some())
        }
        _ => false,
    };
    if is_link { path.split_at_checked(end) } else { None }
}

impl Instance<'_> {
    /// Whether the kernel's own directory stands where a path begins: /proc or /dev.
    fn is_kernels(&self, path: &[u8]) -> bool {
        let Some(name) = scan::components(path).next() else { return false };
        let Some(node) = self.view.child(self.view.app_root(), name) else { return !self.view.has_root() };
        let source = self.view.node(node).and_then(|node| self.view.source_of(node)).unwrap_or(b"");
        self.view.passes(node) || source.strip_prefix(b"/") == Some(name)
    }

    /// Whether a path under a mount is one of the links by its letters.
    pub(super) fn names_magic(&self, path: &[u8]) -> bool {
        split(path).is_some_and(|(_, rest)| rest.is_empty()) && self.is_kernels(path)
    }

    /// What a path that begins with /proc or /dev means, where it leads through
    /// one of the links. None: it does not.
    #[inline(never)]
    pub(super) fn look_through_magic(&self, path: &[u8], want: Want) -> Option<Look> {
        let (link, rest) = split(path)?;
        if !self.is_kernels(link) || (rest.is_empty() && !want.follow) {
            return None;
        }
        let mut text = Text::<64>::new();
        text.push(link).ok()?;
        let mut app = Text::<MAX_PATH>::new();
        self.behind_magic(text.as_ptr(), &mut app)?;
        if rest.is_empty() && self.names_program(link) {
            return Some(Look::Walk);
        }
        let mut cursor = self.locate(app.bytes());
        for name in scan::components(rest) {
            if !self.passes(cursor.node) {
                return Some(Look::Walk);
            }
            cursor = match name {
                b".." => cursor.up(&self.view).unwrap_or(Cursor { below: Cursor::DEEP, ..cursor }),
                name => cursor.down(&self.view, name),
            };
        }
        let touched = !self.passes(cursor.node) || cursor.below == Cursor::DEEP;
        touched.then_some(Look::Walk)
    }

    /// Writes the app path that one of the links stands for. None: it stands for
    /// no file that has a name, or is for the kernel to refuse.
    pub(super) fn behind_magic(&self, link: *const u8, app: &mut Text<MAX_PATH>) -> Option<()> {
        let mut host = Text::<MAX_PATH>::new();
        // Of /dev/stdin the text is /proc/self/fd/0, which is no answer yet.
        let mut step = Text::<MAX_PATH>::new();
        step.read(|room| kernel::readlinkat(AT_FDCWD, link, room)).ok()?;
        if split(step.bytes()).is_some_and(|(_, rest)| rest.is_empty()) {
            host.read(|room| kernel::readlinkat(AT_FDCWD, step.as_ptr(), room)).ok()?;
        } else {
            host.push(step.bytes()).ok()?;
        }
        if host.bytes().first() != Some(&b'/') || host.bytes().ends_with(b" (deleted)") {
            return None;
        }
        // SAFETY: callers give strings that end in NUL.
        let link = unsafe { core::ffi::CStr::from_ptr(link.cast()) }.to_bytes();
        self.correct_program(link, &mut host);
        if host.bytes() == b"/" && (!self.view.has_root() || link.ends_with(b"/root")) {
            return Some(());
        }
        self.reverse(host.bytes(), app).and_then(|()| self.follow_renames(host.bytes(), app)).ok()
    }
}

impl Walk {
    /// Follows a link of /proc, whose text is not to be read as a path. In the
    /// last place the link itself is what the kernel gets: the file that it
    /// stands for may have no name any more.
    pub(super) fn pass_through(&mut self, instance: &Instance<'_>, last: bool) -> Result<(), Errno> {
        let mut app = Text::<MAX_PATH>::new();
        if instance.behind_magic(self.host.as_ptr(), &mut app).is_none() {
            return Ok(());
        }
        // The root that the kernel knows is the host's.
        let is_root = instance.view.has_root() && self.host.bytes().ends_with(b"/root");
        if !last || is_root {
            return self.start(instance, app.bytes());
        }
        self.cursor = instance.locate(app.bytes());
        if instance.view.node(self.cursor.node).is_some_and(view::Node::is_layered) {
            // What is to be changed is not what the descriptor is of.
            return self.start(instance, app.bytes());
        }
        self.app = app;
        if instance.names_program(self.host.bytes()) {
            let mut link = Text::<MAX_PATH>::new();
            link.push(self.host.bytes())?;
            let mut host = Text::<MAX_PATH>::new();
            host.read(|room| kernel::readlinkat(AT_FDCWD, self.host.as_ptr(), room))?;
            instance.correct_program(link.bytes(), &mut host);
            self.host = host;
        }
        Ok(())
    }
}
