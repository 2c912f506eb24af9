#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/random.h"
#include "base/json/json.h"

/// A plain validator of the supported subset, and random schemas, values and mutations. Written without the compiler's
/// code: it looks at whole values, where the compiler builds automata.
namespace tidegate::worker::grammar {

class SchemaOracle {
 public:
  explicit SchemaOracle(const json::value& root) : root_(root) {}

  bool valid(const json::value& value) const { return holds({&root_}, value); }

 private:
  using Schemas = std::vector<const json::value*>;

  const json::value& resolved(const json::value& reference) const {
    const std::string text(reference.get_string());
    if (text == "#") return root_;
    return root_.get_object().at("$defs").get_object().at(text.substr(text.rfind('/') + 1));
  }

  // Follows references and allOf; every anyOf is decided by trying.
  bool holds(Schemas open, const json::value& value, Schemas plain = {}) const {
    while (!open.empty()) {
      const json::value* schema = open.front();
      open.erase(open.begin());
      if (schema->is_bool()) {
        if (!schema->get_bool()) return false;
        continue;
      }
      const json::object& from = schema->get_object();
      plain.push_back(schema);
      Schemas next;
      if (const auto* reference = from.if_contains("$ref")) next.push_back(&resolved(*reference));
      if (const auto* all = from.if_contains("allOf")) {
        for (const json::value& part : all->get_array()) next.push_back(&part);
      }
      open.insert(open.begin(), next.begin(), next.end());
      if (const auto* any = from.if_contains("anyOf")) {
        return std::ranges::any_of(any->get_array(), [&](const json::value& one) {
          Schemas chosen = open;
          chosen.push_back(&one);
          return holds(chosen, value, plain);
        });
      }
    }
    return plain_holds(plain, value);
  }

  static bool has_type(std::string_view type, const json::value& value) {
    if (type == "null") return value.is_null();
    if (type == "boolean") return value.is_bool();
    if (type == "integer") return value.is_int64();
    if (type == "number") return value.is_number();
    if (type == "string") return value.is_string();
    if (type == "array") return value.is_array();
    return value.is_object();
  }

  static std::string kind(const json::value& value) {
    return value.is_object()   ? "object"
           : value.is_array()  ? "array"
           : value.is_string() ? "string"
           : value.is_number() ? "number"
                               : "";
  }

  bool plain_holds(const Schemas& plain, const json::value& value) const {
    bool typed = false, listed = false, speaks = false, speaks_of_it = false;
    for (const json::value* schema : plain) {
      const json::object& from = schema->get_object();
      if (const auto* type = from.if_contains("type")) {
        typed = true;
        if (type->is_array()) {
          if (std::ranges::none_of(type->get_array(),
                                   [&](const json::value& one) { return has_type(one.get_string(), value); }))
            return false;
        } else if (!has_type(type->get_string(), value)) {
          return false;
        }
      }
      if (const auto* values = from.if_contains("enum")) {
        listed = true;
        if (std::ranges::find(values->get_array(), value) == values->get_array().end()) return false;
      }
      if (const auto* only = from.if_contains("const")) {
        listed = true;
        if (*only != value) return false;
      }
      if (!number_holds(from, value) || !string_holds(from, value)) return false;
      for (const auto& [words, its] : {std::pair<std::vector<const char*>, const char*>{
                                           {"properties", "required", "additionalProperties"}, "object"},
                                       {{"items", "prefixItems", "minItems", "maxItems"}, "array"},
                                       {{"minLength", "maxLength", "pattern", "format"}, "string"},
                                       {{"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}, "number"}}) {
        for (const char* word : words) {
          if (!from.contains(word)) continue;
          speaks = true;
          speaks_of_it = speaks_of_it || kind(value) == its;
        }
      }
    }
    if (!typed && !listed && speaks && !speaks_of_it) return false;
    if (listed) return true;
    if (value.is_object()) return object_holds(plain, value.get_object());
    return !value.is_array() || array_holds(plain, value.get_array());
  }

  static bool number_holds(const json::object& from, const json::value& value) {
    if (!value.is_number()) return true;
    const double number = value.to_number<double>();
    const auto bound = [&](const char* word, auto good) {
      const auto* given = from.if_contains(word);
      return given == nullptr || good(given->to_number<double>());
    };
    return bound("minimum", [&](double b) { return number >= b; }) &&
           bound("maximum", [&](double b) { return number <= b; }) &&
           bound("exclusiveMinimum", [&](double b) { return number > b; }) &&
           bound("exclusiveMaximum", [&](double b) { return number < b; });
  }

  static bool string_holds(const json::object& from, const json::value& value) {
    if (!value.is_string()) return true;
    const std::string text(value.get_string());
    const auto length =
        std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; });
    if (const auto* least = from.if_contains("minLength"); least != nullptr && length < least->get_int64())
      return false;
    if (const auto* most = from.if_contains("maxLength"); most != nullptr && length > most->get_int64()) return false;
    if (const auto* pattern = from.if_contains("pattern")) {
      if (!std::regex_search(text, std::regex(std::string(pattern->get_string())))) return false;
    }
    return !from.contains("format") || is_date(text);
  }

  static bool is_date(const std::string& text) {
    if (!std::regex_match(text, std::regex("\\d{4}-\\d{2}-\\d{2}"))) return false;
    const int year = std::stoi(text), month = std::stoi(text.substr(5)), day = std::stoi(text.substr(8));
    const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    const int days = month == 2 ? (leap ? 29 : 28) : month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
    return month >= 1 && month <= 12 && day >= 1 && day <= days;
  }

  bool object_holds(const Schemas& plain, const json::object& value) const {
    std::vector<std::string> order;
    bool named = false, said = false;
    const auto mention = [&](std::string_view name) {
      if (std::ranges::find(order, name) == order.end()) order.emplace_back(name);
    };
    for (const json::value* schema : plain) {
      const auto* properties = schema->get_object().if_contains("properties");
      said = said || schema->get_object().contains("additionalProperties");
      named = named || properties != nullptr;
      if (properties == nullptr) continue;
      for (const auto& member : properties->get_object()) mention(member.key());
    }
    for (const json::value* schema : plain) {
      const auto* required = schema->get_object().if_contains("required");
      if (required == nullptr) continue;
      for (const json::value& name : required->get_array()) {
        mention(name.get_string());
        if (!value.contains(name.get_string())) return false;
      }
    }
    std::size_t last = 0;
    for (const auto& member : value) {
      const auto place =
          static_cast<std::size_t>(std::ranges::find(order, std::string_view(member.key())) - order.begin());
      if (place < last) return false;
      last = place;
      if (place == order.size() && named && !said) return false;
      Schemas schemas;
      for (const json::value* schema : plain) {
        const json::object& from = schema->get_object();
        const auto* properties = from.if_contains("properties");
        const json::value* own = properties == nullptr ? nullptr : properties->get_object().if_contains(member.key());
        if (own == nullptr) own = from.if_contains("additionalProperties");
        if (own != nullptr) schemas.push_back(own);
      }
      if (!holds(schemas, member.value())) return false;
    }
    return true;
  }

  bool array_holds(const Schemas& plain, const json::array& value) const {
    bool first = false, more = false;
    std::size_t longest = 0;
    for (const json::value* schema : plain) {
      const json::object& from = schema->get_object();
      if (const auto* least = from.if_contains("minItems");
          least != nullptr && static_cast<std::int64_t>(value.size()) < least->get_int64())
        return false;
      if (const auto* most = from.if_contains("maxItems");
          most != nullptr && static_cast<std::int64_t>(value.size()) > most->get_int64())
        return false;
      more = more || from.contains("items");
      if (const auto* prefix = from.if_contains("prefixItems")) {
        first = true;
        longest = std::max(longest, prefix->get_array().size());
      }
    }
    if (first && !more && value.size() > longest) return false;
    for (std::size_t n = 0; n < value.size(); ++n) {
      Schemas schemas;
      for (const json::value* schema : plain) {
        const json::object& from = schema->get_object();
        const auto* prefix = from.if_contains("prefixItems");
        const json::value* own =
            prefix != nullptr && n < prefix->get_array().size() ? &prefix->get_array()[n] : from.if_contains("items");
        if (own != nullptr) schemas.push_back(own);
      }
      if (!holds(schemas, value[n])) return false;
    }
    return true;
  }

  const json::value& root_;
};

/// Compact, escapes only where JSON demands them.
inline std::string spelled(const json::value& value) {
  if (value.is_double()) return fmt::format("{}", value.get_double());
  if (value.is_array()) {
    std::string out = "[";
    for (const json::value& one : value.get_array()) out += (out.size() > 1 ? "," : "") + spelled(one);
    return out + "]";
  }
  if (value.is_object()) {
    std::string out = "{";
    for (const auto& member : value.get_object()) {
      out += (out.size() > 1 ? "," : "") + json::serialize(json::value(member.key())) + ":" + spelled(member.value());
    }
    return out + "}";
  }
  return json::serialize(value);
}

class RandomJson {
 public:
  /// With `bounded`, every value of the schema has a bounded text.
  RandomJson(Rng& rng, bool bounded) : rng_(rng), bounded_(bounded) {}

  json::value schema() {
    json::value root = object_schema(2);
    json::object defs;
    defs["d0"] = chance(2) ? schema(0) : array_schema(1);
    defs["d1"] = json::object{{"anyOf", json::array{object_schema(1), json::object{{"type", "null"}}}}};
    defs["d2"] = json::object{
        {"type", "object"},
        {"properties", json::object{{"v", schema(0)},
                                    {"n", json::object{{"anyOf", json::array{json::object{{"$ref", "#/$defs/d2"}},
                                                                             json::object{{"type", "null"}}}}}}}},
        {"required", json::array{"n"}}};
    root.get_object()["$defs"] = defs;
    return root;
  }

  json::value value_of(const json::value& schema, const json::value& root, int depth = 0) {
    if (schema.is_bool() || depth > 12) return junk();
    const json::object& from = schema.get_object();
    if (const auto* reference = from.if_contains("$ref")) {
      const std::string text(reference->get_string());
      return value_of(root.get_object().at("$defs").get_object().at(text.substr(text.rfind('/') + 1)), root, depth + 1);
    }
    if (const auto* any = from.if_contains("anyOf")) {
      const json::array& list = any->get_array();
      return value_of(list[depth > 6 ? list.size() - 1 : below(list.size())], root, depth);
    }
    if (const auto* all = from.if_contains("allOf")) {
      json::object both;
      for (const json::value& part : all->get_array()) {
        const json::value one = value_of(part, root, depth);
        if (!one.is_object()) return one;
        for (const auto& member : one.get_object()) both.emplace(member.key(), member.value());
      }
      return both;
    }
    if (const auto* values = from.if_contains("enum")) return values->get_array()[below(values->get_array().size())];
    if (const auto* only = from.if_contains("const")) return *only;
    const auto* type = from.if_contains("type");
    if (type == nullptr) return junk();
    const std::string name(type->is_array() ? type->get_array()[below(type->get_array().size())].get_string()
                                            : type->get_string());
    const auto number = [&](const char* word, std::int64_t otherwise) {
      const auto* given = from.if_contains(word);
      return given == nullptr ? otherwise : static_cast<std::int64_t>(given->to_number<double>());
    };
    if (name == "null") return nullptr;
    if (name == "boolean") return below(2) == 0;
    if (name == "integer" || name == "number") {
      const std::int64_t low = number("minimum", -1000), high = number("maximum", low + 2000);
      const std::int64_t whole =
          low + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(std::max<std::int64_t>(1, high - low + 1))));
      if (name == "integer" || below(2) == 0) return whole;
      return static_cast<double>(whole) + 0.5;
    }
    if (name == "string") return string_of(from, number("minLength", 0), number("maxLength", 8));
    if (name == "array") {
      json::array out;
      const auto* prefix = from.if_contains("prefixItems");
      const auto* items = from.if_contains("items");
      const std::int64_t least = number("minItems", 0), most = number("maxItems", 3);
      const std::int64_t count =
          least +
          static_cast<std::int64_t>(below(static_cast<std::uint64_t>(std::max<std::int64_t>(1, most - least + 1))));
      for (std::int64_t n = 0; n < count; ++n) {
        if (prefix != nullptr && static_cast<std::size_t>(n) < prefix->get_array().size()) {
          out.push_back(value_of(prefix->get_array()[static_cast<std::size_t>(n)], root, depth + 1));
        } else if (items != nullptr) {
          out.push_back(value_of(*items, root, depth + 1));
        }
      }
      return out;
    }
    json::object out;
    const auto* required = from.if_contains("required");
    if (const auto* properties = from.if_contains("properties")) {
      for (const auto& member : properties->get_object()) {
        const bool needed =
            required != nullptr &&
            std::ranges::find(required->get_array(), json::value(member.key())) != required->get_array().end();
        if (needed || (below(2) == 0 && depth < 6)) out[member.key()] = value_of(member.value(), root, depth + 1);
      }
    }
    if (const auto* others = from.if_contains("additionalProperties"); others != nullptr && below(2) == 0) {
      out[name_of(20 + below(5))] = value_of(*others, root, depth + 1);
    }
    return out;
  }

  /// One change somewhere.
  void mutate(json::value& value) {
    if (value.is_object() && !value.get_object().empty() && below(3) > 0) {
      json::object& object = value.get_object();
      switch (below(5)) {
        case 0:
          object.erase(object.begin() + static_cast<std::ptrdiff_t>(below(object.size())));
          return;
        case 1:
          object[name_of(below(25))] = junk();
          return;
        case 2: {  // first to last
          const std::string key(object.begin()->key());
          json::value first = object.begin()->value();
          json::object turned;
          for (auto it = object.begin() + 1; it != object.end(); ++it) turned[it->key()] = it->value();
          turned[key] = std::move(first);
          object = std::move(turned);
          return;
        }
        default:
          mutate((object.begin() + static_cast<std::ptrdiff_t>(below(object.size())))->value());
          return;
      }
    }
    if (value.is_array() && !value.get_array().empty() && below(3) > 0) {
      json::array& array = value.get_array();
      switch (below(4)) {
        case 0:
          array.erase(array.begin() + static_cast<std::ptrdiff_t>(below(array.size())));
          return;
        case 1:
          array.push_back(json::value(array[below(array.size())]));
          return;
        default:
          mutate(array[below(array.size())]);
          return;
      }
    }
    if (value.is_int64() && below(2) == 0) {
      value = value.get_int64() + static_cast<std::int64_t>(below(2000)) - 1000;
      return;
    }
    if (value.is_string() && below(2) == 0) {
      value.get_string() += below(2) == 0 ? "x" : "月\n";
      return;
    }
    value = junk();
  }

 private:
  std::uint64_t below(std::uint64_t bound) { return rng_.below(bound); }
  bool chance(std::uint64_t one_in) { return below(one_in) == 0; }

  static std::string name_of(std::uint64_t n) {
    static const std::vector<std::string> kOdd = {"a", "ab", "abc", "月", "月光", "q\"", "", "tab\t"};
    return n < kOdd.size() ? kOdd[n] : fmt::format("p{}", n);
  }

  json::value junk() {
    switch (below(9)) {
      case 0:
        return nullptr;
      case 1:
        return true;
      case 2:
        return static_cast<std::int64_t>(below(200)) - 100;
      case 3:
        return static_cast<double>(below(100)) + 0.25;
      case 4:
        return "x";
      case 5:
        return "line\n\"月\\";
      case 6:
        return json::array{1, "x"};
      case 7:
        return json::object{{"a", 1}};
      default:
        return json::object();
    }
  }

  json::value string_of(const json::object& from, std::int64_t least, std::int64_t most) {
    if (from.contains("format"))
      return json::value(fmt::format("{:04}-{:02}-{:02}", below(3000), 1 + below(12), 1 + below(28)));
    if (const auto* pattern = from.if_contains("pattern")) {
      const auto found = std::ranges::find_if(
          patterns(), [&](const auto& one) { return one.first == std::string_view(pattern->get_string()); });
      return json::value(found->second[below(found->second.size())]);
    }
    static const std::vector<std::string> kPieces = {"a", "月", "\"", "\\", "\n", "\x01", "🌙", " ", "{", "é"};
    std::string out;
    const std::int64_t count =
        least +
        static_cast<std::int64_t>(below(static_cast<std::uint64_t>(std::max<std::int64_t>(1, most - least + 1))));
    for (std::int64_t n = 0; n < count; ++n) out += kPieces[below(kPieces.size())];
    return json::value(out);
  }

  static const std::vector<std::pair<std::string, std::vector<std::string>>>& patterns() {
    static const std::vector<std::pair<std::string, std::vector<std::string>>> kPatterns = {
        {"^[A-Z]{2,3}-[0-9]{1,4}$", {"AB-1", "XYZ-9999"}},
        {"^(ab|c){1,3}$", {"ab", "cabc"}},
        {"^\\d{3}(-\\d{2})?$", {"123", "123-45"}},
        {"^$", {""}},
    };
    return kPatterns;
  }

  json::value schema(int depth) {
    switch (below(depth > 0 ? 14 : 8)) {
      case 0:
        return json::object{{"type", chance(2) ? "null" : "boolean"}};
      case 1:
      case 2:
        return number_schema();
      case 3:
      case 4:
        return string_schema();
      case 5:
        return json::object{{"enum", json::array{"red", 1, nullptr, "月\"", json::array{1, json::object{{"k", 2}}}}}};
      case 6:
        return json::object{{"const", junk()}};
      case 7:
        return bounded_ || !chance(3)
                   ? json::value(json::object{{"type", json::array{"integer", "null"}}, {"minimum", 5}})
                   : json::value(json::object());
      case 8:
      case 9:
        return object_schema(depth - 1);
      case 10:
        return array_schema(depth - 1);
      case 11:
        return json::object{{"anyOf", json::array{schema(depth - 1), schema(depth - 1), schema(0)}}};
      case 12:
        return json::object{{"$ref", fmt::format("#/$defs/d{}", below(3))}};
      default:
        return json::object{{"allOf", json::array{closed_part("a", depth - 1), closed_part("月", depth - 1)}}};
    }
  }

  json::value closed_part(const char* name, int depth) {
    return json::object{{"type", "object"},
                        {"properties", json::object{{name, schema(depth)},
                                                    {"both", json::object{{"type", "integer"}, {"minimum", 3}}}}},
                        {"required", json::array{name}}};
  }

  json::value number_schema() {
    json::object out{{"type", chance(2) ? "integer" : "number"}};
    if (bounded_ || !chance(3)) {
      const auto low = static_cast<std::int64_t>(below(400)) - 200;
      out["minimum"] = low;
      out[chance(2) ? "maximum" : "exclusiveMaximum"] = low + 1 + static_cast<std::int64_t>(below(300));
    }
    return out;
  }

  json::value string_schema() {
    json::object out{{"type", "string"}};
    if (chance(4)) {
      out["pattern"] = patterns()[below(patterns().size())].first;
    } else if (chance(6)) {
      out["format"] = "date";
    } else {
      if (bounded_ || chance(2)) out["maxLength"] = static_cast<std::int64_t>(below(12)) + 2;
      if (chance(2)) out["minLength"] = static_cast<std::int64_t>(below(3));
    }
    return out;
  }

  json::value array_schema(int depth) {
    json::object out{{"type", "array"}};
    if (chance(3)) out["prefixItems"] = json::array{schema(depth), schema(depth)};
    if (chance(2) || !out.contains("prefixItems")) out["items"] = schema(depth);
    if (bounded_ || chance(2)) out["maxItems"] = static_cast<std::int64_t>(below(3)) + 1;
    if (chance(2)) out["minItems"] = static_cast<std::int64_t>(below(2));
    return out;
  }

  json::value object_schema(int depth) {
    json::object properties;
    json::array required;
    for (std::uint64_t n = below(5); n > 0; --n) {
      const std::string name = name_of(below(14));
      if (properties.contains(name)) continue;
      properties[name] = schema(depth);
      if (chance(2)) required.emplace_back(name);
    }
    json::object out{{"type", "object"}, {"properties", std::move(properties)}};
    if (!required.empty()) out["required"] = std::move(required);
    if (!bounded_ && chance(3)) out["additionalProperties"] = chance(3) ? json::value(true) : schema(0);
    if (chance(5)) out["additionalProperties"] = false;
    return out;
  }

  Rng& rng_;
  bool bounded_;
};

}  // namespace tidegate::worker::grammar
