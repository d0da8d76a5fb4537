//! The file that names the cluster and its topics, replaced whole and atomically at every change.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::Error;
use crate::log::disk::{Disk, replace_file};
use crate::sealed;

const FILE: &str = "meta.json";
const URL_ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// What the broker must not forget about itself.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Meta {
    pub(crate) cluster_id: String,
    pub(crate) topics: Vec<TopicMeta>,
}

/// What it must not forget about a topic.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TopicMeta {
    pub(crate) name: String,
    pub(crate) id: Uuid,
    pub(crate) partitions: i32,
    pub(crate) configs: BTreeMap<String, String>,
}

impl Meta {
    /// Reads the file; makes one in an empty directory, refuses a directory that has topics but lost it.
    pub(crate) fn load_or_create(disk: &dyn Disk, data_dir: &Path) -> Result<Self, Error> {
        let path = data_dir.join(FILE);
        match fs::read(&path) {
            Ok(bytes) => sealed::read(&bytes).map_err(|reason| Error::Metadata { path, reason }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if data_dir.join("topics").exists() {
                    let reason = "it is missing, but the directory holds topics".to_owned();
                    return Err(Error::Metadata { path, reason });
                }
                let meta = Self { cluster_id: base64_id(Uuid::now_v7()), topics: Vec::new() };
                meta.save(disk, data_dir).map_err(Error::storage("writing", &path))?;
                Ok(meta)
            }
            Err(error) => Err(Error::storage("reading", &path)(error)),
        }
    }

    /// Writes the file durably.
    pub(crate) fn save(&self, disk: &dyn Disk, data_dir: &Path) -> io::Result<()> {
        let bytes = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
        replace_file(disk, &data_dir.join(FILE), &sealed::seal(bytes))
    }
}

/// An id as Kafka writes its cluster ids: 22 characters of URL-safe base64.
fn base64_id(id: Uuid) -> String {
    let bits = id.as_u128();
    // 22 characters are 132 bits: the last one carries 2 bits and 4 of padding.
    (0..22)
        .map(|at| {
            let value = if at < 21 { bits >> (128 - 6 * (at + 1)) } else { bits << 4 };
            char::from(URL_ALPHABET[(value & 0x3f) as usize])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use crate::log::disk::SystemDisk;

    #[test]
    fn cluster_ids_are_base64_of_the_uuid() {
        assert_eq!(base64_id(Uuid::nil()), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(base64_id(Uuid::from_u128(u128::MAX)), "_____________________w");
        assert_eq!(base64_id(Uuid::from_u128(1)), "AAAAAAAAAAAAAAAAAAAAAQ");
    }

    #[test]
    fn a_directory_with_topics_but_without_the_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let first = Meta::load_or_create(&SystemDisk, dir.path()).unwrap().cluster_id;
        assert_eq!(Meta::load_or_create(&SystemDisk, dir.path()).unwrap().cluster_id, first);
        fs::create_dir(dir.path().join("topics")).unwrap();
        fs::remove_file(dir.path().join(FILE)).unwrap();
        assert!(matches!(Meta::load_or_create(&SystemDisk, dir.path()), Err(Error::Metadata { .. })));
    }
}
