//! Reaches running parts over their operator API, with the operator's token.

use anyhow::{Context, anyhow};
use chassis::auth::operator_token_of;
use chassis::{Secret, Settings};
use ops::Part;

use crate::cli::PartName;
use crate::exit::{Class, classified, usage};

/// The operator's way to one part.
pub(crate) fn part(settings: &Settings, name: PartName) -> anyhow::Result<Part> {
    let token = token(settings)?;
    Ok(Part::new(name.name(), settings.get(name.listen_key())?, token.expose().to_owned()))
}

/// The operator's token: the configured one, or that of the data directory.
pub(crate) fn token(settings: &Settings) -> anyhow::Result<Secret> {
    operator_token_of(settings)
        .map_err(|error| classified(Class::Unreachable, anyhow::Error::from_boxed(error)))
        .context("start it first with `techleet up`, or name its directory with --data-dir")
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
        ops::Error::PartSilent { .. } | ops::Error::PartBrokeOff { .. } => classified(Class::Unreachable, error),
        ops::Error::NoEvent { .. } => usage(error),
        other => crate::kafka::refused(other),
    }
}
