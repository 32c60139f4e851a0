//! Parameters that are secrets: each goes to the program in a variable of its environment, which the rule names.
//!
//! A client chooses the value, so a variable is refused that would make the program load code, execute something or look
//! for its files elsewhere. The list is of those that are known for it; the operator who names another knows the program.

use std::collections::BTreeSet;

use jail::Variable;
use jail::limits::MAX_SECRETS;

use super::problem::{Fault, shown};
use super::section::{Item, Section};
use crate::policy::Channel;

/// The keys that make a rule's value a secret.
pub(super) const KEYS: [&str; 2] = ["secret", "environment"];

/// What every command has.
const FIXED: [&str; 3] = ["PATH", "LANG", "HOME"];

/// Variables that loaders, shells, interpreters and libraries obey.
const OBEYED: &[&str] = &[
    "BASHOPTS",
    "BASH_ENV",
    "BROWSER",
    "CDPATH",
    "CLASSPATH",
    "EDITOR",
    "ENV",
    "GCONV_PATH",
    "GEM_HOME",
    "GEM_PATH",
    "GETCONF_DIR",
    "GLIBC_TUNABLES",
    "HOSTALIASES",
    "IFS",
    "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "LANGUAGE",
    "LESS",
    "LESSCLOSE",
    "LESSOPEN",
    "LOCALDOMAIN",
    "LOCPATH",
    "MANPAGER",
    "MAVEN_OPTS",
    "NIS_PATH",
    "NLSPATH",
    "NODE_EXTRA_CA_CERTS",
    "NODE_OPTIONS",
    "NODE_PATH",
    "OPENSSL_CONF",
    "OPENSSL_ENGINES",
    "OPENSSL_MODULES",
    "PAGER",
    "PHPRC",
    "PHP_INI_SCAN_DIR",
    "PROMPT_COMMAND",
    "PS4",
    "RESOLV_ADD_TRIM_DOMAINS",
    "RESOLV_HOST_CONF",
    "RES_OPTIONS",
    "SHELL",
    "SHELLOPTS",
    "TERMCAP",
    "TERMINFO",
    "TERMINFO_DIRS",
    "TMPDIR",
    "TZ",
    "TZDIR",
    "VISUAL",
    "_JAVA_OPTIONS",
];

/// The same by how they begin.
const OBEYED_FAMILIES: &[&str] = &[
    "BASH_FUNC_",
    "DYLD_",
    "GIT_",
    "LC_",
    "LD_",
    "LUA_",
    "MALLOC_",
    "NPM_CONFIG_",
    "PERL",
    "PYTHON",
    "RUBY",
    "RUST",
    "XDG_",
];

/// The variables of one command that have a value.
pub(super) struct Variables {
    taken: BTreeSet<String>,
    secrets: usize,
}

impl Variables {
    /// Those of the rule's own `environment`.
    pub(super) fn fixed(environment: &[Variable]) -> Self {
        Self { taken: environment.iter().map(|variable| variable.name.clone()).collect(), secrets: 0 }
    }

    /// How a value reaches its program, as the rule says.
    pub(super) fn channel(&mut self, section: &Section<'_>) -> Result<Channel, Fault> {
        let secret = section.optional("secret", Item::boolean)?.unwrap_or(false);
        match (secret, section.get("environment")) {
            (false, None) => Ok(Channel::Argument),
            (false, Some(item)) => Err(item.fault("has no meaning without `secret = true`")),
            (true, None) => Err(section.get("secret").map_or_else(
                || section.fault(""),
                |item| item.fault("needs `environment`: the variable in which the program gets the secret"),
            )),
            (true, Some(item)) => {
                if let Some(item) = section.get("default") {
                    return Err(
                        item.fault("has no meaning for a secret: it would stand here for all to read")
                    );
                }
                if let Some(item) = section.get("repeat") {
                    return Err(item.fault("has no meaning for a secret: its variable holds one value"));
                }
                Ok(Channel::Secret(self.take(&item)?))
            }
        }
    }

    fn take(&mut self, item: &Item<'_>) -> Result<String, Fault> {
        let name = item.string()?;
        if !is_variable(name) {
            return Err(item.fault(format!("is {}, which cannot name a variable", shown(name))));
        }
        let upper = name.to_ascii_uppercase();
        if FIXED.contains(&name) {
            return Err(item.fault(format!("is {}, which every command has", shown(name))));
        }
        if OBEYED.contains(&upper.as_str())
            || OBEYED_FAMILIES.iter().any(|family| upper.starts_with(family))
            || upper.ends_with("_PROXY")
        {
            return Err(item.fault(format!(
                "is {}, by which a client could change what programs load or do; name one that only this program reads",
                shown(name)
            )));
        }
        if !self.taken.insert(name.to_owned()) {
            return Err(item.fault(format!("is {}, which has a value already", shown(name))));
        }
        self.secrets = self.secrets.saturating_add(1);
        if self.secrets > MAX_SECRETS {
            return Err(item.fault(format!("is one too many: a command has at most {MAX_SECRETS} secrets")));
        }
        Ok(name.to_owned())
    }
}

/// `[A-Za-z_][A-Za-z0-9_]*`
pub(super) fn is_variable(name: &str) -> bool {
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    first && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
