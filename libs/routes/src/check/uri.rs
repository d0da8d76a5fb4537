//! Addresses of endpoints: `component:path?option=value`.

use crate::parse::Mark;

/// The address of an endpoint with its options, and where they stand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EndpointText {
    /// The name of the component.
    pub scheme: String,
    /// What stands between the component and the options.
    pub path: String,
    /// The options, decoded.
    pub options: Vec<(String, String)>,
    /// Where the address stands.
    pub at: Mark,
}

impl EndpointText {
    /// The value of an option.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find_map(|(known, value)| (known == name).then_some(value.as_str()))
    }

    /// The address without options, as logs and `mock:` results name it.
    pub fn name(&self) -> String {
        format!("{}:{}", self.scheme, self.path)
    }
}

/// Takes an address apart.
///
/// # Errors
/// With what is wrong, for the author of the file.
pub fn parse_uri(text: &str, at: Mark) -> Result<EndpointText, String> {
    let text = text.trim();
    let (address, query) = text.split_once('?').map_or((text, None), |(address, query)| (address, Some(query)));
    // With the path among the parameters, the component stands alone.
    let (scheme, path) = address.split_once(':').unwrap_or((address, ""));
    let is_name =
        |scheme: &str| !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"-+._".contains(&b));
    if !is_name(scheme) {
        return Err(format!("`{text}` is no address of an endpoint: it begins with a component, as in `direct:name`"));
    }
    let mut options: Vec<(String, String)> = Vec::new();
    for (name, value) in query.map(pairs).unwrap_or_default() {
        if options.iter().any(|(known, _)| *known == name) {
            return Err(format!("option `{name}` stands twice in `{text}`"));
        }
        options.push((name, value));
    }
    let path = path.strip_prefix("//").unwrap_or(path).to_owned();
    Ok(EndpointText { scheme: scheme.to_owned(), path, options, at })
}

/// Splits at `&`, but not inside of `RAW(…)`, whose content is taken as it is.
fn pairs(query: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = query;
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=').unwrap_or((rest, ""));
        if name.contains('&') {
            // An option without a value.
            let (name, after) = rest.split_once('&').unwrap_or((rest, ""));
            found.push((decode(name), String::new()));
            rest = after;
            continue;
        }
        let raw = [("RAW(", ")"), ("RAW{", "}")]
            .iter()
            .find_map(|(open, close)| after.strip_prefix(open).and_then(|inside| inside.split_once(close)));
        let (value, after) = match raw {
            Some((value, after)) => (value.to_owned(), after.strip_prefix('&').unwrap_or(after)),
            None => {
                let (value, after) = after.split_once('&').unwrap_or((after, ""));
                (decode(value), after)
            }
        };
        if !name.is_empty() {
            found.push((decode(name), value));
        }
        rest = after;
    }
    found
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (b'+', _) => {
                out.push(b' ');
                at += 1;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let uri = parse_uri("timer://tick?period=5s&x=a%26b&raw=RAW(a&b=c)&on", Mark::default()).unwrap();
        assert_eq!((uri.scheme.as_str(), uri.path.as_str()), ("timer", "tick"));
        assert_eq!(uri.option("period"), Some("5s"));
        assert_eq!(uri.option("x"), Some("a&b"));
        assert_eq!(uri.option("raw"), Some("a&b=c"));
        assert_eq!(uri.option("on"), Some(""));
        assert_eq!(parse_uri("kafka:user-events", Mark::default()).unwrap().name(), "kafka:user-events");
    }

    #[test]
    fn what_is_no_address_says_so() {
        assert!(parse_uri("my orders", Mark::default()).unwrap_err().contains("`direct:name`"));
        assert!(parse_uri("a b:c", Mark::default()).is_err());
        assert!(parse_uri("a:b?x=1&x=2", Mark::default()).unwrap_err().contains("twice"));
    }
}
