//! Groups of KIP-848 at the coordinator: heartbeats, and the log that their members come back from after a restart.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kafka_protocol::ResponseError;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::groups::consumers::{Allowed, Beat, Beaten, Consumers, Refused, World};
use crate::groups::coordinator::Coordinator;
use crate::groups::group::Group;
use crate::state_log::{Content, Entry};
use crate::sync::lock;

impl Coordinator {
    /// A member is alive, comes or goes; what it is told is on stable storage then.
    pub(crate) async fn consumer_heartbeat(
        self: &Arc<Self>,
        group_id: &str,
        beat: Beat,
        world: World,
    ) -> Result<Beaten, Refused> {
        let refuse = |error, message| Err(Refused { error, message });
        if group_id.is_empty() {
            return refuse(ResponseError::InvalidGroupId, "a group has a name");
        }
        let group = match self.get(group_id) {
            Some(group) => group,
            None if beat.epoch == 0 => match self.get_or_create(group_id) {
                Ok(group) => group,
                Err(error) => return refuse(error, "there are as many groups as there may be"),
            },
            None => return refuse(ResponseError::UnknownMemberId, "there is no such group, so no such member"),
        };
        let allowed = Allowed {
            members_max: self.config.group_members_max,
            session_timeout: Duration::from_millis(self.config.consumer_group_session_timeout_ms),
        };
        let (beaten, stored) = {
            let mut group_now = lock(&group);
            if group_now.dead {
                return refuse(ResponseError::CoordinatorNotAvailable, "the group is being removed");
            }
            if !group_now.members.is_empty() || !group_now.pending.is_empty() {
                return refuse(ResponseError::GroupIdNotFound, "the group has members of the classic protocol");
            }
            let consumers = group_now.consumers.get_or_insert_with(Consumers::new);
            consumers.alive_ms = self.clock.now_ms();
            let beaten = consumers.heartbeat(beat, allowed, world, Instant::now());
            let stored = self.keep_consumers(&group, &mut group_now);
            group_now.changed.notify_one();
            (beaten, stored)
        };
        self.ensure_tended(&group);
        if let Some(stored) = stored
            && !stored.await.unwrap_or(false)
        {
            return refuse(ResponseError::CoordinatorNotAvailable, "the group could not be stored");
        }
        beaten
    }

    /// Queues what has changed of a group's members, if anything has; what it returns tells whether that was stored.
    pub(super) fn keep_consumers(
        &self,
        group: &Arc<Mutex<Group>>,
        locked: &mut Group,
    ) -> Option<oneshot::Receiver<bool>> {
        let is_news = match &mut locked.consumers {
            Some(consumers) => std::mem::take(&mut consumers.changed),
            None => !locked.kept.is_empty(),
        };
        if !is_news {
            return None;
        }
        let next = locked.consumers.as_ref().map(|consumers| consumers.records(&locked.id)).unwrap_or_default();
        let gone = locked.kept.keys().filter(|key| !next.contains_key(*key)).map(|key| (key.clone(), None));
        let new = next.iter().filter(|(key, value)| locked.kept.get(*key) != Some(value));
        let entries: Vec<Entry> = gone.chain(new.map(|(key, value)| (key.clone(), Some(value.clone())))).collect();
        if entries.is_empty() {
            return None;
        }
        let keys: Vec<Vec<u8>> = entries.iter().map(|(key, _)| key.clone()).collect();
        locked.kept = next;
        let (tell, stored) = oneshot::channel();
        let (target, lost) = (Arc::clone(group), keys.clone());
        let queued = self.store.put(Content::Plain(entries), move |stored| {
            if !stored {
                lock(&target).forget_kept(lost);
            }
            let _ = tell.send(stored);
        });
        if !queued {
            locked.forget_kept(keys);
        }
        Some(stored)
    }
}

impl Group {
    /// What the log says under these keys is not known: they are written with the next change.
    fn forget_kept(&mut self, keys: Vec<Vec<u8>>) {
        self.kept.extend(keys.into_iter().map(|key| (key, Vec::new())));
        if let Some(consumers) = &mut self.consumers {
            consumers.changed = true;
        }
    }
}
