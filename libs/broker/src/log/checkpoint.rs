//! The checkpoint: how far each partition was known to be on stable storage; recovery never cuts below it.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;

use bytes::{Buf, BufMut};
use uuid::Uuid;

use crate::log::disk::{Disk, replace_file};

const MAGIC: u32 = 0x544c_4350;
/// The file's name in the data directory.
const FILE: &str = "checkpoint";

/// What is known of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    /// First offset that may be read.
    pub(crate) log_start: i64,
    /// Offset below which everything was synced.
    pub(crate) synced: i64,
    /// Base offset of the segment that `synced` lies in.
    pub(crate) segment: i64,
    /// Where `synced` stands in that segment's file.
    pub(crate) position: u64,
}

/// All partitions, by topic id and index.
pub(crate) type Checkpoint = HashMap<(Uuid, i32), Known>;

/// Writes the checkpoint durably in the place of the last one.
pub(crate) fn save(disk: &dyn Disk, data_dir: &Path, checkpoint: &Checkpoint) -> io::Result<()> {
    replace_file(disk, &data_dir.join(FILE), &encode(checkpoint))
}

pub(crate) fn encode(checkpoint: &Checkpoint) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + checkpoint.len() * 52);
    bytes.put_u32(MAGIC);
    for ((topic, partition), known) in checkpoint {
        bytes.put_slice(topic.as_bytes());
        bytes.put_i32(*partition);
        bytes.put_i64(known.log_start);
        bytes.put_i64(known.synced);
        bytes.put_i64(known.segment);
        bytes.put_u64(known.position);
    }
    let crc = crc32c::crc32c(&bytes);
    bytes.put_u32(crc);
    bytes
}

/// Reads the checkpoint; a missing one is empty, an unreadable one is `None`.
pub(crate) fn load(data_dir: &Path) -> io::Result<Option<Checkpoint>> {
    let bytes = match fs::read(data_dir.join(FILE)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(Checkpoint::new())),
        Err(error) => return Err(error),
    };
    Ok(decode(&bytes))
}

pub(crate) fn decode(bytes: &[u8]) -> Option<Checkpoint> {
    let (body, crc) = bytes.split_at_checked(bytes.len().checked_sub(4)?)?;
    if crc32c::crc32c(body).to_be_bytes() != crc {
        return None;
    }
    let mut from = body;
    if from.try_get_u32().ok()? != MAGIC {
        return None;
    }
    let mut checkpoint = Checkpoint::new();
    while !from.is_empty() {
        let mut topic = [0; 16];
        from.try_copy_to_slice(&mut topic).ok()?;
        let partition = from.try_get_i32().ok()?;
        let known = Known {
            log_start: from.try_get_i64().ok()?,
            synced: from.try_get_i64().ok()?,
            segment: from.try_get_i64().ok()?,
            position: from.try_get_u64().ok()?,
        };
        checkpoint.insert((Uuid::from_bytes(topic), partition), known);
    }
    Some(checkpoint)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use crate::log::disk::SystemDisk;

    #[test]
    fn a_checkpoint_is_read_back_and_a_damaged_one_is_told_apart_from_a_missing_one() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(load(dir.path()).unwrap(), Some(Checkpoint::new()));
        let known = Known { log_start: 3, synced: 9, segment: 3, position: 700 };
        let checkpoint = Checkpoint::from([((Uuid::from_u128(5), 2), known), ((Uuid::from_u128(6), 0), known)]);
        save(&SystemDisk, dir.path(), &checkpoint).unwrap();
        assert_eq!(load(dir.path()).unwrap(), Some(checkpoint));
        let mut bytes = fs::read(dir.path().join(FILE)).unwrap();
        bytes[20] ^= 1;
        fs::write(dir.path().join(FILE), bytes).unwrap();
        assert_eq!(load(dir.path()).unwrap(), None);
    }
}
