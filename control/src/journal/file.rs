//! Files that only we read and write: opened without following links, made whole or not at all.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::OFlags;

const MODE: u32 = 0o600;
/// What files are called until they are whole.
pub(super) const UNFINISHED: &str = "tmp";

/// A file that did not come about.
#[derive(Debug)]
pub(super) struct NotCreated {
    /// Whether it has its name already, though a power cut may take that back.
    pub(super) is_in_place: bool,
    pub(super) error: io::Error,
}

/// Opens a file to read it.
pub(super) fn read(file: &Path) -> io::Result<File> {
    open(OpenOptions::new().read(true), file)
}

/// Opens a file that exists, to add to it.
pub(super) fn append(file: &Path) -> io::Result<File> {
    let opened = open(OpenOptions::new().append(true), file)?;
    make_ours(&opened)?;
    Ok(opened)
}

/// Opens a file that may exist, to hold a lock on it. On a disk that cannot be written, it is opened to read.
pub(super) fn lock(file: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    match open(options.read(true).write(true).create(true).truncate(false), file) {
        Ok(opened) => {
            make_ours(&opened)?;
            Ok(opened)
        }
        Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => read(file),
        Err(error) => Err(error),
    }
}

/// Makes a file with that content: after a power cut it is there with all of it, or not there.
pub(super) fn create(folder: &Path, name: &str, content: &mut dyn Read) -> Result<(), NotCreated> {
    place(folder, name, content).map_err(|error| NotCreated { is_in_place: false, error })?;
    sync_folder(folder).map_err(|error| NotCreated { is_in_place: true, error })
}

/// As [`create`], but a power cut may take the file away until the folder is synced.
pub(super) fn place(folder: &Path, name: &str, content: &mut dyn Read) -> io::Result<()> {
    let unfinished = folder.join(format!("{name}.{UNFINISHED}"));
    let placed = write_new(&unfinished, content).and_then(|()| fs::rename(&unfinished, folder.join(name)));
    if placed.is_err() {
        // What cannot be removed now is removed at the next start.
        let _ = fs::remove_file(&unfinished);
    }
    placed
}

/// Makes the names in a folder outlive a power cut.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn write_new(file: &Path, content: &mut dyn Read) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut created = open(OpenOptions::new().write(true).create_new(true), file)?;
    make_ours(&created)?;
    io::copy(content, &mut created)?;
    created.sync_all()
}

fn open(options: &mut OpenOptions, file: &Path) -> io::Result<File> {
    // A pipe in a file's place would block whoever opens it.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let opened = options.mode(MODE).custom_flags(flags.cast_signed()).open(file)?;
    if !opened.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    Ok(opened)
}

/// Permissions as they should be, whatever the umask took away or somebody added.
fn make_ours(opened: &File) -> io::Result<()> {
    if opened.metadata()?.permissions().mode() & 0o7777 == MODE {
        return Ok(());
    }
    opened.set_permissions(Permissions::from_mode(MODE))
}
