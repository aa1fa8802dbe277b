//! The files that browsers load: names, types and contents. The build script compresses and embeds them; debug builds can read
//! them from the folder again.

use std::path::Path;

use sha2::{Digest, Sha256};

/// A file as browsers load it.
pub struct Bundled {
    /// The name in the templates: `style.css`.
    pub name: &'static str,
    /// The type, for the header `Content-Type`.
    pub content_type: &'static str,
    /// The contents.
    pub bytes: Vec<u8>,
    /// The name in URLs, with the digest of the contents: `style-1f0a….css`.
    pub file: String,
}

const SVG: &str = "image/svg+xml";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Files that are served as they are, with their paths below `assets/`.
const FILES: [(&str, &str, &str); 7] = [
    ("icons.svg", SVG, "icons.svg"),
    ("mark.svg", SVG, "icons/mark.svg"),
    ("chevron-down.svg", SVG, "icons/chevron-down.svg"),
    ("chevron-down-dark.svg", SVG, "icons/chevron-down-dark.svg"),
    ("theme.js", SCRIPT, "theme.js"),
    ("htmx.js", SCRIPT, "vendor/htmx.js"),
    ("postrider.js", SCRIPT, "postrider.js"),
];

/// The files of `assets/`. The two style sheets become one, with the URLs of the images that they name.
///
/// # Panics
/// A file is missing.
pub fn read(folder: &Path) -> Vec<Bundled> {
    let contents = |path: &str| {
        let path = folder.join(path);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let mut files: Vec<Bundled> = FILES.iter().map(|(name, kind, path)| bundled(name, kind, contents(path))).collect();
    let mut style = contents("vendor/basecoat-nova.css") + &contents("postrider.css");
    for file in &files {
        style = style.replace(&format!("url(\"icons/{}\")", file.name), &format!("url(\"/assets/{}\")", file.file));
    }
    files.push(bundled("style.css", "text/css; charset=utf-8", style));
    files
}

fn bundled(name: &'static str, content_type: &'static str, text: String) -> Bundled {
    let digest = Sha256::digest(&text);
    let digest: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let (stem, extension) = name.rsplit_once('.').expect("a name has an extension");
    Bundled { name, content_type, bytes: text.into_bytes(), file: format!("{stem}-{digest}.{extension}") }
}
