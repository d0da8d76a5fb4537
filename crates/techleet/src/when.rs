//! Moments as people name them: a time, or how long ago.

use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};

/// A moment on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// This time.
    At(Timestamp),
    /// So long before now.
    Ago(SignedDuration),
}

impl When {
    /// The time that is meant.
    pub(crate) fn resolve(self, now: Timestamp) -> anyhow::Result<Timestamp> {
        match self {
            Self::At(time) => Ok(time),
            Self::Ago(duration) => Ok(now.checked_sub(duration)?),
        }
    }
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(time) = text.parse() {
            return Ok(Self::At(time));
        }
        match text.parse::<SignedDuration>() {
            Ok(duration) if !duration.is_negative() => Ok(Self::Ago(duration)),
            _ => Err("write a time as 2026-11-24T02:05:27Z, or how long ago as 15m, 2h or 3h30m".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_or_how_long_ago() {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
        let resolved = |text: &str| text.parse::<When>().unwrap().resolve(now).unwrap().to_string();
        assert_eq!(resolved("2026-11-24T02:05:27Z"), "2026-11-24T02:05:27Z");
        assert_eq!(resolved("3h30m"), "2026-11-24T08:30:00Z");
        assert!("yesterday".parse::<When>().is_err());
        assert!("-2h".parse::<When>().is_err());
    }
}
