//! Limits of texts, and rules that several entities share; what other services check too is in [`chassis::rules`].

use chassis::rules::{not_blank, one_line};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer};

/// The longest title or name of a place, in characters.
pub(crate) const TITLE_LENGTH_MAX: usize = 200;
/// The longest part of a person's name, in characters.
pub(crate) const NAME_LENGTH_MAX: usize = 100;
/// The longest mail address that RFC 5321 lets a path hold, in characters.
pub(crate) const EMAIL_LENGTH_MAX: usize = 254;
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

/// Accepts skills that are words and told once.
pub(crate) fn distinct_skills(skills: &[String], (): &()) -> garde::Result {
    let mut seen = std::collections::BTreeSet::new();
    for skill in skills {
        not_blank(skill, &())?;
        one_line(skill, &())?;
        if !seen.insert(skill.to_lowercase()) {
            return Err(garde::Error::new("each may be told once"));
        }
    }
    Ok(())
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
}
