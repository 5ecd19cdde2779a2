//! The question whether something is meant, and who can be asked.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use rustix::termios::{QueueSelector, tcflush};

/// What is read of an answer, in bytes.
const MAX_ANSWER_BYTES: u64 = 64;

/// Whether somebody sits there who sees a question and can answer it.
pub(super) fn is_somebody_there() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks; anything but a yes is a no, and so is what was typed before the question stood there.
pub(super) fn ask(question: &str) -> bool {
    let _ = tcflush(io::stdin(), QueueSelector::IFlush);
    let mut output = io::stderr();
    if write!(output, "{question} [y/N] ").and_then(|()| output.flush()).is_err() {
        return false;
    }
    let mut answer = String::new();
    let read = io::stdin().lock().take(MAX_ANSWER_BYTES).read_line(&mut answer);
    read.is_ok() && is_yes(&answer)
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::is_yes;

    #[test]
    fn anything_but_a_yes_is_a_no() {
        assert!(["y\n", " YES\n", "Y"].into_iter().all(is_yes));
        assert!(!["", "\n", "no\n", "yesterday\n", "yy\n"].into_iter().any(is_yes));
    }
}
