#include "scheduler/place_files/place_files.h"

#include <gmock/gmock.h>

#include "scheduler/core/place/place.h"
#include "scheduler/place_files/plan_json.h"
#include "tests/unit/scheduler/place/place_town.h"

namespace tidegate::scheduler::placement {
namespace {

using ::testing::HasSubstr;

constexpr const char* kInventory =
    "gpu_model,gpu_capacity_num,cpu_num,node_name\nH800,8,128,0\nH800,8,128,1\nA10,1,64,2\nH800,8,128,3\nCPU,0,64,4\n";
constexpr const char* kCatalogue = R"({"accelerators":[{"kind":"H800","price_micros_per_gpu_hour":3000000},{"kind":"A10","price_micros_per_gpu_hour":500000}],
  "regions":[{"name":"east"},{"name":"west","price_permille":1200}],"domain_nodes":1,
  "variants":[{"name":"m","weight_bytes":1000,"layouts":[{"kind":"H800","node_gpus":8,"name":"tp8","gpus":8,"throughput":900,"warm_up_s":60}]}]})";
constexpr const char* kDemand = R"({"demands":[{"name":"chat","variant":"m","throughput":100,"unserved_micros_per_unit_hour":1000000}]})";

std::string refused(const char* inventory, const char* catalogue, const char* demand) {
  const auto problem = read_problem({inventory, catalogue, demand});
  return problem ? "accepted" : problem.error().reason + " " + problem.error().field;
}

TEST(PlaceFiles, NodesAreDealtToRegionsAndDomains) {
  const auto problem = read_problem({kInventory, kCatalogue, kDemand});
  ASSERT_TRUE(problem) << problem.error().to_string();
  ASSERT_EQ(problem->pools.size(), 3u);
  EXPECT_EQ(problem->pools[0].name, "east/H800/8");
  EXPECT_EQ(problem->pools[0].nodes.size(), 2u);
  EXPECT_NE(problem->pools[0].nodes[0].domain, problem->pools[0].nodes[1].domain);
  EXPECT_EQ(problem->pools[1].price_per_gpu_hour, 3'600'000);
  EXPECT_EQ(problem->layouts[0].load_bytes, 1000);
}

TEST(PlaceFiles, ColumnsThatAreThereAreUsed) {
  const auto problem = read_problem({"node_name,gpu_model,gpu_capacity_num,region,failure_domain,tenant,gpus_free\r\nn,H800,8,west,rack1,ann,3\r\n", kCatalogue, kDemand});
  ASSERT_TRUE(problem) << problem.error().to_string();
  EXPECT_EQ(problem->pools[0].region, "west");
  EXPECT_EQ(problem->pools[0].tenant, "ann");
  EXPECT_EQ(problem->pools[0].nodes[0].domain, "rack1");
  EXPECT_EQ(problem->pools[0].nodes[0].gpus_free, 3);
}

TEST(PlaceFiles, SlipsAreNamed) {
  EXPECT_EQ(refused(kInventory, kCatalogue, kDemand), "accepted");
  EXPECT_EQ(refused("gpu_model,node_name\nH800,0\n", kCatalogue, kDemand), "bad_inventory gpu_capacity_num");
  EXPECT_EQ(refused("gpu_model,gpu_capacity_num,node_name\nH900,8,0\n", kCatalogue, kDemand), "bad_inventory gpu_model");
  EXPECT_EQ(refused("gpu_model,gpu_capacity_num,node_name\nH800,x,0\n", kCatalogue, kDemand), "bad_inventory gpu_capacity_num");
  EXPECT_EQ(refused("gpu_model,gpu_capacity_num,node_name\nH800,8,0\nH800,8,0\n", kCatalogue, kDemand), "bad_inventory node_name");
  // The second would count as a cell that no line has to have.
  EXPECT_EQ(refused("x,x,gpu_model,gpu_capacity_num,node_name\na,H800,8,0\n", kCatalogue, kDemand), "bad_inventory x");
  EXPECT_EQ(refused("gpu_model,gpu_capacity_num,node_name\n", kCatalogue, kDemand), "bad_inventory ");
  EXPECT_EQ(refused(kInventory, R"({"variants":[{"name":"m","layouts":[{"kind":"X","name":"a","gpus":1,"throughput":1}]}]})", kDemand),
            "bad_catalogue variants[0].layouts[0].kind");
  EXPECT_EQ(refused(kInventory, R"({"acelerators":[]})", kDemand), "bad_catalogue acelerators");
  EXPECT_EQ(refused(kInventory, kCatalogue, R"({"demands":[{"name":"a","variant":"z","throughput":1,"unserved_micros_per_unit_hour":1}]})"),
            "bad_demand demands[0].variant");
  EXPECT_EQ(refused(kInventory, kCatalogue, R"({"demands":[{"name":"a","variant":"m","throughput":1}]})"), "bad_demand demands[0].unserved_micros_per_unit_hour");
  EXPECT_EQ(refused(kInventory, kCatalogue, R"({"demands":[{"name":"a","variant":"m","regions":["mars"],"throughput":1,"unserved_micros_per_unit_hour":1}]})"),
            "bad_demand demands[0].regions");
}

TEST(PlaceFiles, AnswerMayBeGivenBackAsWhatRuns) {
  const auto problem = read_problem({kInventory, kCatalogue, kDemand});
  ASSERT_TRUE(problem);
  const auto plan = place(*problem, rounds(20));
  ASSERT_TRUE(plan);
  const std::string text = plan_json(*problem, *plan);
  EXPECT_THAT(text, HasSubstr(R"("lower_bound_micros")"));
  const auto begin = text.find(R"("assignments":)") + 14;
  const std::string assignments = text.substr(begin, text.find(R"(,"pools")") - begin);
  const std::string demand = std::string(kDemand).substr(0, std::string(kDemand).size() - 1) + R"(,"current":)" + assignments + "}";
  const auto later = read_problem({kInventory, kCatalogue, demand});
  ASSERT_TRUE(later) << later.error().to_string();
  const auto again = place(*later, rounds(20));
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->assignments.at(0).is_kept);
}

}  // namespace
}  // namespace tidegate::scheduler::placement
