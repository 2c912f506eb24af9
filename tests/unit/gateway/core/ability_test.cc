#include "gateway/core/ability.h"

#include <gtest/gtest.h>

namespace tidegate::gateway {
namespace {

TEST(Ability, APlainRequestNeedsNothingOfAWorker) {
  Plan plan;
  plan.sampling.repetition_penalty = 1;
  EXPECT_EQ(needs_of(plan), AbilitySet());
  EXPECT_TRUE(check_abilities(plan, {}));
}

TEST(Ability, EachFieldNeedsItsOwn) {
  Plan plan;
  plan.sampling.n = 2;
  plan.sampling.logprobs = 0;
  plan.sampling.frequency_penalty = -1;
  plan.sampling.logit_bias[3] = 1;
  const AbilitySet all{Ability::kChoices, Ability::kLogprobs, Ability::kPenalties, Ability::kLogitBias};
  EXPECT_EQ(needs_of(plan), all);
  EXPECT_TRUE(check_abilities(plan, all));
  EXPECT_FALSE(AbilitySet({Ability::kChoices}).covers(all));
  const auto refused = check_abilities(plan, {Ability::kChoices, Ability::kLogprobs, Ability::kLogitBias});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().field, "frequency_penalty") << "by the name that the client used";
  EXPECT_EQ(refused.error().reason, "unsupported_parameter");
  EXPECT_EQ(check_abilities(plan, {}).error().field, "n");
}

TEST(Ability, VectorsNeedAModelThatMakesThem) {
  Plan plan;
  plan.embed = {{"a"}};
  EXPECT_EQ(needs_of(plan), AbilitySet{Ability::kEmbed});
  EXPECT_TRUE(check_abilities(plan, {Ability::kEmbed}));
  EXPECT_EQ(check_abilities(plan, {Ability::kChoices}).error().reason, "embeddings_unsupported");
  EXPECT_EQ(check_abilities(plan, {}).error().field, "model");
}

}  // namespace
}  // namespace tidegate::gateway
