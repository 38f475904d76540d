//! The text of /proc/PID/maps, smaps and numa_maps: a program names the files that it maps.
//!
//! The first byte says which of them it is; the rest is the text.

use elements::files::{MAX_PATH, Text};
use elements::proc::mappings::{Format, Ours, rewrite};

use crate::guarded::Guarded;

const DIR: &[u8] = b"/run/launcher/i";

/// Rewrites a text.
///
/// # Panics
///
/// If it does harm.
pub fn target(data: &[u8]) {
    let Some((which, text)) = data.split_first() else { return };
    let formats = [Format::Maps, Format::Smaps, Format::NumaMaps];
    let Some(format) = formats.get(usize::from(which % 3)) else { return };
    let text = Guarded::new(text, 1);
    let Some(shown) = shown(*format, text.bytes()) else { return };
    let lines = |text: &[u8]| text.split(|byte| *byte == b'\n').count();
    assert!(lines(&shown) <= lines(text.bytes()) + 1);
    // What is ours is gone, and with it what tells that the process is of the instance.
    assert!(self::shown(*format, &shown).is_none());
}

fn shown(format: Format, text: &[u8]) -> Option<Vec<u8>> {
    let ours = Ours { dir: DIR, buffer: 0x7f00_0000_0000..0x7f00_0004_0000 };
    let rename = |host: &[u8], app: &mut Text<MAX_PATH>| {
        host.strip_prefix(b"/s=").is_some_and(|rest| app.push(b"/a \n").and(app.push(rest)).is_ok())
    };
    let mut all = Vec::new();
    let out = |part: &[u8]| {
        all.extend_from_slice(part);
        Ok(())
    };
    rewrite(format, text, &ours, rename, out).expect("nothing fails").then_some(all)
}

/// Texts of processes through the gate.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let maps = "55690942d000-55690942f000 r--p 00000000 fe:00 247003                     /s=/cat\n\
                7e0004100000-7e000412c000 r-xp 00000000 fe:00 13                         /run/launcher/i/gate\n\
                7f0000000000-7f0000001000 r-xp 00026000 fe:00 5                          /s=/li\\012b (deleted)\n\
                7f0000001000-7f0000002000 r-xp 00027000 fe:00 5                          /s=/li\\012b (deleted)\n\
                7f5858f5d000-7f5858f6d000 rw-s 00000000 fe:00 12                         /run/launcher/i/view\n\
                7ffd63ae7000-7ffd63b08000 rw-p 00000000 00:00 0                          [stack]\n";
    let fields = "\nSize:                  4 kB\nMMUPageSize:           4 kB\nVmFlags: rd ex mr mw me \n";
    let numa = "7f5858f5d000 default file=/run/launcher/i/view mapped=1\n\
                00400000 prefer=static:0 file=/s\\075/x\\040(deleted) mapped=2 N0=2\n";
    let seed = |which: u8, text: &str| [&[which], text.as_bytes()].concat();
    vec![seed(0, maps), seed(1, &maps.replace('\n', fields)), seed(2, numa)]
}
