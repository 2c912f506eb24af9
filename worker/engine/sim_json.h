#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tidegate::worker {

/// JSON that follows the shape of `schema`, on one line: types, properties, required, items, enum, const, anyOf, $ref within
/// the schema, and the bounds of numbers, texts and arrays. Patterns are not followed. The same schema and seed give the
/// same text; a few kilobytes at most, whatever the schema asks. "" stands for a schema of no parameters.
std::string sim_json(std::string_view schema, std::uint64_t seed);

/// The object of an answer that may be any.
std::string sim_json_object(std::uint64_t seed);

/// `text` in pieces of about four bytes, each of whole characters: as a model would write it.
std::vector<std::string> sim_pieces(std::string_view text);

}  // namespace tidegate::worker
