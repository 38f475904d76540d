//! Listing.
use super::super::place::Scratch;
use super::{Position, Union};
use crate::Errno;

impl Union<'_> {
    pub(super) fn is_empty(&self, at: &Position, below: &[u8]) -> Result<bool, Errno> {
        let _ = (at, below);
        Err(Errno::EOPNOTSUPP)
    }
    pub(super) fn clear_whiteouts(&self, draft: &mut Scratch) -> Result<(), Errno> {
        let _ = draft;
        Err(Errno::EOPNOTSUPP)
    }
}
