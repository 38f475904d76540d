//! The environment that a policy starts its application with.

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use policy::Env;

/// The variables, as exec wants them: what we were given, less what the
/// policy takes away, with what it sets. `home` goes before the `HOME` that we were given.
pub fn variables(env: &Env, home: Option<String>) -> Vec<CString> {
    let keeps = |name: &OsStr| match env.clear {
        true => env.keep.iter().any(|kept| name == kept.as_str()),
        false => !env.unset.iter().any(|unset| name == unset.as_str()),
    };
    let home = home.filter(|_| !env.set.contains_key("HOME") && keeps(OsStr::new("HOME")));
    let given = std::env::vars_os()
        .filter(|(name, _)| home.is_none() || name != "HOME")
        .filter(|(name, _)| keeps(name) && name.to_str().is_none_or(|name| !env.set.contains_key(name)));
    let set = env.set.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let home = home.clone().map(|home| (OsString::from("HOME"), OsString::from(home)));
    given
        .chain(home)
        .chain(set)
        .filter_map(|(name, value)| {
            let entry = [name.as_bytes(), b"=", value.as_bytes()].concat();
            // What comes from an environment or a checked policy holds no NUL.
            CString::new(entry).ok()
        })
        .collect()
}
