//! Calls that look at a file: readlink, statfs, getxattr.

use core::hint::cold_path;

use super::glance::{Glance, Start};
use super::lexical::Look;
use super::magic::is_magic;
use super::place::{Place, Scratch, Want};
use super::plain::PlainScratch;
use super::refusal::attribute_has_name;
use super::stat::is_whole;
use super::text::Text;
use super::union::{NoLink, Settled, WholePath, is_whiteout, look_at_attributes};
use super::{MAX_PATH, scan};
use crate::kernel::{self, AT_FDCWD, syscall};
use crate::shared::path_hash;
use crate::{Answer, Errno, Instance};

/// Whether the flags of a call let it follow a link in the last place.
pub(super) fn follows(flags: i32) -> bool {
    flags & libc::AT_SYMLINK_NOFOLLOW == 0
}

impl Instance<'_> {
    /// Where the file is that has a plain path in a directory of a union with two sides. None:
    /// that takes a walk.
    #[inline(never)]
    pub(super) fn one_of_two(
        &self,
        path: *const u8,
        start: Start,
        follow: bool,
        scratch: &mut [PlainScratch; 2],
    ) -> Option<Result<Place, Errno>> {
        let (higher, lower) = self.two_places(path, start, scratch)?;
        if self.traces() {
            return None;
        }
        let look = |place: &Place| kernel::fstatat(place.dirfd, place.path, libc::AT_SYMLINK_NOFOLLOW);
        // Other than what is known of a directory with one side: it is no whiteout either.
        let settled = lower.as_ref().and_then(|_| self.settled(!path_hash(scratch[1].bytes())));
        let (found, place, is_higher) = match (look(&higher), lower) {
            (Err(Errno::ENOENT), Some(lower)) if settled.is_some_and(Settled::is_known) => {
                return Some(Ok(lower));
            }
            (Err(Errno::ENOENT), Some(lower)) => (look(&lower), lower, false),
            (found, _) => (found, higher, true),
        };
        let stat = match found {
            Ok(stat) => stat,
            Err(errno) => return (errno == Errno::ENOENT).then_some(Err(errno)),
        };
        if !is_higher
            && is_whole(stat.st_mode, stat.st_rdev, is_higher, true)
            && let Some(settled) = settled
        {
            settled.note();
        }
        let is_whole = is_whole(stat.st_mode, stat.st_rdev, is_higher, follow);
        is_whole.then_some(Ok(place))
    }

    /// readlink(2), readlinkat(2). The links of /proc that name the program's
    /// own files give app paths.
    pub fn readlinkat(&self, dirfd: i32, path: *const u8, buf: *mut u8, size: usize) -> Answer {
        if let Err(errno) = self.may_reach((dirfd, path)) {
            return Answer::fail(errno);
        }
        match self.glance(dirfd, path) {
            Glance::Elsewhere => Answer::Pass,
            Glance::Closer(start) => self.readlinkat_from(dirfd, path, buf, size, start),
        }
    }

    /// The same, after the first look.
    #[inline(always)]
    pub fn readlinkat_from(
        &self,
        dirfd: i32,
        path: *const u8,
        buf: *mut u8,
        size: usize,
        start: Start,
    ) -> Answer {
        if self.has_unions() {
            return self.readlinkat_with_unions(dirfd, path, buf, size, start);
        }
        let mut scratch = PlainScratch::new();
        if let Some(place) = self.plain_place(path, start, true, &mut scratch)
            && !(scratch.bytes().starts_with(b"/proc/") && is_magic(scratch.bytes()))
        {
            return Answer::Done(read_link(&place, buf, size));
        }
        cold_path();
        self.readlinkat_beyond_plain((dirfd, path), buf, size, start, None)
    }

    /// The same where the view has unions: what is known to be no link is not asked for.
    #[inline(never)]
    fn readlinkat_with_unions(
        &self,
        dirfd: i32,
        path: *const u8,
        buf: *mut u8,
        size: usize,
        start: Start,
    ) -> Answer {
        let plain = self.plain_path(path, start);
        let no_link = plain.as_ref().and_then(|plain| self.no_link_at(plain));
        if no_link.is_some_and(NoLink::is_known) {
            return Answer::fail(Errno::EINVAL);
        }
        let mut scratch = PlainScratch::new();
        if let Some(place) = plain.and_then(|plain| self.place_of_plain(&plain, true, &mut scratch))
            && !(scratch.bytes().starts_with(b"/proc/") && is_magic(scratch.bytes()))
        {
            let done = read_link(&place, buf, size);
            if let Some(no_link) = no_link.filter(|_| is_no_link(done, size)) {
                no_link.note();
            }
            return Answer::Done(done);
        }
        cold_path();
        self.readlinkat_beyond_plain((dirfd, path), buf, size, start, no_link)
    }

    /// The same, where the path is not plain.
    #[inline(never)]
    fn readlinkat_beyond_plain(
        &self,
        (dirfd, path): (i32, *const u8),
        buf: *mut u8,
        size: usize,
        start: Start,
        no_link: Option<NoLink>,
    ) -> Answer {
        if size == 0 {
            return Answer::fail(Errno::EINVAL);
        }
        match self.second_glance(dirfd, path, start) {
            Some(Glance::Elsewhere) => return Answer::Pass,
            Some(Glance::Closer(start)) => return self.readlinkat_from(dirfd, path, buf, size, start),
            None => {}
        }
        let no_link = no_link.or_else(|| self.no_link_at_point(path, start));
        if no_link.is_some_and(NoLink::is_known) {
            return Answer::fail(Errno::EINVAL);
        }
        if start.is_anew() && self.in_base(dirfd, path).is_some() {
            return Answer::Done(read_link(&Place::new(dirfd, path, 0, None), buf, size));
        }
        let mut whole = WholePath::new();
        match self.respelled((dirfd, path), start, &mut whole) {
            Some(Ok(start)) => return self.readlinkat_from(dirfd, whole.as_ptr(), buf, size, start),
            Some(Err(errno)) => return Answer::fail(errno),
            None => {}
        }
        if let Some(done) = self.read_one_of_two(path, start, (buf, size), no_link) {
            return Answer::Done(done);
        }
        let look = self.look_closer(dirfd, path, start, Want::LOOK_AT_LINK);
        if !matches!(look, Look::Untouched) && self.is_magic_in_mount(dirfd, path) {
            return self.read_magic(dirfd, path, buf, size);
        }
        if matches!(look, Look::Untouched) {
            if self.may_be_magic(dirfd, path) {
                return self.read_magic(dirfd, path, buf, size);
            }
            if !self.traces() {
                return Answer::Pass;
            }
        }
        self.at_place(libc::SYS_readlinkat, (dirfd, path), look, Want::LOOK_AT_LINK, |place| {
            let done = read_link(place, buf, size);
            if let Some(no_link) = no_link.filter(|_| is_no_link(done, size)) {
                self.note_known_directory(no_link);
            }
            done
        })
    }

    /// Reads a link with a plain path in a directory of a union with two sides. None: that takes a walk.
    #[inline(never)]
    fn read_one_of_two(
        &self,
        path: *const u8,
        start: Start,
        (buf, size): (*mut u8, usize),
        no_link: Option<NoLink>,
    ) -> Option<Result<usize, Errno>> {
        let mut scratch = [PlainScratch::new(), PlainScratch::new()];
        let (higher, lower) = self.two_places(path, start, &mut scratch)?;
        if self.traces() {
            return None;
        }
        let (done, place) = match (read_link(&higher, buf, size), &lower) {
            (Err(Errno::ENOENT), Some(lower)) => (read_link(lower, buf, size), lower),
            (done, _) => (done, &higher),
        };
        match done {
            Ok(_) | Err(Errno::ENOENT) => Some(done),
            // It is no link, and perhaps a whiteout.
            Err(Errno::EINVAL) => {
                let stat = kernel::fstatat(place.dirfd, place.path, libc::AT_SYMLINK_NOFOLLOW).ok()?;
                if let Some(no_link) =
                    no_link.filter(|_| is_no_link(done, size) && stat.st_mode & libc::S_IFMT == libc::S_IFDIR)
                {
                    no_link.note();
                }
                (!is_whiteout(&stat)).then_some(done)
            }
            Err(_) => None,
        }
    }

    /// Whether the path may name one of /proc's links, or (being empty) the
    /// link that a descriptor of one stands for.
    #[inline]
    fn may_be_magic(&self, dirfd: i32, path: *const u8) -> bool {
        let Some(survey) = scan::survey(path, 0) else { return false };
        // SAFETY: just read.
        let path = unsafe { core::slice::from_raw_parts(path, survey.len) };
        match path {
            [b'/', second, ..] if !matches!(second, b'p' | b'd' | b'/' | b'.') => false,
            [b'/', ..] => is_magic(path) || path.starts_with(b"/dev/fd/"),
            _ => self.is_relative_magic(dirfd, path),
        }
    }

    /// Whether a path under a mount names one of /proc's links. The kernel's own
    /// directory stands there then, so that the path will do as it is.
    fn is_magic_in_mount(&self, dirfd: i32, path: *const u8) -> bool {
        let Some(survey) = scan::survey(path, 0) else { return false };
        // SAFETY: just read.
        let path = unsafe { core::slice::from_raw_parts(path, survey.len) };
        match path {
            [b'/', ..] => self.names_magic(path),
            _ => self.names_magic(b"/proc/self/exe") && self.is_relative_magic(dirfd, path),
        }
    }

    fn is_relative_magic(&self, dirfd: i32, path: &[u8]) -> bool {
        let mut base = Text::new();
        // Only /proc needs the directory's name, and its directories are rarely held open.
        matches!(path, b"exe" | b"cwd" | b"root") | path.iter().all(u8::is_ascii_digit)
            && self.base_path(dirfd, &mut base).is_ok()
            && base.bytes().starts_with(b"/proc/")
    }

    fn read_magic(&self, dirfd: i32, path: *const u8, buf: *mut u8, size: usize) -> Answer {
        let mut host = Text::<MAX_PATH>::new();
        if let Err(errno) = host.read(|room| kernel::readlinkat(dirfd, path, room)) {
            return Answer::fail(errno);
        }
        // SAFETY: the kernel has just read the string.
        let named = unsafe { core::ffi::CStr::from_ptr(path.cast()) }.to_bytes();
        let mut link = Text::<MAX_PATH>::new();
        let whole = match named {
            [b'/', ..] => link.push(named),
            _ => self
                .base_path(dirfd, &mut link)
                .and_then(|()| link.push(b"/"))
                .and_then(|()| link.push(named)),
        };
        if let Err(errno) = whole {
            return Answer::fail(errno);
        }
        let corrected = self.correct_program(link.bytes(), &mut host);
        let mut app = Text::<MAX_PATH>::new();
        if host.bytes().first() != Some(&b'/')
            || !(corrected || self.is_behind_mount(host.bytes()))
            || self.reverse(host.bytes(), &mut app).is_err()
            || self.follow_renames(host.bytes(), &mut app).is_err()
        {
            return Answer::Pass;
        }
        if size == 0 || size > isize::MAX as usize {
            return Answer::fail(Errno::EINVAL);
        }
        let len = app.len().min(size);
        if !crate::user::is_writable(buf, len) {
            return Answer::fail(Errno::EFAULT);
        }
        // SAFETY: the program's buffer of at least `size` bytes, found writable.
        unsafe { core::ptr::copy_nonoverlapping(app.bytes().as_ptr(), buf, len) };
        Answer::Done(Ok(len))
    }

    /// A call that looks at a path and takes up to three more words after it:
    /// statfs(2), getxattr(2), listxattr(2), inotify's and others'.
    pub fn look(&self, nr: i64, path: *const u8, follow: bool, words: [usize; 3]) -> Answer {
        let may = match nr {
            libc::SYS_getxattr | libc::SYS_lgetxattr => attribute_has_name(words[0] as *const u8)
                .and_then(|()| self.may_read_attribute(path, follow, words[0] as *const u8)),
            _ => self.may_reach((AT_FDCWD, path)),
        };
        if let Err(errno) = may {
            return Answer::fail(errno);
        }
        let look = |place: &Place| {
            let (in_union, plays) = (self.is_layered(place), self.plays());
            if matches!(nr, libc::SYS_getxattr | libc::SYS_lgetxattr)
                && let Some(kept) = self.kept_name(words[0] as *const u8)
            {
                return self.look_at_kept(kept, words[0], |name| {
                    place.with_path(|path| {
                        // SAFETY: the program's pointers, for the kernel to judge, and a name of ours.
                        unsafe { syscall(nr, [path as usize, name, words[1], words[2], 0, 0]) }
                    })
                });
            }
            if (in_union || plays)
                && let Some(done) = look_at_attributes(nr, place, words, (in_union, plays))
            {
                return done;
            }
            place.with_path(|path| {
                // SAFETY: the program's pointers, for the kernel to judge.
                unsafe { syscall(nr, [path as usize, words[0], words[1], words[2], 0, 0]) }
            })
        };
        match self.at(nr, AT_FDCWD, path, Want::LOOK.following(follow), look) {
            Answer::Pass if self.plays() => Answer::Done(look(&Place::new(AT_FDCWD, path, 0, None))),
            answer => answer,
        }
    }

    /// inotify_add_watch(2)
    pub fn inotify_add_watch(&self, fd: i32, path: *const u8, mask: u32) -> Answer {
        let want = Want::LOOK.following(mask & libc::IN_DONT_FOLLOW == 0);
        self.settle_watched(path, want.follow);
        self.at(libc::SYS_inotify_add_watch, AT_FDCWD, path, want, |place| {
            place.with_path(|path| {
                let args = [fd as usize, path as usize, mask as usize, 0, 0, 0];
                // SAFETY: the kernel only reads the string.
                unsafe { syscall(libc::SYS_inotify_add_watch, args) }
            })
        })
    }

    /// Whether a mount is involved in the path, or lies below it, or all calls
    /// are to be told of.
    #[inline]
    pub fn is_touched(&self, dirfd: i32, path: *const u8) -> bool {
        self.traces() || !matches!(self.look_up(dirfd, path, Want::LOOK), Look::Untouched)
    }

    /// The host path that a path means, for a function of libc that wants one.
    /// All links are resolved but, unless `follow`, the last. None: the path
    /// itself will do.
    ///
    /// # Errors
    ///
    /// What a look at the path would answer; what is missing is no error if
    /// only the last component is.
    pub fn host_path(
        &self,
        dirfd: i32,
        path: *const u8,
        want: Want,
        scratch: &mut Scratch,
    ) -> Result<Option<*const u8>, Errno> {
        match self.look_up(dirfd, path, want) {
            Look::Untouched | Look::Boundary(_) => Ok(None),
            _ => {
                let place = self.walk(dirfd, path, want.follow, scratch)?;
                self.refuse(&place, want)?;
                Ok(Some(place.path))
            }
        }
    }

    /// The canonical app path, as realpath(3) gives it: every component must
    /// exist and be reachable.
    ///
    /// # Errors
    ///
    /// Those of path_resolution(7).
    pub fn canonicalize(&self, path: *const u8, app: &mut Scratch) -> Result<(), Errno> {
        if !crate::user::is_string(path) {
            return Err(Errno::EFAULT);
        }
        // SAFETY: a readable string.
        if unsafe { *path } == 0 {
            return Err(Errno::ENOENT);
        }
        let mut walk = super::namei::Walk::new();
        let slash = self.walk_path(&mut walk, AT_FDCWD, path, true)?;
        if !walk.host.is_empty() {
            let stat = kernel::fstatat(AT_FDCWD, walk.host.as_ptr(), libc::AT_SYMLINK_NOFOLLOW)?;
            if slash && stat.st_mode & libc::S_IFMT != libc::S_IFDIR {
                return Err(Errno::ENOTDIR);
            }
        }
        app.truncate(0);
        app.push(if walk.app.is_empty() { b"/" } else { walk.app.bytes() })
    }
}

/// Whether the kernel has found that it is no link: of a size that is none it says the same without a look.
fn is_no_link(done: Result<usize, Errno>, size: usize) -> bool {
    done == Err(Errno::EINVAL) && size as i32 > 0
}

/// Reads the link at a place, as readlinkat(2).
#[inline(always)]
fn read_link(place: &Place, buf: *mut u8, size: usize) -> Result<usize, Errno> {
    let args = [place.dirfd as usize, place.path as usize, buf as usize, size, 0, 0];
    // SAFETY: the program's buffer, for the kernel to judge.
    unsafe { syscall(libc::SYS_readlinkat, args) }
}
