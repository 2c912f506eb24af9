#include "tests/support/kube/schema_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace tidegate::test {

namespace {

std::string text_of(const json::value& value) {
  return value.is_string() ? std::string(value.get_string()) : std::string();
}

std::string member(const json::object& from, std::string_view key) {
  const json::value* found = from.if_contains(key);
  return found == nullptr ? std::string() : text_of(*found);
}

bool has_type(const json::value& value, const std::string& type) {
  if (type == "string") return value.is_string();
  if (type == "integer") return value.is_int64() || value.is_uint64();
  if (type == "number") return value.is_number();
  if (type == "boolean") return value.is_bool();
  if (type == "array") return value.is_array();
  return type == "object" && value.is_object();
}

bool is_dns_label(const std::string& text) {
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !text.empty() && text.size() <= 63 && plain(text.front()) && plain(text.back()) &&
         std::all_of(text.begin(), text.end(), [&](char c) { return plain(c) || c == '-'; });
}

bool is_label_value(const std::string& text) {
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); };
  if (text.empty()) return true;
  return text.size() <= 63 && plain(text.front()) && plain(text.back()) &&
         std::all_of(text.begin(), text.end(), [&](char c) { return plain(c) || c == '-' || c == '_' || c == '.'; });
}

}  // namespace

SchemaCheck SchemaCheck::load() {
  auto document = json::parse_file(std::string(TG_SOURCE_DIR) + "/tests/golden/kubernetes/schema.json");
  if (!document) throw std::runtime_error(document.error().to_string());
  return SchemaCheck(document->as_object());
}

const json::object& SchemaCheck::resolve(const json::object& schema) const {
  const std::string name = member(schema, "$ref");
  if (name.empty()) return schema;
  const json::value* found = document_.at("definitions").as_object().if_contains(name);
  if (found == nullptr) throw std::runtime_error("the schema has no definition " + name);
  return found->as_object();
}

std::vector<std::string> SchemaCheck::complaints(const json::object& object, bool is_whole) const {
  const std::string kind = member(object, "apiVersion") + "." + member(object, "kind");
  const json::value* schema = document_.at("definitions").as_object().if_contains(kind);
  if (schema == nullptr) return {"unknown kind " + kind};
  std::vector<std::string> out;
  check(json::value(object), schema->as_object(), "", is_whole, out);
  return out;
}

void SchemaCheck::check(const json::value& value, const json::object& unresolved, const std::string& path,
                        bool is_whole, std::vector<std::string>& out) const {
  const json::object& schema = resolve(unresolved);
  if (schema.contains("intOrString")) {
    if (!value.is_int64() && !value.is_string()) out.push_back(path + ": must be a number or a text");
    return;
  }
  const std::string type = member(schema, "type");
  if (!has_type(value, type)) {
    out.push_back(fmt::format("{}: must be of type {}", path, type));
    return;
  }
  if (const json::value* choices = schema.if_contains("enum")) {
    const json::array& list = choices->as_array();
    if (std::find(list.begin(), list.end(), value) == list.end())
      out.push_back(path + ": " + json::serialize(value) + " is not a choice");
  }
  const auto number = [&](const char* key) { return schema.at(key).to_number<std::int64_t>(); };
  if (value.is_int64()) {
    if (schema.contains("minimum") && value.get_int64() < number("minimum")) out.push_back(path + ": is too small");
    if (schema.contains("maximum") && value.get_int64() > number("maximum")) out.push_back(path + ": is too large");
  }
  if (value.is_string()) {
    const std::string words = text_of(value);
    if (schema.contains("maxLength") && static_cast<std::int64_t>(words.size()) > number("maxLength"))
      out.push_back(path + ": is too long");
    const std::string form = member(schema, "form");
    if (form == "dnsLabel" && !is_dns_label(words)) out.push_back(path + ": '" + words + "' is no DNS label");
    if (form == "labelValue" && !is_label_value(words)) out.push_back(path + ": '" + words + "' is no label value");
  }
  if (value.is_array() && schema.contains("items")) {
    std::size_t i = 0;
    for (const json::value& item : value.get_array()) {
      // A list's items are whole also in a patch: it replaces them.
      check(item, schema.at("items").as_object(), fmt::format("{}[{}]", path, i++), true, out);
    }
  }
  if (value.is_object()) check_object(value.get_object(), schema, path, is_whole, out);
}

void SchemaCheck::check_object(const json::object& object, const json::object& schema, const std::string& path,
                               bool is_whole, std::vector<std::string>& out) const {
  static const json::object kNone;
  const json::value* listed = schema.if_contains("properties");
  const json::object& properties = listed == nullptr ? kNone : listed->as_object();
  const json::value* others = schema.if_contains("additionalProperties");
  for (const auto& entry : object) {
    const std::string key(entry.key().data(), entry.key().size());
    const std::string at = path + "." + key;
    if (const json::value* property = properties.if_contains(key))
      check(entry.value(), property->as_object(), at, is_whole, out);
    else if (others != nullptr)
      check(entry.value(), others->as_object(), at, is_whole, out);
    else
      out.push_back(at + ": unknown field");
  }
  const json::value* required = schema.if_contains("required");
  if (required == nullptr || !is_whole) return;
  for (const json::value& key : required->as_array()) {
    if (!object.contains(key.as_string())) out.push_back(path + "." + text_of(key) + ": is required");
  }
}

}  // namespace tidegate::test
