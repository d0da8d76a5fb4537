//! Points at which a test can let a process die or hang: in debug builds, and with the feature `failpoints`; nothing of
//! it is compiled into what is shipped.
//!
//! A point has a name and a scope (the service, relay or consumer group that passes it), so that tests in one process
//! do not disturb each other.

/// A unit of work has changed state and is about to store its event.
pub const AFTER_STATE_WRITE: &str = "after-state-write";
/// A unit of work is about to be committed.
pub const BEFORE_COMMIT: &str = "before-commit";
/// A unit of work is durable and nobody has been told.
pub const AFTER_COMMIT: &str = "after-commit";
/// A relay's batch was acknowledged and its cursor has not moved.
pub const AFTER_PUBLISH: &str = "after-publish";
/// A handler's effect is durable and its offset is not committed.
pub const AFTER_EFFECT: &str = "after-effect";
/// A key is blocked and its dead letter is not published.
pub const AFTER_BLOCK: &str = "after-block";
/// A parked event had its effect and is still parked.
pub const AFTER_PARKED_EFFECT: &str = "after-parked-effect";
/// A dead letter's record is on its topic again, and nothing beside the letter says so.
pub const BEFORE_MARKER: &str = "before-marker";
/// A rebuilt projection is complete and not swapped in.
pub const BEFORE_SWAP: &str = "before-swap";

/// Passes a point.
macro_rules! failpoint {
    ($name:ident, $scope:expr) => {
        #[cfg(any(debug_assertions, feature = "failpoints"))]
        $crate::failpoint::pass($crate::failpoint::$name, $scope).await;
    };
}
pub(crate) use failpoint;

#[cfg(any(debug_assertions, feature = "failpoints"))]
pub use armed::{Action, Armed, arm, pass};

#[cfg(any(debug_assertions, feature = "failpoints"))]
mod armed {
    use std::collections::HashMap;
    use std::sync::{Arc, LazyLock, Mutex, PoisonError};

    use tokio::sync::Notify;

    type Key = (String, String);

    static ARMED: LazyLock<Mutex<HashMap<Key, Plan>>> = LazyLock::new(Mutex::default);

    /// What happens at an armed point.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Action {
        /// The process ends at once, as after kill -9.
        Abort,
        /// The task never goes on.
        Hang,
    }

    #[derive(Debug)]
    struct Plan {
        passes_left: u32,
        action: Action,
        reached: Arc<Notify>,
    }

    /// An armed point.
    #[derive(Debug)]
    pub struct Armed(Arc<Notify>);

    impl Armed {
        /// Waits until a task hangs at the point.
        pub async fn reached(&self) {
            self.0.notified().await;
        }
    }

    /// Has `action` happen when `scope` passes the point for the `nth` time (from 1); once.
    pub fn arm(name: &str, scope: &str, nth: u32, action: Action) -> Armed {
        let reached = Arc::new(Notify::new());
        let plan = Plan { passes_left: nth.saturating_sub(1), action, reached: reached.clone() };
        ARMED.lock().unwrap_or_else(PoisonError::into_inner).insert((name.to_owned(), scope.to_owned()), plan);
        Armed(reached)
    }

    /// Passes a point: goes on at once unless it is armed.
    pub async fn pass(name: &str, scope: &str) {
        if let Some(reached) = strike(name, scope) {
            reached.notify_one();
            std::future::pending::<()>().await;
        }
    }

    fn strike(name: &str, scope: &str) -> Option<Arc<Notify>> {
        let mut armed = ARMED.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (name.to_owned(), scope.to_owned());
        let plan = armed.get_mut(&key)?;
        if plan.passes_left > 0 {
            plan.passes_left -= 1;
            return None;
        }
        match armed.remove(&key)? {
            Plan { action: Action::Abort, .. } => std::process::abort(),
            Plan { reached, .. } => Some(reached),
        }
    }
}
