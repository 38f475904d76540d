//! The short ways of a path say what the long one says.

use view::build::{Facts, Row, image};
use view::{Access, Kind, View};

use super::glance::{Glance, Start};
use super::lexical::Look;
use super::plain::PlainScratch;
use super::{Scratch, Want};
use crate::Instance;
use crate::kernel::AT_FDCWD;

const MOUNTS: &[(&str, Kind)] = &[
    ("/a/b/c", Kind::Host),
    ("/a/b/c/d/e", Kind::Host),
    ("/a/bb", Kind::Hidden),
    ("/name-of-nine/x", Kind::Host),
    ("/a-name-of-more-than-sixteen-bytes/x", Kind::Host),
    ("/a-name-of-more-than-sixteen-bytes/a-name-of-more-than-sixteen-bytes", Kind::Host),
    ("/o/m", Kind::Empty),
    ("/o/n", Kind::Denied),
    ("/l", Kind::Link),
    ("/proc/self/root", Kind::Link),
];

const NAMES: &[&str] = &[
    "a",
    "b",
    "bb",
    "c",
    "d",
    "e",
    "x",
    "o",
    "m",
    "n",
    "l",
    "name-of-nine",
    "name-of-nin",
    "proc",
    "self",
    ".",
    "..",
    "",
    ".hidden",
    "a.b",
    "cc",
    "a-name-of-more-than-sixteen-bytes",
    "a-name-of-more-than-sixteen-byteS",
];

fn row(at: &str, kind: Kind) -> Row {
    let source = match kind {
        Kind::Pass | Kind::Hidden | Kind::Denied => String::new(),
        Kind::Link => "a/b/c".into(),
        _ => format!("/source{at}"),
    };
    Row {
        at: at.into(),
        kind,
        access: Access::ReadWrite,
        is_dir: true,
        source: source.into(),
        layers: Vec::new(),
        line: 1,
    }
}

/// A path of up to seven names, half of the time below a mount point, the same
/// for the same number.
fn path(number: u64) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 33) as usize % limit
    };
    let mut path = MOUNTS.get(next(2 * MOUNTS.len())).map_or(Vec::new(), |(at, _)| at.as_bytes().to_vec());
    for _ in 0..next(7) + 1 {
        path.push(b'/');
        path.extend_from_slice(NAMES[next(NAMES.len())].as_bytes());
    }
    path.push(0);
    // What a glance reads beyond the end.
    path.resize(path.len() + 512, b'.');
    path
}

#[test]
fn the_short_ways_say_what_the_long_one_says() {
    let rows: Vec<Row> =
        std::iter::once(row("/", Kind::Pass)).chain(MOUNTS.iter().map(|(at, kind)| row(at, *kind))).collect();
    let image = image(&rows, &Facts::default());
    let instance = Instance::new(View::from_bytes(&image).expect("our own image"), None);
    let (mut elsewhere, mut plain) = (0, 0);
    for number in 0..200_000 {
        let path = path(number);
        let text = String::from_utf8_lossy(path.split(|byte| *byte == 0).next().unwrap_or(&[])).into_owned();
        let path = path.as_ptr();
        let long = instance.look_closer(AT_FDCWD, path, Start::ANEW, Want::LOOK);
        match instance.glance(AT_FDCWD, path) {
            Glance::Elsewhere => {
                elsewhere += 1;
                assert!(matches!(long, Look::Untouched), "{text}");
                if let Some(cursor) = instance.cursor_elsewhere(path) {
                    assert_eq!(cursor, instance.locate(text.as_bytes()), "{text}");
                }
            }
            Glance::Closer(start) => {
                let from_there = instance.look_closer(AT_FDCWD, path, start, Want::LOOK);
                assert!(same(&from_there, &long), "{text}");
                let mut short = PlainScratch::new();
                let Some(place) = instance.plain_place(path, start, false, &mut short) else { continue };
                plain += 1;
                let Look::Mapped { node, ends_at_node, rest } = long else { panic!("{text}") };
                let mut scratch = Scratch::new();
                let expected = instance.unconfirmed(AT_FDCWD, path, node, ends_at_node, rest, &mut scratch);
                let Ok(Some(expected)) = expected else { panic!("{text}") };
                assert_eq!((place.mount, short.bytes()), (expected.mount, scratch.bytes()), "{text}");
            }
        }
    }
    assert!(elsewhere > 1000 && plain > 1000, "{elsewhere} elsewhere, {plain} plain");
}

fn same(a: &Look, b: &Look) -> bool {
    match (a, b) {
        (Look::Mapped { node, ends_at_node, .. }, Look::Mapped { node: other, ends_at_node: ends, .. }) => {
            node == other && ends_at_node == ends
        }
        _ => std::mem::discriminant(a) == std::mem::discriminant(b),
    }
}
