//! A schedule: which times are meant by `0 8 * * MON-FRI`.

use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

/// How many days ahead a time is looked for.
const DAYS_MAX: usize = 366 * 9;

const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// The times of a schedule.
#[derive(Debug, Clone)]
pub(super) struct Schedule {
    seconds: Vec<i8>,
    minutes: Vec<i8>,
    hours: Vec<i8>,
    days: Vec<i8>,
    months: Vec<i8>,
    /// From Sunday as 0.
    weekdays: Vec<i8>,
    years: Vec<i16>,
    /// Whether days of the month or of the week are said; both said, either is enough.
    says_days: bool,
    says_weekdays: bool,
}

impl Schedule {
    /// Reads a schedule of five fields, of six with seconds before, or of seven with a year behind.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let (seconds, rest, years) = match fields.as_slice() {
            rest if rest.len() == 5 => ("0", rest, "*"),
            [seconds, rest @ ..] if rest.len() == 5 => (*seconds, rest, "*"),
            [seconds, rest @ .., years] if rest.len() == 5 => (*seconds, rest, *years),
            _ => return Err(format!("a schedule has 5 to 7 fields, and `{text}` has {}", fields.len())),
        };
        let is_said = |field: &str| !matches!(field, "*" | "?");
        // Quartz, which has seconds, counts the days of the week from Sunday as 1; Unix from 0.
        let first_day = if fields.len() > 5 { 1 } else { 0 };
        let weekdays = values(rest[4], first_day, first_day + 6 + i16::from(first_day == 0), &WEEKDAYS, first_day)?;
        Ok(Self {
            seconds: small(values(seconds, 0, 59, &[], 0)?),
            minutes: small(values(rest[0], 0, 59, &[], 0)?),
            hours: small(values(rest[1], 0, 23, &[], 0)?),
            days: small(values(rest[2], 1, 31, &[], 0)?),
            months: small(values(rest[3], 1, 12, &MONTHS, 1)?),
            weekdays: small(weekdays.into_iter().map(|day| (day - first_day) % 7).collect()),
            years: values(years, 1970, 2199, &[], 0)?,
            says_days: is_said(rest[2]),
            says_weekdays: is_said(rest[4]),
        })
    }

    /// The first time after `after_ms` (milliseconds since 1970), if there is one.
    pub(super) fn next_ms(&self, after_ms: i64) -> Option<i64> {
        let after = Timestamp::from_millisecond(after_ms).ok()?.to_zoned_datetime(TimeZone::UTC).datetime();
        let mut day = after.date();
        for _ in 0..DAYS_MAX {
            if self.has_day(day) {
                let times = self.hours.iter().flat_map(|hour| {
                    self.minutes.iter().flat_map(move |minute| self.seconds.iter().map(move |s| (*hour, *minute, *s)))
                });
                for (hour, minute, second) in times {
                    let time = day.at(hour, minute, second, 0);
                    if time > after {
                        return time
                            .to_zoned_datetime(TimeZone::UTC)
                            .ok()
                            .map(|time| time.timestamp().as_millisecond());
                    }
                }
            }
            day = day.checked_add(1.day()).unwrap_or(date(9999, 12, 31));
        }
        None
    }

    fn has_day(&self, day: Date) -> bool {
        let in_month = self.days.contains(&day.day());
        let in_week = self.weekdays.contains(&day.weekday().to_sunday_zero_offset());
        let is_day = match (self.says_days, self.says_weekdays) {
            (true, true) => in_month || in_week,
            _ => in_month && in_week,
        };
        is_day && self.months.contains(&day.month()) && self.years.contains(&day.year())
    }
}

fn small(values: Vec<i16>) -> Vec<i8> {
    values.into_iter().filter_map(|value| i8::try_from(value).ok()).collect()
}

/// The numbers of a field, in order: `*`, `5`, `1-5`, `MON,WED`, `0/15`, `*/5`.
fn values(field: &str, min: i16, max: i16, names: &[&str], first: i16) -> Result<Vec<i16>, String> {
    let wrong = || format!("`{field}` is no field of a schedule with numbers from {min} to {max}");
    let number = |text: &str| -> Result<i16, String> {
        let named = names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let named = named.and_then(|at| i16::try_from(at).ok()).map(|at| at + first);
        named.or_else(|| text.parse().ok()).filter(|number| (min..=max).contains(number)).ok_or_else(wrong)
    };
    let mut found = Vec::new();
    for part in field.split(',') {
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        let (from, to) = match range.split_once('-') {
            Some((from, to)) => (number(from)?, number(to)?),
            None if matches!(range, "*" | "?") => (min, max),
            None => {
                let from = number(range)?;
                (from, if step.is_some() { max } else { from })
            }
        };
        let step: usize = step.map_or(Ok(1), str::parse).ok().filter(|step| *step > 0).ok_or_else(wrong)?;
        if from > to {
            return Err(wrong());
        }
        found.extend((from..=to).step_by(step));
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(schedule: &str, after: &str) -> String {
        let after: Timestamp = after.parse().unwrap();
        let next = Schedule::new(schedule).unwrap().next_ms(after.as_millisecond()).unwrap();
        Timestamp::from_millisecond(next).unwrap().to_string()
    }

    #[test]
    fn the_next_time_is_the_first_that_fits() {
        let friday = "2026-11-27T10:00:00Z";
        assert_eq!(next("0 8 * * *", friday), "2026-11-28T08:00:00Z");
        assert_eq!(next("0 8 * * MON-FRI", friday), "2026-11-30T08:00:00Z");
        assert_eq!(next("0 8 * * 0", friday), "2026-11-29T08:00:00Z");
        assert_eq!(next("0 8 * * 7", friday), "2026-11-29T08:00:00Z");
        assert_eq!(next("0/20 * * * * ?", friday), "2026-11-27T10:00:20Z");
        assert_eq!(next("0 0 8 ? * 2 2027", friday), "2027-01-04T08:00:00Z");
        assert_eq!(next("*/15 9-17 * * *", "2026-11-27T17:50:00Z"), "2026-11-28T09:00:00Z");
        assert_eq!(next("0 0 29 2 *", friday), "2028-02-29T00:00:00Z");
    }

    #[test]
    fn what_is_no_schedule_says_so() {
        assert!(Schedule::new("* * *").unwrap_err().contains("5 to 7 fields"));
        assert!(Schedule::new("61 * * * *").unwrap_err().contains("from 0 to 59"));
        assert!(Schedule::new("0 0 31 2 *").unwrap().next_ms(0).is_none());
        assert!(Schedule::new("5-1 * * * *").is_err());
    }
}
