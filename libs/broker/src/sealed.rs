//! Small text files that end in a checksum, so that a flipped bit in them is found and not believed.

use serde::de::DeserializeOwned;

/// Begins the last line of such a file.
const SEAL: &str = "\n# crc32c ";

/// The file of a text.
pub(crate) fn seal(text: impl Into<Vec<u8>>) -> Vec<u8> {
    let mut bytes = text.into();
    let crc = crc32c::crc32c(&bytes);
    bytes.extend(format!("{SEAL}{crc:08x}\n").into_bytes());
    bytes
}

/// The text of a file; one without a seal, as there were before, is all text. Damage to the seal itself makes it a part
/// of the text, which no reader of the text takes then.
///
/// # Errors
/// The reason, where the text is not the one that was sealed.
pub(crate) fn open(bytes: &[u8]) -> Result<&[u8], String> {
    let Some(at) = bytes.windows(SEAL.len()).rposition(|window| window == SEAL.as_bytes()) else { return Ok(bytes) };
    let (text, seal) = bytes.split_at(at);
    let crc = std::str::from_utf8(&seal[SEAL.len()..]).ok().and_then(|crc| crc.strip_suffix('\n'));
    if crc != Some(format!("{:08x}", crc32c::crc32c(text)).as_str()) {
        return Err("it is damaged: its checksum is that of another content; put a copy in its place".to_owned());
    }
    Ok(text)
}

/// What the text of such a file says, as JSON.
///
/// # Errors
/// The reason, where it is damaged or says something else.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    serde_json::from_slice(open(bytes)?).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    #[test]
    fn no_flipped_bit_leaves_a_text_that_can_be_read() {
        let sealed = seal("1000");
        assert_eq!(open(&sealed).unwrap(), b"1000");
        assert_eq!(open(b"1000").unwrap(), b"1000", "before there were seals");
        for bit in 0..sealed.len() * 8 {
            let mut damaged = sealed.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let read = open(&damaged).ok().and_then(|text| std::str::from_utf8(text).ok()?.trim().parse::<i64>().ok());
            assert_eq!(read, None, "bit {bit}");
        }
    }
}
