#include "base/obs/readiness.h"

#include <gtest/gtest.h>

namespace tidegate {
namespace {

TEST(Readiness, IsReadyOnlyWhenEveryCheckIsUp) {
  Readiness readiness;
  const auto routes = readiness.add("routes");
  const auto billing = readiness.add("billing");
  EXPECT_FALSE(readiness.is_ready()) << "a check starts down";
  routes.up();
  EXPECT_FALSE(readiness.is_ready());
  billing.up();
  EXPECT_TRUE(readiness.is_ready());
  routes.down("no worker is connected");
  EXPECT_FALSE(readiness.is_ready());
  EXPECT_EQ(readiness.render(),
            "{\"ready\":false,\"checks\":{\"billing\":\"ok\",\"routes\":\"no worker is connected\"}}\n");
}

TEST(Readiness, AddingANameAgainKeepsItsState) {
  Readiness readiness;
  readiness.add("routes").up();
  readiness.add("routes");
  EXPECT_TRUE(readiness.is_ready());
}

}  // namespace
}  // namespace tidegate
