//! Text that is shared, so that parts of a document need no copy of their own.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

/// Immutable text; a clone or a part of it copies no characters.
#[derive(Clone)]
pub struct Text(Repr);

#[derive(Clone)]
enum Repr {
    Static(&'static str),
    /// The bytes `start..end` of `whole`, which are on character boundaries.
    Shared {
        whole: Arc<str>,
        start: u32,
        end: u32,
    },
}

impl Text {
    /// The empty text.
    pub const EMPTY: Self = Self(Repr::Static(""));

    /// Text that lives as long as the program.
    pub const fn fixed(text: &'static str) -> Self {
        Self(Repr::Static(text))
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Repr::Static(text) => text,
            Repr::Shared { whole, start, end } => &whole[*start as usize..*end as usize],
        }
    }

    /// `part`, which must be a slice of this text, without a copy; anything else is copied.
    pub fn part(&self, part: &str) -> Self {
        let whole = self.as_str();
        let offset = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
        let is_inside = whole.get(offset..).and_then(|rest| rest.get(..part.len())).is_some_and(|found| found == part);
        if part.is_empty() {
            return Self::EMPTY;
        }
        match (&self.0, is_inside) {
            (Repr::Static(whole), true) => Self(Repr::Static(&whole[offset..offset + part.len()])),
            (Repr::Shared { whole, start, .. }, true) => {
                let start = *start as usize + offset;
                match (u32::try_from(start), u32::try_from(start + part.len())) {
                    (Ok(start), Ok(end)) => Self(Repr::Shared { whole: Arc::clone(whole), start, end }),
                    _ => Self::from(part),
                }
            }
            (_, false) => Self::from(part),
        }
    }
}

impl Default for Text {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl From<Arc<str>> for Text {
    /// Texts are shorter than 4 GiB: what is longer is cut at the last character before that, and
    /// no body is let in at that size.
    fn from(whole: Arc<str>) -> Self {
        let mut end = whole.len().min(u32::MAX as usize);
        while !whole.is_char_boundary(end) {
            end -= 1;
        }
        Self(Repr::Shared { whole, start: 0, end: u32::try_from(end).unwrap_or(u32::MAX) })
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        if text.is_empty() { Self::EMPTY } else { Self::from(Arc::<str>::from(text)) }
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        if text.is_empty() { Self::EMPTY } else { Self::from(Arc::<str>::from(text)) }
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Text {}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_shares_the_whole() {
        let whole = Text::from("größer=ja");
        let part = whole.part(&whole[8..]);
        assert_eq!(part, "=ja");
        assert_eq!(part.as_ptr(), whole[8..].as_ptr());
        assert_eq!(part.part(&part[1..]), "ja");
        assert_eq!(whole.part("elsewhere"), "elsewhere");
        assert_eq!(Text::fixed("fixed").part("fixed"), "fixed");
    }
}
