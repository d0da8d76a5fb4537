//! Routes of a running container: listed, started and stopped, taken back.

use anyhow::anyhow;
use chassis::Settings;
use ops::Part;
use ops::routes::{Route, RouteFile, RouteRevision, Routes};

use crate::cli::{Output, PartName};
use crate::exit::{Class, classified, usage};
use crate::operator::{part, refused};
use crate::output;
use crate::render::{Columns, clean, or_nothing, time};

/// Characters of a digest in a table.
const DIGEST_CHARS: usize = 19;

pub(super) fn container(settings: &Settings) -> anyhow::Result<Part> {
    part(settings, PartName::Container)
}

/// Prints files and routes.
pub(super) async fn list(settings: &Settings, output: Output) -> anyhow::Result<()> {
    let routes = container(settings)?.routes().await.map_err(refused)?;
    output::document(output.format, &routes, || lines(&routes))
}

fn lines(Routes { files, routes }: &Routes) -> Vec<String> {
    let mut table = Columns::new(&["FILE", "STATE", "REVISION", "SINCE", "FROM"]);
    for file in files {
        let origin = if file.built_in { "techleet" } else { "folder" };
        let state = clean(&file.state);
        table.row([clean(&file.file), state, or_nothing(file.revision), time(file.deployed_at), origin.to_owned()]);
    }
    let mut lines = table.lines();
    for file in files {
        lines.extend(file.reasons.iter().chain(&file.notes).map(|line| format!("  {}", clean(line))));
    }
    lines.push(String::new());
    let headings = ["ROUTE", "STATE", "FILE", "REVISION", "TOTAL", "FAILED", "IN FLIGHT", "DEAD LETTERS", "TAKES FROM"];
    let mut table = Columns::new(&headings);
    for route in routes {
        let Route { total, failed, in_flight, dead_lettered, .. } = route;
        table.row([
            clean(&route.id),
            clean(&route.state),
            clean(&route.file),
            or_nothing(route.revision),
            total.to_string(),
            failed.to_string(),
            in_flight.to_string(),
            dead_lettered.to_string(),
            clean(&route.from),
        ]);
    }
    lines.extend(table.lines());
    lines
}

/// Has a route start, stop, suspend or resume.
pub(super) async fn control(settings: &Settings, route: &str, action: &str) -> anyhow::Result<()> {
    let route = container(settings)?.control_route(route, action).await.map_err(refused)?;
    output::say(&format!("{} is {}", clean(&route.id), clean(&route.state)));
    Ok(())
}

/// Prints the revisions of a file, or the text of one.
pub(super) async fn revisions(
    settings: &Settings,
    file: &str,
    text: Option<i64>,
    output: Output,
) -> anyhow::Result<()> {
    let revisions = container(settings)?.route_revisions(file).await.map_err(refused)?;
    let Some(wanted) = text else {
        return output::rows(output.format, &revisions, || table(&revisions));
    };
    let found = revisions.into_iter().find(|revision| revision.revision == wanted);
    let found = found.ok_or_else(|| usage(anyhow!("there is no revision {wanted} of {file}")))?;
    output::bytes(found.text.unwrap_or_default().as_bytes())
}

fn table(revisions: &[RouteRevision]) -> Vec<String> {
    let mut table = Columns::new(&["REVISION", "DEPLOYED", "DIGEST"]);
    for revision in revisions {
        let digest = match revision.text {
            Some(_) => revision.digest.chars().take(DIGEST_CHARS).collect(),
            None => "taken away".to_owned(),
        };
        table.row([revision.revision.to_string(), time(revision.deployed_at), digest]);
    }
    table.lines()
}

/// Has an earlier text of a file deployed again.
pub(super) async fn roll_back(settings: &Settings, file: &str, revision: i64) -> anyhow::Result<()> {
    let RouteFile { state, revision: now, reasons, .. } =
        container(settings)?.roll_back_routes(file, revision).await.map_err(refused)?;
    for reason in &reasons {
        output::line(&clean(reason))?;
    }
    match reasons.is_empty() {
        true => {
            output::say(&format!("{file} says what revision {revision} said, as revision {}", or_nothing(now)));
            Ok(())
        }
        false => Err(classified(Class::CheckFailed, anyhow!("revision {revision} of {file} is {}", clean(&state)))),
    }
}
