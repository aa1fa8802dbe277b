//! The file in which the receiver stores requests: one JSON object per line, appended.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Mutex;

use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::server::Received;
use super::signature::Verdict;

pub struct Store(Mutex<File>);

impl Store {
    /// Opens the file or creates it. Only its owner may read a new file, because requests contain data of buyers.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
        Ok(Self(Mutex::new(file.with_context(|| format!("{} cannot be opened", path.display()))?)))
    }

    pub fn append(&self, request: &Received, verdict: Option<Verdict>) -> std::io::Result<()> {
        let line = format!("{}\n", to_json(request, verdict));
        self.0.lock().expect("nothing panics while it holds this lock").write_all(line.as_bytes())
    }
}

fn to_json(request: &Received, verdict: Option<Verdict>) -> Value {
    let pairs = |pairs: Vec<(String, String)>| -> Vec<Value> {
        pairs.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect()
    };
    let headers = request.headers.iter();
    let headers =
        headers.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
    let mut line = json!({
        "at": request.at,
        "method": request.method,
        "path": request.path,
        "query": pairs(request.query_parameters()),
        "headers": pairs(headers.collect()),
        "status": request.answer.status,
    });
    // A body that is not UTF-8 text is stored in base64.
    match std::str::from_utf8(&request.body) {
        Ok(text) => line["body"] = text.into(),
        Err(_) => line["body_base64"] = BASE64.encode(&request.body).into(),
    }
    if request.body_missing {
        line["body_missing"] = true.into();
    }
    if let Some(form) = request.form_parameters() {
        line["form"] = pairs(form).into();
    }
    if let Some(verdict) = verdict {
        line["signature_valid"] = (verdict == Verdict::Valid).into();
        line["signature"] = verdict.to_string().into();
    }
    line
}
