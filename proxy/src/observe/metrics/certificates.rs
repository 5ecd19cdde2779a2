//! What the metrics page says of listeners' certificates.

use super::families::{Families, counter, gauge, labels};
use crate::tls::TlsListeners;

pub(super) fn collect(tls: &TlsListeners, families: &mut Families) {
    let (ok, refused) = tls.reloads();
    let result = |result: &str, count: u64| counter(labels([("result", result)]), count as f64);
    families.counter(
        "nearside_tls_reload_total",
        "Readings of a listener's changed TLS files, by result.",
        vec![result("ok", ok), result("refused", refused)],
    );
    let ends = tls.ends().into_iter().map(|(listener, file, end)| {
        gauge(labels([("listener", &listener), ("certificate_file", &file)]), end as f64)
    });
    families.gauge(
        "nearside_tls_cert_not_after_timestamp_seconds",
        "When a certificate in force expires.",
        ends.collect(),
    );
}
