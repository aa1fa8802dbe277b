//! `/postbacks/new` without a choice: from a template, from a pasted URL, or from an adapter's own form.

use engine::Error;
use engine::app::App;
use host::wire::Capabilities;
use serde::Serialize;
use web::errors::Problem;

use crate::parts::field::{Field, Form};
use crate::shell::page::{Page, Reply};
use crate::shell::sentence::as_sentence;
use crate::shell::texts::{plain, text};
use crate::shell::viewer::Viewer;

#[derive(Debug, Serialize)]
pub struct NewPostbackPage {
    paste: Form,
    adapters: Vec<OwnAdapter>,
}

/// An adapter that sends requests.
#[derive(Debug, Serialize)]
struct OwnAdapter {
    id: String,
    title: String,
    summary: String,
}

fn paste_form(pasted: &str, error: Option<&Problem>) -> Form {
    let field =
        Field::text("url", "editor.paste_url").value(pasted).help("editor.paste_help").length(None, 4_000).required();
    let mut form = Form::new([field]);
    if let Some(problem) = error {
        let message = problem.errors().first().map_or(&problem.detail, |it| &it.message);
        form.refuse_at("url", plain(as_sentence(message)));
    }
    form
}

impl Page for NewPostbackPage {
    const TEMPLATE: &'static str = "delivery/new_postback";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        let adapter = OwnAdapter { id: "macro-url".into(), title: "Macro <b> URL".into(), summary: "A URL.".into() };
        let problem = Problem::from(Error::invalid("/url", "<b> is not a postback URL"));
        vec![
            Self { paste: paste_form("", None), adapters: vec![adapter] },
            Self { paste: paste_form("<b>", Some(&problem)), adapters: Vec::new() },
        ]
    }
}

/// The page, with what was pasted and why it cannot be read.
pub async fn reply(
    app: &App,
    viewer: &Viewer,
    pasted: &str,
    error: Option<Error>,
) -> Result<Reply<NewPostbackPage>, Problem> {
    let problem = error.map(Problem::from);
    let mut ids: Vec<_> = app.adapters.list(None).await.map_err(Error::from)?.into_iter().map(|it| it.id).collect();
    ids.dedup();
    let mut adapters = Vec::new();
    for id in ids {
        let Some(adapter) = app.adapters.latest(&id).await.map_err(Error::from)? else { continue };
        let descriptor = adapter.descriptor();
        if descriptor.capabilities.contains(Capabilities::OUTBOUND) {
            adapters.push(OwnAdapter { id, title: descriptor.title.clone(), summary: descriptor.summary.clone() });
        }
    }
    let page = NewPostbackPage { paste: paste_form(pasted, problem.as_ref()), adapters };
    let page = viewer.page(text("editor.new_title"), page).lead(text("editor.choose_lead"));
    let page = match crate::shell::nav::has_page("/postbacks") {
        true => page.below("/postbacks", text("nav.postbacks")),
        false => page,
    };
    Ok(match problem {
        Some(problem) => page.status_of(&problem),
        None => page,
    })
}
