//! Adapters for tests, written as WebAssembly text. They can contain code that no compiler produces, and data that a test
//! searches for.
//!
//! The configuration of each is `{"key": "…", "url": "…"}`, where `key` is secret. By default an adapter always
//! fires, sends its configuration as JSON to `url` with the key in a header, and accepts any answer.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const CONTRACT: &str = include_str!("../../sdk/wit/adapter.wit");

const SCHEMA: &str = r#"{
    "type": "object",
    "required": ["key", "url"],
    "properties": {
        "key": {"type": "string", "title": "Key", "writeOnly": true, "format": "password"},
        "url": {"type": "string", "title": "URL"}
    },
    "additionalProperties": false
}"#;

/// The differences from a good adapter. The functions are bodies that return a pointer.
#[derive(Clone)]
pub struct Guest {
    pub id: &'static str,
    pub version: &'static str,
    pub schema: &'static str,
    pub hosts: &'static [&'static str],
    pub validate: &'static str,
    pub decide: &'static str,
    /// Runs before the request is built.
    pub before_render: &'static str,
    pub signs: bool,
    /// 0 is GET and 1 is POST.
    pub method: u32,
    pub classify: &'static str,
    pub min_delay_ms: u64,
    /// Whether it has the capability `inbound`. By default the call traps; see `parse`.
    pub inbound: bool,
    pub parse: &'static str,
    /// Whether it has the capability `click`. By default the call traps; see `decorate`.
    pub decorates: bool,
    pub decorate: &'static str,
    /// Additional items of the module.
    pub extra: String,
}

impl Default for Guest {
    fn default() -> Self {
        Self {
            id: "guest",
            version: "1.0.0",
            schema: SCHEMA,
            hosts: &["*"],
            // A zeroed area is an empty list, "fire" and "accepted".
            validate: "i32.const 32768",
            decide: "i32.const 32768",
            before_render: "",
            signs: false,
            method: 1,
            classify: "i32.const 32768",
            min_delay_ms: 0,
            inbound: false,
            parse: "unreachable",
            decorates: false,
            decorate: "unreachable",
            extra: String::new(),
        }
    }
}

/// Logs the line [`LOGGED`], which every module contains, at the level info.
pub const LOG_A_LINE: &str = "(call $emit (i32.const 1) (i32.const 2304) (i32.const 16))";
pub const LOGGED: &str = "rendering it now";
/// Logs the configuration that the adapter receives.
pub const LOG_CONFIG: &str =
    "(call $emit (i32.const 0) (i32.load offset=32 (local.get 0)) (i32.load offset=36 (local.get 0)))";

impl Guest {
    /// The bytes of the component.
    pub fn component(&self) -> Vec<u8> {
        encode(&self.module())
    }

    fn module(&self) -> String {
        let Self { validate, decide, before_render, method, classify, parse, decorate, extra, .. } = self;
        let mut texts = Texts::default();
        let descriptor = data(&self.descriptor(&mut texts));
        let strings = data(&texts.bytes);
        let signs = u32::from(self.signs);
        let api = "postrider:adapter/adapter-api@0.1.0#";
        format!(
            r#"(module
                (import "postrider:adapter/log@0.1.0" "emit" (func $emit (param i32 i32 i32)))
                (memory (export "memory") 40)
                (data (i32.const 1024) "{descriptor}")
                (data (i32.const 2304) "{LOGGED}")
                (data (i32.const 2336) "X-Key")
                (data (i32.const 2352) "application/json")
                (data (i32.const 4096) "{strings}")
                (global $next (mut i32) (i32.const 65536))
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                    (local $at i32)
                    (local.set $at (i32.and (i32.add (global.get $next) (i32.const 15)) (i32.const -16)))
                    (global.set $next (i32.add (local.get $at) (local.get 3)))
                    ;; What was handed over before is of no use any more: start again before memory ends.
                    (if (i32.gt_u (global.get $next) (i32.const 2000000)) (then (global.set $next (i32.const 65536))))
                    local.get $at)
                (func (export "{api}describe") (result i32) i32.const 1024)
                (func (export "{api}validate") (param i32 i32) (result i32) {validate})
                (func (export "{api}decide") (param i32) (result i32) {decide})
                (func (export "{api}render") (param i32) (result i32)
                    (local $config i32) (local $length i32)
                    {before_render}
                    (local.set $config (i32.load offset=32 (local.get 0)))
                    (local.set $length (i32.load offset=36 (local.get 0)))
                    ;; {{"key":"secret<32 digits>","url":"…"}}: the key is at 8, the URL at 55.
                    (i32.store8 offset=4 (i32.const 40960) (i32.const {method}))
                    (i32.store offset=8 (i32.const 40960) (i32.add (local.get $config) (i32.const 55)))
                    (i32.store offset=12 (i32.const 40960) (i32.sub (local.get $length) (i32.const 57)))
                    (i32.store offset=16 (i32.const 40960) (i32.const 41216))
                    (i32.store offset=20 (i32.const 40960) (i32.const 1))
                    (i32.store (i32.const 41216) (i32.const 2336))
                    (i32.store offset=4 (i32.const 41216) (i32.const 5))
                    (i32.store offset=8 (i32.const 41216) (i32.add (local.get $config) (i32.const 8)))
                    (i32.store offset=12 (i32.const 41216) (i32.const 38))
                    (i32.store8 offset=24 (i32.const 40960) (i32.const {method}))
                    (i32.store offset=28 (i32.const 40960) (i32.const 2352))
                    (i32.store offset=32 (i32.const 40960) (i32.const 16))
                    (i32.store offset=36 (i32.const 40960) (local.get $config))
                    (i32.store offset=40 (i32.const 40960) (local.get $length))
                    (i32.store offset=44 (i32.const 40960) (i32.const 41224))
                    (i32.store offset=48 (i32.const 40960) (i32.const {signs}))
                    i32.const 40960)
                (func (export "{api}classify") (param i32) (result i32) {classify})
                (func (export "{api}decorate-click") (param i32) (result i32) {decorate})
                (func (export "{api}parse-inbound") (param i32) (result i32) {parse})
                {extra})"#
        )
    }

    /// The record in the layout of the canonical ABI.
    fn descriptor(&self, texts: &mut Texts) -> Vec<u8> {
        let mut words = [0u32; 26];
        let mut put = |at: usize, (place, length): (u32, u32)| {
            words[at] = place;
            words[at + 1] = length;
        };
        put(0, texts.add(self.id));
        put(2, texts.add(self.version));
        put(4, texts.add("Guest"));
        put(6, texts.add("An adapter of the tests."));
        put(12, texts.add("\u{0}\u{1}\u{2}\u{3}"));
        put(22, texts.add(self.schema));
        let hosts: Vec<(u32, u32)> = self.hosts.iter().map(|host| texts.add(host)).collect();
        texts.align();
        let place = texts.end();
        for (at, length) in &hosts {
            texts.bytes.extend(at.to_le_bytes());
            texts.bytes.extend(length.to_le_bytes());
        }
        put(20, (place, u32::try_from(hosts.len()).expect("few")));
        words[11] = 1 | u32::from(self.inbound) << 1 | u32::from(self.decorates) << 2;
        words[14] = 0x0101; // statuses and rejection reasons
        words[16] = u32::try_from(self.min_delay_ms).expect("short");
        words[18] = 24 * 3_600_000;
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }
}

/// Consecutive texts, from 4096 on.
#[derive(Default)]
struct Texts {
    bytes: Vec<u8>,
}

impl Texts {
    fn end(&self) -> u32 {
        4096 + u32::try_from(self.bytes.len()).expect("a few kilobytes")
    }

    fn add(&mut self, text: &str) -> (u32, u32) {
        let at = self.end();
        self.bytes.extend(text.as_bytes());
        (at, u32::try_from(text.len()).expect("a few kilobytes"))
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
    }
}

fn data(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\{byte:02x}")).collect()
}

/// A component of the contract's world from a module's text.
pub fn encode(text: &str) -> Vec<u8> {
    let mut module = wat::parse_str(text).expect("the text is right");
    let mut contract = Resolve::default();
    let package = contract.push_str("adapter.wit", CONTRACT).expect("the contract is right");
    let world = contract.select_world(&[package], Some("adapter")).expect("the world exists");
    embed_component_metadata(&mut module, &contract, world, StringEncoding::UTF8).expect("it embeds");
    ComponentEncoder::default().module(&module).and_then(|encoder| encoder.encode()).expect("it encodes")
}
