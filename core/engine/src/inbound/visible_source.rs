//! Sources in the form in which callers may see them, with their addresses.

use crate::app::App;
use crate::delivery::secrets::sealed;
use crate::delivery::templates;
use domain::inbound::source::Source;
use domain::people::actor::Actor;
use domain::people::permission::Permission;

/// A source as the caller may see it. The secrets of its configuration are masked.
#[derive(Clone, Debug)]
pub struct VisibleSource {
    pub source: Source,
    /// `None` if the caller may not see the key.
    pub key: Option<String>,
}

/// Masks a source for a caller. Only an affiliate that may change its own sources sees their whole keys.
pub(super) fn visible_to(app: &App, actor: Actor, mut source: Source) -> VisibleSource {
    source.config = app.vault.mask_config(&source.config, &source.id.to_string());
    let sees_key =
        actor.may(Permission::ManageSources) && source.affiliate_id.is_some_and(|it| actor.confined_to() == Some(it));
    let sealed = source.key.sealed.as_ref().filter(|_| sees_key);
    let key = sealed.and_then(|sealed| app.vault.open(sealed, &sealed::source_key(source.id)).ok());
    VisibleSource { source, key }
}

/// The URL to which a network sends notifications. The key is masked if the caller may not see it.
pub fn address(app: &App, it: &VisibleSource) -> String {
    let key = it.key.clone().unwrap_or_else(|| it.source.key.masked());
    format!("{}/in/{key}", app.public_url)
}

/// The URLs that a person enters in the network: the address of the source with the tokens of the network.
pub struct PasteUrls {
    pub url: String,
    /// More URLs with their places, for networks that need one URL for each status or event.
    pub also: Vec<(String, String)>,
}

/// The URLs according to the template of the source. `None` if no template knows the tokens of the network.
pub fn paste_urls(app: &App, it: &VisibleSource) -> Option<PasteUrls> {
    let template = templates::get(it.source.template.as_deref()?).ok()?;
    let address = address(app, it);
    let url = |text: &str| text.replace("{source_url}", &address);
    let also = template.also_paste.iter().map(|it| (it.r#where.clone(), url(&it.url))).collect();
    Some(PasteUrls { url: url(template.paste.as_deref()?), also })
}
