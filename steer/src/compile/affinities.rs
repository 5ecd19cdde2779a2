//! Affinity: which keys belong to which kind.

use super::Compiler;
use super::matching::is_field_name;
use crate::affinity::Affinity;
use crate::defect::KeyPath;
use crate::moment::Span;
use crate::spec::{AffinityBy, AffinityMode, RouteSpec};

/// How much farther than the best region a kept one may be.
const WITHIN: Span = Span::from_millis(100);

impl Compiler<'_> {
    pub(super) fn affinity(&mut self, route: &RouteSpec, path: &KeyPath) -> Option<Affinity> {
        let spec = route.affinity.as_ref()?;
        let keys = [
            ("header", spec.header.is_some(), AffinityBy::Header, "by = \"header\""),
            ("mode", spec.mode.is_some(), AffinityBy::Cookie, "by = \"cookie\""),
            ("lifetime", spec.lifetime.is_some(), AffinityBy::Cookie, "by = \"cookie\""),
            ("within", spec.within.is_some(), AffinityBy::Cookie, "by = \"cookie\""),
        ];
        for (key, is_given, wanted, example) in keys {
            if is_given && wanted != spec.by {
                let problem = format!("affinity by {} has no {key}", by(spec.by));
                self.defect(path.key(key), problem, "nothing would enforce this key", example);
            }
        }
        for (key, span) in [("lifetime", spec.lifetime), ("within", spec.within)] {
            let bounds = Span::from_millis(1)..=Span::from_secs(366 * 24 * 3600);
            if let Some(span) = span.filter(|span| !bounds.contains(span)) {
                let problem = format!("{span} is not between 1ms and a year");
                let consequence = "clients would be kept never or for ever";
                self.defect(path.key(key), problem, consequence, &format!("{key} = \"1h\""));
            }
        }
        Some(match spec.by {
            AffinityBy::Address => Affinity::Address,
            AffinityBy::Cookie => Affinity::Cookie {
                sticky: spec.mode == Some(AffinityMode::Sticky),
                lifetime: spec.lifetime,
                within_ms: spec.within.unwrap_or(WITHIN).as_millis_f64(),
            },
            AffinityBy::Header => {
                let name = spec.header.as_deref().unwrap_or_default().to_ascii_lowercase();
                if !is_field_name(&name) {
                    let problem = "affinity by header needs the name of a header field".to_owned();
                    self.defect(
                        path.key("header"),
                        problem,
                        "no client would be known",
                        "header = \"x-user\"",
                    );
                }
                Affinity::Header(name)
            }
        })
    }
}

const fn by(by: AffinityBy) -> &'static str {
    match by {
        AffinityBy::Cookie => "cookie",
        AffinityBy::Header => "header",
        AffinityBy::Address => "address",
    }
}
