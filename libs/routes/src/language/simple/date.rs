//! `${date:…}`: a point in time, moved by offsets and written with the letters of Java's
//! `SimpleDateFormat`. Without a time zone it is UTC, whatever the machine says.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};

use crate::exchange::{Exception, Result, Text, Value, class};

use super::evaluate::Run;

/// Java's own way to write a date.
const JAVA: &str = "EEE MMM dd HH:mm:ss zzz yyyy";
/// Most characters of a pattern.
const PATTERN_MAX: usize = 200;

/// A date as the expression names it.
#[derive(Debug)]
pub(super) struct Date {
    base: Base,
    offset_ms: i64,
    zone: TimeZone,
    pattern: Option<Vec<Item>>,
}

#[derive(Debug)]
enum Base {
    Now,
    /// `millis`: now, as a number.
    Millis,
    Created,
    Header(String),
    Variable(String),
    Property(String),
    FileModified,
}

/// A piece of a pattern.
#[derive(Debug)]
enum Item {
    Text(String),
    /// A letter and how often it stands.
    Field(char, usize),
}

impl Date {
    /// `command` and `command:pattern`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Date, String> {
        let (command, pattern) = match text.split_once(':') {
            Some((command, pattern)) => (command, Some(items(pattern)?)),
            None => (text, None),
        };
        Self::new(command, TimeZone::UTC, pattern)
    }

    /// `command:timezone:pattern`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse_zoned(text: &str) -> Result<Date, String> {
        let mut parts = text.splitn(3, ':');
        let (Some(command), Some(zone), Some(pattern)) = (parts.next(), parts.next(), parts.next()) else {
            return Err("written ${date-with-timezone:command:timezone:pattern}".to_owned());
        };
        Self::new(command, time_zone(zone)?, Some(items(pattern)?))
    }

    fn new(command: &str, zone: TimeZone, pattern: Option<Vec<Item>>) -> Result<Date, String> {
        let start = command
            .char_indices()
            .find(|(at, char)| {
                "+-".contains(*char) && command[at + 1..].trim_start().starts_with(|next: char| next.is_ascii_digit())
            })
            .map_or(command.len(), |(at, _)| at);
        let name = command[..start].trim();
        let base = match (name, name.split_once('.')) {
            ("now", _) => Base::Now,
            ("millis", _) => Base::Millis,
            ("exchangeCreated", _) => Base::Created,
            ("file", _) => Base::FileModified,
            (_, Some(("header", key))) => Base::Header(key.to_owned()),
            (_, Some(("variable", key))) => Base::Variable(key.to_owned()),
            (_, Some(("exchangeProperty", key))) => Base::Property(key.to_owned()),
            _ => {
                return Err(format!(
                    "{name} is no date: now, millis, exchangeCreated, header.NAME, variable.NAME, exchangeProperty.NAME or file"
                ));
            }
        };
        Ok(Date { base, offset_ms: offset(&command[start..])?, zone, pattern })
    }

    /// The text of the pattern, or the milliseconds since 1970 where there is no pattern.
    pub(super) fn evaluate(&self, run: &Run<'_>) -> Result<Value> {
        let Some(time_ms) = self.time_ms(run)? else { return Ok(Value::Null) };
        match &self.pattern {
            None => Ok(Value::Integer(time_ms)),
            Some(pattern) => Ok(Value::from(self.write(time_ms, pattern)?)),
        }
    }

    /// The text of it where text is wanted: without a pattern as Java writes a date.
    pub(super) fn text(&self, run: &Run<'_>) -> Result<Option<String>> {
        let Some(time_ms) = self.time_ms(run)? else { return Ok(None) };
        match (&self.pattern, &self.base) {
            (None, Base::Millis) => Ok(Some(time_ms.to_string())),
            (None, _) => self.write(time_ms, &items(JAVA).expect("a fixed pattern")).map(Some),
            (Some(pattern), _) => self.write(time_ms, pattern).map(Some),
        }
    }

    fn time_ms(&self, run: &Run<'_>) -> Result<Option<i64>> {
        let exchange = run.exchange();
        let absent = |key: &str| Exception::new(&class::ILLEGAL_ARGUMENT, format!("cannot find a date in {key}"));
        let base = match &self.base {
            Base::Now | Base::Millis => Some(run.surroundings().clock.now_ms()),
            Base::Created => Some(exchange.created_ms),
            Base::Header(key) => Some(date_of(exchange.message.header(key).ok_or_else(|| absent(key))?, key)?),
            Base::Variable(key) => Some(date_of(&exchange.variables.get(key).ok_or_else(|| absent(key))?, key)?),
            Base::Property(key) => Some(date_of(exchange.properties.get(key).ok_or_else(|| absent(key))?, key)?),
            Base::FileModified => exchange.message.header("CamelFileLastModified").and_then(Value::to_integer),
        };
        Ok(base.map(|time_ms| time_ms.saturating_add(self.offset_ms)))
    }

    fn write(&self, time_ms: i64, pattern: &[Item]) -> Result<String> {
        let time = Timestamp::from_millisecond(time_ms)
            .map_err(|_| Exception::new(&class::ILLEGAL_ARGUMENT, format!("{time_ms} is no time that can be written")))?
            .to_zoned_datetime(self.zone.clone());
        let mut out = String::new();
        for item in pattern {
            match item {
                Item::Text(text) => out.push_str(text),
                Item::Field(letter, count) => out.push_str(&field(&time, *letter, *count)),
            }
        }
        Ok(out)
    }
}

/// A value as a time: milliseconds, or a text that is a time by RFC 3339.
fn date_of(value: &Value, key: &str) -> Result<i64> {
    let text = || value.to_text().unwrap_or_else(|| Text::fixed(""));
    value
        .to_integer()
        .or_else(|| text().parse::<Timestamp>().ok().map(|time| time.as_millisecond()))
        .ok_or_else(|| Exception::new(&class::ILLEGAL_ARGUMENT, format!("cannot find a date in {key}")))
}

/// The sum of offsets such as `+1h30m-100`, in milliseconds.
fn offset(text: &str) -> Result<i64, String> {
    let mut sum = 0i64;
    let mut sign = 1i64;
    let mut number: Option<i64> = None;
    let mut rest = text;
    let too_long = || format!("the offset {text} is too long");
    while let Some(first) = rest.chars().next() {
        if let Some(digit) = first.to_digit(10) {
            let next = number.unwrap_or(0).checked_mul(10).and_then(|number| number.checked_add(i64::from(digit)));
            number = Some(next.ok_or_else(too_long)?);
            rest = &rest[1..];
            continue;
        }
        let unit_ms = [("ms", 1), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)]
            .into_iter()
            .find(|(unit, _)| rest.starts_with(unit));
        match (unit_ms, number.take()) {
            (Some((unit, unit_ms)), Some(count)) => {
                sum = count.checked_mul(sign * unit_ms).and_then(|ms| sum.checked_add(ms)).ok_or_else(too_long)?;
                rest = &rest[unit.len()..];
                continue;
            }
            (_, count) if first == '+' || first == '-' => {
                sum = sum.saturating_add(count.unwrap_or(0).saturating_mul(sign));
                sign = if first == '-' { -1 } else { 1 };
            }
            (_, count) if first.is_whitespace() => number = count,
            _ => return Err(format!("{text} is no offset: write +1h30m, -10s or +500 for milliseconds")),
        }
        rest = &rest[first.len_utf8()..];
    }
    Ok(sum.saturating_add(number.unwrap_or(0).saturating_mul(sign)))
}

/// A time zone by its Java name.
fn time_zone(name: &str) -> Result<TimeZone, String> {
    let unknown = || format!("{name} is no time zone: write UTC, GMT+8 or a name such as Europe/Berlin");
    if let Some(offset) = name.strip_prefix("GMT").or_else(|| name.strip_prefix("UTC")) {
        if offset.is_empty() {
            return Ok(TimeZone::UTC);
        }
        let hours: i8 = offset.trim_end_matches(":00").parse().map_err(|_| unknown())?;
        return match hours {
            -18..=18 => Ok(TimeZone::fixed(jiff::tz::offset(hours))),
            _ => Err(unknown()),
        };
    }
    TimeZone::get(name).map_err(|_| unknown())
}

/// The pieces of a pattern.
fn items(pattern: &str) -> Result<Vec<Item>, String> {
    if pattern.chars().count() > PATTERN_MAX {
        return Err(format!("a pattern of more than {PATTERN_MAX} characters"));
    }
    let mut items = Vec::new();
    let mut text = String::new();
    let mut chars = pattern.chars().peekable();
    while let Some(char) = chars.next() {
        if char == '\'' {
            if chars.next_if_eq(&'\'').is_some() {
                text.push('\'');
                continue;
            }
            loop {
                match chars.next() {
                    Some('\'') if chars.next_if_eq(&'\'').is_some() => text.push('\''),
                    Some('\'') => break,
                    Some(quoted) => text.push(quoted),
                    None => return Err(format!("a quote in the pattern {pattern} is not closed")),
                }
            }
        } else if char.is_ascii_alphabetic() {
            if !"GyYMLwWDdFEuaHkKhmsSzZX".contains(char) {
                return Err(format!("{char} is no letter of a date pattern; text in it is quoted: '{char}'"));
            }
            let mut count = 1;
            while chars.next_if_eq(&char).is_some() {
                count += 1;
            }
            if !text.is_empty() {
                items.push(Item::Text(std::mem::take(&mut text)));
            }
            items.push(Item::Field(char, count));
        } else {
            text.push(char);
        }
    }
    if !text.is_empty() {
        items.push(Item::Text(text));
    }
    Ok(items)
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// One field of a pattern.
fn field(time: &ZonedDateTime, letter: char, count: usize) -> String {
    let number = |number: i32| format!("{number:0count$}");
    let name = |name: &str| if count >= 4 { name.to_owned() } else { name[..3].to_owned() };
    let weekday = i32::from(time.weekday().to_monday_one_offset());
    let hour = i32::from(time.hour());
    match letter {
        'G' => "AD".to_owned(),
        'y' => year(i32::from(time.year()), count),
        'Y' => year(week(time).0, count),
        'M' | 'L' if count >= 3 => name(MONTHS[usize::from(time.month().unsigned_abs()) - 1]),
        'M' | 'L' => number(i32::from(time.month())),
        'w' => number(week(time).1),
        'W' => {
            number((i32::from(time.day()) + (weekday_from_sunday(time.date().first_of_month().weekday())) - 1) / 7 + 1)
        }
        'D' => number(i32::from(time.day_of_year())),
        'd' => number(i32::from(time.day())),
        'F' => number((i32::from(time.day()) - 1) / 7 + 1),
        'E' => name(DAYS[usize::try_from(weekday - 1).unwrap_or(0)]),
        'u' => number(weekday),
        'a' => if hour < 12 { "AM" } else { "PM" }.to_owned(),
        'H' => number(hour),
        'k' => number(if hour == 0 { 24 } else { hour }),
        'K' => number(hour % 12),
        'h' => number(if hour % 12 == 0 { 12 } else { hour % 12 }),
        'm' => number(i32::from(time.minute())),
        's' => number(i32::from(time.second())),
        'S' => number(i32::from(time.millisecond())),
        'z' => zone_name(time, count),
        'Z' => signed_offset(time, ""),
        _ => iso_offset(time, count),
    }
}

fn year(year: i32, count: usize) -> String {
    if count == 2 { format!("{:02}", year.rem_euclid(100)) } else { format!("{year:0count$}") }
}

fn weekday_from_sunday(weekday: jiff::civil::Weekday) -> i32 {
    i32::from(weekday.to_sunday_zero_offset())
}

/// The year and the number of the week, which begins on Sunday; the first has the first of January in it.
fn week(time: &ZonedDateTime) -> (i32, i32) {
    let first = weekday_from_sunday(time.date().first_of_year().weekday());
    let number = (i32::from(time.day_of_year()) + first - 1) / 7 + 1;
    let days_left = i32::from(time.days_in_year()) - i32::from(time.day_of_year());
    let saturday = 6 - weekday_from_sunday(time.weekday());
    let year = i32::from(time.year());
    if days_left < saturday { (year + 1, 1) } else { (year, number) }
}

fn zone_name(time: &ZonedDateTime, count: usize) -> String {
    let info = time.time_zone().to_offset_info(time.timestamp());
    let name = info.abbreviation();
    match name {
        "UTC" if count >= 4 => "Coordinated Universal Time".to_owned(),
        name if name.starts_with(|first: char| first.is_ascii_alphabetic()) => name.to_owned(),
        _ => format!("GMT{}", signed_offset(time, ":")),
    }
}

/// `+0100`, with something between hours and minutes.
fn signed_offset(time: &ZonedDateTime, between: &str) -> String {
    let minutes = time.offset().seconds() / 60;
    let sign = if minutes < 0 { '-' } else { '+' };
    format!("{sign}{:02}{between}{:02}", minutes.abs() / 60, minutes.abs() % 60)
}

fn iso_offset(time: &ZonedDateTime, count: usize) -> String {
    match count {
        _ if time.offset().seconds() == 0 => "Z".to_owned(),
        1 => signed_offset(time, "").chars().take(3).collect(),
        2 => signed_offset(time, ""),
        _ => signed_offset(time, ":"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(time: &str, zone: &str, pattern: &str) -> String {
        let date = Date::new("now", time_zone(zone).unwrap(), None).unwrap();
        let time_ms = time.parse::<Timestamp>().unwrap().as_millisecond();
        date.write(time_ms, &items(pattern).unwrap()).unwrap()
    }

    #[test]
    fn letters_mean_what_they_mean_in_java() {
        let time = "2026-01-03T00:05:09.007Z";
        for (pattern, text) in [
            ("yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "2026-01-03T00:05:09.007Z"),
            ("yy M d k:m:s S", "26 1 3 24:5:9 7"),
            ("EEEE, d MMMM y h a K", "Saturday, 3 January 2026 12 AM 0"),
            ("D F u w W Y", "3 1 6 1 1 2026"),
            ("'it''s' ''", "it's '"),
            ("z Z X zzzz", "UTC +0000 Z Coordinated Universal Time"),
            (JAVA, "Sat Jan 03 00:05:09 UTC 2026"),
        ] {
            assert_eq!(written(time, "UTC", pattern), text, "{pattern}");
        }
        assert_eq!(written(time, "GMT+8", "HH X XX XXX Z z"), "08 +08 +0800 +08:00 +0800 GMT+08:00");
        assert_eq!(written(time, "Europe/Berlin", "HH:mm z"), "01:05 CET");
        assert_eq!(written("2026-12-31T10:00:00Z", "UTC", "Y w"), "2027 1");
    }

    #[test]
    fn offsets_add_up() {
        assert_eq!(offset("+1h30m-100"), Ok(5_399_900));
        assert_eq!(offset("-24h"), Ok(-86_400_000));
        assert_eq!(offset("+2d 1s"), Ok(172_801_000));
        assert!(offset("+1x").is_err());
        assert!(offset("+99999999999999999999").is_err());
        assert!(Date::parse("header.Last-Modified").is_ok());
        assert!(Date::parse("tomorrow").unwrap_err().contains("now"));
        assert!(Date::parse("now:b").is_err());
    }
}
