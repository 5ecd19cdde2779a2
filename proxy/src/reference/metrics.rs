//! The page of metrics, from the catalogue.

use std::fmt::Write as _;

use super::made_by;
use crate::observe::{CATALOGUE, Reason};

const OPENING: &str = "
# Metrics

`GET /metrics` on the health listener (`health.listen`, by default `127.0.0.1:9190`), in Prometheus' text format. Labels take
their values from the table or from short fixed lists, never from requests. Series of routes and regions that no table mentions
any more end. Counters start at 0 with the process. Times are in seconds, ratios between 0 and 1. A metric without any number
yet, such as spills before the first, is not on the page.

[deploy/prometheus](../deploy/prometheus) has alert rules for them, [deploy/grafana](../deploy/grafana) a dashboard.
";

const PROCESS: &str = "
## The operating system's view

The usual metrics of Prometheus' client libraries, on Linux: `process_cpu_seconds_total`, `process_max_fds`, `process_open_fds`,
`process_resident_memory_bytes`, `process_start_time_seconds`, `process_threads`, `process_virtual_memory_bytes`.
";

/// The page as Markdown.
pub(crate) fn page() -> String {
    let mut page = made_by("metrics") + OPENING;
    let mut group = "";
    for metric in CATALOGUE {
        if metric.group != group {
            group = metric.group;
            let _ = write!(page, "\n## {group}\n\n| metric | kind | labels | meaning |\n|---|---|---|---|\n");
        }
        let labels: Vec<String> =
            metric.labels.iter().map(|(name, values)| format!("**{name}**: {values}")).collect();
        let labels = labels.join("<br>");
        let _ =
            writeln!(page, "| `{}` | {} | {labels} | {} |", metric.name, metric.kind.as_str(), metric.help);
    }
    page += PROCESS;
    page += "\n## Reason codes\n\nIn the label `reason`, in the access log and in answers of nearside itself.\n\n| code | meaning |\n|---|---|\n";
    for reason in Reason::ALL {
        let _ = writeln!(page, "| `{}` | {} |", reason.code(), reason.meaning());
    }
    page
}
