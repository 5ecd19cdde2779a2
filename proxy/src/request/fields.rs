//! A header as routes look at it.

use http::HeaderMap;
use steer::matching::Fields;

/// Lets a route's conditions look at a header.
pub(crate) struct HeaderFields<'a>(pub(crate) &'a HeaderMap);

impl Fields for HeaderFields<'_> {
    fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.0.get_all(name).iter().any(|value| test(value.as_bytes()))
    }
}
