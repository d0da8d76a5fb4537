//! Limits of texts, and rules that several entities share.

use contracts::Money;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer};

/// The longest title or name of a place, in characters.
pub(crate) const TITLE_LENGTH_MAX: usize = 200;
/// The longest part of a person's name, in characters.
pub(crate) const NAME_LENGTH_MAX: usize = 100;
/// The longest mail address that RFC 5321 lets a path hold, in characters.
pub(crate) const EMAIL_LENGTH_MAX: usize = 254;
/// The longest telephone number, in characters.
pub(crate) const PHONE_LENGTH_MAX: usize = 32;
/// The longest address of a place, in characters.
pub(crate) const ADDRESS_LENGTH_MAX: usize = 500;
/// The longest web address, in characters.
pub(crate) const URL_LENGTH_MAX: usize = 2_000;
/// The longest note, reason or answer, in characters.
pub(crate) const NOTES_LENGTH_MAX: usize = 4_000;
/// The longest description or letter, in characters.
pub(crate) const TEXT_LENGTH_MAX: usize = 20_000;
/// The longest name of a skill, in characters.
pub(crate) const SKILL_LENGTH_MAX: usize = 60;
/// How many skills are told of one person or posting at the most.
pub(crate) const SKILLS_MAX: usize = 50;
/// The longest career, in years.
pub(crate) const EXPERIENCE_YEARS_MAX: i64 = 80;
/// The best score; the worst is 1.
pub(crate) const SCORE_MAX: i64 = 10;

/// Accepts visible text on one line, as it must be to stand in the head of a mail.
pub(crate) fn one_line(text: &str, (): &()) -> garde::Result {
    match text.trim().is_empty() || text.chars().any(char::is_control) {
        true => Err(garde::Error::new("must be visible text on one line")),
        false => Ok(()),
    }
}

/// Accepts skills that are words and told once.
pub(crate) fn distinct_skills(skills: &[String], (): &()) -> garde::Result {
    let mut seen = std::collections::BTreeSet::new();
    for skill in skills {
        one_line(skill, &())?;
        if !seen.insert(skill.to_lowercase()) {
            return Err(garde::Error::new("each may be told once"));
        }
    }
    Ok(())
}

/// Accepts addresses of pages on the web.
pub(crate) fn web_address(text: &str, (): &()) -> garde::Result {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match rest {
        Some(rest) if !rest.is_empty() && !rest.chars().any(|letter| letter.is_whitespace() || letter.is_control()) => {
            Ok(())
        }
        _ => Err(garde::Error::new("must be an address that begins with https:// or http://")),
    }
}

/// Accepts the upper end of a range when it is not below the lower one.
pub(crate) fn not_below(min: Option<Money>) -> impl FnOnce(&Option<Money>, &()) -> garde::Result {
    move |max, ()| match (min, max) {
        (Some(min), Some(max)) if *max < min => Err(garde::Error::new("must not be below salaryMin")),
        _ => Ok(()),
    }
}

/// Reads a time in whole milliseconds, which is how times are stored.
pub(crate) fn whole_milliseconds<'de, D: Deserializer<'de>>(input: D) -> Result<Timestamp, D::Error> {
    let time = Timestamp::deserialize(input)?;
    Timestamp::from_millisecond(time.as_millisecond()).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skills_are_visible_and_told_once() {
        let check =
            |skills: &[&str]| distinct_skills(&skills.iter().map(|&skill| skill.to_owned()).collect::<Vec<_>>(), &());
        check(&["Rust", "SQL"]).unwrap();
        for wrong in [&["Rust", "rust"][..], &[" "], &["a\u{1f}b"]] {
            assert!(check(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_title_cannot_add_a_line_to_the_head_of_a_mail() {
        one_line("Engineer (C++)", &()).unwrap();
        for wrong in ["", "  ", "Engineer\r\nBcc: all@example.com"] {
            assert!(one_line(wrong, &()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn only_pages_on_the_web_are_web_addresses() {
        web_address("https://example.com/a?b=c", &()).unwrap();
        for wrong in ["javascript:alert(1)", "https://", "example.com", "https://a b", "ftp://a"] {
            assert!(web_address(wrong, &()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_range_may_be_open_or_a_point_but_not_turned_round() {
        let money = |amount| Some(Money::whole(amount).unwrap());
        for (min, max, fits) in
            [(None, money(1), true), (money(1), None, true), (money(2), money(2), true), (money(3), money(2), false)]
        {
            assert_eq!(not_below(min)(&max, &()).is_ok(), fits, "{min:?} {max:?}");
        }
    }
}
