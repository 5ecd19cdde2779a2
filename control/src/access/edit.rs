//! Changing the file of tokens: whole or not at all, one at a time.
//!
//! A change is written beside the file, brought to disk, and renamed over it, so whoever reads sees the old or the new. A lock
//! file keeps two changes from losing one another; it stays where it is, because removing it would let two think that they
//! have it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::file::read_own;
use super::secret::Token;
use super::token::{TokenEntry, Tokens, hex};
use super::{Role, name_problem, scope_problem};
use crate::document::Finding;

/// What begins each token: whoever finds one in a repository or log, person or program, knows what it opens.
const PREFIX: &str = "nearside_";

/// Changes the tokens of a file.
#[derive(Debug)]
pub struct Editor {
    file: PathBuf,
    tokens: Tokens,
    _lock: File,
}

/// Why the tokens could not be changed.
#[derive(Debug)]
pub enum EditError {
    /// The system refuses: what, and its words.
    System(PathBuf, io::Error),
    /// The file is broken.
    Broken(Vec<Finding>),
    /// The change makes no sense, in words.
    Refused(String),
}

impl std::fmt::Display for EditError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::System(file, error) => write!(f, "{}: {error}", file.display()),
            Self::Broken(findings) => {
                findings.iter().try_for_each(|finding| writeln!(f, "{finding}"))?;
                f.write_str("the tokens are left as they are")
            }
            Self::Refused(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for EditError {}

/// The tokens of a file; none if it does not exist.
///
/// # Errors
/// If it cannot be read, others can read it, or it is broken.
pub fn read(file: &Path) -> Result<Tokens, EditError> {
    match read_own(file) {
        Ok(text) => Tokens::parse(file, &text).map_err(EditError::Broken),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Tokens::default()),
        Err(error) => Err(EditError::System(file.to_owned(), error)),
    }
}

impl Editor {
    /// Waits for whoever else is changing the tokens, and reads them.
    ///
    /// # Errors
    /// [`EditError`].
    pub fn open(file: &Path) -> Result<Self, EditError> {
        // Through a link, or the rename would replace the link and leave the file as it is.
        let file = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
        let lock_file = beside(&file, ".lock");
        let system = |error| EditError::System(lock_file.clone(), error);
        let lock =
            OpenOptions::new().create(true).append(true).mode(0o600).open(&lock_file).map_err(system)?;
        lock.lock().map_err(system)?;
        let tokens = read(&file)?;
        Ok(Self { file, tokens, _lock: lock })
    }

    /// Adds a token, which is in force from the next call on. The secret, which is told this once.
    ///
    /// # Errors
    /// [`EditError`]; nothing has changed.
    pub fn add(
        self,
        name: &str,
        role: Role,
        regions: Option<Vec<String>>,
        expires_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Token, EditError> {
        if let Some(problem) = name_problem(name) {
            return Err(EditError::Refused(problem));
        }
        if let Some(problem) = scope_problem(role, regions.as_deref()) {
            return Err(EditError::Refused(problem.to_owned()));
        }
        let mut entries = self.tokens.entries.clone();
        if entries.iter().any(|entry| entry.name == name) {
            return Err(EditError::Refused(format!(
                "{name:?} has a token; remove it first, or give this one another name"
            )));
        }
        if !self.tokens.has_room() {
            return Err(EditError::Refused("there is no room for another token; remove some".to_owned()));
        }
        let random = Token::generate().map_err(|error| EditError::System(self.file.clone(), error))?;
        let secret = Token::from(format!("{PREFIX}{}", random.reveal()));
        let sha256 = hex(&secret.digest());
        entries.push(TokenEntry {
            name: name.to_owned(),
            role,
            regions,
            sha256,
            created_at: now,
            expires_at,
        });
        self.save(entries)?;
        Ok(secret)
    }

    /// Removes a token, which opens nothing from the next call on.
    ///
    /// # Errors
    /// [`EditError`]; nothing has changed.
    pub fn remove(self, name: &str) -> Result<TokenEntry, EditError> {
        let mut entries = self.tokens.entries.clone();
        let Some(index) = entries.iter().position(|entry| entry.name == name) else {
            let names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
            let there_are = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            return Err(EditError::Refused(format!("no token is named {name:?}; there are {there_are}")));
        };
        let removed = entries.remove(index);
        self.save(entries)?;
        Ok(removed)
    }

    fn save(&self, entries: Vec<TokenEntry>) -> Result<(), EditError> {
        let tokens = Tokens::of(entries).map_err(|defects| {
            EditError::Refused(defects.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
        })?;
        write(&self.file, &tokens.to_text()).map_err(|error| EditError::System(self.file.clone(), error))
    }
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    file.with_file_name(name)
}

/// Puts a text in the place of a file's.
fn write(file: &Path, text: &str) -> io::Result<()> {
    let folder =
        file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let new = beside(file, ".new");
    // Left behind by whoever was killed; the lock is ours.
    let _ = fs::remove_file(&new);
    let written = (|| {
        let mut opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        // root may write for an edge that runs as somebody else: it must be able to read it, as before.
        let (owner, ours) = (fs::metadata(file).or_else(|_| fs::metadata(folder))?, opened.metadata()?);
        if (owner.uid(), owner.gid()) != (ours.uid(), ours.gid()) {
            fchown(&opened, Some(owner.uid()), Some(owner.gid()))?;
        }
        opened.write_all(text.as_bytes())?;
        opened.sync_all()?;
        fs::rename(&new, file)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&new);
        return written;
    }
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn add(file: &Path, name: &str) -> Result<Token, EditError> {
        let now = "2026-01-31T12:00:00Z".parse().unwrap();
        Editor::open(file)?.add(name, Role::Operator, Some(vec!["eu".to_owned()]), None, now)
    }

    #[test]
    fn a_token_is_told_once_and_kept_as_a_hash() {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("tokens.toml");
        assert!(read(&file).unwrap().entries.is_empty());
        let secret = add(&file, "ann").unwrap();
        assert!(secret.reveal().starts_with(PREFIX) && secret.reveal().len() == PREFIX.len() + 64);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let text = fs::read_to_string(&file).unwrap();
        assert!(!text.contains(secret.reveal()) && !text.contains(&secret.reveal()[PREFIX.len()..]));
        let tokens = read(&file).unwrap();
        assert_eq!(tokens.find(&secret.digest()).unwrap().name, "ann");
        let said = add(&file, "ann").unwrap_err().to_string();
        assert!(said.contains("remove it first"), "{said}");
        assert_eq!(fs::read_to_string(&file).unwrap(), text, "nothing has changed");
        assert!(
            Editor::open(&file).unwrap().remove("bob").unwrap_err().to_string().contains("there are ann")
        );
        assert_eq!(Editor::open(&file).unwrap().remove("ann").unwrap().name, "ann");
        assert!(read(&file).unwrap().entries.is_empty());
    }

    #[test]
    fn what_is_broken_or_exposed_is_left_alone() {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("tokens.toml");
        add(&file, "ann").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(add(&file, "bob").unwrap_err().to_string().contains("chmod 600"));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&file, "[[tokens]]\nname = 7").unwrap();
        let said = add(&file, "bob").unwrap_err().to_string();
        assert!(said.contains("tokens.toml:2:") && said.contains("left as they are"), "{said}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "[[tokens]]\nname = 7");
    }

    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::TempDir::new().unwrap();
        let (file, link) = (folder.path().join("real.toml"), folder.path().join("tokens.toml"));
        add(&file, "ann").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        add(&link, "bob").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(read(&file).unwrap().entries.len(), 2);
    }

    #[test]
    fn changes_at_once_lose_nothing_and_readers_see_whole_files() {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("tokens.toml");
        add(&file, "first").unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let file = &file;
                scope.spawn(move || {
                    for round in 0..8 {
                        add(file, &format!("t{thread}-{round}")).unwrap();
                    }
                    Editor::open(file).unwrap().remove(&format!("t{thread}-0")).unwrap();
                });
            }
            for _ in 0..100 {
                assert!(!read(&file).unwrap().entries.is_empty(), "never half there");
            }
        });
        assert_eq!(read(&file).unwrap().entries.len(), 1 + 4 * 7);
    }
}
