#pragma once

#include <string>
#include <vector>

#include "base/json/json.h"

namespace tidegate::test {

/// Holds objects against a subset of the Kubernetes OpenAPI schema (tests/golden/kubernetes/schema.json). Strict: what
/// the subset does not have is a complaint, as the API server's strict field validation has it for the whole schema.
/// Knows type, properties, required, additionalProperties, items, enum, minimum, maximum, maxLength, $ref, intOrString,
/// and form: dnsLabel (RFC 1123) or labelValue.
class SchemaCheck {
 public:
  /// From the golden folder of the source tree. Throws std::runtime_error.
  static SchemaCheck load();
  explicit SchemaCheck(json::object document) : document_(std::move(document)) {}

  /// By its apiVersion and kind. One "path: what" a complaint; empty: valid. `is_whole`: required fields must be there,
  /// as in an object, but not in a patch.
  std::vector<std::string> complaints(const json::object& object, bool is_whole = true) const;

 private:
  const json::object& resolve(const json::object& schema) const;
  void check(const json::value& value, const json::object& schema, const std::string& path, bool is_whole,
             std::vector<std::string>& out) const;
  void check_object(const json::object& object, const json::object& schema, const std::string& path, bool is_whole,
                    std::vector<std::string>& out) const;
  json::object document_;
};

}  // namespace tidegate::test
