//! Somebody who types commands for an edge, for the tests of commands.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};

use serde_json::Value;
use testkit::{Edge, EdgeBuilder, Origin, PATIENCE, table_with, until};

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

    /// What comes of a command where there are so many columns: nothing that it says is wider.
    pub(crate) fn within(&self, columns: usize, args: &[&str]) -> Ended {
        let ended = ended(self.command(args).env("COLUMNS", columns.to_string()).output().unwrap());
        for line in ended.said.lines().chain(ended.complained.lines()) {
            // What has no spaces is not broken, so that it can be copied.
            let is_one_word = !line.trim().contains(' ');
            assert!(line.chars().count() <= columns || is_one_word, "{args:?}: {line:?}");
        }
        ended
    }

    /// Begins a command that goes on.
    pub(crate) fn follow(&self, args: &[&str]) -> Follower {
        Follower::of(self.command(args))
    }
}

/// A command that goes on, and what it says meanwhile. Dropped, it is killed.
pub(crate) struct Follower {
    child: Child,
    lines: Option<Receiver<String>>,
}

impl Follower {
    pub(crate) fn of(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let said = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in said.lines().map_while(Result::ok) {
                // Nobody reads any more: with this the pipe is closed.
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines: Some(lines) }
    }

    /// Begins a command, and takes the first byte of what it says and nothing more.
    pub(crate) fn standing_still(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        Self { child, lines: None }
    }

    /// The next line.
    pub(crate) fn next(&mut self) -> String {
        let lines = self.lines.as_ref().expect("it is listened");
        lines.recv_timeout(PATIENCE).expect("another line within the patience of a test")
    }

    /// The next line that has this in it.
    pub(crate) fn next_with(&mut self, text: &str) -> String {
        loop {
            let line = self.next();
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Reads no more.
    pub(crate) fn turn_away(&mut self) {
        self.lines = None;
    }

    /// Sends it Ctrl-C.
    pub(crate) fn interrupt(&self) {
        let sent = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Whether it has ended.
    pub(crate) fn is_over(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end; the exit code.
    pub(crate) async fn ended(mut self) -> Option<i32> {
        until("the command has ended", async || self.is_over()).await;
        self.child.wait().unwrap().code()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn ended(output: Output) -> Ended {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code(), said: text(output.stdout), complained: text(output.stderr) }
}

/// In an order that is written: origins next door are measured, and then either may be the nearer one.
pub(crate) fn first_near(near: &Origin, far: &Origin) -> String {
    table_with(&[("near", &[near.host()]), ("far", &[far.host()])], "", "policy = \"order\"")
        + "[[policies]]\nname = \"order\"\nsteering = \"active-passive\"\norder = [\"near\", \"far\"]\n"
}

pub(crate) async fn near_and_far() -> ([Origin; 2], Edge, Operator) {
    let (near, far) = (Origin::named("near").await, Origin::named("far").await);
    let edge = EdgeBuilder::new(NEARSIDE, &first_near(&near, &far)).start().await;
    let operator = Operator::of(&edge);
    ([near, far], edge, operator)
}
