//! How a change is made from here: told what it would do, asked whether that is meant, then done.
//!
//! Between question and answer somebody else may change something; the change then names the table and the overlay that the
//! preview was made under, and is refused instead of doing what nobody has seen. It has a name of its own too, so that an answer which is lost on
//! its way costs a second question and not a second change.

use std::io;
use std::process::ExitCode;

use clap::Args;
use control::admin::Told;
use control::changes::Seen;
use serde::de::DeserializeOwned;

use super::admin::Api;
use super::call::Call;
use super::exit::Exit;
use super::sheet::{folded, folded_within};
use super::{AdminArgs, Output, complain, confirm, preview, say, say_json, terminal};

/// On which conditions a change is made.
#[derive(Args, Clone, Debug)]
pub(super) struct ConditionArgs {
    /// Tell what it would do, and do nothing; 4 if a guard refuses it
    #[arg(long)]
    dry_run: bool,
    /// Do it without telling and asking first
    #[arg(short, long)]
    yes: bool,
    /// Do it although a guard refuses, while this table version is in force, and this overlay if one is named
    #[arg(long, value_name = "VERSION[.OVERLAY]")]
    force: Option<Seen>,
    /// Do it even if it cannot be kept: a restart forgets it
    #[arg(long)]
    volatile: bool,
}

impl ConditionArgs {
    /// Those of a change that nobody is asked about and no guard refuses.
    pub(super) const fn new(dry_run: bool, volatile: bool) -> Self {
        Self { dry_run, yes: false, force: None, volatile }
    }

    /// Has a change made that moves traffic; `done` tells what came of it.
    pub(super) fn carry_out<T: DeserializeOwned>(
        &self,
        admin: &AdminArgs,
        call: Call,
        done: impl FnOnce(T) -> String,
    ) -> ExitCode {
        self.try_to(admin, call, done).err().unwrap_or(ExitCode::SUCCESS)
    }

    /// Has a change made that only gives back, so that nobody has to think about it.
    pub(super) fn carry_out_unasked<T: DeserializeOwned>(
        &self,
        admin: &AdminArgs,
        call: Call,
        done: impl FnOnce(T) -> String,
    ) -> ExitCode {
        Self { yes: true, ..self.clone() }.carry_out(admin, call, done)
    }

    fn try_to<T: DeserializeOwned>(
        &self,
        admin: &AdminArgs,
        call: Call,
        done: impl FnOnce(T) -> String,
    ) -> Result<(), ExitCode> {
        let api = Api::of(admin)?;
        let is_json = admin.output == Output::Json;
        let call = self.on_these(call);
        if self.dry_run {
            let (told, text) = would(&api, &call)?;
            match is_json {
                true => say_json(&text),
                false => {
                    let shown = preview::told(&told, self.force, terminal::width(&io::stdout()));
                    say(&format!("{shown}\nNothing was changed."));
                }
            }
            return if self.is_refused(&told) { Err(Exit::Refused.into()) } else { Ok(()) };
        }
        let call = if self.yes { call } else { self.confirmed(&api, call, is_json)? };
        let call = call.named();
        let (made, text) = api.json(&call).map_err(|failure| {
            if call.expects.is_some() && failure.is_moved() {
                complain("Nothing was changed, for somebody else has changed something meanwhile.");
            }
            failure.report()
        })?;
        // Whoever goes on from here learns what was made, however it is shown.
        let told = done(made);
        match is_json {
            true => say_json(&text),
            false => say(&folded(&told, 2)),
        }
        Ok(())
    }

    fn on_these(&self, mut call: Call) -> Call {
        if self.volatile {
            call = call.and("volatile=1");
        }
        match self.force {
            Some(seen) => call.and(&format!("force={seen}")),
            None => call,
        }
    }

    /// Whether a guard refuses a change that was looked at, and nobody overrules it.
    const fn is_refused(&self, would: &Told) -> bool {
        !would.effect.violations.is_empty() && self.force.is_none()
    }

    /// The change as it was looked at and is meant.
    fn confirmed(&self, api: &Api, call: Call, is_json: bool) -> Result<Call, ExitCode> {
        let (would, text) = would(api, &call)?;
        complain(&preview::told(&would, self.force, terminal::width(&io::stderr())));
        if self.is_refused(&would) {
            complain("Nothing was changed.");
            if is_json {
                say_json(&text);
            }
            return Err(Exit::Refused.into());
        }
        if !confirm::is_somebody_there() {
            let told = "Not confirmed, and nothing was changed: there is no terminal to ask at. Say --yes if it is meant, or \
                        --dry-run to look alone.";
            complain(&folded_within(terminal::width(&io::stderr()), told, 0));
            return Err(Exit::NotConfirmed.into());
        }
        if !confirm::ask("Go on?") {
            complain("Not confirmed, and nothing was changed.");
            return Err(Exit::NotConfirmed.into());
        }
        Ok(Call { expects: Some(preview::seen(&would)), ..call })
    }
}

/// What a change would do, and the same as it was said.
fn would(api: &Api, call: &Call) -> Result<(Told, String), ExitCode> {
    api.json(&call.clone().and("dry_run=1")).map_err(|failure| failure.report())
}
