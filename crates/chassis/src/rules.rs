//! Rules for fields that entities of several services have in common, each for `#[garde(custom(…))]`.

use contracts::Money;

/// The shortest telephone number, in characters.
const TELEPHONE_CHARS_MIN: usize = 3;
/// The longest telephone number, in characters.
const TELEPHONE_CHARS_MAX: usize = 32;

/// Refuses text without a visible character.
///
/// # Errors
/// When there is none.
pub fn not_blank(text: &str, (): &()) -> garde::Result {
    match text.trim().is_empty() {
        true => Err(garde::Error::new("must not be blank")),
        false => Ok(()),
    }
}

/// Refuses control characters, line ends among them: the text may stand in the head of a mail.
///
/// # Errors
/// When there is one.
pub fn one_line(text: &str, (): &()) -> garde::Result {
    match text.chars().any(char::is_control) {
        true => Err(garde::Error::new("must not have control characters")),
        false => Ok(()),
    }
}

/// Refuses control characters other than line ends and tabs.
///
/// # Errors
/// When there is one.
pub fn many_lines(text: &str, (): &()) -> garde::Result {
    let is_refused = |letter: char| letter.is_control() && !matches!(letter, '\n' | '\r' | '\t');
    match text.chars().any(is_refused) {
        true => Err(garde::Error::new("must not have control characters but line ends and tabs")),
        false => Ok(()),
    }
}

/// Accepts telephone numbers, of 3 to 32 characters.
///
/// # Errors
/// When it is none.
pub fn telephone(text: &str, (): &()) -> garde::Result {
    let is_known = |letter: char| letter.is_ascii_digit() || matches!(letter, '+' | '-' | '.' | '(' | ')' | '/' | ' ');
    if !text.chars().all(is_known) || !text.chars().any(|letter| letter.is_ascii_digit()) {
        return Err(garde::Error::new("must be digits, with + - . ( ) / and spaces between them"));
    }
    match (TELEPHONE_CHARS_MIN..=TELEPHONE_CHARS_MAX).contains(&text.len()) {
        true => Ok(()),
        false => Err(garde::Error::new(format!("must have {TELEPHONE_CHARS_MIN} to {TELEPHONE_CHARS_MAX} characters"))),
    }
}

/// Accepts addresses of pages on the web: a scheme, a host, and whatever follows without white space.
///
/// # Errors
/// When it is none.
pub fn web_address(text: &str, (): &()) -> garde::Result {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_address = rest.is_some_and(|rest| {
        rest.starts_with(|first: char| first.is_alphanumeric() || first == '[')
            && !rest.chars().any(|letter| letter.is_whitespace() || letter.is_control())
    });
    match is_address {
        true => Ok(()),
        false => Err(garde::Error::new("must be an address that begins with https:// or http://")),
    }
}

/// Accepts the upper end of a range when it is not below the lower one, which `field` holds.
pub fn not_below(least: Option<Money>, field: &str) -> impl FnOnce(&Option<Money>, &()) -> garde::Result {
    move |most, ()| match (least, most) {
        (Some(least), Some(most)) if *most < least => Err(garde::Error::new(format!("must not be below {field}"))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_cannot_add_one_to_the_head_of_a_mail() {
        one_line("Engineer (C++)", &()).unwrap();
        for wrong in ["Engineer\r\nBcc: all@example.com", "a\0b", "a\tb", "a\u{1f}b"] {
            assert!(one_line(wrong, &()).is_err(), "{wrong:?}");
        }
        many_lines("First.\r\n\tSecond.", &()).unwrap();
        assert!(many_lines("a\u{1b}[2Jb", &()).is_err());
        assert!(not_blank(" \t", &()).is_err());
    }

    #[test]
    fn a_telephone_number_has_digits_and_what_stands_between_them() {
        for good in ["0123456", "+84 (0)90/123-45.67", "113"] {
            telephone(good, &()).unwrap();
        }
        for wrong in ["call me", "+-.", "", "12", "0123 x5", "0123\n4", &"1".repeat(33)] {
            assert!(telephone(wrong, &()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_page_on_the_web_has_a_scheme_and_a_host() {
        for good in ["https://example.com/a?b=c", "http://[::1]/x", "https://công-ty.vn/?a=b"] {
            web_address(good, &()).unwrap();
        }
        for wrong in ["", "example.com", "ftp://a", "javascript:alert(1)", "https://", "https:///x", "https://a b"] {
            assert!(web_address(wrong, &()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_range_may_be_open_or_a_point_but_not_turned_round() {
        let money = |text: &str| Some(text.parse::<Money>().unwrap());
        for (least, most, fits) in [
            (None, money("1"), true),
            (money("1"), None, true),
            (money("2"), money("2.0"), true),
            (money("9"), money("10"), true),
            (money("9"), money("8.99"), false),
        ] {
            assert_eq!(not_below(least, "salaryMin")(&most, &()).is_ok(), fits, "{least:?} {most:?}");
        }
    }
}
