//! The topics of the broker: which there are, how they are configured, and the file that remembers it.
//!
//! A change is written (and synced) before it is seen; a topic's id is never used again.

pub(crate) mod broker_config;
pub(crate) mod meta;
pub(crate) mod producer_ids;
pub(crate) mod quotas;
pub(crate) mod topic_config;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io;
use std::sync::{Arc, RwLock};

use tokio::sync::Mutex;
use uuid::Uuid;

use crate::catalog::meta::{Meta, TopicMeta};
use crate::config::Config;
use crate::error::Error;
use crate::log::checkpoint::{self, Checkpoint};
use crate::log::disk::remove_dirs_if_there;
use crate::log::partition::{Partition, State, partition_dir};
use crate::log::recover::Recovery;
use crate::log::{LogConfig, LogEnv};
use crate::num::{i32_of, usize_of_i32};
use crate::sync::{read, write};

/// The topic that holds committed offsets and group states.
pub(crate) const OFFSETS_TOPIC: &str = "__consumer_offsets";
/// The topic that holds the states of transactions.
pub(crate) const TRANSACTIONS_TOPIC: &str = "__transaction_state";
/// Longest topic name.
const NAME_CHARS_MAX: usize = 249;

/// A topic as it is at one moment; a change makes a new one.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) name: Arc<str>,
    pub(crate) id: Uuid,
    /// What was set; everything else is default.
    pub(crate) configs: BTreeMap<String, String>,
    pub(crate) partitions: Vec<Arc<Partition>>,
}

impl Topic {
    /// The partition, if there is one of that index.
    pub(crate) fn partition(&self, index: i32) -> Option<&Arc<Partition>> {
        usize::try_from(index).ok().and_then(|index| self.partitions.get(index))
    }

    /// Whether it is the broker's own.
    pub(crate) fn is_internal(&self) -> bool {
        is_internal(&self.name)
    }
}

/// Whether a topic of that name is the broker's own.
pub(crate) fn is_internal(name: &str) -> bool {
    matches!(name, OFFSETS_TOPIC | TRANSACTIONS_TOPIC)
}

/// Why a topic is not made or changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TopicError {
    #[error("topic already exists")]
    Exists,
    #[error("no such topic")]
    Unknown,
    #[error("invalid topic name: {0}")]
    Name(&'static str),
    #[error("invalid partition count: {0}")]
    Partitions(String),
    #[error("invalid configuration: {0}")]
    Config(String),
    #[error("storage failed")]
    Storage(#[source] io::Error),
    #[error("worker was lost")]
    Worker,
}

/// All topics.
#[derive(Debug)]
pub(crate) struct Catalog {
    pub(crate) env: Arc<LogEnv>,
    pub(crate) cluster_id: String,
    config: Arc<Config>,
    topics: RwLock<Topics>,
    /// One change at a time.
    admin: Mutex<()>,
    /// One checkpoint at a time.
    pub(crate) checkpointing: std::sync::Mutex<()>,
}

#[derive(Debug, Default, Clone)]
struct Topics {
    by_name: BTreeMap<Arc<str>, Arc<Topic>>,
    by_id: HashMap<Uuid, Arc<Topic>>,
}

impl Topics {
    fn put(&mut self, topic: Arc<Topic>) {
        self.by_id.insert(topic.id, Arc::clone(&topic));
        self.by_name.insert(Arc::clone(&topic.name), topic);
    }

    fn take(&mut self, name: &str) -> Option<Arc<Topic>> {
        let topic = self.by_name.remove(name)?;
        self.by_id.remove(&topic.id);
        Some(topic)
    }
}

impl Catalog {
    /// Reads the data directory and recovers every partition; blocking.
    pub(crate) fn open(env: Arc<LogEnv>, config: Arc<Config>) -> Result<Self, Error> {
        let meta = Meta::load_or_create(&*env.disk, &env.data_dir)?;
        let known = checkpoint::load(&env.data_dir).map_err(Error::storage("reading checkpoint in", &env.data_dir))?;
        let known = known.unwrap_or_else(|| {
            tracing::error!(path = %env.data_dir.display(), "checkpoint unreadable, recovering without it");
            Checkpoint::new()
        });
        let mut topics = Topics::default();
        for topic in &meta.topics {
            let log_config = Arc::new(topic_config::resolve(&topic.configs, &config));
            let name: Arc<str> = Arc::from(topic.name.as_str());
            let mut partitions = Vec::new();
            for index in 0..topic.partitions {
                let dir = partition_dir(&env.data_dir, topic.id, index);
                let state = Recovery {
                    dir: &dir,
                    topic: &topic.name,
                    partition: index,
                    known: known.get(&(topic.id, index)).copied(),
                    producers_max: env.producers_max,
                    now_ms: env.clock.now_ms(),
                    disk: &*env.disk,
                }
                .run()
                .map_err(Error::storage("recovering", &dir))?;
                partitions.push(Partition::new(
                    Arc::clone(&env),
                    Arc::clone(&name),
                    topic.id,
                    index,
                    Arc::clone(&log_config),
                    state,
                ));
            }
            topics.put(Arc::new(Topic { name, id: topic.id, configs: topic.configs.clone(), partitions }));
        }
        let catalog = Self {
            env,
            cluster_id: meta.cluster_id,
            config,
            topics: RwLock::new(topics),
            admin: Mutex::new(()),
            checkpointing: std::sync::Mutex::new(()),
        };
        catalog.remove_orphans()?;
        Ok(catalog)
    }

    /// Removes directories of topics whose deletion was cut short.
    fn remove_orphans(&self) -> Result<(), Error> {
        let dir = self.env.data_dir.join("topics");
        let known: HashSet<String> = read(&self.topics).by_id.keys().map(|id| id.simple().to_string()).collect();
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Error::storage("reading", &dir)(error)),
        };
        for entry in entries {
            let path = entry.map_err(Error::storage("reading", &dir))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if Uuid::try_parse(name).is_ok() && !known.contains(name) {
                tracing::info!(path = %path.display(), "removing what a deleted topic left");
                self.env.disk.remove_dirs(&path).map_err(Error::storage("removing", &path))?;
            }
        }
        Ok(())
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<Topic>> {
        read(&self.topics).by_name.get(name).cloned()
    }

    pub(crate) fn get_by_id(&self, id: Uuid) -> Option<Arc<Topic>> {
        read(&self.topics).by_id.get(&id).cloned()
    }

    /// All topics by name.
    pub(crate) fn list(&self) -> Vec<Arc<Topic>> {
        read(&self.topics).by_name.values().cloned().collect()
    }

    /// All partitions of all topics.
    pub(crate) fn partitions(&self) -> Vec<Arc<Partition>> {
        read(&self.topics).by_name.values().flat_map(|topic| topic.partitions.iter().cloned()).collect()
    }

    /// Checks what [`Self::create`] would do, without doing it; returns the partition count.
    pub(crate) fn check_new(
        &self,
        name: &str,
        partitions: i32,
        configs: &BTreeMap<String, String>,
    ) -> Result<i32, TopicError> {
        check_name(name)?;
        let topics = read(&self.topics);
        if topics.by_name.contains_key(name) {
            return Err(TopicError::Exists);
        }
        let partitions = if partitions == -1 { self.config.partitions_default } else { partitions };
        self.check_partitions(&topics, partitions, 0)?;
        for (key, value) in configs {
            topic_config::check(key, value).map_err(TopicError::Config)?;
        }
        Ok(partitions)
    }

    fn check_partitions(&self, topics: &Topics, count: i32, existing: usize) -> Result<(), TopicError> {
        if count < 1 {
            return Err(TopicError::Partitions("must be at least 1".to_owned()));
        }
        let all: usize = topics.by_name.values().map(|topic| topic.partitions.len()).sum();
        if all - existing + usize_of_i32(count) > self.config.partitions_max {
            return Err(TopicError::Partitions(format!(
                "the broker holds at most {} partitions",
                self.config.partitions_max
            )));
        }
        Ok(())
    }

    /// Makes a topic; `partitions` -1 means the default.
    pub(crate) async fn create(
        &self,
        name: &str,
        partitions: i32,
        configs: BTreeMap<String, String>,
    ) -> Result<Arc<Topic>, TopicError> {
        let _admin = self.admin.lock().await;
        let count = self.check_new(name, partitions, &configs)?;
        let topic = self.build(Arc::from(name), Uuid::now_v7(), configs, &[], count);
        let mut next = read(&self.topics).clone();
        next.put(Arc::clone(&topic));
        self.commit(next).await?;
        tracing::info!(topic = name, partitions = count, "topic created");
        Ok(topic)
    }

    /// The topic, made with defaults if it is not there.
    pub(crate) async fn get_or_create(&self, name: &str) -> Result<Arc<Topic>, TopicError> {
        if let Some(topic) = self.get(name) {
            return Ok(topic);
        }
        match self.create(name, -1, BTreeMap::new()).await {
            Err(TopicError::Exists) => self.get(name).ok_or(TopicError::Unknown),
            other => other,
        }
    }

    /// Takes a topic and its records away.
    pub(crate) async fn delete(&self, name: &str) -> Result<Arc<Topic>, TopicError> {
        let _admin = self.admin.lock().await;
        let mut next = read(&self.topics).clone();
        let topic = next.take(name).ok_or(TopicError::Unknown)?;
        self.commit(next).await?;
        let doomed = Arc::clone(&topic);
        let disk = Arc::clone(&self.env.disk);
        let dir = self.env.data_dir.join("topics").join(topic.id.simple().to_string());
        let removed = tokio::task::spawn_blocking(move || {
            for partition in &doomed.partitions {
                partition.delete()?;
            }
            remove_dirs_if_there(&*disk, &dir)
        });
        // The topic is gone either way; files left over go at the next start.
        if let Err(error) = removed.await.map_err(|_| io::Error::other("worker was lost")).and_then(|result| result) {
            tracing::warn!(topic = name, %error, "files of a deleted topic are left until restart");
        }
        tracing::info!(topic = name, "topic deleted");
        Ok(topic)
    }

    /// Gives a topic more partitions, `count` in all; with `validate_only` only checks.
    pub(crate) async fn add_partitions(&self, name: &str, count: i32, validate_only: bool) -> Result<(), TopicError> {
        let _admin = self.admin.lock().await;
        let topic = self.get(name).ok_or(TopicError::Unknown)?;
        if usize_of_i32(count) <= topic.partitions.len() {
            return Err(TopicError::Partitions(format!("topic has {} partitions already", topic.partitions.len())));
        }
        self.check_partitions(&read(&self.topics), count, topic.partitions.len())?;
        if validate_only {
            return Ok(());
        }
        let grown = self.build(Arc::clone(&topic.name), topic.id, topic.configs.clone(), &topic.partitions, count);
        let mut next = read(&self.topics).clone();
        next.put(grown);
        self.commit(next).await
    }

    /// Replaces what is set on a topic by what `change` makes of it; with `validate_only` only checks.
    pub(crate) async fn configure(
        &self,
        name: &str,
        validate_only: bool,
        change: impl FnOnce(&mut BTreeMap<String, String>) -> Result<(), String>,
    ) -> Result<(), TopicError> {
        let _admin = self.admin.lock().await;
        let topic = self.get(name).ok_or(TopicError::Unknown)?;
        let mut configs = topic.configs.clone();
        change(&mut configs).map_err(TopicError::Config)?;
        for (key, value) in &configs {
            topic_config::check(key, value).map_err(TopicError::Config)?;
        }
        if validate_only || configs == topic.configs {
            return Ok(());
        }
        let count = i32_of(topic.partitions.len());
        let changed = self.build(Arc::clone(&topic.name), topic.id, configs, &topic.partitions, count);
        let mut next = read(&self.topics).clone();
        next.put(Arc::clone(&changed));
        self.commit(next).await?;
        let log_config = Arc::new(topic_config::resolve(&changed.configs, &self.config));
        for partition in &changed.partitions {
            partition.set_config(Arc::clone(&log_config));
        }
        Ok(())
    }

    fn build(
        &self,
        name: Arc<str>,
        id: Uuid,
        configs: BTreeMap<String, String>,
        existing: &[Arc<Partition>],
        count: i32,
    ) -> Arc<Topic> {
        let log_config: Arc<LogConfig> = Arc::new(topic_config::resolve(&configs, &self.config));
        let mut partitions = existing.to_vec();
        for index in i32_of(existing.len())..count {
            let config = Arc::clone(&log_config);
            partitions.push(Partition::new(
                Arc::clone(&self.env),
                Arc::clone(&name),
                id,
                index,
                config,
                State::empty(0),
            ));
        }
        Arc::new(Topic { name, id, configs, partitions })
    }

    /// Writes the topics down, then lets everybody see them.
    async fn commit(&self, next: Topics) -> Result<(), TopicError> {
        let topics = next.by_name.values().map(|topic| TopicMeta {
            name: topic.name.to_string(),
            id: topic.id,
            partitions: i32_of(topic.partitions.len()),
            configs: topic.configs.clone(),
        });
        let meta = Meta { cluster_id: self.cluster_id.clone(), topics: topics.collect() };
        let (data_dir, disk) = (self.env.data_dir.clone(), Arc::clone(&self.env.disk));
        let saved =
            tokio::task::spawn_blocking(move || meta.save(&*disk, &data_dir)).await.map_err(|_| TopicError::Worker)?;
        saved.map_err(TopicError::Storage)?;
        *write(&self.topics) = next;
        Ok(())
    }
}

/// Kafka's rules for topic names.
fn check_name(name: &str) -> Result<(), TopicError> {
    if name.is_empty() {
        return Err(TopicError::Name("it is empty"));
    }
    if name == "." || name == ".." {
        return Err(TopicError::Name("it cannot be . or .."));
    }
    if name.len() > NAME_CHARS_MAX {
        return Err(TopicError::Name("it has more than 249 characters"));
    }
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')) {
        return Err(TopicError::Name("only ASCII letters, digits, '.', '_' and '-' are allowed"));
    }
    Ok(())
}
