//! What a request looks like, so that its announced counts are checked against its bytes before it is decoded.
//!
//! The decoder reserves memory for as many elements as an array announces; a frame of 20 bytes could announce two
//! thousand million of them and take the process down. The check walks the frame once without allocating anything.

use bytes::Buf;

/// Array elements, strings and tagged fields in one request at most.
pub(crate) const ELEMENTS_MAX: usize = 200_000;

/// The layout of one API's requests.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// First version with compact lengths and tagged fields.
    pub(crate) flexible: i16,
    pub(crate) fields: &'static [Field],
}

/// A field and the versions that have it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    from: i16,
    to: i16,
    kind: Kind,
}

/// What a field holds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// This many bytes.
    Fixed(usize),
    /// A string, which may be null.
    Text,
    /// Bytes or records, which may be null.
    Blob,
    /// Structures, or null.
    List(&'static [Field]),
    /// Elements of this many bytes, or null.
    FixedList(usize),
    /// Strings, or null.
    TextList,
}

pub(crate) const BOOL: Kind = Kind::Fixed(1);
pub(crate) const I8: Kind = Kind::Fixed(1);
pub(crate) const I16: Kind = Kind::Fixed(2);
pub(crate) const I32: Kind = Kind::Fixed(4);
pub(crate) const I64: Kind = Kind::Fixed(8);
pub(crate) const F64: Kind = Kind::Fixed(8);
pub(crate) const UUID: Kind = Kind::Fixed(16);
pub(crate) const I32_LIST: Kind = Kind::FixedList(4);

/// A field of every version.
pub(crate) const fn all(kind: Kind) -> Field {
    between(0, i16::MAX, kind)
}

/// A field of this version and later ones.
pub(crate) const fn since(from: i16, kind: Kind) -> Field {
    between(from, i16::MAX, kind)
}

/// A field of this version and earlier ones.
pub(crate) const fn until(to: i16, kind: Kind) -> Field {
    between(0, to, kind)
}

/// A field of these versions, ends included.
pub(crate) const fn between(from: i16, to: i16, kind: Kind) -> Field {
    Field { from, to, kind }
}

/// A request does not hold what it announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("request announces more than it holds")]
pub(crate) struct Overstated;

impl Shape {
    /// Checks a request's body (without header).
    pub(crate) fn check(&self, version: i16, body: &[u8]) -> Result<(), Overstated> {
        let mut walk = Walk { rest: body, version, flexible: version >= self.flexible, elements: 0 };
        walk.structure(self.fields)
    }
}

struct Walk<'a> {
    rest: &'a [u8],
    version: i16,
    flexible: bool,
    elements: usize,
}

impl Walk<'_> {
    fn structure(&mut self, fields: &[Field]) -> Result<(), Overstated> {
        for field in fields {
            if (field.from..=field.to).contains(&self.version) {
                self.field(field.kind)?;
            }
        }
        if self.flexible {
            let tags = self.varint()?;
            self.count(tags)?;
            for _ in 0..tags {
                self.varint()?;
                let size = self.varint()?;
                self.skip(size)?;
            }
        }
        Ok(())
    }

    fn field(&mut self, kind: Kind) -> Result<(), Overstated> {
        match kind {
            Kind::Fixed(size) => self.skip(size),
            Kind::Text => {
                let size = self.length(2)?;
                self.skip(size)
            }
            Kind::Blob => {
                let size = self.length(4)?;
                self.skip(size)
            }
            Kind::FixedList(size) => {
                let count = self.length(4)?;
                self.count(count)?;
                self.skip(count.checked_mul(size).ok_or(Overstated)?)
            }
            Kind::TextList => {
                let count = self.length(4)?;
                self.count(count)?;
                (0..count).try_for_each(|_| self.field(Kind::Text))
            }
            Kind::List(fields) => {
                let count = self.length(4)?;
                self.count(count)?;
                (0..count).try_for_each(|_| self.structure(fields))
            }
        }
    }

    /// A length, of `width` bytes where it is not compact; null is zero.
    fn length(&mut self, width: usize) -> Result<usize, Overstated> {
        if self.flexible {
            return Ok(self.varint()?.saturating_sub(1));
        }
        let length = match width {
            2 => i32::from(self.rest.try_get_i16().map_err(|_| Overstated)?),
            _ => self.rest.try_get_i32().map_err(|_| Overstated)?,
        };
        match length {
            -1 => Ok(0),
            length => usize::try_from(length).map_err(|_| Overstated),
        }
    }

    fn varint(&mut self) -> Result<usize, Overstated> {
        let mut value = 0_u32;
        for shift in (0..35).step_by(7) {
            let byte = self.rest.try_get_u8().map_err(|_| Overstated)?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return usize::try_from(value).map_err(|_| Overstated);
            }
        }
        Err(Overstated)
    }

    fn count(&mut self, count: usize) -> Result<(), Overstated> {
        self.elements = self.elements.saturating_add(count);
        if count > self.rest.len() || self.elements > ELEMENTS_MAX { Err(Overstated) } else { Ok(()) }
    }

    fn skip(&mut self, size: usize) -> Result<(), Overstated> {
        self.rest = self.rest.get(size..).ok_or(Overstated)?;
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod generate {
    //! Bodies made after a shape: what the decoder of the same API must accept to the last byte.

    use super::{Field, Kind, Shape};

    /// A body with `elements` elements in every list; the bytes in it follow from `seed`.
    pub(crate) fn body(shape: &Shape, version: i16, elements: usize, seed: u8) -> Vec<u8> {
        let mut made = Made { bytes: Vec::new(), version, flexible: version >= shape.flexible, elements, seed };
        made.structure(shape.fields);
        made.bytes
    }

    struct Made {
        bytes: Vec<u8>,
        version: i16,
        flexible: bool,
        elements: usize,
        seed: u8,
    }

    impl Made {
        fn structure(&mut self, fields: &[Field]) {
            for field in fields {
                if (field.from..=field.to).contains(&self.version) {
                    self.field(field.kind);
                }
            }
            if self.flexible {
                self.bytes.push(0);
            }
        }

        fn field(&mut self, kind: Kind) {
            match kind {
                Kind::Fixed(size) => self.fill(size),
                Kind::Text => {
                    self.length(2, 3);
                    self.bytes.extend_from_slice(b"abc");
                }
                Kind::Blob => {
                    self.length(4, 5);
                    self.fill(5);
                }
                Kind::FixedList(size) => {
                    self.length(4, self.elements);
                    self.fill(size * self.elements);
                }
                Kind::TextList => {
                    self.length(4, self.elements);
                    (0..self.elements).for_each(|_| self.field(Kind::Text));
                }
                Kind::List(fields) => {
                    self.length(4, self.elements);
                    (0..self.elements).for_each(|_| self.structure(fields));
                }
            }
        }

        fn fill(&mut self, size: usize) {
            for _ in 0..size {
                self.seed = self.seed.wrapping_mul(31).wrapping_add(7);
                // Booleans are one byte too, and only 0 and 1 survive being read and written again.
                self.bytes.push(if size == 1 { self.seed & 1 } else { self.seed & 0x7f });
            }
        }

        fn length(&mut self, width: usize, length: usize) {
            let small = u8::try_from(length).unwrap_or(100);
            if self.flexible {
                self.bytes.push(small + 1);
            } else {
                self.bytes.extend(std::iter::repeat_n(0, width - 1));
                self.bytes.push(small);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape {
        flexible: 2,
        fields: &[all(I32), since(1, Kind::List(&[all(Kind::Text), until(1, I32_LIST)])), all(Kind::Blob)],
    };

    #[test]
    fn made_bodies_pass_and_every_truncation_fails() {
        for version in 0..4 {
            let body = generate::body(&SHAPE, version, 2, 1);
            assert_eq!(SHAPE.check(version, &body), Ok(()));
            for length in 0..body.len() {
                assert_eq!(SHAPE.check(version, &body[..length]), Err(Overstated), "version {version} length {length}");
            }
        }
    }

    #[test]
    fn counts_beyond_the_frame_are_refused() {
        const LIST: Shape = Shape { flexible: 1, fields: &[all(Kind::List(&[all(I32)]))] };
        assert_eq!(LIST.check(0, &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]), Err(Overstated));
        assert_eq!(LIST.check(0, &[0xff, 0xff, 0xff, 0xfe]), Err(Overstated), "-2");
        assert_eq!(LIST.check(0, &[0xff, 0xff, 0xff, 0xff]), Ok(()), "null");
        assert_eq!(LIST.check(1, &[0xff, 0xff, 0xff, 0xff, 0x0f, 0]), Err(Overstated));
        const WIDE: Shape = Shape { flexible: 1, fields: &[all(Kind::TextList)] };
        let mut body = vec![0; ELEMENTS_MAX * 2 + 10];
        body[0..4].copy_from_slice(&u32::try_from(ELEMENTS_MAX + 1).unwrap_or(0).to_be_bytes());
        assert_eq!(WIDE.check(0, &body), Err(Overstated));
    }
}
