//! Reaches running parts over their operator API, with the token from the data directory.

use std::path::PathBuf;

use anyhow::{Context, anyhow};
use chassis::{DataDir, Settings};
use ops::Part;

use crate::cli::PartName;
use crate::exit::{Class, classified, usage};

/// The operator's way to one part.
pub(crate) fn part(settings: &Settings, name: PartName) -> anyhow::Result<Part> {
    let data_dir: PathBuf = settings.get("data_dir")?;
    let token = DataDir::read_operator_token(&data_dir)
        .map_err(|error| classified(Class::Unreachable, error))
        .context("start it first with `techleet up`, or name its directory with --data-dir")?;
    Ok(Part::new(name.name(), settings.get(name.listen_key())?, token.expose().to_owned()))
}

/// The operator's way to every part.
pub(crate) fn parts(settings: &Settings) -> anyhow::Result<Vec<Part>> {
    PartName::ALL.into_iter().map(|name| part(settings, name)).collect()
}

/// A part's error with its class and the way out.
pub(crate) fn refused(error: ops::Error) -> anyhow::Error {
    match error {
        ops::Error::PartAway { .. } => {
            let hint = "start it with `techleet up`, or name where it listens with --set PART.listen=HOST:PORT";
            classified(Class::Unreachable, anyhow!(error).context(hint))
        }
        ops::Error::NoEvent { .. } => usage(error),
        other => crate::kafka::refused(other),
    }
}
