//! What a script is told by the end of a command.

use std::process::ExitCode;

/// How a command ends that does not end well. 2 is missing: it means that the command line was not understood, and nobody but the
/// parser says it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Exit {
    /// It was not done: what was given is wrong, nobody answers, or the edge says no.
    Failed = 1,
    /// Nobody said that it is meant.
    NotConfirmed = 3,
    /// A guard, a condition, or what else is in force refuses it.
    Refused = 4,
    /// Somebody did not wait for the end, as shells say it; what was begun goes on.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The same, for `--help`; and where to begin.
pub(super) const AFTER_HELP: &str = "\
Start here: nearside demo

Exit codes:
  0  done
  1  not done: something is invalid, nobody answers, or the edge refuses; or a watch did not pass
  2  the command line is not understood
  3  not confirmed: nobody said that it is meant
  4  refused by a guard, a condition or by what else is in force: it would take away too much, something changed
     meanwhile, another drill or watch runs; also by --dry-run, for what a guard would refuse
  130  interrupted; what was begun, such as a watch, goes on";
