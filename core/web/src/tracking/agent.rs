//! Reads device, browser and operating system from a user agent, and whether the visitor is likely a bot. Browsers and
//! operating systems are found by the expressions of uap-core (`assets/user_agents.json`). Reports store the names that
//! are returned here.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use moka::sync::Cache;
use serde::Deserialize;
use ua_parser::{os, user_agent};

use domain::tracking::click::Agent;

/// Substrings in the user agents of crawlers, of link previews, and of libraries and tools, in lower case.
const BOT_WORDS: [&str; 61] = [
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
    "facebookcatalog",
    "meta-external",
    "scan",
    "monitor",
    "lighthouse",
    "axios/",
    "mediapartners-google",
    "appengine-google",
    "google-pagerenderer",
    "googleimageproxy",
    "feedfetcher",
    "feedburner",
    "apple-pubsub",
    "yahoo pipes",
    "ichiro",
    "gooblogsearch",
    "genieo/",
    "labs.topsy.com",
    "hatena",
    "indy library",
    "whatsapp/",
    "pinterest/",
    "viber/",
    "tumblr/",
    "bluesky cardyb",
    "slack-imgproxy",
    "embedly",
    "iframely",
    "vkshare",
    "kakaotalk-scrap",
    "line-poker",
    "mastodon/",
    "pleroma",
    "ms-office",
    "node-fetch",
    "undici",
    "aiohttp",
    "guzzlehttp",
    "php/",
    "ruby",
    "reqwest/",
    "postmanruntime",
    "scrapy",
    "proofpoint",
    "mimecast",
];

/// Finds all [`BOT_WORDS`] in one pass.
static BOTS: LazyLock<AhoCorasick> = LazyLock::new(|| AhoCorasick::new(BOT_WORDS).expect("the words are few"));

/// Substrings in the user agents of televisions and consoles, in lower case.
const APPLIANCE_WORDS: [&str; 9] =
    ["smart-tv", "smarttv", "hbbtv", "googletv", "appletv", "inettvbrowser", "playstation", "nintendo", "xbox"];

/// Parsed user agents. Most requests have one of a few thousand strings.
static CACHE: LazyLock<Cache<String, Agent>> = LazyLock::new(|| Cache::new(10_000));

static PARSERS: LazyLock<Parsers> = LazyLock::new(Parsers::built_in);

struct Parsers {
    browsers: user_agent::Extractor<'static>,
    systems: os::Extractor<'static>,
}

impl Parsers {
    fn built_in() -> Self {
        #[derive(Deserialize)]
        struct Expressions {
            user_agent_parsers: Vec<user_agent::Parser<'static>>,
            os_parsers: Vec<os::Parser<'static>>,
        }
        let text = include_str!("../../assets/user_agents.json");
        let expressions: Expressions = serde_json::from_str(text).expect("the embedded file is valid");
        let browsers = user_agent::Builder::new().push_all(expressions.user_agent_parsers);
        let systems = os::Builder::new().push_all(expressions.os_parsers);
        Self {
            browsers: browsers.and_then(|it| Ok(it.build()?)).expect("the expressions of browsers are valid"),
            systems: systems
                .expect("the expressions of systems are valid")
                .build()
                .expect("the compiled expressions are within the size limit"),
        }
    }
}

/// Compiles the expressions on a thread of its own, because it takes too long for the start and for the first click.
pub fn prepare() {
    // If the thread cannot be started, the first click compiles them.
    let _ = std::thread::Builder::new()
        .name("user-agents".into())
        .spawn(|| (LazyLock::force(&BOTS), LazyLock::force(&PARSERS)));
}

/// Parses a user agent. A missing one is likely a bot, because browsers always send it.
pub fn read(user_agent: Option<&str>) -> Agent {
    let Some(text) = user_agent.filter(|text| !text.trim().is_empty()) else {
        return Agent { likely_bot: true, ..Agent::default() };
    };
    if let Some(agent) = CACHE.get(text) {
        return agent;
    }
    let agent = parse(text);
    CACHE.insert(text.to_owned(), agent.clone());
    agent
}

fn parse(text: &str) -> Agent {
    let lower = text.to_ascii_lowercase();
    let system = PARSERS.systems.extract(text).filter(|it| it.os != "Other");
    Agent {
        device: device(&lower, system.as_ref().map(|it| it.os.as_ref())).map(str::to_owned),
        browser: PARSERS.browsers.extract(text).map(|it| browser_name(it.family).into_owned()),
        os: system.map(|it| system_name(&lower, it).into_owned()),
        likely_bot: is_bot(&lower),
    }
}

/// Whether a user agent names a crawler or a tool. Models of phones are no evidence (CUBOT NOTE 20, IDbot553), unless a
/// version follows the word; and people scan QR codes.
fn is_bot(lower: &str) -> bool {
    let model = model(lower);
    BOTS.find_iter(lower).any(|found| {
        let (before, after) = (&lower[..found.start()], &lower[found.end()..]);
        let word = &lower[found.range()];
        let is_people = match word {
            "bot" => before.ends_with("cu"),
            "scan" => ["qr", "code"].iter().any(|it| before.trim_end_matches([' ', '-', '_']).ends_with(it)),
            // The browser inside the app; a preview's user agent begins with the name.
            "whatsapp/" | "pinterest/" | "viber/" | "tumblr/" => !before.trim_start().is_empty(),
            _ => false,
        };
        let has_version = word.ends_with('/') || after.starts_with('/');
        !is_people && (has_version || !model.contains(&found.start()))
    })
}

/// The position of a phone's model: `cubot note 20 build/sp1a` in `(linux; android 12; cubot note 20 build/sp1a)`.
fn model(lower: &str) -> Range<usize> {
    let of_android = || {
        let android = lower.find("android")?;
        let start = android + lower[android..].find(';')?;
        Some(start..start + lower[start..].find(')')?)
    };
    of_android().unwrap_or_default()
}

fn device(lower: &str, system: Option<&str>) -> Option<&'static str> {
    if APPLIANCE_WORDS.iter().any(|word| lower.contains(word)) {
        return Some("appliance");
    }
    let is_tablet =
        lower.contains("ipad") || lower.contains("tablet") || (lower.contains("android") && !lower.contains("mobile"));
    match system? {
        "Windows" | "Mac OS X" | "Mac OS" | "Chrome OS" | "FreeBSD" | "Solaris" if !is_tablet => Some("desktop"),
        system if is_linux(system) && !is_tablet => Some("desktop"),
        "Tizen" if !lower.contains("mobile") => Some("appliance"),
        "ATV OS X" | "tvOS" | "Web0S" | "Roku" | "WebTV" | "GoogleTV" => Some("appliance"),
        _ => Some(if is_tablet { "tablet" } else { "mobile" }),
    }
}

fn is_linux(system: &str) -> bool {
    const DISTRIBUTIONS: [&str; 16] = [
        "Arch Linux",
        "CentOS",
        "Debian",
        "Fedora",
        "Gentoo",
        "Kubuntu",
        "Linux",
        "Linux Mint",
        "Mandriva",
        "Mageia",
        "PCLinuxOS",
        "Puppy",
        "Red Hat",
        "SUSE",
        "Slackware",
        "Ubuntu",
    ];
    DISTRIBUTIONS.contains(&system)
}

/// Maps the names of a browser on different devices to one name.
fn browser_name(family: Cow<'_, str>) -> Cow<'_, str> {
    match family.as_ref() {
        "Chrome Mobile" | "Chrome Mobile iOS" | "HeadlessChrome" => "Chrome".into(),
        "Chrome Mobile WebView" | "Mobile Safari UI/WKWebView" => "Webview".into(),
        "Edge Mobile" => "Edge".into(),
        "Firefox Mobile" | "Firefox iOS" => "Firefox".into(),
        "Google" => "Google Search App".into(),
        "IE" | "IE Mobile" => "Internet Explorer".into(),
        "Mobile Safari" => "Safari".into(),
        "Opera Mobile" | "Opera Mini" => "Opera".into(),
        "Samsung Internet" => "SamsungBrowser".into(),
        _ => family,
    }
}

/// The name of an operating system: Windows with its version, iOS by its device, all Linux distributions as one.
fn system_name<'a>(lower: &str, system: os::ValueRef<'a>) -> Cow<'a, str> {
    match system.os.as_ref() {
        "Windows" => match (system.major, system.minor) {
            (Some(major), Some(minor)) if major == "8" => format!("Windows {major}.{minor}").into(),
            (Some(major), _) => format!("Windows {major}").into(),
            (None, _) => "Windows".into(),
        },
        "iOS" if lower.contains("ipad") => "iPad".into(),
        "iOS" if lower.contains("ipod") => "iPod".into(),
        "iOS" => "iPhone".into(),
        "Mac OS X" => "Mac OSX".into(),
        "Chrome OS" => "ChromeOS".into(),
        "Windows Phone" => "Windows Phone OS".into(),
        "BlackBerry OS" => "BlackBerry".into(),
        "Symbian OS" => "SymbianOS".into(),
        system if is_linux(system) => "Linux".into(),
        _ => system.os,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bots_are_recognized() {
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
        assert!(read(None).likely_bot && read(Some(" ")).likely_bot, "a browser always sends a user agent");
    }

    #[test]
    fn phones_with_bot_in_their_names_are_people_and_link_previews_are_machines() {
        let android = |rest: &str| {
            format!(
                "Mozilla/5.0 (Linux; Android {rest}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36"
            )
        };
        let people = [
            android("8.0.0; CUBOT_P20"),
            android("12; CUBOT NOTE 20 Build/SP1A"),
            android("6.0; IDbot553 Build/MRA58K"),
            android("6.0.1; M BOT TAB 101 Build/MOB30R"),
            android("13; SM-A536B") + " QRScanner/2.1",
            android("13; SM-A536B") + " Barcode Scanner/4",
            "UCWEB/2.0 (MIDP-2.0; U; Adr 8.0.0; en-US; CUBOT_X18) U2/1.0.0 UCBrowser/10.9 U2/1.0.0 Mobile".into(),
            android("14; Pixel 8") + " WhatsApp/2.24.1",
            android("14; Pixel 8") + " [Pinterest/Android]",
            android("14; Pixel 8") + " Pinterest/12.3 Viber/22.1 Tumblr/33.0",
        ];
        for text in people {
            assert!(!read(Some(&text)).likely_bot, "{text}");
        }
        let machines = [
            "TelegramBot (like TwitterBot)".into(),
            "WhatsApp/2.23.20.0 A".into(),
            "Pinterest/0.2 (+http://www.pinterest.com/)".into(),
            "Viber/13.3.0.5 CFNetwork/1128.0.1 Darwin/19.6.0".into(),
            "Tumblr/14.0.835.186".into(),
            "Mozilla/5.0 (compatible; Bluesky Cardyb/1.1; +mailto:support@bsky.app)".into(),
            "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)".into(),
            "facebookexternalhit/1.1;line-poker/1.0".into(),
            "meta-externalagent/1.1 (+https://developers.facebook.com/docs/sharing/webmasters/crawler)".into(),
            "Mozilla/5.0 (compatible; vkShare; +http://vk.com/dev/Share)".into(),
            "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5".into(),
            android("7.0;") + " (compatible; PetalBot;+https://webmaster.petalsearch.com/site/petalbot)",
            android("11; Pixel 5; ExampleBot/1.0"),
            android("6.0.1; Nexus 5X Build/MMB29P") + " (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        ];
        for text in machines {
            assert!(read(Some(&text)).likely_bot, "{text}");
        }
    }

    #[test]
    fn a_browser_has_one_name_on_all_devices() {
        let webkit = "AppleWebKit/605.1.15 (KHTML, like Gecko)";
        let phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X)";
        let pc = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)";
        let table = [
            (format!("{phone} {webkit} CriOS/131.0.6778.73 Mobile/15E148 Safari/604.1"), "mobile", "Chrome", "iPhone"),
            (format!("{phone} {webkit} FxiOS/133.0 Mobile/15E148 Safari/605.1.15"), "mobile", "Firefox", "iPhone"),
            (format!("{phone} {webkit} Mobile/15E148 Instagram 334.0.4.32.98 (iPhone14,5; iOS 17_5_1)"), "mobile", "Instagram", "iPhone"),
            (format!("{pc} AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 Edg/131.0.2903.86"), "desktop", "Edge", "Windows 10"),
            (format!("{pc} AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36 OPR/115.0.0.0"), "desktop", "Opera", "Windows 10"),
            ("Mozilla/5.0 (Windows NT 6.3; WOW64; Trident/7.0; rv:11.0) like Gecko".into(), "desktop", "Internet Explorer", "Windows 8.1"),
            (format!("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {webkit} Version/18.1.1 Safari/605.1.15"), "desktop", "Safari", "Mac OSX"),
            ("Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0".into(), "desktop", "Firefox", "Linux"),
            ("Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36".into(), "desktop", "Chrome", "ChromeOS"),
            ("Mozilla/5.0 (Linux; Android 13; SM-T970) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36".into(), "tablet", "Chrome", "Android"),
            ("Mozilla/5.0 (Linux; Android 14; SM-S921B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/27.0 Chrome/125.0.0.0 Mobile Safari/537.36".into(), "mobile", "SamsungBrowser", "Android"),
            ("Mozilla/5.0 (Linux; Android 12; M2102J20SG; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/120.0.6099.43 Mobile Safari/537.36".into(), "mobile", "Webview", "Android"),
            ("Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/94.0.4606.128 Safari/537.36".into(), "appliance", "Chrome", "Web0S"),
        ];
        for (text, device, browser, system) in table {
            let agent = read(Some(&text));
            let found = (agent.device.as_deref(), agent.browser.as_deref(), agent.os.as_deref());
            assert_eq!(found, (Some(device), Some(browser), Some(system)), "{text}");
            assert!(!agent.likely_bot, "{text}");
        }
    }
}
