//! Enums whose variants are one word of text, the same word in the database, in URLs and in JSON.

/// Implements `WORDS`, `as_str`, `from_word` and `Display` for an enum.
#[macro_export]
macro_rules! text_enum {
    ($name:ident { $($variant:ident => $word:literal),+ $(,)? }) => {
        impl $name {
            /// Every word, in the order of declaration; error messages list them.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The word that stands for this variant.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The variant of this word, case-sensitive; `None` for an unknown word.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
