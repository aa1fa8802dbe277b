//! The catalogue of error codes lists each code that the program can send, and no other.

use std::collections::BTreeSet;

use syn::visit::{self, Visit};
use web::openapi::{error_codes, errors_page};

use crate::sources::{expressions_in, rust_files};

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/errors.md");

/// Updated by `POSTRIDER_UPDATE_SCHEMAS=1 tests/run`.
#[test]
fn the_committed_page_is_the_catalogue() {
    let page = errors_page();
    if std::env::var_os("POSTRIDER_UPDATE_SCHEMAS").is_some() {
        std::fs::write(COMMITTED, &page).expect("docs/ can be written");
    }
    let committed = std::fs::read_to_string(COMMITTED).unwrap_or_default();
    assert!(
        committed == page,
        "docs/errors.md is not the catalogue; run POSTRIDER_UPDATE_SCHEMAS=1 tests/run and read the diff"
    );
}

#[test]
fn every_code_of_the_program_is_in_the_catalogue_once() {
    let listed: Vec<&str> = error_codes().map(|it| it.code).collect();
    let catalogue: BTreeSet<String> = listed.iter().map(|&it| it.to_owned()).collect();
    assert_eq!(catalogue.len(), listed.len(), "a code is listed twice");
    let sent = codes_of_the_program();
    let unlisted: Vec<_> = sent.difference(&catalogue).collect();
    assert!(unlisted.is_empty(), "add these codes to core/web/src/openapi/error_codes.rs: {unlisted:?}");
    let unused: Vec<_> = catalogue.difference(&sent).collect();
    assert!(unused.is_empty(), "no error has these codes: {unused:?}");
}

/// The codes in the sources: those of the types that `engine::Error` contains, and the literals with which problems and
/// issues of fields are made.
fn codes_of_the_program() -> BTreeSet<String> {
    let mut files = rust_files("");
    files.retain(|(path, _)| !path.ends_with("tests.rs"));
    let mut types = ErrorTypes::default();
    files.iter().for_each(|(_, file)| types.visit_file(file));
    assert!(types.0.contains("ConversionError"), "engine::Error is not found");
    let mut codes = Codes { types: types.0, found: BTreeSet::new() };
    files.iter().for_each(|(_, file)| codes.visit_file(file));
    codes.found.extend(domain::delivery::adapter::WAITING.map(str::to_owned));
    codes.found
}

/// The types of the variants of `enum Error`.
#[derive(Default)]
struct ErrorTypes(BTreeSet<String>);

impl<'ast> Visit<'ast> for ErrorTypes {
    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        if item.ident != "Error" || !item.variants.iter().any(|it| it.ident == "Conversion") {
            return;
        }
        for field in item.variants.iter().flat_map(|it| &it.fields) {
            if let syn::Type::Path(path) = &field.ty {
                self.0.extend(path.path.segments.last().map(|it| it.ident.to_string()));
            }
        }
    }
}

struct Codes {
    types: BTreeSet<String>,
    found: BTreeSet<String>,
}

impl Codes {
    fn add_literals(&mut self, tokens: impl IntoIterator<Item = String>) {
        self.found.extend(tokens.into_iter().filter(|it| is_code(it)));
    }
}

impl<'ast> Visit<'ast> for Codes {
    /// Tests make errors of their own.
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if module.ident != "tests" {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let subject = type_name(&item.self_ty);
        let is_problem = subject == "Problem";
        for function in item.items.iter().filter_map(|it| if let syn::ImplItem::Fn(it) = it { Some(it) } else { None })
        {
            let name = function.sig.ident.to_string();
            if (name == "code" && self.types.contains(&subject)) || (is_problem && name == "from") {
                let mut literals = Literals::default();
                literals.visit_block(&function.block);
                self.add_literals(literals.0);
            }
        }
        visit::visit_item_impl(self, item);
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        // Functions of web/errors.rs that choose a code.
        if matches!(function.sig.ident.to_string().as_str(), "common_code" | "unavailable_code") {
            let mut literals = Literals::default();
            literals.visit_block(&function.block);
            self.add_literals(literals.0);
        }
        visit::visit_item_fn(self, function);
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if let syn::Expr::Path(path) = &*call.func {
            let path: Vec<_> = path.path.segments.iter().map(|it| it.ident.to_string()).collect();
            let place = match path.iter().rev().map(String::as_str).collect::<Vec<_>>()[..] {
                ["new", "Problem" | "Self" | "FieldIssue", ..] => Some(1),
                ["bad_request" | "conflict", "Problem", ..] => Some(0),
                _ => None,
            };
            self.add_literals(place.and_then(|it| call.args.iter().nth(it)).and_then(text));
        }
        visit::visit_expr_call(self, call);
    }

    /// Macros such as `vec![…]` contain expressions.
    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        expressions_in(called).iter().for_each(|it| Visit::visit_expr(self, it));
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if call.method == "add" && call.args.len() == 3 {
            self.add_literals(call.args.iter().nth(1).and_then(text));
        }
        visit::visit_expr_method_call(self, call);
    }
}

#[derive(Default)]
struct Literals(Vec<String>);

impl<'ast> Visit<'ast> for Literals {
    fn visit_lit_str(&mut self, literal: &'ast syn::LitStr) {
        self.0.push(literal.value());
    }
}

fn text(expression: &syn::Expr) -> Option<String> {
    match expression {
        syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value()),
        _ => None,
    }
}

fn type_name(kind: &syn::Type) -> String {
    match kind {
        syn::Type::Path(path) => path.path.segments.last().map(|it| it.ident.to_string()).unwrap_or_default(),
        _ => String::new(),
    }
}

fn is_code(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'_')
}
