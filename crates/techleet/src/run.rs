//! `techleet run` and `techleet broker`: one part alone in its process.

use std::net::SocketAddr;

use chassis::net::Binder;
use chassis::part::{Process, StartError};
use chassis::{DataDir, Parts, Running, Settings, Shutdown, Sources, Telemetry};

use crate::cli::{BrokerArgs, PartName};
use crate::{exit, load, output, provision};

/// Starts one part and runs it until a stop is asked for.
pub(crate) async fn run(sources: Sources, part: PartName) -> anyhow::Result<()> {
    let settings = load(&sources)?;
    let (mut parts, data_dir, telemetry) = prepare(&settings)?;
    provision::topics_soon(settings.section("kafka")?);
    let process = Process::new(settings, data_dir, telemetry).map_err(anyhow::Error::from_boxed)?;
    let (name, address) = start_part(&mut parts, &process, part).await?;
    output::line(&format!("{name}  http://{address}"))?;
    Ok(parts.run().await?)
}

/// Starts one part of a process; answers its name and where it listens.
pub(crate) async fn start_part(
    parts: &mut Parts,
    process: &Process,
    part: PartName,
) -> anyhow::Result<(&'static str, SocketAddr)> {
    let name = part.name();
    let address = match part {
        PartName::UserService => parts.start(name, user_service::start(process)).await?,
        PartName::CompanyService => parts.start(name, company_service::start(process)).await?,
        PartName::RecruitmentService => parts.start(name, recruitment_service::start(process)).await?,
        PartName::Container => parts.start(name, container::start(process)).await?,
    };
    Ok((name, address))
}

/// Starts the embedded broker and runs it until a stop is asked for.
pub(crate) async fn broker(mut sources: Sources, args: BrokerArgs, keys: &[(String, String)]) -> anyhow::Result<()> {
    // Before anything is started: a key that cannot be is the caller's mistake.
    let mut trial = broker::Config::default();
    for (key, value) in keys {
        trial.set(key, value).map_err(exit::usage)?;
    }
    sources.flags.extend(args.listen.map(|address| format!("broker.listen={address}")));
    sources.flags.extend(args.advertise.map(|address| format!("broker.advertise={address}")));
    let settings = load(&sources)?;
    let (mut parts, data_dir, _telemetry) = prepare(&settings)?;
    let address = parts.start("broker", start_broker(&settings, &data_dir, keys)).await?;
    output::line(&format!("broker  {address}"))?;
    Ok(parts.run().await?)
}

/// What comes before any part: signals, logs, the data directory.
pub(crate) fn prepare(settings: &Settings) -> anyhow::Result<(Parts, DataDir, Telemetry)> {
    let telemetry = Telemetry::init(&settings.section("log")?)?;
    let shutdown = Shutdown::on_signals()?;
    let path: std::path::PathBuf = settings.get("data_dir")?;
    let data_dir = DataDir::open(path)?;
    Ok((Parts::new(shutdown, &settings.section("lifecycle")?), data_dir, telemetry))
}

/// Starts the embedded broker as a part.
pub(crate) async fn start_broker(
    settings: &Settings,
    data_dir: &DataDir,
    keys: &[(String, String)],
) -> Result<(SocketAddr, Running), StartError> {
    let mut config: broker::Config = settings.section("broker")?;
    for (key, value) in keys {
        config.set(key, value)?;
    }
    config.data_dir = data_dir.part("broker")?;
    let listen: String = settings.get("broker.listen")?;
    let port = Binder::from_settings(settings)?.bind("broker", "broker.listen", &listen).await?;
    let broker = broker::Broker::start_on(port, config).await?;
    let address = broker.address();
    Ok((address, Running::until_stopped(move || broker.shutdown())))
}
