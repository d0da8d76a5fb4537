//! Files of a folder become exchanges, one after the other, and go elsewhere when they are done.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use regex::Regex;
use tokio::io::AsyncReadExt as _;
use tokio::time::sleep;

use crate::components::{Consumer, Endpoint};
use crate::exchange::{Body, Exchange, Message, Text, Value};
use crate::run::{BoxFuture, Inlet};

/// Most files that one look finds.
const FOUND_MAX: usize = 100_000;

#[derive(Debug, Clone)]
pub(super) struct Reader {
    folder: PathBuf,
    only: Option<String>,
    delay: Duration,
    initial_delay: Duration,
    looks_max: Option<i64>,
    recursive: bool,
    done: Done,
    failed: Option<String>,
    include: Option<Regex>,
    exclude: Option<Regex>,
    endings: Vec<String>,
    at_once_max: usize,
    creates_folder: bool,
    bytes_max: usize,
}

/// What becomes of a file that is done.
#[derive(Debug, Clone)]
enum Done {
    Stays,
    IsDeleted,
    Moves(String),
}

/// A file as a look finds it.
#[derive(Debug, Clone, PartialEq)]
struct Found {
    path: PathBuf,
    length: u64,
    changed: Option<SystemTime>,
}

impl Reader {
    pub(super) fn new(endpoint: &Endpoint, bytes_max: usize) -> Result<Self, String> {
        let regex = |name: &str| {
            let compiled = endpoint.word(name).map(|text| Regex::new(&format!("^(?:{text})$")));
            compiled.transpose().map_err(|_| format!("`{name}` of `file:` is no regular expression"))
        };
        let done = match (endpoint.flag("noop"), endpoint.flag("delete"), endpoint.word("move")) {
            (Some(true), _, _) => Done::Stays,
            (_, Some(true), _) => Done::IsDeleted,
            (_, _, folder) => Done::Moves(folder.unwrap_or_else(|| ".camel".to_owned())),
        };
        let time = |name: &str, default| Duration::from_millis(endpoint.duration_ms(name).unwrap_or(default));
        Ok(Self {
            only: endpoint.word("fileName"),
            delay: time("delay", 500),
            initial_delay: time("initialDelay", 1_000),
            looks_max: endpoint.integer("repeatCount").filter(|count| *count > 0),
            recursive: endpoint.flag("recursive").unwrap_or(false),
            done,
            failed: endpoint.word("moveFailed"),
            include: regex("include")?,
            exclude: regex("exclude")?,
            endings: endpoint
                .word("includeExt")
                .map(|endings| endings.split(',').map(|ending| format!(".{}", ending.trim())).collect())
                .unwrap_or_default(),
            at_once_max: endpoint.count("maxMessagesPerPoll").filter(|count| *count > 0).unwrap_or(FOUND_MAX),
            creates_folder: endpoint.flag("autoCreate").unwrap_or(true),
            folder: PathBuf::from(&endpoint.text.path),
            bytes_max,
        })
    }
}

impl Consumer for Reader {
    fn start(&self, inlet: Inlet) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            if self.creates_folder {
                let made = tokio::fs::create_dir_all(&self.folder).await;
                made.map_err(|error| format!("cannot make the folder {}: {error}", self.folder.display()))?;
            }
            let (reader, task) = (self.clone(), inlet.clone());
            inlet.spawn(async move { reader.run(&task).await });
            Ok(())
        })
    }
}

impl Reader {
    async fn run(&self, inlet: &Inlet) {
        let mut before: HashMap<PathBuf, Found> = HashMap::new();
        let mut seen: HashSet<PathBuf> = HashSet::new();
        let mut looks = 0;
        let mut wait = self.initial_delay;
        while self.looks_max.is_none_or(|max| looks < max) {
            tokio::select! {
                () = inlet.stopped() => return,
                () = sleep(wait) => {}
            }
            wait = self.delay;
            looks += 1;
            let found = match self.look().await {
                Ok(found) => found,
                Err(error) => {
                    tracing::warn!(route = %inlet.route().id(), kind = ?error.kind(), "folder cannot be read");
                    continue;
                }
            };
            // What has not changed since the last look is complete. With one look there is no last one.
            let is_only_look = self.looks_max == Some(1);
            let ready = found.iter().filter(|file| is_only_look || before.get(&file.path) == Some(*file));
            let ready: Vec<_> = ready.filter(|file| !seen.contains(&file.path)).take(self.at_once_max).collect();
            for file in ready {
                if inlet.is_stopped() {
                    return;
                }
                self.bring(file, inlet).await;
                if matches!(self.done, Done::Stays) {
                    seen.insert(file.path.clone());
                }
            }
            seen.retain(|path| found.iter().any(|file| file.path == *path));
            before = found.into_iter().map(|file| (file.path.clone(), file)).collect();
        }
    }

    async fn look(&self) -> io::Result<Vec<Found>> {
        let mut folders = vec![self.folder.clone()];
        let mut found = Vec::new();
        while let Some(folder) = folders.pop() {
            let mut entries = tokio::fs::read_dir(&folder).await?;
            while let Some(entry) = entries.next_entry().await? {
                let name = entry.file_name().to_string_lossy().into_owned();
                // Hidden files and folders are somebody's own: `.camel` too.
                if name.starts_with('.') || name.ends_with(".writing") || found.len() >= FOUND_MAX {
                    continue;
                }
                let facts = entry.metadata().await?;
                if facts.is_dir() {
                    if self.recursive {
                        folders.push(entry.path());
                    }
                } else if facts.is_file() && self.wants(&name) {
                    // Links lead out of the folder, and other things have no end.
                    found.push(Found { path: entry.path(), length: facts.len(), changed: facts.modified().ok() });
                }
            }
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only == name)
            && self.include.as_ref().is_none_or(|include| include.is_match(name))
            && !self.exclude.as_ref().is_some_and(|exclude| exclude.is_match(name))
            && (self.endings.is_empty() || self.endings.iter().any(|ending| name.ends_with(ending)))
    }

    async fn bring(&self, file: &Found, inlet: &Inlet) {
        let Ok(bytes) = self.content(&file.path).await else { return };
        if bytes.len() > self.bytes_max {
            tracing::error!(route = %inlet.route().id(), bytes = file.length, "file is larger than a body may be");
            self.put_away(&file.path, self.failed.as_deref()).await;
            return;
        }
        let back = inlet.deliver(self.exchange(file, bytes, inlet)).await;
        if back.is_failed() {
            self.put_away(&file.path, self.failed.as_deref()).await;
            return;
        }
        match &self.done {
            Done::Stays => {}
            Done::IsDeleted => {
                if let Err(error) = tokio::fs::remove_file(&file.path).await {
                    tracing::error!(route = %inlet.route().id(), kind = ?error.kind(), "file that is done cannot be deleted");
                }
            }
            Done::Moves(folder) => self.put_away(&file.path, Some(folder)).await,
        }
    }

    /// What is in a file; of one that is too large, a byte more than may be.
    async fn content(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let most = u64::try_from(self.bytes_max).unwrap_or(u64::MAX).saturating_add(1);
        tokio::fs::File::open(path).await?.take(most).read_to_end(&mut bytes).await?;
        Ok(bytes)
    }

    fn exchange(&self, file: &Found, bytes: Vec<u8>, inlet: &Inlet) -> Exchange {
        let relative = file.path.strip_prefix(&self.folder).unwrap_or(&file.path).to_string_lossy().into_owned();
        let only = file.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let length = i64::try_from(file.length).unwrap_or(i64::MAX);
        let changed = file.changed.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        let changed = changed.and_then(|time| i64::try_from(time.as_millis()).ok());
        let mut message = Message::new(Body::new(Value::Bytes(Bytes::from(bytes))));
        message.headers.extend([
            (Text::fixed("CamelFileName"), Value::from(relative)),
            (Text::fixed("CamelFileNameOnly"), Value::from(only)),
            (Text::fixed("CamelFilePath"), Value::from(file.path.to_string_lossy().into_owned())),
            (Text::fixed("CamelFileParent"), Value::from(self.folder.to_string_lossy().into_owned())),
            (Text::fixed("CamelFileLength"), Value::Integer(length)),
            (Text::fixed("CamelFileLastModified"), changed.map_or(Value::Null, Value::Integer)),
        ]);
        inlet.exchange(message)
    }

    async fn put_away(&self, path: &Path, folder: Option<&str>) {
        let (Some(folder), Some(name)) = (folder, path.file_name()) else { return };
        let folder = path.parent().unwrap_or(&self.folder).join(folder);
        let moved = async {
            tokio::fs::create_dir_all(&folder).await?;
            tokio::fs::rename(path, folder.join(name)).await
        };
        if let Err(error) = moved.await {
            tracing::error!(kind = ?error.kind(), "file cannot be put away");
        }
    }
}
