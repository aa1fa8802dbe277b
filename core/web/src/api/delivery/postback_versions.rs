//! `/api/v1/postbacks/{id}/versions`

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::audit::Audited;
use crate::auth::Caller;
use crate::errors::{ApiResult, Problem};
use crate::extract::{PageOut, PathId, PathVersion};
use domain::delivery::postback::Saver;
use domain::ids::PostbackId;
use domain::people::changes::FieldChange;
use domain::timestamp::Timestamp;
use engine::app::App;
use engine::delivery::postbacks::versions::{self, Version};

use super::postbacks::PostbackOut;

/// A version of a postback.
#[derive(Serialize, ToSchema)]
pub struct PostbackVersionOut {
    /// Its number; the first is 1.
    #[schema(example = 3)]
    version: i32,
    /// Whether it is the present one.
    present: bool,
    /// When it was saved.
    saved_at: Timestamp,
    /// Who saved it: the id of a person or of an API key. Null if that is not known, and for affiliates if one of the
    /// program's people saved it.
    #[schema(example = "usr_06a5xk2m7q8r9stvwxyz012345")]
    saved_by: Option<String>,
    /// Whether somebody of the program saved it.
    saved_by_program: bool,
    /// What differs from the version before, field by field. Secrets are masked, so a secret that was replaced may not be
    /// among them. Null if the version before is not stored, such as for the first version.
    changes: Option<Vec<FieldChange>>,
}

impl From<Version> for PostbackVersionOut {
    fn from(Version { postback, changes, is_present }: Version) -> Self {
        let saver = postback.saved_by.unwrap_or(Saver { name: String::new(), is_staff: false });
        Self {
            version: postback.version,
            present: is_present,
            saved_at: postback.updated_at,
            saved_by: Some(saver.name).filter(|name| !name.is_empty()),
            saved_by_program: saver.is_staff,
            changes,
        }
    }
}

/// List the versions of a postback, newest first: who changed what, and when.
///
/// At most the present and 100 former versions. Former versions are deleted with the events of their time, see
/// `RETENTION_DAYS`.
#[utoipa::path(get, path = "/api/v1/postbacks/{id}/versions", tag = "postbacks", params(("id" = PostbackId, Path)),
    security(("api_key" = ["read_program"])),
    responses((status = 200, body = PageOut<PostbackVersionOut>), (status = "default", body = Problem)))]
pub async fn list_postback_versions(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<PostbackId>,
) -> ApiResult<Json<PageOut<PostbackVersionOut>>> {
    let items = versions::list(&app, actor, id).await?.into_iter().map(Into::into).collect();
    Ok(Json(PageOut { items, next: None }))
}

/// Restore a former version of a postback.
///
/// It is a change like any other: the configuration is checked, and tested if it differs from the present one. Secrets,
/// and whether the postback is enabled, stay as they are.
#[utoipa::path(post, path = "/api/v1/postbacks/{id}/versions/{version}/restore", tag = "postbacks",
    params(("id" = PostbackId, Path), ("version" = i32, Path, description = "The number of the version.", example = 2)),
    security(("api_key" = ["manage_postbacks"])),
    responses((status = 200, body = PostbackOut), (status = "default", body = Problem)))]
pub async fn restore_postback_version(
    State(app): State<App>,
    Caller(actor): Caller,
    PathVersion(id, version): PathVersion<PostbackId>,
) -> ApiResult<Audited<PostbackOut>> {
    Ok(Audited(versions::restore(&app, actor, id, version).await?.map(Into::into)))
}
