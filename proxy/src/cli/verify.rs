//! `nearside audit verify`: whether the journal on disk is what was written. It needs no running edge, and does not disturb one.
//!
//! What was set aside as damaged was written once and is not part of the chain any more, so it fails as long as that lies there.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use control::journal::{self, Stamp, Verified};
use serde_json::json;

use super::exit::Exit;
use super::sheet::folded;
use super::{Configured, Output, complain, configuration, say, say_json};

#[derive(Args, Debug)]
pub(super) struct VerifyArgs {
    /// The folder of the journal, or a copy of it [default: admin.state_dir of the configuration]
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
    /// A line that was noted before, such as 812:9f86d0…, as the audit and every change tell it: it has to be there still
    #[arg(long, value_name = "NUMBER:HASH", value_parser = parse_anchor)]
    anchor: Option<Stamp>,
    #[command(flatten)]
    configured: Configured,
    /// How the answer is shown
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

pub(super) fn verify(args: &VerifyArgs) -> ExitCode {
    let folder = match args.folder.clone().map_or_else(|| kept_in(args), Ok) {
        Ok(folder) => folder,
        Err(code) => return code,
    };
    match journal::verify(&folder, args.anchor) {
        Ok(verified) => {
            match args.output {
                Output::Json => say_json(&document(&verified).to_string()),
                Output::Table => say(&folded(&told(&verified, args.anchor), 0)),
            }
            match verified.aside.is_empty() {
                true => ExitCode::SUCCESS,
                false => Exit::Failed.into(),
            }
        }
        Err(broken) => {
            complain(&broken.to_string());
            Exit::Failed.into()
        }
    }
}

/// Where the edge of the configuration keeps its journal.
fn kept_in(args: &VerifyArgs) -> Result<PathBuf, ExitCode> {
    let settings = configuration(&args.configured.file())?;
    settings.admin.state_dir.ok_or_else(|| {
        complain("this edge keeps no changes: admin.state_dir is empty; for example: state_dir = \"state\"");
        Exit::Failed.into()
    })
}

fn told(verified: &Verified, anchor: Option<Stamp>) -> String {
    let Verified { journal, oldest, head, segments, entries, torn, aside } = verified;
    let files = if *segments == 1 { "one file".to_owned() } else { format!("{segments} files") };
    let mut lines = vec![
        format!(
            "Every line holds: {oldest} to {} of journal {journal}, {entries} changes in {files}.",
            head.seq
        ),
        match anchor {
            Some(anchor) => format!("Nothing up to line {} was changed since it was noted.", anchor.seq),
            None => {
                "Removed ends, and lines that were all written anew, are seen only with an anchor.".to_owned()
            }
        },
        format!("The newest line, to be noted elsewhere and given as --anchor next time: {head}"),
    ];
    if let Some(torn) = torn {
        let (file, line, bytes) = (torn.file.display(), torn.line, torn.bytes);
        lines.push(format!(
            "note: {file}:{line}: {bytes} bytes of a line that is being written, or was when the power went; nobody was told that it \
             was kept"
        ));
    }
    for file in aside {
        lines.push(format!(
            "damaged: {} was set aside, and is not part of this: look at it, and move it out of the folder",
            file.display()
        ));
    }
    lines.join("\n")
}

fn document(verified: &Verified) -> serde_json::Value {
    let Verified { journal, oldest, head, segments, entries, torn, aside } = verified;
    let torn = torn.as_ref().map(
        |torn| json!({ "file": torn.file.display().to_string(), "line": torn.line, "bytes": torn.bytes }),
    );
    let aside: Vec<String> = aside.iter().map(|file| file.display().to_string()).collect();
    json!({
        "journal": journal, "oldest": oldest, "anchor": head.to_string(), "segments": segments, "entries": entries,
        "torn": torn, "aside": aside,
    })
}

fn parse_anchor(text: &str) -> Result<Stamp, String> {
    text.parse().map_err(|error: journal::NotAStamp| error.to_string())
}
