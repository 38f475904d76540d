//! Listing a merged directory while it changes, in one call or in many.

use std::fs;
use std::path::Path;

use tests::{World, feed, transcript, write};

fn fill(dir: &Path) {
    for number in 0..2500 {
        write(dir.join(format!("host/base/long/base{number:04}")), "");
    }
    for name in ["one", "two", "three"] {
        write(dir.join("host/base/short").join(name), "");
    }
    fs::create_dir_all(dir.join("app/at")).expect("a fresh tree");
}

/// What a Python program says in the view.
fn says(name: &str, program: &str) -> String {
    let world = World::new(name, &[], fill).saying(&format!(
        "app.name = \"{name}\"\n[[mount]]\nat = \"@/at\"\nlayers = [\"host/base\"]\nwrite = \"private\""
    ));
    let at = world.dir.join("app/at").to_string_lossy().into_owned();
    let program = format!("import os, time, ctypes\nos.chdir('{at}')\n{program}");
    let mut command = world.in_view(Path::new("/usr/bin/python3"));
    command.args(["-c", &program]).env("STATE_DIRECTORY", world.dir.join("state"));
    transcript(&feed(&mut command, b""))
}

#[test]
fn a_long_directory_that_changes_while_it_is_listed_gives_no_name_twice_and_misses_none() {
    let said = says(
        "union-list-long",
        "\
def make(name):
    with open('long/' + name, 'w') as file: file.write('x')
names = {f'base{n:04}' for n in range(2500)}
for n in range(0, 900, 3): make(f'base{n:04}')
for n in range(1, 900, 3): os.unlink(f'long/base{n:04}')
for n in range(600): make(f'new{n:04}')
names -= {f'base{n:04}' for n in range(1, 900, 3)}
names |= {f'new{n:04}' for n in range(600)}
# What has not changed for a while may be remembered.
time.sleep(2.2)
for round in range(3):
    assert sorted(os.listdir('long')) == sorted(names), round
    listing = os.scandir('long')
    seen = [next(listing).name for _ in range(1200)]
    left = sorted(n for n in names - set(seen) if n.startswith('base'))
    gone, changed = left[0:100:2], left[1:101:2]
    for name in gone: os.unlink('long/' + name)
    for name in changed: make(name)
    make(f'late{round}')
    now = (names - set(gone)) | {f'late{round}'}
    # Another listing, from the beginning, while the first is under way.
    assert sorted(os.listdir('long')) == sorted(now), round
    seen += [entry.name for entry in listing]
    assert len(seen) == len(set(seen)), round
    assert names - set(gone) <= set(seen), round
    names = now
    time.sleep(2.2 if round == 0 else 0)
print('right')",
    );
    assert!(said.starts_with("right\n"), "{said}");
}

#[test]
fn each_position_of_a_short_directory_can_be_gone_back_to() {
    let said = says(
        "union-list-short",
        "\
for name in ['new', 'two']:
    with open('short/' + name, 'w') as file: file.write('x')
libc = ctypes.CDLL(None)
libc.opendir.restype = libc.readdir.restype = ctypes.c_void_p
libc.telldir.restype = ctypes.c_long
libc.telldir.argtypes = libc.readdir.argtypes = libc.rewinddir.argtypes = [ctypes.c_void_p]
libc.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]
def rest(stream):
    found = []
    while entry := libc.readdir(stream):
        found.append((ctypes.string_at(entry + 19).decode(), libc.telldir(stream)))
    return found
stream = libc.opendir(b'short')
whole = rest(stream)
assert sorted(name for name, _ in whole) == sorted(['.', '..', 'one', 'two', 'three', 'new']), whole
assert rest(stream) == []
for number, (_, position) in enumerate(whole):
    libc.seekdir(stream, position)
    assert [name for name, _ in rest(stream)] == [name for name, _ in whole[number + 1:]], (number, whole)
os.unlink('short/two'); os.unlink('short/new'); open('short/late', 'w').close()
libc.rewinddir(stream)
assert sorted(name for name, _ in rest(stream)) == sorted(['.', '..', 'one', 'three', 'late'])
print('right')",
    );
    assert!(said.starts_with("right\n"), "{said}");
}
