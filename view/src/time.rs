//! What time it is: how far the application's clock is from the host's, and how fast it goes.
//!
//! One record, where the policy says anything of it, and none where it does not. When
//! the instance was started is not in the view, which is the same for every start.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::layout::{Malformed, View};

/// One second for each of the host's, as [`Time::rate`] counts.
pub const RATE_ONE: u64 = 1 << 32;

/// Bits of [`RawTime::says`].
mod says {
    pub const AT: u32 = 1 << 0;
    pub const FROZEN: u32 = 1 << 1;
    pub const FILES: u32 = 1 << 2;
}

#[derive(Clone, Copy, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(crate) struct RawTime {
    pub begins: i64,
    pub rate: u64,
    pub says: u32,
    pub reserved: u32,
}

/// When the clock begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begins {
    /// So many nanoseconds after the host's (before it, where negative).
    After(i64),
    /// At this moment, in nanoseconds since 1970.
    At(i64),
}

/// The application's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
    /// What it shows when the instance starts.
    pub begins: Begins,
    /// How fast it goes, as a fraction of [`RATE_ONE`]; never 0.
    pub rate: u64,
    /// Whether it stands still.
    pub frozen: bool,
    /// Whether the times of files are the application's, too.
    pub files: bool,
}

impl View<'_> {
    /// What the policy says of the clock, if anything.
    #[inline]
    pub fn time(&self) -> Option<Time> {
        let raw = self.time.first()?;
        Some(Time {
            begins: if raw.says & says::AT != 0 { Begins::At(raw.begins) } else { Begins::After(raw.begins) },
            rate: raw.rate,
            frozen: raw.says & says::FROZEN != 0,
            files: raw.says & says::FILES != 0,
        })
    }

    /// Whether the clock is always as far from the host's.
    #[inline(always)]
    pub fn has_shift(&self) -> bool {
        self.time.first().is_some_and(|raw| raw.rate == RATE_ONE && raw.says & says::FROZEN == 0)
    }

    /// Whether the policy says anything of the clock.
    #[inline]
    pub fn has_time(&self) -> bool {
        !self.time.is_empty()
    }

    pub(crate) fn check_time(&self) -> Result<(), Malformed> {
        match self.time {
            [] => Ok(()),
            [one] if one.rate != 0 => Ok(()),
            [_] => Err(Malformed("a clock does not go")),
            _ => Err(Malformed("a machine has several clocks")),
        }
    }
}

#[cfg(feature = "build")]
impl Time {
    /// The record.
    pub(crate) fn write(&self) -> RawTime {
        let (begins, mut said) = match self.begins {
            Begins::After(offset) => (offset, 0),
            Begins::At(moment) => (moment, says::AT),
        };
        for (bit, set) in [(says::FROZEN, self.frozen), (says::FILES, self.files)] {
            said |= if set { bit } else { 0 };
        }
        RawTime { begins, rate: self.rate, says: said, reserved: 0 }
    }
}
