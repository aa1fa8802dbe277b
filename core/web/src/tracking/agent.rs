//! What a user agent string gives away: device, browser, system, and whether a person is likely behind it.

use std::sync::LazyLock;

use moka::sync::Cache;
use woothee::parser::Parser;

use domain::tracking::click::Agent;

/// Words of programs that are nobody's browser, beyond the crawlers that the parser knows.
const PROGRAMS: [&str; 20] = [
    "bot",
    "crawl",
    "spider",
    "slurp",
    "curl/",
    "wget/",
    "python",
    "go-http-client",
    "java/",
    "okhttp",
    "libwww",
    "httpclient",
    "headless",
    "phantomjs",
    "preview",
    "facebookexternalhit",
    "scan",
    "monitor",
    "lighthouse",
    "axios/",
];

/// The same few thousand strings come again and again.
static KNOWN: LazyLock<Cache<String, Agent>> = LazyLock::new(|| Cache::new(10_000));

pub fn read(user_agent: Option<&str>) -> Agent {
    let Some(text) = user_agent.filter(|text| !text.trim().is_empty()) else {
        return Agent { likely_bot: true, ..Agent::default() };
    };
    if let Some(known) = KNOWN.get(text) {
        return known;
    }
    let agent = parse(text);
    KNOWN.insert(text.to_owned(), agent.clone());
    agent
}

fn parse(text: &str) -> Agent {
    let found = Parser::new().parse(text).unwrap_or_default();
    let lower = text.to_ascii_lowercase();
    let known = |word: &str| (!word.is_empty() && word != "UNKNOWN").then(|| word.to_owned());
    let tablet =
        lower.contains("ipad") || lower.contains("tablet") || (lower.contains("android") && !lower.contains("mobile"));
    let device = match found.category {
        "pc" if !tablet => Some("desktop"),
        "smartphone" | "mobilephone" | "pc" => Some(if tablet { "tablet" } else { "mobile" }),
        "appliance" => Some("appliance"),
        _ => None,
    };
    Agent {
        device: device.map(str::to_owned),
        browser: known(found.name),
        os: known(found.os),
        likely_bot: found.category == "crawler" || PROGRAMS.iter().any(|word| lower.contains(word)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_and_programs_are_told_apart() {
        let table = [
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
                Some("desktop"),
                Some("Chrome"),
                false,
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
                Some("mobile"),
                Some("Safari"),
                false,
            ),
            (
                "Mozilla/5.0 (iPad; CPU OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1",
                Some("tablet"),
                Some("Safari"),
                false,
            ),
            (
                "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36",
                Some("mobile"),
                Some("Chrome"),
                false,
            ),
            ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", None, None, true),
            ("curl/8.5.0", None, None, true),
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/131.0.0.0 Safari/537.36",
                Some("desktop"),
                Some("Chrome"),
                true,
            ),
        ];
        for (text, device, browser, bot) in table {
            let agent = read(Some(text));
            assert_eq!(agent.likely_bot, bot, "{text}");
            if !bot {
                assert_eq!((agent.device.as_deref(), agent.browser.as_deref()), (device, browser), "{text}");
            }
        }
        assert!(read(None).likely_bot && read(Some(" ")).likely_bot, "browsers say who they are");
    }
}
