#pragma once

#include <cstdint>
#include <initializer_list>

#include "base/core/result.h"
#include "gateway/core/plan.h"

namespace tidegate::gateway {

/// What a worker may be able to do beside answering a prompt once.
enum class Ability : std::uint8_t { kChoices, kLogprobs, kPenalties, kLogitBias, kCount, kEmbed };

class AbilitySet {
 public:
  constexpr AbilitySet() = default;
  constexpr AbilitySet(std::initializer_list<Ability> abilities) {
    for (const Ability ability : abilities) add(ability);
  }
  constexpr void add(Ability ability) { bits_ |= bit(ability); }
  constexpr bool has(Ability ability) const { return (bits_ & bit(ability)) != 0; }
  /// Has each of `others`.
  constexpr bool covers(AbilitySet others) const { return (others.bits_ & ~bits_) == 0; }
  constexpr bool operator==(const AbilitySet&) const = default;

 private:
  static constexpr std::uint32_t bit(Ability ability) { return std::uint32_t{1} << static_cast<unsigned>(ability); }
  std::uint32_t bits_ = 0;
};

/// What a worker must be able to do to answer the plan as it is asked.
AbilitySet needs_of(const Plan& plan);

/// Why a worker that can do `abilities` only cannot answer the plan.
/// Fails: invalid_argument/unsupported_parameter, naming the first field that asks for too much;
/// invalid_argument/embeddings_unsupported.
Status check_abilities(const Plan& plan, AbilitySet abilities);

}  // namespace tidegate::gateway
