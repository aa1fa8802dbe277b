//! Images of a component's memory. An image contains a value of one of the contract's types in the layout of the canonical
//! ABI. The input determines its contents, and changes a few words to arbitrary values.

/// The address at which `machine.wat` puts an image.
const BASE: u32 = 65536;
/// The address that the call returns, then level, address and length of a log line.
const HEADER: usize = 16;

/// A type of the contract, as its memory layout.
pub enum Shape {
    /// One byte that selects one of several values: a bool, an enum.
    One(u8),
    Half,
    Long,
    /// A string, or a list of bytes.
    Text,
    List(&'static Shape),
    Record(&'static [Shape]),
    /// A result or variant; `None` for a case without a payload.
    Cases(&'static [Option<Shape>]),
}

use Shape::{Cases, Half, List, Long, One, Record, Text};

macro_rules! option {
    ($shape:expr) => {
        Cases(&[None, Some($shape)])
    };
}
/// `result<_, adapter-error>`
macro_rules! answer {
    ($shape:expr) => {
        Cases(&[Some($shape), Some(Record(&[One(5), Text, option!(Text)]))])
    };
}

const FIELD: Shape = Record(&[Text, Text]);
const REFUSAL: Shape = Record(&[Text, Text]);
const AMOUNT: Shape = Record(&[Text, option!(Text)]);
const RESPONSE: Shape = Record(&[Half, List(&FIELD), Text, One(2)]);
const REPORTED: Shape = Record(&[
    option!(Text),
    option!(Text),
    option!(Text),
    option!(Text),
    option!(Text),
    option!(AMOUNT),
    option!(AMOUNT),
    option!(AMOUNT),
    option!(Text),
    List(&FIELD),
]);

pub static DECISION: Shape = answer!(Record(&[Cases(&[None, Some(Long), None]), List(&Record(&[Text, One(2), Text]))]));
pub static REQUEST: Shape = answer!(Record(&[One(5), Text, List(&FIELD), option!(Record(&[Text, Text])), List(&Text)]));
pub static OUTCOME: Shape = answer!(Cases(&[Some(option!(Text)), Some(option!(Long)), Some(REFUSAL)]));
pub static DECORATION: Shape = answer!(List(&FIELD));
pub static REPORT: Shape = answer!(Record(&[List(&REPORTED), option!(REFUSAL), option!(RESPONSE)]));
pub static ISSUES: Shape = List(&Record(&[Text, Text]));

impl Shape {
    fn align(&self) -> usize {
        match self {
            One(_) => 1,
            Half => 2,
            Long => 8,
            Text | List(_) => 4,
            Record(fields) => fields.iter().map(Self::align).max().unwrap_or(1),
            Cases(cases) => cases.iter().flatten().map(Self::align).max().unwrap_or(1),
        }
    }

    fn size(&self) -> usize {
        let end = match self {
            One(_) => 1,
            Half => 2,
            Long | Text | List(_) => 8,
            Record(fields) => {
                fields.iter().fold(0, |at: usize, field| at.next_multiple_of(field.align()) + field.size())
            }
            Cases(cases) => self.align() + cases.iter().flatten().map(Self::size).max().unwrap_or(0),
        };
        end.next_multiple_of(self.align())
    }
}

/// The image that `input` describes.
pub fn of(shape: &Shape, input: &[u8]) -> Vec<u8> {
    let mut image = Image { bytes: vec![0; HEADER], input };
    let at = image.room(shape);
    image.set(0, BASE + u32::try_from(at).expect("small"));
    if image.next().is_multiple_of(4) {
        image.fill(&Record(&[One(4), Text]), 4);
    }
    image.fill(shape, at);
    image.bend();
    image.bytes
}

struct Image<'a> {
    bytes: Vec<u8>,
    input: &'a [u8],
}

impl Image<'_> {
    /// The next byte of the input; zeros after its end.
    fn next(&mut self) -> u8 {
        let Some((first, rest)) = self.input.split_first() else { return 0 };
        self.input = rest;
        *first
    }

    fn room(&mut self, shape: &Shape) -> usize {
        let at = self.bytes.len().next_multiple_of(8);
        self.bytes.resize(at + shape.size(), 0);
        at
    }

    fn set(&mut self, at: usize, word: u32) {
        if let Some(place) = self.bytes.get_mut(at..at + 4) {
            place.copy_from_slice(&word.to_le_bytes());
        }
    }

    fn fill(&mut self, shape: &Shape, at: usize) {
        match shape {
            One(of) => self.bytes[at] = self.next() % of,
            Half => self.bytes[at..at + 2].copy_from_slice(&[self.input.len() as u8, self.input.len() as u8 % 3]),
            Long => self.bytes[at] = self.next(),
            Text => self.text(at),
            List(item) => self.list(item, at),
            Record(fields) => {
                let mut place = at;
                for field in *fields {
                    place = place.next_multiple_of(field.align());
                    self.fill(field, place);
                    place += field.size();
                }
            }
            Cases(cases) => {
                let case = usize::from(self.next()) % cases.len();
                self.bytes[at] = u8::try_from(case).expect("few");
                if let Some(payload) = &cases[case] {
                    self.fill(payload, at + shape.align());
                }
            }
        }
    }

    fn text(&mut self, at: usize) {
        const WORDS: [&str; 12] = [
            "https://t.example/p?a=",
            "HTTP://T.EXAMPLE:80/",
            "https://t.example@evil.example/",
            "ftp://t.example/",
            "Content-Type",
            "X-Key",
            "application/json",
            "\r\nHost: evil.example\r\n",
            "\u{2028}\u{1b}[31m",
            "ü",
            "{click_id}",
            "EUR",
        ];
        let begins = usize::from(self.next());
        let mut text = WORDS.get(begins).map(|word| word.as_bytes().to_vec()).unwrap_or_default();
        let length = match self.next() {
            250.. => {
                // A long text that is not in the input.
                text.resize(text.len() + (usize::from(self.next()) << 6), b'a');
                0
            }
            short => usize::from(short) % 64,
        };
        let length = length.min(self.input.len());
        let (own, rest) = self.input.split_at(length);
        self.input = rest;
        text.extend(own);
        let place = self.bytes.len();
        self.bytes.extend(&text);
        self.pair(at, place, text.len());
    }

    fn list(&mut self, item: &Shape, at: usize) {
        let length = match self.next() {
            // Many elements that use the same bytes.
            255 => {
                let many = usize::from(self.next()) << 8;
                return self.pair(at, HEADER, many);
            }
            few => usize::from(few) % 40,
        };
        let place = self.bytes.len().next_multiple_of(8);
        self.bytes.resize(place + length * item.size(), 0);
        for index in 0..length {
            self.fill(item, place + index * item.size());
        }
        self.pair(at, place, length);
    }

    fn pair(&mut self, at: usize, place: usize, length: usize) {
        self.set(at, BASE + u32::try_from(place).expect("small"));
        self.set(at + 4, u32::try_from(length).expect("small"));
    }

    /// Changes up to three words to arbitrary values.
    fn bend(&mut self) {
        for _ in 0..self.next() % 4 {
            let at = usize::from(u16::from_le_bytes([self.next(), self.next() % 2]));
            let word = u32::from_le_bytes([self.next(), self.next(), self.next(), self.next()]);
            self.set(at, word);
        }
    }
}
