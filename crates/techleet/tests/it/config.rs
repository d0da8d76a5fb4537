//! `config print` and `config check`: what counts, where it came from, and every mistake.

use crate::support::{Ran, program, run};

async fn config(command: &str, file: &str, variables: &[(&str, &str)], flags: &[&str]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("techleet.toml"), file).unwrap();
    let mut command = {
        let mut program = program(&["--config", "techleet.toml"]);
        flags.iter().for_each(|flag| {
            program.args(["--set", flag]);
        });
        program.args(["config", command]);
        program
    };
    command.current_dir(folder.path()).envs(variables.iter().copied());
    run(command, "").await
}

const FILE: &str = "[http]\nbody_bytes_max = 4096\nrequest_timeout_ms = 1000\n[redis]\nhost = \"cache\"\n";

#[tokio::test]
async fn print_shows_every_key_with_its_value_and_its_source_and_no_secret() {
    let variables = [
        ("KAFKA_BROKERS", "kafka-1:9092"),
        ("REDIS_PASSWORD", "hunter2"),
        ("DATABASE_URL", "postgres://u:hunter2@h/d"),
    ];
    let ran = config("print", FILE, &variables, &["http.body_bytes_max=8192", "data_dir=/srv/techleet"]).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    for line in [
        "data_dir = \"/srv/techleet\"  # from flag --set data_dir",
        "body_bytes_max = 8192  # from flag --set http.body_bytes_max",
        "request_timeout_ms = 1000  # from techleet.toml:3",
        "host = \"cache\"  # from techleet.toml:5",
        "brokers = \"kafka-1:9092\"  # from variable KAFKA_BROKERS",
        "password = \"***\"  # from variable REDIS_PASSWORD",
        "url = \"***\"  # from variable DATABASE_URL",
        "port = 6379  # from default",
    ] {
        assert!(ran.stdout.lines().any(|shown| shown == line), "{line} in:\n{}", ran.stdout);
    }
    assert!(!ran.stdout.contains("hunter2"));
    // What is shown is every key of the default file, in its order.
    let keys = |text: &str| -> Vec<String> {
        let names = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(" = "));
        names.map(|(name, _)| name.to_owned()).collect()
    };
    assert_eq!(keys(&ran.stdout), keys(include_str!("../../../../config/default.toml")));
}

#[tokio::test]
async fn check_says_nothing_of_what_is_right_and_everything_of_what_is_wrong() {
    let ran = config("check", FILE, &[], &[]).await;
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (0, "", ""));
    let wrong = "[user_service]\nlisten = \"7\"\n[redis]\nport = 0\n";
    let ran = config("check", wrong, &[("KAFKA_BROKERS", "kafka")], &["container.listen=here"]).await;
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    let said = "techleet: configuration has 4 mistakes\n  \
                techleet.toml:2: `user_service.listen` must be HOST:PORT, found \"7\"\n  \
                techleet.toml:4: `redis.port` must be from 1 to 65535, found 0\n  \
                variable KAFKA_BROKERS: `kafka.brokers` must be HOST:PORT joined by commas, found \"kafka\"\n  \
                flag --set container.listen: `container.listen` must be HOST:PORT, found \"here\"\n";
    assert_eq!(ran.stderr, said);
}

#[tokio::test]
async fn settings_count_before_a_command_in_the_middle_of_it_and_behind() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("techleet.toml");
    std::fs::write(&file, FILE).unwrap();
    let args = ["--config", &file.display().to_string(), "--set", "http.body_bytes_max=8192", "--set", "redis.port=1"];
    let rest = ["config", "--set", "redis.port=2", "print", "--set=log.filter=info"];
    let ran = run(program(&[&args[..], &rest].concat()), "").await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for line in ["body_bytes_max = 8192  #", "port = 2  #", "filter = \"info\"  #", "host = \"cache\"  #"] {
        assert!(ran.stdout.lines().any(|shown| shown.starts_with(line)), "{line} in:\n{}", ran.stdout);
    }
    // The last one counts, wherever it stands; and a tool's options are its own.
    let ran = run(program(&["--set", "redis.port=1", "config", "print", "--set", "redis.prot=2"]), "").await;
    assert!(ran.code == 2 && ran.stderr.contains("did you mean `redis.port`?"), "{}", ran.stderr);
    let tool = ["--set", "redis.port=1", "kafka-topics", "--create", "--topic", "a", "--config", "retention.ms=x"];
    let ran = run(program(&[&tool[..], &["--bootstrap-server", "127.0.0.1:1"]].concat()), "").await;
    assert!(ran.code != 0 && ran.stderr.contains("127.0.0.1:1"), "{}", ran.stderr);
}
