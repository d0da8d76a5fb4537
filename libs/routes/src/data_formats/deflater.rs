//! `gzipDeflater` and `zipDeflater`: bodies compressed and back.

use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::read::{GzDecoder, GzEncoder, ZlibDecoder, ZlibEncoder};

use crate::check::{OptionSpec, Spec, Takes};
use crate::exchange::{Body, Exception, Message, Result, Value, class};

use super::{DataFormat, FormatKind};

/// Most bytes that a compressed body may become: a small body can hold a very large one.
const BYTES_MAX: u64 = 64 * 1024 * 1024;

pub(super) static GZIP: FormatKind = FormatKind {
    spec: Spec { name: "gzipDeflater", about: "Bytes compressed with gzip", ..Spec::EMPTY },
    build: |_| Ok(Arc::new(Deflater { is_gzip: true, level: Compression::default() })),
};

pub(super) static ZLIB: FormatKind = FormatKind {
    spec: Spec {
        name: "zipDeflater",
        about: "Bytes compressed with zlib",
        options: &[OptionSpec::new(
            "compressionLevel",
            Takes::Integer(-1, 9),
            "how hard it tries, from 0 to 9 (-1, its default)",
        )],
        ..Spec::EMPTY
    },
    build: |element| {
        let level = element.count("compressionLevel").and_then(|level| u32::try_from(level).ok());
        Ok(Arc::new(Deflater { is_gzip: false, level: level.map_or_else(Compression::default, Compression::new) }))
    },
};

#[derive(Debug)]
struct Deflater {
    is_gzip: bool,
    level: Compression,
}

impl DataFormat for Deflater {
    fn marshal(&self, message: &mut Message) -> Result<()> {
        let bytes = message.body.value().to_bytes();
        let packed = match self.is_gzip {
            true => all(GzEncoder::new(&*bytes, self.level)),
            false => all(ZlibEncoder::new(&*bytes, self.level)),
        };
        message.body = Body::new(Value::Bytes(packed?));
        Ok(())
    }

    fn unmarshal(&self, message: &mut Message) -> Result<()> {
        let bytes = message.body.value().to_bytes();
        let unpacked = match self.is_gzip {
            true => all(GzDecoder::new(&*bytes)),
            false => all(ZlibDecoder::new(&*bytes)),
        };
        message.body = Body::new(Value::Bytes(unpacked?));
        Ok(())
    }
}

fn all(reader: impl Read) -> Result<Bytes> {
    let mut bytes = Vec::new();
    reader
        .take(BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Exception::new(&class::IO, format!("the body is not compressed as it should be: {error}")))?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(Exception::new(&class::IO, format!("the body has more than {BYTES_MAX} bytes")));
    }
    Ok(Bytes::from(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compressed_comes_back() {
        for is_gzip in [true, false] {
            let format = Deflater { is_gzip, level: Compression::default() };
            let mut message = Message::new(Value::from("hello hello hello"));
            format.marshal(&mut message).unwrap();
            assert_ne!(message.body.value().to_text().unwrap(), "hello hello hello");
            format.unmarshal(&mut message).unwrap();
            assert_eq!(message.body.value().to_text().unwrap(), "hello hello hello");
            assert!(format.unmarshal(&mut message).unwrap_err().to_string().starts_with("java.io.IOException"));
        }
    }

    #[test]
    fn a_bomb_does_not_go_off() {
        let format = Deflater { is_gzip: true, level: Compression::default() };
        let mut message = Message::new(Value::Bytes(Bytes::from(vec![0; 65 * 1024 * 1024])));
        let bytes = message.body.value().to_bytes();
        let mut packed = Vec::new();
        GzEncoder::new(&*bytes, Compression::fast()).read_to_end(&mut packed).unwrap();
        message.body = Body::new(Value::Bytes(Bytes::from(packed)));
        assert!(format.unmarshal(&mut message).unwrap_err().to_string().contains("more than"));
    }
}
