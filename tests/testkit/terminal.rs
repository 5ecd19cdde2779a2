//! A terminal that a program is started at: what it shows, and what somebody types.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// A terminal at which nothing runs yet. Dropped, what runs at it is killed.
pub struct Terminal {
    /// What somebody types goes in here, and what is shown comes out.
    keyboard: File,
    screen: Arc<Mutex<Vec<u8>>>,
    /// The program's side of it.
    line: Option<OwnedFd>,
    running: Option<(Child, JoinHandle<()>)>,
}

impl Terminal {
    /// A terminal of that size.
    #[must_use]
    pub fn of(columns: u16, rows: u16) -> Self {
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&keyboard).unwrap();
        unlockpt(&keyboard).unwrap();
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&keyboard, size).unwrap();
        let name = ptsname(&keyboard, Vec::new()).unwrap();
        let line = open(name.as_c_str(), OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        Self { keyboard: File::from(keyboard), screen: Arc::default(), line: Some(line), running: None }
    }

    /// Starts a program at it; there is one.
    pub fn run(&mut self, mut command: Command) {
        let line = self.line.take().unwrap();
        command.stdin(line.try_clone().unwrap()).stdout(line.try_clone().unwrap()).stderr(line);
        let child = command.spawn().unwrap();
        // With it go the copies of the program's side that are here; when those of the program are closed as well, all is read.
        drop(command);
        let (mut from, screen) = (self.keyboard.try_clone().unwrap(), self.screen.clone());
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = from.read(&mut bytes) {
                screen.lock().unwrap().extend_from_slice(&bytes[..count]);
            }
        });
        self.running = Some((child, reader));
    }

    /// Types something.
    pub fn type_in(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// All that was shown so far, what was typed included.
    #[must_use]
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap()).replace("\r\n", "\n")
    }

    /// Waits until a text was shown.
    pub async fn until_shown(&self, text: &str) {
        crate::until(text, async || self.shown().contains(text)).await;
    }

    /// Waits for the end of the program; its exit code, and all that was shown.
    pub async fn ended(mut self) -> (Option<i32>, String) {
        let (mut child, reader) = self.running.take().unwrap();
        let mut code = None;
        crate::until("the program has ended", async || {
            code = child.try_wait().unwrap().map(|status| status.code());
            code.is_some()
        })
        .await;
        reader.join().unwrap();
        (code.flatten(), self.shown())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some((mut child, _)) = self.running.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
