#include "gateway/core/route_table.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tidegate::gateway {
namespace {

Route route(std::string worker, std::string model, std::string region = "local", std::string pool = "cpu") {
  Route r;
  r.worker_id = worker;
  r.address = "unix:/run/" + worker;
  r.model = std::move(model);
  r.region = std::move(region);
  r.pool = std::move(pool);
  r.context_max = 4'096;
  return r;
}

TEST(RouteTable, ReportsWhatChanged) {
  RouteTable table("local");
  auto first = table.apply({1, 1, {route("a", "m"), route("b", "m")}, {"m"}});
  ASSERT_TRUE(first);
  EXPECT_EQ(first->added.size(), 2U);

  Route draining = route("a", "m");
  draining.draining = true;
  const auto second = table.apply({1, 2, {draining, route("c", "m")}, {"m"}});
  ASSERT_TRUE(second);
  ASSERT_EQ(second->changed.size(), 1U);
  EXPECT_TRUE(second->changed[0].draining);
  ASSERT_EQ(second->added.size(), 1U);
  EXPECT_EQ(second->added[0].worker_id, "c");
  EXPECT_EQ(second->removed, std::vector<std::string>{"b"});
}

TEST(RouteTable, AnOfferedPoolWithoutAWorkerIsWhereItsRequestsWait) {
  RouteTable table("local");
  ASSERT_TRUE(table.apply({1, 1, {}, {"m", "n"}, {{"m", "local", "gpu", 8'192}}}));
  const auto pool = table.pool_for("m");
  ASSERT_TRUE(pool) << pool.error().to_string();
  EXPECT_EQ(pool->pool, "gpu");
  EXPECT_EQ(pool->context_max, 8'192);
  EXPECT_EQ(table.pool_for("n").error().reason, "model_not_ready") << "nobody starts one for it";
  // A worker's own facts are better than the offer's.
  ASSERT_TRUE(table.apply({1, 2, {route("a", "m", "local", "gpu")}, {"m", "n"}, {{"m", "local", "gpu", 8'192}}}));
  EXPECT_EQ(table.pool_for("m")->context_max, 4'096);
}

TEST(RouteTable, AFleetOfThousandsIsComparedInNoTime) {
  RouteTable table("local");
  RouteSnapshot snapshot{1, 1, {}, {"m"}};
  constexpr std::size_t kWorkers = 20'000;
  for (std::size_t i = 0; i < kWorkers; ++i) snapshot.routes.push_back(route("worker-" + std::to_string(i), "m"));
  EXPECT_EQ(table.apply(snapshot)->added.size(), kWorkers);
  ++snapshot.version;
  snapshot.routes[7].draining = true;
  snapshot.routes.pop_back();
  const auto change = table.apply(snapshot);  // by pairs it would be minutes with sanitizers
  ASSERT_TRUE(change);
  EXPECT_EQ(change->changed.size(), 1U);
  EXPECT_EQ(change->removed, std::vector<std::string>{"worker-19999"});
  EXPECT_TRUE(change->added.empty());
}

TEST(RouteTable, SamePictureAgainChangesNothing) {
  RouteTable table("local");
  ASSERT_TRUE(table.apply({1, 1, {route("a", "m")}, {"m"}}));
  const auto again = table.apply({1, 1, {route("a", "m")}, {"m"}});
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->added.empty() && again->changed.empty() && again->removed.empty());
}

TEST(RouteTable, RefusesAnOlderTermAndAnOlderVersion) {
  RouteTable table("local");
  ASSERT_TRUE(table.apply({5, 7, {route("a", "m")}, {"m"}}));
  EXPECT_EQ(table.apply({4, 99, {}, {}}).error().reason, "stale_routes");
  EXPECT_EQ(table.apply({5, 6, {}, {}}).error().reason, "stale_routes");
  EXPECT_EQ(table.routes().size(), 1U);
  EXPECT_TRUE(table.apply({6, 1, {}, {"m"}}));
}

TEST(RouteTable, AWorkerThatMovedIsANewOne) {
  RouteTable table("local");
  ASSERT_TRUE(table.apply({1, 1, {route("a", "m")}, {"m"}}));
  Route moved = route("a", "m");
  moved.address = "unix:/run/elsewhere";
  const auto change = table.apply({1, 2, {moved}, {"m"}});
  EXPECT_EQ(change->added.size(), 1U);
  EXPECT_EQ(change->removed.size(), 1U);
}

TEST(RouteTable, PoolPrefersHomeThenTheBiggerPool) {
  RouteTable table("eu");
  ASSERT_TRUE(table.apply({1, 1,
                           {route("a", "m", "us", "h100"), route("b", "m", "us", "h100"), route("c", "m", "eu", "cpu"),
                            route("d", "n", "us", "cpu"), route("e", "n", "us", "h100"), route("f", "n", "us", "h100")},
                           {"m", "n"}}));
  EXPECT_EQ(table.pool_for("m")->region, "eu");
  EXPECT_EQ(table.pool_for("n")->pool, "h100");
}

TEST(RouteTable, PoolContextIsTheSmallestWorkers) {
  RouteTable table("local");
  Route small = route("b", "m");
  small.context_max = 1'024;
  ASSERT_TRUE(table.apply({1, 1, {route("a", "m"), small}, {"m"}}));
  EXPECT_EQ(table.pool_for("m")->context_max, 1'024);
}

TEST(RouteTable, PoolOutlivesItsWorkersButNotItsModel) {
  RouteTable table("local");
  ASSERT_TRUE(table.apply({1, 1, {route("a", "m")}, {"m"}}));
  ASSERT_TRUE(table.apply({1, 2, {}, {"m"}}));
  EXPECT_EQ(table.pool_for("m")->pool, "cpu");
  ASSERT_TRUE(table.apply({1, 3, {}, {}}));
  EXPECT_EQ(table.pool_for("m").error().reason, "model_not_found");
}

TEST(RouteTable, APoolIsChosenAmongTheRegionsAllowed) {
  RouteTable table("us");
  ASSERT_TRUE(table.apply({1, 1, {route("a", "m", "us"), route("b", "m", "eu-1"), route("c", "m", "eu-2"),
                                  route("d", "m", "eu-2")}, {"m"}}));
  const std::vector<std::string> europe{"eu-1", "eu-2"};
  EXPECT_EQ(table.pool_for("m")->region, "us");
  EXPECT_EQ(table.pool_for("m", europe)->region, "eu-2") << "most workers of those allowed";
  EXPECT_EQ(table.pool_for("m", std::vector<std::string>{"us", "eu-1"})->region, "us") << "home first";
}

TEST(RouteTable, AModelOutsideTheRegionsAllowedIsRefusedWithBoth) {
  RouteTable table("us");
  ASSERT_TRUE(table.apply({1, 1, {route("a", "m", "us"), route("b", "m", "ap")}, {"m"}}));
  const auto refused = table.pool_for("m", std::vector<std::string>{"eu-1", "eu-2"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kPermissionDenied);
  EXPECT_EQ(refused.error().reason, "region_not_allowed");
  EXPECT_NE(refused.error().message.find("'eu-1', 'eu-2'"), std::string::npos);
  EXPECT_NE(refused.error().message.find("'ap', 'us'"), std::string::npos);
}

TEST(RouteTable, RequestsNeverLeaveTheirRegionsWhenTheirWorkersAreGone) {
  RouteTable table("us");
  const std::vector<std::string> europe{"eu"};
  ASSERT_TRUE(table.apply({1, 1, {route("a", "m", "us"), route("b", "m", "eu")}, {"m"}}));
  ASSERT_TRUE(table.apply({1, 2, {route("a", "m", "us")}, {"m"}}));
  EXPECT_EQ(table.pool_for("m", europe)->region, "eu") << "they wait there";
  EXPECT_EQ(table.pool_for("m")->region, "us");
}

TEST(RouteTable, WithoutWorkersThePoolThatHadThemLastStays) {
  RouteTable table("eu");
  ASSERT_TRUE(table.apply({1, 1, {route("b", "m", "us"), route("a", "m", "eu")}, {"m"}}));
  ASSERT_TRUE(table.apply({1, 2, {}, {"m"}}));
  EXPECT_EQ(table.pool_for("m")->region, "eu") << "home was the choice when both had workers";
  ASSERT_TRUE(table.apply({1, 3, {route("b", "m", "us")}, {"m"}}));
  ASSERT_TRUE(table.apply({1, 4, {}, {"m"}}));
  EXPECT_EQ(table.pool_for("m")->region, "us");
}

TEST(RouteTable, PoolsBesideOneAreThoseWithWorkersRoomAndLeave) {
  RouteTable table("us");
  Route small = route("s", "m", "ap");
  small.context_max = 512;
  ASSERT_TRUE(table.apply({1, 1, {route("a", "m", "us"), route("b", "m", "eu-1"), route("c", "m", "eu-2"),
                                  route("d", "m", "eu-2"), small, route("e", "m", "gone")}, {"m"}}));
  ASSERT_TRUE(table.apply({1, 2, {route("a", "m", "us"), route("b", "m", "eu-1"), route("c", "m", "eu-2"),
                                  route("d", "m", "eu-2"), small}, {"m"}}));
  const ServingPool home = *table.pool_for("m");
  const auto beside = table.pools_beside(home, {});
  ASSERT_EQ(beside.size(), 2U) << "one has no workers, one reads shorter prompts only";
  EXPECT_EQ(beside[0].region, "eu-2");
  EXPECT_EQ(beside[1].region, "eu-1");
  const auto allowed = table.pools_beside(home, std::vector<std::string>{"us", "eu-1"});
  ASSERT_EQ(allowed.size(), 1U);
  EXPECT_EQ(allowed[0].region, "eu-1");
}

TEST(RouteTable, ModelErrorsTellNotReadyFromUnknown) {
  RouteTable table("local");
  EXPECT_EQ(table.pool_for("m").error().reason, "routes_not_loaded");
  ASSERT_TRUE(table.apply({1, 1, {}, {"tang-moe", "deepseek-r1"}}));
  EXPECT_EQ(table.pool_for("tang-moe").error().reason, "model_not_ready");
  const Error unknown = table.pool_for("tang-mo").error();
  EXPECT_EQ(unknown.reason, "model_not_found");
  EXPECT_EQ(unknown.field, "model");
  EXPECT_NE(unknown.message.find("'tang-moe'"), std::string::npos);
  EXPECT_EQ(unknown.message.find("deepseek"), std::string::npos);
}

}  // namespace
}  // namespace tidegate::gateway
