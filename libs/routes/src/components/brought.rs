//! Components that need something from whoever runs the engine: what their addresses may say.

use crate::check::Takes;

use super::{ComponentSpec, EndpointOption, Side};

const ONE_CLIENT: &str = "there is one client with limits of its own";

const HTTP_OPTIONS: &[EndpointOption] = &[
    EndpointOption::new(
        "httpMethod",
        Takes::OneOf(&["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"]),
        Side::To,
        "the method; without it the header `CamelHttpMethod` counts, and else POST with a body and GET without",
    ),
    EndpointOption::new(
        "throwExceptionOnFailure",
        Takes::Bool,
        Side::To,
        "whether an answer that is no success fails the exchange (true)",
    ),
    EndpointOption::new("responseTimeout", Takes::Duration, Side::To, "how long the answer may take (30s)"),
    EndpointOption::new(
        "bridgeEndpoint",
        Takes::Bool,
        Side::To,
        "whether the headers `CamelHttpUri` and `CamelHttpPath` do not count (false)",
    ),
    EndpointOption::new(
        "skipRequestHeaders",
        Takes::Bool,
        Side::To,
        "whether headers of the message are not sent (false)",
    ),
    EndpointOption::new(
        "skipResponseHeaders",
        Takes::Bool,
        Side::To,
        "whether headers of the answer are not taken over (false)",
    ),
    EndpointOption::meaningless("connectTimeout", ONE_CLIENT),
    EndpointOption::meaningless("connectionRequestTimeout", ONE_CLIENT),
    EndpointOption::meaningless("soTimeout", ONE_CLIENT),
    EndpointOption::meaningless("maxTotalConnections", ONE_CLIENT),
    EndpointOption::meaningless("connectionsPerRoute", ONE_CLIENT),
    EndpointOption::meaningless("disableStreamCache", "bodies can be read as often as needed"),
];

/// `http:`.
pub static HTTP: ComponentSpec = ComponentSpec {
    name: "http",
    about: "Sends the body to a web server; the answer becomes the message",
    path: "httpUri",
    side: Side::To,
    options: HTTP_OPTIONS,
};

/// `https:`.
pub static HTTPS: ComponentSpec =
    ComponentSpec { name: "https", about: "The same over TLS", path: "httpUri", side: Side::To, options: HTTP_OPTIONS };

/// `platform-http:`.
pub static PLATFORM_HTTP: ComponentSpec = ComponentSpec {
    name: "platform-http",
    about: "Takes requests on the web server of whoever runs the routes, there under `/routes`; the message that the \
            route ends with is the answer",
    path: "path",
    side: Side::From,
    options: &[
        EndpointOption::new(
            "httpMethodRestrict",
            Takes::Text,
            Side::From,
            "the methods it takes, with commas (all); others are answered with 405",
        ),
        EndpointOption::new(
            "access",
            Takes::OneOf(&["operator", "employee", "anybody"]),
            Side::From,
            "who may send requests, which Camel leaves to others (operator)",
        ),
        EndpointOption::new(
            "matchOnUriPrefix",
            Takes::Bool,
            Side::From,
            "whether it takes what lies under the path as well (false)",
        ),
        EndpointOption::meaningless("consumes", "the route sees `Content-Type` and decides"),
        EndpointOption::meaningless("produces", "the route sets `Content-Type`"),
        EndpointOption::meaningless("muteException", "an answer never tells why a route failed"),
        EndpointOption::meaningless("useStreaming", "bodies are read whole, up to the limit"),
    ],
};
