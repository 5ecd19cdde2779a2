//! A secret that opens something: made at random, told once, kept by its owner alone.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::file::read_own;

const BYTES: usize = 32;
/// The shortest secret that opens the admin API, in characters. What this program makes is twice as long.
const MIN_CHARACTERS: usize = 32;

/// A secret.
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
    /// If the file cannot be read or is empty, or others than its owner can read it.
    pub fn read(file: &Path) -> io::Result<Self> {
        let token = read_own(file)?.trim().to_owned();
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
        Self::create(file)?.map_or_else(|| Self::read(file), Ok)
    }

    /// Makes a file with a new token; `None` if there is a file.
    pub(super) fn create(file: &Path) -> io::Result<Option<Self>> {
        let token = Self::generate()?;
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
            Ok(mut created) => {
                writeln!(created, "{}", token.0)?;
                created.sync_all()?;
                Ok(Some(token))
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What is kept of it.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        digest(&self.0)
    }

    /// The secret itself, for a header.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// The secret in the text of `admin.token_file`, or why it is none: one that could be guessed opens nothing.
pub(super) fn long_enough(text: &str) -> Result<&str, String> {
    let token = text.trim();
    match token.chars().count() {
        0 => Err("it is empty".to_owned()),
        short if short < MIN_CHARACTERS => Err(format!(
            "its token has {short} characters and could be guessed; at least {MIN_CHARACTERS} are wanted"
        )),
        _ => Ok(token),
    }
}

/// What is wrong with `admin.token_file`; nothing if it is not there, as the next start makes it.
#[must_use]
pub fn first_token_problem(file: &Path) -> Option<String> {
    match read_own(file) {
        Ok(text) => long_enough(&text).err(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(error.to_string()),
    }
}

/// What is kept of a secret.
pub(super) fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

impl From<String> for Token {
    fn from(secret: String) -> Self {
        Self(secret)
    }
}
