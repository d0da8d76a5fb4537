//! The broker's log as tests read it: every line above trace that is written in this thread, until it is dropped.

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{DefaultGuard, NoSubscriber};
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};

/// One line of the log.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) level: Level,
    pub(crate) target: String,
    /// Its message and fields, each as ` name=value`.
    pub(crate) text: String,
}

/// The lines since [`Lines::listen`].
pub(crate) struct Lines {
    lines: Arc<Mutex<Vec<Line>>>,
    _guard: DefaultGuard,
    _other: Dispatch,
}

impl Lines {
    /// Listens to this thread; a test whose broker runs on others hears nothing.
    pub(crate) fn listen() -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        // Where there is one subscriber alone, the first thread that comes to a line says for all whether it is wanted.
        let other = Dispatch::new(NoSubscriber::new());
        let guard = tracing::subscriber::set_default(Listener(Arc::clone(&lines)));
        Self { lines, _guard: guard, _other: other }
    }

    /// What was written since it was last asked.
    pub(crate) fn take(&self) -> Vec<Line> {
        std::mem::take(&mut self.lines.lock().unwrap())
    }
}

struct Listener(Arc<Mutex<Vec<Line>>>);

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() < Level::TRACE && metadata.target().starts_with("broker")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let (level, target) = (*event.metadata().level(), event.metadata().target().to_owned());
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().unwrap().push(Line { level, target, text: text.0 });
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        write!(self.0, " {}={value}", field.name()).unwrap();
    }
}
