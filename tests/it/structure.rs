//! The structure of the program, enforced by tests: permitted imports between layers, no circles between files, areas as folders.
//! ARCHITECTURE.md has the map.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

/// A module by its path in the crate.
type Module = Vec<String>;

/// From the lowest layer to the highest. A module imports from its own row and the rows above it.
const LAYERS: [&[&str]; 8] = [
    &["domain"],
    &["storage", "host", "egress"],
    &["engine"],
    &["engine::pipeline"],
    &["web"],
    &["dashboard"],
    &["server::server"],
    &["server"],
];

const AREAS: [&str; 7] = ["tracking", "program", "delivery", "inbound", "money", "people", "reports"];

/// Layers whose folders are areas, and the exceptions with their reasons.
const WITH_AREAS: [(&str, &[&str]); 5] = [
    ("domain/src", &[]),
    // Connections, queues and pages, which all queries use.
    ("storage/src", &["base"]),
    // The limits of large reads, for all areas; the workers.
    ("engine/src", &["heavy", "pipeline"]),
    ("web/src/api", &[]),
    // The layout that surrounds all pages, and the parts that they are made of.
    ("dashboard/src", &["parts", "shell"]),
];

/// The crates of the program. A crate is a folder below `core`, and has its folder's name in the code.
const CRATES: [&str; 8] = ["domain", "storage", "egress", "host", "engine", "web", "dashboard", "server"];

/// The maximum number of files in a folder.
const LISTED_AT_MOST: usize = 18;

#[test]
fn no_module_uses_a_higher_layer() {
    let level = |module: &Module| {
        let path = format!("{}::", module.join("::"));
        LAYERS.iter().rposition(|row| row.iter().any(|layer| path.starts_with(&format!("{layer}::"))))
    };
    let mut upward = Vec::new();
    for (user, used) in Program::read().uses() {
        if level(&user) < level(&used) {
            upward.push(format!("{} uses {}", user.join("::"), used.join("::")));
        }
    }
    assert!(upward.is_empty(), "{}", upward.join("\n"));
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let mut uses: BTreeMap<Module, BTreeSet<Module>> = BTreeMap::new();
    for (user, used) in Program::read().uses() {
        // A module and its submodules count as one.
        if !user.starts_with(&used) && !used.starts_with(&user) {
            uses.entry(user).or_default().insert(used);
        }
    }
    let circles: Vec<_> = uses.keys().filter_map(|module| circle_from(module, &uses)).collect();
    let told: BTreeSet<_> =
        circles.iter().map(|circle| circle.iter().map(|it| it.join("::")).collect::<Vec<_>>().join(" → ")).collect();
    assert!(told.is_empty(), "{}", told.into_iter().collect::<Vec<_>>().join("\n"));
}

#[test]
fn folders_are_areas_and_none_is_too_long() {
    for (layer, others) in WITH_AREAS {
        for entry in entries(&core().join(layer)).into_iter().filter(|it| it.is_dir()) {
            let name = name(&entry);
            let is_known = AREAS.contains(&name.as_str()) || others.contains(&name.as_str());
            assert!(is_known, "{} is no area; these are: {}", entry.display(), AREAS.join(", "));
        }
    }
    let mut folders: Vec<_> = CRATES.iter().map(|name| core().join(name).join("src")).collect();
    while let Some(folder) = folders.pop() {
        let (within, files): (Vec<_>, Vec<_>) = entries(&folder).into_iter().partition(|it| it.is_dir());
        assert!(files.len() <= LISTED_AT_MOST, "{} lists {} files; split it", folder.display(), files.len());
        folders.extend(within);
    }
}

/// Documents name files by their paths, in backquotes. A file that moves takes its path there along.
#[test]
fn documents_name_files_that_exist() {
    let root = core().join("..");
    let folders = ["", "docs", "docs/architecture", "docs/decisions"].map(|folder| root.join(folder));
    let documents = folders.iter().flat_map(|folder| entries(folder));
    let mut missing = Vec::new();
    for document in documents.filter(|it| it.extension().is_some_and(|extension| extension == "md")) {
        let text = std::fs::read_to_string(&document).expect("a document");
        // Every second part is between backquotes.
        for named in text.split('`').skip(1).step_by(2) {
            let is_plain = named.bytes().all(|it| it.is_ascii_alphanumeric() || b"/_.-".contains(&it));
            if named.starts_with("core/") && is_plain && !root.join(named).exists() {
                missing.push(format!("{} names {named}", name(&document)));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// The shortest path from a module back to itself.
fn circle_from(start: &Module, uses: &BTreeMap<Module, BTreeSet<Module>>) -> Option<Vec<Module>> {
    let mut came_from: BTreeMap<&Module, &Module> = BTreeMap::new();
    let mut next = vec![start];
    while !next.is_empty() {
        let mut found = Vec::new();
        for user in next {
            for used in uses.get(user).into_iter().flatten() {
                if used == start {
                    let mut circle = vec![start.clone()];
                    let mut at = user;
                    while at != start {
                        circle.push(at.clone());
                        at = came_from[at];
                    }
                    circle.push(start.clone());
                    circle.reverse();
                    return Some(circle);
                }
                if used != start && !came_from.contains_key(used) {
                    came_from.insert(used, user);
                    found.push(used);
                }
            }
        }
        next = found;
    }
    None
}

/// The parsed files of the program, by crate and module.
struct Program(BTreeMap<Module, syn::File>);

impl Program {
    fn read() -> Self {
        let mut files = BTreeMap::new();
        for name in CRATES {
            let root = core().join(name).join("src");
            let mut folders = vec![root.clone()];
            while let Some(folder) = folders.pop() {
                for entry in entries(&folder) {
                    if entry.is_dir() {
                        folders.push(entry);
                    } else if entry.extension().is_some_and(|it| it == "rs") {
                        let text = std::fs::read_to_string(&entry).expect("a source file");
                        let parsed =
                            syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", entry.display()));
                        files.insert(module_of(&root, name, &entry), parsed);
                    }
                }
            }
        }
        Self(files)
    }

    /// The imports of each module, without those of tests.
    fn uses(&self) -> BTreeSet<(Module, Module)> {
        let mut uses = BTreeSet::new();
        let tests = self.tests();
        for (module, file) in self.0.iter().filter(|(it, _)| !tests.iter().any(|test| it.starts_with(test))) {
            let mut reader = Reader { program: self, module, names: HashMap::new(), paths: Vec::new() };
            // Names first: a path may precede the import that it needs.
            reader.visit_file(file);
            reader.paths.clear();
            reader.visit_file(file);
            for path in reader.paths {
                let used = (0..=path.len()).rev().map(|end| &path[..end]).find(|it| self.0.contains_key(*it));
                if let Some(used) = used.filter(|used| *used != module.as_slice() && !used.is_empty()) {
                    uses.insert((module.clone(), used.to_vec()));
                }
            }
        }
        uses
    }
}

impl Program {
    /// Modules that are compiled only for tests.
    fn tests(&self) -> BTreeSet<Module> {
        let mut tests = BTreeSet::new();
        for (module, file) in &self.0 {
            for item in &file.items {
                if let syn::Item::Mod(it) = item
                    && it.attrs.iter().any(|attribute| attribute.path().is_ident("cfg"))
                {
                    tests.insert([module.as_slice(), &[it.ident.to_string()]].concat());
                }
            }
        }
        tests
    }
}

/// Collects the paths in one file, relative to the crate.
struct Reader<'a> {
    program: &'a Program,
    module: &'a Module,
    /// Modules that the file imports under another name.
    names: HashMap<String, Module>,
    paths: Vec<Module>,
}

impl Reader<'_> {
    fn absolute(&self, path: &[String]) -> Option<Module> {
        let (first, rest) = path.split_first()?;
        let mut from = match first.as_str() {
            "crate" => self.module[..1].to_vec(),
            "self" => self.module.clone(),
            "super" => self.module[..self.module.len().checked_sub(1)?].to_vec(),
            name => match self.names.get(name) {
                Some(module) => module.clone(),
                None => {
                    let child = [self.module.as_slice(), &[name.to_owned()]].concat();
                    let of_crate = vec![name.to_owned()];
                    [child, of_crate].into_iter().find(|it| self.program.0.contains_key(it))?
                }
            },
        };
        for segment in rest {
            if segment == "super" {
                from.pop()?;
            } else if segment != "self" {
                from.push(segment.clone());
            }
        }
        Some(from)
    }

    fn import(&mut self, before: &[String], tree: &syn::UseTree) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.import(&with(&path.ident), &path.tree),
            syn::UseTree::Name(it) => self.import_one(with(&it.ident), None),
            syn::UseTree::Rename(it) => self.import_one(with(&it.ident), Some(it.rename.to_string())),
            syn::UseTree::Glob(_) => self.import_one(before.to_vec(), Some(String::new())),
            syn::UseTree::Group(group) => group.items.iter().for_each(|it| self.import(before, it)),
        }
    }

    fn import_one(&mut self, path: Vec<String>, renamed: Option<String>) {
        let Some(path) = self.absolute(&path) else { return };
        let name = renamed.or_else(|| path.last().cloned());
        if let Some(name) = name.filter(|_| self.program.0.contains_key(&path)) {
            self.names.insert(name, path.clone());
        }
        self.paths.push(path);
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item_use(&mut self, it: &'ast syn::ItemUse) {
        self.import(&[], &it.tree);
    }

    fn visit_item_mod(&mut self, it: &'ast syn::ItemMod) {
        // Tests, and samples for tests.
        if it.content.is_none() {
            visit::visit_item_mod(self, it);
        }
    }

    fn visit_path(&mut self, it: &'ast syn::Path) {
        let segments: Vec<_> = it.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if segments.len() > 1 {
            self.paths.extend(self.absolute(&segments));
        }
        visit::visit_path(self, it);
    }
}

fn core() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../core").canonicalize().expect("the program has sources")
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let read = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut found: Vec<_> = read.map(|entry| entry.expect("a folder can be read").path()).collect();
    found.sort();
    found
}

fn name(path: &Path) -> String {
    path.file_name().expect("it has a name").to_string_lossy().into_owned()
}

fn module_of(root: &Path, name: &str, file: &Path) -> Module {
    let relative = file.strip_prefix(root).expect("it is a source of the crate").with_extension("");
    let parts = relative.iter().map(|part| part.to_string_lossy().into_owned());
    let mut module: Module = std::iter::once(name.to_owned()).chain(parts).collect();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        module.pop();
    }
    module
}

#[test]
fn no_member_chooses_features_of_its_own() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let workspace = std::fs::read_to_string(root.join("Cargo.toml")).expect("the workspace has a manifest");
    let (_, members) = workspace.split_once("members = [").expect("it lists its members");
    let members = members.split_once(']').expect("the list ends").0.split(',');
    let mut choices = Vec::new();
    for member in members.map(|it| it.trim().trim_matches('"')) {
        let manifest = std::fs::read_to_string(root.join(member).join("Cargo.toml")).expect("a member has a manifest");
        let chosen = manifest.lines().filter(|line| line.contains("workspace = true") && line.contains("features"));
        choices.extend(chosen.map(|line| format!("{member}: {line}")));
    }
    // Then `cargo run`, the tests and the benchmark would compile the dependency once each.
    assert!(choices.is_empty(), "choose the features in the workspace's Cargo.toml:\n{}", choices.join("\n"));
}
