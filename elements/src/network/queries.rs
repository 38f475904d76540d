//! What name servers are asked, and what they answer, for a trace.
//!
//! Through the gate a program's resolver is its own, libc's too: a name that is looked up is a message
//! on a socket that leads to a name server. Only where a trace is on are such messages looked at.
//! A name server is known by its port, or by being where the policy leads one.

use libc::{c_void, iovec, mmsghdr, msghdr};
use view::{Direction, Endpoint};

use super::address::{self, SHOWN};
use super::back::Name;
use super::dns::{self, ANSWERS, Kind, QUESTION};
use super::names::{DNS, Setting};
use crate::files::Text;
use crate::identity::Database;
use crate::trace::{Event, QUERY, REPLY, TRUNCATED};
use crate::{Instance, kernel, user};

/// How much of a message of several parts is looked at.
const GATHERED: usize = 4096;
/// The kernel takes no more parts (`UIO_MAXIOV`).
const PARTS: usize = 1024;

/// Which way a message goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// The program has sent it.
    Out,
    /// It has come.
    In,
}

/// A name server that a socket leads to.
struct Server {
    asked: Endpoint,
    line: u32,
}

impl Instance<'_> {
    /// Whether what name servers are asked is to be told.
    #[inline]
    pub fn tells_of_queries(&self) -> bool {
        self.traces() && self.follows_names()
    }

    #[cold]
    fn follows_names(&self) -> bool {
        let said = self.view.names();
        self.ring.is_some() && (self.view.has_network() || said.hosts_line != 0 || said.resolver_line != 0)
    }

    /// Whether what goes over a connected socket is to be told.
    #[cold]
    pub fn asks_a_server(&self, socket: i32) -> bool {
        self.tells_of_queries() && self.server_of(socket, core::ptr::null(), 0).is_some()
    }

    /// Tells of a message: `done` bytes, to or from the address, if the call has one.
    #[cold]
    pub fn tell_of_message(
        &self,
        way: Way,
        socket: i32,
        data: *const u8,
        done: isize,
        address: (*const c_void, usize),
    ) {
        let Some(len) = usize::try_from(done).ok().filter(|len| *len <= dns::LONGEST + 2) else { return };
        if !user::is_readable(data, len) {
            return;
        }
        // SAFETY: found readable, and the call has just been made with it.
        self.tell_of_bytes(way, socket, unsafe { core::slice::from_raw_parts(data, len) }, address);
    }

    /// The same of one in parts.
    #[cold]
    pub fn tell_of_parts(
        &self,
        way: Way,
        socket: i32,
        parts: *const iovec,
        count: usize,
        done: isize,
        address: (*const c_void, usize),
    ) {
        let mut left = usize::try_from(done).unwrap_or(0).min(GATHERED);
        let mut gathered = Text::<{ GATHERED + 1 }>::new();
        for index in 0..count.min(PARTS) {
            let part = parts.wrapping_add(index);
            if left == 0 || !user::is_readable(part.cast(), size_of::<iovec>()) {
                break;
            }
            // SAFETY: found readable.
            let part = unsafe { part.read_unaligned() };
            let len = part.iov_len.min(left);
            if !user::is_readable(part.iov_base.cast(), len) {
                return;
            }
            // SAFETY: found readable, and the call has just been made with it.
            let bytes = unsafe { core::slice::from_raw_parts(part.iov_base.cast::<u8>(), len) };
            if gathered.push(bytes).is_err() {
                break;
            }
            left -= len;
        }
        self.tell_of_bytes(way, socket, gathered.bytes(), address);
    }

    /// The same of sendmsg(2) and recvmsg(2).
    #[cold]
    pub fn tell_of_header(&self, way: Way, socket: i32, message: *const msghdr, done: isize) {
        if done <= 0 || !user::is_readable(message.cast(), size_of::<msghdr>()) {
            return;
        }
        // SAFETY: found readable.
        let header = unsafe { message.read_unaligned() };
        let address = (header.msg_name.cast_const(), header.msg_namelen as usize);
        #[allow(clippy::unnecessary_cast, reason = "libcs do not agree on the type")]
        let count = header.msg_iovlen as usize;
        self.tell_of_parts(way, socket, header.msg_iov, count, done, address);
    }

    /// The same of sendmmsg(2) and recvmmsg(2), which have done `done` messages.
    #[cold]
    pub fn tell_of_headers(&self, way: Way, socket: i32, messages: *const mmsghdr, done: isize) {
        for index in 0..usize::try_from(done).unwrap_or(0) {
            let message = messages.wrapping_add(index);
            if !user::is_readable(message.cast(), size_of::<mmsghdr>()) {
                return;
            }
            // SAFETY: found readable.
            let (header, len) =
                unsafe { (&raw const (*message).msg_hdr, (&raw const (*message).msg_len).read_unaligned()) };
            self.tell_of_header(way, socket, header, len as isize);
        }
    }

    #[inline(never)]
    fn tell_of_bytes(&self, way: Way, socket: i32, bytes: &[u8], (address, len): (*const c_void, usize)) {
        let (mut question, mut answers) = (Text::<QUESTION>::new(), Text::<ANSWERS>::new());
        let whole = dns::read(bytes, &mut question, &mut answers).or_else(|| {
            (question, answers) = (Text::new(), Text::new());
            dns::read(dns::of_stream(bytes)?, &mut question, &mut answers)
        });
        // What goes out asks, and what comes answers: else somebody is a name server himself.
        let (number, result) = match (way, whole) {
            (Way::Out, Some(Kind::Query)) => (QUERY, bytes.len()),
            (Way::In, Some(Kind::Reply { code, is_truncated })) => {
                (REPLY, usize::from(code) | if is_truncated { TRUNCATED } else { 0 })
            }
            _ => return,
        };
        let (Some(ring), Some(server)) = (self.ring, self.server_of(socket, address, len)) else { return };
        let mut shown = [0; SHOWN];
        let shown_len = address::show(&server.asked, &mut shown);
        let mut host = Text::<{ SHOWN + ANSWERS }>::new();
        // Both fit.
        let _ = host.push(shown.get(..shown_len).unwrap_or(&[])).and_then(|()| host.push(answers.bytes()));
        ring.write(&Event {
            pid: kernel::getpid(),
            number,
            line: server.line,
            result: Ok(result),
            touched: server.line != 0,
            app: question.bytes(),
            host: host.bytes(),
        });
    }

    /// The name server that an address is, as the program has it, or else the one that a socket is connected to.
    fn server_of(&self, socket: i32, address: *const c_void, len: usize) -> Option<Server> {
        let given = if address.is_null() || len == 0 || !user::is_readable(address.cast(), len.min(128)) {
            None
        } else {
            // SAFETY: found readable.
            address::read(unsafe { core::slice::from_raw_parts(address.cast::<u8>(), len.min(128)) })
        };
        let asked = match given {
            Some(asked) => asked,
            None => {
                let mut bytes = [0; 128];
                let len = kernel::name_of_socket(libc::SYS_getpeername, socket, &mut bytes).ok()?;
                let kernel = address::read(bytes.get(..len)?)?;
                self.told_of(Name::Peer, socket, &kernel).unwrap_or(kernel)
            }
        };
        let leads = self.view.asked(Direction::Connect, asked, view::Protocol::Any);
        let asked = leads.filter(|led| led.port == DNS && asked.port != DNS).unwrap_or(asked);
        if asked.port != DNS {
            return None;
        }
        let line = match self.rule_for(Direction::Connect, socket, &asked) {
            Some(rule) => rule.line,
            None if self.is_of_resolver(&asked) => self.view.names().resolver_line,
            None => 0,
        };
        Some(Server { asked, line })
    }

    /// Whether the view's resolv.conf(5) names a server.
    fn is_of_resolver(&self, server: &Endpoint) -> bool {
        let Some(Ok(mut lines)) = self.database(Database::Resolver, 0) else { return false };
        while let Some((line, _)) = lines.next_line() {
            if let Some(Setting::Server(address)) = Setting::of(line)
                && address::of(address, DNS).address == server.address
            {
                return true;
            }
        }
        false
    }
}
