//! What error handling may say.

use crate::check::{OptionSpec, Spec, Takes};
use crate::components::Side;

const LOGS: &str = "what fails is logged once, where it is handled";

/// `redeliveryPolicy`.
pub(crate) static REDELIVERY: Spec = Spec {
    name: "redeliveryPolicy",
    about: "How often and after which delays a failed step is tried again",
    options: &[
        OptionSpec::new("maximumRedeliveries", Takes::Integer(-1, 1_000_000), "how often; -1 without an end"),
        OptionSpec::new("redeliveryDelay", Takes::Duration, "the first delay (1s)"),
        OptionSpec::new("maximumRedeliveryDelay", Takes::Duration, "the longest delay (60s)"),
        OptionSpec::new("useExponentialBackOff", Takes::Bool, "whether delays grow (false)"),
        OptionSpec::new("backOffMultiplier", Takes::Decimal, "by how much they grow (2)"),
        OptionSpec::new("useCollisionAvoidance", Takes::Bool, "whether delays vary by chance (false)"),
        OptionSpec::new("collisionAvoidanceFactor", Takes::Decimal, "by which part they vary (0.15)"),
        OptionSpec::new("delayPattern", Takes::Text, "delays from an attempt on, such as `1:1000;5:5000`"),
        OptionSpec::new("disableRedelivery", Takes::Bool, "whether there is no second attempt at all (false)"),
        OptionSpec::unused("asyncDelayedRedelivery", &Takes::Bool, "a delay never holds a thread"),
        OptionSpec::unused("allowRedeliveryWhileStopping", &Takes::Bool, "what is under way ends before a route stops"),
        OptionSpec::unused("logContinued", &Takes::Bool, LOGS),
        OptionSpec::unused("logExhausted", &Takes::Bool, LOGS),
        OptionSpec::unused("logExhaustedMessageBody", &Takes::Bool, LOGS),
        OptionSpec::unused("logExhaustedMessageHistory", &Takes::Bool, LOGS),
        OptionSpec::unused("logHandled", &Takes::Bool, LOGS),
        OptionSpec::unused("logNewException", &Takes::Bool, LOGS),
        OptionSpec::unused("logRetryAttempted", &Takes::Bool, LOGS),
        OptionSpec::unused("logRetryStackTrace", &Takes::Bool, LOGS),
        OptionSpec::unused("logStackTrace", &Takes::Bool, LOGS),
        OptionSpec::unused(
            "retriesExhaustedLogLevel",
            &Takes::OneOf(&["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "OFF"]),
            LOGS,
        ),
        OptionSpec::unused("retryAttemptedLogInterval", &Takes::Decimal, LOGS),
        OptionSpec::unused(
            "retryAttemptedLogLevel",
            &Takes::OneOf(&["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "OFF"]),
            LOGS,
        ),
        OptionSpec::refused("exchangeFormatterRef", "there is no Java here"),
    ],
    ..Spec::EMPTY
};

/// `onException`.
pub static ON_EXCEPTION: Spec = Spec {
    name: "onException",
    about: "What is done with exceptions of some classes",
    options: &[
        OptionSpec::required("exception", Takes::Classes, "the classes; the closest to what was thrown counts"),
        OptionSpec::new("onWhen", Takes::Condition, "only exchanges that meet this"),
        OptionSpec::new("retryWhile", Takes::Condition, "the step is tried again as long as this is true"),
        OptionSpec::new("redeliveryPolicy", Takes::One(&REDELIVERY), "when the step is tried again"),
        OptionSpec::new("handled", Takes::Condition, "whether the sender sees success"),
        OptionSpec::new("continued", Takes::Condition, "whether the route goes on behind the failed step"),
        OptionSpec::new("useOriginalMessage", Takes::Bool, "whether the steps get the message as it came in (false)"),
        OptionSpec::new("useOriginalBody", Takes::Bool, "whether the steps get the body as it came in (false)"),
        OptionSpec::new("steps", Takes::Steps, "what is done"),
        OptionSpec::refused("redeliveryPolicyRef", "write `redeliveryPolicy` with its options"),
        OptionSpec::refused("onRedeliveryRef", "there is no Java here"),
        OptionSpec::refused("onExceptionOccurredRef", "there is no Java here"),
    ],
    ..Spec::EMPTY
};

static DEAD_LETTER: Spec = Spec {
    name: "deadLetterChannel",
    about: "Exchanges that fail go to an endpoint, and the sender sees success",
    options: &[
        OptionSpec::required("deadLetterUri", Takes::Uri(Side::To), "where they go"),
        OptionSpec::new(
            "deadLetterHandleNewException",
            Takes::Bool,
            "whether an error on the way is only logged (true)",
        ),
        OptionSpec::new("useOriginalMessage", Takes::Bool, "whether the message as it came in goes there (false)"),
        OptionSpec::new("useOriginalBody", Takes::Bool, "whether the body as it came in goes there (false)"),
        OptionSpec::new("redeliveryPolicy", Takes::One(&REDELIVERY), "when steps are tried again"),
        OptionSpec::unused("level", &Takes::OneOf(&["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "OFF"]), LOGS),
        OptionSpec::meaningless("logName", LOGS),
        OptionSpec::meaningless("loggerRef", LOGS),
        OptionSpec::meaningless("executorServiceRef", "there are no threads"),
        OptionSpec::refused("redeliveryPolicyRef", "write `redeliveryPolicy` with its options"),
        OptionSpec::refused("retryWhileRef", "use `retryWhile` of `onException`"),
        OptionSpec::refused("onPrepareFailureRef", "use `onException` with steps"),
        OptionSpec::refused("onRedeliveryRef", "there is no Java here"),
        OptionSpec::refused("onExceptionOccurredRef", "there is no Java here"),
    ],
    ..Spec::EMPTY
};

static DEFAULT: Spec = Spec {
    name: "defaultErrorHandler",
    about: "Exchanges that fail fail for the sender too",
    options: &[
        OptionSpec::new("redeliveryPolicy", Takes::One(&REDELIVERY), "when steps are tried again"),
        OptionSpec::new("useOriginalMessage", Takes::Bool, "whether error steps get the message as it came in (false)"),
        OptionSpec::new("useOriginalBody", Takes::Bool, "whether error steps get the body as it came in (false)"),
        OptionSpec::unused("level", &Takes::OneOf(&["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "OFF"]), LOGS),
        OptionSpec::meaningless("logName", LOGS),
        OptionSpec::meaningless("loggerRef", LOGS),
        OptionSpec::meaningless("executorServiceRef", "there are no threads"),
        OptionSpec::refused("redeliveryPolicyRef", "write `redeliveryPolicy` with its options"),
        OptionSpec::refused("retryWhileRef", "use `retryWhile` of `onException`"),
        OptionSpec::refused("onPrepareFailureRef", "use `onException` with steps"),
        OptionSpec::refused("onRedeliveryRef", "there is no Java here"),
        OptionSpec::refused("onExceptionOccurredRef", "there is no Java here"),
    ],
    ..Spec::EMPTY
};

static NONE: Spec = Spec { name: "noErrorHandler", about: "Nobody handles errors of the route", ..Spec::EMPTY };

/// `errorHandler`.
pub static ERROR_HANDLER: Spec = Spec {
    name: "errorHandler",
    about: "What happens to exchanges that fail",
    options: &[
        OptionSpec::new("deadLetterChannel", Takes::One(&DEAD_LETTER), "they go to an endpoint"),
        OptionSpec::new("defaultErrorHandler", Takes::One(&DEFAULT), "the sender sees the failure"),
        OptionSpec::new("noErrorHandler", Takes::One(&NONE), "nobody handles them"),
        OptionSpec::refused("refErrorHandler", "write the error handler with its options"),
        OptionSpec::refused("jtaTransactionErrorHandler", "Kafka transactions are a setting of the source"),
        OptionSpec::refused("springTransactionErrorHandler", "Kafka transactions are a setting of the source"),
    ],
    ..Spec::EMPTY
};
