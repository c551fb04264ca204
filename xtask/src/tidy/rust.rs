//! A Rust file as `syn` reads it. A file that it cannot read is not the business of tidy: the compiler
//! says so better.

use syn::spanned::Spanned;
use syn::{Attribute, File};

use super::sources::Source;

pub fn parse(source: &Source) -> Option<File> {
    syn::parse_file(&source.text).ok()
}

/// Whether an item is there in tests only.
pub fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || attribute.path().is_ident("cfg")
                && attribute.parse_args::<syn::Ident>().is_ok_and(|condition| condition == "test")
    })
}

pub fn line(spanned: &impl Spanned) -> usize {
    spanned.span().start().line
}

pub fn last_line(spanned: &impl Spanned) -> usize {
    spanned.span().end().line
}
