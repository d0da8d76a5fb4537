//! What `techleet up` says when everything runs: three commands to paste, which find it wherever it listens.

use std::net::SocketAddr;
use std::path::PathBuf;

use chassis::{Settings, Sources};

/// Where those parts listen that the commands ask over HTTP.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places {
    pub(super) user_service: SocketAddr,
    pub(super) container: SocketAddr,
}

/// The commands, for a shell in this directory. `settings` are those of the running parts.
pub(super) fn how_to_try(
    program: &str,
    file: Option<PathBuf>,
    settings: &Settings,
    places: Places,
) -> anyhow::Result<String> {
    let config = file.as_ref().map(|path| format!(" --config {}", quoted(&path.display().to_string())));
    let config = config.unwrap_or_default();
    // Another shell has neither our environment nor our flags.
    let found = Settings::load(&Sources { file, ..Sources::default() })?;
    let set = |key: &str, value: &str| -> anyhow::Result<String> {
        let is_found = found.get::<String>(key)? == value;
        Ok(if is_found { String::new() } else { format!(" --set {key}={}", quoted(value)) })
    };
    let brokers = set("kafka.brokers", &settings.get::<String>("kafka.brokers")?)?;
    let container = set("container.listen", &places.container.to_string())?;
    let data_dir: String = settings.get("data_dir")?;
    let data = match found.get::<String>("data_dir")? == data_dir {
        true => String::new(),
        false => format!(" --data-dir {}", quoted(&data_dir)),
    };
    let (heading, token) = match settings.get::<String>("auth.operator_token")?.is_empty() {
        true => ("Try it:", format!("$(cat {}/operator.token)", quoted(data_dir.trim_end_matches('/')))),
        // Which is not to be printed.
        false => (
            "Try it, with auth.operator_token in the variable TECHLEET_AUTH__OPERATOR_TOKEN:",
            "$TECHLEET_AUTH__OPERATOR_TOKEN".to_owned(),
        ),
    };
    let (program, user_service) = (quoted(program), places.user_service);
    Ok(format!(
        "
{heading}
  curl -X POST http://{user_service}/api/v1/users -H \"Authorization: Bearer {token}\" \\
    -H 'Content-Type: application/json' -d '{{\"firstName\":\"An\",\"lastName\":\"Tran\",\"email\":\"an@example.com\"}}'
  {program}{config}{brokers} consume user-events --from-beginning
  {program}{config}{data}{container} audit verify"
    ))
}

/// How a shell in this directory calls this program.
pub(super) fn program() -> String {
    let Ok(path) = std::env::current_exe() else { return "techleet".to_owned() };
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(&path).display().to_string()
}

/// A text as one word of a shell's command.
fn quoted(text: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_-./:=,@%+".contains(letter);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn told(flags: &[&str], user_service: &str, container: &str) -> Vec<String> {
        let flags = flags.iter().map(ToString::to_string).collect();
        told_of(&Sources { flags, ..Sources::default() }, user_service, container)
    }

    fn told_of(sources: &Sources, user_service: &str, container: &str) -> Vec<String> {
        let settings = Settings::load(sources).unwrap();
        let places = Places { user_service: user_service.parse().unwrap(), container: container.parse().unwrap() };
        let text = how_to_try("target/release/techleet", None, &settings, places).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn where_everything_is_as_usual_the_commands_need_no_options() {
        let told = told(&[], "127.0.0.1:3001", "127.0.0.1:8181");
        assert_eq!(told[1], "Try it:");
        assert!(told[2].contains("http://127.0.0.1:3001/api/v1/users"), "{told:?}");
        assert!(told[2].contains("$(cat ./data/operator.token)"), "{told:?}");
        assert_eq!(told[4], "  target/release/techleet consume user-events --from-beginning");
        assert_eq!(told[5], "  target/release/techleet audit verify");
    }

    #[test]
    fn whatever_is_elsewhere_is_in_the_commands() {
        let flags = ["data_dir=a 'b'/c", "kafka.brokers=k:1,l:2"];
        let told = told(&flags, "127.0.0.1:4001", "[::1]:4181");
        assert!(
            told[2].contains("http://127.0.0.1:4001/") && told[2].contains(r"$(cat 'a '\''b'\''/c'/operator.token)")
        );
        assert_eq!(
            told[4],
            "  target/release/techleet --set kafka.brokers=k:1,l:2 consume user-events --from-beginning"
        );
        assert_eq!(
            told[5],
            r"  target/release/techleet --data-dir 'a '\''b'\''/c' --set container.listen='[::1]:4181' audit verify"
        );
    }

    #[test]
    fn a_token_of_ones_own_is_asked_for_and_not_shown() {
        let token = "a token of thirty-two characters";
        let environment = [("TECHLEET_AUTH__OPERATOR_TOKEN", token)].into_iter().collect();
        let told = told_of(&Sources { environment, ..Sources::default() }, "127.0.0.1:3001", "127.0.0.1:8181");
        assert!(told[1].contains("TECHLEET_AUTH__OPERATOR_TOKEN"), "{told:?}");
        assert!(told[2].contains("Bearer $TECHLEET_AUTH__OPERATOR_TOKEN"), "{told:?}");
        assert!(!told.concat().contains(token));
    }
}
