//! The reference pages, made from the very types and lists that the program works with, so that they cannot fall behind.
//!
//! `nearside reference` prints them, docs/ holds them, and a test compares the two.

mod configuration;
mod metrics;

pub(crate) use configuration::page as configuration;
pub(crate) use metrics::page as metrics;

/// Who made a page.
fn made_by(page: &str) -> String {
    format!("<!-- Made by `nearside reference {page}`; a test compares them. -->\n")
}
