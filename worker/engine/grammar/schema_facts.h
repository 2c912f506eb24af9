#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/core/result.h"
#include "base/json/json.h"
#include "worker/engine/grammar/automaton.h"
#include "worker/engine/grammar/number_range.h"
#include "worker/engine/grammar/schema_document.h"

namespace tidegate::worker::grammar {

/// All keywords of FlatSchema::plain, put together.
struct SchemaFacts {
  std::uint8_t types = type::kAny;
  std::optional<std::vector<const json::value*>> values;  ///< enum, const

  NumberRange numbers;

  std::uint32_t characters_least = 0;
  std::uint32_t characters_most = kUnbounded;
  std::vector<std::string> patterns;  ///< those of formats included

  struct Property {
    std::string name;
    Schemas schemas;
    bool required = false;
  };
  std::vector<Property> properties;
  bool other_properties = false;
  Schemas other_property;

  std::vector<Schemas> first_items;
  bool more_items = false;
  Schemas more_item;
  std::uint32_t items_least = 0;
  std::uint32_t items_most = kUnbounded;

  /// Fails: schema_invalid, schema_unsupported.
  static Result<SchemaFacts> of(const Schemas& plain, const SchemaDocument& document);
};

}  // namespace tidegate::worker::grammar
