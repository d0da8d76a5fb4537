//! Files are written beside and then renamed, so that nobody sees half of one.

use std::io;
use std::path::{Component as Part, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::AsyncWriteExt as _;

use crate::components::Producer;
use crate::exchange::{Exception, Exchange, Kind, Result, Text, Value, class};
use crate::language::Expression;
use crate::run::{Cx, Sending};

/// What is done with a file that is there.
#[derive(Debug)]
pub(super) enum Exists {
    Override,
    /// With this behind each body.
    Append(String),
    Fail,
    Ignore,
}

#[derive(Debug)]
pub(super) struct Writer {
    pub(super) folder: PathBuf,
    pub(super) name: Option<Arc<dyn Expression>>,
    pub(super) creates_folder: bool,
    pub(super) exists: Exists,
    pub(super) takes_nothing: bool,
}

static NUMBERS: AtomicU64 = AtomicU64::new(0);

impl Producer for Writer {
    fn send<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, _: &'e Cx<'e>) -> Sending<'e> {
        Sending::Later(Box::pin(async move {
            let body = exchange.message.body.value();
            if body.is_null() && !self.takes_nothing {
                return Err(failure("Cannot write null body to file"));
            }
            let bytes = body.to_bytes();
            let path = self.path(exchange)?;
            self.write(&path, &bytes)
                .await
                .map_err(|error| failure(&format!("Cannot store file {}: {error}", path.display())))?;
            let produced = Value::from(path.to_string_lossy().into_owned());
            exchange.message.headers.set(Text::fixed("CamelFileNameProduced"), produced);
            Ok(())
        }))
    }
}

impl Writer {
    /// The file, which is always inside of the folder.
    fn path(&self, exchange: &Exchange) -> Result<PathBuf> {
        let header = exchange.message.header("CamelFileName").and_then(Value::to_text);
        let name = match (&self.name, header) {
            (Some(name), _) => name.evaluate(exchange, Kind::Text)?.to_text(),
            (None, header) => header,
        };
        let name = name.filter(|name| !name.is_empty()).unwrap_or_else(|| exchange.id());
        let relative = Path::new(name.as_str());
        let is_inside = relative.components().all(|part| matches!(part, Part::Normal(_) | Part::CurDir));
        if !is_inside {
            return Err(failure("the name of the file leads out of the folder"));
        }
        Ok(self.folder.join(relative))
    }

    async fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        if let (true, Some(folder)) = (self.creates_folder, path.parent()) {
            tokio::fs::create_dir_all(folder).await?;
        }
        match &self.exists {
            Exists::Append(behind) => {
                let mut file = tokio::fs::OpenOptions::new().append(true).create(true).open(path).await?;
                file.write_all(&[bytes, behind.as_bytes()].concat()).await?;
                return file.sync_all().await;
            }
            Exists::Fail if tokio::fs::try_exists(path).await? => {
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, "it exists already"));
            }
            Exists::Ignore if tokio::fs::try_exists(path).await? => return Ok(()),
            _ => {}
        }
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let beside = path.with_extension(format!("{number}.writing"));
        let mut file = tokio::fs::File::create(&beside).await?;
        let written = async {
            file.write_all(bytes).await?;
            file.sync_all().await?;
            tokio::fs::rename(&beside, path).await
        };
        let written = written.await;
        if written.is_err() {
            // What could not be written is not left behind.
            let _ = tokio::fs::remove_file(&beside).await;
        }
        written
    }
}

fn failure(message: &str) -> Exception {
    Exception::new(&class::GENERIC_FILE_OPERATION, message)
}
