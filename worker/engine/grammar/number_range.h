#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/core/result.h"
#include "base/json/json.h"
#include "worker/engine/grammar/automaton_builder.h"

namespace tidegate::worker::grammar {

/// A decimal number exactly as written: sign, digits before the point without leading zeros, digits after it.
struct Decimal {
  bool negative = false;
  std::string integer = "0";
  std::string fraction;

  /// Fails: invalid_argument/schema_unsupported for more than 17 digits after the point. A magnitude of 1e18 or more
  /// comes back as 1 with 18 zeros, which no generated number reaches.
  static Result<Decimal> of(const json::value& number);
  bool is_zero() const;
};
/// -1, 0 or 1.
int compare(const Decimal& a, const Decimal& b);

struct Bound {
  Decimal at;
  bool inclusive = true;
};

/// Which numbers; written without an exponent.
struct NumberRange {
  std::optional<Bound> low;
  std::optional<Bound> high;
  bool integer = false;

  void at_least(const Bound& bound);
  void at_most(const Bound& bound);
};

/// Every decimal spelling in the range (at most 18 digits before and 17 after the point) from `from` to `to`, digit by
/// digit, so there is no rounding. An empty range adds no way through.
void add_number_range(AutomatonBuilder& builder, NodeId from, const NumberRange& range, NodeId to);

}  // namespace tidegate::worker::grammar
