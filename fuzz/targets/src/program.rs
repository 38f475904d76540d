//! The first page of a program: ELF headers and the interpreter's line.

use elements::process::elf::{self, Header};
use elements::process::program::{HEAD, Program, classify, interpreter};

use crate::guarded::Guarded;

/// Tells what the bytes are.
///
/// # Panics
///
/// If it does harm.
pub fn target(data: &[u8]) {
    let head = Guarded::new(data.get(..data.len().min(HEAD)).unwrap_or(data), 1);
    let head = head.bytes();
    let kind = classify(head);
    assert_eq!(kind == Program::Script, head.starts_with(b"#!"));
    assert!(matches!(kind, Program::Script | Program::Unknown) || head.starts_with(b"\x7fELF"));
    if let Program::Uncovered(why) = kind {
        assert!(!why.words().is_empty());
    }
    mapped(head);
    if let Some((path, argument)) = interpreter(head) {
        assert!(kind == Program::Script);
        for text in [Some(path), argument].into_iter().flatten() {
            assert!(!text.is_empty() && !text.iter().any(|byte| matches!(byte, b'\n' | 0)));
            assert!(!text.starts_with(b" ") && !text.ends_with(b" "));
        }
        assert!(!path.contains(&b' ') && !path.contains(&b'\t'));
    }
}

/// How the gate would map it: no segment leaves the span, nothing wraps around.
fn mapped(head: &[u8]) {
    let Ok(header) = Header::read(head) else { return };
    if let Some(path) = header.interpreter(head) {
        assert!(!path.contains(&0));
    }
    let Some(headers) = header.headers_in(head) else { return };
    assert_eq!(headers.len(), header.count * elf::PROGRAM_HEADER);
    let Ok(span) = elf::span(headers) else { return };
    assert!(span.start < span.end && span.align.is_power_of_two());
    for segment in elf::segments(headers) {
        let segment = segment.expect("the span has looked at each");
        assert!(segment.address >= span.start && segment.address + segment.memory_size <= span.end);
        assert!(segment.file_size <= segment.memory_size && span.end < 1 << 47);
    }
    let _ = elf::wants_executable_stack(headers);
}

/// Programs and scripts.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut own = std::fs::read("/proc/self/exe").unwrap_or_default();
    own.truncate(1024);
    let elf = |kinds: &[u32]| {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(64, 0);
        for (at, value) in [(18, 62_u16), (32, 64), (54, 56), (56, kinds.len() as u16)] {
            bytes.splice(at..at + 2, value.to_le_bytes());
        }
        for kind in kinds {
            bytes.extend(kind.to_le_bytes());
            bytes.extend([0; 52]);
        }
        bytes
    };
    let loadable = |address: u64, file_size: u64, memory_size: u64| {
        let mut bytes = elf(&[1, 1]);
        bytes.splice(16..18, 3_u16.to_le_bytes());
        for header in [64, 120] {
            for (at, value) in [(16, address), (32, file_size), (40, memory_size), (48, 4096)] {
                bytes.splice(header + at..header + at + 8, value.to_le_bytes());
            }
        }
        bytes
    };
    let script = |text: &str| text.as_bytes().to_vec();
    vec![
        own,
        elf(&[6, 3, 1]),
        elf(&[1, 1]),
        elf(&[]),
        loadable(0x40_0000, 0x100, 0x2000),
        loadable(u64::MAX - 0xfff, 0x100, 0x2000),
        loadable(1 << 46, 0, 1 << 46),
        script("#!/bin/sh\n"),
        script("#! /usr/bin/env  -S python3 -u \t\nprint()"),
        script("#!\n"),
        script(&format!("#!/{}", "x".repeat(300))),
    ]
}
