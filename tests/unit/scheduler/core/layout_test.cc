#include "scheduler/core/layout.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "tests/unit/scheduler/core/test_shapes.h"

namespace tidegate::scheduler {
namespace {

using ::testing::HasSubstr;

/// The layout after parse and check, in words; or why not.
std::string checked(const ModelShape& shape, std::string_view text) {
  const auto layout = parse_layout(text);
  if (!layout) return layout.error().reason;
  const auto good = check_layout(shape, *layout);
  return good ? good->to_string() : good.error().message;
}

TEST(Layout, FormsAreReadWhateverTheirCaseAndOrder) {
  EXPECT_EQ(parse_layout("TP8")->ranks(), 8);
  EXPECT_EQ(parse_layout("pp2+tp8")->ranks(), 16);
  EXPECT_EQ(parse_layout("DP4+TP2+EP8")->ranks(), 8);
  EXPECT_EQ(parse_layout("DP4+TP2+EP8")->attention_groups(), 4);
  EXPECT_EQ(parse_layout("EP32")->ranks(), 32);
  EXPECT_TRUE(parse_layout("ep144+R32")->is_expert_unit);
  EXPECT_EQ(parse_layout("EP144+R32")->redundant_experts, 32);
}

TEST(Layout, NonsenseIsRefusedWithTheForms) {
  for (const char* text : {"", "8", "TP", "TP0", "TP1025", "TP-1", "TP8+TP8", "TP8+", "SP8", "TP8+R2", "TP8.5", "R4"}) {
    const auto layout = parse_layout(text);
    ASSERT_FALSE(layout) << text;
    EXPECT_EQ(layout.error().reason, "bad_layout") << text;
    EXPECT_THAT(layout.error().message, HasSubstr("DP8+EP8")) << text;
  }
}

TEST(Layout, TextIsReadBackAsItself) {
  for (const char* text : {"TP8", "TP1", "TP8+PP2", "DP8+EP8", "DP4+TP2+EP8", "TP8+EP8", "EP32+R32"}) {
    EXPECT_EQ(parse_layout(text)->to_string(), text);
  }
}

TEST(Layout, TensorParallelismCutsWholeHeads) {
  EXPECT_THAT(checked(qwen_7b_shape(), "TP8"), HasSubstr("1, 2, 4, 7, 14, 28"));
  EXPECT_EQ(checked(qwen_7b_shape(), "TP7"), "TP7");
  EXPECT_EQ(checked(v3_shape(), "TP32"), "TP32");
}

TEST(Layout, ExpertsAreDealtEvenlyAndNeedAModelThatHasThem) {
  EXPECT_EQ(checked(v3_shape(), "DP8"), "DP8+EP8");
  EXPECT_EQ(checked(v3_shape(), "EP32"), "EP32+R32");
  EXPECT_THAT(checked(v3_shape(), "DP8+EP4"), HasSubstr("must be TP x DP = 8"));
  EXPECT_THAT(checked(v3_shape(), "DP6+EP6"), HasSubstr("256 experts"));
  EXPECT_THAT(checked(v3_shape(), "DP8+PP2"), HasSubstr("PP"));
  EXPECT_THAT(checked(qwen_7b_shape(), "EP4"), HasSubstr("no experts"));
  EXPECT_THAT(checked(qwen_7b_shape(), "DP4"), HasSubstr("run that many replicas"));
  EXPECT_THAT(checked(qwen_7b_shape(), "TP4+EP4"), HasSubstr("no experts"));
}

TEST(Layout, NoStageIsEmptyAndNoReplicaEndless) {
  EXPECT_THAT(checked(v3_shape(), "PP62"), HasSubstr("61 layers"));
  EXPECT_THAT(checked(v3_shape(), "TP128+PP16"), HasSubstr("at most 1024"));
  EXPECT_THAT(checked(v3_shape(), "EP512"), HasSubstr("fewer than the ranks"));
}

TEST(Layout, CandidatesAreAllAllowedAndComeByRanks) {
  for (const ModelShape& shape : {v3_shape(), qwen_7b_shape()}) {
    const auto candidates = candidate_layouts(shape, 32);
    ASSERT_FALSE(candidates.empty());
    EXPECT_TRUE(std::is_sorted(candidates.begin(), candidates.end(),
                               [](const Layout& a, const Layout& b) { return a.ranks() < b.ranks(); }));
    for (const Layout& each : candidates) {
      EXPECT_TRUE(check_layout(shape, each)) << each.to_string();
      EXPECT_LE(each.ranks(), 32);
    }
  }
  const auto of_dense = candidate_layouts(qwen_7b_shape());
  EXPECT_TRUE(std::none_of(of_dense.begin(), of_dense.end(),
                           [](const Layout& each) { return each.data > 1 || each.expert > 1; }));
}

}  // namespace
}  // namespace tidegate::scheduler
