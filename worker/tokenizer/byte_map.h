#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tidegate::worker {

/// Byte-level vocabularies spell each byte as one printable character (GPT-2's map): printable Latin-1 stands
/// for itself, the other 68 bytes are U+0100, U+0101, ... in byte order. Returns the bytes that such a
/// spelling stands for; nullopt if a character is outside the map.
std::optional<std::string> bytes_of_spelling(std::string_view spelling);
/// The other way: how a vocabulary spells these bytes.
std::string spelling_of_bytes(std::string_view bytes);

}  // namespace tidegate::worker
