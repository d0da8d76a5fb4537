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

    pub(super) fn is_branch(&self) -> bool {
        !self.path.is_empty()
    }

    pub(super) fn branch(&self) -> Self {
        let Some(cause) = &self.cause else { return Self::default() };
        let number = self.copies.fetch_add(1, Ordering::Relaxed);
        let path = Text::from(format!("{}.{number}", self.path));
        Self { cause: Some(cause.clone()), path, ..Self::default() }
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
        let Self { cause, path, copies, sent } = self;
        let copies = AtomicU32::new(copies.load(Ordering::Relaxed));
        Self { cause: cause.clone(), path: path.clone(), copies, sent: *sent }
    }
}
