//! The other side of the network rows: a name server, a server that greets and
//! one that answers datagrams, all on loopback.

use std::io::{Error, Read as _, Result, Write as _, copy};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::thread;

/// The ports that they have.
pub struct Servers {
    /// A server of TCP that says `welcome`, at 127.0.0.1 and 127.9.2.6.
    pub greeter: u16,
    /// A server of UDP that sends back what it got.
    pub echo: u16,
    /// A name server that knows `mail.old.corp`.
    pub names: u16,
    /// A proxy of SOCKS 5, for proxychains4.
    pub proxy: u16,
}

/// The address that a rule of the policy denies.
const DENIED: Ipv4Addr = Ipv4Addr::new(127, 9, 2, 6);
/// The one name that is known, as it is in a question of DNS (RFC 1035, 3.1).
const NAME: &[u8] = b"\x04mail\x03old\x04corp\0";
/// Its address.
const ADDRESS: [u8; 4] = [127, 9, 2, 4];

impl Servers {
    /// Starts them. They end with the process.
    pub fn start() -> Result<Servers> {
        let greeter = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = greeter.local_addr()?.port();
        let denied = TcpListener::bind((DENIED, port))?;
        for listener in [greeter, denied] {
            thread::spawn(move || {
                for client in listener.incoming().flatten() {
                    let mut client = client;
                    // A client may have gone.
                    let _ = client.write_all(b"welcome\n");
                }
            });
        }
        let echo = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let names = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let proxy = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let servers = Servers {
            greeter: port,
            echo: echo.local_addr()?.port(),
            names: names.local_addr()?.port(),
            proxy: proxy.local_addr()?.port(),
        };
        thread::spawn(move || {
            for client in proxy.incoming().flatten() {
                // A client that speaks otherwise, or a server that is not there, ends it.
                thread::spawn(|| lead(client));
            }
        });
        serve(echo, <[u8]>::to_vec);
        serve(names, answer);
        // Where the port of DNS is free, and may be had, for those that can name no other.
        if let Ok(names) = UdpSocket::bind((Ipv4Addr::LOCALHOST, 53)) {
            serve(names, answer);
        }
        Ok(servers)
    }
}

/// Leads a client to where it asks for (RFC 1928), without a password.
fn lead(mut client: TcpStream) -> Result<()> {
    let mut greeting = [0; 2];
    client.read_exact(&mut greeting)?;
    client.read_exact(&mut vec![0; greeting[1].into()])?;
    client.write_all(&[5, 0])?;
    // Version, CONNECT, a zero, an address of IPv4 and a port.
    let mut request = [0; 10];
    client.read_exact(&mut request)?;
    let [5, 1, _, 1, a, b, c, d, high, low] = request else {
        return Err(Error::other("another request than CONNECT by IPv4"));
    };
    let wanted = SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low]));
    let server = TcpStream::connect(wanted);
    let failed = u8::from(server.is_err());
    client.write_all(&[5, failed, 0, 1, 0, 0, 0, 0, 0, 0])?;
    let mut server = server?;
    let (mut back, mut from) = (client.try_clone()?, server.try_clone()?);
    let answers = thread::spawn(move || copy(&mut from, &mut back).and(back.shutdown(Shutdown::Write)));
    copy(&mut client, &mut server)?;
    server.shutdown(Shutdown::Write)?;
    answers.join().map_err(|_| Error::other("the other direction"))?
}

fn serve(socket: UdpSocket, answer: fn(&[u8]) -> Vec<u8>) {
    thread::spawn(move || {
        let mut datagram = [0; 1500];
        while let Ok((size, client)) = socket.recv_from(&mut datagram) {
            let _ = socket.send_to(&answer(&datagram[..size]), client);
        }
    });
}

/// The answer to a question of DNS: one address, no record of the type, or no such name.
fn answer(question: &[u8]) -> Vec<u8> {
    const HEADER: usize = 12;
    let Some(body) = question.get(HEADER..) else { return Vec::new() };
    let Some(end) = body.iter().position(|byte| *byte == 0) else { return Vec::new() };
    let Some(kind) = body.get(end + 1..end + 5) else { return Vec::new() };
    let known = body[..=end].eq_ignore_ascii_case(NAME);
    let has_address = known && kind == [0, 1, 0, 1];
    let mut message = question[..2].to_vec();
    // A response, recursion available; NXDOMAIN where the name is not known.
    message.extend([0x81, if known { 0x80 } else { 0x83 }]);
    message.extend([0, 1, 0, u8::from(has_address), 0, 0, 0, 0]);
    message.extend(&body[..end + 5]);
    if has_address {
        // The name as a pointer to the question, A, IN, a minute, four bytes.
        message.extend([0xc0, HEADER as u8, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        message.extend(ADDRESS);
    }
    message
}

#[cfg(test)]
mod tests {
    use super::{ADDRESS, NAME, answer};

    fn question(name: &[u8], kind: u8) -> Vec<u8> {
        let mut question = vec![7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        question.extend(name);
        question.extend([0, kind, 0, 1]);
        question
    }

    #[test]
    fn the_name_has_its_address_and_no_other_has_one() {
        assert!(answer(&question(NAME, 1)).ends_with(&ADDRESS));
        let other_type = answer(&question(NAME, 28));
        assert_eq!((other_type[3] & 0xf, other_type[7]), (0, 0));
        let other_name = answer(&question(b"\x02db\0", 1));
        assert_eq!((other_name[3] & 0xf, other_name[7]), (3, 0));
        assert!(answer(b"short").is_empty());
    }
}
