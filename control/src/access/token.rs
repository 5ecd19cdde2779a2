//! The tokens that open the admin API, as their file holds them.

use std::path::Path;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steer::{Defect, KeyPath};
use subtle::{ConditionallySelectable, ConstantTimeEq};

use super::caller::{Caller, How, Role, Scope};
use crate::document::{self, Finding};

/// The name of who opens the API with the token of `admin.token_file`.
pub const LOCAL: &str = "local";
/// Names that others have: who reads the history must be able to tell them apart.
pub const RESERVED: [&str; 6] = [LOCAL, "api", "demo", "file", "nearside", "system"];
/// The most tokens of one edge. Each call is compared with all of them.
const MAX_TOKENS: usize = 1000;
const MAX_NAME_BYTES: usize = 63;

/// The tokens of one file.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    /// In the order of the file.
    pub entries: Vec<TokenEntry>,
    /// What is kept of each, in the same order.
    digests: Vec<[u8; 32]>,
}

/// The file as written.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
struct TokensFile {
    /// The tokens.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    tokens: Vec<TokenEntry>,
}

/// A token. The secret itself is nowhere but with whoever has it.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TokenEntry {
    /// Whose it is: the author of what is changed with it.
    #[schemars(extend("examples" = ["ann"]))]
    pub name: String,
    /// What may be done with it.
    pub role: Role,
    /// With `operator`: the regions that may be changed with it. Absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1), extend("examples" = [["eu-west"]]))]
    pub regions: Option<Vec<String>>,
    /// The SHA-256 of the secret, in hex.
    #[schemars(regex(pattern = r"^[0-9a-f]{64}$"), extend("x-wanted" = "a SHA-256 in 64 hex digits"))]
    #[schemars(extend("examples" = ["e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]))]
    pub sha256: String,
    /// When it was made.
    #[schemars(with = "String", regex(pattern = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$"))]
    #[schemars(extend("x-wanted" = "a time: 2026-01-31T12:00:00Z", "examples" = ["2026-01-31T12:00:00Z"]))]
    pub created_at: Timestamp,
    /// When it ends. Absent: when it is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("x-wanted" = "a time: 2026-01-31T12:00:00Z", "examples" = ["2026-04-30T12:00:00Z"]))]
    pub expires_at: Option<Timestamp>,
}

impl TokenEntry {
    /// Whether its time is over.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// Who opens the API with it, having shown a secret with this hash.
    pub(super) fn caller(&self, digest: [u8; 32]) -> Caller {
        Caller {
            name: self.name.clone(),
            role: self.role,
            scope: Scope::of(self.regions.as_deref()),
            how: How::Token(digest),
        }
    }
}

impl Tokens {
    /// Reads a file's text.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(file: &Path, text: &str) -> Result<Self, Vec<Finding>> {
        // A hash has no variables in it, and neither has a name.
        let no_variables = |_: &str| None;
        document::read(&file.display().to_string(), text, &no_variables, |spec: TokensFile| {
            Self::of(spec.tokens)
        })
    }

    /// These tokens.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn of(entries: Vec<TokenEntry>) -> Result<Self, Vec<Defect>> {
        let mut defects = Vec::new();
        let root = KeyPath::of("tokens");
        let mut defect = |path: KeyPath, problem: String, consequence: &str, example: &str| {
            defects.push(Defect {
                path,
                problem,
                consequence: consequence.to_owned(),
                example: example.to_owned(),
            });
        };
        for (index, entry) in entries.iter().enumerate() {
            let path = root.index(index);
            if let Some(problem) = name_problem(&entry.name) {
                defect(path.key("name"), problem, "nobody could tell who made a change", "name = \"ann\"");
            }
            if entries[..index].iter().any(|other| other.name == entry.name) {
                let problem = format!("{:?} stands here twice", entry.name);
                defect(path.key("name"), problem, "nobody could tell who made a change", "name = \"ann-2\"");
            }
            if entries[..index].iter().any(|other| other.sha256 == entry.sha256) {
                let problem = "another token has the same hash".to_owned();
                defect(path.key("sha256"), problem, "it would be either's", "nearside token add ann");
            }
            if let Some(problem) = scope_problem(entry.role, entry.regions.as_deref()) {
                let example = "role = \"operator\"\nregions = [\"eu-west\"]";
                defect(path.key("regions"), problem.to_owned(), "nothing would enforce it", example);
            }
        }
        let digests: Option<Vec<_>> = entries.iter().map(|entry| unhex(&entry.sha256)).collect();
        match digests {
            Some(digests) if defects.is_empty() => Ok(Self { entries, digests }),
            // What is no hash at all, the schema has said.
            _ => Err(defects),
        }
    }

    /// As the file holds them.
    #[must_use]
    pub fn to_text(&self) -> String {
        let spec = TokensFile { tokens: self.entries.clone() };
        let text = toml::to_string_pretty(&spec).expect("texts and times can be written as TOML");
        format!(
            "# Made by `nearside token`, and watched: a token that is not here opens nothing. The hashes open nothing either.\n\n{text}"
        )
    }

    /// Whether one more has room.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.entries.len() < MAX_TOKENS
    }

    /// The token with that hash. All are compared, whichever it is: the time it takes says nothing.
    pub(super) fn find(&self, digest: &[u8; 32]) -> Option<&TokenEntry> {
        let mut found = u32::MAX;
        for (index, kept) in (0u32..).zip(&self.digests) {
            found.conditional_assign(&index, kept.ct_eq(digest));
        }
        self.entries.get(found as usize)
    }
}

/// Why something cannot be a token's name.
pub(super) fn name_problem(name: &str) -> Option<String> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.@".contains(&byte);
    let end = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let bytes = name.as_bytes();
    let is_name = bytes.iter().copied().all(inner) && end(bytes.first()) && end(bytes.last());
    if !is_name || bytes.len() > MAX_NAME_BYTES {
        return Some(format!(
            "{name:?} is no name: it has up to {MAX_NAME_BYTES} of a-z, 0-9, \"-\", \"_\", \".\" and \"@\", and begins and ends \
             with a letter or digit"
        ));
    }
    RESERVED.contains(&name).then(|| format!("{name:?} is the name of somebody else in the history"))
}

/// Why a role cannot have this scope.
#[must_use]
pub fn scope_problem(role: Role, regions: Option<&[String]>) -> Option<&'static str> {
    match (role, regions) {
        (_, None) => None,
        (_, Some([])) => Some("no region is listed: leave the key out for all of them"),
        (Role::Operator, Some(_)) => None,
        (Role::Viewer, Some(_)) => Some("a viewer changes nothing, and may look at everything"),
        (Role::Admin, Some(_)) => Some("an admin publishes tables, which are about all regions"),
    }
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes: Vec<u8> =
        pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect::<Option<_>>()?;
    if rest.is_empty() { bytes.try_into().ok() } else { None }
}

/// A hash as the file holds it.
pub(super) fn hex(digest: &[u8; 32]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::secret::digest;
    use super::*;

    fn entry(name: &str, secret: &str) -> TokenEntry {
        TokenEntry {
            name: name.to_owned(),
            role: Role::Operator,
            regions: Some(vec!["eu-west".to_owned()]),
            sha256: hex(&digest(secret)),
            created_at: "2026-01-31T12:00:00Z".parse().unwrap(),
            expires_at: Some("2026-04-30T12:00:00Z".parse().unwrap()),
        }
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let mut bob = entry("bob@example.com", "b");
        (bob.role, bob.regions, bob.expires_at) = (Role::Admin, None, None);
        let tokens = Tokens::of(vec![entry("ann", "a"), bob]).unwrap();
        let read = Tokens::parse(Path::new("tokens.toml"), &tokens.to_text()).unwrap();
        assert_eq!(read.entries, tokens.entries);
        assert_eq!(read.digests, tokens.digests);
        assert!(Tokens::parse(Path::new("x"), "").unwrap().entries.is_empty());
        assert!(!tokens.to_text().contains("\"a\""));
    }

    #[test]
    fn the_right_one_is_found_among_many_and_no_other() {
        let entries = (0..1000).map(|index| entry(&format!("t{index}"), &format!("secret-{index}")));
        let tokens = Tokens::of(entries.collect()).unwrap();
        assert!(!tokens.has_room());
        for index in 0..1000 {
            let found = tokens.find(&digest(&format!("secret-{index}"))).unwrap();
            assert_eq!(found.name, format!("t{index}"));
        }
        for forged in ["", "secret-", "secret-1000", "Secret-1", &tokens.entries[0].sha256] {
            assert_eq!(tokens.find(&digest(forged)), None, "{forged:?}");
        }
        assert_eq!(Tokens::default().find(&digest("x")), None);
    }

    #[test]
    fn expiry_is_exact() {
        let ann = entry("ann", "a");
        assert!(!ann.is_expired("2026-04-30T11:59:59.999Z".parse().unwrap()));
        assert!(ann.is_expired("2026-04-30T12:00:00Z".parse().unwrap()));
    }

    #[test]
    fn mistakes_name_their_key() {
        let good = Tokens::of(vec![entry("ann", "a")]).unwrap().to_text();
        for (from, to, key, said) in [
            ("name = \"ann\"", "name = \"Ann Lee\"", "tokens[0].name", "is no name"),
            ("name = \"ann\"", "name = \"local\"", "tokens[0].name", "somebody else"),
            ("name = \"ann\"", "", "tokens[0].name", "is missing"),
            ("\"operator\"", "\"boss\"", "tokens[0].role", "boss"),
            ("\"operator\"", "\"admin\"", "tokens[0].regions", "an admin publishes tables"),
            ("\"operator\"", "\"viewer\"", "tokens[0].regions", "a viewer changes nothing"),
            ("[\"eu-west\"]", "[]", "tokens[0].regions", "fewer than 1"),
            ("sha256 = \"", "sha256 = \"x", "tokens[0].sha256", "SHA-256 in 64 hex digits"),
            ("2026-01-31T", "yesterday", "tokens[0].created_at", "is not a time"),
            ("role =", "rolle = 1\nrole =", "tokens[0].rolle", "did you mean"),
        ] {
            let text = good.replacen(from, to, 1);
            assert_ne!(text, good, "{from}");
            let findings = Tokens::parse(Path::new("tokens.toml"), &text).unwrap_err();
            let told: Vec<String> = findings.iter().map(ToString::to_string).collect();
            let told = told.join("\n");
            assert!(told.contains(key) && told.contains(said), "{to}: {told}");
        }
        let twice = Tokens::of(vec![entry("ann", "a"), entry("ann", "a")]).unwrap_err();
        assert_eq!(twice.len(), 2, "{twice:?}");
    }
}
