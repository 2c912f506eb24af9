#include "worker/engine/grammar/schema_facts.h"

#include <fmt/format.h>

#include <algorithm>

#include "worker/engine/grammar/formats.h"

namespace tidegate::worker::grammar {
namespace {

template <typename T>
void add_once(std::vector<T>& to, const T& value) {
  if (std::ranges::find(to, value) == to.end()) to.push_back(value);
}

std::uint8_t types_of(const json::value& value) {
  if (value.is_null()) return type::kNull;
  if (value.is_bool()) return type::kBoolean;
  if (value.is_string()) return type::kString;
  if (value.is_array()) return type::kArray;
  if (value.is_object()) return type::kObject;
  const auto decimal = Decimal::of(value);
  return !decimal || !decimal->fraction.empty() ? type::kFraction : type::kInteger;
}

std::optional<std::uint8_t> type_named(std::string_view name) {
  if (name == "null") return type::kNull;
  if (name == "boolean") return type::kBoolean;
  if (name == "integer") return type::kInteger;
  if (name == "number") return type::kNumber;
  if (name == "string") return type::kString;
  if (name == "array") return type::kArray;
  if (name == "object") return type::kObject;
  return std::nullopt;
}

// Reads the keywords of one schema after the other into SchemaFacts.
class Reader {
 public:
  Reader(SchemaFacts& facts, const SchemaDocument& document) : facts_(facts), document_(document) {}

  Status read(const Schemas& plain) {
    std::uint8_t inferred = 0;
    bool typed = false;
    for (const json::value* schema : plain) {
      at_ = schema;
      const json::object& from = schema->get_object();
      for (const auto& member : from) {
        inferred |= assertion_types(std::string_view(member.key())).value_or(0);
        typed = typed || member.key() == "type";
      }
      TG_TRY(read_type(from));
      TG_TRY(read_values(from));
      TG_TRY(read_numbers(from));
      TG_TRY(read_strings(from));
      TG_TRY(read_counts(from));
    }
    if (!typed && inferred != 0 && !facts_.values) facts_.types = inferred;
    TG_TRY(read_objects(plain));
    TG_TRY(read_arrays(plain));
    return filter_values(inferred);
  }

 private:
  std::unexpected<Error> invalid(std::string_view keyword, std::string_view what) const {
    return document_.error("schema_invalid", what, *at_, keyword);
  }
  std::unexpected<Error> unsupported(std::string_view keyword, std::string_view what) const {
    return document_.error("schema_unsupported", what, *at_, keyword);
  }

  Status read_type(const json::object& from) {
    if (const json::value* nullable = from.if_contains("nullable")) {
      if (!nullable->is_bool() || nullable->get_bool())
        return unsupported("nullable", "write \"type\": [..., \"null\"]");
    }
    const json::value* given = from.if_contains("type");
    if (given == nullptr) return {};
    std::uint8_t types = 0;
    const auto add = [&](const json::value& name) {
      const auto named = name.is_string() ? type_named(std::string_view(name.get_string())) : std::nullopt;
      types |= named.value_or(0);
      return named.has_value();
    };
    bool good = true;
    if (given->is_array()) {
      for (const json::value& name : given->get_array()) good = good && add(name);
      good = good && types != 0;
    } else {
      good = add(*given);
    }
    if (!good) return invalid("type", "must be one of the seven JSON schema types, or a list of them");
    facts_.types &= types;
    return {};
  }

  Status read_values(const json::object& from) {
    if (const json::value* given = from.if_contains("const")) keep_values({given});
    const json::value* given = from.if_contains("enum");
    if (given == nullptr) return {};
    if (!given->is_array() || given->get_array().empty())
      return invalid("enum", "must be a list of at least one value");
    std::vector<const json::value*> values;
    for (const json::value& value : given->get_array()) values.push_back(&value);
    keep_values(values);
    return {};
  }

  void keep_values(const std::vector<const json::value*>& values) {
    if (!facts_.values) {
      facts_.values = values;
      return;
    }
    std::erase_if(*facts_.values, [&](const json::value* value) {
      return std::ranges::none_of(values, [&](const json::value* other) { return *other == *value; });
    });
  }

  Status read_numbers(const json::object& from) {
    struct Kind {
      std::string_view keyword;
      bool low, inclusive;
    };
    for (const Kind& kind : {Kind{"minimum", true, true},
                             {"exclusiveMinimum", true, false},
                             {"maximum", false, true},
                             {"exclusiveMaximum", false, false}}) {
      const json::value* given = from.if_contains(kind.keyword);
      if (given == nullptr) continue;
      if (!given->is_number()) return invalid(kind.keyword, "must be a number");
      auto at = Decimal::of(*given);
      if (!at) return unsupported(kind.keyword, at.error().message);
      const Bound bound{*std::move(at), kind.inclusive};
      if (kind.low) {
        facts_.numbers.at_least(bound);
      } else {
        facts_.numbers.at_most(bound);
      }
    }
    if (const json::value* given = from.if_contains("multipleOf")) {
      const bool one = given->is_int64() && given->get_int64() == 1;
      if (!one) return unsupported("multipleOf", "only 1 is supported, and means \"type\": \"integer\"");
      facts_.types &= static_cast<std::uint8_t>(~type::kFraction);
    }
    return {};
  }

  Result<std::uint32_t> count(const json::object& from, std::string_view keyword, std::uint32_t otherwise) const {
    const json::value* given = from.if_contains(keyword);
    if (given == nullptr) return otherwise;
    constexpr std::int64_t kCountMax = 1 << 30;
    std::int64_t value = -1;
    if (given->is_int64()) value = given->get_int64();
    if (given->is_double() && given->get_double() >= 0 && given->get_double() <= static_cast<double>(kCountMax))
      value = static_cast<std::int64_t>(given->get_double());
    if (value < 0 || value > kCountMax) return invalid(keyword, "must be a whole number from 0 to 1073741824");
    return static_cast<std::uint32_t>(value);
  }

  Status read_strings(const json::object& from) {
    TG_ASSIGN(const std::uint32_t least, count(from, "minLength", 0));
    TG_ASSIGN(const std::uint32_t most, count(from, "maxLength", kUnbounded));
    facts_.characters_least = std::max(facts_.characters_least, least);
    facts_.characters_most = std::min(facts_.characters_most, most);
    if (const json::value* given = from.if_contains("pattern")) {
      if (!given->is_string()) return invalid("pattern", "must be a string");
      add_once(facts_.patterns, std::string(given->get_string()));
    }
    if (const json::value* given = from.if_contains("format")) {
      if (!given->is_string()) return invalid("format", "must be a string");
      const auto pattern = format_pattern(std::string_view(given->get_string()));
      if (!pattern) return unsupported("format", fmt::format("only {} are supported", known_formats()));
      add_once(facts_.patterns, std::string(*pattern));
    }
    return {};
  }

  Status read_counts(const json::object& from) {
    TG_ASSIGN(const std::uint32_t least, count(from, "minItems", 0));
    TG_ASSIGN(const std::uint32_t most, count(from, "maxItems", kUnbounded));
    facts_.items_least = std::max(facts_.items_least, least);
    facts_.items_most = std::min(facts_.items_most, most);
    if (const json::value* given = from.if_contains("uniqueItems")) {
      if (!given->is_bool() || given->get_bool()) return unsupported("uniqueItems", "only false is supported");
    }
    return {};
  }

  // What a schema says of a property it does not name: its additionalProperties if it has any.
  static const json::value* others_of(const json::value& schema) {
    return schema.get_object().if_contains("additionalProperties");
  }

  Status read_objects(const Schemas& plain) {
    bool names_some = false;
    for (const json::value* schema : plain) {
      at_ = schema;
      const json::object& from = schema->get_object();
      if (const json::value* given = from.if_contains("properties")) {
        if (!given->is_object()) return invalid("properties", "must be an object");
        names_some = true;
        for (const auto& member : given->get_object()) property(std::string_view(member.key()));
      }
    }
    for (const json::value* schema : plain) {
      at_ = schema;
      const json::value* given = schema->get_object().if_contains("required");
      if (given == nullptr) continue;
      if (!given->is_array()) return invalid("required", "must be a list of property names");
      for (const json::value& name : given->get_array()) {
        if (!name.is_string()) return invalid("required", "must be a list of property names");
        property(std::string_view(name.get_string())).required = true;
      }
    }
    bool explicit_others = false;
    for (const json::value* schema : plain) {
      const json::value* named = schema->get_object().if_contains("properties");
      const json::value* others = others_of(*schema);
      for (SchemaFacts::Property& one : facts_.properties) {
        const json::value* own = named == nullptr ? nullptr : named->get_object().if_contains(one.name);
        if (own == nullptr) own = others;
        if (own != nullptr) add_once(one.schemas, own);
      }
      if (others == nullptr) continue;
      explicit_others = true;
      add_once(facts_.other_property, others);
    }
    // A schema that names properties and is silent about others gets no others: all that is said is valid, and a model
    // does not wander off.
    facts_.other_properties = explicit_others || !names_some;
    for (const json::value* schema : facts_.other_property) {
      if (schema->is_bool() && !schema->get_bool()) facts_.other_properties = false;
    }
    return {};
  }

  SchemaFacts::Property& property(std::string_view name) {
    for (auto& one : facts_.properties) {
      if (one.name == name) return one;
    }
    return facts_.properties.emplace_back(SchemaFacts::Property{std::string(name), {}, false});
  }

  Status read_arrays(const Schemas& plain) {
    bool names_first = false;
    bool names_more = false;
    std::size_t first = 0;
    for (const json::value* schema : plain) {
      at_ = schema;
      const json::object& from = schema->get_object();
      if (const json::value* items = from.if_contains("items")) {
        if (items->is_array()) return unsupported("items", "a list is written 'prefixItems'");
        names_more = true;
        add_once(facts_.more_item, items);
      }
      if (const json::value* given = from.if_contains("prefixItems")) {
        if (!given->is_array()) return invalid("prefixItems", "must be a list of schemas");
        names_first = true;
        first = std::max(first, given->get_array().size());
      }
    }
    facts_.first_items.resize(first);
    for (const json::value* schema : plain) {
      const json::value* own = schema->get_object().if_contains("prefixItems");
      const json::value* items = schema->get_object().if_contains("items");
      for (std::size_t n = 0; n < first; ++n) {
        const bool named = own != nullptr && n < own->get_array().size();
        const json::value* one = named ? &own->get_array()[n] : items;
        if (one != nullptr) add_once(facts_.first_items[n], one);
      }
    }
    facts_.more_items = names_more || !names_first;
    for (const json::value* schema : facts_.more_item) {
      if (schema->is_bool() && !schema->get_bool()) facts_.more_items = false;
    }
    return {};
  }

  // Values of an enumeration are taken as they stand, so nothing else may judge them but their type.
  Status filter_values(std::uint8_t inferred) {
    if (!facts_.values) return {};
    std::uint8_t given = 0;
    for (const json::value* value : *facts_.values) given |= types_of(*value);
    if ((given & inferred) != 0) return unsupported("enum", "'enum' and 'const' may stand beside 'type' only");
    std::erase_if(*facts_.values, [&](const json::value* value) { return (types_of(*value) & facts_.types) == 0; });
    return {};
  }

  SchemaFacts& facts_;
  const SchemaDocument& document_;
  const json::value* at_ = nullptr;
};

}  // namespace

Result<SchemaFacts> SchemaFacts::of(const Schemas& plain, const SchemaDocument& document) {
  SchemaFacts facts;
  TG_TRY(Reader(facts, document).read(plain));
  facts.numbers.integer = (facts.types & type::kFraction) == 0;
  return facts;
}

}  // namespace tidegate::worker::grammar
