//! The command line's grammar and its help.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::demo::DemoArgs;
use crate::dlq::DlqCommand;
use crate::doctor::DoctorArgs;
use crate::events::EventsCommand;
use crate::groups::GroupsCommand;
use crate::produce::ProduceArgs;
use crate::topics::TopicsCommand;
use crate::when::When;

/// The event backbone of a hiring platform in one program.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_help = "Start here:  techleet up")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// Reads the command line; ends the program where it cannot be read, or asks for help.
    pub(crate) fn read(arguments: &[OsString]) -> Self {
        let mut cli = Self::parse_from(arguments);
        if !cli.command.is_tool() {
            cli.common.gather(arguments);
        }
        cli
    }
}

impl Common {
    /// What may be repeated counts wherever it stands: of values before and after a command's name, clap keeps the
    /// latter alone.
    fn gather(&mut self, arguments: &[OsString]) {
        self.config = all_values(arguments, "--config");
        self.set = all_values(arguments, "--set");
    }
}

/// Every value of an option, in a line that clap has read: no other option's value begins with a hyphen.
fn all_values(arguments: &[OsString], option: &str) -> Vec<String> {
    let mut words = arguments.iter().filter_map(|word| word.to_str()).take_while(|word| *word != "--");
    let mut values = Vec::new();
    while let Some(word) = words.next() {
        match word.strip_prefix(option) {
            Some("") => values.extend(words.next().map(str::to_owned)),
            Some(rest) => values.extend(rest.strip_prefix('=').map(str::to_owned)),
            None => {}
        }
    }
    values
}

/// What every command takes.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// A configuration file (`techleet config print` shows every key), or for `broker` one of its keys.
    #[arg(long, global = true, value_name = "FILE|KEY=VALUE")]
    pub(crate) config: Vec<String>,
    /// Where everything that survives a restart is kept [default: ./data].
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<String>,
    /// Sets one configuration key; may be repeated.
    #[arg(long, global = true, value_name = "SECTION.KEY=VALUE")]
    pub(crate) set: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start everything in this process: broker, services, container.
    ///
    /// Data is kept in --data-dir; a second start goes on where the first one was.
    /// Ctrl-C finishes what is in flight and stops; a second Ctrl-C stops at once.
    Up,
    /// Start one part alone, against the Kafka that kafka.brokers names.
    Run {
        /// The part.
        part: PartName,
    },
    /// Start the embedded Kafka broker alone.
    ///
    /// --config KEY=VALUE sets a key of the broker, by its name here or by that of Apache Kafka; may be repeated.
    #[command(after_help = BROKER_EXAMPLE)]
    Broker(BrokerArgs),
    /// Tell the hiring story to a running system, and check that all of its events arrived.
    ///
    /// Companies, employees, jobs and applications are made over HTTP as a user would make them; afterwards every
    /// event is looked for on its topic. Ends with code 4 if one is missing or out of order.
    Demo(DemoArgs),
    /// Print a topic's records as they come, until Ctrl-C.
    ///
    /// The value of each record is one line on stdout; with --format json the whole record is.
    #[command(after_help = CONSUME_EXAMPLES)]
    Consume(ConsumeArgs),
    /// Send the lines of stdin to a topic, each as a record.
    ///
    /// All is acknowledged when it ends. A line that is wrong ends it; what came before is acknowledged.
    #[command(after_help = PRODUCE_EXAMPLES)]
    Produce(ProduceArgs),
    /// Look at topics, create and delete them.
    #[command(subcommand, after_help = "Example:  techleet topics list")]
    Topics(TopicsCommand),
    /// Look at consumer groups and their lag, move and delete them.
    #[command(subcommand, after_help = "Example:  techleet groups list")]
    Groups(GroupsCommand),
    /// Look at dead letters, send them back, give them up.
    #[command(subcommand, after_help = "Example:  techleet dlq list")]
    Dlq(DlqCommand),
    /// Find events, follow one, tell stored ones again, see those that wait.
    ///
    /// `list` reads the topics; the others ask the running parts, as their operator.
    #[command(subcommand, after_help = "Example:  techleet events list --entity user-42")]
    Events(EventsCommand),
    /// Check this machine and the cluster, and say what to do about what is wrong.
    ///
    /// Ends with code 4 if something is wrong. The broker's clock is read through a topic that exists for that moment.
    #[command(after_help = "Example:  techleet doctor --format json")]
    Doctor(DoctorArgs),
    /// Check and test files of routes; see and steer those of the container.
    #[command(subcommand, after_help = "Example:  techleet routes test deploy/routes/cases")]
    Routes(RoutesCommand),
    /// Look at the audit trail.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Look at the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Apache Kafka's kafka-topics: its options, its output. A link of that name does it too.
    #[command(disable_help_flag = true)]
    KafkaTopics(ToolArgs),
    /// Apache Kafka's kafka-console-consumer: its options, its output.
    #[command(disable_help_flag = true)]
    KafkaConsoleConsumer(ToolArgs),
    /// Apache Kafka's kafka-console-producer: its options, its output.
    #[command(disable_help_flag = true)]
    KafkaConsoleProducer(ToolArgs),
    /// Apache Kafka's kafka-consumer-groups: its options, its output.
    #[command(disable_help_flag = true)]
    KafkaConsumerGroups(ToolArgs),
}

impl Command {
    /// Whether it is one of Kafka's tools, whose options are their own.
    fn is_tool(&self) -> bool {
        matches!(
            self,
            Self::KafkaTopics(_)
                | Self::KafkaConsoleConsumer(_)
                | Self::KafkaConsoleProducer(_)
                | Self::KafkaConsumerGroups(_)
        )
    }
}

/// What is handed to one of Kafka's tools.
#[derive(Debug, Args)]
pub(crate) struct ToolArgs {
    /// The tool's own options; --help shows them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTIONS")]
    pub(crate) rest: Vec<OsString>,
}

const BROKER_EXAMPLE: &str = "\
Example:
  techleet broker --listen 127.0.0.1:9092 --data-dir ./data --config num.partitions=6 --config log.retention.ms=-1";

const CONSUME_EXAMPLES: &str = "\
Examples:
  techleet consume user-events --from-beginning --keys
  techleet consume user-events --from-time 2h --event-type user.created --format json
  techleet consume user-events --from-beginning --no-follow | wc -l
  techleet consume user-events --group trials --from-beginning      goes on where it ended";

const PRODUCE_EXAMPLES: &str = r#"Examples:
  echo '{"any":"value"}' | techleet produce trials
  echo 'user-42:{"employeeId":42}' | techleet produce trials --key-separator : --header source=me
  echo '{"employeeId":42,"email":"a@b.c","firstName":"An","lastName":"Tran"}' |
    techleet produce user-events --key user-42 --event-type user.created"#;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PartName {
    /// Employees, roles and sessions, on port 3001.
    UserService,
    /// Companies, departments and positions, on port 3002.
    CompanyService,
    /// Job postings, candidates and applications, on port 3003.
    RecruitmentService,
    /// Router, processors and audit trail, on port 8181.
    Container,
}

impl PartName {
    /// Every part, in the order in which they start.
    pub(crate) const ALL: [Self; 4] =
        [Self::UserService, Self::CompanyService, Self::RecruitmentService, Self::Container];

    /// The configuration key of where the part listens.
    pub(crate) const fn listen_key(self) -> &'static str {
        match self {
            Self::UserService => "user_service.listen",
            Self::CompanyService => "company_service.listen",
            Self::RecruitmentService => "recruitment_service.listen",
            Self::Container => "container.listen",
        }
    }

    /// The part's name in logs, folders and on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::UserService => user_service::NAME,
            Self::CompanyService => company_service::NAME,
            Self::RecruitmentService => recruitment_service::NAME,
            Self::Container => container::NAME,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct BrokerArgs {
    /// Where to listen [default: 127.0.0.1:9092].
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) listen: Option<String>,
    /// What clients are told to come back to [default: where it listens].
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) advertise: Option<String>,
    /// Where /metrics, /health/live and /health/ready are served [default: nowhere].
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) http: Option<String>,
    /// A listener of its own name instead of --listen, as often as there are some [default: PLAINTEXT on --listen].
    #[arg(long = "listener", value_name = "NAME://ADDRESS:PORT", conflicts_with_all = ["listen", "advertise"])]
    pub(crate) listeners: Vec<String>,
    /// What the clients of a listener are told to come back to.
    #[arg(long = "advertised-listener", value_name = "NAME://HOST:PORT", requires = "listeners")]
    pub(crate) advertised_listeners: Vec<String>,
    /// A user that exists from the start on.
    #[arg(long, value_name = "NAME", requires = "first_user_password_file")]
    pub(crate) first_user: Option<String>,
    /// A file with that user's password.
    #[arg(long, value_name = "FILE", requires = "first_user")]
    pub(crate) first_user_password_file: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ConsumeArgs {
    /// The topic, for example user-events.
    pub(crate) topic: String,
    /// Start with the oldest record instead of the next one.
    #[arg(long, conflicts_with_all = ["from_offset", "from_time"])]
    pub(crate) from_beginning: bool,
    /// Start at this offset, in every partition.
    #[arg(long, value_name = "OFFSET", conflicts_with = "from_time")]
    pub(crate) from_offset: Option<i64>,
    /// Start with the first record at or after this time: 2026-11-24T02:05:27Z, or 2h for two hours ago.
    #[arg(long, value_name = "TIME")]
    pub(crate) from_time: Option<When>,
    /// Read as a member of this group and go on where it ended; --from-beginning counts for a new one.
    #[arg(long, value_name = "GROUP", conflicts_with_all = ["from_offset", "from_time", "partition", "no_follow"])]
    pub(crate) group: Option<String>,
    /// End when everything that is there has been read, instead of waiting for more.
    #[arg(long)]
    pub(crate) no_follow: bool,
    /// Read only this partition.
    #[arg(long, value_name = "N")]
    pub(crate) partition: Option<i32>,
    /// Show only events of this type, for example user.created.
    #[arg(long, value_name = "TYPE")]
    pub(crate) event_type: Option<String>,
    /// End after this many records.
    #[arg(long, value_name = "N")]
    pub(crate) max_messages: Option<u64>,
    /// End when no record came for this long.
    #[arg(long, value_name = "MS")]
    pub(crate) timeout_ms: Option<u64>,
    /// Print the key before the value, with a tab between them.
    #[arg(long)]
    pub(crate) keys: bool,
    /// Print the headers before the key and value, as name:value with commas between them.
    #[arg(long)]
    pub(crate) headers: bool,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Output {
    /// How results are printed.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON document a line.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RoutesCommand {
    /// Say everything that is wrong with route files, without running them.
    ///
    /// Files are checked together, as they would run together. Ends with code 4 if there is an error.
    #[command(after_help = "Example:  techleet routes check deploy/routes/orders.yaml --property topic=orders")]
    Check {
        /// The files.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// The value of a {{placeholder}}; may be repeated.
        #[arg(long, value_name = "NAME=VALUE")]
        property: Vec<String>,
    },
    /// Run case folders, and show how what came differs from what was to come.
    ///
    /// A case is a folder with route.yaml, input.json and expected.json. Ends with code 4 if one fails.
    #[command(after_help = "Example:  techleet routes test deploy/routes/cases")]
    Test {
        /// Cases, or folders of cases.
        #[arg(required = true, value_name = "FOLDER")]
        folders: Vec<PathBuf>,
    },
    /// List the files and routes of the container: which revision runs, and what is wrong with one that was refused.
    #[command(after_help = "Example:  techleet routes list --format json")]
    List {
        #[command(flatten)]
        output: Output,
    },
    /// Show one route: where it takes from, what its steps are and where they send.
    ///
    /// A step is called by its id, or by its kind and its line: `setBody:12`.
    #[command(after_help = "Example:  techleet routes show orders")]
    Show {
        /// The route's id, as `techleet routes list` shows it.
        route: String,
        #[command(flatten)]
        output: Output,
    },
    /// Show what each step of the routes has done: exchanges, failures, attempts, dead letters, times.
    ///
    /// Numbers count from when the route was deployed. LAST and MEAN are how long an exchange was at a step, waits
    /// between attempts included; a step with steps in it has their time in its own.
    #[command(after_help = "Examples:\n  techleet routes stats\n  techleet routes stats orders --format json")]
    Stats {
        /// The route's id; all routes if there is none.
        route: Option<String>,
        #[command(flatten)]
        output: Output,
    },
    /// Follow the next exchanges of a route step by step: times, headers that changed, bodies before and after.
    ///
    /// Texts are shortened, and what stands under a name of `container.routes_trace_masked` is shown as ***. An exchange
    /// is shown when it and its copies have ended. The trace ends after --count exchanges, after --timeout-ms, or when
    /// the route is stopped or replaced, and says which; it is told on the audit trail.
    #[command(
        after_help = "Examples:\n  techleet routes trace orders\n  techleet routes trace orders --count 10 --timeout-ms 60000 --format json"
    )]
    Trace {
        /// The route's id.
        route: String,
        /// How many exchanges are followed.
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=100))]
        count: u8,
        /// How long they are waited for.
        #[arg(long, value_name = "MS", default_value_t = 30_000, value_parser = clap::value_parser!(u64).range(1..=600_000))]
        timeout_ms: u64,
        #[command(flatten)]
        output: Output,
    },
    /// Have a route run that was stopped.
    #[command(after_help = "Example:  techleet routes start orders")]
    Start {
        /// The route's id.
        route: String,
    },
    /// Stop a route: what is under way ends, and nothing new is taken until it is started, or its file changes.
    #[command(after_help = "Example:  techleet routes stop orders")]
    Stop {
        /// The route's id.
        route: String,
    },
    /// Have a route take nothing for a while.
    #[command(after_help = "Example:  techleet routes suspend orders")]
    Suspend {
        /// The route's id.
        route: String,
    },
    /// Have a suspended route go on.
    #[command(after_help = "Example:  techleet routes resume orders")]
    Resume {
        /// The route's id.
        route: String,
    },
    /// List what a file said, one deployment after the other.
    #[command(after_help = "Example:  techleet routes revisions orders.yaml --text 3")]
    Revisions {
        /// The file's name.
        file: String,
        /// Print the text of this revision.
        #[arg(long, value_name = "REVISION")]
        text: Option<i64>,
        #[command(flatten)]
        output: Output,
    },
    /// Deploy an earlier text of a file again: it is written into the folder, as a revision of its own.
    ///
    /// Ends with code 4 if it is not taken any more.
    #[command(after_help = "Example:  techleet routes rollback orders.yaml --to 3")]
    Rollback {
        /// The file's name.
        file: String,
        /// The revision whose text is wanted.
        #[arg(long, value_name = "REVISION")]
        to: i64,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Print audit records in order.
    List {
        /// Only records after this one.
        #[arg(long, default_value_t = 0, value_name = "SEQUENCE")]
        after: i64,
        /// How many at the most.
        #[arg(long, default_value_t = 100, value_name = "N")]
        limit: u32,
        /// How records are printed.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Check that no record was changed, removed or moved; ends with code 4 if one was.
    Verify {
        /// How the finding is printed.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
}

#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print every key with its value and where that came from; secrets are hidden.
    Print,
    /// Check the configuration without starting anything.
    Check,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_grammar_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
