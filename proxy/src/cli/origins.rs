//! `nearside origins`: every origin, what this edge sees of it, and whether its placement takes requests.

use std::process::ExitCode;

use clap::Args;
use control::admin::{Origin, Origins};

use super::ago::{ago, last_error};
use super::look::{LookArgs, look};
use super::pages::{PageArgs, below};
use super::placements::yes_or_no;
use super::sheet::columns;

#[derive(Args, Debug)]
pub(super) struct OriginsArgs {
    /// The region; without one, the origins of all
    region: Option<String>,
    /// Only this pool's
    #[arg(long)]
    pool: Option<String>,
    #[command(flatten)]
    pages: PageArgs,
    #[command(flatten)]
    look: LookArgs,
}

pub(super) fn origins(args: &OriginsArgs) -> ExitCode {
    let wanted = [("region", args.region.as_deref()), ("pool", args.pool.as_deref())];
    look(&args.look, &args.pages.of("/v1/origins", &wanted), list)
}

fn list(Origins { version, total, origins, next }: &Origins) -> String {
    if *total == 0 {
        return "The table has no such origins.".to_owned();
    }
    let header = [
        "ORIGIN",
        "POOL",
        "REGION",
        "SEEN",
        "FOR",
        "TAKES",
        "RUNNING",
        "FIRST BYTE",
        "ANSWERED",
        "REACHED AT",
        "LAST ERROR",
    ];
    let table = columns(&header, origins.iter().map(row));
    let told = format!(
        "Takes: whether its pool takes new requests in that region. {} of {total}. Table {version}.",
        origins.len()
    );
    format!("{table}\n\n{}", below(&told, next.as_deref()))
}

fn row(origin: &Origin) -> Vec<String> {
    let nothing = || "-".to_owned();
    // What an operator says counts for the placement. Which of its origins is taken still goes by what is seen.
    let placement = match origin.health_by.is_override() {
        true => format!("; its placement: forced ({})", origin.health_by.as_str()),
        false => String::new(),
    };
    vec![
        origin.address.clone(),
        origin.pool.clone(),
        origin.region.clone(),
        format!("{}{placement}", origin.health),
        origin.for_ms.map_or_else(nothing, ago),
        yes_or_no(origin.placement_is_usable).to_owned(),
        origin.in_flight.to_string(),
        origin.first_byte_ms.map_or_else(nothing, |ms| format!("{ms:.1} ms")),
        origin.last_success_ago_ms.map_or_else(|| "never".to_owned(), |ms| format!("{} ago", ago(ms))),
        reached_at(origin),
        last_error(origin.last_error.as_ref()),
    ]
}

/// Where a name leads; an address leads to itself.
fn reached_at(origin: &Origin) -> String {
    match &origin.resolved[..] {
        [] => "not resolved yet".to_owned(),
        [own] if *own == origin.address => "-".to_owned(),
        resolved => resolved.join(", "),
    }
}
