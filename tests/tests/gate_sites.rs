//! Call sites that the gate rewrites: as they trap often, and as their code is mapped, for what the instance's programs have done before.

use std::fs;
use std::path::Path;
use std::process::Command;

use tests::{World, assert_same, compiled, feed, program, transcript};

fn world(name: &str) -> World {
    World::new(name, &[], |_| {}).saying("coverage.door = \"gate\"")
}

#[test]
fn sites_that_trap_often_are_rewritten_and_mean_the_same() {
    let probe = program("sites");
    let natively = transcript(&feed(&mut Command::new(&probe), b""));
    let world = world("gate-sites").saying(
        "coverage.door = \"gate\"\n[[network.bind]]\nfrom = \"127.0.0.1:80\"\nto = \"127.0.0.1:45997\"",
    );
    assert_same("natively", &natively, "the gate", &transcript(&feed(&mut world.in_view(&probe), b"")));
    let told = transcript(&feed(world.in_view(&probe).arg("code"), b""));
    for function in ["syscall", "sendto", "recvfrom", "pthread_create"] {
        assert!(told.contains(&format!("rewritten: {function}\n")), "{function}: {told}");
    }
}

/// Programs that call little: each traps as often as the one before, until what they have in common is known.
#[test]
fn a_site_at_which_programs_of_an_instance_have_trapped_is_rewritten_for_the_next_ones() {
    let probe = program("few");
    let world = world("gate-common");
    let runtime = world.dir.join("runtime");
    fs::create_dir(&runtime).expect("a fresh tree");
    let run = || transcript(&feed(world.in_view(&probe).env("XDG_RUNTIME_DIR", &runtime), b""));
    let as_it_was = transcript(&feed(&mut Command::new(&probe), b""));
    assert_eq!(run(), as_it_was);
    // The first that knows of the site finds out where it is when it has trapped; the others as libc is mapped.
    assert_eq!(run(), as_it_was.replace("as it was then", "rewritten then"));
    assert_eq!(run(), as_it_was.replace("as it was", "rewritten"));
    // A file that others have written to is not believed: other bytes are at the site than it says.
    let directories =
        fs::read_dir(runtime.join("launcher")).expect("ours").map(|entry| entry.expect("ours").path());
    let view = directories.map(|dir| dir.join("view")).find(|file| file.exists()).expect("the instance's");
    let mut bytes = fs::read(&view).expect("the view's file");
    // Their places are first, and then of each a word that its bytes' hash begins.
    let (sites, count, word) = (64, 176, 8);
    for proof in bytes[sites + count * word..].chunks_mut(word).take(count) {
        proof[0] ^= 1;
    }
    fs::write(&view, bytes).expect("it can be written");
    assert_eq!(run(), as_it_was);
}

/// How many bytes a program's last page of code has behind the code.
fn room_behind_code(program: &Path) -> u64 {
    let said = Command::new("readelf").args(["-lW"]).arg(program).output().expect("binutils are installed");
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let line = said.lines().find(|line| line.contains("LOAD") && line.contains("R E")).expect("it has code");
    let number = |index: usize| {
        let word = line.split_whitespace().nth(index).expect("readelf's columns").trim_start_matches("0x");
        u64::from_str_radix(word, 16).expect("a number")
    };
    (number(2) + number(5)).next_multiple_of(4096) - number(2) - number(5)
}

#[test]
fn code_is_rewritten_as_it_is_mapped_whether_there_is_room_behind_it_or_not() {
    const STUB: u64 = 64;
    let world = world("gate-behind");
    let becomes_rewritten = |probe: &Path| {
        let runtime = world.dir.join(probe.file_name().expect("it has a name"));
        fs::create_dir(&runtime).expect("a fresh tree");
        let run = || transcript(&feed(world.in_view(probe).env("XDG_RUNTIME_DIR", &runtime), b""));
        let as_it_was = transcript(&feed(&mut Command::new(probe), b""));
        assert_eq!(run(), as_it_was, "{probe:?}");
        assert_eq!(run(), as_it_was.replace("as it was", "rewritten"), "{probe:?}");
    };
    let roomy = compiled("few", &["-static"], "few-static");
    // What pads the code leaves half a stub.
    let room = room_behind_code(&roomy);
    assert!(room > STUB, "the linker has left {room} bytes");
    let pad = format!("-DPAD={}", room - STUB / 2);
    let full = compiled("few", &["-static", &pad], "few-full");
    let left = room_behind_code(&full);
    assert!(left < STUB, "{left} bytes are left");
    // The next segment begins in the file's page in which the code ends.
    let joined = compiled("few", &["-static", "-Wl,-z,noseparate-code"], "few-joined");
    for probe in [&roomy, &full, &joined] {
        becomes_rewritten(probe);
    }
}
