//! Arguments that are one of a few words: what is said of other words, and what shells complete, is made from these.

use clap::builder::{PossibleValuesParser, TypedValueParser};

/// Reads one of these, each as it is written.
pub(super) fn one_of<T>(all: &'static [T], written: fn(T) -> &'static str) -> impl TypedValueParser<Value = T>
where
    T: Copy + Send + Sync + 'static,
{
    let words = PossibleValuesParser::new(all.iter().map(|it| written(*it)));
    words.map(move |word| {
        let found = all.iter().find(|it| written(**it) == word);
        *found.expect("clap lets these words through alone")
    })
}
