//! What the network element reads of the kernel and of files: tables of sockets, messages of
//! sock_diag(7), the lines of the files of names, and messages of DNS.
//!
//! The first byte says which.

use elements::files::Text;
use elements::identity::entries::Entry as _;
use elements::network::dns::{self, Kind};
use elements::network::names::{self, HostLine, Order, Setting};
use elements::network::numbers::{Network, Protocol, Service, others};
use elements::network::rows::{Table, rewrite, rewrite_messages};
use view::Endpoint;

/// Reads it.
///
/// # Panics
///
/// If it does harm.
pub fn target(data: &[u8]) {
    let Some((how, bytes)) = data.split_first() else { return };
    match how % 5 {
        0 | 1 => {
            let name = [&b"tcp"[..], b"udp6"][usize::from(how % 5)];
            let table = Table::named(name).expect("a table");
            let mut len = 0;
            let put = &mut |part: &[u8]| {
                len += part.len();
                Ok(())
            };
            rewrite(table, bytes, |own, peer| (other(own), other(peer)), put).expect("nothing fails");
            assert_eq!(len, bytes.len());
        }
        2 => rewrite_messages(&mut bytes.to_vec(), |own, peer, _| (other(own), other(peer))),
        4 => asked(bytes),
        _ => {
            for line in bytes.split(|byte| *byte == b'\n') {
                if let Some((_, text, names)) = names::host(line) {
                    assert!(!text.is_empty());
                    names.for_each(|name| assert!(!name.is_empty()));
                }
                if let Some(service) = Service::of(line) {
                    assert!(others(service.aliases).all(|name| !name.is_empty()));
                    assert!(service.is(service.name, Some(service.protocol)));
                }
                assert!(Protocol::of(line).is_none_or(|protocol| protocol.is(protocol.name)));
                assert!(Network::of(line).is_none_or(|network| network.is(network.name)));
                assert!(HostLine::of(line).is_none_or(|host| !host.name().is_empty()));
                let order = Order::of(line);
                assert!(order.is_none_or(|order| order.dns || !order.dns_first));
                let _ = Setting::of(line);
            }
        }
    }
}

/// A message of DNS: what is told of it can be shown, in one line, and says no more than there is.
fn asked(message: &[u8]) {
    for message in [message, dns::of_stream(message).unwrap_or(&[])] {
        let (mut question, mut answers) = (Text::new(), Text::new());
        let Some(kind) = dns::read(message, &mut question, &mut answers) else { continue };
        assert!(question.bytes().iter().all(|byte| (b' '..=b'~').contains(byte)));
        assert_eq!(question.bytes().iter().filter(|byte| **byte == b' ').count(), 1);
        assert!(answers.bytes().iter().all(|byte| (b' '..=b'~').contains(byte)));
        assert!(kind != Kind::Query || answers.is_empty());
    }
}

/// Another endpoint of the same family.
fn other(endpoint: &Endpoint) -> Option<Endpoint> {
    let mut address = endpoint.address;
    address[15] ^= 1;
    (endpoint.port != 0).then_some(Endpoint { address, port: !endpoint.port, ..*endpoint })
}

/// Tables, messages and lines.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut message = vec![0_u8; 16 + 72];
    message[0] = 16 + 72;
    message[4] = 20;
    message[16] = libc::AF_INET as u8;
    message[21] = 80;
    let mut six = message.clone();
    six[16] = libc::AF_INET6 as u8;
    let v6 = "00000000000000000000000001000000:1F90";
    let query = b"\x12\x34\x01\x00\0\x01\0\0\0\0\0\0\x02db\x04corp\0\0\x01\0\x01";
    let reply = b"\x12\x34\x81\x80\0\x01\0\x04\0\0\0\0\x02db\x04corp\0\0\x01\0\x01\
        \xc0\x0c\0\x05\0\x01\0\0\0\x05\0\x05\x02xx\xc0\x0f\xc0\x0c\0\x01\0\x01\0\0\0\x05\0\x04\x0a\x01\x02\x03\
        \xc0\x0c\0\x1c\0\x01\0\0\0\x05\0\x10\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x09\
        \xc0\x0c\0\x0c\0\x01\0\0\0\x05\0\x02\xc0\x0c";
    let stream = [&[0, query.len() as u8][..], query].concat();
    [
        (0, b"  sl  local\n   0: 0100007F:1F90 00000000:0000 0A 0 0\n   1: 0100007F:1F90 0200007F:0050 01\n".to_vec()),
        (1, format!("   0: {v6} {v6} 0A\n").into_bytes()),
        (2, [message, six].concat()),
        (3, b"10.1.2.3 db.old.corp db # x\nfd00::1 a\nhttp 80/tcp www\nospf 89 OSPF\ncorp 10.0.0x7f old\nhosts: dns files\nnameserver ::1\noptions ndots:2\n".to_vec()),
    ]
    .into_iter()
    .chain([query.to_vec(), reply.to_vec(), stream].map(|message| (4, message)))
    .map(|(how, bytes)| [&[how][..], &bytes].concat())
    .collect()
}
