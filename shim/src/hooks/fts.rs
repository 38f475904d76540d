//! Walking a tree step by step: fts(3).
//!
//! libc's own walk opens directories by calls that no symbol stands before,
//! so it is written out here, over the other hooks. It shows a program the
//! same entries as glibc's, in glibc's structs, moves the working directory
//! as that does, and makes the same system calls.
//!
//! A walk is always at one entry, [`Fts::cur`]. All entries that it has still
//! to show hang on that one: its siblings by `link`, what is above by
//! `parent`, and the siblings of those. What is below is read when the walk
//! goes there, or earlier, when the program asks for it.

use core::ffi::{CStr, c_char, c_int};
use core::ptr::null_mut;

use elements::Errno;

use crate::answer::{returned, set_errno};
use crate::real;

mod children;
mod entry;
mod look;
mod path;
mod step;
mod tree;

use entry::{
    Entry, FTS_AGAIN, FTS_D, FTS_DOT, FTS_FOLLOW, FTS_INIT, FTS_NOINSTR, FTS_SKIP, ROOT_LEVEL,
    ROOT_PARENT_LEVEL,
};
use tree::{Compare, FTS_COMFOLLOW, FTS_NAMEONLY, FTS_OPTIONMASK};

pub use entry::Ftsent;
pub use tree::Fts;

type Given = *mut Ftsent;

/// The next definition of a function, where the structs are not glibc's. musl
/// has no fts: programs bring a library with one of another layout, which
/// reaches our other hooks by itself.
macro_rules! foreign {
    ($name:ident as $($ty:tt)*) => {
        match real!(gnu_get_libc_version as fn() -> *const c_char) {
            Some(_) => None,
            None => real!($name as $($ty)*),
        }
    };
}

pub unsafe fn fts_open(paths: *const *const c_char, options: c_int, compare: Option<Compare>) -> *mut Fts {
    if let Some(next) = foreign!(fts_open as fn(*const *const c_char, c_int, Option<Compare>) -> *mut Fts) {
        // SAFETY: the program's own arguments.
        return unsafe { next(paths, options, compare) };
    }
    // SAFETY: the caller's contract.
    unsafe { open(paths, options, compare) }.unwrap_or_else(|errno| {
        returned(Err(errno));
        null_mut()
    })
}

/// The strings of an array that ends with a null pointer.
///
/// # Safety
///
/// It is one, and lasts as long as what is given.
unsafe fn strings<'a>(mut paths: *const *const c_char) -> impl Iterator<Item = &'a [u8]> {
    core::iter::from_fn(move || {
        // SAFETY: the caller's promise.
        unsafe {
            let path = *paths;
            if path.is_null() {
                return None;
            }
            paths = paths.add(1);
            Some(CStr::from_ptr(path).to_bytes())
        }
    })
}

unsafe fn open(
    paths: *const *const c_char,
    options: c_int,
    compare: Option<Compare>,
) -> Result<*mut Fts, Errno> {
    if options & !FTS_OPTIONMASK != 0 {
        return Err(Errno::EINVAL);
    }
    // SAFETY: the caller's contract.
    let longest = unsafe { strings(paths) }.map(<[u8]>::len).max();
    let tree = Fts::new(options, compare, longest.unwrap_or(0))?;
    // SAFETY: just made; should it fail, nobody has seen it.
    unsafe {
        let opened = begin(&*tree, strings(paths));
        if opened.is_err() {
            Fts::free(tree);
        }
        opened.map(|()| tree)
    }
}

/// Makes the entries of the roots, and one before them that the walk is at
/// until it has shown anything.
fn begin<'a>(tree: &Fts, paths: impl Iterator<Item = &'a [u8]>) -> Result<(), Errno> {
    let before = tree.entry(b"")?;
    before.info.set(FTS_INIT);
    tree.cur.set(Some(before));
    let (mut parent, mut last, mut count) = (None, before, 0);
    for path in paths {
        if parent.is_none() {
            let above = tree.entry(b"")?;
            above.level.set(ROOT_PARENT_LEVEL);
            before.parent.set(Some(above));
            parent = Some(above);
        }
        if path.is_empty() {
            return Err(Errno::ENOENT);
        }
        let root = tree.entry(path)?;
        root.level.set(ROOT_LEVEL);
        root.parent.set(parent);
        root.accpath.set(root.name());
        if tree.compare.is_some() {
            // What compares as equal comes in glibc's order, the last first.
            root.link.set(before.link.replace(Some(root)));
        } else {
            last.link.set(Some(root));
            last = root;
        }
        count += 1;
        let info = tree.look(root, tree.has(FTS_COMFOLLOW));
        root.info.set(if info == FTS_DOT { FTS_D } else { info });
    }
    if let Some(first) = before.link.get() {
        before.link.set(Some(tree.sort(first, count)));
    }
    tree.note_home();
    Ok(())
}

pub unsafe fn fts_read(tree: *mut Fts) -> Given {
    if let Some(next) = foreign!(fts_read as fn(*mut Fts) -> Given) {
        // SAFETY: the program's own argument.
        return unsafe { next(tree) };
    }
    // SAFETY: a tree that fts_open has given.
    given(unsafe { (*tree).read() })
}

pub unsafe fn fts_children(tree: *mut Fts, options: c_int) -> Given {
    if let Some(next) = foreign!(fts_children as fn(*mut Fts, c_int) -> Given) {
        // SAFETY: the program's own arguments.
        return unsafe { next(tree, options) };
    }
    if options != 0 && options != FTS_NAMEONLY {
        returned(Err(Errno::EINVAL));
        return null_mut();
    }
    // SAFETY: a tree that fts_open has given.
    given(unsafe { (*tree).children(options == FTS_NAMEONLY) })
}

fn given(entry: Option<Entry>) -> Given {
    entry.map_or(null_mut(), Entry::as_ptr)
}

pub unsafe fn fts_set(tree: *mut Fts, entry: Given, instruction: c_int) -> c_int {
    if let Some(next) = foreign!(fts_set as fn(*mut Fts, Given, c_int) -> c_int) {
        // SAFETY: the program's own arguments.
        return unsafe { next(tree, entry, instruction) };
    }
    if !matches!(instruction, 0 | FTS_AGAIN | FTS_FOLLOW | FTS_NOINSTR | FTS_SKIP) {
        set_errno(Errno::EINVAL);
        return 1;
    }
    // SAFETY: an entry that one of the functions above has given.
    unsafe { (*entry).instr.set(instruction as u16) };
    0
}

pub unsafe fn fts_close(tree: *mut Fts) -> c_int {
    if let Some(next) = foreign!(fts_close as fn(*mut Fts) -> c_int) {
        // SAFETY: the program's own argument.
        return unsafe { next(tree) };
    }
    // SAFETY: a tree that fts_open has given, and that is used no more.
    unsafe {
        let done = (*tree).go_home();
        Fts::free(tree);
        returned(done.map(|()| 0)) as c_int
    }
}
