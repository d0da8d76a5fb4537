//! What the routes of a running container are and do: their steps, their numbers, their exchanges.

use std::ops::ControlFlow;
use std::time::Duration;

use anyhow::anyhow;
use chassis::Settings;
use jiff::Timestamp;
use ops::routes::{FollowedExchange, FollowedStep, HeaderChange, Route, RouteStep, RouteSteps, ShownBody, Traced};

use super::operate::container;
use crate::cli::Output;
use crate::exit::{Class, classified};
use crate::operator::refused;
use crate::output;
use crate::render::{Columns, clean, counted, or_nothing, time};

/// How wide the name of a fact is.
const NAME_WIDTH: usize = 14;
/// How far steps are indented for each step that they stand in.
const INDENT: usize = 2;

/// Prints one route.
pub(super) async fn show(settings: &Settings, route: &str, output: Output) -> anyhow::Result<()> {
    let routes = container(settings)?.route_steps(Some(route)).await.map_err(refused)?;
    output::rows(output.format, &routes, || routes.iter().flat_map(shown).collect())
}

fn shown(steps: &RouteSteps) -> Vec<String> {
    let Route { id, file, revision, from, state, total, failed, in_flight, unacknowledged, .. } = &steps.route;
    let fact = |name: &str, value: &str| format!("{name:<NAME_WIDTH$}{}", clean(value));
    let deployed = steps.deployed_at.map(|at| format!(", since {}", time(Some(at)))).unwrap_or_default();
    let mut lines = vec![
        fact("route", id),
        fact("state", state),
        fact("file", &format!("{file}, revision {}{deployed}", or_nothing(*revision))),
        fact("takes from", from),
    ];
    lines.extend(steps.group.iter().map(|group| fact("group", group)));
    lines.extend(steps.dead_letters_to.iter().map(|to| fact("dead letters", to)));
    if !steps.auto_startup {
        lines.push(fact("starts", "when it is told to"));
    }
    let waits = match unacknowledged {
        0 => String::new(),
        waiting => format!(", {waiting} wait for acknowledgements"),
    };
    lines.push(fact("exchanges", &format!("{total}, {failed} failed, {in_flight} in the steps{waits}")));
    lines.push(String::new());
    let mut table = Columns::new(&["STEP", ">LINE", "KIND", "SENDS TO"]);
    for step in &steps.steps {
        let line = match step.file == *file {
            true => step.line.to_string(),
            false => format!("{}:{}", step.file, step.line),
        };
        table.row([indented(step), line, step.kind.clone(), step.sends_to.join(", ")]);
    }
    lines.extend(table.lines());
    lines
}

/// Prints what the steps of one route or of all have done.
pub(super) async fn stats(settings: &Settings, route: Option<&str>, output: Output) -> anyhow::Result<()> {
    let routes = container(settings)?.route_steps(route).await.map_err(refused)?;
    output::rows(output.format, &routes, || table(&routes))
}

fn table(routes: &[RouteSteps]) -> Vec<String> {
    let headings =
        ["ROUTE", "STEP", ">TOTAL", ">FAILED", ">IN FLIGHT", ">REDELIVERED", ">DEAD LETTERS", ">LAST", ">MEAN"];
    let mut table = Columns::new(&headings);
    for RouteSteps { route, steps, .. } in routes {
        let Route { total, failed, in_flight, unacknowledged, redelivered, dead_lettered, last_us, mean_us, .. } =
            route;
        let counted = [*total, *failed, in_flight + unacknowledged, *redelivered, *dead_lettered];
        table.row(row(&route.id, String::new(), counted, [*last_us, *mean_us]));
        for step in steps {
            let RouteStep { total, failed, in_flight, redelivered, dead_lettered, last_us, mean_us, .. } = step;
            let counted = [*total, *failed, *in_flight, *redelivered, *dead_lettered];
            table.row(row(&route.id, indented(step), counted, [*last_us, *mean_us]));
        }
    }
    table.lines()
}

fn row(route: &str, step: String, counted: [u64; 5], times_us: [u64; 2]) -> Vec<String> {
    let mut cells = vec![route.to_owned(), step];
    cells.extend(counted.map(|number| number.to_string()));
    // Before the first there is none.
    cells.extend(times_us.map(|us| if counted[0] == 0 { or_nothing::<String>(None) } else { micros(us) }));
    cells
}

fn indented(step: &RouteStep) -> String {
    format!("{:indent$}{}", "", step.step, indent = step.depth * INDENT)
}

/// Follows the next exchanges of a route, and prints each when it has ended.
pub(super) async fn trace(
    settings: &Settings,
    route: &str,
    count: usize,
    timeout: Duration,
    output: Output,
) -> anyhow::Result<()> {
    let (mut printed, mut end) = (Ok(()), None);
    let each = |traced: Traced| {
        printed = match &traced {
            Traced::Exchange(exchange) => output::document(output.format, &traced, || followed(route, exchange)),
            Traced::End { .. } => Ok(()),
        };
        if let Traced::End { .. } = &traced {
            end = Some(traced);
        }
        if printed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    container(settings)?.trace_route(route, count, timeout, each).await.map_err(refused)?;
    printed?;
    let Some(Traced::End { reason, followed, under_way }) = end else {
        return Err(classified(Class::Unreachable, anyhow!("the container ended before the trace did")));
    };
    let exchanges = counted(followed, "exchange");
    let others = if under_way == 0 { String::new() } else { format!(", {under_way} still under way") };
    output::say(&format!("{exchanges} followed{others}: {}", why(route, &reason)));
    Ok(())
}

fn why(route: &str, reason: &str) -> String {
    let route = clean(route);
    match reason {
        "count" => "as many as were asked for".to_owned(),
        "timeout" => "the time is over".to_owned(),
        "replaced" => format!("{route} was replaced by another revision; trace again to follow that"),
        "removed" => format!("{route} is not there any more"),
        "stopped" => format!("{route} was stopped; `techleet routes start {route}` starts it"),
        "suspended" => format!("{route} was suspended; `techleet routes resume {route}` has it go on"),
        "started" => format!("{route} was stopped and started again; trace again to follow it"),
        other => clean(other),
    }
}

fn followed(route: &str, exchange: &FollowedExchange) -> Vec<String> {
    let at = time(Timestamp::from_millisecond(exchange.began_ms).ok());
    let outcome = match exchange.outcome.as_str() {
        "done" => format!("done in {}", micros(exchange.took_us)),
        "under-way" => format!("still under way after {}", micros(exchange.took_us)),
        other => format!("{other} after {}", micros(exchange.took_us)),
    };
    let mut lines = vec![format!("exchange {}  {at}  {}", clean(&exchange.exchange), clean(&outcome))];
    lines.extend(exchange.exception.iter().map(|exception| format!("  {}", clean(exception))));
    lines.push(format!("  body {}", body(&exchange.body)));
    lines.extend(exchange.headers.iter().map(|(name, value)| format!("  {}: {}", clean(name), clean(value))));
    for step in &exchange.steps {
        lines.extend(at_step(route, exchange, step));
    }
    if exchange.left_out > 0 {
        lines.push(format!("  … and {}, for which the trace had no room", counted(exchange.left_out, "step")));
    }
    lines.push(String::new());
    lines
}

fn at_step(route: &str, exchange: &FollowedExchange, step: &FollowedStep) -> Vec<String> {
    let indent = " ".repeat(INDENT * (step.depth + 1));
    let place = if step.route == route { step.step.clone() } else { format!("{} of {}", step.step, step.route) };
    let copy = match step.exchange == exchange.exchange {
        true => String::new(),
        false => format!("  copy {}", step.exchange),
    };
    let took = step.took_us.map_or_else(|| "has not ended".to_owned(), micros);
    let again = match step.redelivered {
        0 => String::new(),
        times => format!("  tried again {}", counted(u64::from(times), "time")),
    };
    let mut lines =
        vec![format!("{indent}+{}  {}  {took}{again}{}", micros(step.after_us), clean(&place), clean(&copy))];
    let inner = format!("{indent}    ");
    lines.extend(step.exception.iter().map(|exception| format!("{inner}failed: {}", clean(exception))));
    lines.extend(step.headers.iter().map(|change| format!("{inner}{}", header(change))));
    if let Some((before, after)) = &step.body {
        lines.push(format!("{inner}body {}", body(before)));
        lines.push(format!("{inner}  -> {}", body(after)));
    }
    lines
}

fn header(HeaderChange { name, before, after }: &HeaderChange) -> String {
    let name = clean(name);
    match (before, after) {
        (_, None) => format!("{name} is gone"),
        (None, Some(after)) => format!("{name}: {}", clean(after)),
        (Some(before), Some(after)) => format!("{name}: {} -> {}", clean(before), clean(after)),
    }
}

fn body(ShownBody { kind, length, text }: &ShownBody) -> String {
    match text {
        Some(text) => format!("{} ({}, {})", clean(text), clean(kind), counted(*length, "byte")),
        None if kind == "null" => "(none)".to_owned(),
        None => format!("({}, {})", clean(kind), counted(*length, "byte")),
    }
}

/// A time that is often short.
fn micros(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} us"),
        1_000..1_000_000 => format!("{}.{} ms", us / 1_000, us % 1_000 / 100),
        _ => format!("{}.{} s", us / 1_000_000, us % 1_000_000 / 100_000),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn counted_step(step: &str, depth: usize) -> serde_json::Value {
        json!({
            "step": step, "kind": "to", "file": "orders.yaml", "line": 8, "depth": depth, "sendsTo": ["kafka:out"],
            "total": 3, "failed": 1, "redelivered": 2, "deadLettered": 1, "inFlight": 0, "lastUs": 85, "meanUs": 2_100,
        })
    }

    fn routes() -> Vec<RouteSteps> {
        let steps = [counted_step("check", 0), counted_step("to:8", 1)];
        let route = json!([{
            "id": "orders", "file": "orders.yaml", "revision": 2, "from": "kafka:orders", "state": "started",
            "total": 3, "failed": 1, "handled": 0, "redelivered": 2, "deadLettered": 1, "inFlight": 1,
            "unacknowledged": 1, "lastUs": 2_000_000, "meanUs": 1_500, "group": null,
            "deployedAt": "2026-11-24T02:11:03Z", "autoStartup": true, "deadLettersTo": "direct:dead", "steps": steps,
        }]);
        serde_json::from_value(route).unwrap()
    }

    #[test]
    fn a_route_is_shown_with_its_steps_indented() {
        let lines: Vec<_> = routes().iter().flat_map(shown).collect();
        let expected = [
            "route         orders",
            "state         started",
            "file          orders.yaml, revision 2, since 2026-11-24T02:11:03Z",
            "takes from    kafka:orders",
            "dead letters  direct:dead",
            "exchanges     3, 1 failed, 1 in the steps, 1 wait for acknowledgements",
            "",
            "STEP    LINE  KIND  SENDS TO",
            "check      8  to    kafka:out",
            "  to:8     8  to    kafka:out",
        ];
        assert_eq!(lines, expected);
        let expected = [
            "ROUTE   STEP    TOTAL  FAILED  IN FLIGHT  REDELIVERED  DEAD LETTERS   LAST    MEAN",
            "orders              3       1          2            2             1  2.0 s  1.5 ms",
            "orders  check       3       1          0            2             1  85 us  2.1 ms",
            "orders    to:8      3       1          0            2             1  85 us  2.1 ms",
        ];
        assert_eq!(table(&routes()), expected);
    }

    #[test]
    fn an_exchange_is_told_step_by_step() {
        let body = |text: &str| json!({"type": "string", "length": text.len(), "text": text});
        let exchange = json!({
            "exchange": "00A7", "beganMs": 0, "tookUs": 2_100, "outcome": "failed", "exception": "no \u{1b}[2J",
            "headers": [["kafka.KEY", "4711"]], "body": body("m"), "leftOut": 2,
            "steps": [
                {
                    "route": "orders", "step": "mark", "depth": 0, "exchange": "00A7", "afterUs": 12, "tookUs": 3,
                    "redelivered": 1, "exception": "no",
                    "headers": [
                        {"name": "a", "before": null, "after": "1"},
                        {"name": "b", "before": "1", "after": "2"},
                        {"name": "c", "before": "1", "after": null},
                    ],
                    "body": [body("m"), {"type": "bytes", "length": 9, "text": null}],
                },
                {
                    "route": "other", "step": "say", "depth": 1, "exchange": "00A8", "afterUs": 15, "tookUs": null,
                    "redelivered": 0, "exception": null, "headers": [], "body": null,
                },
            ],
        });
        let expected = [
            "exchange 00A7  1970-01-01T00:00:00Z  failed after 2.1 ms",
            "  no \u{fffd}[2J",
            "  body m (string, 1 byte)",
            "  kafka.KEY: 4711",
            "  +12 us  mark  3 us  tried again 1 time",
            "      failed: no",
            "      a: 1",
            "      b: 1 -> 2",
            "      c is gone",
            "      body m (string, 1 byte)",
            "        -> (bytes, 9 bytes)",
            "    +15 us  say of other  has not ended  copy 00A8",
            "  … and 2 steps, for which the trace had no room",
            "",
        ];
        assert_eq!(followed("orders", &serde_json::from_value(exchange).unwrap()), expected);
    }
}
