//! The hooks, one file per family, named as their symbols are.
//!
//! Each is a few lines: the arguments, an element, the answer.

pub mod actions;
pub mod change;
pub mod clock;
pub mod credentials;
pub mod cwd;
pub mod descriptor;
pub mod dir;
pub mod entries;
pub mod exec;
pub mod fts;
pub mod glob;
pub mod host;
pub mod ipc;
pub mod link;
pub mod load;
pub mod lock;
pub mod login;
pub mod machine;
pub mod names;
pub mod open;
pub mod protect;
pub mod set_clock;
pub mod shell;
pub mod shm;
pub mod socket;
pub mod spawn;
pub mod stat;
pub mod stdio;
pub mod temp;
pub mod timer;
pub mod users;
pub mod variadic;
pub mod vfork;
pub mod wait;
pub mod walk;
pub mod xattr;

use crate::real;
use crate::start::die;

/// The check of the fortified functions: a buffer smaller than was said is
/// the end of the program, by libc's own words where it has them.
fn check_room(size: usize, room: usize) {
    if size > room {
        match real!(__chk_fail as fn()) {
            // SAFETY: takes nothing and does not return.
            Some(fail) => unsafe { fail() },
            None => die(b"*** buffer overflow detected ***: terminated\n", b""),
        }
    }
}

/// Whether the program's libc is glibc: where the two differ, a hook does as the program's own.
fn is_glibc() -> bool {
    real!(gnu_get_libc_version as fn() -> *const core::ffi::c_char).is_some()
}
