//! What one file declares, imports and names, from its tokens.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A path as written, without `r#`.
pub(super) type Names = Vec<String>;

/// What a module says outside of tests.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// Modules in files of their own.
    pub(super) files: Vec<String>,
    /// Modules in this file.
    pub(super) inner: Vec<(String, Said)>,
    /// Names of what it defines.
    pub(super) defined: BTreeSet<String>,
    pub(super) imports: Vec<Import>,
    /// Paths of two names or more in its code.
    pub(super) paths: Vec<Names>,
}

/// One leaf of a `use` declaration.
#[derive(Debug)]
pub(super) struct Import {
    /// What is imported.
    pub(super) path: Names,
    /// The name it has here; `*` for all that the path has.
    pub(super) name: String,
    /// Whether others may import it from here.
    pub(super) is_re_export: bool,
}

/// Keywords before the name of what a module defines.
const DEFINING: &[&str] = &[
    "fn",
    "struct",
    "enum",
    "union",
    "trait",
    "type",
    "const",
    "static",
    "macro_rules",
];

/// Reads the tokens of a module.
pub(super) fn read(tokens: TokenStream) -> Said {
    let mut said = Said::default();
    said.take(&tokens.into_iter().collect::<Vec<_>>());
    said
}

impl Said {
    fn take(&mut self, tokens: &[TokenTree]) {
        let mut at = 0;
        let mut is_public = false;
        while at < tokens.len() {
            if let Some(end) = attribute(tokens, at) {
                at = if is_for_tests(&tokens[at..end]) {
                    after_item(tokens, end)
                } else {
                    end
                };
                continue;
            }
            let word = word(tokens, at);
            match word.as_deref() {
                Some("pub") => {
                    is_public = true;
                    at += 1 + usize::from(group(tokens, at + 1, Delimiter::Parenthesis).is_some());
                    continue;
                }
                Some("use") => {
                    let end = until(tokens, at, ';');
                    let mut imports = Vec::new();
                    tree(&tokens[at + 1..end], &[], &mut imports);
                    self.imports
                        .extend(imports.into_iter().map(|(path, name)| Import {
                            path,
                            name,
                            is_re_export: is_public,
                        }));
                    at = end;
                }
                Some("mod") => at = self.module(tokens, at),
                Some(keyword) if DEFINING.contains(&keyword) => {
                    let name_at = at + 1 + usize::from(is(tokens, at + 1, '!'));
                    // `const fn f`, `const _: ...`, `unsafe extern ...`
                    self.defined.extend(self::word(tokens, name_at));
                    at += 1;
                    continue;
                }
                Some(_) => {
                    let (path, end) = path(tokens, at);
                    if path.len() > 1 {
                        self.paths.push(path);
                    }
                    at = end;
                    continue;
                }
                None => {
                    if let TokenTree::Group(group) = &tokens[at] {
                        self.take_code(group.stream());
                    }
                }
            }
            is_public = false;
            at += 1;
        }
    }

    /// Code defines nothing that others can name, but may import.
    fn take_code(&mut self, tokens: TokenStream) {
        let mut inside = read(tokens);
        self.paths.append(&mut inside.paths);
        for import in &mut inside.imports {
            import.is_re_export = false;
        }
        self.imports.append(&mut inside.imports);
    }

    fn module(&mut self, tokens: &[TokenTree], at: usize) -> usize {
        let Some(name) = word(tokens, at + 1) else {
            return at;
        };
        match group(tokens, at + 2, Delimiter::Brace) {
            Some(body) => self.inner.push((name, read(body))),
            None => self.files.push(name),
        }
        at + 2
    }
}

/// The end of the attribute that begins here.
fn attribute(tokens: &[TokenTree], at: usize) -> Option<usize> {
    let bracket = at + 1 + usize::from(is(tokens, at + 1, '!'));
    let is_one = is(tokens, at, '#') && group(tokens, bracket, Delimiter::Bracket).is_some();
    is_one.then_some(bracket + 1)
}

fn is_for_tests(attribute: &[TokenTree]) -> bool {
    attribute.iter().any(|token| {
        let text = token.to_string().replace(' ', "");
        text == "[cfg(test)]" || text.starts_with("[cfg(all(test,")
    })
}

/// Behind the item that begins here: its body, or the semicolon that ends it.
fn after_item(tokens: &[TokenTree], mut at: usize) -> usize {
    while at < tokens.len() {
        if let Some(end) = attribute(tokens, at) {
            at = end;
            continue;
        }
        at += 1;
        let is_end = is(tokens, at - 1, ';')
            || is(tokens, at - 1, ',')
            || group(tokens, at - 1, Delimiter::Brace).is_some();
        if is_end {
            break;
        }
    }
    at
}

/// The names of a path, and where it ends.
fn path(tokens: &[TokenTree], mut at: usize) -> (Names, usize) {
    let mut names = Vec::new();
    while let Some(name) = word(tokens, at) {
        names.push(name);
        at += 1;
        if !(is(tokens, at, ':') && is(tokens, at + 1, ':')) {
            break;
        }
        at += 2;
    }
    (names, at.max(1))
}

/// The leaves of a `use` tree: path and name.
fn tree(tokens: &[TokenTree], before: &[String], found: &mut Vec<(Names, String)>) {
    let mut at = 0;
    while at < tokens.len() {
        let mut names = before.to_vec();
        let mut name = None;
        while at < tokens.len() && !is(tokens, at, ',') {
            match word(tokens, at) {
                Some(word) if word == "as" => {
                    name = self::word(tokens, at + 1);
                    at += 1;
                }
                Some(word) if word == "self" && !names.is_empty() => {}
                Some(word) => names.push(word),
                None if is(tokens, at, '*') => name = Some("*".to_owned()),
                None => {
                    if let Some(inside) = group(tokens, at, Delimiter::Brace) {
                        tree(&inside.into_iter().collect::<Vec<_>>(), &names, found);
                        names.clear();
                    }
                }
            }
            at += 1;
        }
        at += 1;
        if let Some(last) = names.last().cloned() {
            found.push((names, name.unwrap_or(last)));
        }
    }
}

fn until(tokens: &[TokenTree], mut at: usize, end: char) -> usize {
    while at < tokens.len() && !is(tokens, at, end) {
        at += 1;
    }
    at
}

fn is(tokens: &[TokenTree], at: usize, sign: char) -> bool {
    matches!(tokens.get(at), Some(TokenTree::Punct(found)) if found.as_char() == sign)
}

fn word(tokens: &[TokenTree], at: usize) -> Option<String> {
    match tokens.get(at) {
        Some(TokenTree::Ident(name)) => Some(name.to_string().trim_start_matches("r#").to_owned()),
        _ => None,
    }
}

fn group(tokens: &[TokenTree], at: usize, delimiter: Delimiter) -> Option<TokenStream> {
    match tokens.get(at) {
        Some(TokenTree::Group(group)) if group.delimiter() == delimiter => Some(group.stream()),
        _ => None,
    }
}
