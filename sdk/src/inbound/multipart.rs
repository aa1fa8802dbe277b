//! Forms of parts (multipart/form-data, RFC 7578): their fields. PHP's curl sends an array like this.

/// Names and values of the fields; files are not read. `None` if there is no part.
pub(super) fn fields(content_type: &str, body: &str) -> Option<Vec<(String, String)>> {
    let boundary = parameter(content_type, "boundary").filter(|it| !it.is_empty())?;
    let delimiter = format!("--{boundary}");
    let mut parts = body.split(delimiter.as_str()).skip(1).take_while(|part| !part.starts_with("--")).peekable();
    parts.peek()?;
    let fields: Vec<_> = parts.filter_map(field).collect();
    (!fields.is_empty()).then_some(fields)
}

fn field(part: &str) -> Option<(String, String)> {
    let part = part.strip_prefix("\r\n").or_else(|| part.strip_prefix('\n'))?;
    let (head, value) = part.split_once("\r\n\r\n").or_else(|| part.split_once("\n\n"))?;
    let disposition = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
    })?;
    if parameter(disposition, "filename").is_some() {
        return None;
    }
    let value = value.strip_suffix("\r\n").or_else(|| value.strip_suffix('\n')).unwrap_or(value);
    Some((parameter(disposition, "name")?, value.to_owned()))
}

/// The parameter of a header's value: `x9` for `multipart/form-data; boundary="x9"`.
fn parameter(value: &str, name: &str) -> Option<String> {
    value.split(';').skip(1).find_map(|part| {
        let (known, text) = part.split_once('=')?;
        known.trim().eq_ignore_ascii_case(name).then(|| text.trim().trim_matches('"').to_owned())
    })
}
