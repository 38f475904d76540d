//! An instance that was exported: any bytes, and files that are nearly right. What is
//! unpacked stays in its directory.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use image::Limits;
use image::bundle::Unbundle;

/// Tells directories of one process from each other.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// Unpacks a file, or comes to what is wrong with it.
///
/// # Panics
///
/// If it does harm.
pub fn target(data: &[u8]) {
    is_whole(data);
}

/// Whether all of a file can be unpacked.
fn is_whole(data: &[u8]) -> bool {
    let limits = Limits { bytes: 1 << 20, file: 1 << 20, entries: 1000, json: 1 << 16, ..Limits::default() };
    let Ok((mut bundle, contents, _)) = Unbundle::open(data, &limits, Arc::new(|_| {})) else { return false };
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let above = std::env::temp_dir().join(format!("fuzz-export-{}-{number}", std::process::id()));
    let dir = above.join("in");
    fs::create_dir_all(&dir).expect("the temporary directory is writable");
    let is_whole =
        bundle.image(&dir.join("image")).is_ok() && bundle.trees(&dir, &contents, Vec::new()).is_ok();
    let left: Vec<_> =
        fs::read_dir(&above).expect("it is there").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["in"], "something has come out of it");
    look(&dir);
    fs::remove_dir_all(&above).expect("it is ours");
    is_whole
}

/// Nothing that is unpacked has rights on the host.
fn look(dir: &Path) {
    for entry in fs::read_dir(dir).expect("it can be listed").flatten() {
        let about = entry.metadata().expect("it is there");
        assert!(
            about.mode() & 0o6000 == 0 || about.is_symlink(),
            "a setuid file: {}",
            entry.path().display()
        );
        if about.is_dir() {
            look(&entry.path());
        }
    }
}

/// Small exports, with each kind of tree.
pub fn seeds() -> Vec<Vec<u8>> {
    let contents = r#"{"version":1,"name":"a","image":"b","program":["/x"],"door":"gate","started_in":"/","trees":[
        {"is":"source"},{"is":"layer","over":[0]},{"is":"changes","at":"/opt","over":[0,1]},{"is":"volume","at":"/v"}]}"#;
    let policy = b"[[mount]]\nat = \"/opt\"\nlayers = [\"./trees/0/tree\", \"./trees/1/tree\"]\n";
    let entry = crate::tar_archive::entry;
    let ended = |bytes: Vec<u8>| [bytes, vec![0; 1024]].concat();
    let low = ended([entry("d/", b'5', b""), entry("d/f", b'0', b"low")].concat());
    let high =
        ended([entry("d/.wh.f", b'0', b""), entry("suid", b'0', b"x"), entry("p", b'6', b"")].concat());
    let changes = ended(
        [entry("d/.wh..wh..opq", b'0', b""), entry("d/g/h", b'0', b"new"), entry("c", b'3', b"")].concat(),
    );
    let whole = |image: &[(&str, &[u8])]| {
        let mut bytes =
            [entry("launcher.json", b'0', contents.as_bytes()), entry("policy.toml", b'0', policy)].concat();
        image.iter().for_each(|(name, body)| bytes.extend(entry(name, b'0', body)));
        for (number, tree) in [&low, &high, &changes, &low].into_iter().enumerate() {
            bytes.extend(entry(&format!("trees/{number}.tar"), b'0', tree));
        }
        ended(bytes)
    };
    let blob = format!("image/blobs/sha256/{}", "0".repeat(64));
    vec![whole(&[]), whole(&[("image/oci-layout", b"{}"), ("image/index.json", b"{}"), (&blob, b"x")])]
}

#[test]
fn the_seeds_are_whole() {
    assert!(seeds().iter().all(|seed| is_whole(seed)));
}
