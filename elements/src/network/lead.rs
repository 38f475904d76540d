//! On the way in: where a call is led that names an address.

use view::{Action, Direction, Endpoint, Protocol, Rule};

use super::address::{self, LONGEST};
use super::back::Name;
use crate::files::{UnixName, Want, is_unix};
use crate::kernel;
use crate::shared::asked::key;
use crate::trace::Event;
use crate::{Answer, Errno, Instance, user};

/// What tells keys of what was bound from those of what was connected.
pub(super) const BOUND: u16 = 0x100;

/// An address for the kernel in the place of the program's.
pub struct Led {
    pub(super) asked: Endpoint,
    pub(super) kernel: Endpoint,
    bytes: [u8; LONGEST],
    len: usize,
    line: u32,
}

/// An address that the kernel is to be given instead of the program's.
pub enum Outgoing {
    /// A Unix socket's path.
    Unix(UnixName),
    /// An address of the network.
    Network(Led),
}

impl Outgoing {
    /// The address's bytes.
    pub fn as_parts(&mut self) -> (*const u8, usize) {
        match self {
            Outgoing::Unix(address) => address.as_parts(),
            Outgoing::Network(led) => (led.bytes.as_ptr(), led.len),
        }
    }
}

/// What becomes of an address.
enum Way<'v> {
    /// The view has no say.
    Own,
    /// The kernel is given another, or its answer must be kept.
    Led(Led),
    /// It is a Unix socket's.
    Unix(Rule<'v>, Endpoint),
}

/// What the policy has a call answer.
fn refusal(direction: Direction, action: Action) -> Option<Errno> {
    let (bind, connect) = match action {
        Action::Deny => (libc::EACCES, libc::EACCES),
        Action::Refuse => (libc::EADDRINUSE, libc::ECONNREFUSED),
        Action::Unreachable => (libc::EADDRNOTAVAIL, libc::EHOSTUNREACH),
        Action::Allow | Action::Lead | Action::Unix => return None,
    };
    Some(Errno(if direction == Direction::Bind { bind } else { connect }))
}

impl<'v> Instance<'v> {
    /// bind(2)
    pub fn bind(&self, socket: i32, address: *const u8, len: usize) -> Answer {
        if !self.may_go_elsewhere(address, len) {
            return Answer::Pass;
        }
        match self.way(Direction::Bind, libc::SYS_bind, socket, address, len) {
            Ok(Way::Own) => self.bind_unix(socket, address, len),
            Ok(Way::Led(led)) => self.make_led(libc::SYS_bind, Direction::Bind, socket, &led),
            // Nothing that is bound is led there.
            Ok(Way::Unix(..)) => Answer::fail(Errno::EACCES),
            Err(errno) => Answer::fail(errno),
        }
    }

    /// connect(2)
    pub fn connect(&self, socket: i32, address: *const u8, len: usize) -> Answer {
        if !self.may_go_elsewhere(address, len) {
            return Answer::Pass;
        }
        match self.way(Direction::Connect, libc::SYS_connect, socket, address, len) {
            Ok(Way::Own) => self.connect_unix(socket, address, len),
            Ok(Way::Led(led)) => self.make_led(libc::SYS_connect, Direction::Connect, socket, &led),
            Ok(Way::Unix(rule, asked)) => {
                let done = self.connect_to_unix(socket, rule.unix, &asked);
                self.tell_of_address(libc::SYS_connect, &asked, Some(rule.unix), None, rule.line, done);
                Answer::Done(done)
            }
            Err(errno) => Answer::fail(errno),
        }
    }

    fn make_led(&self, number: i64, direction: Direction, socket: i32, led: &Led) -> Answer {
        let args = [socket as usize, led.bytes.as_ptr() as usize, led.len, 0, 0, 0];
        // SAFETY: the kernel only reads the address.
        let done = unsafe { kernel::waiting_syscall(number, args) };
        if matches!(done, Ok(_) | Err(Errno(libc::EINPROGRESS | libc::EINTR))) {
            self.remember(direction, socket, led);
        }
        self.tell_of_address(number, &led.asked, None, Some(&led.kernel), led.line, done);
        Answer::Done(done)
    }

    /// Whether an address may be another for the kernel, by its family alone.
    #[inline]
    pub(crate) fn may_go_elsewhere(&self, address: *const u8, len: usize) -> bool {
        if len < 2 || !user::is_readable(address, 2) {
            return false;
        }
        // SAFETY: found readable.
        self.view.has_network() || unsafe { is_unix(address) }
    }

    /// The address to send to in the place of a program's, if there is another.
    ///
    /// # Errors
    ///
    /// The policy's refusal, or those of a look at the path of a Unix socket.
    pub fn outgoing(
        &self,
        number: i64,
        socket: i32,
        address: *const u8,
        len: usize,
    ) -> Result<Option<Outgoing>, Errno> {
        match self.way(Direction::Connect, number, socket, address, len)? {
            Way::Own => self.outgoing_unix(address, len),
            Way::Led(led) => {
                // What is sent may be answered before the call returns.
                self.remember(Direction::Connect, socket, &led);
                self.tell_of_address(number, &led.asked, None, Some(&led.kernel), led.line, Ok(0));
                Ok(Some(Outgoing::Network(led)))
            }
            // A stream that is opened by what it sends first (TCP Fast Open).
            Way::Unix(..) => Err(Errno(libc::EOPNOTSUPP)),
        }
    }

    /// The same of a Unix socket. Apart, since it needs kilobytes.
    #[inline(never)]
    fn outgoing_unix(&self, address: *const u8, len: usize) -> Result<Option<Outgoing>, Errno> {
        // SAFETY: found readable.
        if len < 2 || !user::is_readable(address, 2) || !unsafe { is_unix(address) } {
            return Ok(None);
        }
        let found = self.unix_address(address, len, Want::LOOK)?;
        Ok(found.map(|address| Outgoing::Unix(address.into_name())))
    }

    /// Whether [`Instance::outgoing`] has another address; nothing is kept.
    pub(crate) fn goes_elsewhere(&self, socket: i32, address: *const u8, len: usize) -> bool {
        !matches!(self.way(Direction::Connect, 0, socket, address, len), Ok(Way::Own))
            || !matches!(self.outgoing_unix(address, len), Ok(None))
    }

    fn way(
        &self,
        direction: Direction,
        number: i64,
        socket: i32,
        address: *const u8,
        len: usize,
    ) -> Result<Way<'v>, Errno> {
        if !self.view.has_network() || !(2..=128).contains(&len) || !user::is_readable(address, len) {
            return Ok(Way::Own);
        }
        // SAFETY: found readable; the kernel reads as many bytes.
        let given = unsafe { core::slice::from_raw_parts(address, len) };
        let Some(asked) = address::read(given) else { return Ok(Way::Own) };
        let rule = self.rule_for(direction, socket, &asked);
        let line = rule.map_or(0, |rule| rule.line);
        let kernel = match rule {
            Some(rule) => match refusal(direction, rule.action) {
                Some(errno) => {
                    if number != 0 {
                        self.tell_of_address(number, &asked, None, None, line, Err(errno));
                    }
                    return Err(errno);
                }
                None if rule.action == Action::Unix => return Ok(Way::Unix(rule, asked)),
                None => rule.target(&asked),
            },
            None => asked,
        };
        if kernel == asked && !self.view.is_target(direction, &kernel) && !self.traces() {
            return Ok(Way::Own);
        }
        let mut led = Led { asked, kernel, bytes: [0; LONGEST], len: len.min(LONGEST), line };
        for (to, from) in led.bytes.iter_mut().zip(given) {
            *to = *from;
        }
        // As long as the program's, which has been read.
        let _ = address::write(&kernel, &mut led.bytes);
        if kernel.is_v4() && !asked.is_v4() {
            // A socket of IPv6 alone has no way to an address of IPv4. Too late, the kernel says so.
            let _ = kernel::set_socket_option(socket, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 0);
        }
        Ok(Way::Led(led))
    }

    /// What a socket speaks, if any rule wants to know.
    pub(super) fn protocol(&self, socket: i32) -> Protocol {
        if self.view.asks_for_protocol() { protocol_of(socket) } else { Protocol::Any }
    }

    /// The rule that decides.
    pub fn rule_for(&self, direction: Direction, socket: i32, asked: &Endpoint) -> Option<Rule<'v>> {
        let protocol = self.protocol(socket);
        let serves_both = || {
            let only = kernel::number_of_socket(socket, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY);
            only == Ok(0)
        };
        self.first_rule(direction, asked, protocol).or_else(|| {
            // A socket of IPv6 that is bound to all addresses is bound to those of IPv4 too.
            let all = direction == Direction::Bind && asked.address == [0; 16] && serves_both();
            let v4 = Endpoint { address: address::MAPPED_ZERO, ..*asked };
            if all { self.first_rule(direction, &v4, protocol) } else { None }
        })
    }

    /// The first rule for an endpoint.
    pub fn first_rule(&self, direction: Direction, asked: &Endpoint, protocol: Protocol) -> Option<Rule<'v>> {
        let mut known = None;
        self.view
            .rules_for(direction, *asked, protocol)
            .find(|rule| !rule.is_local || *known.get_or_insert_with(|| is_of_this_host(asked)))
    }

    /// From where the program reaches an address: a socket of datagrams is connected to it, which sends nothing.
    pub fn source_to(&self, family: i32, address: *const u8, len: usize) -> Option<Endpoint> {
        let socket = kernel::socket(family, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC).ok()?;
        let done = match self.connect(socket, address, len) {
            Answer::Done(done) => done,
            Answer::Pass => {
                let args = [socket as usize, address as usize, len, 0, 0, 0];
                // SAFETY: the kernel only reads the address.
                unsafe { kernel::syscall(libc::SYS_connect, args) }
            }
        };
        let own = done.ok().and_then(|_| local_endpoint(socket));
        let told = own.map(|own| self.told_of(Name::Own, socket, &own).unwrap_or(own));
        kernel::close(socket);
        told
    }

    /// Keeps what was asked, where the rules do not tell.
    fn remember(&self, direction: Direction, socket: i32, led: &Led) {
        let Some(shared) = self.shared else { return };
        let (mut kernel, mut asked) = (led.kernel, led.asked);
        if direction == Direction::Connect && asked.is_wildcard() {
            // Who connects to all addresses connects to this machine.
            asked.address = loopback(&asked);
        }
        if kernel.port == 0 {
            let Some(now) = local_endpoint(socket) else { return };
            (kernel.port, asked.port) = (now.port, now.port);
        }
        let told = self.view.asked(direction, kernel, self.protocol(socket)).unwrap_or(kernel);
        if told == asked && !shared.asked.is_used() {
            return;
        }
        let key = match direction {
            Direction::Bind => bound_key(socket, &kernel),
            Direction::Connect => match connected_key(socket, &kernel) {
                Some(key) => key,
                None => return,
            },
        };
        shared.asked.keep(key, asked.address, asked.port);
    }

    /// Tells of an address that was asked for, and of the one that the kernel got.
    fn tell_of_address(
        &self,
        number: i64,
        asked: &Endpoint,
        path: Option<&[u8]>,
        kernel: Option<&Endpoint>,
        line: u32,
        result: Result<usize, Errno>,
    ) {
        let Some(ring) = self.ring else { return };
        let (mut app, mut host) = ([0; address::SHOWN], [0; address::SHOWN]);
        let app_len = address::show(asked, &mut app);
        let host_len = kernel.map_or(0, |kernel| address::show(kernel, &mut host));
        ring.write(&Event {
            pid: kernel::getpid(),
            number,
            line,
            result,
            touched: line != 0,
            app: app.get(..app_len).unwrap_or(&[]),
            host: path.unwrap_or(host.get(..host_len).unwrap_or(&[])),
        });
    }
}

/// The key of what is bound at an address.
pub(super) fn bound_key(socket: i32, kernel: &Endpoint) -> u64 {
    key(0, kernel.address, kernel.port, BOUND | protocol_of(socket) as u16)
}

/// The key of what a socket has been led to.
pub(super) fn connected_key(socket: i32, kernel: &Endpoint) -> Option<u64> {
    Some(key(kernel::socket_cookie(socket).ok()?, kernel.address, kernel.port, 0))
}

fn loopback(like: &Endpoint) -> [u8; 16] {
    let address = if like.is_v4() { 0xffff_7f00_0001 } else { 1_u128 };
    address.to_be_bytes()
}

/// What a socket speaks.
pub(super) fn protocol_of(socket: i32) -> Protocol {
    match kernel::socket_option(socket, libc::SO_TYPE) {
        Ok(libc::SOCK_STREAM) => Protocol::Tcp,
        Ok(libc::SOCK_DGRAM) => Protocol::Udp,
        _ => Protocol::Any,
    }
}

/// Where a socket is, as the kernel has it.
pub(super) fn local_endpoint(socket: i32) -> Option<Endpoint> {
    let mut bytes = [0; 128];
    let len = kernel::name_of_socket(libc::SYS_getsockname, socket, &mut bytes).ok()?;
    address::read(bytes.get(..len)?)
}

/// Whether the host has an address: only then can a socket be bound to it.
fn is_of_this_host(asked: &Endpoint) -> bool {
    let v4 = asked.is_v4();
    let here = Endpoint { port: 0, is_v6: !v4, ..*asked };
    let (bytes, len) = address::fresh(&here);
    let family = if v4 { libc::AF_INET } else { libc::AF_INET6 };
    let Ok(socket) = kernel::socket(family, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC) else { return false };
    let args = [socket as usize, bytes.as_ptr() as usize, len, 0, 0, 0];
    // SAFETY: the kernel only reads the address.
    let bound = unsafe { kernel::syscall(libc::SYS_bind, args) };
    kernel::close(socket);
    bound.is_ok()
}
