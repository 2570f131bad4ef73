//! The table of a server's commands: name or alias to entry, with the counters of each.

use crate::counters::CommandCounters;
use command::{Access, Spec};
use std::collections::HashMap;
use std::sync::Arc;

/// A name that two commands claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("two commands are named {0}")]
pub struct DuplicateName(pub &'static str);

/// What can be told of a command without knowing the server that runs it.
#[derive(Debug)]
pub struct Listed {
    pub name: &'static str,
    pub aliases: &'static [&'static str],
    pub access: Access,
    pub admin_only: bool,
    pub internal_only: bool,
    pub names_collection: bool,
    pub help: &'static str,
    pub counters: CommandCounters,
}

/// All commands of a process by name, for listCommands and serverStatus.
pub type Catalogue = Arc<[Arc<Listed>]>;

/// One row of the table.
pub struct Entry<S> {
    pub spec: Spec<S>,
    pub listed: Arc<Listed>,
}

/// The table. Built once; looked up for every command.
pub struct Registry<S> {
    entries: Vec<Entry<S>>,
    by_name: HashMap<&'static str, usize>,
}

impl<S> Registry<S> {
    /// A table of these commands.
    ///
    /// # Errors
    /// [`DuplicateName`] if two share a name or alias.
    pub fn new(mut specs: Vec<Spec<S>>) -> Result<Registry<S>, DuplicateName> {
        specs.sort_by_key(|spec| spec.name);
        let mut by_name = HashMap::new();
        let mut entries = Vec::with_capacity(specs.len());
        for (index, spec) in specs.into_iter().enumerate() {
            for name in std::iter::once(&spec.name).chain(spec.aliases) {
                if by_name.insert(*name, index).is_some() {
                    return Err(DuplicateName(name));
                }
            }
            let listed = Arc::new(Listed {
                name: spec.name,
                aliases: spec.aliases,
                access: spec.access,
                admin_only: spec.admin_only,
                internal_only: spec.internal_only,
                names_collection: spec.names_collection,
                help: spec.help,
                counters: CommandCounters::default(),
            });
            entries.push(Entry { spec, listed });
        }
        Ok(Registry { entries, by_name })
    }

    /// The entry of a name or alias.
    pub fn find(&self, name: &str) -> Option<&Spec<S>> {
        self.entry(name).map(|entry| &entry.spec)
    }

    pub(crate) fn entry(&self, name: &str) -> Option<&Entry<S>> {
        self.entries.get(*self.by_name.get(name)?)
    }

    /// The commands and their counters.
    pub fn catalogue(&self) -> Catalogue {
        self.entries.iter().map(|entry| Arc::clone(&entry.listed)).collect()
    }
}

impl<S> std::fmt::Debug for Registry<S> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_list().entries(self.entries.iter().map(|entry| entry.spec.name)).finish()
    }
}
