//! Points at which a test can let a process die, hang or fail: in debug builds, and with the feature `failpoints`; nothing of
//! it is compiled into what is shipped.
//!
//! A point has a name and a scope (the service, relay, consumer group or topic that passes it), so that tests in one
//! process do not disturb each other. [`ALL`] lists every point: a test that kills walks that list, so that a new point
//! is not forgotten.

use std::fmt;

/// Declares the points, and the list of them.
macro_rules! points {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub const $name: &str = $text;)*

        /// Every point there is.
        pub const ALL: &[&str] = &[$($name),*];
    };
}

points! {
    /// A unit of work has changed state and is about to store its event.
    AFTER_STATE_WRITE = "after-state-write";
    /// A unit of work is about to be committed.
    BEFORE_COMMIT = "before-commit";
    /// A unit of work is durable and nobody has been told.
    AFTER_COMMIT = "after-commit";
    /// A relay's batch was acknowledged and its cursor has not moved.
    AFTER_PUBLISH = "after-publish";
    /// A consumer group is about to hand events to a handler.
    IN_HANDLER = "in-handler";
    /// A handler's effect is durable and its offset is not committed.
    AFTER_EFFECT = "after-effect";
    /// Partitions are being taken away: what was in flight has ended and its offsets are not committed.
    DURING_REBALANCE = "during-rebalance";
    /// A key is blocked and its dead letter is not published.
    AFTER_BLOCK = "after-block";
    /// A parked event had its effect and is still parked.
    AFTER_PARKED_EFFECT = "after-parked-effect";
    /// Dead letters were sent back and that is not remembered yet.
    AFTER_REDRIVE = "after-redrive";
    /// A rebuilt projection is complete and not swapped in.
    BEFORE_SWAP = "before-swap";
    /// A rebuilt projection was put in the place of the running one and that is not committed.
    DURING_SWAP = "during-swap";
    /// A rebuilt projection is swapped in and nobody has been told.
    AFTER_SWAP = "after-swap";
}

/// Passes a point.
macro_rules! failpoint {
    ($name:ident, $scope:expr) => {
        #[cfg(any(debug_assertions, feature = "failpoints"))]
        $crate::failpoint::pass($crate::failpoint::$name, $scope).await;
    };
}
pub(crate) use failpoint;

#[cfg(any(debug_assertions, feature = "failpoints"))]
pub(crate) use armed::pass_or_fail;
#[cfg(any(debug_assertions, feature = "failpoints"))]
pub use armed::{Action, Armed, arm, arm_as_told, pass};

/// Passes a point: nothing is compiled in here that could be armed.
#[cfg(not(any(debug_assertions, feature = "failpoints")))]
pub async fn pass(_name: &str, _scope: &str) {}

/// As [`pass`].
#[cfg(not(any(debug_assertions, feature = "failpoints")))]
#[expect(clippy::unused_async, reason = "where there are points, it waits")]
pub(crate) async fn pass_or_fail(_name: &str, _scope: &str) -> Result<(), crate::HandlerError> {
    Ok(())
}

/// Answers [`NotArmed::NotCompiledIn`]: this build has no points.
///
/// # Errors
/// Always.
#[cfg(not(any(debug_assertions, feature = "failpoints")))]
pub fn arm_as_told(_spec: &str) -> Result<(), NotArmed> {
    Err(NotArmed::NotCompiledIn)
}

/// Why a point was not armed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotArmed {
    /// The build was made without points.
    NotCompiledIn,
    /// It is not `NAME[@SCOPE][:NTH][=ACTION]`, or there is no such point.
    Unknown(String),
}

impl fmt::Display for NotArmed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotCompiledIn => f.write_str("this build has no failpoints"),
            Self::Unknown(spec) => {
                write!(f, "{spec} is no failpoint: NAME[@SCOPE][:NTH][=fail|hang|panic] with one of {}", ALL.join(", "))
            }
        }
    }
}

impl std::error::Error for NotArmed {}

#[cfg(any(debug_assertions, feature = "failpoints"))]
mod armed {
    use std::collections::HashMap;
    use std::sync::{Arc, LazyLock, Mutex, PoisonError};

    use tokio::sync::Notify;

    use super::{ALL, NotArmed};
    use crate::error::HandlerError;

    /// Stands for every scope.
    const ANY_SCOPE: &str = "*";

    type Key = (String, String);

    static ARMED: LazyLock<Mutex<HashMap<Key, Plan>>> = LazyLock::new(Mutex::default);

    /// What happens at an armed point.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Action {
        /// The process ends at once, as after kill -9.
        Abort,
        /// The task never goes on.
        Hang,
        /// Whoever can fail there does, this time and every later one.
        FailAlways,
        /// The task never goes on, this time and every later one.
        HangAlways,
        /// The task panics, this time and every later one.
        PanicAlways,
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

    /// Has `action` happen when `scope` passes the point for the `nth` time (from 1); once, unless the action is for ever.
    pub fn arm(name: &str, scope: &str, nth: u32, action: Action) -> Armed {
        let reached = Arc::new(Notify::new());
        let plan = Plan { passes_left: nth.saturating_sub(1), action, reached: reached.clone() };
        ARMED.lock().unwrap_or_else(PoisonError::into_inner).insert((name.to_owned(), scope.to_owned()), plan);
        Armed(reached)
    }

    /// Arms the points that `spec` names, separated by commas: `NAME[@SCOPE][:NTH][=ACTION]`, any scope and the first time
    /// where nothing else is said. The process ends there at once; with `fail`, `hang` or `panic` only whoever passes the
    /// point does, from then on always.
    ///
    /// # Errors
    /// There is no such point or action.
    pub fn arm_as_told(spec: &str) -> Result<(), NotArmed> {
        let unknown = || NotArmed::Unknown(spec.to_owned());
        for one in spec.split(',') {
            let (point, action) = match one.split_once('=') {
                None => (one, Action::Abort),
                Some((point, "fail")) => (point, Action::FailAlways),
                Some((point, "hang")) => (point, Action::HangAlways),
                Some((point, "panic")) => (point, Action::PanicAlways),
                Some(_) => return Err(unknown()),
            };
            let (place, nth) = match point.rsplit_once(':') {
                Some((place, nth)) => (place, nth.parse().map_err(|_| unknown())?),
                None => (point, 1),
            };
            let (name, scope) = place.split_once('@').unwrap_or((place, ANY_SCOPE));
            if !ALL.contains(&name) {
                return Err(unknown());
            }
            arm(name, scope, nth, action);
        }
        Ok(())
    }

    /// Passes a point: goes on at once unless it is armed. What is to fail there goes on as well.
    pub async fn pass(name: &str, scope: &str) {
        // Nobody can fail here.
        let _ = pass_or_fail(name, scope).await;
    }

    /// As [`pass`], where the one who passes can fail.
    pub(crate) async fn pass_or_fail(name: &str, scope: &str) -> Result<(), HandlerError> {
        let Some((action, reached)) = strike(name, scope).or_else(|| strike(name, ANY_SCOPE)) else { return Ok(()) };
        reached.notify_one();
        match action {
            Action::Abort => std::process::abort(),
            Action::Hang | Action::HangAlways => std::future::pending().await,
            Action::FailAlways => Err(HandlerError::transient("a failpoint says so")),
            Action::PanicAlways => panic!("a failpoint says so"),
        }
    }

    fn strike(name: &str, scope: &str) -> Option<(Action, Arc<Notify>)> {
        let mut armed = ARMED.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (name.to_owned(), scope.to_owned());
        let plan = armed.get_mut(&key)?;
        if plan.passes_left > 0 {
            plan.passes_left -= 1;
            return None;
        }
        let struck = (plan.action, plan.reached.clone());
        if matches!(plan.action, Action::Abort | Action::Hang) {
            armed.remove(&key);
        }
        Some(struck)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn what_names_no_point_is_refused() {
            for spec in
                ["", "before-lunch", "after-commit:soon", "before-lunch@bank:3", "in-handler=dance", "in-handler,"]
            {
                assert_eq!(arm_as_told(spec), Err(NotArmed::Unknown(spec.to_owned())));
            }
        }
    }
}
