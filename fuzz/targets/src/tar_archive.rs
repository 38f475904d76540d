//! A layer's archive: any bytes, and archives that are nearly right.

use std::io::Read;

use image::Limits;
use image::archive::Archive;

/// Reads an archive to its end, or to what is wrong with it.
///
/// # Panics
///
/// If it does harm.
pub fn target(data: &[u8]) {
    let limits = Limits { pieces: 1000, header: 1 << 16, ..Limits::default() };
    let mut archive = Archive::new(data, &limits);
    let mut scratch = [0; 4096];
    while let Ok(Some(entry)) = archive.next_entry() {
        assert!(!entry.name.contains(&0) && !entry.link.contains(&0));
        assert!(entry.name.len() as u64 <= limits.name);
        assert!(entry.mode <= 0o7777 && entry.mtime.1 < 1_000_000_000);
        let stored = archive.stored();
        if let Some(pieces) = &entry.pieces {
            assert_eq!(pieces.iter().map(|(_, length)| length).sum::<u64>(), stored);
            assert!(pieces.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0));
            assert!(pieces.last().is_none_or(|(offset, length)| offset + length <= entry.size));
        }
        assert!(archive.position() <= data.len() as u64);
        let mut read = 0;
        while let Ok(count) = archive.read(&mut scratch) {
            if count == 0 {
                break;
            }
            read += count as u64;
        }
        assert!(read <= stored);
    }
}

fn block(name: &str, kind: u8, size: usize) -> Vec<u8> {
    let mut block = vec![0; 512];
    let mut put = |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000644");
    put(124, &format!("{size:011o}"));
    put(257, "ustar\x0000");
    put(148, "        ");
    block[156] = kind;
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    block
}

/// An entry with its header.
pub fn entry(name: &str, kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = block(name, kind, body.len());
    bytes.extend(body);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// Archives with each kind of header.
pub fn seeds() -> Vec<Vec<u8>> {
    let end = vec![0; 1024];
    let map = [b"2\n0\n2\n8\n2\n".to_vec(), vec![0; 502], b"abcd".to_vec()].concat();
    let sparse = b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n26 GNU.sparse.realsize=16\n";
    let list: [&[Vec<u8>]; 5] = [
        &[entry("file", b'0', b"content"), entry("dir/", b'5', b""), entry("link", b'2', b"")],
        &[entry("x", b'x', b"12 path=abc\n25 SCHILY.xattr.user.a=b\n"), entry("y", b'0', b"abc")],
        &[entry("g", b'g', b"14 mtime=1.25\n"), entry("L", b'L', &[b'l'; 200]), entry("z", b'0', b"")],
        &[entry("x", b'x', sparse), entry("s", b'0', &map)],
        &[entry("x", b'x', b"25 GNU.sparse.map=0,1,4,1\n22 GNU.sparse.size=10\n"), entry("s", b'0', b"ab")],
    ];
    list.iter().map(|parts| [parts.concat(), end.clone()].concat()).collect()
}
