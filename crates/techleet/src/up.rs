//! `techleet up`: everything in one process.

mod how_to_try;

use std::time::Instant;

use chassis::config::Source;
use chassis::part::Process;
use chassis::{DataDir, Parts, Settings, Sources};
use eventkit::transport::kafka::KafkaConfig;

use crate::cli::PartName;
use crate::run::StartedBroker;
use crate::{load, output, provision, run};
use how_to_try::{Places, how_to_try, program};

/// One group cannot be that of several parts: each would get events that are another's.
const GROUP_ID_IGNORED: &str = "warning: kafka.group_id (KAFKA_GROUP_ID) is left out: it counts for `techleet run`; here each part has its own group";

/// Starts every part, says how to try it, and runs until a stop is asked for.
pub(crate) async fn up(mut sources: Sources) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut settings = load(&sources)?;
    if !settings.get::<String>("kafka.group_id")?.is_empty() {
        output::say(GROUP_ID_IGNORED);
        sources.flags.push("kafka.group_id=".to_owned());
        settings = load(&sources)?;
    }
    let (mut parts, data_dir, telemetry) = run::prepare(&settings)?;
    if let Some(StartedBroker { address, condition }) = embedded_broker(&settings, &data_dir, &mut parts).await? {
        part_line("broker", &address.to_string())?;
        if let Some(address) = run::start_broker_http(&mut parts, &settings, &telemetry, condition).await? {
            part_line("broker-http", &format!("http://{address}"))?;
        }
        sources.flags.push(format!("kafka.brokers={address}"));
        settings = load(&sources)?;
    }
    let kafka: KafkaConfig = settings.section("kafka")?;
    provision::topics(&kafka).await?;
    provision::mend_soon(kafka);
    let mut process = Process::new(settings, data_dir, telemetry).map_err(anyhow::Error::from_boxed)?;
    let (name, user_service) = run::start_part(&mut parts, &process, PartName::UserService).await?;
    part_line(name, &format!("http://{user_service}"))?;
    // The others ask it who is asking, wherever it listens.
    process = process.with_user_service(user_service);
    let mut places = Places { user_service, container: user_service };
    for part in PartName::ALL.into_iter().filter(|part| *part != PartName::UserService) {
        let (name, address) = run::start_part(&mut parts, &process, part).await?;
        part_line(name, &format!("http://{address}"))?;
        if part == PartName::Container {
            places.container = address;
        }
    }
    output::line(&format!("ready in {} ms", began.elapsed().as_millis()))?;
    output::line(&how_to_try(&program(), sources.file, process.settings(), places)?)?;
    Ok(parts.run().await?)
}

/// Starts the embedded broker, unless the configuration names another cluster.
async fn embedded_broker(
    settings: &Settings,
    data_dir: &DataDir,
    parts: &mut Parts,
) -> anyhow::Result<Option<StartedBroker>> {
    if !matches!(settings.source("kafka.brokers"), None | Some(Source::Default)) {
        let brokers: String = settings.get("kafka.brokers")?;
        part_line("kafka", &format!("{brokers} (kafka.brokers is set: no embedded broker)"))?;
        return Ok(None);
    }
    Ok(Some(parts.start("broker", run::start_broker(settings, data_dir, &[])).await?))
}

fn part_line(part: &str, address: &str) -> anyhow::Result<()> {
    output::line(&format!("{part:<21}{address}"))
}
