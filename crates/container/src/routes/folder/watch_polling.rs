//! Where nobody tells who writes: a file that has not changed from one look to the next is complete.

use std::collections::HashMap;
use std::io;
use std::time::{Duration, SystemTime};

use super::{Folder, Writers};

const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How many looks at names and sizes make one at the files, although nothing has changed.
const LOOKS: usize = 120;

type Facts = HashMap<String, (u64, Option<SystemTime>)>;

/// Tells when to look.
#[derive(Debug)]
pub(crate) struct Watch {
    folder: Folder,
    before: Facts,
    changing: Facts,
}

impl Watch {
    pub(crate) fn new(folder: &Folder) -> io::Result<Self> {
        Ok(Self { before: facts(folder), folder: folder.clone(), changing: Facts::new() })
    }

    /// Waits until there may be something new. May be dropped while it waits.
    pub(crate) async fn changed(&mut self) -> io::Result<()> {
        for _ in 0..LOOKS {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = facts(&self.folder);
            let was_changing = std::mem::take(&mut self.changing);
            self.changing = now
                .iter()
                .filter(|(name, facts)| self.before.get(*name) != Some(*facts))
                .map(|(name, facts)| (name.clone(), *facts))
                .collect();
            let is_settled = was_changing.keys().any(|name| !self.changing.contains_key(name));
            let is_gone = self.before.keys().any(|name| !now.contains_key(name));
            self.before = now;
            if is_settled || is_gone {
                break;
            }
        }
        Ok(())
    }
}

impl Writers for Watch {
    /// Whether this file was another a moment ago.
    fn is_open(&self, name: &str) -> bool {
        self.changing.contains_key(name)
    }
}

fn facts(folder: &Folder) -> Facts {
    let Ok(entries) = std::fs::read_dir(folder.path()) else { return Facts::new() };
    let facts = entries.flatten().filter_map(|entry| {
        let facts = entry.metadata().ok()?;
        Some((entry.file_name().into_string().ok()?, (facts.len(), facts.modified().ok())))
    });
    facts.collect()
}
