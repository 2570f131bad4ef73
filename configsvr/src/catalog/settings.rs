//! `config.settings`: what users set about the balancer and chunk sizes.

use super::{Table, View};
use bson::RawBsonRef;
use sharding::documents::BalancerSettings;
use types::Fault;

impl View {
    /// The balancer's settings.
    ///
    /// # Errors
    /// A failure of storage, or a setting that cannot be read.
    pub fn balancer(&self) -> Result<BalancerSettings, Fault> {
        let setting = self.get(Table::Settings, RawBsonRef::String("balancer"))?;
        Ok(BalancerSettings::from_document(setting.as_ref())?)
    }
}
