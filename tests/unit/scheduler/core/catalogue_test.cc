#include "scheduler/core/catalogue.h"

#include <gmock/gmock.h>

#include "tests/unit/scheduler/core/test_catalogue.h"

namespace tidegate::scheduler {
namespace {

std::string field_of(const Status& status) { return status ? "accepted" : status.error().field; }

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

}  // namespace
}  // namespace tidegate::scheduler
