//! `nearside explain`: where a request would go, and why not elsewhere; and the same of a request of the past.

use std::net::IpAddr;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use control::clock::Clock;
use control::explain::{Candidate, Explanation, Locate, PastDecision, Question, explain as explain_decision};
use control::publisher::{Draft, Publisher};

use super::admin::{Api, Failure};
use super::call::{Call, quoted};
use super::geo::{coordinates, country};
use super::overrides::sentences;
use super::sheet::{columns, folded};
use super::{AdminArgs, Output, complain, configuration, say, say_json, terminal};
use crate::locate::Locator;
use crate::worker::OriginTlsStore;

/// Where what is told begins, behind what it is.
const HANGING: usize = 10;

/// What is asked of a request that has not come.
const ABOUT_NOW: [&str; 7] = ["ip", "host", "path", "method", "header", "kept_in", "offline"];

#[derive(Args, Debug)]
pub(super) struct ExplainArgs {
    #[command(flatten)]
    admin: AdminArgs,
    /// The client's address
    #[arg(long, value_name = "ADDRESS", required_unless_present_any = ["decision", "request"])]
    ip: Option<IpAddr>,
    /// Instead: a decision of the past, as X-Nearside-Decision and the access log name it
    #[arg(long, value_name = "ID", conflicts_with_all = ABOUT_NOW)]
    decision: Option<String>,
    /// Instead: the last decision of the request with this X-Request-Id
    #[arg(long, value_name = "ID", conflicts_with_all = ABOUT_NOW, conflicts_with = "decision")]
    request: Option<String>,
    /// The host asked for [default: the first host of the first route]
    #[arg(long)]
    host: Option<String>,
    /// The path asked for
    #[arg(long, default_value = "/")]
    path: String,
    /// The method
    #[arg(long, default_value = "GET")]
    method: String,
    /// A header field sent, such as `x-canary: 1`; may be given several times
    #[arg(long, value_name = "FIELD", value_parser = parse_field)]
    header: Vec<String>,
    /// The region that the client's affinity cookie names
    #[arg(long, value_name = "REGION")]
    kept_in: Option<String>,
    /// Answer from the configuration files, without a running edge: no health, no measured latency
    #[arg(long)]
    offline: bool,
}

pub(super) fn explain(args: &ExplainArgs) -> ExitCode {
    let explained = match (&args.decision, &args.request, args.ip) {
        (Some(id), ..) => past(args, &format!("/v1/explain?decision={}", quoted(id))),
        (_, Some(id), _) => past(args, &format!("/v1/explain?request={}", quoted(id))),
        (.., Some(ip)) if args.offline => offline(args, ip),
        (.., Some(ip)) => online(args, ip),
        (.., None) => unreachable!("one of the three is required"),
    };
    let (explanation, note) = match explained {
        Ok(explained) => explained,
        Err(code) => return code,
    };
    match args.admin.output {
        Output::Json => {
            say_json(
                &serde_json::to_string_pretty(&explanation).expect("an explanation is text and numbers"),
            );
        }
        Output::Table => say(&tell(&explanation)),
    }
    if let Some(note) = note {
        complain(&note);
    }
    let is_at_fault = explanation.past.is_some_and(|past| !past.agrees);
    if is_at_fault { ExitCode::from(1) } else { ExitCode::SUCCESS }
}

/// Asks the edge that decided it; nobody else knows.
fn past(args: &ExplainArgs, path: &str) -> Result<(Explanation, Option<String>), ExitCode> {
    let (explanation, _) =
        Api::of(&args.admin)?.json::<Explanation>(&Call::get(path)).map_err(|failure| failure.report())?;
    let is_at_fault = explanation.past.as_ref().is_some_and(|past| !past.agrees);
    let note = is_at_fault.then(|| {
        "FAULT: taken again, this decision is another one. That must not happen: please report it, with --output json".to_owned()
    });
    Ok((explanation, note))
}

/// Asks the running edge; where none runs, answers from the files and says so.
fn online(args: &ExplainArgs, ip: IpAddr) -> Result<(Explanation, Option<String>), ExitCode> {
    let explicit = args.admin.admin.is_some();
    let api = match Api::find(&args.admin)? {
        Ok(api) => api,
        // Without a token there has been no edge to make one.
        Err(_) if !explicit => return offline(args, ip),
        Err(problem) => {
            complain(&problem);
            return Err(ExitCode::from(1));
        }
    };
    let mut path = format!("/v1/explain?ip={ip}&method={}&path={}", quoted(&args.method), quoted(&args.path));
    if let Some(host) = &args.host {
        path.push_str(&format!("&host={}", quoted(host)));
    }
    if !args.header.is_empty() {
        path.push_str(&format!("&headers={}", quoted(&args.header.join("\n"))));
    }
    if let Some(region) = &args.kept_in {
        path.push_str(&format!("&kept_in={}", quoted(region)));
    }
    match api.json(&Call::get(path)) {
        Ok((explanation, _)) => Ok((explanation, None)),
        Err(Failure::Unreachable(_)) if !explicit => offline(args, ip),
        Err(failure) => Err(failure.report()),
    }
}

/// Answers from the configuration files.
fn offline(args: &ExplainArgs, ip: IpAddr) -> Result<(Explanation, Option<String>), ExitCode> {
    let file = args.admin.configured.file();
    let settings = configuration(&file)?;
    let fail = |problem: String| {
        complain(&problem);
        ExitCode::from(1)
    };
    let source = settings.table_file.display().to_string();
    let text = std::fs::read_to_string(&settings.table_file)
        .map_err(|error| fail(format!("{source}: cannot be read: {error}")))?;
    let (locator, refused) = Locator::open(&settings);
    refused.iter().for_each(|problem| complain(&format!("warning: {problem}")));
    let folder = settings.table_file.parent().unwrap_or_else(|| std::path::Path::new("")).to_owned();
    let origin_tls = OriginTlsStore::new(&folder);
    let draft = Draft { text, source, author: "file".to_owned(), reason: "explain".to_owned() };
    let pop = (*locator.pop()).clone();
    let check = Arc::new(move |table: &steer::Table| origin_tls.check(table));
    let publisher = Publisher::start(draft, pop, 1, Clock::start(), check).map_err(|findings| {
        let told: Vec<String> = findings.iter().map(ToString::to_string).collect();
        fail(told.join("\n"))
    })?;
    let question = Question {
        address: ip,
        host: args.host.clone(),
        path: args.path.clone(),
        method: args.method.clone(),
        kept_in: args.kept_in.clone(),
        headers: args.header.iter().filter_map(|field| field.split_once(':')).map(trimmed).collect(),
    };
    let explanation = explain_decision(&publisher.snapshot(), &question, Locate::locate(&locator, ip));
    let mut note = format!(
        "note: answered from {} without a running edge: no health is known, and latencies are what distance suggests",
        file.display()
    );
    if settings.admin.state_dir.is_some() {
        note += "; an edge that starts may serve another table, and overrides, from its admin.state_dir";
    }
    Ok((explanation, Some(note)))
}

fn parse_field(text: &str) -> Result<String, String> {
    let is_field = text.split_once(':').is_some_and(|(name, _)| !name.trim().is_empty());
    if is_field {
        Ok(text.to_owned())
    } else {
        Err("a field is a name, a colon and a value: x-canary: 1".to_owned())
    }
}

fn trimmed((name, value): (&str, &str)) -> (String, String) {
    (name.trim().to_owned(), value.trim().to_owned())
}

fn tell(explanation: &Explanation) -> String {
    let number = |number: Option<f64>| number.map_or_else(|| "-".to_owned(), |number| format!("{number:.1}"));
    let place = &explanation.place;
    let mut lines: Vec<String> = explanation.past.iter().flat_map(head).collect();
    let address =
        explanation.address.map_or_else(|| "address not kept".to_owned(), |address| address.to_string());
    lines.push(format!(
        "client    {address}  {}  {}  ({})",
        country(place),
        coordinates(place),
        place.source,
    ));
    if let Some(request) = &explanation.request {
        lines.push(format!("request   {} {}{}", request.method, request.host, request.path));
    }
    if let (Some(route), Some(steering)) = (&explanation.route, explanation.steering) {
        let policy =
            explanation.policy.as_ref().map_or_else(String::new, |policy| format!(", policy {policy}"));
        lines.push(format!("route     {route}, steering {}{policy}", steering.as_str()));
    }
    let inputs = &explanation.inputs;
    lines.push(format!(
        "inputs    table {}, overlay {}, ranking {}, key {:016x}",
        inputs.version, inputs.overlay, inputs.ranking, inputs.key
    ));
    lines.push(format!("choice    {}", explanation.summary));
    lines.extend(explanation.past.iter().flat_map(what_came));
    if explanation.ladder.len() > 1 {
        lines.push(format!("ladder    {}", explanation.ladder.join(" > ")));
    }
    if let Some(detour) = explanation.detour_ms {
        lines.push(format!("detour    {detour} ms farther from this PoP than the fastest usable region"));
    }
    let overridden = explanation.regions.iter().flat_map(|candidate| &candidate.overridden);
    lines.extend(overridden.flat_map(sentences).map(|told| format!("override  {told}")));
    for line in &mut lines {
        *line = folded(&terminal::one_line(line), HANGING);
    }
    if !explanation.regions.is_empty() {
        let row = |candidate: &Candidate| {
            let terms = candidate.terms.as_ref();
            let latency = terms.map(|terms| (terms.latency_ms, terms.measured));
            let latency = match latency {
                Some((Some(ms), true)) => format!("{ms:.1}"),
                Some((Some(ms), false)) => format!("{ms:.1}~"),
                _ => "-".to_owned(),
            };
            vec![
                format!("{}{}", if candidate.chosen { "* " } else { "  " }, candidate.region),
                candidate.health.clone(),
                candidate.state.map_or("-", |state| state.as_str()).to_owned(),
                candidate.weight.map_or_else(|| "-".to_owned(), |weight| format!("{weight:.0}")),
                candidate.km.map_or_else(|| "-".to_owned(), |km| format!("{km:.0}")),
                terms.map_or_else(|| "-".to_owned(), |terms| format!("{:.2}", terms.a)),
                latency,
                number(terms.and_then(|terms| terms.estimate_ms)),
                number(terms.map(|terms| terms.rise_ms)),
                number(terms.map(|terms| terms.excess_ms)),
                number(terms.map(|terms| terms.bias_ms)),
                number(terms.and_then(|terms| terms.cost)),
                candidate.why.clone(),
            ]
        };
        let header = [
            "  REGION", "HEALTH", "STATE", "WEIGHT", "KM", "a", "L", "E", "RISE", "EXCESS", "BIAS", "COST",
            "WHY",
        ];
        lines.push(String::new());
        lines.push(columns(&header, explanation.regions.iter().map(row)));
        lines.push(String::new());
        let cost = "cost = a*L + (1-a)*(E + rise) + excess + bias, in ms, when steering is nearest; ~ suggested by distance";
        lines.push(folded(cost, 0));
    }
    lines.join("\n")
}

/// What is told first of a decision of the past.
fn head(past: &PastDecision) -> Vec<String> {
    let attempt = if past.is_first { "the first attempt" } else { "a later attempt" };
    let mut lines = vec![
        format!("decision  {}  {:.3}  {attempt}", past.id, past.at),
        format!("table     {} by {}: {}", past.table.version, past.table.author, past.table.reason),
    ];
    if past.of_request.len() > 1 {
        lines.push(format!(
            "request   decided {} times: {}",
            past.of_request.len(),
            past.of_request.join(" ")
        ));
    }
    if !past.tried.is_empty() {
        lines.push(format!("tried     {}", past.tried.join(" ")));
    }
    lines
}

/// What came of it then, and what would now.
fn what_came(past: &PastDecision) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(origin) = &past.origin {
        let loads: Vec<String> = origin
            .compared
            .iter()
            .map(|compared| match compared.load_ms {
                Some(load) => format!("{} {load:.1} ms", compared.origin),
                None => format!("{} beyond measure", compared.origin),
            })
            .collect();
        let loads = if loads.is_empty() { String::new() } else { format!(" ({})", loads.join(", ")) };
        lines.push(format!("origin    {}, one of {}: {}{loads}", origin.origin, origin.of, origin.why));
        if !origin.untrusted.is_empty() {
            lines.push(format!("untrusted {}", origin.untrusted.join(" ")));
        }
    }
    lines.push(match &past.repeated {
        None => "recorded  the same".to_owned(),
        Some(_) => format!("recorded  ANOTHER: {:?}", past.recorded),
    });
    let now = &past.now;
    let inputs = format!(
        "table {}, overlay {}, ranking {}",
        now.inputs.version, now.inputs.overlay, now.inputs.ranking
    );
    let elsewhere = if now.elsewhere { "elsewhere" } else { "the same region" };
    lines.push(format!("now       {elsewhere}: {}  ({inputs})", now.summary));
    lines
}
