//! What steps remember between exchanges: which keys have been seen, what groups have collected.
//!
//! Where that is kept is for whoever runs the engine to say, with a [`StateStore`]; without one it is in memory and ends
//! with its routes. A store is given contents as bytes and asks nothing about them.

mod memory;

use std::fmt;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::exchange::{Exception, Result, Text, class};
use crate::run::BoxFuture;

pub(crate) use memory::Memory;

/// The longest name that a store is given; longer ones are given as their digest.
pub const NAME_BYTES_MAX: usize = 200;

/// Whose state it is, the same after a restart and in every revision of a route.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// The route, or the file in which a bean is declared.
    pub owner: Text,
    /// The step of the route, or the bean.
    pub name: Text,
}

/// Keeps the state of steps.
pub trait StateStore: Send + Sync + fmt::Debug {
    /// The keys of a place, of which as many are kept as are said; the oldest go first.
    fn keys(&self, place: Place, keys_max: usize) -> Box<dyn Keys>;

    /// The groups of a place.
    fn groups(&self, place: Place) -> Box<dyn Groups>;
}

/// Keys that have been seen.
///
/// A key belongs to the owner that added it, which names the exchange and is the same when that comes again; keys that
/// nobody owns have an empty owner. What a method has answered outlives the process, if the store does.
pub trait Keys: Send + Sync + fmt::Debug {
    /// Adds a key; whether nobody had it, or this owner did.
    fn add<'a>(&'a self, key: &'a Text, owner: &'a Text) -> BoxFuture<'a, Result<bool>>;

    /// Whether somebody has a key, other than this owner.
    fn is_taken<'a>(&'a self, key: &'a Text, owner: &'a Text) -> BoxFuture<'a, Result<bool>>;

    /// Takes a key from its owner.
    fn remove<'a>(&'a self, key: &'a Text, owner: &'a Text) -> BoxFuture<'a, Result<()>>;
}

/// Groups that collect members until they are complete.
pub trait Groups: Send + Sync + fmt::Debug {
    /// Whether what is kept here outlives the process: only then it is given the contents of members and exchanges.
    fn is_durable(&self) -> bool;

    /// Has a group changed as `decide` says, which nobody else changes meanwhile; `decide` is asked once at the most.
    ///
    /// # Errors
    /// What `decide` answers, after which nothing has changed, or what the store says: an exception of the class
    /// `java.io.IOException`, here as everywhere, if the same may succeed later.
    fn change<'a>(&'a self, wanted: Wanted<'a>, decide: Decide<'a>) -> BoxFuture<'a, Result<Changing>>;

    /// The groups whose time has come, at the most `most` of them.
    fn due(&self, now_ms: i64, most: usize) -> BoxFuture<'_, Result<Vec<Text>>>;

    /// All groups, at the most `most` of them.
    fn all(&self, most: usize) -> BoxFuture<'_, Result<Vec<Text>>>;

    /// When the time of the next group comes.
    fn next_due_ms(&self) -> BoxFuture<'_, Result<Option<i64>>>;

    /// Complete groups whose steps somebody else began to run and did not end, or which are to be tried again; from then
    /// on they are the caller's, as [`Changed::Complete`] is.
    fn left_over(&self, now_ms: i64, most: usize) -> BoxFuture<'_, Result<Vec<Complete>>>;

    /// Says that somebody still runs the steps of a complete group.
    fn renew(&self, number: i64, now_ms: i64) -> BoxFuture<'_, Result<()>>;

    /// The steps of a complete group have been run.
    fn done(&self, number: i64) -> BoxFuture<'_, Result<()>>;

    /// The steps of a complete group have failed: they are to be run again at `again_ms`, or when the route starts anew.
    fn failed(&self, number: i64, again_ms: Option<i64>) -> BoxFuture<'_, Result<()>>;

    /// The route has started: complete groups that wait for that are to be run again.
    fn started(&self) -> BoxFuture<'_, Result<()>>;
}

/// Which group is to be changed, and by whom.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The group.
    pub key: &'a Text,
    /// What names the member that is to be added, the same when its exchange comes again; a group is joined once by each.
    pub member: Option<&'a Text>,
    /// The mark of the group that the caller knows.
    pub known: Option<i64>,
    /// How many keys of complete groups are refused afterwards, if any are.
    pub closed_max: Option<usize>,
    /// The time now.
    pub now_ms: i64,
}

/// Says what is to become of a group.
pub type Decide<'a> = &'a mut (dyn FnMut(Found) -> Result<Change> + Send);

/// A group as it is kept.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// What there is of it; nothing if it begins only now.
    pub group: Option<Kept>,
    /// About how many groups there are.
    pub groups: usize,
    /// Whether its key is that of a complete group, and refused.
    pub is_closed: bool,
}

/// A group that has members.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    /// Another one after each change.
    pub mark: i64,
    /// How many members have joined.
    pub size: usize,
    /// When it is complete without another member, in milliseconds since 1970.
    pub due_ms: Option<i64>,
    /// The members in their order, unless the caller knows the mark.
    pub members: Option<Vec<Vec<u8>>>,
}

/// What is to become of a group.
#[derive(Debug, Clone)]
pub enum Change {
    /// It stays as it is; the member has not joined.
    Stay,
    /// A member joins.
    Join {
        /// The member.
        member: Vec<u8>,
        /// When the group is complete without another one.
        due_ms: Option<i64>,
    },
    /// It is complete, with these contents.
    Complete(Vec<u8>),
    /// It is given up.
    Drop {
        /// Whether its key is that of a complete group from now on.
        closes: bool,
    },
}

/// A change that has been made, and the wait until it is durable; nobody may act on it before.
pub struct Changing {
    /// What has become of the group.
    pub changed: Changed,
    /// Ends when the change is durable.
    pub durable: BoxFuture<'static, Result<()>>,
}

impl fmt::Debug for Changing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Changing").field(&self.changed).finish()
    }
}

/// What has become of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// The member had joined before, and nothing has changed.
    Before,
    /// It stayed as it was.
    Stayed,
    /// A member joined.
    Joined {
        /// The new mark of the group.
        mark: i64,
    },
    /// It is complete, and its steps are the caller's to run: see [`Groups::done`].
    Complete {
        /// Which complete group it is.
        number: i64,
    },
    /// It was given up.
    Dropped,
}

/// A complete group whose steps are to be run.
#[derive(Debug, Clone)]
pub struct Complete {
    /// Which one it is.
    pub number: i64,
    /// How often that was tried and failed.
    pub failures: u32,
    /// The contents with which it became complete.
    pub content: Vec<u8>,
}

/// A name that every store can keep: the text itself, or its digest where it is long or has what databases refuse.
pub(crate) fn name(text: &Text) -> Text {
    if text.len() <= NAME_BYTES_MAX && !text.contains('\0') {
        return text.clone();
    }
    let digest: String = Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    Text::from(format!("sha256:{digest}"))
}

/// The first wait after a store could not do something, and the longest.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// Asks a store until it can do something, each time after a little longer wait.
///
/// # Errors
/// A failure that stays.
pub(crate) async fn patiently<T, F: Future<Output = Result<T>>>(mut ask: impl FnMut() -> F) -> Result<T> {
    let mut wait = RETRY_FIRST;
    loop {
        match ask().await {
            Err(exception) if may_pass(&exception) => {
                tracing::warn!(%exception, wait_ms = wait.as_millis(), "state of routes cannot be kept for now");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(RETRY_MAX);
            }
            answer => return answer,
        }
    }
}

/// Whether a store that could not do something may be able to later.
pub(crate) fn may_pass(exception: &Exception) -> bool {
    exception.class().is_a(&class::IO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_and_strange_ones_are_digests() {
        assert_eq!(name(&Text::fixed("short")), "short");
        let (long, strange) = (Text::from("x".repeat(NAME_BYTES_MAX + 1)), Text::fixed("a\0b"));
        for text in [&long, &strange] {
            assert!(name(text).starts_with("sha256:") && name(text).len() < NAME_BYTES_MAX);
        }
        assert_ne!(name(&long), name(&strange));
    }
}
