//! Which passwords are taken.

use chassis::EntityError;

use super::fold;

/// The shortest password, in characters.
const LENGTH_MIN: usize = 10;
/// The longest password, in characters.
pub(crate) const LENGTH_MAX: usize = 128;
/// How many different characters it has at the least.
const DIFFERENT_MIN: usize = 5;
/// The shortest name that a password must not hold; shorter ones are in too many words.
const NAME_LENGTH_MIN: usize = 4;

/// Parts of the passwords that are tried first everywhere.
const WORN_OUT: [&str; 12] = [
    "password", "passw0rd", "123456", "qwerty", "qwertz", "azerty", "letmein", "iloveyou", "techleet", "welcome1",
    "admin123", "matkhau",
];

/// Refuses a password that is too short, too plain, too common, or that holds one of `names` (those of its owner).
pub(crate) fn check(password: &str, names: &[&str]) -> Result<(), EntityError> {
    let refuse = |message: String| Err(EntityError::field("password", message));
    let length = password.chars().count();
    if !(LENGTH_MIN..=LENGTH_MAX).contains(&length) {
        return refuse(format!("must have {LENGTH_MIN} to {LENGTH_MAX} characters"));
    }
    let mut letters: Vec<char> = password.chars().collect();
    letters.sort_unstable();
    letters.dedup();
    if letters.len() < DIFFERENT_MIN {
        return refuse(format!("must have at least {DIFFERENT_MIN} different characters"));
    }
    let folded = fold(password);
    if WORN_OUT.iter().any(|worn_out| folded.contains(worn_out)) {
        return refuse("is too common".to_owned());
    }
    let holds = |name: &str| {
        let name = fold(name.split('@').next().unwrap_or_default());
        name.chars().count() >= NAME_LENGTH_MIN && folded.contains(&name)
    };
    match names.iter().any(|name| holds(name)) {
        true => refuse("must not hold your name or your address".to_owned()),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_passwords_are_refused_and_others_taken() {
        let names = ["Nguyen", "An", "nguyen.an@example.com"];
        for weak in ["short", "aaaabbbbcccc", "MyPassword!2026", "nguyen-2026-hanoi", &"x1y2z3".repeat(40)] {
            assert!(check(weak, &names).is_err(), "{weak}");
        }
        for strong in ["correct horse battery staple", "Tr0ub4dor&3-an", "mưa rào tháng bảy"] {
            check(strong, &names).unwrap();
        }
    }
}
