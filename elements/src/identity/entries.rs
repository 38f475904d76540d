//! The lines of passwd(5), group(5), shadow(5) and gshadow(5), read as libc reads them.

/// A line of passwd(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passwd<'l> {
    /// The user's name.
    pub name: &'l [u8],
    /// The password: "x", where it is in shadow(5).
    pub password: &'l [u8],
    /// The user's number.
    pub uid: u32,
    /// The number of the user's group.
    pub gid: u32,
    /// Who it is, in words.
    pub comment: &'l [u8],
    /// The home directory.
    pub home: &'l [u8],
    /// The login shell.
    pub shell: &'l [u8],
}

/// A line of group(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group<'l> {
    /// The group's name.
    pub name: &'l [u8],
    /// The password.
    pub password: &'l [u8],
    /// The group's number.
    pub gid: u32,
    /// Its users, with commas between them: [`list`].
    pub members: &'l [u8],
}

/// A line of shadow(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shadow<'l> {
    /// The user's name.
    pub name: &'l [u8],
    /// The password.
    pub password: &'l [u8],
    /// The date of the last change, the least, the most and the warning number of
    /// days, those of inactivity, and the date of expiry. What is empty is -1.
    pub days: [i64; 6],
    /// Reserved: all ones where it is empty.
    pub flag: u64,
}

/// A line of gshadow(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupShadow<'l> {
    /// The group's name.
    pub name: &'l [u8],
    /// The password.
    pub password: &'l [u8],
    /// Its administrators, with commas between them.
    pub administrators: &'l [u8],
    /// Its users, likewise.
    pub members: &'l [u8],
}

/// A kind of line.
pub trait Entry<'l>: Sized {
    /// What a line says; none where it is a comment, or none of such lines.
    fn of(line: &'l [u8]) -> Option<Self>;
    /// Whose line it is.
    fn name(&self) -> &'l [u8];
}

/// A line's fields, one by one.
struct Fields<'l> {
    rest: &'l [u8],
}

impl<'l> Fields<'l> {
    /// None for an empty line, a comment, or one that refers to another database.
    fn of(line: &'l [u8]) -> Option<Fields<'l>> {
        let rest = line.trim_ascii_start();
        match rest.first()? {
            b'#' | b'+' | b'-' => None,
            _ => Some(Fields { rest }),
        }
    }

    fn text(&mut self) -> &'l [u8] {
        match self.rest.iter().position(|byte| *byte == b':') {
            Some(colon) => {
                let (field, rest) = self.rest.split_at(colon);
                self.rest = rest.get(1..).unwrap_or(&[]);
                field
            }
            None => core::mem::take(&mut self.rest),
        }
    }

    fn number(&mut self) -> Option<u32> {
        number(self.text()).and_then(|number| u32::try_from(number).ok())
    }

    /// A number of days; -1 where there is none.
    fn days(&mut self) -> Option<i64> {
        match self.text() {
            [] => Some(-1),
            [b'-', digits @ ..] => Some(-number(digits)?),
            digits => number(digits),
        }
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_i64, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| i64::from(byte - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

impl<'l> Entry<'l> for Passwd<'l> {
    fn of(line: &'l [u8]) -> Option<Passwd<'l>> {
        let mut fields = Fields::of(line)?;
        Some(Passwd {
            name: fields.text(),
            password: fields.text(),
            uid: fields.number()?,
            gid: fields.number()?,
            comment: fields.text(),
            home: fields.text(),
            // What follows is all the shell's.
            shell: fields.rest,
        })
    }

    fn name(&self) -> &'l [u8] {
        self.name
    }
}

impl<'l> Entry<'l> for Group<'l> {
    fn of(line: &'l [u8]) -> Option<Group<'l>> {
        let mut fields = Fields::of(line)?;
        Some(Group {
            name: fields.text(),
            password: fields.text(),
            gid: fields.number()?,
            members: fields.rest,
        })
    }

    fn name(&self) -> &'l [u8] {
        self.name
    }
}

impl<'l> Entry<'l> for Shadow<'l> {
    fn of(line: &'l [u8]) -> Option<Shadow<'l>> {
        let mut fields = Fields::of(line)?;
        let (name, password) = (fields.text(), fields.text());
        let mut days = [-1; 6];
        for day in &mut days {
            *day = fields.days()?;
        }
        let flag = match fields.text() {
            [] => u64::MAX,
            digits => number(digits)? as u64,
        };
        Some(Shadow { name, password, days, flag })
    }

    fn name(&self) -> &'l [u8] {
        self.name
    }
}

impl<'l> Entry<'l> for GroupShadow<'l> {
    fn of(line: &'l [u8]) -> Option<GroupShadow<'l>> {
        let mut fields = Fields::of(line)?;
        Some(GroupShadow {
            name: fields.text(),
            password: fields.text(),
            administrators: fields.text(),
            members: fields.rest,
        })
    }

    fn name(&self) -> &'l [u8] {
        self.name
    }
}

/// The names in a list.
pub fn list(names: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    names.split(|byte| *byte == b',').map(<[u8]>::trim_ascii_start).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_users_is_read_as_libc_reads_it() {
        let oracle = Passwd::of(b"oracle:x:54321:100:Oracle, Inc.:/home/oracle:/bin/bash").expect("a line");
        assert_eq!((oracle.name, oracle.uid, oracle.gid), (&b"oracle"[..], 54321, 100));
        assert_eq!((oracle.home, oracle.shell), (&b"/home/oracle"[..], &b"/bin/bash"[..]));
        let short = Passwd::of(b"  a:x:1:2").expect("what follows is empty");
        assert_eq!((short.name, short.comment, short.shell), (&b"a"[..], &b""[..], &b""[..]));
        for wrong in
            ["", "#a:x:1:2", "+::::::", "-a", "a:x::2", "a:x:1", "a:x:-1:2", "a:x:1x:2", "a:x:4294967296:1"]
        {
            assert!(Passwd::of(wrong.as_bytes()).is_none(), "{wrong}");
        }
    }

    #[test]
    fn lists_and_empty_numbers_are_read_as_libc_reads_them() {
        let dba = Group::of(b"dba:x:1:oracle, grid,,root").expect("a line");
        assert!(list(dba.members).eq([&b"oracle"[..], b"grid", b"root"]));
        let shadow = Shadow::of(b"oracle:*:1:0:99999:7:::").expect("a line");
        assert_eq!((shadow.days, shadow.flag), ([1, 0, 99999, 7, -1, -1], u64::MAX));
    }
}
