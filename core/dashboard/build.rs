//! Embeds the assets, compressed, and the templates.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

#[path = "src/shell/bundle.rs"]
mod bundle;

fn main() {
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it"));
    for watched in ["assets", "templates", "build.rs", "src/shell/bundle.rs"] {
        println!("cargo::rerun-if-changed={watched}");
    }
    write(&out.join("assets.rs"), assets(&root, &out).as_bytes());
    write(&out.join("templates.rs"), templates(&root.join("templates")).as_bytes());
}

/// The source of a list of `Asset`.
fn assets(root: &Path, out: &Path) -> String {
    let mut source = "&[\n".to_owned();
    for file in bundle::read(&root.join("assets")) {
        write(&out.join(&file.file), &file.bytes);
        write(&out.join(format!("{}.gz", file.file)), &gzip(&file.bytes));
        write(&out.join(format!("{}.br", file.file)), &brotli(&file.bytes));
        let path = |ending: &str| format!("include_bytes!({:?})", out.join(format!("{}{ending}", file.file)));
        let (name, kind, file) = (file.name, file.content_type, &file.file);
        writeln!(
            source,
            "Asset {{ name: {name:?}, content_type: {kind:?}, file: {file:?}, plain: {}, gzip: {}, brotli: {} }},",
            path(""),
            path(".gz"),
            path(".br")
        )
        .expect("text grows");
    }
    source + "]\n"
}

/// The source of a list of names and texts: `people/sign_in` is the template `people/sign_in.hbs`.
fn templates(folder: &Path) -> String {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            match entry.extension() {
                None if entry.is_dir() => folders.push(entry),
                Some(extension) if extension == "hbs" => found.push(entry),
                _ => {}
            }
        }
    }
    found.sort();
    let one = |path: &PathBuf| {
        let name = path.strip_prefix(folder).expect("it is below the folder").with_extension("");
        format!("({:?}, include_str!({path:?})),\n", name.to_str().expect("a name in UTF-8"))
    };
    format!("&[\n{}]\n", found.iter().map(one).collect::<String>())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).expect("memory can be written");
    encoder.finish().expect("memory can be written")
}

fn brotli(bytes: &[u8]) -> Vec<u8> {
    let mut compressed = Vec::new();
    // Quality 11 takes seconds in a debug build and saves two per cent.
    let parameters = brotli::enc::BrotliEncoderParams { quality: 9, ..Default::default() };
    brotli::BrotliCompress(&mut &bytes[..], &mut compressed, &parameters).expect("memory can be written");
    compressed
}

fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
