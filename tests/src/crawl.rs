//! Reads everything that a caller can read: each GET operation of the description, and each object of each list. A new
//! operation is read without a change here.

use serde_json::Value;

use crate::client::{Answer, Client, text};

const EXPORTS: [&str; 4] = ["clicks", "conversions", "events", "deliveries"];

/// An answer to a GET request.
#[derive(Debug)]
pub struct Read {
    pub path: String,
    pub answer: Answer,
}

/// The operations of the description: path, method and description.
pub async fn operations(client: &Client) -> Vec<(String, String, Value)> {
    let description = client.get("/api/openapi.json").await.expect(200);
    let paths = description["paths"].as_object().expect("paths").clone();
    let operations = |(path, operations): (String, Value)| {
        let operations = operations.as_object().expect("operations").clone();
        operations.into_iter().map(move |(method, operation)| (path.clone(), method, operation))
    };
    paths.into_iter().flat_map(operations).collect()
}

/// Every answer with status 200. Panics for a server error, and for a path with parameters that are not known here.
pub async fn read_all(client: &Client) -> Vec<Read> {
    let reads = operations(client).await.into_iter().filter(|(_, method, _)| method == "get");
    let (objects, lists): (Vec<_>, Vec<_>) = reads.map(|(path, ..)| path).partition(|path| path.contains('{'));
    let mut read = Vec::new();
    for list in &lists {
        // The statement needs a currency.
        let query = if list.ends_with("/statement") { "?currency=USD" } else { "" };
        read_one(client, &format!("{list}{query}"), &mut read).await;
    }
    for path in &objects {
        for values in values_of(path, &read) {
            let (before, rest) = path.split_once('{').expect("a parameter");
            let (_, after) = rest.split_once('}').expect("its end");
            read_one(client, &format!("{before}{values}{after}"), &mut read).await;
        }
    }
    read
}

async fn read_one(client: &Client, path: &str, read: &mut Vec<Read>) {
    let answer = client.get(path).await;
    assert!(answer.status < 500, "{path}: {}", answer.text);
    if answer.status == 200 {
        read.push(Read { path: path.to_owned(), answer });
    }
}

/// The values of the parameter of a path: the ids in the list before it.
fn values_of(path: &str, read: &[Read]) -> Vec<String> {
    let (list, parameter) = path.split_once("/{").expect("a parameter");
    if parameter == "subject}" {
        return EXPORTS.iter().flat_map(|it| [format!("{it}?format=csv"), format!("{it}?format=jsonl")]).collect();
    }
    assert!(parameter.starts_with("id}"), "{path} has a parameter that this crawl does not know");
    let Some(list) = read.iter().find(|it| it.path == list) else { return Vec::new() };
    let list = list.answer.json();
    list["items"].as_array().expect("a list").iter().map(|item| text(item, "id")).collect()
}
