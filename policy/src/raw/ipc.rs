//! The words of `[ipc]`: whose the names are that processes find each other by.

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

/// `[ipc]`: names of System V and POSIX interprocess communication, and of abstract Unix sockets.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub struct RawIpc {
    /// Whether they are the host's, and not this instance's own (default: false).
    #[serde(default)]
    pub share: bool,
    /// Names of abstract sockets that stay the host's, without the `@`; with `*` at the end, all that begin so.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub host: Vec<Spanned<String>>,
}
