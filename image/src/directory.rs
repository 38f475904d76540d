//! A directory of the host's as the one layer of an image: it is packed into a
//! tar stream, which then comes in as any other does.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tar::{Builder, EntryType, Header};

/// Packs a directory. Sockets are left out, as tar leaves them.
///
/// # Errors
///
/// What cannot be read.
pub fn pack(root: &Path, out: impl Write) -> Result<()> {
    let mut builder = Builder::new(out);
    let mut links: HashMap<(u64, u64), PathBuf> = HashMap::new();
    let mut waiting = vec![PathBuf::new()];
    while let Some(inner) = waiting.pop() {
        let path = root.join(&inner);
        let shown = || format!("{} cannot be read", path.display());
        let about = fs::symlink_metadata(&path).with_context(shown)?;
        if about.file_type().is_socket() {
            continue;
        }
        append(&mut builder, &mut links, &path, &inner, &about).with_context(shown)?;
        if about.is_dir() {
            let names =
                fs::read_dir(&path).and_then(|list| list.map(|entry| Ok(entry?.file_name())).collect());
            let mut names: Vec<_> = io::Result::<Vec<_>>::with_context(names, shown)?;
            names.sort();
            for name in names.into_iter().rev() {
                if name.as_bytes().starts_with(b".wh.") {
                    bail!(
                        "{} has a name that layers keep for whiteouts: rename it",
                        path.join(name).display()
                    )
                }
                waiting.push(inner.join(name));
            }
        }
    }
    builder.finish().context("cannot pack the directory")
}

fn append(
    builder: &mut Builder<impl Write>,
    links: &mut HashMap<(u64, u64), PathBuf>,
    path: &Path,
    inner: &Path,
    about: &Metadata,
) -> Result<()> {
    let mut header = Header::new_ustar();
    let linked = (!about.is_dir() && about.nlink() > 1)
        .then(|| links.get(&(about.dev(), about.ino())).cloned())
        .flatten();
    let kind = about.file_type();
    let mut target = linked.as_ref().map(|first| first.as_os_str().as_bytes().to_vec());
    let entry_type = if linked.is_some() {
        EntryType::Link
    } else if kind.is_dir() {
        EntryType::Directory
    } else if kind.is_symlink() {
        target = Some(fs::read_link(path)?.as_os_str().as_bytes().to_vec());
        EntryType::Symlink
    } else if kind.is_fifo() {
        EntryType::Fifo
    } else if kind.is_char_device() {
        EntryType::Char
    } else if kind.is_block_device() {
        EntryType::Block
    } else {
        EntryType::Regular
    };
    if linked.is_none() && !about.is_dir() && about.nlink() > 1 {
        links.insert((about.dev(), about.ino()), inner.to_owned());
    }
    let size = if entry_type == EntryType::Regular { about.len() } else { 0 };
    header.set_entry_type(entry_type);
    header.set_mode(about.mode() & 0o7777);
    header.set_size(0);
    if matches!(entry_type, EntryType::Char | EntryType::Block) {
        header.set_device_major(rustix::fs::major(about.rdev()))?;
        header.set_device_minor(rustix::fs::minor(about.rdev()))?;
    }
    let name = if inner.as_os_str().is_empty() { OsStr::new(".") } else { inner.as_os_str() };
    let time =
        match about.mtime_nsec() {
            0 => about.mtime().to_string(),
            nanos if about.mtime() < 0 => format!("{}.{:09}", about.mtime() + 1, 1_000_000_000 - nanos)
                .replacen("0.", "-0.", usize::from(about.mtime() == -1)),
            nanos => format!("{}.{nanos:09}", about.mtime()),
        };
    let mut records: Vec<(String, Vec<u8>)> = vec![
        ("path".into(), name.as_bytes().to_vec()),
        ("size".into(), size.to_string().into_bytes()),
        ("uid".into(), about.uid().to_string().into_bytes()),
        ("gid".into(), about.gid().to_string().into_bytes()),
        ("mtime".into(), time.into_bytes()),
    ];
    if let Some(target) = target {
        records.push(("linkpath".into(), target));
    }
    if linked.is_none() {
        xattrs(path, &mut records)?;
    }
    builder.append_pax_extensions(records.iter().map(|(key, value)| (key.as_str(), value.as_slice())))?;
    header.set_cksum();
    if size > 0 {
        // The header's own field is too small for some sizes; the extended one counts.
        let file = File::open(path)?;
        builder.get_mut().write_all(header.as_bytes())?;
        let copied = io::copy(&mut io::Read::take(file, size), builder.get_mut())?;
        if copied != size {
            bail!("it became shorter")
        }
        let padding = usize::try_from(size.wrapping_neg() % 512)?;
        builder.get_mut().write_all(&[0; 512][..padding])?;
    } else {
        builder.append(&header, io::empty())?;
    }
    Ok(())
}

fn xattrs(path: &Path, records: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
    let mut names = vec![0; 1 << 16];
    let count = match rustix::fs::llistxattr(path, &mut names[..]) {
        Ok(count) => count,
        Err(rustix::io::Errno::OPNOTSUPP) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for name in names[..count].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0; 1 << 16];
        let count = rustix::fs::lgetxattr(path, OsStr::from_bytes(name), &mut value[..])?;
        value.truncate(count);
        let name = std::str::from_utf8(name).context("an extended attribute's name is no UTF-8")?;
        records.push((format!("SCHILY.xattr.{name}"), value));
    }
    Ok(())
}
