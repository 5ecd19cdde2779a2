//! Commands that list what there is, or show one of it by its name.

use std::process::ExitCode;

use clap::Args;
use serde::de::DeserializeOwned;

use super::call::quoted;
use super::look::{LookArgs, look};
use super::pages::PageArgs;

#[derive(Args, Debug)]
pub(super) struct ListedArgs {
    /// The one to show; without it, all are listed
    #[arg(conflicts_with_all = ["after", "limit"])]
    name: Option<String>,
    #[command(flatten)]
    pages: PageArgs,
    #[command(flatten)]
    look: LookArgs,
}

impl ListedArgs {
    /// Shows what the API has at a path, as `list` says it, or one of it, as `one` does.
    pub(super) fn show<L: DeserializeOwned, T: DeserializeOwned>(
        &self,
        path: &str,
        list: impl Fn(&L) -> String,
        one: impl Fn(&T) -> String,
    ) -> ExitCode {
        match &self.name {
            Some(name) => look(&self.look, &format!("{path}/{}", quoted(name)), one),
            None => look(&self.look, &self.pages.of(path, &[]), list),
        }
    }
}
