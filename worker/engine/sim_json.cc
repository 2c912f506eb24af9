#include "worker/engine/sim_json.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/json/json_dump.h"
#include "worker/engine/philox.h"

namespace tidegate::worker {
namespace {

constexpr std::array<std::string_view, 8> kJsonWords = {"moon", "tide", "gate", "river", "月", "潮", "门", "江"};
constexpr int kDepthShallow = 6;  ///< from here on only what must be there
constexpr int kJsonDepthMax = 16;
constexpr int kNodesMax = 256;
constexpr std::int64_t kItemsMax = 8;
constexpr std::int64_t kTextMax = 64;  ///< characters, unless minLength asks for more
constexpr std::int64_t kLongTextMax = 1'024;

/// Samples of the formats that schemas name.
constexpr std::array<std::pair<std::string_view, std::string_view>, 9> kFormats = {{
    {"date-time", "2026-01-01T00:00:00Z"},
    {"date", "2026-01-01"},
    {"time", "00:00:00Z"},
    {"duration", "PT1H"},
    {"email", "sim@example.com"},
    {"hostname", "example.com"},
    {"ipv4", "192.0.2.1"},
    {"ipv6", "2001:db8::1"},
    {"uuid", "00000000-0000-4000-8000-000000000000"},
}};

json::value text_value(std::string_view text) { return json::value(json::string(text.data(), text.size())); }

class Maker {
 public:
  Maker(const json::value& root, std::uint64_t seed) : root_(root), seed_(seed) {}

  json::value make(const json::value& schema, int depth) {
    if (!schema.is_object() || depth > kJsonDepthMax || ++nodes_ > kNodesMax) return nullptr;
    const json::object& from = schema.get_object();
    if (const json::value* target = reference(from)) return make(*target, depth + 1);
    if (const json::value* only = from.if_contains("const")) return *only;
    if (const json::value* values = from.if_contains("enum"); is_list(values)) return pick(values->get_array());
    for (const std::string_view name : {"anyOf", "oneOf"}) {
      const json::value* choices = from.if_contains(name);
      if (!is_list(choices)) continue;
      const json::array& list = choices->get_array();
      return make(depth < kDepthShallow ? list.front() : list.back(), depth + 1);
    }
    const std::string_view type = type_of(from, depth);
    if (type == "object") return make_object(from, depth);
    if (type == "array") return make_array(from, depth);
    if (type == "integer" || type == "number") return make_number(from, type == "integer");
    if (type == "boolean") return draw() < 0.5;
    if (type == "null") return nullptr;
    return make_text(from);
  }

 private:
  static bool is_list(const json::value* value) {
    return value != nullptr && value->is_array() && !value->get_array().empty();
  }
  static std::int64_t count(const json::object& from, std::string_view name, std::int64_t otherwise) {
    const json::value* value = from.if_contains(name);
    return value != nullptr && value->is_int64() && value->get_int64() >= 0 ? value->get_int64() : otherwise;
  }
  double draw() { return philox_unit(seed_, static_cast<std::uint64_t>(draws_++)); }
  const json::value& pick(const json::array& values) {
    return values[static_cast<std::size_t>(draw() * static_cast<double>(values.size()))];
  }
  std::string_view word() { return kJsonWords[static_cast<std::size_t>(draw() * static_cast<double>(kJsonWords.size()))]; }

  const json::value* reference(const json::object& from) const {
    const json::value* name = from.if_contains("$ref");
    if (name == nullptr || !name->is_string()) return nullptr;
    const std::string_view target(name->get_string());
    if (target == "#") return &root_;
    if (!target.starts_with("#/")) return nullptr;
    boost::json::error_code missing;
    return root_.find_pointer(target.substr(1), missing);
  }

  static std::string_view type_of(const json::object& from, int depth) {
    const json::value* type = from.if_contains("type");
    if (type != nullptr && type->is_string()) return std::string_view(type->get_string());
    if (is_list(type)) {
      const json::array& types = type->get_array();
      const json::value& one = depth < kDepthShallow ? types.front() : types.back();
      if (one.is_string()) return std::string_view(one.get_string());
    }
    if (from.contains("properties")) return "object";
    return from.contains("items") ? "array" : "string";
  }

  json::value make_object(const json::object& from, int depth) {
    json::object made;
    const json::value* properties = from.if_contains("properties");
    if (properties == nullptr || !properties->is_object()) return made;
    const json::value* required = from.if_contains("required");
    for (const auto& member : properties->get_object()) {
      const std::string_view key = member.key();
      const auto is_key = [&](const json::value& name) {
        return name.is_string() && std::string_view(name.get_string()) == key;
      };
      const bool is_needed = is_list(required) && std::ranges::any_of(required->get_array(), is_key);
      if (depth >= kDepthShallow && !is_needed) continue;
      made[member.key()] = make(member.value(), depth + 1);
    }
    return made;
  }

  json::value make_array(const json::object& from, int depth) {
    const std::int64_t least = std::min(count(from, "minItems", depth < kDepthShallow ? 1 : 0), kItemsMax);
    const std::int64_t items = std::min(least, count(from, "maxItems", kItemsMax));
    json::array made;
    const json::value* schema = from.if_contains("items");
    for (std::int64_t i = 0; i < items; ++i) made.push_back(schema != nullptr ? make(*schema, depth + 1) : text_value(word()));
    return made;
  }

  static double bound(const json::object& from, std::string_view name, double otherwise) {
    const json::value* value = from.if_contains(name);
    return value != nullptr && value->is_number() ? value->to_number<double>() : otherwise;
  }

  json::value make_number(const json::object& from, bool is_integer) const {
    const bool has_low = from.contains("minimum") || from.contains("exclusiveMinimum");
    const double high = std::min(bound(from, "maximum", 1e9), bound(from, "exclusiveMaximum", 1e9 + 1) - 1);
    const double low = std::max(bound(from, "minimum", -1e9), bound(from, "exclusiveMinimum", -1e9 - 1) + 1);
    const double wanted = has_low ? low : std::min(7.0, high);
    if (!is_integer) return wanted;
    const double whole = std::clamp(wanted, -1e15, 1e15);
    const auto number = static_cast<std::int64_t>(whole);
    return static_cast<double>(number) < whole ? number + 1 : number;
  }

  json::value make_text(const json::object& from) {
    const json::value* format = from.if_contains("format");
    if (format != nullptr && format->is_string()) {
      for (const auto& [name, sample] : kFormats) {
        if (std::string_view(format->get_string()) == name) return text_value(sample);
      }
    }
    const std::int64_t least = std::min(count(from, "minLength", 1), kLongTextMax);
    const std::int64_t most = std::max(least, std::min(count(from, "maxLength", kTextMax), kTextMax));
    std::string text;
    std::int64_t length = 0;
    while (length < least) {
      if (length > 0) {
        text += ' ';
        ++length;
      }
      const std::string_view next = word();
      text += next;
      length += static_cast<unsigned char>(next.front()) < 0x80 ? std::ssize(next) : 1;
    }
    if (length > most) return text_value(std::string(static_cast<std::size_t>(most), 'x'));
    return text_value(text);
  }

  const json::value& root_;
  std::uint64_t seed_;
  int draws_ = 0;
  int nodes_ = 0;
};

}  // namespace

std::string sim_json(std::string_view schema, std::uint64_t seed) {
  const auto parsed = json::parse(schema.empty() ? std::string_view("{\"type\":\"object\"}") : schema);
  if (!parsed) return "{}";
  Maker maker(*parsed, seed);
  return json::dump(maker.make(*parsed, 0));
}

std::string sim_json_object(std::uint64_t seed) {
  constexpr std::string_view kSchema =
      R"({"type":"object","properties":{"sim":{"const":true},"words":{"type":"array","items":{"type":"string"},"minItems":3}}})";
  return sim_json(kSchema, seed);
}

std::vector<std::string> sim_pieces(std::string_view text) {
  constexpr std::size_t kPieceBytes = 4;
  std::vector<std::string> pieces;
  while (!text.empty()) {
    std::size_t end = std::min(kPieceBytes, text.size());
    // Not inside of a character: their later bytes are 10xxxxxx.
    while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) ++end;
    pieces.emplace_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return pieces;
}

}  // namespace tidegate::worker
