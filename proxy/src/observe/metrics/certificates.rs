//! What the metrics page says of listeners' certificates.

use super::catalogue;
use super::families::{Families, counter, gauge, labels};
use crate::tls::TlsListeners;

pub(super) fn collect(tls: &TlsListeners, families: &mut Families) {
    let (ok, refused) = tls.reloads();
    let result = |result: &str, count: u64| counter(labels([("result", result)]), count as f64);
    families.add(&catalogue::TLS_RELOAD, vec![result("ok", ok), result("refused", refused)]);
    let ends = tls.ends().into_iter().map(|(listener, file, end)| {
        gauge(labels([("listener", &listener), ("certificate_file", &file)]), end as f64)
    });
    families.add(&catalogue::TLS_NOT_AFTER, ends.collect());
}
