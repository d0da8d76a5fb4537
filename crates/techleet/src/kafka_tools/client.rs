//! How Kafka's tools are told where the cluster is and how to speak to it.

use std::path::Path;

use anyhow::Context;
use chassis::Settings;
use eventkit::transport::kafka::KafkaConfig;
use ops::Kafka;

use super::failed;

/// A file with properties is read up to this size.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Settings of the Java client that ours has under another name, or does not need.
const RENAMED: [(&str, Option<&str>); 11] = [
    ("key.serializer", None),
    ("value.serializer", None),
    ("key.deserializer", None),
    ("value.deserializer", None),
    ("buffer.memory", None),
    ("max.block.ms", None),
    ("max.poll.records", None),
    ("delivery.timeout.ms", Some("message.timeout.ms")),
    ("max.request.size", Some("message.max.bytes")),
    ("fetch.max.wait.ms", Some("fetch.wait.max.ms")),
    ("max.partition.fetch.bytes", Some("fetch.message.max.bytes")),
];

/// `NAME=VALUE`.
pub(super) fn property(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    Ok((name.trim().to_owned(), value.to_owned()))
}

/// Where the cluster is, and what else a tool was told about the client.
pub(super) struct Client {
    pub(super) config: KafkaConfig,
    /// Settings by librdkafka's names.
    pub(super) overrides: Vec<(String, String)>,
}

impl Client {
    /// Takes the configuration of this machine, and over it what the tool was given.
    pub(super) fn new(
        settings: &Settings,
        bootstrap_server: Option<&str>,
        file: Option<&Path>,
        properties: &[(String, String)],
    ) -> anyhow::Result<Self> {
        let mut config: KafkaConfig = settings.section("kafka")?;
        config.brokers = bootstrap_server.ok_or_else(|| failed("--bootstrap-server must be specified"))?.to_owned();
        let mut client = Self { config, overrides: Vec::new() };
        let mut all = match file {
            Some(path) => read_properties(path)?,
            None => Vec::new(),
        };
        all.extend_from_slice(properties);
        for (name, value) in all {
            client.set(&name, value);
        }
        Ok(client)
    }

    /// Connects; without an answer the error says what to do.
    pub(super) async fn connect(&self) -> anyhow::Result<Kafka> {
        crate::kafka::connect_with(self.config.clone()).await
    }

    fn set(&mut self, name: &str, value: String) {
        match name {
            "security.protocol" => self.config.security_protocol = value,
            "sasl.mechanism" => self.config.sasl_mechanism = value,
            "sasl.jaas.config" => {
                self.config.sasl_username = quoted(&value, "username").unwrap_or_default();
                self.config.sasl_password = quoted(&value, "password").unwrap_or_default().into();
            }
            // With type PEM, which is the only one that this client reads.
            "ssl.truststore.location" => self.config.ssl_ca = value,
            "ssl.keystore.location" => {
                self.config.ssl_certificate.clone_from(&value);
                self.config.ssl_key = value;
            }
            "ssl.truststore.type" | "ssl.keystore.type" => {}
            "client.id" => self.config.client_id = value,
            "bootstrap.servers" => {}
            name => match RENAMED.iter().find(|(java, _)| *java == name) {
                None => self.overrides.push((name.to_owned(), value)),
                Some((_, Some(ours))) => self.overrides.push(((*ours).to_owned(), value)),
                Some((_, None)) => {}
            },
        }
    }
}

/// `name="value"` within a login module's options.
fn quoted(options: &str, name: &str) -> Option<String> {
    let (_, rest) = options.split_once(&format!("{name}=\""))?;
    Some(rest.split_once('"')?.0.to_owned())
}

fn read_properties(path: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let named = || format!("{} cannot be read", path.display());
    if std::fs::metadata(path).with_context(named)?.len() > FILE_BYTES_MAX {
        return Err(failed(format!("{} is larger than {FILE_BYTES_MAX} bytes", path.display())));
    }
    let text = std::fs::read_to_string(path).with_context(named)?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', '!']));
    Ok(lines.filter_map(|line| line.split_once('=')).map(|(name, value)| pair(name, value)).collect())
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.trim().to_owned(), value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_module_gives_user_and_password() {
        let options =
            r#"org.apache.kafka.common.security.plain.PlainLoginModule required username="an" password="p=\";"#;
        assert_eq!(quoted(options, "username").as_deref(), Some("an"));
        assert_eq!(quoted(options, "nothing"), None);
    }
}
