//! The operations that are described with a 429 are those that can be refused by a limit. The sources say which these
//! are: the errors of limits are found where they are made, and the calls are followed up to the handlers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use postrider_tests::app::TestApp;
use postrider_tests::database::Database;
use syn::visit::{self, Visit};
use web::openapi::error_codes;

use crate::sources::{expressions_in, rust_files};

/// The codes of problems with the status 429, and the variants of errors that have them.
const LIMITS: [(&str, &str); 4] = [
    ("too_many_attempts", "TooManyAttempts"),
    ("too_many_reports", "TooManyReports"),
    ("too_many_retries", "Retries"),
    ("too_many_tests", "Tests"),
];

/// The names of a module and of a function in it.
type Function = (String, String);

#[test]
fn each_code_with_429_is_a_limit() {
    let codes: BTreeSet<_> = error_codes().filter(|it| it.statuses.contains(&429)).map(|it| it.code).collect();
    assert_eq!(codes, LIMITS.map(|it| it.0).into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operations_with_a_limit_are_described_with_429_and_no_others() {
    let t = TestApp::start(Database::sqlite()).await;
    let description = t.anonymous().get("/api/openapi.json").await.expect(200);
    let operations = description["paths"].as_object().unwrap().values().flat_map(|it| it.as_object().unwrap().values());
    let described: BTreeSet<_> = operations
        .filter(|it| it["responses"].get("429").is_some())
        .map(|it| it["operationId"].as_str().unwrap().to_owned())
        .collect();

    let mut sources = Sources::default();
    for layer in ["engine", "web"] {
        for (path, file) in rust_files(&format!("{layer}/src")) {
            sources.read(&path, &file);
        }
    }
    let limited = sources.limited_operations();
    let missing: Vec<_> = limited.difference(&described).collect();
    assert!(missing.is_empty(), "add these to LIMITED in core/web/src/openapi/operation.rs: {missing:?}");
    let wrong: Vec<_> = described.difference(&limited).collect();
    assert!(wrong.is_empty(), "no limit is found for these in LIMITED in core/web/src/openapi/operation.rs: {wrong:?}");
}

/// What the functions of the program do.
#[derive(Default)]
struct Sources {
    calls: BTreeMap<Function, BTreeSet<Function>>,
    /// Functions that make an error of a limit.
    limits: BTreeSet<Function>,
    /// Functions that handle an error of a limit, so that their callers do not get it.
    handling: BTreeSet<Function>,
    /// Functions that are operations of the API.
    operations: BTreeSet<Function>,
}

impl Sources {
    fn read(&mut self, path: &Path, file: &syn::File) {
        let name = |path: &Path| path.file_stem().expect("it has a name").to_string_lossy().into_owned();
        let folder = name(path.parent().expect("a file is in a folder"));
        let module = if path.ends_with("mod.rs") { folder.clone() } else { name(path) };
        let function = (module.clone(), String::new());
        let mut reading = Reading { sources: self, module, folder, imports: HashMap::new(), function };
        // Imports first, because a function can stand before them.
        for item in &file.items {
            if let syn::Item::Use(it) = item {
                reading.import(&[], &it.tree);
                if !matches!(it.vis, syn::Visibility::Inherited) {
                    reading.export();
                }
            }
        }
        reading.visit_file(file);
    }

    /// The names of the operations from which a limit is reached.
    fn limited_operations(&self) -> BTreeSet<String> {
        let mut limited = self.limits.clone();
        loop {
            let calls = |called: &BTreeSet<Function>| !called.is_disjoint(&limited);
            let new = |function: &Function| !limited.contains(function) && !self.handling.contains(function);
            let found: Vec<_> = self.calls.iter().filter(|(it, called)| new(it) && calls(called)).collect();
            if found.is_empty() {
                return limited.intersection(&self.operations).map(|(_, name)| name.clone()).collect();
            }
            limited.extend(found.into_iter().map(|(it, _)| it.clone()));
        }
    }
}

/// Reads one file.
struct Reading<'s> {
    sources: &'s mut Sources,
    module: String,
    folder: String,
    /// The paths of imported names.
    imports: HashMap<String, Vec<String>>,
    /// The function that is being read.
    function: Function,
}

impl Reading<'_> {
    /// The imports up to here can be called by the name of this module.
    fn export(&mut self) {
        for (name, path) in &self.imports {
            if let [.., module, original] = path.as_slice() {
                let exported = (self.module.clone(), name.clone());
                self.sources.calls.entry(exported).or_default().insert((module.clone(), original.clone()));
            }
        }
    }

    fn import(&mut self, before: &[String], tree: &syn::UseTree) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(it) => self.import(&with(&it.ident), &it.tree),
            syn::UseTree::Name(it) if it.ident == "self" => {
                self.imports.insert(before.last().expect("self is in a path").clone(), before.to_vec());
            }
            syn::UseTree::Name(it) => {
                self.imports.insert(it.ident.to_string(), with(&it.ident));
            }
            syn::UseTree::Rename(it) => {
                self.imports.insert(it.rename.to_string(), with(&it.ident));
            }
            syn::UseTree::Group(it) => it.items.iter().for_each(|it| self.import(before, it)),
            syn::UseTree::Glob(_) => {}
        }
    }

    /// The module and the name of a called function.
    fn resolve(&self, path: &syn::Path) -> Option<Function> {
        let names: Vec<_> = path.segments.iter().map(|it| it.ident.to_string()).collect();
        let (name, before) = names.split_last()?;
        let of_import = |name: &String| self.imports.get(name);
        Some(match before {
            [] => match of_import(name).map(Vec::as_slice) {
                Some([.., module, name]) => (module.clone(), name.clone()),
                _ => (self.module.clone(), name.clone()),
            },
            [only] if only == "Self" => (self.module.clone(), name.clone()),
            [only] if only == "super" => (self.folder.clone(), name.clone()),
            [only] => (of_import(only).and_then(|it| it.last()).unwrap_or(only).clone(), name.clone()),
            [.., module] => (module.clone(), name.clone()),
        })
    }

    fn calls(&mut self, called: Function) {
        self.sources.calls.entry(self.function.clone()).or_default().insert(called);
    }

    fn read_function(&mut self, name: &syn::Ident, attributes: &[syn::Attribute], read: impl FnOnce(&mut Self)) {
        let function = (self.module.clone(), name.to_string());
        let is_operation = |it: &syn::Attribute| it.path().segments.first().is_some_and(|it| it.ident == "utoipa");
        if attributes.iter().any(is_operation) {
            self.sources.operations.insert(function.clone());
        }
        let outer = std::mem::replace(&mut self.function, function);
        read(self);
        self.function = outer;
    }
}

fn is_limit(path: &syn::Path) -> bool {
    path.segments.last().is_some_and(|last| LIMITS.iter().any(|(_, variant)| last.ident == variant))
}

impl<'ast> Visit<'ast> for Reading<'_> {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if module.ident != "tests" {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_fn(&mut self, it: &'ast syn::ItemFn) {
        self.read_function(&it.sig.ident, &it.attrs, |reading| visit::visit_item_fn(reading, it));
    }

    fn visit_impl_item_fn(&mut self, it: &'ast syn::ImplItemFn) {
        self.read_function(&it.sig.ident, &it.attrs, |reading| visit::visit_impl_item_fn(reading, it));
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if let syn::Expr::Path(path) = &*call.func
            && let Some(called) = self.resolve(&path.path)
        {
            self.calls(called);
        }
        visit::visit_expr_call(self, call);
    }

    /// A method is of this module, or of the module with the name of a field: `app.heavy.place(…)`.
    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        self.calls((self.module.clone(), call.method.to_string()));
        if let syn::Expr::Field(field) = &*call.receiver
            && let syn::Member::Named(name) = &field.member
        {
            self.calls((name.to_string(), call.method.to_string()));
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_struct(&mut self, made: &'ast syn::ExprStruct) {
        if is_limit(&made.path) {
            self.sources.limits.insert(self.function.clone());
        }
        visit::visit_expr_struct(self, made);
    }

    fn visit_expr_path(&mut self, made: &'ast syn::ExprPath) {
        if is_limit(&made.path) {
            self.sources.limits.insert(self.function.clone());
        }
        visit::visit_expr_path(self, made);
    }

    fn visit_pat_struct(&mut self, handled: &'ast syn::PatStruct) {
        if is_limit(&handled.path) {
            self.sources.handling.insert(self.function.clone());
        }
        visit::visit_pat_struct(self, handled);
    }

    /// Macros such as `tokio::join!(…)` contain expressions.
    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        expressions_in(called).iter().for_each(|it| Visit::visit_expr(self, it));
    }
}
