// The compose files against one table of what the system is outside: names, images, ports, environment.
// No engine runs here; the files are read as Compose reads them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use chassis::{Environment, Settings, Sources};
use contracts::topics::required_topics;
use e2e::system::PARTS;
use serde_json::Value;

/// A container: its name in both files, where it differs its image, and the ports it has on this machine.
struct Row {
    name: &'static str,
    image: &'static str,
    image_with_kraft: Option<&'static str>,
    ports: &'static [u16],
}

const OURS: &str = "techleet:0.1.0";

/// Names, images and ports are the seed's; what it calls `latest` is pinned.
const TABLE: &[Row] = &[
    row("zookeeper", "confluentinc/cp-zookeeper:7.4.0", None, &[2181]),
    row("kafka", "confluentinc/cp-kafka:7.4.0", Some("confluentinc/cp-kafka:8.0.0"), &[9092, 29092]),
    row("kafka-ui", "provectuslabs/kafka-ui:v0.7.2", Some("provectuslabs/kafka-ui:v0.7.2"), &[8080]),
    row("redis", "redis:7.2.5-alpine", Some("redis:7.2.5-alpine"), &[6379]),
    row("postgres", "postgres:16.4-alpine", Some("postgres:16.4-alpine"), &[5432]),
    row("container", OURS, Some(OURS), &[8181]),
    row("user-service", OURS, Some(OURS), &[3001]),
    row("company-service", OURS, Some(OURS), &[3002]),
    row("recruitment-service", OURS, Some(OURS), &[3003]),
];

const WITH_ZOOKEEPER: &str = "kafka.docker-compose.yaml";
const WITH_KRAFT: &str = "kafka-kraft.docker-compose.yaml";

const fn row(
    name: &'static str,
    image: &'static str,
    image_with_kraft: Option<&'static str>,
    ports: &'static [u16],
) -> Row {
    Row { name, image, image_with_kraft, ports }
}

#[test]
fn compose_files_have_the_containers_of_the_table_and_no_others() {
    for (file, with_kraft) in [(WITH_ZOOKEEPER, false), (WITH_KRAFT, true)] {
        let found: Vec<(String, String, Vec<u16>)> = services(file)
            .into_iter()
            .map(|(name, service)| (name, text(&service["image"]).to_owned(), published_ports(&service)))
            .collect();
        let mut expected: Vec<(String, String, Vec<u16>)> = TABLE
            .iter()
            .filter_map(|row| {
                let image = if with_kraft { row.image_with_kraft? } else { row.image };
                Some((row.name.to_owned(), image.to_owned(), row.ports.to_vec()))
            })
            .collect();
        expected.sort();
        assert_eq!(found, expected, "{file}");
    }
}

#[test]
fn every_container_is_named_checked_and_reachable_from_this_machine_alone() {
    for file in [WITH_ZOOKEEPER, WITH_KRAFT] {
        for (name, service) in services(file) {
            assert_eq!(service["container_name"], format!("techleet-{name}"), "{file}");
            assert_eq!(service["restart"], "unless-stopped", "{file}: {name}");
            assert!(service["healthcheck"]["test"].is_array(), "{file}: {name} has no health check");
            assert_eq!(service["networks"], serde_json::json!(["backbone", "edge"]), "{file}: {name}");
            let tag = text(&service["image"]).rsplit_once(':').map(|(_, tag)| tag);
            assert!(tag.is_some_and(|tag| tag.contains('.')), "{file}: {name} has no exact version");
            for port in service["ports"].as_array().unwrap() {
                assert!(text(port).starts_with("127.0.0.1:"), "{file}: {name} is published to the world");
            }
        }
        let networks = &compose(file)["networks"];
        assert_eq!(networks["backbone"]["internal"], true, "{file}");
        // What is published has to be on a network that leads outside; there they must not reach each other.
        let isolation = &networks["edge"]["driver_opts"]["com.docker.network.bridge.enable_icc"];
        assert_eq!(isolation, "false", "{file}");
    }
}

#[test]
fn our_image_is_pinned_and_runs_as_nobody_in_particular_with_one_folder_to_write() {
    let file = std::fs::read_to_string(background("../Dockerfile")).unwrap();
    let lines: Vec<&str> = file.lines().map(str::trim).collect();
    let after = |word: &str| -> Vec<&str> { lines.iter().filter_map(|line| line.strip_prefix(word)).collect() };
    let toolchain = std::fs::read_to_string(background("../rust-toolchain.toml")).unwrap();
    let channel = toolchain.lines().find_map(|line| line.strip_prefix("channel = \"")?.strip_suffix('"')).unwrap();
    let bases = after("FROM ");
    assert!(bases[0].starts_with(&format!("rust:{channel}")), "{bases:?} builds with another Rust than {channel}");
    assert!(bases.iter().all(|base| base.split(['-', ' ']).next().unwrap().contains('.')), "{bases:?} are not pinned");
    let last = file.rsplit_once("\nFROM ").unwrap().1;
    assert!(!last.contains("RUN "), "the image that is shipped holds what it copies, and nothing that was installed");
    assert_eq!(after("USER "), ["10001:10001"]);
    assert_eq!(after("VOLUME "), ["/data"]);
    assert_eq!(after("ENV "), ["TECHLEET_DATA_DIR=/data"]);
    assert_eq!(after("ENTRYPOINT "), [r#"["/usr/local/bin/techleet"]"#]);
    assert!(after("COPY --from=build --chown=10001:10001 ").contains(&"/out/data /data"), "it owns what it writes");
    let ignored = std::fs::read_to_string(background("../.dockerignore")).unwrap();
    for folder in ["target", "data", ".git"] {
        assert!(ignored.lines().any(|line| line.trim_start_matches("**/") == folder), "{folder} goes into the build");
    }
}

#[test]
fn named_volumes_are_declared_and_hold_what_must_stay() {
    for file in [WITH_ZOOKEEPER, WITH_KRAFT] {
        let declared: BTreeSet<String> = compose(file)["volumes"].as_object().unwrap().keys().cloned().collect();
        let mut used = BTreeSet::new();
        for (name, service) in services(file) {
            let volumes = service["volumes"].as_array().cloned().unwrap_or_default();
            assert!(!volumes.is_empty() || name == "kafka-ui", "{file}: {name} forgets everything");
            used.extend(volumes.iter().map(|volume| text(volume).split(':').next().unwrap().to_owned()));
        }
        assert_eq!(used, declared, "{file}");
    }
}

#[test]
fn our_parts_are_locked_down_and_configured_with_keys_that_exist() {
    for file in [WITH_ZOOKEEPER, WITH_KRAFT] {
        let services = services(file);
        for (part, listen) in PARTS {
            let service = &services[part];
            assert_eq!(service["command"], serde_json::json!(["run", part]), "{file}");
            assert_eq!(service["read_only"], true, "{file}: {part}");
            assert_eq!(service["cap_drop"], serde_json::json!(["ALL"]), "{file}: {part}");
            let settings = settings(&service["environment"]);
            let port = TABLE.iter().find(|row| row.name == part).unwrap().ports[0];
            assert_eq!(settings.get::<String>(listen).unwrap(), format!("0.0.0.0:{port}"), "{file}");
            assert!(text(&service["healthcheck"]["test"][3]).contains(&format!("/{port} ")), "{file}: {part}");
            for (key, expected) in [
                ("kafka.brokers", "kafka:29092"),
                ("database.url", "postgres://techleet:techleet123@postgres:5432/techleet"),
                ("redis.host", "redis"),
                ("redis.password", "techleet123"),
                ("auth.user_service_url", "http://user-service:3001"),
            ] {
                assert_eq!(settings.get::<String>(key).unwrap(), expected, "{file}: {part}: {key}");
            }
            assert!(settings.get::<bool>("allow_public_bind").unwrap(), "{file}: {part} listens within its container");
        }
    }
}

#[test]
fn kafka_tells_each_side_an_address_that_it_can_reach() {
    for file in [WITH_ZOOKEEPER, WITH_KRAFT] {
        let environment = variables(&services(file)["kafka"]["environment"]);
        let advertised = &environment["KAFKA_ADVERTISED_LISTENERS"];
        assert_eq!(advertised, "EXTERNAL://localhost:9092,INTERNAL://kafka:29092", "{file}");
        assert_eq!(environment["KAFKA_INTER_BROKER_LISTENER_NAME"], "INTERNAL", "{file}");
        // A topic that comes into being by accident has other partitions and another retention than the table says.
        assert_eq!(environment["KAFKA_AUTO_CREATE_TOPICS_ENABLE"], "false", "{file}");
    }
}

#[test]
fn windows_gets_the_same_parts_ports_and_commands_as_everybody_else() {
    let script = std::fs::read_to_string(background("start-infrastructure.bat")).unwrap();
    let values = |name: &str| -> Vec<&str> {
        let mark = format!("set \"{name}=");
        script.lines().filter_map(|line| line.trim().strip_prefix(&mark)?.strip_suffix('"')).collect()
    };
    assert_eq!(values("COMPOSE_FILE_NAME"), [WITH_ZOOKEEPER, WITH_KRAFT]);
    let elsewhere = std::fs::read_to_string(background("start-infrastructure.sh")).unwrap();
    for (file, parts) in [WITH_ZOOKEEPER, WITH_KRAFT].into_iter().zip(values("PARTS")) {
        let services = services(file);
        let unknown: Vec<&str> = parts.split(' ').filter(|part| !services.contains_key(*part)).collect();
        assert!(unknown.is_empty(), "{file} has no {unknown:?}");
        let left: Vec<&String> = services.keys().filter(|name| !parts.split(' ').any(|part| part == *name)).collect();
        // As the script for other systems does, which a test asks a Docker of its own.
        assert_eq!(left, ["company-service", "recruitment-service"], "{file}");
    }
    for command in ["start", "stop", "status", "logs", "reset"] {
        assert!(script.contains(&format!("\"%~1\"==\"{command}\"")), "{command} is not taken");
        assert!(script.lines().any(|line| line == format!(":{command}")), "{command} does nothing");
        assert!(elsewhere.contains(command), "{command}");
    }
    let told: BTreeSet<u16> = script
        .lines()
        .filter_map(|line| line.split_once("localhost:")?.1.get(..4)?.parse().ok())
        .chain(script.split("internal: ").skip(1).filter_map(|rest| rest.get(..5)?.parse().ok()))
        .collect();
    let parts: Vec<&str> = values("PARTS")[0].split(' ').collect();
    let published = TABLE.iter().filter(|row| parts.contains(&row.name) && row.name != "user-service");
    assert_eq!(told, published.flat_map(|row| row.ports.iter().copied()).collect());
    assert!(script.contains(r#"("%~dp0topics.list")"#), "topics come from the list that is held against the contracts");
}

#[test]
fn list_of_topics_is_the_table_of_the_contracts() {
    let mut expected = String::from(
        "# Topic, partitions, settings: the table in crates/contracts/src/topics.rs, which a test holds this list against.\n",
    );
    for topic in required_topics() {
        let settings: Vec<String> = topic.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
        expected.push_str(&format!("{} {} {}\n", topic.name, topic.partitions, settings.join(" ")));
    }
    let found = std::fs::read_to_string(background("topics.list")).unwrap();
    assert_eq!(found, expected, "background/topics.list must read:\n{expected}");
}

pub(crate) fn background(file: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "background", file].iter().collect()
}

fn compose(file: &str) -> Value {
    let text = std::fs::read_to_string(background(file)).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}

/// The services of a file, those that it takes from another file included.
fn services(file: &str) -> BTreeMap<String, Value> {
    let document = compose(file);
    let services = document["services"].as_object().unwrap();
    let resolve = |(name, service): (&String, &Value)| {
        let service = match service.get("extends") {
            None => service.clone(),
            Some(from) => {
                assert_eq!(service.as_object().unwrap().len(), 1, "{file}: {name} is taken as it is");
                compose(text(&from["file"]))["services"][text(&from["service"])].clone()
            }
        };
        (name.clone(), service)
    };
    services.iter().map(resolve).collect()
}

/// The ports on this machine, in order; a container has the same number inside.
fn published_ports(service: &Value) -> Vec<u16> {
    let ports = service["ports"].as_array().unwrap().iter().map(|port| {
        let port = with_defaults(text(port));
        let [_, outside, inside] = port.split(':').collect::<Vec<_>>()[..] else { panic!("{port}") };
        assert_eq!(outside, inside);
        outside.parse().unwrap()
    });
    ports.collect()
}

fn variables(environment: &Value) -> BTreeMap<String, String> {
    let variables = environment.as_object().unwrap();
    variables.iter().map(|(name, value)| (name.clone(), with_defaults(text(value)))).collect()
}

fn settings(environment: &Value) -> Settings {
    let environment: Environment = variables(environment).into_iter().collect();
    Settings::load(&Sources { environment, ..Sources::default() }).unwrap()
}

/// `${NAME:-default}` becomes `default`.
fn with_defaults(text: &str) -> String {
    let mut pieces = text.split("${");
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (variable, rest) = piece.split_once('}').unwrap();
        let (_, default) = variable.split_once(":-").unwrap();
        out.push_str(default);
        out.push_str(rest);
    }
    out
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}"))
}
