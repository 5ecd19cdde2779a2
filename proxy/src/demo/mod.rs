//! `nearside demo`.
use clap::Args;
use std::process::ExitCode;
#[derive(Args, Debug)]
pub(crate) struct DemoArgs {}
pub(crate) fn demo(_: &DemoArgs) -> ExitCode {
    ExitCode::SUCCESS
}
