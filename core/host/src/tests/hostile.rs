//! Components that try actions that an adapter must not be able to do. They are written as WebAssembly text, because no
//! compiler would produce most of them.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::*;

const CONTRACT: &str = include_str!("../../../../sdk/wit/adapter.wit");

/// Bodies of the exported functions, and other parts of the module.
struct Hostile {
    describe: &'static str,
    decide: &'static str,
    render: &'static str,
    realloc: &'static str,
    extra: &'static str,
    memory: &'static str,
}

const HARMLESS: Hostile = Hostile {
    describe: "i32.const 1024",
    decide: "unreachable",
    render: "unreachable",
    realloc: "(global.set $next (i32.and (i32.add (global.get $next) (i32.const 15)) (i32.const -16)))
        global.get $next
        (global.set $next (i32.add (global.get $next) (local.get 3)))",
    extra: "",
    memory: "(memory (export \"memory\") 2)",
};

impl Hostile {
    /// A module with a valid description, and with the given misbehaviour.
    fn component(&self) -> Vec<u8> {
        let Self { describe, decide, render, realloc, extra, memory } = self;
        let descriptor = data(&descriptor());
        let api = "postrider:adapter/adapter-api@0.1.0#";
        encode(&format!(
            r#"(module
                (import "postrider:adapter/log@0.1.0" "emit" (func $emit (param i32 i32 i32)))
                {memory}
                (data (i32.const 1024) "{descriptor}")
                (data (i32.const 2048) "hostile")
                (data (i32.const 2060) "{{}}")
                (global $next (mut i32) (i32.const 65536))
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) {realloc})
                (func (export "{api}describe") (result i32) {describe})
                (func (export "{api}validate") (param i32 i32) (result i32) unreachable)
                (func (export "{api}decide") (param i32) (result i32) {decide})
                (func (export "{api}render") (param i32) (result i32) {render})
                (func (export "{api}classify") (param i32) (result i32) unreachable)
                (func (export "{api}decorate-click") (param i32) (result i32) unreachable)
                (func (export "{api}parse-inbound") (param i32) (result i32) unreachable)
                {extra})"#
        ))
    }

    fn load(&self, limits: Limits) -> Result<Arc<Adapter>, AdapterError> {
        shared().load_with(&self.component(), limits)
    }

    fn decide(&self) -> AdapterError {
        let adapter = self.load(Limits::default()).expect("it loads");
        adapter.session().decide(&context(), &binding(json!({})), &conversion()).expect_err("it misbehaves")
    }

    fn render(&self) -> AdapterError {
        let adapter = self.load(Limits::default()).expect("it loads");
        adapter.session().render(&context(), &binding(json!({})), &conversion()).expect_err("it misbehaves")
    }
}

fn encode(text: &str) -> Vec<u8> {
    let mut module = wat::parse_str(text).expect("the text is right");
    let mut contract = Resolve::default();
    let package = contract.push_str("adapter.wit", CONTRACT).expect("the contract is right");
    let world = contract.select_world(&[package], Some("adapter")).expect("the world exists");
    embed_component_metadata(&mut module, &contract, world, StringEncoding::UTF8).expect("it embeds");
    ComponentEncoder::default().module(&module).and_then(|encoder| encoder.encode()).expect("it encodes")
}

/// A `descriptor` record as the canonical ABI lays it out; all texts are "hostile", the schema is "{}".
fn descriptor() -> Vec<u8> {
    const NAME: [u32; 2] = [2048, 7];
    let mut words = [0u32; 26];
    for at in [0, 2, 4, 6] {
        words[at..at + 2].copy_from_slice(&NAME); // id, version, title, summary
    }
    words[11] = 1; // capabilities: outbound
    words[20..22].copy_from_slice(&[0, 0]); // hosts: none
    words[22..24].copy_from_slice(&[2060, 2]); // config-schema
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn data(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\{byte:02x}")).collect()
}

/// A data segment with a `result<request, adapter-error>` that is `ok` with these words.
fn segment(at: u32, words: &[u32]) -> String {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    format!("(data (i32.const {at}) \"{}\")", data(&bytes))
}

#[test]
fn a_harmless_component_loads() {
    let adapter = HARMLESS.load(Limits::default()).expect("it loads");
    assert_eq!(adapter.descriptor().id, "hostile");
}

#[test]
fn an_endless_loop_runs_out_of_fuel() {
    let error = Hostile { decide: "(loop br 0) unreachable", ..HARMLESS }.decide();
    assert_eq!(error.code(), "adapter_out_of_fuel");
    let error = Hostile { describe: "(loop br 0) unreachable", ..HARMLESS }.load(Limits::default()).err();
    assert_eq!(error.map(|error| error.code()), Some("adapter_out_of_fuel"));
    assert_eq!(Hostile { realloc: "(loop br 0) unreachable", ..HARMLESS }.decide().code(), "adapter_out_of_fuel");
    let start = "(start $forever) (func $forever (loop br 0))";
    let error = Hostile { extra: start, ..HARMLESS }.load(Limits::default()).err();
    assert_eq!(error.map(|error| error.code()), Some("adapter_out_of_fuel"));
}

#[test]
fn bulk_copies_use_fuel_for_each_byte() {
    let fill = "(loop (memory.fill (i32.const 4096) (i32.const 1) (i32.const 120000)) br 0) unreachable";
    assert_eq!(Hostile { decide: fill, ..HARMLESS }.decide().code(), "adapter_out_of_fuel");
    let copy = "(loop (memory.copy (i32.const 4096) (i32.const 0) (i32.const 120000)) br 0) unreachable";
    assert_eq!(Hostile { decide: copy, ..HARMLESS }.decide().code(), "adapter_out_of_fuel");
}

#[test]
fn an_endless_loop_ends_at_the_deadline() {
    let limits = Limits { fuel: u64::MAX, deadline_ticks: 3, ..Limits::default() };
    let adapter = Hostile { decide: "(loop br 0) unreachable", ..HARMLESS }.load(limits).expect("it loads");
    let error = adapter.session().decide(&context(), &binding(json!({})), &conversion()).expect_err("it never ends");
    assert_eq!(error, AdapterError::Timeout { call: "decide", limit_ms: 30 });
}

#[test]
fn memory_is_limited() {
    let grow = "(loop (drop (memory.grow (i32.const 16))) br 0) unreachable";
    assert_eq!(Hostile { decide: grow, ..HARMLESS }.decide().code(), "adapter_memory");
    let at_once = "(memory (export \"memory\") 1000)";
    let error = Hostile { memory: at_once, ..HARMLESS }.load(Limits::default()).err().expect("it is refused");
    assert!(["adapter_memory", "adapter_contract_mismatch"].contains(&error.code()), "{error}");
}

#[test]
fn tables_are_limited() {
    let decide = "(loop (drop (table.grow $many (ref.null func) (i32.const 1000))) br 0) unreachable";
    let extra = "(table $many 1 funcref)";
    assert_eq!(Hostile { decide, extra, ..HARMLESS }.decide().code(), "adapter_memory");
    for extra in ["(table 30000 funcref)", "(table 4000000000 funcref)"] {
        let error = Hostile { extra, ..HARMLESS }.load(Limits::default()).err().expect("it is refused");
        assert!(["adapter_memory", "adapter_contract_mismatch"].contains(&error.code()), "{error}");
    }
}

#[test]
fn a_component_of_very_many_instances_is_refused() {
    let instance = "(core instance (instantiate $m))";
    for module in ["(core module $m)", "(core module $m (memory 1))", "(core module $m (table 1 funcref))"] {
        let text = format!("(component {module} {})", instance.repeat(500));
        assert_eq!(refusal(&wat::parse_str(&text).expect("it is right")).code(), "adapter_contract_mismatch");
    }
}

#[test]
fn a_crash_and_a_runaway_recursion_are_traps() {
    let error = HARMLESS.decide();
    assert_eq!(error.code(), "adapter_trap");
    let recursion = "(func $deeper (result i32) call $deeper i32.const 1 i32.add)";
    assert_eq!(Hostile { decide: "call $deeper", extra: recursion, ..HARMLESS }.decide().code(), "adapter_trap");
}

#[test]
fn after_a_crash_the_session_has_a_new_instance() {
    // The first call sets a mark in memory and crashes; a second call that sees the mark loops forever.
    let decide =
        "(if (i32.load (i32.const 4096)) (then (loop br 0))) (i32.store (i32.const 4096) (i32.const 1)) unreachable";
    let adapter = Hostile { decide, ..HARMLESS }.load(Limits::default()).expect("it loads");
    let mut session = adapter.session();
    for _ in 0..3 {
        let error = session.decide(&context(), &binding(json!({})), &conversion()).expect_err("it crashes");
        assert_eq!(error.code(), "adapter_trap");
    }
}

#[test]
fn sessions_do_not_share_memory() {
    // Sets a mark at a high address of its memory and loops. If the mark is already set, it crashes.
    let decide = "(if (i32.load (i32.const 100000)) (then unreachable)) (i32.store (i32.const 100000) (i32.const 7)) (loop br 0) unreachable";
    let limits = Limits { fuel: 100_000, ..Limits::default() };
    let adapter = Hostile { decide, ..HARMLESS }.load(limits).expect("it loads");
    for _ in 0..200 {
        let error = adapter.session().decide(&context(), &binding(json!({})), &conversion()).expect_err("it loops");
        assert_eq!(error.code(), "adapter_out_of_fuel");
    }
}

#[test]
fn invalid_pointers_and_lengths_are_refused() {
    let unusable = |render: &'static str, extra: &'static str| {
        let error = Hostile { render, extra, ..HARMLESS }.render();
        assert_eq!(error.code(), "adapter_invalid_output", "{render} {extra}: {error}");
    };
    for nowhere in ["i32.const -4", "i32.const 131068", "i32.const 4097", "i32.const 0x7ffffffc"] {
        unusable(nowhere, "");
    }
    for words in [
        [7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],              // neither ok nor error
        [0, 99, 2048, 7, 0, 0, 0, 0, 0, 0, 0],          // no such method
        [0, 0, u32::MAX, 7, 0, 0, 0, 0, 0, 0, 0],       // a URL beyond the end
        [0, 0, 131_070, u32::MAX, 0, 0, 0, 0, 0, 0, 0], // a URL that wraps around
        [0, 0, 4096, 7, 2050, 1, 0, 0, 0, 0, 0],        // headers that are not aligned
        [0, 0, 2048, 7, 4, 0x1000_0000, 0, 0, 0, 0, 0], // so many headers that 32 bits overflow
        [0, 0, 2048, 7, 0, 0, 9, 0, 0, 0, 0],           // an invalid option of the body
    ] {
        unusable("i32.const 8192", segment(8192, &words).leak());
    }
    // A URL that is not UTF-8.
    let words = segment(8192, &[0, 0, 9000, 4, 0, 0, 0, 0, 0, 0, 0]);
    unusable("i32.const 8192", format!("{words} (data (i32.const 9000) \"\\ff\\fe\\c0\\80\")").leak());
    for realloc in ["i32.const -1", "i32.const 131071", "i32.const 0x7fffffff"] {
        let error = Hostile { realloc, ..HARMLESS }.decide();
        assert!(["adapter_invalid_output", "adapter_trap"].contains(&error.code()), "{realloc}: {error}");
    }
}

#[test]
fn a_flood_of_output_is_cut_off_before_it_is_copied() {
    // `ok`, GET, a URL of 32 MiB outside of the memory, no headers, no body.
    let request = segment(4096, &[0, 0, 1024, 32 << 20, 0, 0, 0, 0, 0, 0, 0]);
    let extra: &'static str = request.leak();
    let error = Hostile { render: "i32.const 4096", extra, ..HARMLESS }.render();
    assert_eq!(error.code(), "adapter_invalid_output", "{error}");
    // Ten million headers.
    let request = segment(4096, &[0, 0, 2048, 7, 8192, 10_000_000, 0, 0, 0, 0, 0]);
    let error = Hostile { render: "i32.const 4096", extra: request.leak(), ..HARMLESS }.render();
    assert_eq!(error.code(), "adapter_invalid_output", "{error}");
    // The same with enough memory.
    let request = segment(4096, &[0, 0, 0, 24 << 20, 0, 0, 0, 0, 0, 0, 0]);
    let memory = "(memory (export \"memory\") 500)";
    let error = Hostile { render: "i32.const 4096", extra: request.leak(), memory, ..HARMLESS }.render();
    assert_eq!(error.code(), "adapter_output_too_large", "{error}");
    let request = segment(4096, &[0, 0, 2048, 7, 8192, 1_500_000, 0, 0, 0, 0, 0]);
    let error = Hostile { render: "i32.const 4096", extra: request.leak(), memory, ..HARMLESS }.render();
    assert_eq!(error.code(), "adapter_output_too_large", "{error}");
}

#[test]
fn a_flood_of_log_lines_stays_bounded() {
    for length in [1, 65_000] {
        let decide =
            format!("(loop (call $emit (i32.const 3) (i32.const 0) (i32.const {length})) br 0) unreachable").leak();
        let adapter = Hostile { decide, ..HARMLESS }.load(Limits::default()).expect("it loads");
        let mut session = adapter.session();
        let error = session.decide(&context(), &binding(json!({})), &conversion()).expect_err("it never ends");
        assert_eq!(error.code(), "adapter_log_flood");
        check_log(session.log());
    }
}

#[test]
fn lines_beyond_the_limit_are_dropped() {
    let decide = "(local i32) (loop (call $emit (i32.const 1) (i32.const 2048) (i32.const 7))
        (br_if 0 (i32.lt_u (local.tee 1 (i32.add (local.get 1) (i32.const 1))) (i32.const 900)))) unreachable";
    let adapter = Hostile { decide, ..HARMLESS }.load(Limits::default()).expect("it loads");
    let mut session = adapter.session();
    let error = session.decide(&context(), &binding(json!({})), &conversion()).expect_err("it crashes");
    assert_eq!(error.code(), "adapter_trap");
    assert_eq!(session.log().len(), limits::LOG_LINES);
    assert_eq!(session.log()[0], LogLine { level: LogLevel::Info, message: "hostile".into() });
}

fn check_log(lines: &[LogLine]) {
    assert!(lines.len() <= limits::LOG_LINES);
    for line in lines {
        assert!(line.message.chars().count() <= limits::LOG_LINE_CHARS);
        assert!(!line.message.contains(char::is_control));
    }
}

#[test]
fn a_component_that_imports_anything_else_is_refused_by_name() {
    let wasi = r#"(component
        (import "wasi:clocks/wall-clock@0.2.0" (instance (export "now" (func (result u64))))))"#;
    assert_eq!(
        refusal(&wat::parse_str(wasi).expect("it is right")),
        AdapterError::ImportRefused { import: "wasi:clocks/wall-clock@0.2.0".into() }
    );
    let function = r#"(component (import "open" (func (param "path" string))))"#;
    assert_eq!(refusal(&wat::parse_str(function).expect("it is right")).code(), "adapter_import_refused");
}

#[test]
fn a_component_without_exports_is_refused() {
    let empty = wat::parse_str("(component)").expect("it is right");
    assert_eq!(refusal(&empty).code(), "adapter_contract_mismatch");
}

#[test]
fn exports_of_other_types_or_versions_are_refused() {
    let exporting = |name: &str, function: &str| {
        let text = format!(
            r#"(component
                (core module $m (func (export "describe") (result i32) i32.const 7))
                (core instance $i (instantiate $m))
                (func $f {function} (canon lift (core func $i "describe")))
                (instance $api (export "describe" (func $f)))
                (export "{name}" (instance $api)))"#
        );
        refusal(&wat::parse_str(&text).expect("it is right"))
    };
    for (name, function) in [
        ("postrider:adapter/adapter-api@0.1.0", "(result u32)"),
        ("postrider:adapter/adapter-api@0.1.0", "(result bool)"),
        ("postrider:adapter/adapter-api@9.0.0", "(result u32)"),
        ("postrider:adapter/adapter-api", "(result u32)"),
    ] {
        assert_eq!(exporting(name, function).code(), "adapter_contract_mismatch", "{name} {function}");
    }
}

#[test]
fn only_binary_components_are_accepted() {
    let scratch = Scratch::new("kinds");
    let host = Host::start(&scratch.0).expect("the host starts");
    let file = std::fs::read_dir(&scratch.0).expect("it exists").next().expect("a file").expect("readable").path();
    let cached = std::fs::read(file).expect("readable");
    let what = |bytes: &[u8]| match host.load(bytes).err() {
        Some(AdapterError::NotAComponent { what }) => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(what(&cached[32..]), "precompiled machine code");
    assert_eq!(what(&cached), "not WebAssembly");
    assert_eq!(what(b"(component)"), "WebAssembly text");
    assert_eq!(what(b"\n  (module)"), "WebAssembly text");
    assert_eq!(what(&wat::parse_str("(module)").expect("it is right")), "a core WebAssembly module");
    assert_eq!(what(b""), "not WebAssembly");
    assert_eq!(refusal(&vec![0; limits::COMPONENT_BYTES + 1]).code(), "adapter_too_large");
}

#[test]
fn a_truncated_component_is_an_error_not_a_panic() {
    let whole = HARMLESS.component();
    let mut between_sections = 0;
    for end in 9..whole.len() {
        match shared().load(&whole[..end]).map_err(|error| error.code()) {
            Err("adapter_cut_off") => {}
            // The sections after the last export are optional.
            Ok(_) | Err("adapter_contract_mismatch") => between_sections += 1,
            Err(other) => panic!("{end} bytes: {other}"),
        }
    }
    assert!(between_sections < whole.len() / 10, "{between_sections} of {}", whole.len());
}

fn refusal(wasm: &[u8]) -> AdapterError {
    shared().load(wasm).err().expect("it is refused")
}
