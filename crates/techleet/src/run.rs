//! `techleet run` and `techleet broker`: one part alone in its process.

use std::net::SocketAddr;

use chassis::net::Binder;
use chassis::part::{Process, StartError};
use chassis::{DataDir, Parts, Running, Settings, Shutdown, Sources, Telemetry};

use crate::cli::{BrokerArgs, PartName};
use crate::{load, output, provision};

/// Starts one part and runs it until a stop is asked for.
pub(crate) async fn run(sources: Sources, part: PartName) -> anyhow::Result<()> {
    let settings = load(&sources)?;
    let (mut parts, data_dir, telemetry) = prepare(&settings)?;
    provision::topics_soon(settings.section("kafka")?);
    let process = Process::new(settings, data_dir, telemetry).map_err(anyhow::Error::from_boxed)?;
    let (name, address) = match part {
        PartName::UserService => {
            (user_service::NAME, parts.start(user_service::NAME, user_service::start(&process)).await?)
        }
        PartName::Container => (container::NAME, parts.start(container::NAME, container::start(&process)).await?),
    };
    output::line(&format!("{name}  http://{address}"))?;
    Ok(parts.run().await?)
}

/// Starts the embedded broker and runs it until a stop is asked for.
pub(crate) async fn broker(mut sources: Sources, args: BrokerArgs) -> anyhow::Result<()> {
    sources.flags.extend(args.listen.map(|address| format!("broker.listen={address}")));
    sources.flags.extend(args.advertise.map(|address| format!("broker.advertise={address}")));
    let settings = load(&sources)?;
    let (mut parts, data_dir, _telemetry) = prepare(&settings)?;
    let address = parts.start("broker", start_broker(&settings, &data_dir)).await?;
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
pub(crate) async fn start_broker(settings: &Settings, data_dir: &DataDir) -> Result<(SocketAddr, Running), StartError> {
    let mut config: broker::Config = settings.section("broker")?;
    config.data_dir = data_dir.part("broker")?;
    let listen: String = settings.get("broker.listen")?;
    let port = Binder::from_settings(settings)?.bind("broker", "broker.listen", &listen).await?;
    let broker = broker::Broker::start_on(port, config).await?;
    let address = broker.address();
    Ok((address, Running::until_stopped(move || broker.shutdown())))
}
