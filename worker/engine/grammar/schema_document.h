#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/result.h"
#include "base/json/json.h"

namespace tidegate::worker::grammar {

/// Bits of a set of types.
namespace type {
inline constexpr std::uint8_t kNull = 1, kBoolean = 2, kInteger = 4, kFraction = 8, kString = 16, kArray = 32,
                              kObject = 64;
inline constexpr std::uint8_t kNumber = kInteger | kFraction;
inline constexpr std::uint8_t kAny = 127;
}  // namespace type

/// Schemas that must all hold, as pointers into the document: what allOf, references and properties that several
/// schemas name come down to. Their order is that of first mention.
using Schemas = std::vector<const json::value*>;

/// The document and where things are in it.
class SchemaDocument {
 public:
  /// The value must outlive this.
  explicit SchemaDocument(const json::value& root) : root_(&root) {}
  const json::value& root() const { return *root_; }
  /// "#", "#/$defs/a". Fails: schema_unsupported, schema_reference.
  Result<const json::value*> resolve(const json::value& reference, const json::value& at) const;
  /// JSON pointer of a part of the document; "" is the document.
  std::string pointer_to(const json::value& part) const;
  /// An Error whose field is the pointer and whose message begins with it.
  std::unexpected<Error> error(std::string reason, std::string_view what, const json::value& at,
                               std::string_view keyword = {}) const;

 private:
  const json::value* root_;
};

/// Schemas with their references and allOf followed: keywords of `plain` hold together, and one alternative of each of
/// `choices`.
struct FlatSchema {
  Schemas plain;                            ///< objects
  std::vector<const json::array*> choices;  ///< of anyOf and oneOf
  bool impossible = false;                  ///< a schema was `false`

  /// Adds one more. Fails: schema_unsupported, schema_invalid, schema_reference, schema_recursion.
  Status add(const json::value& schema, const SchemaDocument& document);
  bool asserts() const;

 private:
  Status add(const json::value& schema, const SchemaDocument& document, Schemas& path);
  Schemas seen_;
};

/// Has $ref and, but for annotations, nothing else.
bool is_plain_reference(const json::value& schema);

/// The types that an assertion says something about (none: about every value); nullopt for a keyword that asserts
/// nothing.
std::optional<std::uint8_t> assertion_types(std::string_view keyword);

}  // namespace tidegate::worker::grammar
