//! The words of `[identity]`: who the machine is.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

/// `[identity]`: what the application is told of the machine, in whichever way
/// it asks. What is not said is the host's.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub struct RawIdentity {
    /// The machine's name.
    #[schemars(with = "Option<String>")]
    pub hostname: Option<Spanned<String>>,
    /// The NIS domain (default with `hostname`: "(none)", as the kernel begins).
    #[schemars(with = "Option<String>")]
    pub domainname: Option<Spanned<String>>,
    /// What /etc/machine-id holds: 32 hexadecimal digits.
    #[schemars(with = "Option<String>")]
    pub machine_id: Option<Spanned<String>>,
    /// What gethostid(3) gives: a number of 32 bits.
    #[schemars(with = "Option<i64>")]
    pub host_id: Option<Spanned<i64>>,
    /// The lines of /etc/os-release: ID, VERSION_ID, NAME and others.
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub os_release: Option<Spanned<BTreeMap<Spanned<String>, Spanned<String>>>>,
    /// The kernel, as uname(2) tells of it.
    #[schemars(with = "Option<RawKernel>")]
    pub kernel: Option<Spanned<RawKernel>>,
}

/// `[identity.kernel]`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawKernel {
    /// Its release, as `uname -r` prints it.
    #[schemars(with = "String")]
    pub release: Option<Spanned<String>>,
    /// Its version, as `uname -v` prints it (default: "#1 SMP").
    #[schemars(with = "Option<String>")]
    pub version: Option<Spanned<String>>,
    /// The hardware's name, as `uname -m` prints it (default: "x86_64").
    #[schemars(with = "Option<String>")]
    pub machine: Option<Spanned<String>>,
}

impl RawIdentity {
    /// Whether nothing is missing that the schema asks for.
    pub fn is_whole(&self) -> bool {
        self.kernel.as_ref().is_none_or(|kernel| kernel.get_ref().release.is_some())
    }
}
