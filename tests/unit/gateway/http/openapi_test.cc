#include "gateway/http/openapi.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "base/json/json.h"
#include "gateway/core/plan.h"
#include "gateway/http/openai_fields.h"
#include "gateway/http/routes.h"

namespace tidegate::gateway {
namespace {

json::object document() {
  auto parsed = json::parse(openapi_document());
  EXPECT_TRUE(parsed) << parsed.error().to_string();
  return parsed ? std::move(parsed->get_object()) : json::object();
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return out;
}

std::set<std::string> urls_of(const json::value& servers) {
  std::set<std::string> urls;
  for (const json::value& server : servers.as_array()) urls.emplace(server.at("url").as_string());
  return urls;
}

/// Every "$ref" below `value`.
void collect_references(const json::value& value, std::set<std::string>& found) {
  if (value.is_array()) {
    for (const json::value& item : value.get_array()) collect_references(item, found);
  }
  if (!value.is_object()) return;
  for (const auto& member : value.get_object()) {
    if (member.key() == "$ref") {
      found.emplace(member.value().as_string());
    } else {
      collect_references(member.value(), found);
    }
  }
}

/// The members of a request that the document describes.
std::set<std::string> properties_of(const json::object& root, std::string_view schema) {
  std::set<std::string> names;
  for (const auto& member : root.at("components").at("schemas").at(schema).at("properties").as_object()) {
    names.emplace(member.key());
  }
  return names;
}

TEST(OpenApi, IsTheVersionItSays) { EXPECT_EQ(document().at("openapi"), "3.1.0"); }

TEST(OpenApi, HasExactlyTheRoutesTheGatewayServes) {
  std::map<std::string, std::set<std::string>> served;
  for (const HttpRoute& route : http_routes()) served[std::string(route.path)].insert(lower(route.method));
  std::map<std::string, std::set<std::string>> described;
  const json::object root = document();
  for (const auto& path : root.at("paths").as_object()) {
    auto& methods = described[std::string(path.key())];
    for (const auto& member : path.value().as_object()) {
      if (member.key() != "servers" && member.key() != "parameters") methods.emplace(member.key());
    }
  }
  EXPECT_EQ(described, served);
}

TEST(OpenApi, NamesTheMountsOfEveryRoute) {
  const json::object root = document();
  for (const HttpRoute& route : http_routes()) {
    const json::object& path = root.at("paths").at(route.path).as_object();
    const json::value* own = path.if_contains("servers");
    const auto urls = urls_of(own != nullptr ? *own : root.at("servers"));
    EXPECT_EQ(urls, (route.has_beta ? std::set<std::string>{"/", "/v1", "/beta"} : std::set<std::string>{"/", "/v1"}))
        << route.path;
  }
}

TEST(OpenApi, SaysWhichRoutesNeedNoKey) {
  const json::object root = document();
  EXPECT_EQ(root.at("security").as_array().size(), 1U);
  for (const HttpRoute& route : http_routes()) {
    const json::object& operation = root.at("paths").at(route.path).at(lower(route.method)).as_object();
    const json::value* own = operation.if_contains("security");
    EXPECT_EQ(own == nullptr, route.needs_key) << route.path;
    if (own != nullptr) {
      EXPECT_TRUE(own->as_array().empty()) << route.path;
    }
  }
}

TEST(OpenApi, EveryOperationHasANameAnAnswerAndItsErrors) {
  std::set<std::string> names;
  const json::object root = document();
  for (const HttpRoute& route : http_routes()) {
    const json::object& operation = root.at("paths").at(route.path).at(lower(route.method)).as_object();
    EXPECT_TRUE(names.emplace(operation.at("operationId").as_string()).second) << route.path;
    const json::object& responses = operation.at("responses").as_object();
    EXPECT_TRUE(responses.contains("200")) << route.path;
    EXPECT_EQ(responses.contains("401"), route.needs_key) << route.path;
  }
}

TEST(OpenApi, EveryReferenceLeadsSomewhere) {
  const json::object root = document();
  std::set<std::string> references;
  collect_references(json::value(root), references);
  EXPECT_FALSE(references.empty());
  for (const std::string& reference : references) {
    ASSERT_TRUE(reference.starts_with("#/")) << reference;
    boost::json::error_code missing;
    const json::value whole(root);
    EXPECT_NE(whole.find_pointer(reference.substr(1), missing), nullptr) << reference;
  }
}

/// Serving a field and describing it are one promise.
TEST(OpenApi, RequestsDescribeExactlyTheFieldsThatAreServed) {
  const json::object root = document();
  for (const std::string& name : properties_of(root, "ChatRequest")) {
    EXPECT_EQ(chat_field_use(name), FieldUse::kServed) << name;
  }
  for (const std::string& name : properties_of(root, "CompletionRequest")) {
    EXPECT_EQ(completion_field_use(name), FieldUse::kServed) << name;
  }
  for (const char* name :
       {"model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "temperature", "top_p",
        "top_k", "stop", "seed", "presence_penalty", "frequency_penalty", "user"}) {
    EXPECT_TRUE(properties_of(root, "ChatRequest").contains(name)) << name;
  }
  for (const char* name : {"model", "prompt", "suffix", "echo", "stream", "stream_options", "max_tokens", "temperature",
                           "top_p", "top_k", "stop", "seed", "presence_penalty", "frequency_penalty", "user"}) {
    EXPECT_TRUE(properties_of(root, "CompletionRequest").contains(name)) << name;
  }
}

TEST(OpenApi, LimitsAreThoseOfThePlan) {
  const json::object root = document();
  const json::object& chat = root.at("components").at("schemas").at("ChatRequest").at("properties").as_object();
  EXPECT_EQ(chat.at("max_tokens").at("maximum").to_number<std::int64_t>(), PlanLimits::kCompletionTokensMax);
  EXPECT_EQ(chat.at("temperature").at("maximum").to_number<double>(), PlanLimits::kTemperatureMax);
  EXPECT_EQ(chat.at("top_k").at("maximum").to_number<std::int64_t>(), PlanLimits::kTopKMax);
  EXPECT_EQ(chat.at("messages").at("maxItems").to_number<std::int64_t>(), PlanLimits::kMessagesMax);
  EXPECT_EQ(chat.at("user").at("maxLength").to_number<std::int64_t>(), PlanLimits::kEndUserBytesMax);
}

}  // namespace
}  // namespace tidegate::gateway
