//! A caller: his name, his role, and where it counts.

use std::collections::BTreeSet;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::certificate::ClientNames;

/// What a caller may do. Each role may do what the former may.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline, extend("examples" = ["operator"]))]
pub enum Role {
    /// Look at everything.
    Viewer,
    /// Also change what traffic does for now: overrides, drains, drills.
    Operator,
    /// Also change what this edge is told: tables, rollbacks, tokens, the log level.
    Admin,
}

impl Role {
    /// All of them, the least first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a caller's changes may take effect. What he may look at has no scope: who drains one region must see the others.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Scope {
    /// In all regions.
    Everywhere,
    /// In these regions and their placements alone.
    Regions(BTreeSet<String>),
}

impl Scope {
    /// From a list as written: `None` is everywhere.
    #[must_use]
    pub fn of(regions: Option<&[String]>) -> Self {
        regions.map_or(Self::Everywhere, |regions| Self::Regions(regions.iter().cloned().collect()))
    }

    /// Whether a region is in it.
    #[must_use]
    pub fn contains(&self, region: &str) -> bool {
        match self {
            Self::Everywhere => true,
            Self::Regions(regions) => regions.contains(region),
        }
    }
}

/// How a caller has shown who he is: enough of it to ask later whether it still opens.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum How {
    /// By a token with this SHA-256.
    Token([u8; 32]),
    /// By a client certificate that says this.
    Certificate(ClientNames),
}

/// Who calls. Handlers find him among a request's extensions.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Caller {
    /// The token's or certificate's name; the author of what he changes.
    pub name: String,
    /// What he may do.
    pub role: Role,
    /// Where.
    pub scope: Scope,
    /// How he has shown who he is.
    pub how: How,
}

/// What somebody wants to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action<'a> {
    /// Look at anything.
    Read,
    /// Override, drain or restore a region, or one of its placements.
    Override {
        /// The region.
        region: &'a str,
    },
    /// Let a region look dead to a part of the clients.
    Drill {
        /// The region.
        region: &'a str,
    },
    /// Publish a table.
    Publish,
    /// Publish a former table again.
    Rollback,
    /// Look at, make or remove tokens.
    Tokens,
    /// Change what is logged.
    LogLevel,
}

impl<'a> Action<'a> {
    /// The least role that may do it.
    #[must_use]
    pub const fn needs(self) -> Role {
        match self {
            Self::Read => Role::Viewer,
            Self::Override { .. } | Self::Drill { .. } => Role::Operator,
            Self::Publish | Self::Rollback | Self::Tokens | Self::LogLevel => Role::Admin,
        }
    }

    /// The region that it is about, if it is about one.
    #[must_use]
    pub const fn region(self) -> Option<&'a str> {
        match self {
            Self::Override { region } | Self::Drill { region } => Some(region),
            _ => None,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Read => "looking",
            Self::Override { .. } => "overriding a region",
            Self::Drill { .. } => "a drill",
            Self::Publish => "publishing a table",
            Self::Rollback => "a rollback",
            Self::Tokens => "tokens",
            Self::LogLevel => "the log level",
        }
    }
}

/// Why a caller may not do something.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Denied {
    /// His role is too small.
    Role {
        /// Who.
        name: String,
        /// What he is.
        has: Role,
        /// What he would have to be, at least.
        needs: Role,
        /// What for.
        action: &'static str,
    },
    /// The region is not his.
    Scope {
        /// Who.
        name: String,
        /// The region that he wanted to change.
        region: String,
        /// Those that he may change.
        allowed: Vec<String>,
    },
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role { name, has, needs, action } => {
                write!(f, "{action} needs the role {needs}; {name:?} is {has}")
            }
            Self::Scope { name, region, allowed } => {
                write!(f, "{name:?} may change {} alone, not {region:?}", allowed.join(", "))
            }
        }
    }
}

impl Caller {
    /// Whether he may do that.
    ///
    /// # Errors
    /// What is missing.
    pub fn may(&self, action: Action<'_>) -> Result<(), Denied> {
        self.is_at_least(action.needs(), action.words())?;
        match (&self.scope, action.region()) {
            (Scope::Regions(allowed), Some(region)) if !allowed.contains(region) => Err(Denied::Scope {
                name: self.name.clone(),
                region: region.to_owned(),
                allowed: allowed.iter().cloned().collect(),
            }),
            _ => Ok(()),
        }
    }

    /// Whether his role is enough to change anything at all. This is asked of every call that is no mere question, so that a
    /// handler that forgets to ask is not open to everybody.
    ///
    /// # Errors
    /// That it is not.
    pub fn may_change(&self) -> Result<(), Denied> {
        self.is_at_least(Role::Operator, "changing anything")
    }

    fn is_at_least(&self, needs: Role, action: &'static str) -> Result<(), Denied> {
        if self.role >= needs {
            return Ok(());
        }
        Err(Denied::Role { name: self.name.clone(), has: self.role, needs, action })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(role: Role, regions: Option<&[&str]>) -> Caller {
        let regions = regions.map(|regions| regions.iter().map(ToString::to_string).collect::<Vec<_>>());
        Caller {
            name: "ann".to_owned(),
            role,
            scope: Scope::of(regions.as_deref()),
            how: How::Token([0; 32]),
        }
    }

    #[test]
    fn each_role_may_what_the_former_may_and_more() {
        let (here, there) = (Action::Override { region: "eu" }, Action::Drill { region: "us" });
        let all = [
            (Action::Read, [true, true, true]),
            (here, [false, true, true]),
            (there, [false, true, true]),
            (Action::Publish, [false, false, true]),
            (Action::Rollback, [false, false, true]),
            (Action::Tokens, [false, false, true]),
            (Action::LogLevel, [false, false, true]),
        ];
        for (action, may) in all {
            for (role, may) in Role::ALL.into_iter().zip(may) {
                assert_eq!(caller(role, None).may(action).is_ok(), may, "{role} {action:?}");
            }
        }
        assert!(caller(Role::Viewer, None).may_change().is_err());
        assert!(caller(Role::Operator, None).may_change().is_ok());
    }

    #[test]
    fn a_scope_limits_changes_and_not_looking() {
        let ann = caller(Role::Operator, Some(&["eu-west", "eu-east"]));
        assert_eq!(ann.may(Action::Read), Ok(()));
        assert_eq!(ann.may(Action::Override { region: "eu-west" }), Ok(()));
        let denied = ann.may(Action::Drill { region: "us" }).unwrap_err();
        assert_eq!(denied.to_string(), "\"ann\" may change eu-east, eu-west alone, not \"us\"");
        // A name that only begins like one of his is another's.
        assert!(ann.may(Action::Override { region: "eu-west-2" }).is_err());
        assert!(caller(Role::Operator, Some(&[])).may(Action::Override { region: "eu" }).is_err());
        let denied = ann.may(Action::Publish).unwrap_err();
        assert_eq!(denied.to_string(), "publishing a table needs the role admin; \"ann\" is operator");
    }
}
