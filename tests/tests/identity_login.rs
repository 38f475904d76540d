//! Who has logged in is one of the policy's users.

use std::path::Path;

use tests::{World, assert_same, is_root, write};

fn fill(dir: &Path) {
    write(dir.join("home/.keep"), "");
}

#[test]
fn who_has_logged_in_has_the_policys_name() {
    // The kernel lets root alone say who has logged in, and not everywhere.
    if !is_root() || !Path::new("/proc/self/loginuid").exists() {
        return;
    }
    let script = "(echo $1 > /proc/self/loginuid) 2>/dev/null; echo $1 > /proc/self/loginuid
        logname 2>/dev/null || echo none; perl -e 'print getlogin // \"none\", \"\\n\"'
        python3 -c 'import os
try: print(os.getlogin())
except OSError as error: print(error.errno)'";
    for door in ["shim", "gate"] {
        let world = World::new(&format!("login-{door}"), &[], fill).saying(&format!(
            "coverage.door = \"{door}\"\n[identity]\nusers = [{{ name = \"oracle\", uid = 54321 }}]\n"
        ));
        for (uid, expected) in [("54321", "oracle\noracle\noracle\n"), ("1", "none\nnone\n25\n")] {
            let said = world.view_says("/bin/sh", &["-c", script, "sh", uid]);
            assert_same(
                "the policy",
                &format!("{expected}--- standard error\n--- exit status: 0\n"),
                door,
                &said,
            );
        }
    }
}
