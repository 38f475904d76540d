//! A socket address: the program's, and what the kernel hands out.
//!
//! The first byte says how long the address is said to be, in which direction
//! it goes, and what for; the rest is the address.

use std::sync::LazyLock;

use elements::Instance;
use elements::files::Want;
use view::build::{Facts, Row, image};
use view::{Access, Kind, View};

use crate::guarded::Guarded;

/// Reads an address.
///
/// # Panics
///
/// If it does harm.
pub fn target(data: &[u8]) {
    static IMAGE: LazyLock<Vec<u8>> = LazyLock::new(view_of_two_mounts);
    let Some((how, address)) = data.split_first() else { return };
    let image = Guarded::new(&IMAGE, 8);
    let instance = Instance::new(View::from_bytes(image.bytes()).expect("our own image"), None);
    // No kernel takes more than a sockaddr_storage.
    let address = address.get(..address.len().min(128)).unwrap_or(address);
    let mut buffer = Guarded::new(address, 1);
    let len = address.len() - usize::from(how >> 4).min(address.len());
    if how & 1 == 0 {
        let want = if how & 2 == 0 { Want::LOOK } else { Want::CREATE };
        if let Ok(Some(mut host)) = instance.unix_address(buffer.as_mut_ptr(), len, want) {
            let (bytes, len) = host.as_parts();
            assert!((3..=110).contains(&len));
            // SAFETY: what `as_parts` gives is readable.
            let bytes = unsafe { std::slice::from_raw_parts(bytes, len) };
            assert_eq!(bytes.get(..2), address.get(..2));
        }
    } else {
        // What the kernel hands out may be longer than the room for it.
        let said = len + usize::from(how & 2) * 16;
        // SAFETY: the buffer holds all of the address.
        let given = unsafe { instance.address_back(buffer.as_mut_ptr(), address.len(), said) };
        assert!(given == said || (3..=111).contains(&given));
    }
}

fn view_of_two_mounts() -> Vec<u8> {
    let row = |at: &str, kind, source: &str| Row {
        at: at.into(),
        kind,
        access: Access::ReadWrite,
        is_dir: true,
        source: source.into(),
        layers: Vec::new(),
        line: 1,
    };
    let long = format!("/{}", "long/".repeat(20));
    let rows = [
        row("/", Kind::Pass, ""),
        row("/app", Kind::Host, "/tmp"),
        row(long.trim_end_matches('/'), Kind::Host, "/usr"),
        row("/hidden", Kind::Hidden, ""),
    ];
    image(&rows, &Facts::default())
}

/// Addresses of each family, for each way.
pub fn seeds() -> Vec<Vec<u8>> {
    let unix = |how: u8, path: &[u8]| [&[how][..], &(libc::AF_UNIX as u16).to_ne_bytes(), path].concat();
    let mut seeds = Vec::new();
    for how in 0..4 {
        for path in [
            &b"/app/socket\0"[..],
            b"/tmp/socket",
            b"/usr/s\0\0\0",
            b"\0abstract",
            b"",
            b"/hidden/x\0",
            b"relative/../x\0",
        ] {
            seeds.push(unix(how, path));
        }
        seeds.push(unix(how, &[b"/app/".as_slice(), &[b'x'; 103]].concat()));
        seeds.push([&[how, 2, 0, 0x1f, 0x90, 127, 0, 0, 1][..], &[0; 8]].concat());
        seeds.push([&[how, 10, 0][..], &[0; 26]].concat());
    }
    seeds
}
