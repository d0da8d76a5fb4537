//! What Camel has and this engine has not, so that a refusal can say more than "unknown".

/// A name of Camel's DSL that is not supported, and what to do instead.
pub type Unsupported = (&'static str, &'static str);

const NO_JAVA: &str = "there is no Java here; write it with the steps and languages that there are";
const NO_ACCESS: &str = "there is no such component here; bring the data in over Kafka, HTTP or files";

/// Steps.
pub static STEPS: &[Unsupported] = &[
    ("a2aSubTask", NO_ACCESS),
    ("bean", NO_JAVA),
    ("claimCheck", "keep the body in a variable with `setVariable` and put it back with `setBody`"),
    ("doCatch", "it stands only in `doTry`, as a list"),
    ("doFinally", "it stands only in `doTry`"),
    ("dynamicRouter", "use `choice`, `recipientList` or `toD`"),
    ("intercept", "put the steps where they are needed"),
    ("interceptFrom", "put the steps at the beginning of the route"),
    ("interceptSendToEndpoint", "put the steps before the `to`"),
    ("loadBalance", "use `choice` or `toD`"),
    ("onCompletion", "use `doTry` with `doFinally`, or `onException`"),
    ("onFallback", "it stands only in `circuitBreaker`"),
    ("otherwise", "it stands only in `choice`"),
    ("pausable", "suspend and resume the route with `techleet routes`"),
    ("policy", "who may call is decided where the call comes in"),
    ("poll", "use a route of its own that reads the source"),
    ("pollEnrich", "use a route of its own that reads the source"),
    ("process", NO_JAVA),
    ("resequence", "order is kept per key; use `aggregate` to collect"),
    ("resumable", "offsets are kept by the source itself"),
    ("routingSlip", "use `recipientList`"),
    ("saga", "long-running work with compensation belongs into a workflow"),
    ("sample", "use `throttle`, or `filter`"),
    ("script", NO_JAVA),
    ("serviceCall", "use `toD` with a placeholder"),
    ("sort", "use `setBody` with `jq: sort`"),
    ("tokenizer", NO_ACCESS),
    ("transacted", "Kafka transactions are a setting of the source"),
    ("transformDataType", "use `transform` or `unmarshal`"),
    ("when", "it stands only in `choice`, as a list"),
    ("whenSkipSendToEndpoint", "put a `filter` around the `to`"),
];

/// Expression languages.
pub static LANGUAGES: &[Unsupported] = &[
    ("datasonnet", "use `jq`"),
    ("groovy", "use `simple`, `jq` or `jsonpath`"),
    ("hl7terser", "there is no HL7 here"),
    ("jactl", "use `simple`, `jq` or `jsonpath`"),
    ("java", "use `simple`, `jq` or `jsonpath`"),
    ("joor", "use `simple`, `jq` or `jsonpath`"),
    ("js", "use `simple`, `jq` or `jsonpath`"),
    ("method", "there is no Java here; use `simple`, `jq` or `jsonpath`"),
    ("mvel", "use `simple`, `jq` or `jsonpath`"),
    ("ognl", "use `simple`, `jq` or `jsonpath`"),
    ("python", "use `simple`, `jq` or `jsonpath`"),
    ("ref", "write the expression where it is used"),
    ("spel", "use `simple`, `jq` or `jsonpath`"),
    ("wasm", "WebAssembly is not called from expressions yet"),
    ("xpath", "there is no XML here"),
    ("xquery", "there is no XML here"),
    ("xtokenize", "there is no XML here"),
];

/// Data formats.
pub static DATA_FORMATS: &[Unsupported] = &[
    ("asn1", "only `json` and the other formats of the matrix are read"),
    ("avro", "not read yet"),
    ("barcode", "there are no pictures here"),
    ("beanio", NO_JAVA),
    ("bindy", NO_JAVA),
    ("cbor", "use `json`"),
    ("crypto", "messages are encrypted by whoever sends them"),
    ("custom", NO_JAVA),
    ("dfdl", "use `json`"),
    ("fhirJson", "use `json`"),
    ("fhirXml", "there is no XML here"),
    ("flatpack", "use `csv`"),
    ("fory", NO_JAVA),
    ("grok", "use `simple` or `jq` with a regular expression"),
    ("groovyJson", "use `json`"),
    ("groovyXml", "there is no XML here"),
    ("hl7", "there is no HL7 here"),
    ("ical", "use `json`"),
    ("iso8583", "use `json`"),
    ("jacksonXml", "there is no XML here"),
    ("jaxb", "there is no XML here"),
    ("jsonApi", "use `json`"),
    ("lzf", "not read yet"),
    ("mimeMultipart", "use `json`"),
    ("ocsf", "use `json`"),
    ("parquetAvro", "not read yet"),
    ("pgp", "messages are encrypted by whoever sends them"),
    ("pqc", "messages are encrypted by whoever sends them"),
    ("protobuf", "not read yet"),
    ("rss", "there is no XML here"),
    ("smooks", NO_JAVA),
    ("soap", "there is no XML here"),
    ("swiftMt", "use `json`"),
    ("swiftMx", "there is no XML here"),
    ("syslog", "use `simple` or `jq` with a regular expression"),
    ("tarFile", "not read yet"),
    ("thrift", "not read yet"),
    ("univocityCsv", "use `csv`"),
    ("univocityFixed", "use `csv`"),
    ("univocityTsv", "use `csv`"),
    ("xmlSecurity", "there is no XML here"),
    ("zipFile", "not read yet"),
];

/// Entries at the top of a file.
pub static TOP_LEVEL: &[Unsupported] = &[
    ("dataFormats", "write the options where the format is used"),
    ("intercept", "put the steps where they are needed"),
    ("interceptFrom", "put the steps at the beginning of the route"),
    ("interceptSendToEndpoint", "put the steps before the `to`"),
    ("onCompletion", "use `doTry` with `doFinally`, or `onException`"),
    ("rest", "use `from: platform-http:/path`"),
    ("restConfiguration", "use `from: platform-http:/path`"),
    ("sslContextParameters", "TLS is configured where the container listens"),
    ("transformers", "use `transform` or `unmarshal`"),
    ("validators", "use `validate`"),
];

/// Why a name is not supported, if Camel has it.
pub(super) fn instead(table: &[Unsupported], name: &str) -> Option<&'static str> {
    table.iter().find_map(|(known, instead)| (*known == name).then_some(*instead))
}
