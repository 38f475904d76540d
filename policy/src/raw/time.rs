//! The words of `[time]`: what time it is.

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

/// `[time]`: the application's clock. What is not said is the host's.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub struct RawTime {
    /// The time zone, by its name in the tz database: "America/Toronto".
    #[schemars(with = "Option<String>")]
    pub zone: Option<Spanned<String>>,
    /// How far the clock is from the host's: "-400d", "+3h30m". Units: w, d, h, m, s.
    #[schemars(with = "Option<String>")]
    pub offset: Option<Spanned<String>>,
    /// What the clock shows when the application starts, in the zone: "2015-06-30T23:59:00".
    #[schemars(with = "Option<String>")]
    pub at: Option<Spanned<String>>,
    /// How fast it goes, in times of the host's: 0.5, 60 (default: 1).
    #[schemars(with = "Option<f64>")]
    pub rate: Option<Spanned<f64>>,
    /// Whether it stands still (default: false).
    #[schemars(with = "Option<bool>")]
    pub frozen: Option<Spanned<bool>>,
    /// Whether the times of files are the application's, too (default: false).
    #[schemars(with = "Option<bool>")]
    pub files: Option<Spanned<bool>>,
}
