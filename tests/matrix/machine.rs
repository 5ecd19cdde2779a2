//! Where and of what the figures are: machine, commit, versions.

use std::path::Path;
use std::process::Command;

/// The processor, how many, memory and kernel.
pub(crate) fn machine() -> String {
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let cpus = read("/proc/cpuinfo");
    let model = field(&cpus, "model name").unwrap_or_else(|| "unknown processor".to_owned());
    let count = cpus.lines().filter(|line| line.starts_with("processor")).count();
    let memory =
        field(&read("/proc/meminfo"), "MemTotal").and_then(|kib| kib.split(' ').next()?.parse::<f64>().ok());
    let kernel = read("/proc/sys/kernel/osrelease");
    let gib = (memory.unwrap_or(0.0) / f64::from(1 << 20)).round();
    format!("{model}, {count} processors, {gib} GiB, Linux {}", kernel.trim())
}

/// The commit that the working tree is at.
pub(crate) fn commit() -> String {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(head) = git(&["rev-parse", "--short", "HEAD"]) else { return "unknown".to_owned() };
    let is_clean = git(&["status", "--porcelain", "--untracked-files=no"]).is_none_or(|text| text.is_empty());
    if is_clean { head } else { format!("{head} with changes") }
}

/// What a program says of its version, in one line.
pub(crate) fn version(program: &Path) -> String {
    let ask = |flag: &str| {
        let output = Command::new(program).arg(flag).output().ok()?;
        let text = [output.stdout, output.stderr].concat();
        let line = String::from_utf8_lossy(&text).lines().next()?.trim().to_owned();
        output.status.success().then_some(line)
    };
    let said = ask("--version").or_else(|| ask("-v"));
    let said = said.unwrap_or_else(|| program.display().to_string());
    said.split(" - ").next().unwrap_or_default().to_owned()
}
