//! What an exchange follows from, and where it stands among all that follows from that: so that what is sent
//! twice for one cause is the same both times.

use std::sync::atomic::{AtomicU32, Ordering};

use uuid::Uuid;

use super::body::Body;
use super::text::Text;

/// Where an exchange comes from; copies are branches of it.
#[derive(Debug, Default)]
pub(super) struct Lineage {
    cause: Option<Cause>,
    /// Where the cause was read: the same when it is read there again, another one for a second copy of it.
    source: Option<Text>,
    /// Which copy of which copy it is.
    path: Text,
    /// How many copies have been made of it.
    copies: AtomicU32,
    /// How many records it has sent.
    sent: u32,
}

#[derive(Debug, Clone)]
struct Cause {
    identity: Text,
    body: Body,
}

/// A lineage piece by piece.
pub(super) struct Parts<'l> {
    pub(super) identity: Option<&'l Text>,
    pub(super) source: Option<&'l Text>,
    /// Whether the body beside it is the one that the cause came with.
    pub(super) has_body: bool,
    pub(super) path: &'l Text,
    pub(super) copies: u32,
    pub(super) sent: u32,
}

/// How far an exchange had come in making copies and sending.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Progressed(u32, u32);

impl Lineage {
    pub(super) fn follow(&mut self, identity: Text, body: Body) {
        *self = Self { cause: Some(Cause { identity, body }), ..Self::default() };
    }

    pub(super) fn cause(&self) -> Option<&Text> {
        self.cause.as_ref().map(|cause| &cause.identity)
    }

    /// Whether this is the body that the cause came with.
    pub(super) fn came_with(&self, body: &Body) -> bool {
        self.cause.as_ref().is_some_and(|cause| cause.body.is_same(body))
    }

    /// Says where the cause was read.
    pub(super) fn came_from(&mut self, source: Text) {
        self.source = Some(source);
    }

    /// All of it, to be kept beside `body`.
    pub(super) fn parts(&self, body: &Body) -> Parts<'_> {
        Parts {
            identity: self.cause(),
            source: self.source.as_ref(),
            has_body: self.came_with(body),
            path: &self.path,
            copies: self.copies.load(Ordering::Relaxed),
            sent: self.sent,
        }
    }

    /// Becomes what [`Self::parts`] told.
    pub(super) fn resume(
        &mut self,
        identity: Text,
        body: Body,
        source: Option<Text>,
        path: Text,
        (copies, sent): (u32, u32),
    ) {
        *self = Self { cause: Some(Cause { identity, body }), source, path, copies: AtomicU32::new(copies), sent };
    }

    pub(super) fn is_branch(&self) -> bool {
        !self.path.is_empty()
    }

    pub(super) fn branch(&self) -> Self {
        let Some(cause) = &self.cause else { return Self::default() };
        let number = self.copies.fetch_add(1, Ordering::Relaxed);
        let path = Text::from(format!("{}.{number}", self.path));
        Self { cause: Some(cause.clone()), source: self.source.clone(), path, ..Self::default() }
    }

    /// What names this step of a route for this exchange, wherever its cause was read; UUIDv5.
    pub(super) fn next_occurrence(&mut self, route: &str) -> Option<Uuid> {
        let source = self.source.as_ref()?;
        let name = format!("{source}/{route}/{}/{}", self.path, self.sent);
        self.sent += 1;
        Some(Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()))
    }

    /// The id of what a route sends next; UUIDv5 over the cause, the route, the copy and how many were sent.
    pub(super) fn next_id(&mut self, route: &str) -> Option<Uuid> {
        let Cause { identity, .. } = self.cause.as_ref()?;
        let name = format!("{identity}/{route}/{}/{}", self.path, self.sent);
        self.sent += 1;
        Some(Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()))
    }

    pub(super) fn progressed(&self) -> Progressed {
        Progressed(self.copies.load(Ordering::Relaxed), self.sent)
    }

    pub(super) fn go_back(&mut self, Progressed(copies, sent): Progressed) {
        self.copies = AtomicU32::new(copies);
        self.sent = sent;
    }
}

impl Clone for Lineage {
    fn clone(&self) -> Self {
        let Self { cause, source, path, copies, sent } = self;
        let copies = AtomicU32::new(copies.load(Ordering::Relaxed));
        Self { cause: cause.clone(), source: source.clone(), path: path.clone(), copies, sent: *sent }
    }
}
