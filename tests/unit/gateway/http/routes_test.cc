#include "gateway/http/routes.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>

namespace tidegate::gateway {
namespace {

TEST(Routes, EveryPathHasTwoMountsAndDeepSeeksHaveThree) {
  for (const HttpRoute& route : http_routes()) {
    const std::string path(route.path.substr(0, route.path.find('{')));
    const std::string filled = path == route.path ? path : path + "x";
    const std::pair<std::string, bool> mounts[] = {{"", true}, {"/v1", true}, {"/beta", route.has_beta}};
    for (const auto& [mount, served] : mounts) {
      const std::string sent = mount + filled;
      const RouteMatch match = match_route(route.method, sent);
      ASSERT_EQ(match.route != nullptr, served) << sent;
      if (served) {
        EXPECT_EQ(match.route->id, route.id) << sent;
      }
    }
  }
}

TEST(Routes, TheRestOfThePathIsTheArgument) {
  const RouteMatch model = match_route("GET", "/v1/models/deepseek/r1");
  ASSERT_NE(model.route, nullptr);
  EXPECT_EQ(model.route->id, RouteId::kModel);
  EXPECT_EQ(model.argument, "deepseek/r1");
  EXPECT_EQ(match_route("GET", "/models").argument, "");
  EXPECT_EQ(match_route("GET", "/receipts/keys").route->id, RouteId::kReceiptKeys) << "before any request of that name";
}

TEST(Routes, AWrongMethodNamesTheRightOnes) {
  const RouteMatch match = match_route("DELETE", "/v1/chat/completions");
  EXPECT_EQ(match.route, nullptr);
  EXPECT_EQ(match.allow, "POST");
}

TEST(Routes, OtherPathsAreNone) {
  for (const char* path :
       {"", "/", "/v1", "/v1/", "/beta", "/v1/models/", "/v2/models", "/v1/v1/models", "/beta/models",
        "/beta/v1/completions", "/v1x/models", "/v1/chat/completions/", "/models/{model"}) {
    const RouteMatch match = match_route("GET", path);
    if (std::string_view(path) == "/models/{model") {
      EXPECT_EQ(match.argument, "{model") << "braces are nothing special in a request";
      continue;
    }
    EXPECT_EQ(match.route, nullptr) << path;
    EXPECT_EQ(match.allow, "") << path;
  }
}

}  // namespace
}  // namespace tidegate::gateway
