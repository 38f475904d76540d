//! What the network element reads of the kernel and of files: tables of sockets, messages of
//! sock_diag(7), and the lines of the files of names.
//!
//! The first byte says which.

use elements::identity::entries::Entry as _;
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
    match how % 4 {
        0 | 1 => {
            let name = [&b"tcp"[..], b"udp6"][usize::from(how % 4)];
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
    [
        (0, b"  sl  local\n   0: 0100007F:1F90 00000000:0000 0A 0 0\n   1: 0100007F:1F90 0200007F:0050 01\n".to_vec()),
        (1, format!("   0: {v6} {v6} 0A\n").into_bytes()),
        (2, [message, six].concat()),
        (3, b"10.1.2.3 db.old.corp db # x\nfd00::1 a\nhttp 80/tcp www\nospf 89 OSPF\ncorp 10.0.0x7f old\nhosts: dns files\nnameserver ::1\noptions ndots:2\n".to_vec()),
    ]
    .into_iter()
    .map(|(how, bytes)| [&[how][..], &bytes].concat())
    .collect()
}
