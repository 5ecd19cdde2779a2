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

/// Time of a processor since the machine started, in the kernel's ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Ticks {
    /// With nothing to do.
    pub(crate) idle: u64,
    pub(crate) all: u64,
}

/// What a processor did so far; nothing where the kernel does not tell.
pub(crate) fn ticks(processor: usize) -> Ticks {
    read_ticks(&std::fs::read_to_string("/proc/stat").unwrap_or_default(), processor)
}

/// `cpu1 USER NICE SYSTEM IDLE IOWAIT IRQ SOFTIRQ STEAL ...`, what follows being counted in what goes before.
fn read_ticks(stat: &str, processor: usize) -> Ticks {
    let name = format!("cpu{processor} ");
    let line = stat.lines().find_map(|line| line.strip_prefix(&name)).unwrap_or_default();
    let fields: Vec<u64> = line.split_whitespace().take(8).filter_map(|field| field.parse().ok()).collect();
    Ticks { idle: fields.iter().skip(3).take(2).sum(), all: fields.iter().sum() }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_read_as_the_kernel_writes_them() {
        let stat = "cpu  20 0 20 200 10 0 0 0 9 0\ncpu0 9 0 9 99 9 0 0 0 9 0\ncpu1 11 0 11 101 1 2 3 4 9 0\ncpu11 1 1 1 1 1 1 1 1 1 1\n";
        assert_eq!(read_ticks(stat, 1), Ticks { idle: 102, all: 133 });
        assert_eq!(read_ticks(stat, 7), Ticks::default());
    }
}
