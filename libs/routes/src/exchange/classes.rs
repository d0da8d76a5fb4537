//! The Java exception classes that route files may name, and which is a kind of which.

/// A class of exceptions.
#[derive(Debug)]
pub struct Class {
    /// Its full Java name.
    pub name: &'static str,
    /// What it is a kind of.
    pub parent: Option<&'static Class>,
}

impl Class {
    /// The class with this full name.
    pub fn find(name: &str) -> Option<&'static Class> {
        class::ALL.iter().copied().find(|class| class.name == name)
    }

    /// All classes that can be named.
    pub fn all() -> &'static [&'static Class] {
        class::ALL
    }

    /// How many steps up `ancestor` is: 0 for the class itself, nothing if it is no ancestor.
    pub fn distance_to(&'static self, ancestor: &Class) -> Option<usize> {
        std::iter::successors(Some(self), |class| class.parent).position(|class| class.name == ancestor.name)
    }

    /// Whether this is `ancestor` or a kind of it.
    pub fn is_a(&'static self, ancestor: &Class) -> bool {
        self.distance_to(ancestor).is_some()
    }
}

macro_rules! classes {
    ($($(#[$doc:meta])* $constant:ident = $name:literal $(: $parent:ident)?;)*) => {
        /// One constant for each class.
        pub mod class {
            use super::Class;

            $(
                #[doc = concat!("`", $name, "`")]
                pub static $constant: Class = Class {
                    name: $name,
                    parent: classes!(@parent $($parent)?),
                };
            )*

            pub(super) static ALL: &[&Class] = &[$(&$constant),*];
        }
    };
    (@parent) => { None };
    (@parent $parent:ident) => { Some(&$parent) };
}

classes! {
    THROWABLE = "java.lang.Throwable";
    ERROR = "java.lang.Error": THROWABLE;
    EXCEPTION = "java.lang.Exception": THROWABLE;
    RUNTIME = "java.lang.RuntimeException": EXCEPTION;
    ILLEGAL_ARGUMENT = "java.lang.IllegalArgumentException": RUNTIME;
    NUMBER_FORMAT = "java.lang.NumberFormatException": ILLEGAL_ARGUMENT;
    ILLEGAL_STATE = "java.lang.IllegalStateException": RUNTIME;
    NULL_POINTER = "java.lang.NullPointerException": RUNTIME;
    CLASS_CAST = "java.lang.ClassCastException": RUNTIME;
    ARITHMETIC = "java.lang.ArithmeticException": RUNTIME;
    INDEX_OUT_OF_BOUNDS = "java.lang.IndexOutOfBoundsException": RUNTIME;
    UNSUPPORTED_OPERATION = "java.lang.UnsupportedOperationException": RUNTIME;
    SECURITY = "java.lang.SecurityException": RUNTIME;
    INTERRUPTED = "java.lang.InterruptedException": EXCEPTION;
    CLASS_NOT_FOUND = "java.lang.ClassNotFoundException": EXCEPTION;
    NO_SUCH_ELEMENT = "java.util.NoSuchElementException": RUNTIME;
    UNCHECKED_IO = "java.io.UncheckedIOException": RUNTIME;
    DATE_TIME = "java.time.DateTimeException": RUNTIME;
    TIMEOUT = "java.util.concurrent.TimeoutException": EXCEPTION;
    EXECUTION = "java.util.concurrent.ExecutionException": EXCEPTION;
    REJECTED_EXECUTION = "java.util.concurrent.RejectedExecutionException": RUNTIME;
    IO = "java.io.IOException": EXCEPTION;
    FILE_NOT_FOUND = "java.io.FileNotFoundException": IO;
    EOF = "java.io.EOFException": IO;
    UNSUPPORTED_ENCODING = "java.io.UnsupportedEncodingException": IO;
    SOCKET = "java.net.SocketException": IO;
    CONNECT = "java.net.ConnectException": SOCKET;
    UNKNOWN_HOST = "java.net.UnknownHostException": IO;
    SOCKET_TIMEOUT = "java.net.SocketTimeoutException": IO;
    MALFORMED_URL = "java.net.MalformedURLException": IO;
    URI_SYNTAX = "java.net.URISyntaxException": EXCEPTION;
    SQL = "java.sql.SQLException": EXCEPTION;
    PARSE = "java.text.ParseException": EXCEPTION;
    GENERAL_SECURITY = "java.security.GeneralSecurityException": EXCEPTION;

    CAMEL = "org.apache.camel.CamelException": EXCEPTION;
    CAMEL_EXCHANGE = "org.apache.camel.CamelExchangeException": CAMEL;
    RUNTIME_CAMEL = "org.apache.camel.RuntimeCamelException": RUNTIME;
    CAMEL_EXECUTION = "org.apache.camel.CamelExecutionException": RUNTIME_CAMEL;
    RUNTIME_EXCHANGE = "org.apache.camel.RuntimeExchangeException": RUNTIME_CAMEL;
    EXPRESSION_EVALUATION = "org.apache.camel.ExpressionEvaluationException": RUNTIME_EXCHANGE;
    EXPRESSION_ILLEGAL_SYNTAX = "org.apache.camel.ExpressionIllegalSyntaxException": RUNTIME_CAMEL;
    ROLLBACK_EXCHANGE = "org.apache.camel.RollbackExchangeException": CAMEL_EXCHANGE;
    RUNTIME_ROLLBACK = "org.apache.camel.CamelRuntimeRollbackException": RUNTIME_CAMEL;
    INVALID_PAYLOAD = "org.apache.camel.InvalidPayloadException": CAMEL_EXCHANGE;
    PAYLOAD_RUNTIME = "org.apache.camel.InvalidPayloadRuntimeException": RUNTIME_EXCHANGE;
    NO_SUCH_ENDPOINT = "org.apache.camel.NoSuchEndpointException": RUNTIME_CAMEL;
    NO_SUCH_HEADER = "org.apache.camel.NoSuchHeaderException": CAMEL_EXCHANGE;
    NO_SUCH_PROPERTY = "org.apache.camel.NoSuchPropertyException": CAMEL_EXCHANGE;
    NO_SUCH_VARIABLE = "org.apache.camel.NoSuchVariableException": CAMEL_EXCHANGE;
    NO_SUCH_BEAN = "org.apache.camel.NoSuchBeanException": RUNTIME_CAMEL;
    NO_TYPE_CONVERSION = "org.apache.camel.NoTypeConversionAvailableException": CAMEL;
    TYPE_CONVERSION = "org.apache.camel.TypeConversionException": RUNTIME_CAMEL;
    VALIDATION = "org.apache.camel.ValidationException": CAMEL_EXCHANGE;
    CLOSED_CORRELATION_KEY =
        "org.apache.camel.processor.aggregate.ClosedCorrelationKeyException": CAMEL_EXCHANGE;
    NO_MESSAGE_ID = "org.apache.camel.processor.idempotent.NoMessageIdException": CAMEL_EXCHANGE;
    EXCHANGE_TIMED_OUT = "org.apache.camel.ExchangeTimedOutException": CAMEL_EXCHANGE;
    RESOLVE_ENDPOINT = "org.apache.camel.ResolveEndpointFailedException": RUNTIME_CAMEL;
    CAMEL_AUTHORIZATION = "org.apache.camel.CamelAuthorizationException": CAMEL_EXCHANGE;
    PREDICATE_VALIDATION = "org.apache.camel.support.processor.PredicateValidationException": VALIDATION;
    THROTTLER_REJECTED =
        "org.apache.camel.processor.ThrottlerRejectedExecutionException": REJECTED_EXECUTION;
    DIRECT_CONSUMER_NOT_AVAILABLE =
        "org.apache.camel.component.direct.DirectConsumerNotAvailableException": CAMEL_EXCHANGE;
    SEDA_CONSUMER_NOT_AVAILABLE =
        "org.apache.camel.component.seda.SedaConsumerNotAvailableException": CAMEL_EXCHANGE;
    GENERIC_FILE_OPERATION =
        "org.apache.camel.component.file.GenericFileOperationFailedException": RUNTIME_CAMEL;
    HTTP_OPERATION_FAILED = "org.apache.camel.http.base.HttpOperationFailedException": CAMEL;

    JACKSON = "com.fasterxml.jackson.core.JacksonException": IO;
    JACKSON_PROCESSING = "com.fasterxml.jackson.core.JsonProcessingException": JACKSON;
    JACKSON_STREAM_READ = "com.fasterxml.jackson.core.exc.StreamReadException": JACKSON_PROCESSING;
    JACKSON_PARSE = "com.fasterxml.jackson.core.JsonParseException": JACKSON_STREAM_READ;
    JACKSON_EOF = "com.fasterxml.jackson.core.io.JsonEOFException": JACKSON_PARSE;
    JACKSON_DATABIND = "com.fasterxml.jackson.databind.DatabindException": JACKSON_PROCESSING;
    JACKSON_MAPPING = "com.fasterxml.jackson.databind.JsonMappingException": JACKSON_DATABIND;
    JACKSON_MISMATCHED =
        "com.fasterxml.jackson.databind.exc.MismatchedInputException": JACKSON_MAPPING;
    JAYWAY = "com.jayway.jsonpath.JsonPathException": RUNTIME;
    JAYWAY_INVALID_JSON = "com.jayway.jsonpath.InvalidJsonException": JAYWAY;
    JAYWAY_INVALID_PATH = "com.jayway.jsonpath.InvalidPathException": JAYWAY;
    JAYWAY_PATH_NOT_FOUND = "com.jayway.jsonpath.PathNotFoundException": JAYWAY_INVALID_PATH;
    JQ = "net.thisptr.jackson.jq.exception.JsonQueryException": JACKSON_PROCESSING;

    KAFKA = "org.apache.kafka.common.KafkaException": RUNTIME;
    KAFKA_API = "org.apache.kafka.common.errors.ApiException": KAFKA;
    KAFKA_RETRIABLE = "org.apache.kafka.common.errors.RetriableException": KAFKA_API;
    KAFKA_TIMEOUT = "org.apache.kafka.common.errors.TimeoutException": KAFKA_RETRIABLE;
    KAFKA_RECORD_TOO_LARGE = "org.apache.kafka.common.errors.RecordTooLargeException": KAFKA_API;
    KAFKA_AUTHORIZATION = "org.apache.kafka.common.errors.AuthorizationException": KAFKA_API;

    CALL_NOT_PERMITTED = "io.github.resilience4j.circuitbreaker.CallNotPermittedException": RUNTIME;
    BULKHEAD_FULL = "io.github.resilience4j.bulkhead.BulkheadFullException": RUNTIME;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_ancestor_is_nearer() {
        let found = Class::find("java.io.FileNotFoundException").unwrap();
        assert_eq!(found.distance_to(&class::IO), Some(1));
        assert_eq!(found.distance_to(&class::EXCEPTION), Some(2));
        assert_eq!(found.distance_to(&class::RUNTIME), None);
        assert!(Class::find("java.lang.Nonsense").is_none());
    }

    #[test]
    fn every_class_is_a_throwable_and_named_once() {
        for (at, one) in Class::all().iter().enumerate() {
            assert!(one.is_a(&class::THROWABLE), "{}", one.name);
            assert!(Class::all()[..at].iter().all(|other| other.name != one.name), "{}", one.name);
        }
    }
}
