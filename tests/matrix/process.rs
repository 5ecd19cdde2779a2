//! Processes that end with whoever started them.
//!
//! Each runs in a process group of its own, and a guard knows all of them: a process that reads from a pipe and, when the
//! pipe ends because this process is gone in whatever way, kills every group that is left, and removes this process's folder.
//! So neither Ctrl-C nor SIGKILL leaves anything behind.

use std::collections::BTreeSet;
use std::io::{BufRead, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::Failure;

/// Where processes are started and known.
#[derive(Clone)]
pub(crate) struct Guard {
    pipe: Arc<Mutex<ChildStdin>>,
    _child: Arc<Reaped>,
}

struct Reaped(Mutex<Child>);

/// A process of ours. Dropped, it and its group are killed.
pub(crate) struct Process {
    pub(crate) child: Child,
    guard: Guard,
    is_over: bool,
}

impl Guard {
    /// Starts the guard.
    pub(crate) fn start() -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("guard").stdin(Stdio::piped()).process_group(0);
        let mut child = command.spawn()?;
        let pipe = child.stdin.take().ok_or("the guard has no pipe")?;
        Ok(Self { pipe: Arc::new(Mutex::new(pipe)), _child: Arc::new(Reaped(Mutex::new(child))) })
    }

    /// Starts a process.
    pub(crate) fn spawn(&self, command: &mut Command) -> Result<Process, Failure> {
        let child = command
            .process_group(0)
            .spawn()
            .map_err(|error| format!("{:?}: {error}", command.get_program()))?;
        self.say('+', child.id());
        Ok(Process { child, guard: self.clone(), is_over: false })
    }

    /// A folder that lasts as long as this process. Below it, `logs` may be a file system of its own.
    pub(crate) fn folder(&self) -> Result<PathBuf, Failure> {
        let folder = tempfile::TempDir::with_prefix("nearside-matrix-")?.keep();
        self.say('/', folder.display());
        Ok(folder)
    }

    fn say(&self, sign: char, what: impl std::fmt::Display) {
        if let Ok(mut pipe) = self.pipe.lock() {
            let _ = writeln!(pipe, "{sign}{what}");
        }
    }
}

impl Process {
    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal, by name.
    pub(crate) fn signal(&self, name: &str) -> Result<(), Failure> {
        let done = Command::new("kill").args([format!("-{name}"), self.pid().to_string()]).status()?;
        if done.success() { Ok(()) } else { Err(format!("kill -{name} {}: {done}", self.pid()).into()) }
    }

    /// Kills it, and everything that it started.
    pub(crate) fn kill(&mut self) {
        if self.is_over {
            return;
        }
        self.is_over = true;
        let _ = self.child.kill();
        kill_group(self.pid());
        let _ = self.child.wait();
        self.guard.say('-', self.pid());
    }

    /// Waits for its end, until then at the latest. Whether it ended by itself.
    pub(crate) fn ended_by(&mut self, deadline: Instant) -> bool {
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Drop for Reaped {
    fn drop(&mut self) {
        // Its pipe is closed by now.
        if let Ok(child) = self.0.get_mut() {
            let _ = child.wait();
        }
    }
}

/// The guard itself.
pub(crate) fn guard() {
    let (mut groups, mut folders) = (BTreeSet::new(), Vec::new());
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        match (line.get(..1), line.get(1..)) {
            (Some("+"), Some(pid)) => drop(pid.parse().map(|pid: u32| groups.insert(pid))),
            (Some("-"), Some(pid)) => drop(pid.parse().map(|pid: u32| groups.remove(&pid))),
            (Some("/"), Some(folder)) => folders.push(PathBuf::from(folder)),
            _ => {}
        }
    }
    for pid in groups {
        kill_group(pid);
    }
    for folder in folders {
        let mut unmount = Command::new("umount");
        unmount.arg("--lazy").arg(folder.join("logs")).stderr(Stdio::null());
        let _ = unmount.status();
        let _ = std::fs::remove_dir_all(folder);
    }
}

fn kill_group(pid: u32) {
    let mut kill = Command::new("kill");
    kill.args(["-KILL", "--", &format!("-{pid}")]).stderr(Stdio::null());
    let _ = kill.status();
}

/// A command that runs on one processor, where the machine has several and `taskset` is there.
pub(crate) fn pinned(processor: usize, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let several = std::thread::available_parallelism().is_ok_and(|processors| processors.get() > 1);
    if !(several || std::env::var_os(PINNED).is_some()) || !has("taskset") {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["-c", &processor.to_string()]).arg(program).env(PINNED, "yes");
    command
}

/// Tells a process on one processor that the machine has more.
const PINNED: &str = "NEARSIDE_MATRIX_PINNED";

/// Whether a program can be started. Debian keeps some where only administrators look.
pub(crate) fn has(name: &str) -> bool {
    program(name).is_some()
}

/// Where a program is.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let folders = path.split(':').chain(["/usr/sbin", "/sbin"]);
    folders.map(|folder| Path::new(folder).join(name)).find(|file| file.is_file())
}
