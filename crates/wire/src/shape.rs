//! What a frame is, before it is read as a request: the transport asks, to tell a request from a routing id.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::text::Text;

/// Whether a frame is a JSON object that has the key `command_type`, whatever else is right or wrong with it.
pub fn has_command_type(frame: &[u8]) -> bool {
    serde_json::from_slice::<Shape>(frame).is_ok_and(|shape| shape.has_command_type)
}

struct Shape {
    has_command_type: bool,
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ShapeVisitor;
        impl<'de> Visitor<'de> for ShapeVisitor {
            type Value = Shape;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a JSON object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Shape, M::Error> {
                let mut shape = Shape { has_command_type: false };
                while let Some((key, _)) = map.next_entry::<Text<'de>, IgnoredAny>()? {
                    shape.has_command_type |= key.0 == "command_type";
                }
                Ok(shape)
            }
        }
        deserializer.deserialize_map(ShapeVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::has_command_type;

    #[test]
    fn only_an_object_with_the_key_has_it() {
        for (frame, has) in [
            (&br#"{"command_type":"os"}"#[..], true),
            (br#" {"spam":[{}],"command_type":null} "#, true),
            (br#"{"command\u005ftype":1}"#, true),
            (br#"{"spam":{"command_type":1}}"#, false),
            (br#"["command_type"]"#, false),
            (br#"{"command_type":"os""#, false),
            (b"{}", false),
            (b"", false),
            (b"\x00\x80\x00\x00\x29", false),
        ] {
            assert_eq!(has_command_type(frame), has, "{}", frame.escape_ascii());
        }
    }
}
