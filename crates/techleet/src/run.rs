//! `techleet run` and `techleet broker`: one part alone in its process.

use std::net::SocketAddr;

use chassis::http::{Health, HealthChecks, HttpConfig, HttpServer};
use chassis::net::Binder;
use chassis::part::{Process, StartError};
use chassis::{DataDir, Parts, Running, Settings, Shutdown, Sources, Telemetry};

use crate::cli::{BrokerArgs, PartName};
use crate::{exit, load, output, provision};

/// Starts one part and runs it until a stop is asked for.
pub(crate) async fn run(sources: Sources, part: PartName) -> anyhow::Result<()> {
    let settings = load(&sources)?;
    let (mut parts, data_dir, telemetry) = prepare(&settings)?;
    provision::topics_soon(settings.section("kafka")?, part.name());
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
    sources.flags.extend(args.http.map(|address| format!("broker_http.listen={address}")));
    let security = [
        ("listeners", Some(args.listeners.join(",")).filter(|listeners| !listeners.is_empty())),
        ("advertised_listeners", Some(args.advertised_listeners.join(",")).filter(|listeners| !listeners.is_empty())),
        ("first_user", args.first_user),
        ("first_user_password_file", args.first_user_password_file),
    ];
    let set = security.into_iter().filter_map(|(key, value)| Some(format!("broker.security.{key}={}", value?)));
    sources.flags.extend(set);
    let settings = load(&sources)?;
    let (mut parts, data_dir, telemetry) = prepare(&settings)?;
    let started = parts.start("broker", start_broker(&settings, &data_dir, keys)).await?;
    output::line(&format!("broker  {}", started.address))?;
    if let Some(address) = start_broker_http(&mut parts, &settings, &telemetry, started.condition).await? {
        output::line(&format!("http    http://{address}"))?;
    }
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

/// A broker that runs as a part.
#[derive(Debug)]
pub(crate) struct StartedBroker {
    pub(crate) address: SocketAddr,
    pub(crate) condition: broker::Condition,
}

/// Starts the embedded broker as a part.
pub(crate) async fn start_broker(
    settings: &Settings,
    data_dir: &DataDir,
    keys: &[(String, String)],
) -> Result<(StartedBroker, Running), StartError> {
    let mut config: broker::Config = settings.section("broker")?;
    for (key, value) in keys {
        config.set(key, value)?;
    }
    config.data_dir = data_dir.part("broker")?;
    let binder = Binder::from_settings(settings)?;
    let key = if config.security.listeners.is_empty() { "broker.listen" } else { "broker.security.listeners" };
    let mut ports = Vec::new();
    for listener in config.listeners()? {
        ports.push(binder.bind("broker", key, &listener.address.to_string()).await?);
    }
    let broker = broker::Broker::start_on(ports, config).await?;
    let started = StartedBroker { address: broker.address(), condition: broker.condition() };
    Ok((started, Running::until_stopped(move || broker.shutdown())))
}

/// Serves the broker's metrics and health where `broker_http.listen` says, if it says so.
pub(crate) async fn start_broker_http(
    parts: &mut Parts,
    settings: &Settings,
    telemetry: &Telemetry,
    condition: broker::Condition,
) -> anyhow::Result<Option<SocketAddr>> {
    const NAME: &str = "broker-http";
    const KEY: &str = "broker_http.listen";
    let listen: String = settings.get(KEY)?;
    if listen.is_empty() {
        return Ok(None);
    }
    let config: HttpConfig = settings.section("http")?;
    let binder = Binder::from_settings(settings)?;
    let starting = async {
        let port = binder.bind(NAME, KEY, &listen).await?;
        let address = port.local_addr()?;
        let checks = HealthChecks::new();
        checks.add("storage", move || std::future::ready(health_of(condition.failed_partitions())));
        let server = HttpServer::new(NAME, &config, Default::default()).health(&checks).metrics(telemetry);
        Ok::<_, StartError>((address, server.start(port)))
    };
    Ok(Some(parts.start(NAME, starting).await?))
}

/// What the others hold is still served, so requests need not go elsewhere.
fn health_of(failed_partitions: usize) -> Health {
    match failed_partitions {
        0 => Health::Ready,
        count => {
            Health::degraded(format!("{count} partitions are read-only since a sync failed; see the log, then restart"))
        }
    }
}
