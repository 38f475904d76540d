use super::*;

const DIR: &[u8] = b"/run/launcher/shop-1";

/// The text as it comes out in a view that mounts /srv/a=b at /app.
fn shown(format: Format, text: &str) -> Option<String> {
    let ours = Ours { dir: DIR, buffer: 0x7f00_0000_0000..0x7f00_0004_0000 };
    let mut all = Vec::new();
    let rename = |host: &[u8], app: &mut Text<MAX_PATH>| {
        host.strip_prefix(b"/srv/a=b").is_some_and(|rest| app.push(b"/my app").and(app.push(rest)).is_ok())
    };
    let out = |part: &[u8]| {
        all.extend_from_slice(part);
        Ok(())
    };
    let is_ours = rewrite(format, text.as_bytes(), &ours, rename, out).expect("nothing fails");
    assert!(is_ours || all.is_empty());
    is_ours.then(|| String::from_utf8(all).expect("text"))
}

const VIEW: &str = "7f0010000000-7f0010010000 rw-s 00000000 fe:00 12   /run/launcher/shop-1/view\n";
const GATE_LINE: &str = "7e0004100000-7e000412c000 r-xp 00000000 fe:00 13   /run/launcher/shop-1/gate\n";

#[test]
fn another_process_is_left_alone() {
    assert_eq!(shown(Format::Maps, "1000-2000 r-xp 00000000 fe:00 9   /srv/a=b/x\n"), None);
    assert_eq!(shown(Format::Maps, ""), None);
    assert_eq!(shown(Format::Maps, &VIEW.replace("shop-1", "shop-2")), None);
}

#[test]
fn what_is_ours_is_left_out_and_nothing_else() {
    let kept = "00400000-00401000 r--p 00000000 fe:00 9                  /usr/bin/true\n\
                7ffd63ae7000-7ffd63b08000 rw-p 00000000 00:00 0          [stack]\n\
                7f0020000000-7f0020001000 r-xp 00000000 00:00 0 \n\
                7f0020002000-7f0020003000 rw-s 00000000 00:01 7          /dev/zero (deleted)\n\
                7f0020003000-7f0020004000 r--p 00000000 fe:00 9          /run/launcher/shop-1/empty/0/gate\n";
    let ours = format!(
        "7e0000100000-7e0004100000 rw-p 00000000 00:00 0 \n\
         {GATE_LINE}7e000412e000-7e0004142000 rw-p 00000000 00:00 0 \n\
         7f0000000000-7f0000040000 rw-s 00000000 00:01 6          /dev/zero (deleted)\n\
         7f5858c2e000-7f5858c2f000 r-xp 00000000 fe:00 13         /run/launcher/shop-1/gate\n\
         {VIEW}7f0010011000-7f0010012000 rw-s 00000000 fe:00 14   /run/launcher/shop-1/trace\n"
    );
    assert_eq!(shown(Format::Maps, &format!("{ours}{kept}")).as_deref(), Some(kept));
    assert_eq!(shown(Format::Maps, &format!("{kept}{ours}")).as_deref(), Some(kept));
}

#[test]
fn files_have_their_app_paths() {
    let line = "00400000-00401000 r--p 00000000 fe:00 9                  ";
    let text = format!("{VIEW}{line}/srv/a=b/x y (deleted)\n{line}/srv/a\\075b\n{line}/srv/a=b/\\012\\134\n");
    let app = format!("{line}/my app/x y (deleted)\n{line}/srv/a\\075b\n{line}/my app/\\012\\134\n");
    assert_eq!(shown(Format::Maps, &text), Some(app));
    let text = "7f00 default file=/run/launcher/shop-1/view mapped=1\n\
                7e0004100000 default file=/run/launcher/shop-1/gate mapped=1\n\
                00400000 prefer=static:0 file=/srv/a\\075b/x\\040(deleted) mapped=2 N0=2\n\
                00500000 default stack anon=3\n";
    let app = "00400000 prefer=static:0 file=/my\\040app/x\\040(deleted) mapped=2 N0=2\n\
               00500000 default stack anon=3\n";
    assert_eq!(shown(Format::NumaMaps, text).as_deref(), Some(app));
}

const PARTS: &str = "7f5000000000-7f5000001000 r-xp 00026000 fe:00 5                          /srv/a=b/libc.so\n\
                     7f5000001000-7f5000002000 r-xp 00027000 fe:00 5                          /srv/a=b/libc.so\n\
                     7f5000002000-7f5000004000 r-xp 00028000 fe:00 5                          /srv/a=b/libc.so\n";

#[test]
fn text_that_the_patcher_has_split_is_one_mapping() {
    let whole = "7f5000000000-7f5000004000 r-xp 00026000 fe:00 5                          /my app/libc.so\n";
    assert_eq!(shown(Format::Maps, &format!("{VIEW}{GATE_LINE}{PARTS}")).as_deref(), Some(whole));
    // Without the gate there is no patcher.
    let parts = PARTS.replace("/srv/a=b", "/my app");
    assert_eq!(shown(Format::Maps, &format!("{VIEW}{PARTS}")), Some(parts));
    // Nor is there anything of it at its addresses.
    let at = "7e0000101000-7e0000102000 rw-p 00000000 00:00 0 \n";
    assert_eq!(shown(Format::Maps, &format!("{VIEW}{at}")).as_deref(), Some(at));
    // Other rights, another offset, another file, a gap: not the patcher's.
    let apart = "7f5000000000-7f5000001000 r-xp 00026000 fe:00 5 /lib/a\n\
                 7f5000001000-7f5000002000 rwxp 00027000 fe:00 5 /lib/a\n\
                 7f5000002000-7f5000003000 r-xp 00026000 fe:00 5 /lib/a\n\
                 7f5000003000-7f5000004000 r-xp 00027000 fe:00 6 /lib/b\n\
                 7f5000005000-7f5000006000 r-xp 00029000 fe:00 6 /lib/b\n\
                 7f5000006000-7f5000007000 r-xp 00000000 00:00 0 \n\
                 7f5000007000-7f5000008000 r-xp 00000000 00:00 0 \n";
    assert_eq!(shown(Format::Maps, &format!("{apart}{VIEW}{GATE_LINE}")).as_deref(), Some(apart));
}

#[test]
fn the_fields_of_a_split_mapping_add_up() {
    let fields = |rss: &str, size: &str| {
        format!(
            "Size:           {size:>8} kB\nKernelPageSize:        4 kB\nRss:            {rss:>8} kB\n\
             THPeligible:           0\nVmFlags: rd ex mr mw me \n"
        )
    };
    let mut text = format!("{VIEW}{}{GATE_LINE}{}", fields("64", "64"), fields("4", "176"));
    for (line, (rss, size)) in PARTS.lines().zip([("4", "4"), ("0", "4"), ("99999996", "8")]) {
        text.push_str(&format!("{line}\n{}", fields(rss, size)));
    }
    let whole = format!(
        "7f5000000000-7f5000004000 r-xp 00026000 fe:00 5                          /my app/libc.so\n{}",
        fields("100000000", "16")
    );
    assert_eq!(shown(Format::Smaps, &text), Some(whole));
}

#[test]
fn only_the_last_component_tells_the_format() {
    assert_eq!(Format::of(b"/proc/self/maps"), Some(Format::Maps));
    assert_eq!(Format::of(b"smaps"), Some(Format::Smaps));
    assert_eq!(Format::of(b"task/3/numa_maps"), Some(Format::NumaMaps));
    assert_eq!(Format::of(b"maps/"), None);
    assert_eq!(Format::of(b"/proc/self/smaps_rollup"), None);
}
