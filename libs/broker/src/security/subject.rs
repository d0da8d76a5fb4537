//! The subject of a certificate as text, in the form and order of RFC 2253, as Kafka names principals by it.

use std::fmt::Write;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_ID: u8 = 0x06;
const VERSION: u8 = 0xa0;
/// Kinds of text: UTF-8, printable, ASCII.
const TEXTS: [u8; 3] = [0x0c, 0x13, 0x16];

/// Attributes that have a name of their own; all others are written by their number.
const NAMES: [(&[u8], &str); 9] = [
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 9], "STREET"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1], "UID"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25], "DC"),
];

/// The subject of a certificate whose form was checked before; `None` if it cannot be read.
pub(crate) fn of_certificate(certificate: &[u8]) -> Option<String> {
    let mut outer = Der(certificate);
    let mut certificate = Der(outer.expect(SEQUENCE)?);
    let mut signed = Der(certificate.expect(SEQUENCE)?);
    let (kind, _) = signed.next()?;
    if kind == VERSION {
        signed.next()?;
    }
    // After the serial number: algorithm, issuer, validity.
    for _ in 0..3 {
        signed.expect(SEQUENCE)?;
    }
    distinguished_name(signed.expect(SEQUENCE)?)
}

/// The parts of a name from the last to the first.
fn distinguished_name(name: &[u8]) -> Option<String> {
    let mut parts = Vec::new();
    let mut name = Der(name);
    while !name.0.is_empty() {
        let mut set = Der(name.expect(SET)?);
        let mut attributes = Vec::new();
        while !set.0.is_empty() {
            attributes.push(attribute(set.expect(SEQUENCE)?)?);
        }
        parts.push(attributes.join("+"));
    }
    parts.reverse();
    Some(parts.join(","))
}

fn attribute(bytes: &[u8]) -> Option<String> {
    let mut fields = Der(bytes);
    let id = fields.expect(OBJECT_ID)?;
    let whole = fields.0;
    let (kind, value) = fields.next()?;
    let named = NAMES.iter().find(|(known, _)| *known == id);
    match (named, std::str::from_utf8(value)) {
        (Some((_, name)), Ok(text)) if TEXTS.contains(&kind) => Some(format!("{name}={}", escaped(text))),
        _ => {
            let mut hex = format!("{}=#", dotted(id));
            for byte in whole {
                write!(hex, "{byte:02x}").ok()?;
            }
            Some(hex)
        }
    }
}

/// A value with a backslash before what separates.
fn escaped(text: &str) -> String {
    let last = text.chars().count().saturating_sub(1);
    let mut out = String::with_capacity(text.len());
    for (at, letter) in text.chars().enumerate() {
        let outer_space = letter == ' ' && (at == 0 || at == last);
        if matches!(letter, ',' | '+' | '"' | '\\' | '<' | '>' | ';') || outer_space || (letter == '#' && at == 0) {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}

/// An object id as numbers.
fn dotted(id: &[u8]) -> String {
    let mut numbers = Vec::new();
    let mut number = 0_u64;
    for byte in id {
        number = (number << 7) | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            if numbers.is_empty() {
                let root = (number / 40).min(2);
                numbers.push(root.to_string());
                number -= root * 40;
            }
            numbers.push(number.to_string());
            number = 0;
        }
    }
    numbers.join(".")
}

/// Elements of DER, one after the other.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The next element's kind and content.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (kind, rest) = self.0.split_first()?;
        let (first, mut rest) = rest.split_first()?;
        let mut length = usize::from(*first);
        if *first >= 0x80 {
            let bytes = usize::from(first & 0x7f);
            if !(1..=4).contains(&bytes) {
                return None;
            }
            let (digits, after) = rest.split_at_checked(bytes)?;
            length = digits.iter().fold(0, |length, digit| (length << 8) | usize::from(*digit));
            rest = after;
        }
        let (content, after) = rest.split_at_checked(length)?;
        self.0 = after;
        Some((*kind, content))
    }

    fn expect(&mut self, wanted: u8) -> Option<&'a [u8]> {
        self.next().filter(|(kind, _)| *kind == wanted).map(|(_, content)| content)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

    fn certificate(parts: &[(DnType, &str)]) -> Vec<u8> {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in parts {
            params.distinguished_name.push(kind.clone(), *value);
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn subjects_read_as_kafka_names_them() {
        let parts = [
            (DnType::CountryName, "VN"),
            (DnType::OrganizationName, "An, Bo & Co"),
            (DnType::OrganizationalUnitName, "#1 "),
            (DnType::CommonName, "relay"),
        ];
        let subject = of_certificate(&certificate(&parts)).unwrap();
        assert_eq!(subject, "CN=relay,OU=\\#1\\ ,O=An\\, Bo & Co,C=VN");
        let email = [(DnType::CustomDnType(vec![1, 2, 840, 113_549, 1, 9, 1]), "a@b")];
        let subject = of_certificate(&certificate(&email)).unwrap();
        assert_eq!(subject, "1.2.840.113549.1.9.1=#0c03614062");
    }

    #[test]
    fn what_is_cut_off_gives_nothing() {
        let whole = certificate(&[(DnType::CommonName, "relay")]);
        for length in 0..whole.len() {
            assert_eq!(of_certificate(&whole[..length]), None, "length {length}");
        }
    }
}
