#include "gateway/core/ability.h"

#include <fmt/format.h>

#include <array>
#include <string>
#include <string_view>

namespace tidegate::gateway {
namespace {

/// A field that asks for something, and what that takes.
struct Need {
  std::string_view field;
  Ability ability;
  bool (*is_asked)(const PlanSampling& sampling);
};

constexpr std::array kNeeds = {
    Need{"n", Ability::kChoices, [](const PlanSampling& s) { return s.n > 1; }},
    Need{"logprobs", Ability::kLogprobs, [](const PlanSampling& s) { return s.logprobs.has_value(); }},
    Need{"presence_penalty", Ability::kPenalties, [](const PlanSampling& s) { return s.presence_penalty != 0; }},
    Need{"frequency_penalty", Ability::kPenalties, [](const PlanSampling& s) { return s.frequency_penalty != 0; }},
    Need{"repetition_penalty", Ability::kPenalties,
         [](const PlanSampling& s) { return s.repetition_penalty.value_or(1) != 1; }},
    Need{"logit_bias", Ability::kLogitBias, [](const PlanSampling& s) { return !s.logit_bias.empty(); }},
};

}  // namespace

AbilitySet needs_of(const Plan& plan) {
  AbilitySet needs;
  if (!plan.embed.empty()) needs.add(Ability::kEmbed);
  for (const Need& need : kNeeds) {
    if (need.is_asked(plan.sampling)) needs.add(need.ability);
  }
  return needs;
}

Status check_abilities(const Plan& plan, AbilitySet abilities) {
  if (!plan.embed.empty() && !abilities.has(Ability::kEmbed)) {
    return fail(Code::kInvalidArgument, "embeddings_unsupported",
                "This 'model' makes no embeddings: it answers prompts only. Use a model that is served for embeddings.",
                "model");
  }
  for (const Need& need : kNeeds) {
    if (!need.is_asked(plan.sampling) || abilities.has(need.ability)) continue;
    return fail(Code::kInvalidArgument, "unsupported_parameter",
                fmt::format("'{}' is not supported by the workers that serve this model; leave it out, send its default, "
                            "or use another model.",
                            need.field),
                std::string(need.field));
  }
  return {};
}

}  // namespace tidegate::gateway
