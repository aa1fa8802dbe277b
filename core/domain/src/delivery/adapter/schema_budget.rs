//! Bounds the cost of JSON Schemas from third parties. Pure.
//!
//! A schema of two kilobytes can need billions of comparisons: each level of `$ref`s within an `anyOf` doubles them.
//! The cost of a schema is therefore calculated before it is used: the number of subschemas that are evaluated, in the
//! worst case, for a single value of a document. Together with the number of values this bounds the time and the memory
//! of a validation.

use std::collections::{BTreeMap, HashMap};

use jsonschema::PatternOptions;
use serde_json::{Map, Value};

/// The most evaluations of subschemas for one value, in the worst case. Schemas of real adapters need less than a
/// hundred.
pub(crate) const EVALUATIONS_PER_VALUE: u64 = 2_000;
/// The most evaluations for one document.
const EVALUATIONS: u64 = 500_000;
/// The most subschemas of a schema.
const NODES: usize = 5_000;
/// The most patterns of a schema, and the most bytes of each compiled pattern.
const PATTERNS: usize = 100;
const PATTERN_BYTES: usize = 512 << 10;
/// How deep subschemas for the same value may be nested.
const DEPTH_IN_PLACE: usize = 32;
/// The most steps of the calculation itself.
const STEPS: usize = 2_000_000;
/// How deep a JSON document may be nested: the limit of the parser.
const DOCUMENT_DEPTH: usize = 128;

/// Options for patterns that match in linear time. They support no look-around and no back-references.
pub fn patterns() -> PatternOptions<jsonschema::Regex> {
    PatternOptions::regex().size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES)
}

/// The calculated cost of a schema.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cost {
    /// Evaluations for one value, in the worst case.
    pub per_value: u64,
}

/// Calculates the cost of a schema. The error is a sentence: the schema exceeds the budget, or its cost can't be
/// calculated.
pub fn check(schema: &Value) -> Result<Cost, String> {
    let graph = Graph::of(schema)?;
    let order = graph.order_in_place()?;
    let per_value = graph.most_evaluations(&order);
    if per_value > EVALUATIONS_PER_VALUE {
        return Err(format!(
            "it is too complex: a single value could need more than {EVALUATIONS_PER_VALUE} evaluations of subschemas; use fewer references within anyOf, oneOf and allOf"
        ));
    }
    Ok(Cost { per_value })
}

impl Cost {
    /// Whether a document can be validated within the budget. The error is the most values that a document may have.
    pub fn admits(self, document: &Value) -> Result<(), usize> {
        let most = EVALUATIONS / self.per_value.max(1);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        if values_of(document) <= most { Ok(()) } else { Err(most) }
    }
}

/// The number of values in a document: objects, lists and their contents.
fn values_of(document: &Value) -> usize {
    match document {
        Value::Array(items) => 1 + items.iter().map(values_of).sum::<usize>(),
        Value::Object(members) => 1 + members.values().map(values_of).sum::<usize>(),
        _ => 1,
    }
}

/// The subschemas, and which of them each one evaluates.
#[derive(Default)]
struct Graph<'a> {
    nodes: Vec<Node<'a>>,
    /// The number of patterns.
    patterns: usize,
}

#[derive(Default)]
struct Node<'a> {
    weight: u64,
    /// Evaluated for the same value.
    in_place: Vec<usize>,
    /// Evaluated for the member of this name.
    named: Vec<(&'a str, usize)>,
    /// Evaluated for any member or item.
    any: Vec<usize>,
}

/// Keywords whose values are subschemas, or objects or lists of subschemas.
const IN_PLACE: [&str; 7] = ["not", "if", "then", "else", "allOf", "anyOf", "oneOf"];
const IN_PLACE_BY_NAME: [&str; 2] = ["dependentSchemas", "dependencies"];
const ANY: [&str; 9] = [
    "items",
    "prefixItems",
    "additionalItems",
    "contains",
    "additionalProperties",
    "propertyNames",
    "unevaluatedProperties",
    "unevaluatedItems",
    "contentSchema",
];
/// Keywords that let a reference mean something else than a location in this document.
const REFUSED: [&str; 4] = ["$dynamicRef", "$recursiveRef", "$dynamicAnchor", "$anchor"];

impl<'a> Graph<'a> {
    fn of(document: &'a Value) -> Result<Self, String> {
        let mut graph = Self::default();
        let mut known: HashMap<*const Value, usize> = HashMap::new();
        let mut open = vec![document];
        known.insert(document, 0);
        let mut number = 0;
        while let Some(schema) = open.get(number).copied() {
            number += 1;
            let mut visit = |below: &'a Value| {
                *known.entry(std::ptr::from_ref(below)).or_insert_with(|| {
                    open.push(below);
                    open.len() - 1
                })
            };
            let node = graph.node(document, schema, number == 1, &mut visit)?;
            graph.nodes.push(node);
            if open.len() > NODES {
                return Err(format!("it has more than {NODES} subschemas"));
            }
            if graph.patterns > PATTERNS {
                return Err(format!("it has more than {PATTERNS} patterns"));
            }
        }
        Ok(graph)
    }

    fn node(
        &mut self,
        document: &'a Value,
        schema: &'a Value,
        is_root: bool,
        visit: &mut impl FnMut(&'a Value) -> usize,
    ) -> Result<Node<'a>, String> {
        let mut node = Node { weight: 1, ..Node::default() };
        let Value::Object(schema) = schema else { return Ok(node) };
        if let Some(word) = REFUSED.into_iter().find(|word| schema.contains_key(*word)) {
            return Err(format!("it uses {word}; use $ref with a location in the schema, such as \"#/$defs/name\""));
        }
        if !is_root && schema.contains_key("$id") {
            return Err("a subschema has an $id; only the root may have one".to_owned());
        }
        if let Some(target) = schema.get("$ref") {
            node.in_place.push(visit(target_of(document, target)?));
        }
        let in_place = IN_PLACE.into_iter().filter_map(|word| schema.get(word)).flat_map(subschemas);
        let by_name =
            IN_PLACE_BY_NAME.into_iter().filter_map(|word| schema.get(word)?.as_object()).flat_map(Map::values);
        node.in_place.extend(in_place.chain(by_name).filter(|it| !it.is_array()).map(&mut *visit));
        node.any.extend(ANY.into_iter().filter_map(|word| schema.get(word)).flat_map(subschemas).map(&mut *visit));
        if let Some(members) = schema.get("properties").and_then(Value::as_object) {
            node.named.extend(members.iter().map(|(name, below)| (name.as_str(), visit(below))));
        }
        if let Some(members) = schema.get("patternProperties").and_then(Value::as_object) {
            self.patterns += members.len();
            node.any.extend(members.values().map(&mut *visit));
        }
        if schema.contains_key("unevaluatedProperties") || schema.contains_key("unevaluatedItems") {
            // To find the unevaluated members, the validator evaluates everything in place once more.
            node.in_place.extend_from_within(..);
        }
        node.weight += self.weight_of(schema);
        Ok(node)
    }

    /// The extra weight of long lists, which are searched, and of patterns, which are matched.
    fn weight_of(&mut self, schema: &Map<String, Value>) -> u64 {
        let entries =
            ["enum", "required", "properties", "dependentRequired"].into_iter().map(|word| match schema.get(word) {
                Some(Value::Array(items)) => items.len(),
                Some(Value::Object(members)) => members.len(),
                _ => 0,
            });
        let entries = entries.sum::<usize>() as u64;
        let has_pattern = schema.contains_key("pattern");
        self.patterns += usize::from(has_pattern);
        entries / 16 + 8 * u64::from(has_pattern) + 8 * u64::from(schema.get("uniqueItems") == Some(&Value::Bool(true)))
    }

    /// The subschemas in topological order: each comes before those that it evaluates for the same value.
    fn order_in_place(&self) -> Result<Vec<usize>, String> {
        // The longest path to each; a subschema in a cycle is never reached.
        let mut waiting_for = vec![0_usize; self.nodes.len()];
        self.nodes.iter().flat_map(|node| &node.in_place).for_each(|below| waiting_for[*below] += 1);
        let mut depth = vec![0_usize; self.nodes.len()];
        let mut order: Vec<_> = (0..self.nodes.len()).filter(|node| waiting_for[*node] == 0).collect();
        let mut next = 0;
        while let Some(node) = order.get(next).copied() {
            next += 1;
            for below in &self.nodes[node].in_place {
                depth[*below] = depth[*below].max(depth[node] + 1);
                waiting_for[*below] -= 1;
                if waiting_for[*below] == 0 {
                    order.push(*below);
                }
            }
        }
        if order.len() < self.nodes.len() {
            return Err(
                "a subschema refers to itself for the same value, so no value could ever be validated".to_owned()
            );
        }
        if depth.iter().any(|depth| *depth > DEPTH_IN_PLACE) {
            return Err(format!(
                "more than {DEPTH_IN_PLACE} subschemas for the same value are nested within each other"
            ));
        }
        Ok(order)
    }

    /// The most evaluations that one value can need, at any depth of a document.
    fn most_evaluations(&self, order: &[usize]) -> u64 {
        // The cost of each subschema, including those that it evaluates in place.
        let mut whole = vec![0_u64; self.nodes.len()];
        for node in order.iter().rev() {
            let below = self.nodes[*node].in_place.iter().map(|below| whole[*below]);
            whole[*node] = below.fold(self.nodes[*node].weight, u64::saturating_add);
        }
        let mut rank = vec![0; self.nodes.len()];
        order.iter().enumerate().for_each(|(at, node)| rank[*node] = at);
        // The most evaluations of each subschema for one value at this depth.
        let mut asked = vec![0_u64; self.nodes.len()];
        let mut steps = STEPS;
        self.in_place(order, &rank, [(0, 1)], &mut steps).into_iter().for_each(|(node, count)| asked[node] = count);
        let mut most = whole[0];
        for _ in 0..DOCUMENT_DEPTH {
            let (next, costs) = self.below(&asked, &whole, order, &rank, &mut steps);
            most = most.max(costs);
            if most > EVALUATIONS_PER_VALUE || next == asked {
                break;
            }
            if steps == 0 {
                return u64::MAX;
            }
            asked = next;
        }
        most
    }

    /// The most evaluations of each subschema one level deeper, and the cost of the most expensive member there.
    fn below(
        &self,
        asked: &[u64],
        whole: &[u64],
        order: &[usize],
        rank: &[usize],
        steps: &mut usize,
    ) -> (Vec<u64>, u64) {
        let mut any: HashMap<usize, u64> = HashMap::new();
        let mut by_name: HashMap<&str, HashMap<usize, u64>> = HashMap::new();
        let add = |counts: &mut HashMap<usize, u64>, node: usize, more: u64| {
            let count = counts.entry(node).or_default();
            *count = count.saturating_add(more);
        };
        for (node, asked) in self.nodes.iter().zip(asked).filter(|(_, asked)| **asked > 0) {
            node.any.iter().for_each(|below| add(&mut any, *below, *asked));
            node.named.iter().for_each(|(name, below)| add(by_name.entry(name).or_default(), *below, *asked));
        }
        let costs = |counts: &HashMap<usize, u64>| {
            let each = counts.iter().map(|(node, count)| whole[*node].saturating_mul(*count));
            each.fold(0, u64::saturating_add)
        };
        let of_any = costs(&any);
        let (mut next, mut dearest) = (vec![0_u64; self.nodes.len()], of_any);
        // A value has one name, so only the maximum over the names counts.
        for members in by_name.into_values() {
            dearest = dearest.max(of_any.saturating_add(costs(&members)));
            let evaluated = self.in_place(order, rank, members, steps);
            evaluated.into_iter().for_each(|(node, count)| next[node] = next[node].max(count));
        }
        let evaluated = self.in_place(order, rank, any, steps);
        evaluated.into_iter().for_each(|(node, count)| next[node] = next[node].saturating_add(count));
        (next, dearest)
    }

    /// These subschemas and those that they evaluate in place, with their counts.
    fn in_place(
        &self,
        order: &[usize],
        rank: &[usize],
        asked: impl IntoIterator<Item = (usize, u64)>,
        steps: &mut usize,
    ) -> Vec<(usize, u64)> {
        let mut open: BTreeMap<usize, u64> = asked.into_iter().map(|(node, count)| (rank[node], count)).collect();
        let mut evaluated = Vec::new();
        while let Some((at, count)) = open.pop_first() {
            *steps = steps.saturating_sub(1 + self.nodes[order[at]].in_place.len());
            if *steps == 0 {
                break;
            }
            evaluated.push((order[at], count));
            for below in &self.nodes[order[at]].in_place {
                let more = open.entry(rank[*below]).or_default();
                *more = more.saturating_add(count);
            }
        }
        evaluated
    }
}

/// One subschema, or each of a list.
fn subschemas(value: &Value) -> impl Iterator<Item = &Value> {
    match value {
        Value::Array(items) => items.iter(),
        one => std::slice::from_ref(one).iter(),
    }
}

fn target_of<'a>(document: &'a Value, target: &Value) -> Result<&'a Value, String> {
    let target = target.as_str().ok_or("a $ref is not text")?;
    let pointer = target.strip_prefix('#').filter(|it| !it.contains('%') && (it.is_empty() || it.starts_with('/')));
    let place = pointer.and_then(|pointer| document.pointer(pointer));
    place
        .ok_or_else(|| format!("\"{target}\" is not a location in the schema; a reference looks like \"#/$defs/name\""))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn per_value(schema: &Value) -> Result<u64, String> {
        check(schema).map(|cost| cost.per_value)
    }

    /// `depth` definitions, each of which refers twice to the next.
    fn doubling(depth: usize) -> Value {
        let mut definitions = Map::new();
        for at in 0..depth {
            let below = json!({"$ref": format!("#/$defs/d{}", at + 1)});
            definitions.insert(format!("d{at}"), json!({"anyOf": [below, below]}));
        }
        definitions.insert(format!("d{depth}"), json!({"type": "string"}));
        json!({"$ref": "#/$defs/d0", "$defs": definitions})
    }

    #[test]
    fn the_cost_of_a_schema_is_calculated() {
        let field = json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}});
        let tree = json!({"properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}, "text": {}}});
        for (schema, expected) in [
            (json!(true), 1),
            (json!({}), 1),
            (json!({"anyOf": [{}, {}, {"allOf": [{}, {}]}]}), 6),
            (json!({"items": field, "$defs": {"unused": {"anyOf": [{}, {}]}}}), 1),
            (json!({"enum": vec![0; 160]}), 11),
            (json!({"properties": {"a": {"pattern": "^a$"}}}), 9),
            (
                json!({"properties": {"a": {"anyOf": [{}, {}]}}, "patternProperties": {".": {}}, "additionalProperties": {}}),
                5,
            ),
            // A member is either `left` or `right`.
            (tree, 2),
            (json!({"allOf": [{}], "unevaluatedProperties": false}), 3),
            (doubling(2), 1 + 1 + 2 * (1 + 1 + 2 * 2)),
        ] {
            assert_eq!(per_value(&schema), Ok(expected), "{schema}");
        }
    }

    #[test]
    fn schemas_of_unbounded_cost_are_refused() {
        let below_each_other = json!({"properties": {"a": {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}}});
        let in_turn = json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}});
        let many = |word: &str, count: usize| {
            let members: Map<String, Value> =
                (0..count).map(|it| (format!("p{it}"), json!({"type": "string", word: "^a$"}))).collect();
            json!({"properties": members})
        };
        for (schema, sentence) in [
            (doubling(12), "too complex"),
            (doubling(26), "within each other"),
            (below_each_other, "too complex"),
            (in_turn, "refers to itself"),
            (json!({"allOf": [{"$ref": "#"}]}), "refers to itself"),
            (many("pattern", 101), "100 patterns"),
            (many("title", 5_000), "5000 subschemas"),
            (json!({"enum": vec![0; 40_000]}), "too complex"),
            (json!({"$ref": "http://127.0.0.1/schema.json"}), "not a location"),
            (json!({"$ref": "file:///etc/passwd"}), "not a location"),
            (json!({"$ref": "#/$defs/none"}), "not a location"),
            (json!({"items": {"$dynamicRef": "#a"}}), "$dynamicRef"),
            (json!({"items": {"$id": "https://x.example/"}}), "$id"),
        ] {
            let refused = per_value(&schema).expect_err("it is refused");
            assert!(refused.contains(sentence), "{refused}");
        }
    }

    #[test]
    fn the_cost_of_a_schema_limits_the_values_of_a_document() {
        let cost = Cost { per_value: 1_000 };
        assert_eq!(cost.admits(&json!(vec![0; 499])), Ok(()));
        assert_eq!(cost.admits(&json!({"a": vec![0; 499]})), Err(500));
        assert_eq!(Cost { per_value: 1 }.admits(&json!(vec![vec![0; 100]; 100])), Ok(()));
    }
}
