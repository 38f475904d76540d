//! `[time]`: whether the clock can show what it is said to show.

use std::path::Path;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, SpanRelativeTo, Timestamp};
use toml::Spanned;
use view::{Begins, RATE_ONE, Time};

use super::Checker;
use crate::checked::Env;
use crate::identity::{Files, Said, zone_files};
use crate::raw::RawTime;

/// Where a system keeps its time zones.
const ZONES: &str = "/usr/share/zoneinfo";
/// How a moment is written.
const MOMENT: &str = "a moment such as 2015-06-30T23:59:00";
/// The slowest and the fastest clock.
const RATES: std::ops::RangeInclusive<f64> = 0.000_001..=1_000_000.0;
/// The last moment that nanoseconds in 64 bits can tell of, less room for what runs on from it.
const LAST_YEAR: i16 = 2200;

impl Checker<'_> {
    /// What `[time]` says, and the files and the variable that say where it is.
    pub fn time(&mut self, raw: &RawTime, env: &mut Env, files: &mut Files) -> Option<Time> {
        let zone = raw.zone.as_ref().and_then(|said| self.zone(said));
        if let Some((said, text, _)) = &zone {
            files.extend(zone_files(said, text));
            if let Some(line) = env.set.get("TZ") {
                let message = "`zone` and `TZ` of `[env]` both say where the application is";
                let expected = format!("`[env]` sets TZ to {line:?}");
                let help = "take TZ out of `[env]`, or the zone away".to_owned();
                self.report.add(said.span.clone(), message, expected, Some(help));
            }
            env.set.insert("TZ".into(), said.value.clone());
        }
        let offset = raw.offset.as_ref().and_then(|said| self.offset(said));
        let at = raw.at.as_ref().and_then(|said| self.moment(said, zone.map(|(_, _, zone)| zone)));
        if let (Some(offset), Some(_)) = (&raw.offset, &raw.at) {
            let message = "`offset` and `at` both say when the clock begins";
            let help = "take one of them away".to_owned();
            self.report.add(offset.span(), message, "`at` says so already", Some(help));
        }
        let rate = raw.rate.as_ref().and_then(|said| self.rate(said));
        let frozen = raw.frozen.as_ref().is_some_and(|said| *said.get_ref());
        if let (Some(rate), true) = (&raw.rate, frozen) {
            let message = "`rate` is of a clock that goes";
            let help = "take the rate away, or `frozen`".to_owned();
            self.report.add(rate.span(), message, "`frozen` has it stand still", Some(help));
        }
        let files = raw.files.as_ref().is_some_and(|said| *said.get_ref());
        let begins = at.map(Begins::At).or(offset.map(Begins::After)).unwrap_or(Begins::After(0));
        let time = Time { begins, rate: rate.unwrap_or(RATE_ONE), frozen, files };
        let is_hosts = time.begins == Begins::After(0) && time.rate == RATE_ONE && !frozen;
        if let (true, Some(files)) = (is_hosts && files, &raw.files) {
            let message = "`files` is of a clock that is not the host's";
            let expected = "the times of files are the host's, as the clock is";
            let help = "take it away, or add `offset` or `at`".to_owned();
            self.report.add(files.span(), message, expected, Some(help));
        }
        (!is_hosts).then_some(time)
    }

    /// A zone: its name, its file and what that says.
    fn zone(&mut self, said: &Spanned<String>) -> Option<(Said<String>, Vec<u8>, TimeZone)> {
        let name = self.text(said, "zone", |name| {
            let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+');
            let fits = !name.is_empty()
                && name.len() <= 100
                && name.split('/').all(|part| !part.is_empty() && part.chars().all(letters));
            (!fits).then_some("a name of the tz database, such as America/Toronto")
        })?;
        let file = Path::new(ZONES).join(&name.value);
        let found = self.host.read(&file).ok().and_then(|text| {
            let zone = TimeZone::tzif(&name.value, &text).ok()?;
            Some((text, zone))
        });
        let Some((text, zone)) = found else {
            self.host.note_unsettled();
            let message = format!("there is no time zone `{}`", name.value);
            let expected = format!("a file of {ZONES} on this host");
            let help = self.like(&name.value).map(|near| format!("did you mean `{near}`?"));
            let help =
                help.unwrap_or_else(|| "install the package tzdata, or name a zone that it has".into());
            self.report.add(name.span, message, expected, Some(help));
            return None;
        };
        Some((name, text, zone))
    }

    /// The zone of the host whose name is nearest.
    fn like(&self, name: &str) -> Option<String> {
        let table = std::fs::read_to_string(Path::new(ZONES).join("tzdata.zi")).ok()?;
        // `Z NAME …` defines a zone, `L TARGET NAME` is another name.
        let names: Vec<&str> = table
            .lines()
            .filter_map(|line| {
                let mut words = line.split(' ');
                match words.next()? {
                    "Z" => words.next(),
                    "L" => words.nth(1),
                    _ => None,
                }
            })
            .collect();
        crate::structure::nearest(name, &names).map(Into::into)
    }

    /// How far the clock is from the host's, in nanoseconds.
    fn offset(&mut self, said: &Spanned<String>) -> Option<i64> {
        let wrong = |text: &str| match duration(text) {
            None => Some("a sign, and numbers with w, d, h, m or s: -400d, +3h30m"),
            Some(offset) if !is_in_range(Timestamp::now().as_nanosecond() + i128::from(offset)) => {
                Some("a time from 1970 to 2200 on the application's clock")
            }
            Some(_) => None,
        };
        let text = self.text(said, "offset", wrong)?;
        duration(&text.value)
    }

    /// The moment that the clock begins at, in nanoseconds since 1970.
    fn moment(&mut self, said: &Spanned<String>, zone: Option<TimeZone>) -> Option<i64> {
        let zone = zone.unwrap_or_else(|| {
            // Where the policy names none, the application's is the launcher's own.
            self.host.note_variable("TZ", std::env::var("TZ").ok().as_deref());
            let _ = self.host.read(Path::new("/etc/localtime"));
            TimeZone::system()
        });
        let parsed = |text: &str| -> Option<i128> {
            // With a zone of its own (`Z`, `-04:00`) it is a moment by itself.
            if let Ok(moment) = text.parse::<Timestamp>() {
                return Some(moment.as_nanosecond());
            }
            let moment = text.parse::<DateTime>().ok()?;
            Some(zone.to_timestamp(moment).ok()?.as_nanosecond())
        };
        let wrong = |text: &str| match parsed(text) {
            None => Some(MOMENT),
            Some(moment) => (!is_in_range(moment)).then_some("a moment from 1970 to 2200"),
        };
        let text = self.text(said, "at", wrong)?;
        i64::try_from(parsed(&text.value)?).ok()
    }

    /// How fast the clock goes.
    fn rate(&mut self, said: &Spanned<f64>) -> Option<u64> {
        let rate = *said.get_ref();
        if !RATES.contains(&rate) {
            let message = format!("`rate` cannot be {rate}");
            let help = (rate == 0.0).then(|| "a clock that stands still is `frozen = true`".to_owned());
            let expected = "more than 0: from 0.000001 to 1000000, in times of the host's clock";
            self.report.add(said.span(), message, expected, help);
            return None;
        }
        Some((rate * RATE_ONE as f64).round() as u64)
    }
}

/// A duration such as -400d or +3h30m, in nanoseconds. A day has 24 hours.
fn duration(text: &str) -> Option<i64> {
    let units = text.strip_prefix(['+', '-']).unwrap_or(text);
    let letters = |c: char| c.is_ascii_digit() || matches!(c, 'w' | 'd' | 'h' | 'm' | 's');
    if !units.starts_with(|c: char| c.is_ascii_digit()) || !units.chars().all(letters) {
        return None;
    }
    let span: Span = text.parse().ok()?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    i64::try_from(duration.as_nanos()).ok()
}

/// Whether the clock can show a moment.
fn is_in_range(moment: i128) -> bool {
    let last = jiff::civil::date(LAST_YEAR, 1, 1).to_zoned(TimeZone::UTC);
    (0..last.map_or(0, |last| last.timestamp().as_nanosecond())).contains(&moment)
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn a_duration_is_a_sum_of_units() {
        const SECOND: i64 = 1_000_000_000;
        assert_eq!(duration("-400d"), Some(-400 * 86_400 * SECOND));
        assert_eq!(duration("+3h30m"), Some(12_600 * SECOND));
        assert_eq!(duration("1w2d"), Some(9 * 86_400 * SECOND));
        for wrong in ["", "+", "400", "3 h", "1y", "P1D", "--1d", "1d-2h", "0.5d"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }
}
