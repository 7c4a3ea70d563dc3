//! The inputs of a credential: an object of texts and booleans whose names only the credential's type knows.

use chandler_core::credentials::{Given, GivenInputs};
use chandler_model::errors::{Code, Path};

use super::read::{Read, Wrong};
use super::tree::{self, Node};

/// Inputs by name, null ones included.
#[derive(Debug, Default)]
pub(crate) struct InputsGiven(pub(crate) GivenInputs);

impl Read for InputsGiven {
    fn read(node: Node, at: &Path, wrong: &mut Wrong) -> Option<Self> {
        let Node::Object(members) = node else { return wrong.note(at, Code::WrongType { want: "object" }) };
        let before = wrong.count();
        let mut inputs = GivenInputs::new();
        for (name, node) in members {
            let value = match node {
                Node::Null => Given::Null,
                Node::Bool(flag) => Given::Flag(flag),
                Node::Text(text) => text.into(),
                _ => {
                    wrong.note::<()>(&at.then(tree::echo(&name)), Code::WrongType { want: "string or boolean" });
                    continue;
                }
            };
            inputs.insert(name, value);
        }
        (wrong.count() == before).then_some(Self(inputs))
    }
}
