//! Lines of the log that somebody outside can bring about: so few in a second that they are no attack themselves.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::sync::lock;

/// Counts the lines of the running second.
#[derive(Debug)]
pub(crate) struct Lines {
    per_second_max: u32,
    second: Mutex<Second>,
}

#[derive(Debug)]
struct Second {
    /// `None` before the first line.
    began: Option<Instant>,
    lines: u32,
    left_out: u64,
}

impl Lines {
    pub(crate) const fn new(per_second_max: u32) -> Self {
        Self { per_second_max, second: Mutex::new(Second { began: None, lines: 0, left_out: 0 }) }
    }

    /// `Some` with the number of lines left out before, if one more may be written; what may not goes to debug.
    pub(crate) fn admit(&self) -> Option<u64> {
        let mut second = lock(&self.second);
        if second.began.is_none_or(|began| began.elapsed() >= Duration::from_secs(1)) {
            second.began = Some(Instant::now());
            second.lines = 0;
        }
        if second.lines >= self.per_second_max {
            second.left_out += 1;
            return None;
        }
        second.lines += 1;
        Some(std::mem::take(&mut second.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_beyond_the_limit_are_counted_and_told_with_the_next() {
        let lines = Lines::new(2);
        let later = Instant::now() + Duration::from_secs(3600);
        *lock(&lines.second) = Second { began: Some(later), lines: 0, left_out: 0 };
        assert_eq!((lines.admit(), lines.admit()), (Some(0), Some(0)));
        assert_eq!((lines.admit(), lines.admit()), (None, None));
        lock(&lines.second).began = None;
        assert_eq!((lines.admit(), lines.admit()), (Some(2), Some(0)));
    }
}
