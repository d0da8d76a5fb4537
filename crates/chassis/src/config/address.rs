//! Addresses in settings, so that a wrong one is told when it is read, with every other mistake, and not when somebody
//! comes to listen or to connect there. Whether a name is known is seen only then.

use std::net::{Ipv6Addr, SocketAddr};

/// What an address looks like, in the words of a line `Allowed: …`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Address {
    HostPort,
    HostPorts,
    IpPort,
    NamedHostPort,
    NamedIpPort,
    Url,
}

const WORDS: [(&str, Address); 6] = [
    ("HOST:PORT", Address::HostPort),
    ("HOST:PORT joined by commas", Address::HostPorts),
    ("ADDRESS:PORT", Address::IpPort),
    ("NAME://HOST:PORT", Address::NamedHostPort),
    ("NAME://ADDRESS:PORT", Address::NamedIpPort),
    ("http://HOST or https://HOST", Address::Url),
];

impl Address {
    pub(super) fn named(words: &str) -> Option<Self> {
        WORDS.iter().find(|(known, _)| *known == words).map(|(_, address)| *address)
    }

    pub(super) fn words(self) -> &'static str {
        WORDS.iter().find(|(_, address)| *address == self).map_or("an address", |(words, _)| words)
    }

    pub(super) fn is_form_of(self, text: &str) -> bool {
        match self {
            Self::HostPort => is_host_and_port(text),
            Self::HostPorts => text.split(',').all(|one| is_host_and_port(one.trim())),
            Self::IpPort => text.parse::<SocketAddr>().is_ok(),
            Self::NamedHostPort => after_name(text).is_some_and(is_host_and_port),
            // Without an address: every one of this machine.
            Self::NamedIpPort => after_name(text).is_some_and(|rest| match rest.strip_prefix(':') {
                Some(port) => is_port(port),
                None => rest.parse::<SocketAddr>().is_ok(),
            }),
            Self::Url => is_url(text),
        }
    }
}

fn after_name(text: &str) -> Option<&str> {
    text.trim().split_once("://").filter(|(name, _)| !name.is_empty()).map(|(_, rest)| rest)
}

fn is_host_and_port(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| is_host(host) && is_port(port))
}

fn is_host(text: &str) -> bool {
    match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => {
            let is_part_of_a_name = |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '.' | '_');
            !text.is_empty() && text.chars().all(is_part_of_a_name)
        }
    }
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

fn is_url(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")) else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    !text.contains(char::is_whitespace) && (is_host(place) || is_host_and_port(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_forms(address: Address, right: &[&str], wrong: &[&str]) {
        for text in right {
            assert!(address.is_form_of(text), "{text} is {}", address.words());
        }
        for text in wrong {
            assert!(!address.is_form_of(text), "{text:?} is not {}", address.words());
        }
    }

    #[test]
    fn every_form_takes_what_it_names_and_nothing_else() {
        let hosts = ["127.0.0.1:0", "localhost:9092", "kafka-1.example_net:65535", "[::1]:80"];
        let wrong = ["", "7", "3001", ":3001", "127.0.0.1", "host:seven", "host:70000", "host:+1", "host:", "::1:80"];
        assert_forms(Address::HostPort, &hosts, &wrong);
        assert_forms(Address::HostPort, &[], &["a host:1", "a,b:1", "[localhost]:1", "http://host:1", "host:1/"]);
        assert_forms(Address::HostPorts, &["a:1", "a:1,b:2", "a:1, b:2"], &["", "a:1,", "a:1,b", "a:1;b:2"]);
        assert_forms(Address::IpPort, &["127.0.0.1:0", "[::1]:9092"], &["localhost:9092", "127.0.0.1", "", "7"]);
        assert_forms(Address::NamedHostPort, &["INTERNAL://kafka:29092"], &["kafka:29092", "://kafka:1", "A://kafka"]);
        assert_forms(
            Address::NamedIpPort,
            &["SSL://127.0.0.1:9093", "SSL://:9093"],
            &["SSL://kafka:9093", "127.0.0.1:9093", "SSL://:", "SSL://"],
        );
        assert_forms(
            Address::Url,
            &["http://users:3001", "https://users.example.com/base?a=b", "http://[::1]:80", "http://me:you@gateway"],
            &["", "users:3001", "ftp://users", "http://", "http://users:seven", "http://a b", "http:///path"],
        );
    }

    #[test]
    fn words_and_addresses_go_both_ways() {
        for (words, address) in WORDS {
            assert_eq!(Address::named(words), Some(address));
            assert_eq!(address.words(), words);
        }
        assert_eq!(Address::named("HOST"), None);
    }
}
