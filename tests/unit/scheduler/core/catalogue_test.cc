#include "scheduler/core/catalogue.h"

#include <gmock/gmock.h>

#include "tests/unit/scheduler/core/test_catalogue.h"
#include "tests/unit/scheduler/core/test_shapes.h"

namespace tidegate::scheduler {
namespace {

std::string field_of(const Status& status) { return status ? "accepted" : status.error().field; }

TEST(CatalogueModel, CapabilitiesAreNamedAsInAnEntry) {
  EXPECT_THAT(capability_names({}), ::testing::IsEmpty());
  EXPECT_THAT(capability_names({.reasoning = true, .fim = true}), ::testing::ElementsAre("reasoning", "fim"));
}

TEST(CatalogueModel, LayoutsThatAreOfferedAreTheOnlyOnes) {
  CatalogueVariant variant;
  EXPECT_EQ(layouts_allowed(v3_shape(), variant), candidate_layouts(v3_shape()));
  variant.layouts = {{.tensor = 8}};
  EXPECT_EQ(layouts_allowed(v3_shape(), variant), variant.layouts);
}

class CheckDeployment : public ::testing::Test {
 protected:
  std::string refused_field() const { return field_of(check_deployment(deployment, catalogue)); }
  Catalogue catalogue = test_catalogue();
  Deployment deployment = tang_deployment();
};

TEST_F(CheckDeployment, GoodOneIsAccepted) { EXPECT_EQ(refused_field(), "accepted"); }
TEST_F(CheckDeployment, NameOutsideTheAlphabetIsRefused) {
  for (const char* name : {"", "Tang", "-tang", "tang/../etc", "tang moe"}) {
    deployment.name = name;
    EXPECT_EQ(refused_field(), "name") << name;
  }
  deployment.name = std::string(64, 'a');
  EXPECT_EQ(refused_field(), "name");
}
TEST_F(CheckDeployment, ReplicasAreBounded) {
  deployment.replicas = 65;
  EXPECT_EQ(refused_field(), "replicas");
  deployment.replicas = -1;
  EXPECT_EQ(refused_field(), "replicas");
  deployment.replicas = 0;
  EXPECT_EQ(refused_field(), "accepted");
}
TEST_F(CheckDeployment, UnknownModelAndVariantAreNamed) {
  deployment.model = "gpt";
  EXPECT_EQ(refused_field(), "model");
  deployment.model = "tang-moe";
  deployment.variant = "int4";
  EXPECT_EQ(refused_field(), "variant");
}
TEST_F(CheckDeployment, WeightsThatAreNotHeldHereAreRefusedBeforeAnythingStarts) {
  deployment.model = "deepseek-r1";
  const Status status = check_deployment(deployment, catalogue);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().reason, "weights_not_held");
}
TEST_F(CheckDeployment, OnlyListedOptionsWithWholeNumbersReachAWorker) {
  deployment.options = {"sim.step_ms=5", "drafts.batch_max=4"};
  EXPECT_EQ(refused_field(), "accepted");
  for (const char* bad : {"cluster_token_file=/etc/passwd", "sim.step_ms", "sim.step_ms=", "sim.step_ms=5 --x"}) {
    deployment.options = {"sim.step_ms=5", bad};
    EXPECT_EQ(refused_field(), "options[1]") << bad;
  }
}

CatalogueModel qwen_model() {
  CatalogueModel model{.name = "qwen", .architecture = "Qwen2ForCausalLM", .context_max = 131'072};
  model.shape = qwen_7b_shape();
  model.variants.push_back({.name = "bf16", .precision = "bf16", .engine = "external", .weights = Precision::kBf16});
  model.variants.push_back({.name = "small", .precision = "int4_g128", .engine = "external", .weights = Precision::kInt4});
  return model;
}

TEST(FindModel, IsFoundInAnyCaseAndMissesAreAnsweredWithTheOnesAlike) {
  const Catalogue catalogue = test_catalogue();
  EXPECT_EQ((*catalogue.find_model("Tang-MoE"))->name, "tang-moe");
  const auto alike = catalogue.find_model("tang");
  ASSERT_FALSE(alike);
  EXPECT_THAT(alike.error().message, ::testing::HasSubstr("did you mean tang-moe"));
  EXPECT_THAT(catalogue.find_model("gpt").error().message, ::testing::HasSubstr("it has deepseek-r1, sim-fast, tang-moe"));
}

TEST(FindVariant, ByNameOrPrecisionAndTheFirstWhenNothingIsAsked) {
  const CatalogueModel model = qwen_model();
  EXPECT_EQ((*find_variant(model, ""))->name, "bf16");
  EXPECT_EQ((*find_variant(model, "small"))->name, "small");
  EXPECT_EQ((*find_variant(model, "int4_g128"))->name, "small");
  EXPECT_THAT(find_variant(model, "fp8").error().message, ::testing::HasSubstr("bf16, small"));
}

TEST(FitVariant, KeepsToTheLayoutsAVariantIsOfferedIn) {
  CatalogueModel model = qwen_model();
  const AcceleratorKind card = accelerator("a10", 22.3);
  const Layout tp2{.tensor = 2};
  EXPECT_EQ(fit_variant(model, model.variants[0], tp2, card, {})->kv_tokens, 336'197);
  model.variants[0].layouts = {Layout{.tensor = 4}, Layout{.tensor = 7}};
  const auto refused = fit_variant(model, model.variants[0], tp2, card, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, "layout_not_offered");
  EXPECT_THAT(refused.error().message, ::testing::HasSubstr("TP4, TP7"));
}

TEST(FitVariant, WithoutAShapeItSaysWhatIsNotKnown) {
  CatalogueModel model{.name = "v9"};
  model.unknown = {"numbers of layers"};
  model.variants.push_back({.name = "fp4", .precision = "fp4", .engine = "external"});
  const auto refused = fit_variant(model, model.variants[0], {}, accelerator("h100", 79.6), {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, "unknown_shape");
  EXPECT_THAT(refused.error().message, ::testing::HasSubstr("numbers of layers"));
}

TEST(PredictedKv, ReadsTheDeploymentsOptionsAndIsSilentOnOtherEngines) {
  CatalogueModel model = qwen_model();
  model.variants[0].engine = "tidegate";
  Catalogue catalogue;
  ASSERT_TRUE(catalogue.add(model));
  Deployment deployment{.name = "q", .model = "qwen", .variant = "bf16"};
  const std::int64_t of_a_gibibyte = predicted_kv_tokens(deployment, catalogue);
  EXPECT_EQ(of_a_gibibyte, (1LL << 30) / (64 * 114'688) * 64);
  deployment.options = {"sim.step_ms=1", "kv.mib=512"};
  EXPECT_EQ(predicted_kv_tokens(deployment, catalogue), (1LL << 29) / (64 * 114'688) * 64);
  deployment.options = {"kv.mib=2097152"};  // the worker will refuse it
  EXPECT_EQ(predicted_kv_tokens(deployment, catalogue), 0);
  deployment.options = {};
  deployment.variant = "small";
  EXPECT_EQ(predicted_kv_tokens(deployment, catalogue), 0);
  deployment.model = "gone";
  EXPECT_EQ(predicted_kv_tokens(deployment, catalogue), 0);
}

TEST(ReplicaSpecs, NamedByOrdinalAndResolvedAgainstTheCatalogue) {
  const Catalogue catalogue = test_catalogue();
  const auto specs = replica_specs(tang_deployment(2), catalogue, "/models");
  ASSERT_EQ(specs.size(), 2u);
  EXPECT_EQ(specs[1].replica, "tang-1");
  EXPECT_EQ(specs[1].engine, "cpu");
  EXPECT_EQ(specs[1].model_path, "/models/tang-moe");
  const auto sim = replica_specs({.name = "s", .model = "sim-fast", .variant = "sim"}, catalogue, "/models");
  ASSERT_EQ(sim.size(), 1u);
  EXPECT_EQ(sim[0].engine, "sim");
  EXPECT_EQ(sim[0].model_path, "");
}

TEST(Catalogue, SameModelTwiceIsRefused) {
  Catalogue catalogue = test_catalogue();
  EXPECT_EQ(catalogue.add({.name = "tang-moe"}).error().reason, "duplicate_model");
}

TEST_F(CheckDeployment, APlacementHoldsItsLimitsAndThePlaceIsOneOfIts) {
  deployment.placement.is_on = true;
  EXPECT_EQ(refused_field(), "accepted");
  deployment.placement.lost_after_s = kLostAfterLeastS - 1;
  EXPECT_EQ(refused_field(), "placement.lost_after_s");
  deployment.placement.lost_after_s = kLostAfterMostS + 1;
  EXPECT_EQ(refused_field(), "placement.lost_after_s");
  deployment.placement.lost_after_s = kLostAfterS;
  deployment.placement.regions = {"EU"};
  EXPECT_EQ(refused_field(), "placement.regions");
  deployment.placement.regions = {"eu-1"};
  EXPECT_EQ(check_deployment(deployment, catalogue).error().reason, "place_not_allowed");
  deployment.placement.regions = {"eu-1", "local"};
  deployment.placement.pools.assign(kPlacementNamesMax + 1, "cpu");
  EXPECT_EQ(refused_field(), "placement.pools");
  deployment.placement.pools = {"cpu"};
  EXPECT_EQ(refused_field(), "accepted");
}

}  // namespace
}  // namespace tidegate::scheduler
