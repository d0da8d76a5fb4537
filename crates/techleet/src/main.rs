//! The program `techleet`: reads the command line, puts parts together, runs them, and asks running ones.

mod audit;
mod cli;
mod consume;
mod demo;
mod dlq;
mod doctor;
mod events;
mod exit;
mod groups;
mod kafka;
mod kafka_tools;
mod operator;
mod output;
mod produce;
mod provision;
mod render;
mod route_files;
mod run;
mod topics;
mod up;
mod when;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Context;
use chassis::{Environment, Settings, Sources};

use cli::{AuditCommand, Command, Common, ConfigCommand};
use kafka_tools::Tool;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return exit::report(&anyhow::Error::new(error).context("no runtime")),
    };
    let outcome = runtime.block_on(async {
        match Tool::called(&arguments) {
            Some((tool, arguments)) => kafka_tools::run(&load(&environment_only())?, tool, arguments).await,
            None => dispatch(cli::Cli::read(&arguments)).await,
        }
    });
    // What still blocks a thread (a reader's last poll) must not hold the exit up.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::report(&error),
    }
}

/// Names the failpoint at which a test wants this process to die: `NAME[@SCOPE][:NTH]`. A program that is shipped has
/// none, and refuses to start with it.
const FAILPOINT_VARIABLE: &str = "TECHLEET_TEST_FAILPOINT";

async fn dispatch(cli: cli::Cli) -> anyhow::Result<()> {
    let (sources, broker_keys) = sources(&cli.common)?;
    if let Some(spec) = sources.environment.get(FAILPOINT_VARIABLE) {
        eventkit::failpoint::arm_as_told(spec).context(FAILPOINT_VARIABLE).map_err(exit::usage)?;
    }
    if let Some(setting) = broker_keys.first() {
        refuse_setting(&cli.command, setting)?;
    }
    match cli.command {
        Command::Up => up::up(sources).await,
        Command::Run { part } => run::run(sources, part).await,
        Command::Broker(args) => run::broker(sources, args, &broker_keys).await,
        Command::Demo(args) => demo::demo(&load(&sources)?, args).await,
        Command::Consume(args) => consume::consume(&load(&sources)?, args).await,
        Command::Produce(args) => produce::produce(&load(&sources)?, args).await,
        Command::Topics(command) => topics::run(&load(&sources)?, command).await,
        Command::Groups(command) => groups::run(&load(&sources)?, command).await,
        Command::Dlq(command) => dlq::run(&load(&sources)?, command).await,
        Command::Events(command) => events::run(&load(&sources)?, command).await,
        Command::Doctor(args) => doctor::doctor(&load(&sources)?, args).await,
        Command::KafkaTopics(args) => kafka_tools::run(&load(&sources)?, Tool::Topics, &args.rest).await,
        Command::KafkaConsoleConsumer(args) => {
            kafka_tools::run(&load(&sources)?, Tool::ConsoleConsumer, &args.rest).await
        }
        Command::KafkaConsoleProducer(args) => {
            kafka_tools::run(&load(&sources)?, Tool::ConsoleProducer, &args.rest).await
        }
        Command::KafkaConsumerGroups(args) => {
            kafka_tools::run(&load(&sources)?, Tool::ConsumerGroups, &args.rest).await
        }
        Command::Routes(command) => route_files::run(command, || load(&sources)).await,
        Command::Audit(AuditCommand::List { after, limit, format }) => {
            audit::list(&load(&sources)?, after, limit, format).await
        }
        Command::Audit(AuditCommand::Verify { format }) => audit::verify(&load(&sources)?, format).await,
        Command::Config(ConfigCommand::Print) => output::line(load(&sources)?.print().trim_end()),
        Command::Config(ConfigCommand::Check) => load(&sources).map(drop),
    }
}

fn load(sources: &Sources) -> anyhow::Result<Settings> {
    Settings::load(sources).map_err(exit::usage)
}

/// What Kafka's tools start from: their own options are all that they take besides.
fn environment_only() -> Sources {
    Sources { environment: Environment::from_process(), ..Sources::default() }
}

/// Where settings come from, and the keys of the broker that were set by --config.
fn sources(common: &Common) -> anyhow::Result<(Sources, Vec<(String, String)>)> {
    let mut flags = common.set.clone();
    flags.extend(common.data_dir.iter().map(|path| format!("data_dir={path}")));
    let mut files = Vec::new();
    let mut broker_keys = Vec::new();
    for config in &common.config {
        match config.split_once('=') {
            Some((key, value)) if is_key(key) => broker_keys.push((key.to_owned(), value.to_owned())),
            _ => files.push(std::path::PathBuf::from(config)),
        }
    }
    if files.len() > 1 {
        return Err(exit::usage(anyhow::Error::msg("--config names more than one file")));
    }
    Ok((Sources { file: files.pop(), environment: Environment::from_process(), flags }, broker_keys))
}

/// Refuses `--config KEY=VALUE` but to the broker. Kafka's own tools call a topic's setting so: whoever writes one there is
/// told what it is called here.
fn refuse_setting(command: &Command, (key, value): &(String, String)) -> anyhow::Result<()> {
    let instead = match command {
        Command::Broker(_) => return Ok(()),
        Command::Topics(_) => format!("a setting of the topic is --setting {key}={value}"),
        _ => "elsewhere use --set SECTION.KEY=VALUE".to_owned(),
    };
    let hint = format!("--config {key}={value} is for `techleet broker`; {instead}");
    Err(exit::usage(anyhow::Error::msg(hint)))
}

/// Whether a text can be a key, and not the beginning of a path.
fn is_key(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'.' | b'_'))
}
