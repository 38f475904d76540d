//! open: openat(2), openat2(2), creat(2).
//!
//! Under a mount the call itself asks for `RESOLVE_NO_SYMLINKS`, so that the
//! common case costs no call more than natively.

use core::hint::cold_path;

use view::{Access, Kind};

use super::allow::parent_exists;
use super::glance::{Glance, Start};
use super::lexical::{Look, Rest};
use super::namei::Walk;
use super::place::{Place, Scratch, Want};
use super::plain::PlainScratch;
use super::rename::ends_in_dots;
use super::union::WholePath;
use super::{is_worth_knowing, note_open};
use crate::kernel::{self, AT_FDCWD, OpenHow, RESOLVE_NO_SYMLINKS};
use crate::shared::Directories;
use crate::{Answer, Errno, Instance, process};

/// The flags that openat(2) knows. It ignores others; openat2(2) refuses them.
pub const OPEN_FLAGS: i32 = libc::O_ACCMODE
    | libc::O_CREAT
    | libc::O_EXCL
    | libc::O_NOCTTY
    | libc::O_TRUNC
    | libc::O_APPEND
    | libc::O_NONBLOCK
    | libc::O_SYNC
    | libc::O_ASYNC
    | libc::O_DIRECT
    | O_LARGEFILE
    | libc::O_DIRECTORY
    | libc::O_NOFOLLOW
    | libc::O_NOATIME
    | libc::O_CLOEXEC
    | libc::O_PATH
    | libc::O_TMPFILE;

/// libc calls it 0 on x86-64, where glibc never sets it; other callers do.
const O_LARGEFILE: i32 = 0o100_000;

const WITH_PATH: i32 = libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;

impl Instance<'_> {
    /// openat(2)
    pub fn openat(&self, dirfd: i32, path: *const u8, flags: i32, mode: u32) -> Answer {
        match self.glance(dirfd, path) {
            Glance::Elsewhere => Answer::Pass,
            Glance::Closer(start) => self.openat_from(dirfd, path, flags, mode, start),
        }
    }

    /// The same, after the first look.
    #[inline(always)]
    pub fn openat_from(&self, dirfd: i32, path: *const u8, flags: i32, mode: u32, start: Start) -> Answer {
        match self.open_plain(start, path, flags, mode) {
            Some((Err(errno), is_layered)) if may_be_link(errno) => {
                cold_path();
                if is_layered && let Some(answer) = self.openat_beyond_link(path, flags, mode, start) {
                    return answer;
                }
                self.open_looked_up(dirfd, path, Look::Walk, flags, mode)
            }
            Some((opened, _)) => Answer::Done(opened.map(|fd| fd as usize)),
            None => {
                cold_path();
                self.openat_beyond_plain(dirfd, path, flags, mode, start)
            }
        }
    }

    /// The same, where the path is not plain.
    #[inline(never)]
    fn openat_beyond_plain(
        &self,
        dirfd: i32,
        path: *const u8,
        flags: i32,
        mode: u32,
        start: Start,
    ) -> Answer {
        match self.second_glance(dirfd, path, start) {
            Some(Glance::Elsewhere) => return Answer::Pass,
            Some(Glance::Closer(start)) => return self.openat_from(dirfd, path, flags, mode, start),
            None => {}
        }
        if !writes(flags) && self.is_path_behind(dirfd, path) {
            match kernel::openat2(dirfd, path, &how(flags, mode, RESOLVE_NO_SYMLINKS)) {
                Err(errno) if may_be_link(errno) => {}
                opened => {
                    if let Ok(fd) = opened {
                        self.opened_behind(dirfd, path, flags, fd);
                    }
                    return Answer::Done(opened.map(|fd| fd as usize));
                }
            }
        }
        if !self.traces()
            && let Some(opened) = self.open_one_of_two(start, path, flags, mode)
        {
            return Answer::Done(opened.map(|fd| fd as usize));
        }
        if !writes(flags)
            && start.is_anew()
            && let Some(opened) = self.open_in_base(dirfd, path, &how(flags, mode, RESOLVE_NO_SYMLINKS))
            && !opened.is_err_and(may_be_link)
        {
            return Answer::Done(opened.map(|fd| fd as usize));
        }
        let mut whole = WholePath::new();
        // Who makes a file knows its directory by its plain name, nearly always.
        if start.is_anew() || !writes(flags) {
            match self.respelled((dirfd, path), start, &mut whole) {
                Some(Ok(start)) => return self.openat_from(dirfd, whole.as_ptr(), flags, mode, start),
                // Flags that do not go together are refused first.
                Some(Err(errno)) if !writes(flags) && flags & libc::O_TMPFILE & !libc::O_DIRECTORY == 0 => {
                    return Answer::fail(errno);
                }
                _ => {}
            }
        }
        let want = Want::LOOK.following(flags & libc::O_NOFOLLOW == 0);
        let look = self.look_closer(dirfd, path, start, want);
        self.open_looked_up(dirfd, path, look, flags, mode)
    }

    /// Opens what a closer look has told of.
    #[inline(never)]
    fn open_looked_up(&self, dirfd: i32, path: *const u8, look: Look, flags: i32, mode: u32) -> Answer {
        if self.may_tell_otherwise(path, flags) {
            return self.open_mappings(dirfd, path, look, flags);
        }
        match look {
            Look::Untouched if !self.traces() => Answer::Pass,
            look => self.open_place(dirfd, path, look, flags, mode),
        }
    }

    /// Opens what may be a file of /proc that shows mappings.
    #[cold]
    #[inline(never)]
    fn open_mappings(&self, dirfd: i32, path: *const u8, look: Look, flags: i32) -> Answer {
        let opened = match self.open_place(dirfd, path, look, flags, 0) {
            Answer::Pass => {
                let opened = kernel::openat(dirfd, path, flags, 0);
                if let Ok(fd) = opened {
                    note_open(fd);
                }
                opened.map(|fd| fd as usize)
            }
            Answer::Done(done) => done,
        };
        if let Ok(fd) = opened {
            self.show_mappings(fd as i32, flags);
        }
        Answer::Done(opened)
    }

    /// Opens what has a plain path, and says whether that leads to a union. None: it has none, or is not to be written to.
    #[inline(always)]
    fn open_plain(
        &self,
        start: Start,
        path: *const u8,
        flags: i32,
        mode: u32,
    ) -> Option<(Result<i32, Errno>, bool)> {
        let mut scratch = PlainScratch::new();
        let read = self.plain_path(path, start)?;
        let place = self.place_of_plain(&read, false, &mut scratch)?;
        if writes(flags) && !self.takes_writes(&place) {
            return None;
        }
        let opened = kernel::openat2(place.dirfd, place.path, &how(flags, mode, RESOLVE_NO_SYMLINKS));
        if let Ok(fd) = opened {
            if is_worth_knowing(flags) {
                self.opened_plain_directory(path, flags, fd, (&place, &scratch));
            } else {
                note_open(fd);
            }
            // Under a mount at `/`, /proc is a mount too.
            if (ends_as_told(scratch.bytes()) || self.may_tell_more(scratch.bytes()))
                && self.may_tell_otherwise(path, flags)
            {
                self.show_mappings(fd, flags);
            }
        }
        Some((opened, read.is_layered()))
    }

    /// Notes what has a plain path, and may be a directory.
    #[inline(never)]
    fn opened_plain_directory(
        &self,
        path: *const u8,
        flags: i32,
        fd: i32,
        (place, host): (&Place, &PlainScratch),
    ) {
        self.opened_without_links(AT_FDCWD, path, flags, fd);
        if self.is_layered(place) {
            self.opened_base(fd, place.mount, host.bytes());
        }
    }

    /// Whether a file of /proc with this host path may tell otherwise because of what the policy says.
    #[inline(always)]
    fn may_tell_more(&self, host: &[u8]) -> bool {
        use view::flags::{CREDENTIALS, MACHINE, NETWORK};
        let flags = self.view.flags();
        flags & (CREDENTIALS | MACHINE) != 0 || flags & NETWORK != 0 && ends_as_table(host)
    }

    /// Whether what is written at a place goes to its host path.
    #[inline(always)]
    fn takes_writes(&self, place: &Place) -> bool {
        let mount = self.view.mount(place.mount);
        mount.access == Access::ReadWrite && mount.kind != Kind::Layers
    }

    #[inline(never)]
    fn open_place(&self, dirfd: i32, path: *const u8, look: Look, flags: i32, mode: u32) -> Answer {
        let mut scratch = Scratch::new();
        let opened = match look {
            Look::Untouched | Look::Boundary(_) if !self.traces() => return Answer::Pass,
            Look::Untouched | Look::Boundary(_) => {
                kernel::openat(dirfd, path, flags, mode).inspect(|fd| note_open(*fd))
            }
            Look::Mapped { node, ends_at_node, rest } => {
                self.open_mapped(dirfd, path, (node, ends_at_node, rest), flags, mode, &mut scratch)
            }
            Look::Walk => self.open_walked(dirfd, path, flags, mode, &mut scratch),
        };
        const NEW: i32 = libc::O_CREAT | libc::O_EXCL;
        let opened = match opened {
            // What `.` and `..` name is there already.
            Err(Errno::EISDIR) if flags & (NEW | libc::O_PATH) == NEW && ends_in_dots(path) => {
                Err(Errno::EEXIST)
            }
            opened => opened,
        };
        let done = opened.map(|fd| fd as usize);
        if self.traces() {
            let host = (!scratch.is_empty()).then(|| scratch.as_ptr());
            self.tell(libc::SYS_openat, (dirfd, path), host, self.mount_of(&look), done);
        }
        Answer::Done(done)
    }

    fn open_mapped(
        &self,
        dirfd: i32,
        path: *const u8,
        (node, ends_at_node, rest): (view::NodeId, bool, Option<Rest>),
        flags: i32,
        mode: u32,
        scratch: &mut Scratch,
    ) -> Result<i32, Errno> {
        let id = self.view.region(node);
        let place = match self.unconfirmed(dirfd, path, node, ends_at_node, rest, scratch)? {
            Some(place) => place,
            None => return self.open_walked(dirfd, path, flags, mode, scratch),
        };
        if writes(flags) && self.view.mount(id).access == Access::ReadOnly {
            // The exact errno takes a resolved place.
            return self.open_walked(dirfd, path, flags, mode, scratch);
        }
        match kernel::openat2(place.dirfd, place.path, &how(flags, mode, RESOLVE_NO_SYMLINKS)) {
            Err(errno) if may_be_link(errno) => {
                drop(place);
                self.open_walked(dirfd, path, flags, mode, scratch)
            }
            answer => answer.inspect(|fd| self.opened_without_links(dirfd, path, flags, *fd)),
        }
    }

    fn open_walked(
        &self,
        dirfd: i32,
        path: *const u8,
        flags: i32,
        mode: u32,
        scratch: &mut Scratch,
    ) -> Result<i32, Errno> {
        // O_CREAT with O_EXCL does not follow a link in the last place.
        let exclusive = flags & (libc::O_CREAT | libc::O_EXCL | libc::O_PATH) == libc::O_CREAT | libc::O_EXCL;
        let follow = flags & libc::O_NOFOLLOW == 0 && !exclusive;
        let place = match self.walk_to_open(dirfd, path, follow, &how(flags, mode, 0), scratch)? {
            ToOpen::Opened(file) => return Ok(file),
            ToOpen::At(place) => place,
        };
        if writes(flags) && self.view.mount(place.mount).access == Access::ReadOnly {
            return open_read_only(&place, flags, mode).inspect(|fd| note_open(*fd));
        }
        kernel::openat(place.dirfd, place.path, flags, mode).inspect(|fd| note_open(*fd))
    }

    /// Walks to what is to be opened. In a union that is done at once, since a
    /// walk may find that it has been overtaken.
    fn walk_to_open(
        &self,
        dirfd: i32,
        path: *const u8,
        follow: bool,
        how: &OpenHow,
        scratch: &mut Scratch,
    ) -> Result<ToOpen, Errno> {
        // Flags that do not go together are refused before the path is looked at.
        let flags = how.flags as i32;
        let with_directory =
            flags & libc::O_DIRECTORY != 0 && flags & (libc::O_CREAT | libc::O_TMPFILE) != libc::O_DIRECTORY;
        if with_directory && kernel::openat(AT_FDCWD, c"".as_ptr().cast(), flags, 0) == Err(Errno::EINVAL) {
            return Err(Errno::EINVAL);
        }
        if flags & (libc::O_CREAT | libc::O_PATH) == libc::O_CREAT
            && Place::new(dirfd, path, 0, None).ends_in_slash()
            && !ends_in_dots(path)
            && self.directory_of((dirfd, path))?.is_some()
        {
            return Err(Errno::EISDIR);
        }
        self.open_again(|| {
            let epoch = self.directories.map(Directories::epoch);
            let mut walk = Walk::new();
            let slash = self.walk_path(&mut walk, dirfd, path, follow);
            if !walk.in_union() {
                return self
                    .finish_walk(&mut walk, slash, (dirfd, path), follow, scratch)
                    .map(|place| Some(ToOpen::At(place)));
            }
            let opened = self.open_in_union(&walk, slash?, how, scratch)?;
            let Some(file) = opened else { return Ok(None) };
            let is_dir = walk.position.is_dir();
            self.note_directory(file, is_dir.then_some(walk.cursor));
            if let Some(epoch) = epoch.filter(|_| is_dir && !process::is_borrower()) {
                self.keep_path(file, walk.app.bytes(), epoch);
                self.note_walked_lowest(file, &walk, epoch);
            }
            Ok(Some(ToOpen::Opened(file)))
        })
    }

    /// openat2(2)
    pub fn openat2(&self, dirfd: i32, path: *const u8, how: &OpenHow) -> Answer {
        let flags = how.flags as i32;
        let answer = self.openat2_place(dirfd, path, how);
        if !self.may_tell_otherwise(path, flags) {
            return answer;
        }
        let opened = match answer {
            Answer::Pass => kernel::openat2(dirfd, path, how).map(|fd| fd as usize),
            Answer::Done(done) => done,
        };
        if let Ok(fd) = opened {
            note_open(fd as i32);
            self.show_mappings(fd as i32, flags);
        }
        Answer::Done(opened)
    }

    fn openat2_place(&self, dirfd: i32, path: *const u8, how: &OpenHow) -> Answer {
        let flags = how.flags as i32;
        // A path that must stay below the descriptor, or meet no link, means
        // the same on the host; so does one that the descriptor is the root of.
        const CONFINED: u64 = libc::RESOLVE_BENEATH | libc::RESOLVE_IN_ROOT;
        let want = Want::LOOK.following(flags & libc::O_NOFOLLOW == 0);
        let look = if how.resolve & CONFINED != 0 {
            self.look_up(dirfd, c".".as_ptr().cast(), want)
        } else {
            self.look_up(dirfd, path, want)
        };
        let mut scratch = Scratch::new();
        let answer = match look {
            Look::Untouched | Look::Boundary(_) => return Answer::Pass,
            _ if how.resolve & CONFINED != 0 => {
                let id = self.base(dirfd).map_or(0, |base| self.view.region(base.node));
                if self.union(id).is_some() {
                    // The descriptor is of one side; callers can do without, as on an older kernel.
                    Err(Errno::ENOSYS)
                } else if writes(flags) && self.view.mount(id).access == Access::ReadOnly {
                    Err(Errno::EROFS)
                } else {
                    kernel::openat2(dirfd, path, how)
                }
            }
            _ => match self.walk_to_open(
                dirfd,
                path,
                want.follow && how.resolve & RESOLVE_NO_SYMLINKS == 0,
                how,
                &mut scratch,
            ) {
                Err(errno) => Err(errno),
                Ok(ToOpen::Opened(file)) => Ok(file),
                Ok(ToOpen::At(place))
                    if writes(flags) && self.view.mount(place.mount).access == Access::ReadOnly =>
                {
                    open_read_only(&place, flags, how.mode as u32)
                }
                Ok(ToOpen::At(place)) => kernel::openat2(place.dirfd, place.path, how),
            },
        };
        if let Ok(fd) = answer {
            note_open(fd);
        }
        Answer::Done(answer.map(|fd| fd as usize))
    }
}

/// What a walk for an open has come to.
enum ToOpen {
    /// A place.
    At(Place),
    /// A union, which has opened it.
    Opened(i32),
}

/// Whether openat2(2) may have met a link, or is not there: on an old kernel, or behind a filter.
pub(super) fn may_be_link(errno: Errno) -> bool {
    matches!(errno, Errno::ELOOP | Errno::ENOSYS | Errno::EPERM)
}

/// Whether the flags ask for more than reading.
pub(super) fn writes(flags: i32) -> bool {
    flags & libc::O_PATH == 0
        && (matches!(flags & libc::O_ACCMODE, libc::O_WRONLY | libc::O_RDWR)
            || flags & (libc::O_CREAT | libc::O_TRUNC) != 0)
}

/// What openat(2) makes of its flags and mode, in openat2's words.
pub(super) fn how(flags: i32, mode: u32, resolve: u64) -> OpenHow {
    let known = flags & if flags & libc::O_PATH != 0 { WITH_PATH } else { OPEN_FLAGS };
    let makes = known & libc::O_CREAT != 0 || known & libc::O_TMPFILE == libc::O_TMPFILE;
    OpenHow { flags: known as u32 as u64, mode: if makes { u64::from(mode & 0o7777) } else { 0 }, resolve }
}

/// An open that would write, on a mount that is read-only: what the kernel
/// says of such a mount. What is no regular file or directory is not the
/// mount's to protect.
fn open_read_only(place: &Place, flags: i32, mode: u32) -> Result<i32, Errno> {
    let tmpfile = flags & libc::O_TMPFILE == libc::O_TMPFILE;
    let makes = flags & libc::O_CREAT != 0;
    let no_follow = if flags & libc::O_NOFOLLOW != 0 { libc::AT_SYMLINK_NOFOLLOW } else { 0 };
    if makes && place.ends_in_slash() {
        parent_exists(place)?;
        return Err(Errno::EISDIR);
    }
    match kernel::fstatat(place.dirfd, place.path, no_follow) {
        Err(Errno::ENOENT) if makes => {
            parent_exists(place)?;
            Err(Errno::EROFS)
        }
        Err(errno) => Err(errno),
        Ok(_) if makes && flags & libc::O_EXCL != 0 => Err(Errno::EEXIST),
        Ok(stat) => match stat.st_mode & libc::S_IFMT {
            libc::S_IFDIR if !tmpfile => Err(Errno::EISDIR),
            kind if (tmpfile || flags & libc::O_DIRECTORY != 0) && kind != libc::S_IFDIR => {
                Err(Errno::ENOTDIR)
            }
            libc::S_IFREG | libc::S_IFDIR => {
                if flags & libc::O_ACCMODE == libc::O_RDONLY && flags & libc::O_TRUNC == 0 {
                    return kernel::openat(place.dirfd, place.path, flags & !libc::O_CREAT, mode);
                }
                kernel::faccessat(place.dirfd, place.path, libc::F_OK)?;
                Err(Errno::EROFS)
            }
            _ => kernel::openat(place.dirfd, place.path, flags, mode),
        },
    }
}

/// Whether a path may be that of a table of sockets: `tcp`, `udp6`.
#[inline(always)]
fn ends_as_table(path: &[u8]) -> bool {
    matches!(path.last(), Some(b'p' | b'6'))
}

/// Whether a path ends as that of a file of /proc does that may tell otherwise, whatever the machine is.
#[inline(always)]
fn ends_as_told(path: &[u8]) -> bool {
    // As a number, which is compared at once.
    const fn number(end: &[u8; 4]) -> u32 {
        u32::from_ne_bytes(*end)
    }
    const ENDS: [u32; 6] = [
        number(b"maps"),
        number(b"/shm"),
        number(b"/sem"),
        number(b"/msg"),
        number(b"unix"),
        number(b"stat"),
    ];
    path.last_chunk().is_some_and(|end| ENDS.contains(&u32::from_ne_bytes(*end)))
}
