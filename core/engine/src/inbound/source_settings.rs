//! The settings and configuration of a source: merges, validates and seals them.

use std::sync::Arc;

use crate::app::App;
use crate::delivery::adapters::config_issues;
use crate::delivery::postbacks;
use crate::{Error, FieldIssue};
use domain::inbound::guards::{self, Guards};
use domain::inbound::source::Source;
use host::{Adapter, wire as contract};

use super::decoration;

/// Finds the newest version of an adapter.
///
/// # Errors
/// There is no such adapter, or it does not read notifications.
pub(super) async fn inbound_adapter(app: &App, id: &str) -> Result<Arc<Adapter>, Error> {
    let adapter = postbacks::newest(app, id).await?;
    if !adapter.descriptor().capabilities.contains(contract::Capabilities::INBOUND) {
        let message = format!("the adapter \"{id}\" only sends postbacks; choose an adapter that reads notifications");
        return Err(Error::invalid("/adapter", message));
    }
    Ok(adapter)
}

/// Refuses secrets with the mark of sealed secrets, unless they are the stored ones. Only the server seals secrets.
pub(super) fn refuse_sealed_guards(guards: &Guards, stored: &Guards) -> Result<(), Error> {
    let (mut guards, mut stored) = (guards.clone(), stored.clone());
    let stored: Vec<_> = stored.secrets().collect();
    let mut sealed = guards.secrets().filter(|(_, secret)| secret.starts_with(guards::SEALED));
    match sealed.find(|given| !stored.contains(given)) {
        Some((path, _)) => Err(Error::invalid(
            format!("/settings/guards{path}"),
            "\"$sealed:\" marks secrets that the server has stored; send the secret itself",
        )),
        None => Ok(()),
    }
}

/// Validates and seals the settings. With an adapter, also validates and seals the configuration, pins the version of
/// the adapter, and finds out whether the source decorates clicks.
pub(super) async fn validate(app: &App, source: &mut Source, adapter: Option<Arc<Adapter>>) -> Result<(), Error> {
    let issues = source.settings.issues().into_iter();
    let issues: Vec<_> =
        issues.map(|(path, message)| FieldIssue::new(format!("/settings{path}"), "invalid_field", message)).collect();
    if !issues.is_empty() {
        return Err(Error::Invalid(issues));
    }
    // The value that applies is stored, so that readers of the settings see it.
    source.settings.commission_is = Some(source.commission_is());
    let holder = source.id.to_string();
    app.vault.seal_guards(&mut source.settings.guards, &holder);
    let Some(adapter) = adapter else { return Ok(()) };
    source.adapter_version = adapter.descriptor().version.clone();
    let plain = app.vault.open_config(&source.config, &holder)?;
    let issues = config_issues(app.adapters.pool(), source.affiliate_id, &adapter, &plain).await?;
    if !issues.is_empty() {
        return Err(Error::Invalid(issues));
    }
    app.vault.seal_config(adapter.schema(), &mut source.config, &holder);
    source.decorates = adapter.descriptor().capabilities.contains(contract::Capabilities::CLICK) && {
        let sample = decoration::sample_click(app.clock.now());
        decoration::call_adapter(app, adapter, source, &sample).await?.is_ok_and(|fields| !fields.is_empty())
    };
    Ok(())
}
