#include "gateway/schema/schema_check.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "base/core/encoding.h"
#include "base/json/json_dump.h"

namespace tidegate::gateway {
namespace {

/// Schemas inside of each other while a text is read. A level of the text takes few of them, a reference to itself all.
constexpr int kSchemasOpenMax = 512;
/// Bytes of strings that are one step, of a pattern's automaton times the text, and what reading a pattern takes.
constexpr std::int64_t kBytesPerStep = 256;
constexpr std::int64_t kPatternSteps = 2'000;
constexpr std::size_t kKeyBytesShown = 64;
constexpr std::size_t kPlaceBytesShown = 256;
/// Decimals have no binary form, and the parser may be off by a few of the last bits.
constexpr long double kDecimalError = 0x1p-48L;
/// White space to the \s of a schema, and not to RE2's.
constexpr std::array<std::string_view, 20> kOtherSpaces = {
    "\v",     "\u00a0", "\u1680", "\u2000", "\u2001", "\u2002", "\u2003", "\u2004", "\u2005", "\u2006",
    "\u2007", "\u2008", "\u2009", "\u200a", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000", "\ufeff"};

enum class Held : std::uint8_t { kYes, kNo, kUnknown };

/// Where in a text, as far as the walk has come. On the walk's stack.
struct Place {
  const Place* above = nullptr;
  std::string_view key;
  std::optional<std::size_t> item = {};
};

std::string path_of(const Place& place) {
  if (place.above == nullptr) return std::string(place.key);
  const std::string above = path_of(*place.above);
  if (place.item) return fmt::format("{}[{}]", above, *place.item);
  return fmt::format("{}.{}", above, utf8_prefix(place.key, kKeyBytesShown));
}

bool is_whole(const json::value& number) { return number.is_int64() || number.is_uint64(); }

/// Exact: its mantissa has 64 bits at least.
long double exact(const json::value& number) {
  if (number.is_int64()) return static_cast<long double>(number.get_int64());
  if (number.is_uint64()) return static_cast<long double>(number.get_uint64());
  return number.get_double();
}

bool is_near(const json::value& a, const json::value& b) {
  const long double left = exact(a);
  const long double right = exact(b);
  if (is_whole(a) && is_whole(b)) return !(left < right) && !(right < left);
  return std::abs(left - right) <= std::max(std::abs(left), std::abs(right)) * kDecimalError;
}

bool is_below(const json::value& a, const json::value& b) { return exact(a) < exact(b) && !is_near(a, b); }

bool is_multiple(const json::value& number, const json::value& step) {
  if (!(exact(step) > 0)) return true;
  if (number.is_int64() && step.is_int64()) return number.get_int64() % step.get_int64() == 0;
  const long double times = exact(number) / exact(step);
  const long double off = std::abs(times - std::round(times));
  return !(off > std::abs(times) * kDecimalError);  // also of a number too large for a double
}

bool is_same(const json::value& a, const json::value& b) {
  if (a.is_number() && b.is_number()) return is_near(a, b);
  if (a.is_array() && b.is_array()) return std::ranges::equal(a.get_array(), b.get_array(), is_same);
  if (!a.is_object() || !b.is_object()) return a == b;
  const json::object& other = b.get_object();
  const auto is_there = [&](const auto& member) {
    const json::value* same = other.if_contains(member.key());
    return same != nullptr && is_same(member.value(), *same);
  };
  return a.get_object().size() == other.size() && std::ranges::all_of(a.get_object(), is_there);
}

bool has_type(const json::value& value, std::string_view type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_bool();
  if (type == "null") return value.is_null();
  if (type == "number") return value.is_number();
  if (type != "integer") return true;
  return value.is_number() && (is_whole(value) || !(std::abs(std::fmod(value.get_double(), 1.0)) > 0));
}

const json::value* number_in(const json::object& schema, std::string_view word) {
  const json::value* number = schema.if_contains(word);
  return number != nullptr && number->is_number() ? number : nullptr;
}

std::optional<std::int64_t> count_in(const json::object& schema, std::string_view word) {
  const json::value* count = schema.if_contains(word);
  return count != nullptr && count->is_int64() ? std::optional(count->get_int64()) : std::nullopt;
}

const json::array* array_in(const json::object& schema, std::string_view word) {
  const json::value* array = schema.if_contains(word);
  return array != nullptr && array->is_array() ? &array->get_array() : nullptr;
}

/// Null: none that read_schema() lets a strict schema have.
const json::value* referred(const json::value& root, std::string_view reference) {
  if (reference == "#") return &root;
  if (!reference.starts_with("#/") || !root.is_object()) return nullptr;
  reference.remove_prefix(2);
  const std::size_t end = reference.find('/');
  const std::string_view home = reference.substr(0, end);
  if (end == std::string_view::npos || (home != "$defs" && home != "definitions" && home != "$def")) return nullptr;
  const json::value* definitions = root.get_object().if_contains(home);
  if (definitions == nullptr || !definitions->is_object()) return nullptr;
  return definitions->get_object().if_contains(reference.substr(end + 1));
}

std::int64_t characters_of(std::string_view text) {
  return std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U; });
}

}  // namespace

/// Through one text. A value may meet several schemas, and the first word that it breaks ends the walk.
class SchemaCheck::Walk {
 public:
  Walk(const json::value& root, Patterns& patterns, std::int64_t& steps_left)
      : root_(root), patterns_(patterns), steps_left_(steps_left) {}

  Held follows(const json::value& schema, const json::value& value, const Place& place) {
    if (schema.is_bool() && !schema.get_bool()) return breaks(place, "false", "may not be there");
    if (!schema.is_object()) return Held::kYes;
    if (!spend(1) || open_ == kSchemasOpenMax) return Held::kUnknown;
    ++open_;
    const Held held = follows_words(schema.get_object(), value, place);
    --open_;
    return held;
  }

  /// Of a text that does not hold.
  const Error& broken() const { return broken_; }

 private:
  bool spend(std::int64_t steps) {
    steps_left_ -= steps;
    return steps_left_ >= 0;
  }

  template <typename... Args>
  Held breaks(const Place& place, std::string_view word, fmt::format_string<Args...> rule, Args&&... args) {
    if (alternatives_open_ > 0) return Held::kNo;  // another one may hold
    std::string path(utf8_prefix(path_of(place), kPlaceBytesShown));
    std::string message = fmt::format("'{}' {}", path, fmt::format(rule, std::forward<Args>(args)...));
    broken_ = Error(Code::kInvalidArgument, std::string(word), std::move(message), std::move(path));
    return Held::kNo;
  }

  Held follows_words(const json::object& schema, const json::value& value, const Place& place) {
    using Words = Held (Walk::*)(const json::object&, const json::value&, const Place&);
    constexpr std::array<Words, 8> kWords = {&Walk::follows_type,   &Walk::follows_values,   &Walk::follows_number,
                                             &Walk::follows_string, &Walk::follows_array,    &Walk::follows_object,
                                             &Walk::follows_any_of, &Walk::follows_reference};
    for (const Words words : kWords) {
      const Held held = (this->*words)(schema, value, place);
      if (held != Held::kYes) return held;
    }
    return Held::kYes;
  }

  Held follows_type(const json::object& schema, const json::value& value, const Place& place) {
    const json::value* type = schema.if_contains("type");
    if (type == nullptr) return Held::kYes;
    if (type->is_string() && has_type(value, std::string_view(type->get_string()))) return Held::kYes;
    std::vector<std::string_view> names;
    if (type->is_string()) names.emplace_back(type->get_string());
    if (type->is_array()) {
      for (const json::value& one : type->get_array()) {
        if (one.is_string()) names.emplace_back(one.get_string());
      }
    }
    const auto fits = [&](std::string_view name) { return has_type(value, name); };
    if (names.empty() || std::ranges::any_of(names, fits)) return Held::kYes;
    return breaks(place, "type", "is not of type {}", fmt::join(names, " or "));
  }

  Held follows_values(const json::object& schema, const json::value& value, const Place& place) {
    const json::value* only = schema.if_contains("const");
    if (only != nullptr && !is_same(*only, value)) return breaks(place, "const", "is not its one value");
    const json::array* values = array_in(schema, "enum");
    if (values == nullptr) return Held::kYes;
    if (!spend(std::ssize(*values))) return Held::kUnknown;
    const auto is_it = [&](const json::value& one) { return is_same(one, value); };
    if (std::ranges::any_of(*values, is_it)) return Held::kYes;
    return breaks(place, "enum", "is none of its {} values", values->size());
  }

  Held follows_number(const json::object& schema, const json::value& value, const Place& place) {
    if (!value.is_number()) return Held::kYes;
    const json::value* bound = number_in(schema, "minimum");
    if (bound != nullptr && is_below(value, *bound)) return breaks(place, "minimum", "is below {}", json::dump(*bound));
    bound = number_in(schema, "maximum");
    if (bound != nullptr && is_below(*bound, value)) return breaks(place, "maximum", "is above {}", json::dump(*bound));
    bound = number_in(schema, "exclusiveMinimum");
    if (bound != nullptr && exact(value) <= exact(*bound)) {
      return breaks(place, "exclusiveMinimum", "is not above {}", json::dump(*bound));
    }
    bound = number_in(schema, "exclusiveMaximum");
    if (bound != nullptr && exact(value) >= exact(*bound)) {
      return breaks(place, "exclusiveMaximum", "is not below {}", json::dump(*bound));
    }
    const json::value* step = number_in(schema, "multipleOf");
    if (step == nullptr || is_multiple(value, *step)) return Held::kYes;
    return breaks(place, "multipleOf", "is not a multiple of {}", json::dump(*step));
  }

  Held follows_string(const json::object& schema, const json::value& value, const Place& place) {
    if (!value.is_string()) return Held::kYes;
    const std::string_view text(value.get_string());
    const auto least = count_in(schema, "minLength");
    const auto most = count_in(schema, "maxLength");
    if (least || most) {
      if (!spend(std::ssize(text) / kBytesPerStep)) return Held::kUnknown;
      const std::int64_t characters = characters_of(text);
      if (least && characters < *least) {
        return breaks(place, "minLength", "has {} characters of at least {}", characters, *least);
      }
      if (most && characters > *most) {
        return breaks(place, "maxLength", "has {} characters of at most {}", characters, *most);
      }
    }
    const json::value* pattern = schema.if_contains("pattern");
    if (pattern == nullptr || !pattern->is_string()) return Held::kYes;
    const Held held = matches(std::string_view(pattern->get_string()), text);
    return held == Held::kNo ? breaks(place, "pattern", "does not match its pattern") : held;
  }

  Held matches(std::string_view pattern, std::string_view text) {
    auto known = patterns_.find(pattern);
    if (known == patterns_.end()) {
      if (!spend(kPatternSteps)) return Held::kUnknown;
      auto compiled = TextPattern::compile(pattern);
      // "[[:alpha:]]" is a class of letters to RE2, and one of six characters to a schema.
      const bool is_other_class = pattern.contains("[:") && pattern.contains(":]");
      std::optional<TextPattern> readable;
      if (compiled && !is_other_class) readable.emplace(*std::move(compiled));
      known = patterns_.emplace(std::string(pattern), std::move(readable)).first;
    }
    const std::optional<TextPattern>& expression = known->second;
    if (!expression) return Held::kYes;
    if (!spend(std::ssize(text) * expression->steps() / kBytesPerStep)) return Held::kUnknown;
    if (expression->matches(text)) return Held::kYes;
    const auto is_in_text = [&](std::string_view space) { return text.contains(space); };
    const bool has_spaces = pattern.contains("\\s");
    return has_spaces && std::ranges::any_of(kOtherSpaces, is_in_text) ? Held::kYes : Held::kNo;
  }

  Held follows_array(const json::object& schema, const json::value& value, const Place& place) {
    if (!value.is_array()) return Held::kYes;
    const json::array& items = value.get_array();
    const auto least = count_in(schema, "minItems");
    if (least && std::ssize(items) < *least) {
      return breaks(place, "minItems", "has {} items of at least {}", items.size(), *least);
    }
    const auto most = count_in(schema, "maxItems");
    if (most && std::ssize(items) > *most) {
      return breaks(place, "maxItems", "has {} items of at most {}", items.size(), *most);
    }
    const json::value* rule = schema.if_contains("items");
    if (rule == nullptr || schema.contains("prefixItems")) return Held::kYes;
    if (!spend(std::ssize(items))) return Held::kUnknown;
    for (std::size_t i = 0; i < items.size(); ++i) {
      const Place here{&place, {}, i};
      const Held held = follows(*rule, items[i], here);
      if (held != Held::kYes) return held;
    }
    return Held::kYes;
  }

  Held follows_object(const json::object& schema, const json::value& value, const Place& place) {
    if (!value.is_object()) return Held::kYes;
    const json::object& members = value.get_object();
    if (const json::array* required = array_in(schema, "required")) {
      if (!spend(std::ssize(*required))) return Held::kUnknown;
      for (const json::value& name : *required) {
        if (!name.is_string() || members.contains(name.get_string())) continue;
        const std::string_view missing(name.get_string());
        return breaks(place, "required", "lacks '{}'", utf8_prefix(missing, kKeyBytesShown));
      }
    }
    const json::value* properties = schema.if_contains("properties");
    const bool has_names = properties != nullptr && properties->is_object();
    const bool has_patterns = schema.contains("patternProperties");
    const json::value* others = has_patterns ? nullptr : schema.if_contains("additionalProperties");
    if (!has_names && others == nullptr) return Held::kYes;
    if (!spend(std::ssize(members))) return Held::kUnknown;
    for (const auto& member : members) {
      const Place here{&place, member.key()};
      const json::value* rule = has_names ? properties->get_object().if_contains(member.key()) : nullptr;
      const bool is_other = rule == nullptr;
      if (is_other) rule = others;
      if (rule == nullptr) continue;
      if (is_other && rule->is_bool() && !rule->get_bool()) {
        return breaks(here, "additionalProperties", "is no property of the schema");
      }
      const Held held = follows(*rule, member.value(), here);
      if (held != Held::kYes) return held;
    }
    return Held::kYes;
  }

  Held follows_any_of(const json::object& schema, const json::value& value, const Place& place) {
    const json::array* choices = array_in(schema, "anyOf");
    if (choices == nullptr || choices->empty()) return Held::kYes;
    Held held = Held::kNo;
    ++alternatives_open_;
    for (const json::value& choice : *choices) {
      held = follows(choice, value, place);
      if (held != Held::kNo) break;
    }
    --alternatives_open_;
    return held == Held::kNo ? breaks(place, "anyOf", "follows none of its {} alternatives", choices->size()) : held;
  }

  Held follows_reference(const json::object& schema, const json::value& value, const Place& place) {
    const json::value* reference = schema.if_contains("$ref");
    if (reference == nullptr || !reference->is_string()) return Held::kYes;
    const json::value* target = referred(root_, std::string_view(reference->get_string()));
    return target == nullptr ? Held::kYes : follows(*target, value, place);
  }

  const json::value& root_;
  Patterns& patterns_;
  std::int64_t& steps_left_;
  int open_ = 0;
  int alternatives_open_ = 0;
  Error broken_;
};

Result<SchemaCheck> SchemaCheck::open(std::string_view schema) {
  TG_ASSIGN(json::value parsed, json::parse(schema));
  return SchemaCheck(std::move(parsed));
}

Status SchemaCheck::check(std::string_view text, std::string_view name) {
  auto held = Held::kUnknown;
  Error broken;
  if (std::ssize(text) <= kTextBytesMax) {
    const auto value = json::parse(text, kTextDepthMax);
    if (!value) {
      return fail(Code::kInvalidArgument, "json",
                  fmt::format("'{}' is not JSON of at most {} levels: {}", name, kTextDepthMax, value.error().message),
                  std::string(name));
    }
    Walk walk(schema_, patterns_, steps_left_);
    const Place top{nullptr, name};
    held = walk.follows(schema_, *value, top);
    broken = walk.broken();
  }
  switch (held) {
    case Held::kYes: return {};
    case Held::kNo: return fail(std::move(broken));
    case Held::kUnknown: break;
  }
  return fail(Code::kResourceExhausted, "check_too_long", fmt::format("'{}' would take too long to check", name));
}

}  // namespace tidegate::gateway
