//! Layers, their order, and mistakes told all at once.

use std::io::Write;

use chassis::config::Source;
use chassis::lifecycle::LifecycleConfig;
use chassis::telemetry::LogConfig;
use chassis::{ConfigError, Environment, HttpConfig, Profile, Secret, Settings, Sources};
use serde::Deserialize;
use tempfile::NamedTempFile;

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn sources(file: Option<&NamedTempFile>, variables: &[(&str, &str)], flags: &[&str]) -> Sources {
    Sources {
        file: file.map(|file| file.path().to_owned()),
        environment: variables.iter().copied().collect(),
        flags: flags.iter().map(ToString::to_string).collect(),
    }
}

/// The message with the temporary file's name taken out.
fn message(error: &ConfigError, file: &NamedTempFile) -> String {
    error.to_string().replace(&file.path().display().to_string(), "FILE")
}

/// What the seed's variables are about; the whole section is eventkit's.
#[derive(Debug, Deserialize)]
struct Kafka {
    brokers: String,
    client_id: Option<String>,
    group_id: Option<String>,
    security_protocol: String,
    sasl_mechanism: Option<String>,
    sasl_username: Option<String>,
    sasl_password: Option<Secret>,
    ssl_ca: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Redis {
    host: Option<String>,
    port: u16,
    password: Secret,
    key_prefix: String,
    timeout_ms: u64,
}

#[test]
fn every_mistake_of_every_layer_is_told_at_once_with_its_place() {
    let file = file(concat!(
        "profile = \"develpment\"\n",
        "[http]\n",
        "request_timeout_ms = \"30s\"\n",
        "body_bytes_mx = 5\n",
        "drain_timeout_ms = -1\n",
        "[brokr]\n",
        "listen = \"x\"\n",
        "[redis]\n",
        "password = 5\n",
        "[log.format]\n",
        "colour = true\n",
        "[database]\n",
        "readers_max = 2026-11-24\n",
    ));
    let variables = [
        ("KAFKA_SECURITY_PROTOCOL", "kerberos"),
        ("REDIS_PORT", "70000"),
        ("TECHLEET_USER_SERVICE__LISTN", "127.0.0.1:1"),
        ("TECHLEET_EVENTKIT__CONSUMER_WORKERS", ""),
        ("TECHLEET_COMPLETELY_DIFFERENT", "hunter2"),
        ("TECHLEET_TEST_POSTGRES_URL", "postgres://ignored"),
        ("PATH", "/bin"),
    ];
    let flags = ["http.connections_max=many", "http=1", "listen", "log.fliter=info"];
    let error = Settings::load(&sources(Some(&file), &variables, &flags)).unwrap_err();
    insta::assert_snapshot!(message(&error, &file));
}

#[test]
fn every_wrong_address_of_every_layer_is_told_at_once() {
    let file =
        file("[company_service]\nlisten = \"here\"\n[broker.security]\nlisteners = [\"SSL://:9093\", \"kafka:1\"]\n");
    let variables = [("KAFKA_BROKERS", "kafka-1:9092,kafka-2"), ("TECHLEET_AUTH__USER_SERVICE_URL", "users:3001")];
    let flags = [
        "user_service.listen=7",
        "recruitment_service.listen=",
        "container.listen=127.0.0.1:70000",
        "broker.listen=localhost:9092",
        "broker.advertise=kafka",
        "broker.security.advertised_listeners=kafka:1",
        "broker_http.listen=:9464",
        "container.sms.url=gateway",
        "container.push.url=ftp://gateway",
    ];
    let error = Settings::load(&sources(Some(&file), &variables, &flags)).unwrap_err();
    insta::assert_snapshot!(message(&error, &file));
}

#[test]
fn what_is_unset_by_default_can_be_unset_again() {
    let file = file("[broker]\nadvertise = \"kafka:9092\"\n[broker.security]\nlisteners = [\"SSL://:9093\"]\n");
    let flags = ["broker.advertise=", "broker.security.listeners=", "container.sms.url="];
    let settings = Settings::load(&sources(Some(&file), &[], &flags)).unwrap();
    assert_eq!(settings.get::<String>("broker.advertise").unwrap(), "");
    assert!(settings.get::<Vec<String>>("broker.security.listeners").unwrap().is_empty());
}

#[test]
fn later_layers_override_earlier_ones_key_by_key() {
    let file = file(concat!(
        "[http]\nrequest_timeout_ms = 1\ndrain_timeout_ms = 1\nbody_bytes_max = 1\n",
        "[log]\nformat = \"json\"\n",
    ));
    let variables = [("TECHLEET_HTTP__DRAIN_TIMEOUT_MS", "2"), ("TECHLEET_HTTP__BODY_BYTES_MAX", "2")];
    let flags = ["http.body_bytes_max=7", "http.body_bytes_max=3"];
    let settings = Settings::load(&sources(Some(&file), &variables, &flags)).unwrap();
    let http: HttpConfig = settings.section("http").unwrap();
    assert_eq!(
        (http.request_timeout_ms, http.drain_timeout_ms, http.body_bytes_max, http.drain_delay_ms),
        (1, 2, 3, 0)
    );
    assert_eq!(settings.get::<String>("log.format").unwrap(), "json");
    assert_eq!(settings.profile().unwrap(), Profile::Development);
    let path = file.path().display().to_string();
    let expected = [
        ("http.request_timeout_ms", Source::File { path, line: 2 }),
        ("http.drain_timeout_ms", Source::Variable("TECHLEET_HTTP__DRAIN_TIMEOUT_MS".to_owned())),
        ("http.body_bytes_max", Source::Flag("http.body_bytes_max".to_owned())),
        ("http.drain_delay_ms", Source::Default),
    ];
    for (key, source) in expected {
        assert_eq!(settings.source(key), Some(&source), "{key}");
    }
}

#[test]
fn what_was_handled_is_not_forgotten_before_its_topic_forgets_it() {
    let longest_ms = contracts::topics::required_topics()
        .iter()
        .map(|topic| topic.settings["retention.ms"].parse::<u64>().unwrap())
        .max()
        .unwrap();
    let load = |retention_ms: u64| {
        let flag = format!("eventkit.inbox_retention_ms={retention_ms}");
        Settings::load(&sources(None, &[], &[&flag]))
    };
    let refused = load(longest_ms - 1).unwrap_err().to_string();
    assert!(refused.contains("eventkit.inbox_retention_ms"), "{refused}");
    load(longest_ms).unwrap();
}

#[test]
fn names_of_other_tools_are_aliases() {
    let variables = [
        ("KAFKA_BROKERS", "kafka-1:9092,kafka-2:9092"),
        ("KAFKA_CLIENT_ID", "user-service"),
        ("KAFKA_GROUP_ID", "user-service-group"),
        ("KAFKA_SECURITY_PROTOCOL", "sasl_ssl"),
        ("KAFKA_SASL_MECHANISM", "PLAIN"),
        ("KAFKA_SASL_USERNAME", "me"),
        ("KAFKA_SASL_PASSWORD", "secret-1"),
        ("KAFKA_SASL_PASSWORD_FILE", "/password"),
        ("KAFKA_SSL_CA", "/ca.pem"),
        ("KAFKA_SSL_CERTIFICATE", "/me.pem"),
        ("KAFKA_SSL_KEY", "/me.key"),
        ("REDIS_HOST", "localhost"),
        ("REDIS_PORT", "6380"),
        ("REDIS_PASSWORD", "techleet123"),
        ("DATABASE_URL", "postgres://u:secret-2@h/d"),
    ];
    let settings = Settings::load(&sources(None, &variables, &[])).unwrap();
    let kafka: Kafka = settings.section("kafka").unwrap();
    assert_eq!(kafka.brokers, "kafka-1:9092,kafka-2:9092");
    assert_eq!(kafka.client_id.as_deref(), Some("user-service"));
    assert_eq!(kafka.group_id.as_deref(), Some("user-service-group"));
    assert_eq!(kafka.security_protocol, "SASL_SSL", "the canonical spelling");
    assert_eq!(kafka.sasl_mechanism.as_deref(), Some("PLAIN"));
    assert_eq!(kafka.sasl_username.as_deref(), Some("me"));
    assert_eq!(kafka.sasl_password.unwrap().expose(), "secret-1");
    assert_eq!(kafka.ssl_ca.as_deref(), Some("/ca.pem"));
    for (key, value) in [("sasl_password_file", "/password"), ("ssl_certificate", "/me.pem"), ("ssl_key", "/me.key")] {
        assert_eq!(settings.get::<String>(&format!("kafka.{key}")).unwrap(), value);
    }
    let redis: Redis = settings.section("redis").unwrap();
    assert_eq!(redis.host.as_deref(), Some("localhost"));
    assert_eq!((redis.port, redis.password.expose()), (6380, "techleet123"));
    assert_eq!((redis.key_prefix.as_str(), redis.timeout_ms), ("techleet", 500));
    let url: String = settings.get("database.url").unwrap();
    assert_eq!(url, "postgres://u:secret-2@h/d");
}

#[test]
fn variable_with_our_own_prefix_wins_over_an_alias() {
    let variables = [("KAFKA_BROKERS", "alias:1"), ("TECHLEET_KAFKA__BROKERS", "own:1")];
    let settings = Settings::load(&sources(None, &variables, &[])).unwrap();
    assert_eq!(settings.get::<String>("kafka.brokers").unwrap(), "own:1");
}

#[test]
fn empty_text_is_none_where_a_field_is_optional() {
    let settings = Settings::load(&Sources::default()).unwrap();
    let kafka: Kafka = settings.section("kafka").unwrap();
    assert!(kafka.client_id.is_none() && kafka.group_id.is_none() && kafka.ssl_ca.is_none());
    assert!(kafka.sasl_password.is_none());
    let redis: Redis = settings.section("redis").unwrap();
    assert!(redis.password.is_empty(), "a field that is not optional keeps the empty text");
}

#[test]
fn listing_names_every_source_and_no_secret() {
    let defaults = concat!(
        "# A.\nname = \"an \\\"odd\\\" name\"\n[http]\n# B.\nport = 1\n",
        "[redis]\n# C.\nhost = \"\"\n# D.\npassword = \"\"\n",
        "[kafka]\n# E.\nsasl_password = \"\"\n# F.\nlist = [\"a\"]\n",
    );
    let sources = sources(
        None,
        &[("REDIS_PASSWORD", "hunter2"), ("REDIS_HOST", "cache"), ("TECHLEET_KAFKA__LIST", "x, y")],
        &["http.port=2"],
    );
    let settings = Settings::load_with_defaults(defaults, &sources).unwrap();
    insta::assert_snapshot!(settings.print());
    assert!(!format!("{settings:?} {sources:?}").contains("hunter2"));
}

#[test]
fn secrets_are_in_no_message() {
    let file = file("[redis]\npassword = 424242\n[kafka]\nsasl_password = \"hunter2\n");
    let error = Settings::load(&sources(Some(&file), &[], &[])).unwrap_err();
    assert!(!message(&error, &file).contains("hunter2"), "a syntax error shows no line: {error}");
    let file = self::file("[redis]\npassword = 424242\n");
    let error = Settings::load(&sources(Some(&file), &[], &[])).unwrap_err();
    assert_eq!(message(&error, &file), "configuration: FILE:2: `redis.password` must be a text");
}

#[test]
fn secret_on_the_command_line_is_refused_and_not_repeated() {
    let flags = ["redis.password=hunter2", "database.url=postgres://u:hunter2@h/d", "log.filter=info"];
    let error = Settings::load(&sources(None, &[], &flags)).unwrap_err().to_string();
    assert!(error.contains("set TECHLEET_REDIS__PASSWORD, or TECHLEET_REDIS__PASSWORD_FILE"), "{error}");
    assert!(error.contains("flag --set database.url: "), "{error}");
    assert!(!error.contains("hunter2") && !error.contains("log.filter"), "{error}");
    let harmless = ["redis.password=", "database.url=sqlite:a.db", "database.url=postgres://h/d"];
    Settings::load(&sources(None, &[], &harmless)).unwrap();
}

#[test]
fn every_secret_can_be_in_a_file_of_its_own() {
    let secret = file("hunter2\n");
    let path = secret.path().to_str().unwrap();
    let variables: Vec<(String, String)> = chassis::config::SECRET_KEYS
        .iter()
        .map(|key| (format!("TECHLEET_{}_FILE", key.to_uppercase().replace('.', "__")), path.to_owned()))
        .collect();
    let variables: Vec<(&str, &str)> = variables.iter().map(|(name, path)| (name.as_str(), path.as_str())).collect();
    let settings = Settings::load(&sources(None, &variables, &[])).unwrap();
    for key in chassis::config::SECRET_KEYS {
        let (own_key, expected) = match settings.get::<String>(&format!("{key}_file")) {
            Ok(file) => (file, path.to_owned()),
            Err(_) => match settings.get::<Vec<String>>(key) {
                Ok(texts) => (texts.concat(), "hunter2".to_owned()),
                Err(_) => (settings.get(key).unwrap(), "hunter2".to_owned()),
            },
        };
        assert_eq!(own_key, expected, "{key}");
    }
    assert!(!settings.print().contains("hunter2"));
    let aliases = [("REDIS_PASSWORD_FILE", path), ("DATABASE_URL_FILE", path), ("KAFKA_SASL_PASSWORD_FILE", path)];
    let settings = Settings::load(&sources(None, &aliases, &[])).unwrap();
    assert_eq!(settings.get::<String>("redis.password").unwrap(), "hunter2");
    assert_eq!(settings.get::<String>("database.url").unwrap(), "hunter2");
    assert_eq!(settings.get::<String>("kafka.sasl_password_file").unwrap(), path);
    let error = Settings::load(&sources(None, &[("REDIS_PASSWORD_FILE", "/nowhere")], &[])).unwrap_err().to_string();
    assert!(error.contains("variable REDIS_PASSWORD_FILE: /nowhere cannot be read"), "{error}");
}

#[test]
fn value_that_does_not_fit_its_field_is_told_with_its_place() {
    #[derive(Debug, Deserialize)]
    struct Small {
        #[expect(dead_code, reason = "never gets a value")]
        request_timeout_ms: u8,
    }
    let settings = Settings::load(&sources(None, &[], &["http.request_timeout_ms=300"])).unwrap();
    let error = settings.section::<Small>("http").unwrap_err();
    assert_eq!(
        error.to_string(),
        "configuration: flag --set http.request_timeout_ms: `http.request_timeout_ms`: \
         invalid value: integer `300`, expected u8"
    );
    let other = settings.section::<Small>("htp").unwrap_err();
    assert_eq!(error.and(other).mistakes().len(), 2);
}

#[test]
fn sections_of_the_default_file_fit_their_structures() {
    let settings = Settings::load(&Sources::default()).unwrap();
    settings.section::<HttpConfig>("http").unwrap();
    settings.section::<LogConfig>("log").unwrap();
    let limits: LifecycleConfig = settings.section("lifecycle").unwrap();
    let http: HttpConfig = settings.section("http").unwrap();
    assert!(limits.part_stop_timeout_ms > http.drain_timeout_ms + http.drain_delay_ms);
    settings.section::<eventkit::transport::kafka::KafkaConfig>("kafka").unwrap();
    let database: db::Config = settings.section("database").unwrap();
    let known = format!("{:?}", db::Config { url: String::new(), ..db::Config::default() });
    assert_eq!(format!("{database:?}"), known, "both default the same");
}

#[test]
fn missing_file_is_a_mistake() {
    let mut sources = sources(None, &[], &["nonsense"]);
    sources.file = Some("does/not/exist.toml".into());
    let error = Settings::load(&sources).unwrap_err();
    assert_eq!(error.mistakes().len(), 2, "{error}");
    assert!(error.to_string().contains("does/not/exist.toml: cannot be read"), "{error}");
}

#[test]
fn environment_of_the_process_can_be_loaded() {
    let environment = Environment::from_process();
    assert!(environment.get("PATH").is_some());
    assert!(!format!("{environment:?}").contains("PATH"));
}
