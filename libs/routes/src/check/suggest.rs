//! The nearest name to one that does not exist.

/// Names that are at least this similar are worth suggesting.
const SIMILAR: f64 = 0.75;

/// The nearest of `names`, if one is near; `setBdy` and `set-body` are near `setBody`.
pub fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    let wanted = plain(name);
    names
        .into_iter()
        .map(|known| (similarity(&wanted, &plain(known)), known))
        .filter(|(similarity, _)| *similarity >= SIMILAR)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

fn similarity(a: &str, b: &str) -> f64 {
    // In short names one letter is much, and a slip all the same.
    let is_slip = a.len() > 1 && strsim::damerau_levenshtein(a, b) == 1;
    strsim::jaro_winkler(a, b).max(if is_slip { 0.9 } else { 0.0 })
}

/// `unknown KIND `NAME``, with the nearest name or all of them.
pub(super) fn unknown(kind: &str, name: &str, names: &[&str]) -> String {
    match nearest(name, names.iter().copied()) {
        Some(near) => format!("unknown {kind} `{name}`: did you mean `{near}`?"),
        None if names.is_empty() => format!("unknown {kind} `{name}`: none is taken here"),
        None => format!("unknown {kind} `{name}`: known are {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_and_case_lead_to_the_name() {
        let names = ["setBody", "setHeader", "to", "toD", "removeHeaders"];
        assert_eq!(nearest("set-body", names), Some("setBody"));
        assert_eq!(nearest("setBdy", names), Some("setBody"));
        assert_eq!(nearest("tto", names), Some("to"));
        assert_eq!(nearest("xyzzy", names), None);
    }
}
