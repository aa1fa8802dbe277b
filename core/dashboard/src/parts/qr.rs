//! QR codes as SVG, dark on white in every theme.

use std::fmt::Write as _;

use handlebars::html_escape;
use qrcode::{Color, QrCode};

/// The code of a text, with a name for those who cannot see it.
///
/// # Errors
/// The text is too long for a code.
pub fn svg(text: &str, name: &str) -> Result<String, String> {
    let code = QrCode::new(text).map_err(|error| error.to_string())?;
    let width = code.width();
    let mut path = String::new();
    for (y, row) in code.to_colors().chunks(width).enumerate() {
        let mut x = 0;
        for run in row.chunk_by(|a, b| a == b) {
            if run[0] == Color::Dark {
                write!(path, "M{x} {y}.5h{}", run.len()).expect("text grows");
            }
            x += run.len();
        }
    }
    Ok(format!(
        "<svg class=\"qr\" viewBox=\"0 0 {width} {width}\" role=\"img\" aria-label=\"{}\" shape-rendering=\"crispEdges\">\
         <path d=\"{path}\"/></svg>",
        html_escape(name)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_its_finder_patterns() {
        let svg = svg("https://go.example/r/AF1", "Code of \"your\" link").unwrap();
        assert!(
            svg.contains("viewBox=\"0 0 25 25\"") && svg.contains("M0 0.5h7") && svg.contains("M18 0.5h7"),
            "{svg}"
        );
        assert!(svg.contains("Code of &quot;your&quot; link"), "{svg}");
        assert!(super::svg(&"x".repeat(10_000), "too long").is_err());
    }
}
