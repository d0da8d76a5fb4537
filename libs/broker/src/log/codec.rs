//! Opening the compressed records of a batch, since compaction has to see keys; packing them anew, where their topic says
//! how they are to be stored.

use std::io::{self, Read, Write};

use crate::log::batch::{HEADER_BYTES, Header, repack};

/// The compression types of a topic that are not the producer's choice, and their numbers in a batch.
pub(crate) const TYPES: [(&str, i16); 5] =
    [("uncompressed", 0), ("gzip", GZIP), ("snappy", SNAPPY), ("lz4", LZ4), ("zstd", ZSTD)];
const GZIP: i16 = 1;
const SNAPPY: i16 = 2;
const LZ4: i16 = 3;
const ZSTD: i16 = 4;
/// How the framing of the xerial library begins; a version and a compatible version follow.
const XERIAL_MAGIC: &[u8] = b"\x82SNAPPY\0";
const XERIAL_HEADER_BYTES: usize = 16;
/// The two versions, and bytes of one block before compression.
const XERIAL_VERSIONS: [u8; 8] = [0, 0, 0, 1, 0, 0, 0, 1];
const XERIAL_BLOCK_BYTES: usize = 32 * 1024;
/// Records of one batch, opened, at most; a batch that holds more is not looked into.
pub(crate) const OPENED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The records of a batch as they were before compression; `None` if they cannot be opened, or are too many bytes.
pub(crate) fn open(header: &Header, records: &[u8]) -> Option<Vec<u8>> {
    match header.codec() {
        0 => Some(records.to_vec()),
        GZIP => take(flate2::read::MultiGzDecoder::new(records)),
        SNAPPY if records.starts_with(XERIAL_MAGIC) => open_xerial(records.get(XERIAL_HEADER_BYTES..)?),
        SNAPPY => open_snappy(records),
        LZ4 => take(lz4_flex::frame::FrameDecoder::new(records)),
        ZSTD => take(ruzstd::decoding::StreamingDecoder::new(records).ok()?),
        _ => None,
    }
}

/// A batch with its records packed in this way; `None` if they cannot be opened, or are packed so already.
pub(crate) fn pack_batch(header: &Header, batch: &[u8], codec: i16) -> Option<io::Result<Vec<u8>>> {
    if header.codec() == codec {
        return None;
    }
    let records = batch.get(HEADER_BYTES..)?;
    let plain = open(header, records);
    let plain = plain.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData));
    Some(plain.and_then(|plain| pack(codec, &plain)).map(|packed| repack(batch, codec, &packed)))
}

/// Compresses records as every client of the protocol can read them.
fn pack(codec: i16, plain: &[u8]) -> io::Result<Vec<u8>> {
    match codec {
        GZIP => {
            let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            to.write_all(plain)?;
            to.finish()
        }
        SNAPPY => pack_xerial(plain),
        LZ4 => {
            // Java clients take blocks only that are independent of each other.
            let frame = lz4_flex::frame::FrameInfo::new()
                .block_mode(lz4_flex::frame::BlockMode::Independent)
                .block_size(lz4_flex::frame::BlockSize::Max64KB);
            let mut to = lz4_flex::frame::FrameEncoder::with_frame_info(frame, Vec::new());
            to.write_all(plain)?;
            to.finish().map_err(io::Error::other)
        }
        ZSTD => Ok(ruzstd::encoding::compress_to_vec(plain, ruzstd::encoding::CompressionLevel::Fastest)),
        _ => Ok(plain.to_vec()),
    }
}

fn pack_xerial(plain: &[u8]) -> io::Result<Vec<u8>> {
    let mut packed = [XERIAL_MAGIC, &XERIAL_VERSIONS].concat();
    for block in plain.chunks(XERIAL_BLOCK_BYTES) {
        let block = snap::raw::Encoder::new().compress_vec(block).map_err(io::Error::other)?;
        packed.extend(crate::num::u32_of(block.len() as u64).to_be_bytes());
        packed.extend(block);
    }
    Ok(packed)
}

fn take(from: impl Read) -> Option<Vec<u8>> {
    let mut opened = Vec::new();
    from.take(OPENED_BYTES_MAX as u64 + 1).read_to_end(&mut opened).ok()?;
    (opened.len() <= OPENED_BYTES_MAX).then_some(opened)
}

fn open_snappy(block: &[u8]) -> Option<Vec<u8>> {
    if snap::raw::decompress_len(block).ok()? > OPENED_BYTES_MAX {
        return None;
    }
    snap::raw::Decoder::new().decompress_vec(block).ok()
}

/// Blocks, each behind its length.
fn open_xerial(mut blocks: &[u8]) -> Option<Vec<u8>> {
    let mut opened = Vec::new();
    while let Some((length, rest)) = blocks.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (block, rest) = rest.split_at_checked(length)?;
        opened.extend(open_snappy(block)?);
        if opened.len() > OPENED_BYTES_MAX {
            return None;
        }
        blocks = rest;
    }
    blocks.is_empty().then_some(opened)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use crate::log::batch::check_produced;

    fn header(codec: i16) -> Header {
        let mut header = Header::parse(&crate::log::records::build(&[(None, None)], 0)).unwrap();
        header.attributes = codec;
        header
    }

    #[test]
    fn every_codec_is_opened_and_nonsense_is_not() {
        let plain = b"the same words again and again, the same words again".repeat(50);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&plain).unwrap();
        let snappy = snap::raw::Encoder::new().compress_vec(&plain).unwrap();
        let mut xerial = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
        for part in plain.chunks(1000) {
            let block = snap::raw::Encoder::new().compress_vec(part).unwrap();
            xerial.extend(u32::try_from(block.len()).unwrap().to_be_bytes());
            xerial.extend(block);
        }
        let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
        lz4.write_all(&plain).unwrap();
        let zstd = ruzstd::encoding::compress_to_vec(plain.as_slice(), ruzstd::encoding::CompressionLevel::Fastest);
        for (codec, packed) in [
            (GZIP, gzip.finish().unwrap()),
            (SNAPPY, snappy),
            (SNAPPY, xerial),
            (LZ4, lz4.finish().unwrap()),
            (ZSTD, zstd),
        ] {
            assert!(packed.len() < plain.len() / 2);
            assert_eq!(open(&header(codec), &packed).as_deref(), Some(plain.as_slice()), "codec {codec}");
            assert_eq!(open(&header(codec), &packed[..packed.len() / 2]), None, "codec {codec} cut");
            assert_eq!(open(&header(codec), b"nonsense that is no frame"), None, "codec {codec}");
        }
        assert_eq!(open(&header(0), &plain).as_deref(), Some(plain.as_slice()));
        assert_eq!(open(&header(5), &plain), None);
    }

    #[test]
    fn a_batch_is_packed_from_every_codec_to_every_other_and_stays_whole() {
        let value = b"the same words again and again ".repeat(3000);
        let plain = crate::log::records::build(&[(Some(b"k"), Some(&value)), (None, None)], 7);
        let header = Header::parse(&plain).unwrap();
        for (_, from) in TYPES {
            let packed = pack_batch(&header, &plain, from).map_or_else(|| plain.clone(), Result::unwrap);
            let header = check_produced(&packed).unwrap();
            assert_eq!((header.codec(), header.count, header.max_timestamp), (from, 2, 7));
            assert_eq!(packed.len() < plain.len() / 2, from != 0, "codec {from}");
            for (_, to) in TYPES {
                let again = pack_batch(&header, &packed, to).map_or_else(|| packed.clone(), Result::unwrap);
                let header = check_produced(&again).unwrap();
                assert_eq!(header.codec(), to);
                let opened = open(&header, &again[HEADER_BYTES..]).unwrap();
                assert!(opened == plain[HEADER_BYTES..], "from {from} to {to}");
            }
        }
        let mut nonsense = plain.clone();
        nonsense[22] = 3;
        let header = Header::parse(&nonsense).unwrap();
        assert!(pack_batch(&header, &nonsense, GZIP).unwrap().is_err());
    }

    #[test]
    fn a_small_batch_that_opens_to_more_than_is_allowed_is_refused() {
        let bomb = vec![0; OPENED_BYTES_MAX + 1];
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&bomb).unwrap();
        assert_eq!(open(&header(GZIP), &gzip.finish().unwrap()), None);
        let snappy = snap::raw::Encoder::new().compress_vec(&bomb).unwrap();
        assert_eq!(open(&header(SNAPPY), &snappy), None);
    }
}
