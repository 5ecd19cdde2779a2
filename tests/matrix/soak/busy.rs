//! Processors that have something else to do, too.

use std::io::Read;
use std::process::Stdio;

use crate::Failure;
use crate::machine;
use crate::process::{Guard, Process, pinned};

/// Burners, one on each of some processors, until this is dropped.
pub(super) struct Busy {
    processors: Vec<usize>,
    before: Vec<machine::Ticks>,
    _burners: Vec<Process>,
}

impl Busy {
    /// Starts a burner on each processor, at ordinary priority: it takes half of what two want.
    pub(super) fn start(processors: &[usize], guard: &Guard) -> Result<Self, Failure> {
        let itself = std::env::current_exe()?;
        let burner = |processor: &usize| {
            let mut command = pinned(*processor, &itself);
            guard.spawn(command.arg("burn").stdin(Stdio::piped()))
        };
        let burners: Vec<Process> = processors.iter().map(burner).collect::<Result<_, _>>()?;
        let before = processors.iter().map(|processor| machine::ticks(*processor)).collect();
        Ok(Self { processors: processors.to_vec(), before, _burners: burners })
    }

    /// The share of time since the start in which each processor had nothing to do.
    pub(super) fn idle(&self) -> Vec<f64> {
        let share = |(processor, before): (&usize, &machine::Ticks)| {
            let now = machine::ticks(*processor);
            let (idle, all) = (now.idle - before.idle, now.all - before.all);
            // Where the kernel does not tell, nothing is proved.
            if all == 0 { 1.0 } else { idle as f64 / all as f64 }
        };
        self.processors.iter().zip(&self.before).map(share).collect()
    }
}

/// Computes until its input ends, and so with whoever started it.
pub(crate) fn burn() {
    std::thread::spawn(|| {
        let _ = std::io::stdin().lock().read(&mut [0]);
        std::process::exit(0);
    });
    let mut number = 0_u64;
    loop {
        number = std::hint::black_box(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    }
}
