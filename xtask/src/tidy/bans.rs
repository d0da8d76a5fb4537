//! What Rust code here does not say, and what it says instead.
//!
//! The rules look at tokens and not at text, so that comments and messages may name what is banned.
//! Clippy bans some of the same by path (`clippy.toml`); here stands what depends on the file.

use proc_macro2::{TokenStream, TokenTree};

use super::{File, Finding};

const RULE: &str = "ban";

/// A sequence of tokens that must not be written in some places.
struct Ban {
    /// Tokens with spaces between them.
    tokens: &'static str,
    is_banned: fn(&Place<'_>) -> bool,
    advice: &'static str,
}

/// Where a token stands.
struct Place<'a> {
    file: &'a File,
    /// In a test: a file under `tests`, the crate e2e, or below `#[cfg(test)] mod`.
    is_test: bool,
}

const BANS: &[Ban] = &[
    Ban {
        tokens: "# [ ignore",
        is_banned: always,
        advice: "run the test always; without its infrastructure it says so and returns",
    },
    Ban { tokens: "todo !", is_banned: always, advice: "write it, or return an error that says what is not supported" },
    Ban {
        tokens: "unimplemented !",
        is_banned: always,
        advice: "write it, or return an error that says what is not supported",
    },
    Ban { tokens: "thread :: sleep", is_banned: waits_in_test, advice: WAIT },
    Ban { tokens: "time :: sleep", is_banned: waits_in_test, advice: WAIT },
    Ban { tokens: "env :: var", is_banned: reads_environment, advice: CONFIG },
    Ban { tokens: "env :: var_os", is_banned: reads_environment, advice: CONFIG },
    Ban { tokens: "env :: vars", is_banned: reads_environment, advice: CONFIG },
    Ban { tokens: "env :: vars_os", is_banned: reads_environment, advice: CONFIG },
    Ban {
        tokens: "unbounded_channel",
        is_banned: always,
        advice: "a queue has a limit: use `tokio::sync::mpsc::channel` with a named one",
    },
    Ban {
        tokens: "mpsc :: channel ( )",
        is_banned: always,
        advice: "a queue has a limit: use `std::sync::mpsc::sync_channel` with a named one",
    },
    Ban {
        tokens: "rdkafka",
        is_banned: leaves_transport,
        advice: "only the transport knows the client: use `eventkit::transport`",
    },
    Ban { tokens: "SystemTime :: now", is_banned: tells_time, advice: CLOCK },
    Ban { tokens: "Timestamp :: now", is_banned: tells_time, advice: CLOCK },
];

const WAIT: &str = "wait for a state with `eventually!`, or pause the time of the runtime";
const CONFIG: &str = "only crates/chassis reads the environment: take the value as configuration";
const CLOCK: &str = "take the time from the crate's clock.rs, so that a test can set it";

/// Nothing banned is written where it is banned.
pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let bans: Vec<(Vec<&str>, &Ban)> = BANS.iter().map(|ban| (ban.tokens.split(' ').collect(), ban)).collect();
    let mut findings = Vec::new();
    for file in files {
        let tokens = tokens(file);
        let tests_start = find(&tokens, &["#", "[", "cfg", "(", "test", ")", "]", "mod"]);
        for (start, token) in tokens.iter().enumerate() {
            for (pattern, ban) in &bans {
                if !matches(&tokens[start..], pattern) {
                    continue;
                }
                let place =
                    Place { file, is_test: is_test_file(file) || tests_start.is_some_and(|tests| start > tests) };
                if (ban.is_banned)(&place) {
                    let written = pattern.concat();
                    let advice = format!("no `{written}` here: {}", ban.advice);
                    findings.push(Finding::new(&file.path, token.line, RULE, advice));
                }
            }
        }
    }
    findings
}

fn always(_: &Place<'_>) -> bool {
    true
}

/// A test waits in one place only, the helper behind `eventually!`.
fn waits_in_test(place: &Place<'_>) -> bool {
    place.is_test && !is_test_helper(place.file)
}

/// The chassis, tools that are no part of the product, and the helper that looks for a database.
fn reads_environment(place: &Place<'_>) -> bool {
    let path = &place.file.path;
    let is_allowed = ["crates/chassis/", "xtask/", "e2e/"].iter().any(|folder| path.starts_with(folder))
        || is_test_helper(place.file);
    !is_allowed
}

fn leaves_transport(place: &Place<'_>) -> bool {
    let path = &place.file.path;
    let is_allowed = path.starts_with("libs/eventkit/src/transport/kafka")
        || place.file.is_under("tests")
        || ["e2e/", "bench/", "compat/"].iter().any(|folder| path.starts_with(folder));
    !is_allowed
}

fn tells_time(place: &Place<'_>) -> bool {
    place.file.name() != "clock.rs"
}

fn is_test_file(file: &File) -> bool {
    file.is_under("tests") || file.path.starts_with("e2e/")
}

/// The file of a crate's tests that stands between them and the machine.
fn is_test_helper(file: &File) -> bool {
    is_test_file(file) && ["eventually.rs", "infra.rs", "support.rs"].contains(&file.name())
}

/// A token of a file as text.
struct Token {
    text: String,
    line: usize,
}

/// The tokens of a file, brackets among them; no comments, and literals without their content.
fn tokens(file: &File) -> Vec<Token> {
    let mut tokens = Vec::new();
    // What cannot be split into tokens is reported by the rule that measures functions.
    if let Some(Ok(stream)) = file.rust().map(str::parse) {
        flatten(stream, &mut tokens);
    }
    tokens
}

fn flatten(stream: TokenStream, tokens: &mut Vec<Token>) {
    for tree in stream {
        let line = tree.span().start().line;
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    proc_macro2::Delimiter::Parenthesis => ("(", ")"),
                    proc_macro2::Delimiter::Brace => ("{", "}"),
                    proc_macro2::Delimiter::Bracket => ("[", "]"),
                    proc_macro2::Delimiter::None => ("", ""),
                };
                let token = |text: &str, line| Token { text: text.to_owned(), line };
                tokens.push(token(open, line));
                flatten(group.stream(), tokens);
                tokens.push(token(close, group.span_close().start().line));
            }
            TokenTree::Literal(_) => tokens.push(Token { text: "\"\"".to_owned(), line }),
            TokenTree::Punct(punct) => match tokens.last_mut() {
                // Two colons are one token to whoever reads a path.
                Some(last) if punct.as_char() == ':' && last.text == ":" => {
                    last.text.push(':');
                }
                _ => tokens.push(Token { text: punct.as_char().to_string(), line }),
            },
            TokenTree::Ident(ident) => tokens.push(Token { text: ident.to_string(), line }),
        }
    }
}

fn matches(tokens: &[Token], pattern: &[&str]) -> bool {
    tokens.len() >= pattern.len() && tokens.iter().zip(pattern).all(|(token, text)| token.text == *text)
}

fn find(tokens: &[Token], pattern: &[&str]) -> Option<usize> {
    (0..tokens.len()).find(|start| matches(&tokens[*start..], pattern))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, source: &str) -> Vec<usize> {
        check(&[File::new(path, source)]).iter().map(|finding| finding.line).collect()
    }

    const LIB: &str = "libs/db/src/lib.rs";

    #[test]
    fn what_is_banned_everywhere_is_found_everywhere() {
        for source in [
            "#[ignore] fn f() {}",
            "#[ignore = \"slow\"] fn f() {}",
            "fn f() { todo!() }",
            "fn f() { unimplemented!(\"x\") }",
            "use tokio::sync::mpsc::unbounded_channel;",
            "fn f() { mpsc::channel(); }",
        ] {
            assert_eq!(lines(LIB, source), [1], "{source}");
            assert_eq!(lines("e2e/tests/it/a.rs", source), [1], "{source}");
        }
    }

    #[test]
    fn comments_messages_and_limits_pass() {
        let source = "// todo!() SystemTime::now\n/// rdkafka\nfn f() { g(\"todo!()\"); \
                      tokio::sync::mpsc::channel(8); env!(\"A\"); }";
        assert_eq!(lines(LIB, source), [0; 0]);
    }

    #[test]
    fn tests_do_not_sleep_but_the_helper_that_waits_does() {
        let source = "async fn f() { tokio::time::sleep(d).await; }";
        assert_eq!(lines(LIB, source), [0; 0]);
        assert_eq!(lines("libs/db/tests/it/a.rs", source), [1]);
        assert_eq!(lines("e2e/src/a.rs", source), [1]);
        assert_eq!(lines("e2e/src/eventually.rs", source), [0; 0]);
        let unit = format!("{source}\n#[cfg(test)]\nmod tests {{\n{source}\n}}");
        assert_eq!(lines(LIB, &unit), [4]);
    }

    #[test]
    fn only_the_chassis_and_tools_read_the_environment() {
        let source = "fn f() { std::env::var(\"A\"); env::vars_os(); }";
        assert_eq!(lines(LIB, source), [1, 1]);
        for path in [
            "crates/chassis/src/env.rs",
            "xtask/src/main.rs",
            "e2e/src/lib.rs",
            "libs/db/tests/it/infra.rs",
            "libs/db/tests/it/support.rs",
        ] {
            assert_eq!(lines(path, source), [0; 0], "{path}");
        }
        assert_eq!(lines("libs/db/src/support.rs", source), [1, 1]);
    }

    #[test]
    fn the_client_stays_in_its_transport() {
        let source = "use rdkafka::producer::FutureProducer;";
        assert_eq!(lines("libs/eventkit/src/relay.rs", source), [1]);
        for path in [
            "libs/eventkit/src/transport/kafka.rs",
            "libs/eventkit/src/transport/kafka/producer.rs",
            "libs/broker/tests/it/client.rs",
            "e2e/src/lib.rs",
        ] {
            assert_eq!(lines(path, source), [0; 0], "{path}");
        }
    }

    #[test]
    fn time_is_told_by_the_clock() {
        let source = "fn f() { SystemTime::now(); jiff::Timestamp::now(); }";
        assert_eq!(lines(LIB, source), [1, 1]);
        assert_eq!(lines("libs/db/src/clock.rs", source), [0; 0]);
    }
}
