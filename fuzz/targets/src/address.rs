//! A socket address: the program's, and what the kernel hands out.
//!
//! The first byte says how long the address is said to be, in which direction
//! it goes, and what for; the rest is the address.

use std::sync::LazyLock;

use elements::Instance;
use elements::files::Want;
use elements::network::Name;
use elements::network::address::{fresh, read};
use view::build::{Facts, NetworkFacts, Row, RuleFacts, image};
use view::{Access, Action, Direction, Families, Kind, Protocol, View};

use crate::guarded::Guarded;

/// Reads an address.
///
/// # Panics
///
/// If it does harm.
pub fn target(data: &[u8]) {
    static IMAGE: LazyLock<Vec<u8>> = LazyLock::new(view_of_two_mounts);
    let Some((how, address)) = data.split_first() else { return };
    let image = Guarded::new(&IMAGE, 8);
    let instance = Instance::new(View::from_bytes(image.bytes()).expect("our own image"), None);
    // No kernel takes more than a sockaddr_storage.
    let address = address.get(..address.len().min(128)).unwrap_or(address);
    let mut buffer = Guarded::new(address, 1);
    let len = address.len() - usize::from(how >> 4).min(address.len());
    if how & 1 == 0 {
        let want = if how & 2 == 0 { Want::LOOK } else { Want::CREATE };
        if let Ok(Some(host)) = instance.unix_address(buffer.as_mut_ptr(), len, want) {
            let mut name = host.into_name();
            let (bytes, len) = name.as_parts();
            assert!((3..=110).contains(&len));
            // SAFETY: what `as_parts` gives is readable.
            let bytes = unsafe { std::slice::from_raw_parts(bytes, len) };
            assert_eq!(bytes.get(..2), address.get(..2));
        }
    } else {
        // What the kernel hands out may be longer than the room for it.
        let said = len + usize::from(how & 2) * 16;
        let name = [Name::Own, Name::Peer, Name::Accepted, Name::Source][usize::from(how >> 2 & 3)];
        // SAFETY: the buffer holds all of the address.
        let given =
            unsafe { instance.address_back((name, NO_SOCKET), buffer.as_mut_ptr(), address.len(), said) };
        assert!(given == said || (3..=111).contains(&given));
    }
    led(&instance, address);
}

/// No descriptor: what the kernel is asked of it fails.
const NO_SOCKET: i32 = -1;

/// Leads an address of the network, and back.
fn led(instance: &Instance<'_>, address: &[u8]) {
    let Some(asked) = read(address) else { return };
    for direction in [Direction::Bind, Direction::Connect] {
        let Some(rule) = instance.first_rule(direction, &asked, Protocol::Any) else { continue };
        let kernel = rule.target(&asked);
        assert_eq!(kernel.is_v6, asked.is_v6);
        let (bytes, len) = fresh(&kernel);
        assert_eq!(read(&bytes[..len]).filter(|_| kernel.is_v6 || kernel.is_v4()), Some(kernel));
        if rule.action == Action::Lead {
            assert!(instance.view.is_target(direction, &kernel));
        }
        if let Some(back) = instance.view.asked(direction, kernel, Protocol::Any) {
            assert!(back.is_v6 || back.is_v4());
        }
    }
}

/// Rules of every kind.
pub fn network() -> NetworkFacts {
    let v4 = |a, b, c, d| {
        [[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff], [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0]].concat()
    };
    let v4 = |a, b, c, d| v4(a, b, c, d)[..16].try_into().expect("sixteen bytes");
    let rule = |direction, from, from_ports, action, to, to_ports| RuleFacts {
        direction,
        from,
        families: Families::Both,
        from_ports,
        protocol: Protocol::Any,
        action,
        to,
        to_ports,
        unix: Vec::new(),
        is_local: false,
        line: 1,
    };
    let here = v4(127, 0, 0, 1);
    let rules = vec![
        rule(Direction::Bind, (v4(0, 0, 0, 0), 128), [80, 80], Action::Lead, (here, 128), [8080, 8080]),
        rule(Direction::Bind, ([0; 16], 0), [100, 200], Action::Lead, (here, 128), [1100, 1200]),
        rule(
            Direction::Connect,
            (v4(10, 0, 0, 0), 104),
            [0, 65535],
            Action::Lead,
            (v4(127, 0, 0, 0), 104),
            [0, 0],
        ),
        rule(Direction::Connect, ([0; 16], 0), [53, 53], Action::Refuse, ([0; 16], 128), [0, 0]),
    ];
    NetworkFacts { rules, ..NetworkFacts::default() }
}

fn view_of_two_mounts() -> Vec<u8> {
    let row = |at: &str, kind, source: &str| Row {
        at: at.into(),
        kind,
        access: Access::ReadWrite,
        is_dir: true,
        source: source.into(),
        layers: Vec::new(),
        line: 1,
    };
    let long = format!("/{}", "long/".repeat(20));
    let rows = [
        row("/", Kind::Pass, ""),
        row("/app", Kind::Host, "/tmp"),
        row(long.trim_end_matches('/'), Kind::Host, "/usr"),
        row("/hidden", Kind::Hidden, ""),
    ];
    image(&rows, &Facts { network: network(), ..Facts::default() })
}

/// Addresses of each family, for each way.
pub fn seeds() -> Vec<Vec<u8>> {
    let unix = |how: u8, path: &[u8]| [&[how][..], &(libc::AF_UNIX as u16).to_ne_bytes(), path].concat();
    let mut seeds = Vec::new();
    for how in 0..4 {
        for path in [
            &b"/app/socket\0"[..],
            b"/tmp/socket",
            b"/usr/s\0\0\0",
            b"\0abstract",
            b"",
            b"/hidden/x\0",
            b"relative/../x\0",
        ] {
            seeds.push(unix(how, path));
        }
        seeds.push(unix(how, &[b"/app/".as_slice(), &[b'x'; 103]].concat()));
        seeds.push([&[how, 2, 0, 0x1f, 0x90, 127, 0, 0, 1][..], &[0; 8]].concat());
        seeds.push([&[how, 10, 0][..], &[0; 26]].concat());
    }
    seeds
}
