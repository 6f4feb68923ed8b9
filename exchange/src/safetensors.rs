//! A state dict as a safetensors file: 8 bytes that say how long the header is, the header in JSON, the tensors' bytes.
//!
//! Written here and not by the crate `safetensors`, which reads: it orders the notes of the header by chance, and the same
//! checkpoint is to give the same file.

use std::fmt::Write;

use crate::exported::Exported;
use crate::state_dict::{Entry, Place, entries};

/// The bytes of a safetensors file that PyTorch's `load_state_dict` takes strictly. Tensors of 8-byte numbers go first, so
/// that all lie aligned.
pub fn safetensors(exported: &Exported<'_>) -> Vec<u8> {
    let mut entries = entries(exported.plan);
    entries.sort_by_key(|entry| entry.place != Place::Steps);
    let header = header(exported, &entries);
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    for entry in &entries {
        match &entry.place {
            Place::Parameters(words) => extend(&mut bytes, &exported.parameters[words.clone()]),
            Place::Statistics(words) => {
                extend(&mut bytes, &exported.running_statistics[words.clone()]);
            }
            Place::Steps => bytes.extend((exported.manifest.step as i64).to_le_bytes()),
        }
    }
    bytes
}

/// The header, filled up with blanks to a multiple of 8 bytes.
fn header(exported: &Exported<'_>, entries: &[Entry]) -> Vec<u8> {
    let text = |text: &str| serde_json::Value::from(text).to_string();
    let mut header = String::from("{\"__metadata__\":{\"format\":\"pt\"");
    for (key, value) in exported.notes() {
        write!(header, ",{}:{}", text(key), text(&value)).expect("a String takes all text");
    }
    header.push('}');
    let mut offset = 0;
    for Entry { name, shape, place } in entries {
        let (dtype, bytes) = match place {
            Place::Parameters(words) | Place::Statistics(words) => ("F32", 4 * words.len()),
            Place::Steps => ("I64", 8),
        };
        let end = offset + bytes;
        let name = text(name);
        write!(
            header,
            ",{name}:{{\"dtype\":\"{dtype}\",\"shape\":{shape:?},\"data_offsets\":[{offset},{end}]}}"
        )
        .expect("a String takes all text");
        offset = end;
    }
    header.push('}');
    let mut header = header.into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    header
}

fn extend(bytes: &mut Vec<u8>, words: &[f32]) {
    bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
}
