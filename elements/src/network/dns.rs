//! A message of DNS (RFC 1035), as a trace tells it: its question, and what it answers.
//!
//! Nothing here decides anything. What name servers say goes to whoever has asked them, as it came.

#![forbid(unsafe_code)]

use core::net::IpAddr;

use domain::base::iana::{Opcode, Rtype};
use domain::base::{Message, ParsedName};
use domain::rdata::{A, Aaaa, Cname, Ns, Ptr};

use super::address::{SHOWN, show_alone};
use crate::Errno;
use crate::files::Text;

/// Room for a name of 255 bytes of which none can be shown as it is, and a type.
pub const QUESTION: usize = 1100;
/// Room for what is told of an answer; more of it is left out.
pub const ANSWERS: usize = 1200;
/// The longest message that is read.
pub const LONGEST: usize = 65_535;
/// As many records of an answer are looked at.
const MOST: usize = 64;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It asks.
    Query,
    /// It answers.
    Reply {
        /// The code (`RCODE`).
        code: u8,
        /// Whether there is more, which is to be asked for by a stream (`TC`).
        is_truncated: bool,
    },
}

/// Reads a message that has one question. `question` gets the name and the type, `answers` the addresses and names that
/// are said, each after a space. None where it is no such message, or is cut off before its end: of
/// an answer that is broken later, what comes before is told.
pub fn read(message: &[u8], question: &mut Text<QUESTION>, answers: &mut Text<ANSWERS>) -> Option<Kind> {
    let message = Message::from_slice(message).ok()?;
    let header = message.header();
    if header.opcode() != Opcode::QUERY || message.header_counts().qdcount() != 1 {
        return None;
    }
    let asked = message.first_question()?;
    name(asked.qname(), question).ok()?;
    question.push(b" ").ok()?;
    kind(asked.qtype(), question).ok()?;
    if !header.qr() {
        return Some(Kind::Query);
    }
    if let Ok(records) = message.answer() {
        for record in records.take(MOST) {
            let Ok(record) = record else { break };
            let said = match record.rtype() {
                Rtype::CNAME => match record.to_record::<Cname<ParsedName<_>>>() {
                    Ok(Some(record)) => named(record.data().cname(), answers),
                    _ => break,
                },
                Rtype::PTR => match record.to_record::<Ptr<ParsedName<_>>>() {
                    Ok(Some(record)) => named(record.data().ptrdname(), answers),
                    _ => break,
                },
                Rtype::NS => match record.to_record::<Ns<ParsedName<_>>>() {
                    Ok(Some(record)) => named(record.data().nsdname(), answers),
                    _ => break,
                },
                Rtype::A => match record.to_record::<A>() {
                    Ok(Some(record)) => addressed(record.data().addr().octets().into(), answers),
                    _ => break,
                },
                Rtype::AAAA => match record.to_record::<Aaaa>() {
                    Ok(Some(record)) => addressed(record.data().addr().octets().into(), answers),
                    _ => break,
                },
                _ => Ok(()),
            };
            // There is no room for more.
            if said.is_err() {
                break;
            }
        }
    }
    Some(Kind::Reply { code: header.rcode().to_int(), is_truncated: header.tc() })
}

fn addressed(address: IpAddr, to: &mut Text<ANSWERS>) -> Result<(), Errno> {
    let mut room = [0; SHOWN];
    to.push(b" ")?;
    to.push(show_alone(address, &mut room))
}

fn named(said: &ParsedName<&[u8]>, to: &mut Text<ANSWERS>) -> Result<(), Errno> {
    to.push(b" ")?;
    name(said, to)
}

/// A name as master files have it (RFC 1035, 5.1), without the dot at its end.
fn name<const N: usize>(said: &ParsedName<&[u8]>, to: &mut Text<N>) -> Result<(), Errno> {
    for (index, label) in said.iter().filter(|label| !label.is_root()).enumerate() {
        if index > 0 {
            to.push(b".")?;
        }
        for byte in label.as_slice() {
            match byte {
                b'.' | b'\\' => to.push(&[b'\\', *byte])?,
                b'!'..=b'~' => to.push(&[*byte])?,
                _ => to.push(&[b'\\', b'0' + byte / 100, b'0' + byte / 10 % 10, b'0' + byte % 10])?,
            }
        }
    }
    if said.is_root() { to.push(b".") } else { Ok(()) }
}

/// A type by its name, or as RFC 3597 has it: `TYPE65280`.
fn kind(said: Rtype, to: &mut Text<QUESTION>) -> Result<(), Errno> {
    if let Some(known) = said.to_mnemonic() {
        return to.push(known);
    }
    let mut digits = [0; 5];
    let mut number = said.to_int();
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    let first = digits.iter().position(|digit| *digit != b'0').unwrap_or(digits.len() - 1);
    to.push(b"TYPE")?;
    to.push(digits.get(first..).unwrap_or(&[]))
}

/// What comes by a stream, after the two bytes that say how long it is (RFC 1035, 4.2.2), if it is whole.
pub fn of_stream(bytes: &[u8]) -> Option<&[u8]> {
    let (len, rest) = bytes.split_first_chunk::<2>()?;
    rest.get(..usize::from(u16::from_be_bytes(*len)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A question for `db.corp`, of type A.
    const ASKED: &[u8] = b"\x12\x34\x01\x00\0\x01\0\0\0\0\0\0\x02db\x04corp\0\0\x01\0\x01";

    fn told(message: &[u8]) -> Option<(Kind, String, String)> {
        let (mut question, mut answers) = (Text::new(), Text::new());
        let kind = read(message, &mut question, &mut answers)?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        Some((kind, text(question.bytes()), text(answers.bytes())))
    }

    fn reply(code: u8) -> Kind {
        Kind::Reply { code, is_truncated: false }
    }

    fn answer(records: u8, bytes: &[u8]) -> Vec<u8> {
        let mut message = ASKED.to_vec();
        (message[2], message[7]) = (0x81, records);
        [&message, bytes].concat()
    }

    #[test]
    fn a_question_and_its_answer_are_told() {
        assert_eq!(told(ASKED), Some((Kind::Query, "db.corp A".into(), String::new())));
        let records = b"\xc0\x0c\0\x05\0\x01\0\0\0\x05\0\x05\x02xx\xc0\x0f\
            \xc0\x0c\0\x01\0\x01\0\0\0\x05\0\x04\x0a\x01\x02\x03";
        let said = told(&answer(2, records));
        assert_eq!(said, Some((reply(0), "db.corp A".into(), " xx.corp 10.1.2.3".into())));
        let mut nobody = answer(0, b"");
        nobody[3] = 3;
        assert_eq!(told(&nobody), Some((reply(3), "db.corp A".into(), String::new())));
    }

    #[test]
    fn what_is_broken_is_told_up_to_there() {
        // An address of three bytes, then a name that leads to itself.
        for records in
            [&b"\xc0\x0c\0\x01\0\x01\0\0\0\x05\0\x03\x0a\x01\x02"[..], b"\xc0\x25\0\x01\0\x01", b""]
        {
            assert_eq!(told(&answer(9, records)), Some((reply(0), "db.corp A".into(), String::new())));
        }
        for len in 0..ASKED.len() {
            assert_eq!(told(&ASKED[..len]), None, "{len}");
        }
        assert_eq!(told(b"GET / HTTP/1.1\r\nHost: db.corp\r\n\r\n"), None);
    }

    #[test]
    fn a_name_cannot_be_taken_for_another() {
        let odd = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x04a.\\\x07\x01 \xff\0\0\0\xff\0\0\x01";
        assert_eq!(told(&odd[..17]), None);
        let odd = [&odd[..12], b"\x04a.\\\x07\x01 \0\xff\0\0\x01"].concat();
        let said = told(&odd).map(|said| said.1);
        assert_eq!(said.as_deref(), Some("a\\.\\\\\\007.\\032 TYPE65280"));
    }

    #[test]
    fn a_stream_says_how_long_a_message_is() {
        assert_eq!(of_stream(b"\0\x03abcd"), Some(&b"abc"[..]));
        assert_eq!(of_stream(b"\0\x05abcd"), None);
        assert_eq!(of_stream(b"\0"), None);
    }
}
