//! `nearside reference`: what can be configured and measured, of the very version that is installed.

use std::process::ExitCode;

use super::{Page, say};
use crate::reference;

pub(super) fn reference(page: Page) -> ExitCode {
    let page = match page {
        Page::Configuration => reference::configuration(),
        Page::Metrics => reference::metrics(),
        Page::Openapi => control::admin::document(),
    };
    say(page.trim_end());
    ExitCode::SUCCESS
}
