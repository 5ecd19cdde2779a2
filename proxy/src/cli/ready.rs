//! `nearside ready`: a health check that needs nothing but the binary.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use super::door::reachable;
use super::{complain, configuration, say};

const PATIENCE: Duration = Duration::from_secs(2);

pub(super) fn ready(file: &Path) -> ExitCode {
    let settings = match configuration(file) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    match ask(reachable(settings.health)) {
        Ok(answer) if answer.starts_with("HTTP/1.1 200") => {
            say("ready");
            ExitCode::SUCCESS
        }
        Ok(answer) => {
            complain(answer.rsplit("\r\n\r\n").next().unwrap_or(&answer).trim_end());
            ExitCode::from(1)
        }
        Err(error) => {
            complain(&format!("nobody answers at {}: {error}", settings.health));
            ExitCode::from(1)
        }
    }
}

fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /readyz?verbose HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(16 << 10).read_to_string(&mut answer)?;
    Ok(answer)
}
