//! `[admin]`, as its author writes it: where operators connect, and who they are.
//!
//! Each doc comment below is shown to operators. A key that nothing enforces has no place here.

use control::access::Role;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where operators connect, and who they are.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdminSection {
    /// Address and port. A loopback address, unless there is `tls`: otherwise whoever listens in would learn the tokens.
    #[schemars(extend("examples" = ["127.0.0.1:9180"]))]
    pub listen: String,
    /// The file of the first token, relative to this file; made at the first start, readable by its owner only. Who has it is
    /// called `local` and may do everything. It is watched: without the file, its token opens nothing. One of less than 32
    /// characters could be guessed, and is refused.
    #[schemars(length(min = 1), extend("examples" = ["admin.token"]))]
    pub token_file: String,
    /// The file of all other tokens, relative to this file, which `nearside token` writes. It holds names, roles, scopes and
    /// hashes, and need not exist. It is watched: a token that is not there opens nothing. If it is broken,
    /// or others than its owner can read it, the tokens stay as they were; at a start, none of them opens anything until it is
    /// mended, and clients are served all the same.
    #[schemars(length(min = 1), extend("examples" = ["tokens.toml"]))]
    pub tokens_file: String,
    /// The folder of what operators changed, relative to this file: the journal of overrides and published tables, and their
    /// texts. Made at the first start, for its owner only; one edge at a time uses it. If it cannot be used, this edge serves
    /// and says so, changes only what may be forgotten, and tries again; what was recorded there counts from then on, unless
    /// something was changed meanwhile, which stays. An empty name keeps nothing: a restart forgets every change.
    #[schemars(extend("examples" = ["state"]))]
    pub state_dir: String,
    /// Names that operators call this listener by. Without them it is called by address or as `localhost`: a page of
    /// somebody else's could make a name of its own mean this machine.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [["edge1.ops.example"]]))]
    pub hosts: Vec<String>,
    /// Pages that may call the API from a browser, as browsers write their origin. All others are refused, token or not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [["https://ops.example"]]))]
    pub browser_origins: Vec<String>,
    /// Present: the API speaks HTTPS (TLS 1.3) and may listen on any address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [{"certificate_file": "admin.pem", "key_file": "admin.key"}]))]
    pub tls: Option<AdminTlsSection>,
    /// With `tls.client_ca_file`: callers who need no token, because a certificate says who they are. Of several that are in
    /// one certificate, the first counts. A token that is sent nonetheless counts before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<AdminClientSection>,
}

impl Default for AdminSection {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:9180".to_owned(),
            token_file: "admin.token".to_owned(),
            tokens_file: "tokens.toml".to_owned(),
            state_dir: "state".to_owned(),
            hosts: Vec::new(),
            browser_origins: Vec::new(),
            tls: None,
            clients: Vec::new(),
        }
    }
}

/// TLS of the admin API. Its files are watched, and taken over when they change and are sound.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AdminTlsSection {
    /// PEM file of the certificate chain, leaf first, relative to this file.
    #[schemars(length(min = 1), extend("examples" = ["admin.pem"]))]
    pub certificate_file: String,
    /// PEM file of its private key, relative to this file.
    #[schemars(length(min = 1), extend("examples" = ["admin.key"]))]
    pub key_file: String,
    /// PEM file of the authorities of operators' certificates. Who shows a certificate of another authority is not let in; who
    /// shows none needs a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1), extend("examples" = ["operators-ca.pem"]))]
    pub client_ca_file: Option<String>,
}

/// A caller who shows a certificate.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AdminClientSection {
    /// A DNS name or URI of the certificate (subjectAltName); or, if it has neither, its common name. What he changes has
    /// this author.
    #[schemars(length(min = 1), extend("examples" = ["ops.example"]))]
    pub name: String,
    /// What he may do.
    pub role: Role,
    /// With `operator`: the regions that he may change. Absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1), extend("examples" = [["eu-west"]]))]
    pub regions: Option<Vec<String>>,
}
