//! Every stable code that the product can show (of a finding, a refusal, a failure) is explained in
//! `docs/codes.md`, and nothing is explained there that the product cannot show.
//!
//! Codes are found where the source makes them: `FindingCode::of("…")`, a `codes!` table, functions
//! called `code`, and the calls that put a code together with its text.

use std::collections::BTreeMap;

use anyhow::Result;
use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

use super::sources::Sources;
use super::{Finding, rust};

const DOCUMENT: &str = "docs/codes.md";

pub fn findings(sources: &Sources) -> Result<Vec<Finding>> {
    let shown = shown(sources);
    let explained = explained(sources);
    let finding = |file: &str, line, text| Finding { file: file.to_owned(), line, rule: "code", text };
    let missing = shown.iter().filter(|(code, _)| !explained.contains_key(*code));
    let mut found: Vec<Finding> = missing
        .map(|(code, (file, line))| finding(file, *line, format!("{code} is not explained in {DOCUMENT}")))
        .collect();
    let stale = explained.iter().filter(|(code, _)| !shown.contains_key(*code));
    found
        .extend(stale.map(|(code, line)| finding(DOCUMENT, *line, format!("nothing shows the code {code}"))));
    Ok(found)
}

/// The codes of the source, each with the first place that makes it.
fn shown(sources: &Sources) -> BTreeMap<String, (String, usize)> {
    let mut shown = BTreeMap::new();
    let product = sources.rust().filter(|source| source.path.starts_with("crates/") && !source.is_test());
    for source in product.filter(|source| !source.path.contains("/benches/")) {
        let Some(file) = rust::parse(source) else { continue };
        let mut codes = Codes::default();
        codes.visit_file(&file);
        for (code, line) in codes.found {
            shown.entry(code).or_insert_with(|| (source.path.clone(), line));
        }
    }
    shown
}

/// The first cells of the document's tables: ``| `code` | …``.
fn explained(sources: &Sources) -> BTreeMap<String, usize> {
    let text = sources.get(DOCUMENT).map_or("", |file| file.text.as_str());
    let code = |line: &str| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned());
    text.lines().enumerate().filter_map(|(at, line)| Some((code(line)?, at + 1))).collect()
}

#[derive(Default)]
struct Codes {
    found: Vec<(String, usize)>,
}

impl Codes {
    fn take(&mut self, text: &syn::LitStr) {
        let code = text.value();
        let is_code = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if !code.is_empty() && code.chars().all(is_code) {
            self.found.push((code, rust::line(text)));
        }
    }

    fn take_argument(&mut self, argument: Option<&syn::Expr>) {
        if let Some(syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. })) = argument {
            self.take(text);
        }
    }

    fn take_tokens(&mut self, tokens: TokenStream) {
        for token in tokens {
            match token {
                TokenTree::Group(group) => self.take_tokens(group.stream()),
                TokenTree::Literal(_) => {
                    if let Ok(text) = syn::parse2::<syn::LitStr>(token.into()) {
                        self.take(&text);
                    }
                }
                _ => {}
            }
        }
    }
}

impl<'ast> Visit<'ast> for Codes {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !rust::is_for_tests(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if let syn::Expr::Path(function) = &*call.func {
            let names: Vec<String> = function
                .path
                .segments
                .iter()
                .rev()
                .take(2)
                .map(|segment| segment.ident.to_string())
                .collect();
            match names.iter().map(String::as_str).collect::<Vec<_>>()[..] {
                ["of", "FindingCode"] => self.take_argument(call.args.first()),
                ["new", "Failed" | "Self"] => self.take_argument(call.args.get(1)),
                _ => {}
            }
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if call.method == "finding" {
            self.take_argument(call.args.first());
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if function.sig.ident == "code" {
            let mut strings = Strings::default();
            strings.visit_block(&function.block);
            strings.found.iter().for_each(|text| self.take(text));
        }
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        if item.mac.path.is_ident("codes") {
            self.take_tokens(item.mac.tokens.clone());
        }
    }
}

#[derive(Default)]
struct Strings {
    found: Vec<syn::LitStr>,
}

impl<'ast> Visit<'ast> for Strings {
    fn visit_lit_str(&mut self, text: &'ast syn::LitStr) {
        self.found.push(text.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = r#"
        const A: FindingCode = FindingCode::of("a_one");
        codes! { B = "b_two"; }
        impl R { fn code(&self) -> &'static str { match self { Self::C => "c_three", _ => "d_four" } } }
        fn f() { Failed::new(StatusCode::NOT_FOUND, "e_five", "text".into(), ""); self.finding("f_six", "Text"); }
        #[cfg(test)]
        mod tests { fn g() { FindingCode::of("only_a_test"); } }
    "#;

    fn texts(document: &str) -> Vec<String> {
        let files = [("crates/a/src/lib.rs", SOURCE), (DOCUMENT, document)];
        let found = findings(&Sources::of(&files)).expect("no I/O");
        found.into_iter().map(|finding| finding.text).collect()
    }

    #[test]
    fn a_code_of_each_kind_has_to_be_explained() {
        let missing = ["a_one", "b_two", "c_three", "d_four", "e_five", "f_six"];
        let expected = missing.map(|code| format!("{code} is not explained in {DOCUMENT}"));
        assert_eq!(texts("A text that names a_one.\n"), expected);
    }

    #[test]
    fn an_explanation_of_nothing_is_found() {
        let rows = ["a_one", "b_two", "c_three", "d_four", "e_five", "f_six", "gone"];
        let document: String = rows.iter().map(|code| format!("| `{code}` | text |\n")).collect();
        assert_eq!(texts(&document), ["nothing shows the code gone"]);
    }
}
