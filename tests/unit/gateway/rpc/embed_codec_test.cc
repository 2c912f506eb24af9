#include "gateway/rpc/embed_codec.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

namespace tidegate::gateway::embed_codec_test {
namespace {

v1::EmbedRequest texts(std::initializer_list<const char*> all) {
  v1::EmbedRequest r;
  r.set_model("m");
  for (const char* text : all) r.add_input()->set_text(text);
  return r;
}

TEST(EmbedCodec, ATextOrTokenIdsAreAnInputEach) {
  auto request = texts({"a", "b"});
  request.add_input()->add_tokens(7);
  request.set_user("ann");
  request.set_service_tier("flex");
  const auto plan = decode_embed(request);
  ASSERT_TRUE(plan) << plan.error().to_string();
  ASSERT_EQ(plan->answers(), 3);
  EXPECT_EQ(plan->embed[1].text, "b");
  EXPECT_EQ(plan->embed[2].tokens, std::vector<std::int32_t>{7});
  EXPECT_EQ(plan->end_user, "ann");
  EXPECT_EQ(plan->tier, ServiceTier::kFlex);
  EXPECT_FALSE(plan->is_stream);
  EXPECT_TRUE(plan->messages.empty());
}

TEST(EmbedCodec, RefusalsNameTheFieldAsOverHttp) {
  const auto field_of = [](const v1::EmbedRequest& request) {
    const auto plan = decode_embed(request);
    EXPECT_FALSE(plan);
    return plan ? std::string() : plan.error().field;
  };
  EXPECT_EQ(field_of(texts({})), "input");
  EXPECT_EQ(field_of(texts({"a", ""})), "input[1]");
  auto both = texts({"a"});
  both.mutable_input(0)->add_tokens(5);
  EXPECT_EQ(field_of(both), "input[0]") << "which of the two?";
  auto negative = texts({"a"});
  negative.add_input()->add_tokens(-1);
  EXPECT_EQ(field_of(negative), "input[1]");
  auto tier = texts({"a"});
  tier.set_service_tier("gold");
  EXPECT_EQ(field_of(tier), "service_tier");
  auto user = texts({"a"});
  user.set_user(std::string(PlanLimits::kEndUserBytesMax + 1, 'u'));
  EXPECT_EQ(field_of(user), "user");
  auto nameless = texts({"a"});
  nameless.clear_model();
  EXPECT_EQ(field_of(nameless), "model");
}

TEST(EmbedCodec, TheLimitsAreThoseOfHttp) {
  v1::EmbedRequest many = texts({});
  for (std::int64_t i = 0; i < PlanLimits::kEmbedInputsMax; ++i) many.add_input()->set_text("x");
  EXPECT_TRUE(decode_embed(many));
  many.add_input()->set_text("x");
  EXPECT_EQ(decode_embed(many).error().field, "input");
  v1::EmbedRequest large = texts({});
  large.add_input()->set_text(std::string(PlanLimits::kPromptBytesMax + 1, 'x'));
  EXPECT_EQ(decode_embed(large).error().reason, "request_too_large");
}

TEST(EmbedCodec, AnAnswerHasItsVectorsInOrderAndIsReadAgain) {
  AnswerEnd end;
  end.embedding = {1.0F, -2.5F};
  AnswerPart other;
  other.choice = 1;
  other.embedding = {0.1F};
  end.others.push_back(std::move(other));
  end.usage = {.prompt = 9};
  end.settlement.band = "peak";
  end.settlement.receipt = "signed";
  const v1::EmbedResponse response = encode_embedding(RequestId(), "m", "bf16", end, ServiceTier::kFlex);
  EXPECT_EQ(response.model(), "m/bf16");
  ASSERT_EQ(response.vectors_size(), 2);
  EXPECT_EQ(response.vectors(0).values(1), -2.5F);
  EXPECT_EQ(response.vectors(1).values(0), 0.1F) << "the very float";
  EXPECT_EQ(response.usage().prompt_tokens(), 9);
  EXPECT_EQ(response.cost().band(), "peak");
  EXPECT_EQ(response.receipt(), "signed");
  EXPECT_EQ(response.service_tier(), "flex");
  const std::string kept = response.SerializeAsString();
  const auto again = read_kept_embedding(kept);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->SerializeAsString(), kept);
  EXPECT_EQ(read_kept_embedding("\xff").error().reason, "bad_answer");
}

}  // namespace
}  // namespace tidegate::gateway::embed_codec_test
