//! The book of owners, which all instances of a user share: an instance's
//! directory leads to it.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::Path;

use anyhow::{Context, Result};
use elements::instance::BOOK;
use elements::shared::owners::Book;

use crate::state;

/// Has an instance's directory lead to the book, which is made where it is missing.
///
/// # Errors
///
/// What the file system says.
pub fn lead_to_book(dir: &Path) -> Result<()> {
    let book = state::dir()?.join(BOOK);
    let made = || -> std::io::Result<()> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&book)?;
        if file.metadata()?.len() < Book::LEN as u64 {
            file.set_len(Book::LEN as u64)?;
        }
        match symlink(&book, dir.join(BOOK)) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            done => done,
        }
    };
    made().with_context(|| format!("cannot use the book of owners {}", book.display()))
}
