//! The sources of the program, for tests that compare them with what is documented.

use std::path::{Path, PathBuf};

/// The parsed Rust files below a folder of `core`, with their paths.
pub fn rust_files(folder: &str) -> Vec<(PathBuf, syn::File)> {
    below(&Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../core")).join(folder))
        .into_iter()
        .filter(|path| path.extension().is_some_and(|it| it == "rs"))
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("a source can be read");
            let file = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            (path, file)
        })
        .collect()
}

fn below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.expect("a folder can be read").path());
    paths.flat_map(|path| if path.is_dir() { below(&path) } else { vec![path] }).collect()
}

/// The expressions in a macro such as `vec![…]`.
pub fn expressions_in(called: &syn::Macro) -> Vec<syn::Expr> {
    let parser = syn::punctuated::Punctuated::<syn::Expr, syn::Token![,]>::parse_terminated;
    called.parse_body_with(parser).into_iter().flatten().collect()
}
