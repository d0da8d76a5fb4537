//! A test that tells stories: how one is begun, and how long all of it may take.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use demo::{Plan, Story};
use eventkit::Clock;

use crate::system::System;

/// How long a test may take that tells stories, on a busy machine.
const TEST_MAX: Duration = Duration::from_secs(300);

/// How long anything may take to come true, on a busy machine.
const ARRIVE_MAX: Duration = Duration::from_secs(90);
/// How often it is looked for: each look asks processes.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// Asks `state` again and again until it answers `Some`.
///
/// # Panics
/// It does not in a minute and a half; the message names `what` was waited for.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut state: impl FnMut() -> F) -> T {
    let mut looks = tokio::time::interval(LOOK_PAUSE);
    let reached = tokio::time::timeout(ARRIVE_MAX, async {
        loop {
            looks.tick().await;
            if let Some(reached) = state().await {
                return reached;
            }
        }
    });
    reached.await.unwrap_or_else(|_| panic!("not within {ARRIVE_MAX:?}: {what}"))
}

/// Which step of a test is under way.
#[derive(Debug, Default)]
pub struct Stage {
    step: Mutex<String>,
}

impl Stage {
    /// The test comes to its next step.
    pub fn enter(&self, step: impl Into<String>) {
        *self.step.lock().unwrap_or_else(PoisonError::into_inner) = step.into();
    }

    fn step(&self) -> String {
        self.step.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Runs a test to its end.
///
/// # Panics
/// It takes more than five minutes, or `longer` than that; the message tells at which step it hung.
pub async fn within_time(longer: Duration, test: impl AsyncFnOnce(&Stage)) {
    let stage = Stage::default();
    let time_max = TEST_MAX + longer;
    let outcome = tokio::time::timeout(time_max, Box::pin(test(&stage))).await;
    assert!(outcome.is_ok(), "after {} s the test was still at: {}", time_max.as_secs(), stage.step());
}

/// A story for this system.
///
/// # Errors
/// The operator's token cannot be read.
pub fn story(system: &System, plan: Plan) -> anyhow::Result<Story> {
    Ok(Story {
        addresses: system.addresses(),
        kafka: system.kafka(),
        operator_token: system.operator_token("user-service")?,
        now_ms: Clock::system().now_ms(),
        plan,
        progress: Arc::new(|_, _| {}),
    })
}
