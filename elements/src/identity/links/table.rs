//! The kernel's tables of interfaces, routes and addresses: /proc/net/dev and its kin, with other names.

use super::Name;
use crate::Errno;

/// Where in a line a name is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// The first word, which ends with a colon.
    BeforeColon,
    /// This word, from 0.
    Word(usize),
    /// The last word.
    Last,
}

/// How the kernel fills the column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fill {
    /// Not at all.
    No,
    /// To the left, up to so many characters.
    Left(usize),
    /// To the right.
    Right(usize),
    /// The whole line is filled, to so many characters.
    Line(usize),
}

/// A table of /proc/net.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Table {
    place: Place,
    fill: Fill,
}

impl Table {
    /// Which one a path's last component may be.
    pub fn named(path: &[u8]) -> Option<Table> {
        let (place, fill) = match path.rsplit(|byte| *byte == b'/').next()? {
            b"dev" | b"wireless" => (Place::BeforeColon, Fill::Left(6)),
            b"route" => (Place::Word(0), Fill::Line(127)),
            b"if_inet6" | b"ipv6_route" => (Place::Last, Fill::Left(8)),
            b"arp" => (Place::Last, Fill::No),
            b"dev_mcast" | b"igmp6" => (Place::Word(1), Fill::Right(15)),
            b"igmp" => (Place::Word(1), Fill::Right(10)),
            _ => return None,
        };
        Some(Table { place, fill })
    }

    /// Which one a canonical path is.
    pub fn at(path: &[u8]) -> Option<Table> {
        let is_proc = path.starts_with(b"/proc/");
        let directory = path.rsplit(|byte| *byte == b'/').nth(1);
        if is_proc && directory == Some(b"net") { Table::named(path) } else { None }
    }

    /// Where the name is in a line.
    fn name_in(self, line: &[u8]) -> Option<core::ops::Range<usize>> {
        let is_gap = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n');
        let mut words = (0..line.len()).filter_map(|start| {
            let begins = !is_gap(line.get(start)?) && (start == 0 || is_gap(line.get(start - 1)?));
            let len = line.get(start..)?.iter().position(is_gap).unwrap_or(line.len() - start);
            begins.then_some(start..start + len)
        });
        match self.place {
            Place::Word(index) => words.nth(index),
            Place::Last => words.next_back(),
            Place::BeforeColon => {
                let first = words.next()?;
                let len = line.get(first.clone())?.iter().position(|byte| *byte == b':')?;
                Some(first.start..first.start + len)
            }
        }
    }
}

const SPACES: &[u8; 128] = &[b' '; 128];

fn spaces(count: usize) -> &'static [u8] {
    SPACES.get(..count.min(SPACES.len())).unwrap_or(SPACES)
}

/// Tells a table with other names, each line as the kernel would have written it.
///
/// # Errors
///
/// Those of `put`.
pub fn rewrite(
    table: Table,
    text: &[u8],
    other: impl Fn(&[u8]) -> Option<Name>,
    put: &mut dyn FnMut(&[u8]) -> Result<(), Errno>,
) -> Result<(), Errno> {
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let found = table.name_in(line).and_then(|name| Some((name.clone(), other(line.get(name)?)?)));
        let Some((name, new)) = found else {
            put(line)?;
            continue;
        };
        let (old, new) = (name.len(), new.bytes());
        let (head, rest) = line.split_at(name.start);
        let (_, tail) = rest.split_at(old);
        match table.fill {
            Fill::No => {
                put(head)?;
                put(new)?;
                put(tail)?;
            }
            Fill::Left(width) => {
                // What filled the old one goes, and what fills the new one comes.
                let filled = width.saturating_sub(old);
                put(head.get(..head.len().saturating_sub(filled)).unwrap_or(&[]))?;
                put(spaces(width.saturating_sub(new.len())))?;
                put(new)?;
                put(tail)?;
            }
            Fill::Right(width) => {
                let filled = width.saturating_sub(old);
                put(head)?;
                put(new)?;
                put(spaces(width.saturating_sub(new.len())))?;
                put(tail.get(filled..).unwrap_or(&[]))?;
            }
            Fill::Line(width) => {
                let end = line.iter().rposition(|byte| !matches!(byte, b' ' | b'\n')).map_or(0, |at| at + 1);
                put(head)?;
                put(new)?;
                put(line.get(name.end..end).unwrap_or(&[]))?;
                put(spaces(width.saturating_sub(end - old + new.len())))?;
                put(b"\n")?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn other(name: &[u8]) -> Option<Name> {
        match name {
            b"ens3" => Some(Name::labelled(b"ethernet0", b"")),
            b"enp0s31f6" => Some(Name::labelled(b"eth0", b"")),
            _ => None,
        }
    }

    fn told(table: &str, text: &str) -> String {
        let mut said = Vec::new();
        let table = Table::at(format!("/proc/7/net/{table}").as_bytes()).expect("one of the tables");
        rewrite(table, text.as_bytes(), other, &mut |part| {
            said.extend_from_slice(part);
            Ok(())
        })
        .expect("there is room");
        String::from_utf8(said).expect("text")
    }

    #[test]
    fn each_table_is_as_the_kernel_writes_it() {
        let of_dev = |name: &str| format!("face |bytes\n    lo: 1 2\n{name:>6}: 3 ens3\n");
        let of_route = |name: &str| {
            let line = format!("{name}\t00000000\t0102A8C0\t0003");
            format!("{:<127}\n{line:<127}\n", "Iface\tDestination")
        };
        let of_inet6 = |name: &str| format!("fe80 04 40 20 80 {name:>8}\n");
        let of_arp =
            |name: &str| format!("IP address  Device\n10.0.2.2  0x1  0x2  52:55:0a:00:02:02  *  {name}\n");
        let of_mcast = |name: &str| format!("2    {name:<15} 1     0     333300000001\n");
        let of_igmp =
            |name: &str| format!("Idx\tDevice    : Count\n2\t{name:<10}:     1      V3\n\t\t\t\t010000E0\n");
        type Written<'w> = &'w dyn Fn(&str) -> String;
        let tables: [(&str, Written<'_>); 6] = [
            ("dev", &of_dev),
            ("route", &of_route),
            ("if_inet6", &of_inet6),
            ("arp", &of_arp),
            ("dev_mcast", &of_mcast),
            ("igmp", &of_igmp),
        ];
        for (table, of) in tables {
            for (host, shown) in
                [("ens3", "ethernet0"), ("enp0s31f6", "eth0"), ("lo", "lo"), ("tun7", "tun7")]
            {
                assert_eq!(told(table, &of(host)), of(shown), "{table}");
            }
        }
        assert_eq!(Table::at(b"/proc/7/net/tcp"), None);
        assert_eq!(Table::at(b"/srv/net/dev"), None);
    }
}
