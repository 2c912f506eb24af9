#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json/json.h"
#include "worker/engine/grammar/automaton_builder.h"

namespace tidegate::worker::grammar {

// Numbers are bounded, or a model could write digits for ever; 18 digits fit an int64.
inline constexpr int kIntegerDigitsMax = 18;
inline constexpr int kFractionDigitsMax = 17;
inline constexpr int kExponentDigitsMax = 2;

/// The rules that every grammar shares. Compact JSON; one space may stand after '{', '[', ',' and ':' and before '}'
/// and ']'. "-0" is no integer.
struct JsonRules {
  NodeId string = 0;  ///< with counters: characters, an escape counting as the character it means
  NodeId string_body = 0;
  NodeId value = 0;
  NodeId object = 0;
  NodeId array = 0;
  NodeId number = 0;
  NodeId integer = 0;

  /// The inside of a string that spells every character in one way only, up to and including its closing quote: raw
  /// unless JSON demands an escape, and then the shortest, in lower case. Deterministic.
  NodeId canonical_body = 0;
};

/// Adds them to an empty builder.
JsonRules add_json_rules(AutomatonBuilder& builder);

/// A node after `from`, reached with one space or without.
NodeId optional_space(AutomatonBuilder& builder, NodeId from);

/// What the canonical rule accepts for this text, without quotes.
std::string canonical_text(std::string_view text);
/// A character below U+0080 that JSON demands to be escaped, in its canonical spelling; "" for any other.
std::string canonical_escape(char c);
/// Compact, strings canonical, numbers in their shortest form.
std::string canonical_json(const json::value& value);

/// From `from` (inside a key, after its opening quote): every key but `names`, closing quote included, to `to`.
void add_other_key(AutomatonBuilder& builder, const JsonRules& rules, NodeId from,
                   const std::vector<std::string>& names, NodeId to);

}  // namespace tidegate::worker::grammar
