#include "gateway/http/routes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace tidegate::gateway {
namespace {

/// A path of the route, behind `mount`.
std::string path_of(const HttpRoute& route, std::string_view mount) {
  const auto brace = route.path.find('{');
  std::string path(mount);
  path += route.path.substr(0, brace);
  if (brace != std::string_view::npos) path += 'x';
  return path;
}

TEST(Routes, EveryPathIsServedBehindItsMountsAndNoOther) {
  for (const HttpRoute& route : http_routes()) {
    for (const std::string_view mount : {"", "/v1", "/beta", "/anthropic", "/anthropic/v1", "/v2"}) {
      const std::string sent = path_of(route, mount);
      const RouteMatch match = match_route(route.method, sent);
      const bool served = std::ranges::find(route.mounts, mount) != route.mounts.end();
      // Behind /anthropic/v1 lists of models are another route than behind the others.
      const bool is_own = match.route != nullptr && match.route->id == route.id;
      ASSERT_EQ(is_own, served) << sent;
      if (served) {
        EXPECT_EQ(match.dialect, mount == "/beta" ? Dialect::kDeepSeek : route.dialect) << sent;
      }
    }
  }
}

TEST(Routes, EveryRouteSaysWhatItsKeyMustBeFor) {
  const std::pair<RouteId, std::optional<KeyScope>> wanted[] = {
      {RouteId::kChat, KeyScope::kChat},          {RouteId::kCompletions, KeyScope::kCompletions},
      {RouteId::kMessages, KeyScope::kChat},      {RouteId::kResponses, KeyScope::kChat},
      {RouteId::kCountTokens, KeyScope::kChat},   {RouteId::kEmbeddings, KeyScope::kEmbeddings},
      {RouteId::kModelList, KeyScope::kModels},   {RouteId::kModel, KeyScope::kModels},
      {RouteId::kAnthropicModelList, KeyScope::kModels}, {RouteId::kAnthropicModel, KeyScope::kModels},
      {RouteId::kBalance, KeyScope::kUsage},      {RouteId::kReceiptKeys, std::nullopt},
      {RouteId::kReceipt, KeyScope::kReceipts},   {RouteId::kOpenApi, std::nullopt},
  };
  ASSERT_EQ(http_routes().size(), std::size(wanted));
  for (const auto& [id, scope] : wanted) {
    const auto route = std::ranges::find(http_routes(), id, &HttpRoute::id);
    ASSERT_NE(route, http_routes().end());
    EXPECT_EQ(route->scope, scope) << route->path;
  }
}

TEST(Routes, ClientsHearOfAbsentPathsInTheirOwnDialect) {
  const std::pair<const char*, Dialect> cases[] = {
      {"/v1/messages/count", Dialect::kAnthropic},        {"/anthropic/v1/messages/count_tokens/x", Dialect::kAnthropic},
      {"/messages/batches", Dialect::kAnthropic},         {"/anthropic/v1/models", Dialect::kAnthropic},
      {"/anthropic", Dialect::kAnthropic},                {"/v1/responses/resp_1", Dialect::kResponses},
      {"/v1/messagesx", Dialect::kOpenAi},                {"/anthropicx/v1/messages", Dialect::kOpenAi},
      {"/responses_", Dialect::kOpenAi},                  {"/v1/embedding", Dialect::kOpenAi},
      {"/beta/models", Dialect::kDeepSeek},               {"/betas", Dialect::kOpenAi},
  };
  for (const auto& [path, dialect] : cases) {
    const RouteMatch match = match_route("POST", path);
    EXPECT_EQ(match.route, nullptr) << path;
    EXPECT_EQ(match.dialect, dialect) << path;
    EXPECT_NE(match.absence, "") << path;
  }
  EXPECT_NE(match_route("POST", "/v1/responses/resp_1").absence.find("not kept"), std::string_view::npos);
  EXPECT_EQ(match_route("GET", "/v1/messages").dialect, Dialect::kAnthropic) << "a wrong method too";
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
  EXPECT_EQ(match_route("POST", "/receipts/keys").allow, "GET") << "once, though two routes take it";
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
