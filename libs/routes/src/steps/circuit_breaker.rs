//! `circuitBreaker`: steps that fail too often are left out for a while.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::check::{Element, OptionSpec, Spec, Takes};
use crate::compile::Builder;
use crate::exchange::{Exception, Exchange, Text, Value, class};
use crate::run::{Block, Cx, Running, Step, drive};

use super::StepKind;

const COUNTED_MAX: i64 = 100_000;

static RESILIENCE: Spec = Spec {
    name: "resilience4jConfiguration",
    about: "When the circuit opens and closes",
    options: &[
        OptionSpec::new("failureRateThreshold", Takes::Decimal, "from which percentage of failures it opens (50)"),
        OptionSpec::new("minimumNumberOfCalls", Takes::Integer(1, COUNTED_MAX), "how many calls are needed for that (100)"),
        OptionSpec::new("slidingWindowSize", Takes::Integer(1, COUNTED_MAX), "how many calls count (100)"),
        OptionSpec::new(
            "slidingWindowType",
            Takes::OneOf(&["COUNT_BASED"]),
            "that the last calls count, and not those of a time",
        ),
        OptionSpec::new("waitDurationInOpenState", Takes::Integer(1, 86_400), "how many seconds it stays open (60)"),
        OptionSpec::new(
            "permittedNumberOfCallsInHalfOpenState",
            Takes::Integer(1, COUNTED_MAX),
            "how many calls are tried then (10)",
        ),
        OptionSpec::new("timeoutEnabled", Takes::Bool, "whether a call may take only so long (false)"),
        OptionSpec::new("timeoutDuration", Takes::Integer(1, 86_400_000), "how many milliseconds (1000)"),
        OptionSpec::new("throwExceptionWhenHalfOpenOrOpenState", Takes::Bool, "whether it fails without fallback (false)"),
        OptionSpec::unused("automaticTransitionFromOpenToHalfOpenEnabled", &Takes::Bool, "the next call is the first tried"),
        OptionSpec::unused("writableStackTraceEnabled", &Takes::Bool, "there are no stack traces"),
        OptionSpec::unused("timeoutCancelRunningFuture", &Takes::Bool, "what takes too long is always ended"),
        OptionSpec::meaningless("timeoutExecutorService", "there are no threads"),
        OptionSpec::unused("asynchronous", &Takes::Bool, "nothing holds a thread"),
        OptionSpec::unused("slidingWindowSynchronizationStrategy", &Takes::OneOf(&["LOCK_FREE", "SYNCHRONIZED"]), "there are no threads"),
        OptionSpec::refused("maxWaitDurationInHalfOpenState", "the next call is the first tried"),
        OptionSpec::refused("bulkheadFairCallHandlingEnabled", "use `throttle` with the mode `ConcurrentRequests`"),
        OptionSpec::refused("bulkheadEnabled", "use `throttle` with the mode `ConcurrentRequests`"),
        OptionSpec::refused("bulkheadMaxConcurrentCalls", "use `throttle` with the mode `ConcurrentRequests`"),
        OptionSpec::refused("bulkheadMaxWaitDuration", "use `throttle` with the mode `ConcurrentRequests`"),
        OptionSpec::refused("circuitBreaker", "write its options"),
        OptionSpec::refused("config", "write its options"),
        OptionSpec::refused("ignoreException", "use `doTry` inside of the steps"),
        OptionSpec::refused("recordException", "use `doTry` inside of the steps"),
        OptionSpec::refused("slowCallDurationThreshold", "use `timeoutEnabled`"),
        OptionSpec::refused("slowCallRateThreshold", "use `timeoutEnabled`"),
        OptionSpec::refused("micrometerEnabled", "routes are counted anyway"),
    ],
    ..Spec::EMPTY
};

static FALLBACK: Spec = Spec {
    name: "onFallback",
    about: "What is done instead",
    options: &[
        OptionSpec::new("steps", Takes::Steps, "the steps"),
        OptionSpec::refused("fallbackViaNetwork", "there is one kind of fallback"),
    ],
    ..Spec::EMPTY
};

pub(super) static STEP: StepKind = StepKind {
    spec: Spec {
        name: "circuitBreaker",
        about: "Leaves steps out for a while when they fail too often",
        options: &[
            OptionSpec::new("steps", Takes::Steps, "the steps"),
            OptionSpec::new("onFallback", Takes::One(&FALLBACK), "what is done instead, and when they fail"),
            OptionSpec::new("resilience4jConfiguration", Takes::One(&RESILIENCE), "when the circuit opens and closes"),
            OptionSpec::refused("configuration", "write `resilience4jConfiguration` with its options"),
            OptionSpec::refused("faultToleranceConfiguration", "write `resilience4jConfiguration`"),
        ],
        ..Spec::EMPTY
    },
    build,
};

fn build(element: &Element, builder: &mut Builder<'_>) -> Option<Box<dyn Step>> {
    let says = element.one("resilience4jConfiguration");
    let count = |name: &str, default: usize| says.and_then(|says| says.count(name)).unwrap_or(default);
    let window = count("slidingWindowSize", 100);
    let is_timed = says.is_some_and(|says| says.is_on("timeoutEnabled"));
    let timeout_ms = says.and_then(|says| says.integer("timeoutDuration")).unwrap_or(1_000);
    let open_s = says.and_then(|says| says.integer("waitDurationInOpenState")).unwrap_or(60);
    Some(Box::new(CircuitBreaker {
        block: builder.block(element.steps("steps")),
        fallback: element.one("onFallback").map(|fallback| builder.block(fallback.steps("steps"))),
        window,
        calls_min: count("minimumNumberOfCalls", 100).min(window),
        threshold: says.and_then(|says| says.decimal("failureRateThreshold")).unwrap_or(50.0),
        open: Duration::from_secs(u64::try_from(open_s).unwrap_or(60)),
        probes: count("permittedNumberOfCallsInHalfOpenState", 10),
        timeout: is_timed.then(|| Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(1_000))),
        throws: says.is_some_and(|says| says.is_on("throwExceptionWhenHalfOpenOrOpenState")),
        circuit: Mutex::new(Circuit::Closed(VecDeque::new())),
    }))
}

#[derive(Debug)]
struct CircuitBreaker {
    block: Block,
    fallback: Option<Block>,
    window: usize,
    calls_min: usize,
    threshold: f64,
    open: Duration,
    probes: usize,
    timeout: Option<Duration>,
    throws: bool,
    circuit: Mutex<Circuit>,
}

#[derive(Debug)]
enum Circuit {
    /// Calls go through; whether the last ones failed.
    Closed(VecDeque<bool>),
    /// No call goes through before then.
    Open(Instant),
    /// Some calls go through: how many have begun, and whether those that ended failed.
    HalfOpen(usize, VecDeque<bool>),
}

/// The place of a call that has been let through; a call that is cut off gives it back.
struct Place<'c>(Option<&'c CircuitBreaker>);

impl Place<'_> {
    fn record(mut self, is_failed: bool) {
        if let Some(breaker) = self.0.take() {
            breaker.record(is_failed);
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let Some(breaker) = self.0 else { return };
        let mut circuit = breaker.circuit.lock().unwrap_or_else(PoisonError::into_inner);
        if let Circuit::HalfOpen(begun, _) = &mut *circuit {
            *begun = begun.saturating_sub(1);
        }
    }
}

impl CircuitBreaker {
    /// Whether a call may go through now.
    fn admits(&self) -> bool {
        let mut circuit = self.circuit.lock().unwrap_or_else(PoisonError::into_inner);
        if let Circuit::Open(until) = &*circuit {
            if Instant::now() < *until {
                return false;
            }
            *circuit = Circuit::HalfOpen(0, VecDeque::new());
        }
        match &mut *circuit {
            Circuit::HalfOpen(begun, _) if *begun >= self.probes => false,
            Circuit::HalfOpen(begun, _) => {
                *begun += 1;
                true
            }
            _ => true,
        }
    }

    fn record(&self, is_failed: bool) {
        let mut circuit = self.circuit.lock().unwrap_or_else(PoisonError::into_inner);
        let (calls, enough) = match &mut *circuit {
            Circuit::Open(_) => return,
            Circuit::Closed(calls) => (calls, self.calls_min),
            Circuit::HalfOpen(_, calls) => (calls, self.probes),
        };
        calls.push_back(is_failed);
        while calls.len() > self.window.max(self.probes) {
            calls.pop_front();
        }
        if calls.len() < enough {
            return;
        }
        let failed = calls.iter().filter(|failed| **failed).count();
        #[expect(clippy::cast_precision_loss, reason = "a percentage of at most some thousands")]
        let rate = failed as f64 * 100.0 / calls.len() as f64;
        if rate >= self.threshold {
            *circuit = Circuit::Open(Instant::now() + self.open);
        } else if matches!(*circuit, Circuit::HalfOpen(..)) {
            *circuit = Circuit::Closed(VecDeque::new());
        }
    }

    async fn call(&self, exchange: &mut Exchange, cx: &Cx<'_>) {
        let inner = Cx { errors: None, ..*cx };
        let Some(timeout) = self.timeout else {
            return drive(&self.block.entries, exchange, &inner).await;
        };
        let (before, hooks) = (exchange.copy(), exchange.hooks.len());
        if tokio::time::timeout(timeout, drive(&self.block.entries, exchange, &inner)).await.is_err() {
            exchange.come_back(before);
            exchange.hooks.split_off(hooks).run(true).await;
            let message = format!("steps took longer than {} ms", timeout.as_millis());
            exchange.fail(Exception::new(&class::TIMEOUT, message));
        }
    }
}

const SHORT_CIRCUITED: Text = Text::fixed("CamelCircuitBreakerResponseShortCircuited");
const FROM_FALLBACK: Text = Text::fixed("CamelCircuitBreakerResponseFromFallback");
const SUCCESSFUL: Text = Text::fixed("CamelCircuitBreakerSuccessfulExecution");
const REJECTED: Text = Text::fixed("CamelCircuitBreakerResponseRejected");

impl Step for CircuitBreaker {
    fn run<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, cx: &'e Cx<'e>) -> Running<'s, 'e> {
        Running::Later(Box::pin(async move {
            let is_admitted = self.admits();
            let before = exchange.message.clone();
            if is_admitted {
                let place = Place(Some(self));
                self.call(exchange, cx).await;
                place.record(exchange.is_failed());
            } else {
                exchange.properties.insert(REJECTED, Value::Bool(true));
                exchange.fail(Exception::new(&class::CALL_NOT_PERMITTED, "CircuitBreaker is OPEN and does not permit further calls"));
            }
            let is_successful = !exchange.is_failed();
            exchange.properties.insert(SUCCESSFUL, Value::Bool(is_successful));
            exchange.properties.insert(FROM_FALLBACK, Value::Bool(false));
            if is_successful {
                return Ok(());
            }
            exchange.properties.insert(SHORT_CIRCUITED, Value::Bool(true));
            match &self.fallback {
                Some(fallback) => {
                    exchange.catch();
                    exchange.message = before;
                    exchange.properties.insert(FROM_FALLBACK, Value::Bool(true));
                    drive(&fallback.entries, exchange, cx).await;
                }
                None if !is_admitted && !self.throws => {
                    exchange.clear_exception();
                }
                None => {}
            }
            Ok(())
        }))
    }
}
