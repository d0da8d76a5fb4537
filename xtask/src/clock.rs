//! The one place of the tasks that reads the calendar.

use jiff::Timestamp;

/// Now.
#[allow(clippy::disallowed_methods, reason = "this is the clock the tasks are given")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}
