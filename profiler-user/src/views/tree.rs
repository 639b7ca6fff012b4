//! The tree of calls. Code of libraries is folded: of each run of it only the function that was called into is shown.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use ahash::RandomState;

use super::functions::{FunctionId, Functions};
use super::package::package_of;
use super::selection::Selection;
use super::tally::Tally;
use crate::profile::Owner;

/// Calls of a tree. A recording of millions of stacks that have nothing in common would take all memory.
const MOST_CALLS: usize = 1 << 21;
/// Names of packages that a node lists.
const MOST_PACKAGES: usize = 4;

/// What of the tree is shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TreeOptions {
    /// Fold the code of libraries.
    pub fold: bool,
    /// Leave out what has a smaller share of all samples, 0 to 1.
    pub least_share: f64,
}

/// A function below its callers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Which function.
    pub function: FunctionId,
    /// How many callers are above it.
    pub depth: usize,
    /// What it took there; with what is folded away below it.
    pub tally: Tally,
    /// Functions of libraries that are folded away below it.
    pub folded: usize,
    /// The packages that they are part of; some of them if there are many.
    pub packages: Vec<String>,
    /// Whether no node after it has the same caller.
    pub is_last: bool,
}

/// The nodes, each after its caller, of siblings the largest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// Those that are shown.
    pub nodes: Vec<Node>,
    /// How many are too small.
    pub left_out: usize,
    /// There were too many different calls: the inner parts of some stacks count as their callers' own.
    pub is_cut: bool,
}

/// Makes the tree.
#[must_use]
pub fn tree(selection: &Selection<'_>, functions: &Functions<'_>, options: TreeOptions) -> Tree {
    let growing = Growing::of(selection, functions, options.fold);
    growing.shown(selection.total(), functions, options.least_share)
}

/// A node while samples are added.
#[derive(Debug)]
struct Grown {
    function: FunctionId,
    tally: Tally,
    children: Vec<usize>,
    folded: BTreeSet<FunctionId>,
}

#[derive(Debug, Default)]
struct Growing {
    nodes: Vec<Grown>,
    roots: Vec<usize>,
    /// By caller (none: outermost) and function.
    places: HashMap<(Option<usize>, FunctionId), usize, RandomState>,
    is_cut: bool,
}

impl Growing {
    fn of(selection: &Selection<'_>, functions: &Functions<'_>, fold: bool) -> Self {
        let owners: Vec<Owner> = selection.loaded().frames.iter().map(Owner::of).collect();
        let mut growing = Self::default();
        for (stack, _, value) in selection.samples() {
            let mut at = None;
            let mut in_library = false;
            for frame in stack {
                let function = functions.id(*frame);
                let (is_library, ends_library) = match owners[frame.0 as usize] {
                    Owner::Package | Owner::StandardLibrary => (true, false),
                    // What a library runs on belongs to it.
                    Owner::Native | Owner::Interpreter | Owner::Kernel => (in_library, false),
                    Owner::Nobody => (false, false),
                    Owner::Program => (false, true),
                };
                match at {
                    Some(node) if fold && in_library && is_library => {
                        let node: &mut Grown = &mut growing.nodes[node];
                        node.folded.insert(function);
                    }
                    _ => {
                        let Some(node) = growing.child(at, function) else {
                            growing.is_cut = true;
                            break;
                        };
                        growing.nodes[node].tally.add_total(value);
                        at = Some(node);
                    }
                }
                in_library = (in_library || is_library) && !ends_library;
            }
            if let Some(node) = at {
                growing.nodes[node].tally.add_own(value);
            }
        }
        growing
    }

    /// `None` if it is new and there is no room.
    fn child(&mut self, of: Option<usize>, function: FunctionId) -> Option<usize> {
        if let Some(known) = self.places.get(&(of, function)) {
            return Some(*known);
        }
        let at = self.nodes.len();
        // The outermost ones are few, and without them the sum would be wrong.
        if at >= MOST_CALLS && of.is_some() {
            return None;
        }
        self.nodes.push(Grown {
            function,
            tally: Tally::default(),
            children: Vec::new(),
            folded: BTreeSet::new(),
        });
        self.places.insert((of, function), at);
        match of {
            Some(parent) => self.nodes[parent].children.push(at),
            None => self.roots.push(at),
        }
        Some(at)
    }

    /// Without recursion: foreign stacks are as deep as they like.
    fn shown(self, total: i64, functions: &Functions<'_>, least_share: f64) -> Tree {
        let least = least_share * total.unsigned_abs() as f64;
        let sorted = |children: &[usize]| {
            let mut children: Vec<usize> = children.to_vec();
            children.sort_by_cached_key(|at| {
                let node = &self.nodes[*at];
                (Reverse(node.tally.total), functions.get(node.function))
            });
            children
        };
        let mut tree = Tree {
            is_cut: self.is_cut,
            ..Tree::default()
        };
        // Those that come next, the last of them first.
        let mut next: Vec<(usize, usize, bool)> = Vec::new();
        let push = |children: &[usize], depth: usize, next: &mut Vec<_>| -> usize {
            let children = sorted(children);
            let is_shown = |at: &usize| self.nodes[*at].tally.total.unsigned_abs() as f64 >= least;
            let shown: Vec<usize> = children.iter().copied().filter(is_shown).collect();
            let last = shown.last().copied();
            next.extend(shown.iter().rev().map(|at| (*at, depth, Some(*at) == last)));
            children.len() - shown.len()
        };
        tree.left_out += push(&self.roots, 0, &mut next);
        while let Some((at, depth, is_last)) = next.pop() {
            let node = &self.nodes[at];
            let packages: BTreeSet<_> = node
                .folded
                .iter()
                .map(|function| package_of(functions.frame(*function)).into_owned())
                .collect();
            tree.nodes.push(Node {
                function: node.function,
                depth,
                tally: node.tally,
                folded: node.folded.len(),
                packages: packages.into_iter().take(MOST_PACKAGES).collect(),
                is_last,
            });
            tree.left_out += push(&node.children, depth + 1, &mut next);
        }
        tree
    }
}

#[cfg(test)]
mod tests {
    use super::{Tree, TreeOptions, tree};
    use crate::views::test_loaded::loaded;
    use crate::views::{Functions, Selection};

    fn shown(options: TreeOptions) -> (Vec<String>, usize) {
        let loaded = loaded();
        let selection = Selection::new(&loaded, 0, &[]);
        let functions = Functions::of(&loaded.frames);
        let Tree { nodes, left_out, .. } = tree(&selection, &functions, options);
        let line = |node: &super::Node| {
            let name = functions.get(node.function).name;
            let folded = match node.folded {
                0 => String::new(),
                count => format!(" [{count}: {}]", node.packages.join(", ")),
            };
            format!(
                "{}{} {}/{}{folded}",
                "  ".repeat(node.depth),
                name,
                node.tally.own,
                node.tally.total
            )
        };
        (nodes.iter().map(line).collect(), left_out)
    }

    #[test]
    fn libraries_are_folded_and_what_they_call_back_stands_below_them() {
        let (lines, left_out) = shown(TreeOptions {
            fold: true,
            least_share: 0.0,
        });
        assert_eq!(
            lines,
            [
                "<module> 0/100",
                "  main 10/100",
                "    fib 20/60",
                "      fib 40/40",
                "    decode 20/30 [2: json]",
                "      hook 10/10",
            ]
        );
        assert_eq!(left_out, 0);
    }

    #[test]
    fn without_folding_every_function_is_there_and_small_ones_are_left_out_if_asked() {
        let (lines, _) = shown(TreeOptions {
            fold: false,
            least_share: 0.0,
        });
        assert_eq!(
            lines[4..],
            [
                "    decode 0/30",
                "      scan 0/30",
                "        loads 20/30",
                "          hook 10/10",
            ]
        );
        let (lines, left_out) = shown(TreeOptions {
            fold: false,
            least_share: 0.35,
        });
        assert_eq!(lines.last().map(String::as_str), Some("      fib 40/40"));
        assert_eq!(
            left_out, 1,
            "the tree of a node that is too small is not looked at"
        );
    }
}
