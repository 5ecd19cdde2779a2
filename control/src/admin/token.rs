//! The admin token.
//!
//! It is made at the first start and kept in a file that only its owner can read. Programs compare it in constant time, so
//! that an answer's delay tells nothing about it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use subtle::ConstantTimeEq;

const BYTES: usize = 32;

/// A secret that opens the admin API.
#[derive(Clone)]
pub struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Token {
    /// A new one.
    ///
    /// # Errors
    /// If the system has no randomness.
    pub fn generate() -> io::Result<Self> {
        let mut bytes = [0; BYTES];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// The token in a file.
    ///
    /// # Errors
    /// If the file cannot be read or is empty.
    pub fn read(file: &Path) -> io::Result<Self> {
        let token = fs::read_to_string(file)?.trim().to_owned();
        if token.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the token file is empty"));
        }
        Ok(Self(token))
    }

    /// The token in a file, which is made with a new one if it does not exist.
    ///
    /// # Errors
    /// If the file cannot be read or made, or others than its owner can read it.
    pub fn read_or_create(file: &Path) -> io::Result<Self> {
        let token = Self::generate()?;
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
            Ok(mut created) => {
                writeln!(created, "{}", token.0)?;
                created.sync_all()?;
                Ok(token)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let mode = fs::metadata(file)?.permissions().mode();
                if mode & 0o077 != 0 {
                    let problem = format!("others can read it (mode {:03o}): chmod 600 it", mode & 0o777);
                    return Err(io::Error::new(io::ErrorKind::PermissionDenied, problem));
                }
                Self::read(file)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether that is it.
    #[must_use]
    pub fn is(&self, presented: &str) -> bool {
        self.0.as_bytes().ct_eq(presented.as_bytes()).into()
    }

    /// The secret itself, for a header.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Token {
    fn from(secret: String) -> Self {
        Self(secret)
    }
}
