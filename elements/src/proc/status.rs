//! /proc/PID/status: whom a process is told to be.

use crate::Errno;
use crate::identity::credentials::{Credentials, Ids};

use super::machine::Put;

/// What of a process is told otherwise.
pub enum Told<'c> {
    /// All of its credentials.
    Whole(&'c Credentials),
    /// Of a process of which nothing is known: one user and one group for another.
    Ids {
        /// The host's user, and who that is.
        user: (u32, u32),
        /// The group, likewise.
        group: (u32, u32),
    },
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n')
}

fn number(number: u32, put: Put<'_>) -> Result<(), Errno> {
    let mut text = crate::files::Text::<16>::new();
    text.push_decimal(number)?;
    put(text.bytes())
}

fn four(name: &[u8], ids: [u32; 4], put: Put<'_>) -> Result<(), Errno> {
    put(name)?;
    for id in ids {
        put(b"\t")?;
        number(id, put)?;
    }
    put(b"\n")
}

fn set(name: &[u8], set: u64, put: Put<'_>) -> Result<(), Errno> {
    put(name)?;
    put(b"\t")?;
    for shift in (0..16).rev() {
        let digit = (set >> (4 * shift) & 15) as usize;
        put(b"0123456789abcdef".get(digit..=digit).unwrap_or(b"0"))?;
    }
    put(b"\n")
}

/// The text of the file as it is told.
///
/// # Errors
///
/// Those of `put`.
pub fn rewrite(text: &[u8], told: &Told<'_>, put: Put<'_>) -> Result<(), Errno> {
    for line in lines(text) {
        let end = line.iter().position(|byte| *byte == b':').map_or(0, |colon| colon + 1);
        let (name, rest) = line.split_at(end);
        let all = |ids: &Ids| [ids.real, ids.effective, ids.saved, ids.files];
        match (name, told) {
            (b"Uid:", Told::Whole(own)) => four(name, all(&own.user), put)?,
            (b"Gid:", Told::Whole(own)) => four(name, all(&own.group), put)?,
            (b"Groups:", Told::Whole(own)) => {
                put(b"Groups:\t")?;
                for group in own.groups() {
                    number(*group, put)?;
                    put(b" ")?;
                }
                // As the kernel does where there are none.
                put(if own.groups().is_empty() { b" \n" } else { b"\n" })?;
            }
            (b"CapInh:", Told::Whole(own)) => set(name, own.inheritable, put)?,
            (b"CapPrm:", Told::Whole(own)) => set(name, own.permitted, put)?,
            (b"CapEff:", Told::Whole(own)) => set(name, own.effective, put)?,
            (b"CapBnd:", Told::Whole(own)) => set(name, own.bounding, put)?,
            (b"CapAmb:", Told::Whole(own)) => set(name, own.ambient, put)?,
            (b"Uid:", Told::Ids { user, .. }) => four(name, mapped(rest, *user), put)?,
            (b"Gid:", Told::Ids { group, .. }) => four(name, mapped(rest, *group), put)?,
            _ => put(line)?,
        }
    }
    Ok(())
}

/// The four ids of a line, one of them told as another.
fn mapped(rest: &[u8], (from, to): (u32, u32)) -> [u32; 4] {
    let mut ids = [0; 4];
    for (id, word) in
        ids.iter_mut().zip(rest.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty()))
    {
        let read = word
            .iter()
            .fold(0_u32, |sum, digit| sum.wrapping_mul(10).wrapping_add(u32::from(digit.wrapping_sub(b'0'))));
        *id = if read == from { to } else { read };
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, told: &Told<'_>) -> String {
        let mut out = Vec::new();
        rewrite(text.as_bytes(), told, &mut |part| {
            out.extend_from_slice(part);
            Ok(())
        })
        .expect("nothing fails");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn ids_are_those_of_the_process() {
        let text = "Name:\tx\nUid:\t7\t7\t7\t7\nGid:\t8\t8\t8\t8\nGroups:\t9 \nCapEff:\t0000000000000000\nThreads:\t1\n";
        let own = Credentials::of(0, 5, &[3, 4]);
        let expected = "Name:\tx\nUid:\t0\t0\t0\t0\nGid:\t5\t5\t5\t5\nGroups:\t3 4 \nCapEff:\t000001ffffffffff\nThreads:\t1\n";
        assert_eq!(shown(text, &Told::Whole(&own)), expected);
        let other = Told::Ids { user: (7, 0), group: (9, 1) };
        assert_eq!(
            shown("Uid:\t7\t1\t7\t7\nGid:\t8\t8\t8\t9\n", &other),
            "Uid:\t0\t1\t0\t0\nGid:\t8\t8\t8\t1\n"
        );
    }
}
