#include "worker/engine/grammar/schema_document.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace tidegate::worker::grammar {
namespace {

// Say nothing about which values are valid.
constexpr std::array<std::string_view, 15> kAnnotations = {
    "$schema", "$id",      "$comment",   "$defs",    "definitions", "title",   "description",     "default",
    "example", "examples", "deprecated", "readOnly", "writeOnly",   "$anchor", "contentMediaType"};
constexpr std::array<std::string_view, 4> kCombinations = {"$ref", "allOf", "anyOf", "oneOf"};

struct Assertion {
  std::string_view keyword;
  std::uint8_t types;  ///< the types it says something about; 0: all
};
constexpr std::array<Assertion, 21> kAssertions = {{{"type", 0},
                                                    {"enum", 0},
                                                    {"const", 0},
                                                    {"properties", type::kObject},
                                                    {"required", type::kObject},
                                                    {"additionalProperties", type::kObject},
                                                    {"items", type::kArray},
                                                    {"prefixItems", type::kArray},
                                                    {"minItems", type::kArray},
                                                    {"maxItems", type::kArray},
                                                    {"minLength", type::kString},
                                                    {"maxLength", type::kString},
                                                    {"pattern", type::kString},
                                                    {"format", type::kString},
                                                    {"minimum", type::kNumber},
                                                    {"maximum", type::kNumber},
                                                    {"exclusiveMinimum", type::kNumber},
                                                    {"exclusiveMaximum", type::kNumber},
                                                    {"multipleOf", type::kNumber},
                                                    {"uniqueItems", type::kArray},
                                                    {"nullable", 0}}};

const Assertion* assertion(std::string_view keyword) {
  const auto found = std::ranges::find_if(kAssertions, [&](const Assertion& a) { return a.keyword == keyword; });
  return found == kAssertions.end() ? nullptr : &*found;
}

bool is_known(std::string_view keyword) {
  return std::ranges::find(kAnnotations, keyword) != kAnnotations.end() ||
         std::ranges::find(kCombinations, keyword) != kCombinations.end() || assertion(keyword) != nullptr ||
         keyword.starts_with("x-");
}

std::string unescaped(std::string_view token) {
  std::string out;
  for (std::size_t n = 0; n < token.size(); ++n) {
    if (token[n] == '~' && n + 1 < token.size() && (token[n + 1] == '0' || token[n + 1] == '1')) {
      out += token[++n] == '0' ? '~' : '/';
    } else {
      out += token[n];
    }
  }
  return out;
}

bool find_path(const json::value& from, const json::value& part, std::string& path) {
  if (&from == &part) return true;
  const std::size_t size = path.size();
  const auto try_child = [&](std::string_view name, const json::value& child) {
    path += '/';
    for (const char c : name) path += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
    if (find_path(child, part, path)) return true;
    path.resize(size);
    return false;
  };
  if (from.is_object()) {
    for (const auto& member : from.get_object()) {
      if (try_child(std::string_view(member.key()), member.value())) return true;
    }
  } else if (from.is_array()) {
    for (std::size_t n = 0; n < from.get_array().size(); ++n) {
      if (try_child(std::to_string(n), from.get_array()[n])) return true;
    }
  }
  return false;
}

}  // namespace

std::optional<std::uint8_t> assertion_types(std::string_view keyword) {
  const Assertion* found = assertion(keyword);
  return found == nullptr ? std::nullopt : std::optional(found->types);
}

std::string SchemaDocument::pointer_to(const json::value& part) const {
  std::string path;
  find_path(*root_, part, path);
  return path;
}

std::unexpected<Error> SchemaDocument::error(std::string reason, std::string_view what, const json::value& at,
                                             std::string_view keyword) const {
  std::string pointer = pointer_to(at);
  std::string message = keyword.empty() ? fmt::format("the schema at '{}': {}", pointer, what)
                                        : fmt::format("the schema at '{}': '{}': {}", pointer, keyword, what);
  if (!keyword.empty()) pointer += fmt::format("/{}", keyword);
  return fail(Code::kInvalidArgument, std::move(reason), std::move(message), std::move(pointer));
}

Result<const json::value*> SchemaDocument::resolve(const json::value& reference, const json::value& at) const {
  if (!reference.is_string()) return error("schema_invalid", "must be a string", at, "$ref");
  const std::string text(reference.get_string());
  if (!text.starts_with("#") || (text.size() > 1 && text[1] != '/'))
    return error("schema_unsupported", "only references into the same document, as '#/$defs/name', are followed", at,
                 "$ref");
  const json::value* value = root_;
  for (std::size_t begin = 1; begin < text.size();) {
    const std::size_t end = std::min(text.find('/', begin + 1), text.size());
    const std::string name = unescaped(std::string_view(text).substr(begin + 1, end - begin - 1));
    const json::value* next = nullptr;
    if (value->is_object()) next = value->get_object().if_contains(name);
    if (value->is_array()) {
      std::size_t index = 0;
      const auto [stop, code] = std::from_chars(name.data(), name.data() + name.size(), index);
      const bool whole = code == std::errc() && stop == name.data() + name.size();
      if (whole && index < value->get_array().size()) next = &value->get_array()[index];
    }
    if (next == nullptr) return error("schema_reference", fmt::format("there is nothing at '{}'", text), at, "$ref");
    value = next;
    begin = end;
  }
  return value;
}

Status FlatSchema::add(const json::value& schema, const SchemaDocument& document) {
  Schemas path;
  return add(schema, document, path);
}

Status FlatSchema::add(const json::value& schema, const SchemaDocument& document, Schemas& path) {
  if (schema.is_bool()) {
    impossible = impossible || !schema.get_bool();
    return {};
  }
  if (!schema.is_object()) return document.error("schema_invalid", "must be an object, true or false", schema);
  if (std::ranges::find(path, &schema) != path.end())
    return document.error("schema_recursion", "refers to itself with no object or array between", schema);
  if (std::ranges::find(seen_, &schema) != seen_.end()) return {};
  seen_.push_back(&schema);
  path.push_back(&schema);
  const json::object& from = schema.get_object();
  for (const auto& member : from) {
    if (!is_known(std::string_view(member.key()))) {
      return document.error("schema_unsupported",
                            "this keyword is not supported; remove it (annotations may be named x-...)", schema,
                            std::string_view(member.key()));
    }
  }
  plain.push_back(&schema);
  if (const json::value* reference = from.if_contains("$ref")) {
    TG_ASSIGN(const json::value* target, document.resolve(*reference, schema));
    TG_TRY(add(*target, document, path));
  }
  for (const std::string_view keyword : {"allOf", "anyOf", "oneOf"}) {
    const json::value* given = from.if_contains(keyword);
    if (given == nullptr) continue;
    if (!given->is_array() || given->get_array().empty())
      return document.error("schema_invalid", "must be a list of at least one schema", schema, keyword);
    if (keyword != "allOf") {
      choices.push_back(&given->get_array());
      continue;
    }
    for (const json::value& part : given->get_array()) TG_TRY(add(part, document, path));
  }
  path.pop_back();
  return {};
}

bool is_plain_reference(const json::value& schema) {
  if (!schema.is_object() || !schema.get_object().contains("$ref")) return false;
  return std::ranges::all_of(schema.get_object(), [](const auto& member) {
    const std::string_view key(member.key());
    return key == "$ref" || key.starts_with("x-") || std::ranges::find(kAnnotations, key) != kAnnotations.end();
  });
}

bool FlatSchema::asserts() const {
  return std::ranges::any_of(plain, [](const json::value* schema) {
    return std::ranges::any_of(schema->get_object(),
                               [](const auto& member) { return assertion(std::string_view(member.key())) != nullptr; });
  });
}

}  // namespace tidegate::worker::grammar
