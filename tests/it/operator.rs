//! Somebody who types commands for an edge, for the tests of commands.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use testkit::{Edge, EdgeBuilder, Origin, table_with};

use crate::NEARSIDE;

/// Somebody who types commands for an edge.
pub(crate) struct Operator {
    admin: String,
    token_file: PathBuf,
}

/// What came of a command.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    /// Standard output.
    pub(crate) said: String,
    /// Standard error.
    pub(crate) complained: String,
}

impl Operator {
    pub(crate) fn of(edge: &Edge) -> Self {
        Self { admin: edge.admin.address.to_string(), token_file: edge.folder.path().join("admin.token") }
    }

    /// As one who calls through something else.
    pub(crate) fn through(mut self, address: &str) -> Self {
        address.clone_into(&mut self.admin);
        self
    }

    /// A command, at no terminal.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(NEARSIDE);
        command.args(args).args(["--admin", &self.admin, "--token-file"]).arg(&self.token_file);
        command.env_remove("COLUMNS").stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        ended(self.command(args).output().unwrap())
    }

    /// Runs what has to be well; what it says.
    pub(crate) fn well(&self, args: &[&str]) -> String {
        let Ended { code, said, complained } = self.run(args);
        assert_eq!(code, Some(0), "{args:?}: {said}{complained}");
        said
    }

    /// Changes something, and means it.
    pub(crate) fn change(&self, args: &[&str]) -> String {
        self.well(&[args, &["--reason", "test", "--yes"]].concat())
    }

    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let said = self.well(&[args, &["-o", "json"]].concat());
        serde_json::from_str(&said).unwrap()
    }
}

pub(crate) fn ended(output: Output) -> Ended {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code(), said: text(output.stdout), complained: text(output.stderr) }
}

pub(crate) async fn near_and_far() -> ([Origin; 2], Edge, Operator) {
    let (near, far) = (Origin::named("near").await, Origin::named("far").await);
    // In an order that is written: origins next door are measured, and then either may be the nearer one.
    let table = table_with(&[("near", &[near.host()]), ("far", &[far.host()])], "", "policy = \"order\"")
        + "[[policies]]\nname = \"order\"\nsteering = \"active-passive\"\norder = [\"near\", \"far\"]\n";
    let edge = EdgeBuilder::new(NEARSIDE, &table).start().await;
    let operator = Operator::of(&edge);
    ([near, far], edge, operator)
}
