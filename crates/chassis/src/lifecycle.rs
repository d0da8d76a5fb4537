//! Starting parts in order, stopping them in reverse, each within a limit; and when to stop.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures::future::select_all;
use serde::Deserialize;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::error::{BoxError, Error};

/// The exit code after a second Ctrl-C or SIGTERM.
const IMPATIENT_EXIT: i32 = 130;

/// The section `lifecycle`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LifecycleConfig {
    /// How long one part may take to start.
    pub part_start_timeout_ms: u64,
    /// How long one part may take to stop before it is cut off.
    pub part_stop_timeout_ms: u64,
}

/// Says once, to everybody who holds a clone, that it is time to stop.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    token: CancellationToken,
}

impl Shutdown {
    /// One that only [`Shutdown::trigger`] sets off.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One that the first Ctrl-C or SIGTERM sets off; a second one ends the process at once
    /// with exit code 130.
    ///
    /// # Errors
    /// The signal handlers cannot be set.
    pub fn on_signals() -> Result<Self, Error> {
        let shutdown = Self::new();
        let mut signals = Signals::listen().map_err(Error::Signals)?;
        let trigger = shutdown.clone();
        tokio::spawn(async move {
            let signal = signals.next().await;
            tracing::info!(signal, "stopping; once more to stop at once");
            trigger.trigger();
            let signal = signals.next().await;
            tracing::warn!(signal, "stopping at once");
            std::process::exit(IMPATIENT_EXIT);
        });
        Ok(shutdown)
    }

    /// Asks everybody to stop. Further calls do nothing.
    pub fn trigger(&self) {
        self.token.cancel();
    }

    /// Waits until it is time to stop.
    pub async fn requested(&self) {
        self.token.cancelled().await;
    }

    /// Whether it is time to stop.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.token.is_cancelled()
    }

    /// The token itself, for libraries that take one.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }
}

/// A part that is running: its work, and the token that asks it to stop.
#[derive(Debug)]
pub struct Running {
    stop: CancellationToken,
    work: Option<JoinHandle<Result<(), BoxError>>>,
}

impl Running {
    /// Runs `work` in the background. It gets the token that asks it to stop, and is to end
    /// soon after; ending earlier brings the whole process down.
    pub fn spawn<W, F, E>(work: W) -> Self
    where
        W: FnOnce(CancellationToken) -> F,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError> + 'static,
    {
        let stop = CancellationToken::new();
        let work = work(stop.clone());
        let work = tokio::spawn(async move { work.await.map_err(Into::into) });
        Self { stop, work: Some(work) }
    }

    /// A part without background work of its own, which only has something to do at its stop.
    pub fn until_stopped<C, F, E>(cleanup: C) -> Self
    where
        C: FnOnce() -> F + Send + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError> + 'static,
    {
        Self::spawn(|stop| async move {
            stop.cancelled().await;
            cleanup().await
        })
    }

    fn work(&mut self) -> &mut JoinHandle<Result<(), BoxError>> {
        self.work.as_mut().expect("only taken when the part is stopped, which consumes it")
    }
}

/// Never left running unattended: dropped without a stop, the work is asked to end.
impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The parts of a process.
///
/// ```
/// # use chassis::{Error, Parts, Running, Shutdown};
/// # use chassis::lifecycle::LifecycleConfig;
/// # async fn example(limits: LifecycleConfig) -> Result<(), Error> {
/// let mut parts = Parts::new(Shutdown::on_signals()?, &limits);
/// let port = parts
///     .start("clock", async {
///         let running = Running::spawn(|stop| async move {
///             stop.cancelled().await;
///             Ok::<(), std::io::Error>(())
///         });
///         Ok::<_, std::io::Error>((3001, running))
///     })
///     .await?;
/// parts.run().await
/// # }
/// ```
#[derive(Debug)]
pub struct Parts {
    shutdown: Shutdown,
    start_limit: Duration,
    stop_limit: Duration,
    started: Vec<(String, Running)>,
}

impl Parts {
    /// No parts yet.
    #[must_use]
    pub fn new(shutdown: Shutdown, limits: &LifecycleConfig) -> Self {
        Self {
            shutdown,
            start_limit: Duration::from_millis(limits.part_start_timeout_ms),
            stop_limit: Duration::from_millis(limits.part_stop_timeout_ms),
            started: Vec::new(),
        }
    }

    /// Starts a part, after those before it: waits for `starting`, which gives something of the
    /// part's for the others (its address, say) and the running part.
    ///
    /// # Errors
    /// The part failed, took too long, or a stop was asked for meanwhile. All parts started
    /// before have then been stopped, in reverse order.
    pub fn start<'a, T, E>(
        &'a mut self,
        part: &'a str,
        starting: impl Future<Output = Result<(T, Running), E>> + 'a,
    ) -> impl Future<Output = Result<T, Error>>
    where
        T: 'a,
        E: Into<BoxError> + 'a,
    {
        // A part has a lot to remember while it starts, and who starts it should not have to.
        self.await_start(part, Box::pin(starting))
    }

    async fn await_start<T, E>(
        &mut self,
        part: &str,
        starting: Pin<Box<impl Future<Output = Result<(T, Running), E>>>>,
    ) -> Result<T, Error>
    where
        E: Into<BoxError>,
    {
        let name = || part.to_owned();
        let outcome = tokio::select! {
            biased;
            () = self.shutdown.requested() => Err(Error::StartInterrupted { part: name() }),
            outcome = timeout(self.start_limit, starting) => match outcome {
                Ok(Ok(started)) => Ok(started),
                Ok(Err(source)) => Err(Error::PartStart { part: name(), source: source.into() }),
                Err(_) => {
                    let limit_ms = self.start_limit.as_millis();
                    Err(Error::PartStartTimedOut { part: name(), limit_ms })
                }
            },
        };
        match outcome {
            Ok((value, running)) => {
                tracing::info!(part, "part started");
                self.started.push((name(), running));
                Ok(value)
            }
            Err(error) => {
                // The first error is the one to tell; those of the stops are logged.
                let _ = self.stop_all().await;
                Err(error)
            }
        }
    }

    /// Waits until it is time to stop, or until a part ends by itself; then stops all parts in
    /// reverse order.
    ///
    /// # Errors
    /// A part ended by itself, or else the first that did not stop properly.
    pub async fn run(mut self) -> Result<(), Error> {
        let ended = tokio::select! {
            biased;
            () = self.shutdown.requested() => None,
            ended = first_ended(&mut self.started) => Some(ended),
        };
        let Some((index, outcome)) = ended else {
            return self.stop_all().await;
        };
        let (part, mut running) = self.started.remove(index);
        running.work = None;
        let error = match outcome {
            Ok(Ok(())) => Error::PartEnded { part },
            Ok(Err(source)) => Error::PartFailed { part, source },
            Err(_) => Error::PartPanicked { part },
        };
        tracing::error!(error = eventkit::chain(&error), "part is gone; stopping the others");
        self.shutdown.trigger();
        let _ = self.stop_all().await;
        Err(error)
    }

    /// Stops all parts in reverse order of their start.
    ///
    /// # Errors
    /// The first part that did not stop properly; the others are stopped all the same.
    pub async fn stop(mut self) -> Result<(), Error> {
        self.stop_all().await
    }

    async fn stop_all(&mut self) -> Result<(), Error> {
        let mut first = Ok(());
        while let Some((part, running)) = self.started.pop() {
            match self.stop_one(&part, running).await {
                Ok(()) => tracing::info!(part, "part stopped"),
                Err(error) => {
                    tracing::error!(error = eventkit::chain(&error), "part did not stop properly");
                    first = first.and(Err(error));
                }
            }
        }
        first
    }

    async fn stop_one(&self, part: &str, mut running: Running) -> Result<(), Error> {
        let part = part.to_owned();
        running.stop.cancel();
        match timeout(self.stop_limit, running.work()).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(source))) => Err(Error::PartFailed { part, source }),
            Ok(Err(_)) => Err(Error::PartPanicked { part }),
            Err(_) => {
                running.work().abort();
                Err(Error::PartStopTimedOut { part, limit_ms: self.stop_limit.as_millis() })
            }
        }
    }
}

type Outcome = Result<Result<(), BoxError>, JoinError>;

async fn first_ended(started: &mut [(String, Running)]) -> (usize, Outcome) {
    if started.is_empty() {
        return std::future::pending().await;
    }
    let (outcome, index, _) = select_all(started.iter_mut().map(|(_, part)| part.work())).await;
    (index, outcome)
}

/// Waits until somebody wants this process to stop: by Ctrl-C or, where there is one, by SIGTERM. From the first call on
/// they do not end it by themselves.
pub async fn asked_to_stop() {
    match Signals::listen() {
        Ok(mut signals) => drop(signals.next().await),
        // Whoever cannot be asked goes on.
        Err(_) => std::future::pending().await,
    }
}

/// Ctrl-C and, where there is one, SIGTERM.
struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(windows)]
    interrupt: tokio::signal::windows::CtrlC,
}

impl Signals {
    #[cfg(unix)]
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    #[cfg(windows)]
    fn listen() -> std::io::Result<Self> {
        Ok(Self { interrupt: tokio::signal::windows::ctrl_c()? })
    }

    #[cfg(unix)]
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "interrupt",
            _ = self.terminate.recv() => "terminate",
        }
    }

    #[cfg(windows)]
    async fn next(&mut self) -> &'static str {
        self.interrupt.recv().await;
        "interrupt"
    }
}
