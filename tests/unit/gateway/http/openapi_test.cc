#include "gateway/http/openapi.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/json/json.h"
#include "gateway/core/idempotency.h"
#include "gateway/core/plan.h"
#include "gateway/http/anthropic_parse.h"
#include "gateway/http/completion_parse.h"
#include "gateway/http/dialect_shape.h"
#include "gateway/http/embedding_parse.h"
#include "gateway/http/openai_chat_parse.h"
#include "gateway/http/rate_headers.h"
#include "gateway/http/responses_parse.h"
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
    std::set<std::string> mounts;
    for (const std::string_view mount : route.mounts) mounts.emplace(mount.empty() ? "/" : mount);
    EXPECT_EQ(urls, mounts) << route.path;
  }
}

TEST(OpenApi, SaysWhichRoutesNeedAKeyAndWhereItMayStand) {
  const json::object root = document();
  const json::object& schemes = root.at("components").at("securitySchemes").as_object();
  for (const HttpRoute& route : http_routes()) {
    const json::object& operation = root.at("paths").at(route.path).at(lower(route.method)).as_object();
    const json::value* own = operation.if_contains("security");
    const json::array& ways = (own != nullptr ? *own : root.at("security")).as_array();
    EXPECT_EQ(!ways.empty(), route.needs_key()) << route.path;
    std::set<std::string> headers;
    for (const json::value& way : ways) {
      const json::object& scheme = schemes.at(way.as_object().begin()->key()).as_object();
      const json::value* name = scheme.if_contains("name");
      headers.emplace(name != nullptr ? std::string_view(name->as_string()) : std::string_view("Authorization"));
    }
    std::set<std::string> wanted;
    if (route.needs_key()) wanted.emplace("Authorization");
    const std::string_view key_header = shape_of(route.dialect).key_header;
    if (route.needs_key() && !key_header.empty()) wanted.emplace(key_header);
    EXPECT_EQ(headers, wanted) << route.path;
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
    EXPECT_EQ(responses.contains("401"), route.needs_key()) << route.path;
    EXPECT_EQ(responses.contains("403"), route.needs_key()) << route.path << ": a key has scopes and sources";
  }
}

TEST(OpenApi, WhatGeneratesTakesAnIdempotencyKeyAndSaysHowItsRepeatsEnd) {
  const json::object root = document();
  const json::value& header = root.at("components").at("parameters").at("IdempotencyKey");
  EXPECT_EQ(std::string_view(header.at("name").as_string()), kIdempotencyHeader);
  EXPECT_EQ(header.at("schema").at("maxLength").to_number<std::size_t>(), kIdempotencyKeyBytesMax);
  for (const HttpRoute& route : http_routes()) {
    const json::object& operation = root.at("paths").at(route.path).at(lower(route.method)).as_object();
    const bool works = route.method == "POST";
    const bool generates = works && route.id != RouteId::kCountTokens;
    std::set<std::string> references;
    const json::value* parameters = operation.if_contains("parameters");
    if (parameters != nullptr) collect_references(*parameters, references);
    EXPECT_EQ(references.contains("#/components/parameters/IdempotencyKey"), generates) << route.path;
    const json::object& responses = operation.at("responses").as_object();
    for (const char* status : {"409", "410"}) {
      EXPECT_EQ(responses.contains(status), generates) << route.path << ' ' << status;
    }
    // Balances are asked of billing at a rate, too.
    EXPECT_EQ(responses.contains("429"), works || route.id == RouteId::kBalance) << route.path;
    // Whose mounts have a DeepSeek one has its status, and whose words are Anthropic's has its own overload.
    const bool has_beta = std::ranges::count(route.mounts, std::string_view("/beta")) > 0;
    EXPECT_EQ(responses.contains("422"), has_beta) << route.path;
    EXPECT_EQ(responses.contains("529"), works && route.dialect == Dialect::kAnthropic) << route.path;
  }
}

std::set<std::string> rate_headers_of(const json::value& headers) {
  std::set<std::string> names;
  for (const auto& member : headers.as_object()) {
    if (member.key().starts_with("x-ratelimit-")) names.emplace(member.key());
  }
  return names;
}

TEST(OpenApi, HeadersOfLimitsAreThoseThatAreSent) {
  const RateGauge window{.limit = 9, .remaining = 8, .reset = std::chrono::seconds(7)};
  const RateGauge slots{.limit = 9, .remaining = 8, .reset = {}};
  HttpHeaders sent;
  append_rate_headers(sent, {.requests = window, .tokens = window, .daily_tokens = window, .concurrency = slots});
  std::set<std::string> names;
  for (const auto& [name, value] : sent) names.insert(name);
  const json::object root = document();
  const json::value& errors = root.at("components").at("responses");
  EXPECT_EQ(rate_headers_of(errors.at("LimitReached").at("headers")), names);
  EXPECT_EQ(rate_headers_of(errors.at("MessagesError").at("headers")), names);
  for (const HttpRoute& route : http_routes()) {
    if (route.method != "POST") continue;
    const json::value& answer = root.at("paths").at(route.path).at("post").at("responses").at("200");
    EXPECT_EQ(rate_headers_of(answer.at("headers")), names) << route.path;
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

std::set<std::string> served_of(std::span<const FieldRule> rules) {
  std::set<std::string> names;
  for (const FieldRule& rule : rules) {
    if (rule.use == FieldUse::kServed) names.emplace(rule.name);
  }
  return names;
}

/// Serving a field and describing it are one promise.
TEST(OpenApi, RequestsDescribeExactlyTheFieldsThatAreServed) {
  const json::object root = document();
  EXPECT_EQ(properties_of(root, "ChatRequest"), served_of(openai_chat_fields()));
  EXPECT_EQ(properties_of(root, "CompletionRequest"), served_of(completion_fields()));
  EXPECT_EQ(properties_of(root, "MessagesRequest"), served_of(anthropic_fields()));
  EXPECT_EQ(properties_of(root, "ResponsesRequest"), served_of(responses_fields()));
  EXPECT_EQ(properties_of(root, "EmbeddingRequest"), served_of(embedding_fields()));
}

TEST(OpenApi, LimitsAreThoseOfThePlan) {
  const json::object root = document();
  const json::object& chat = root.at("components").at("schemas").at("ChatRequest").at("properties").as_object();
  EXPECT_EQ(chat.at("max_tokens").at("maximum").to_number<std::int64_t>(), PlanLimits::kCompletionTokensMax);
  EXPECT_EQ(chat.at("temperature").at("maximum").to_number<double>(), PlanLimits::kTemperatureMax);
  EXPECT_EQ(chat.at("top_k").at("maximum").to_number<std::int64_t>(), PlanLimits::kTopKMax);
  EXPECT_EQ(chat.at("messages").at("maxItems").to_number<std::int64_t>(), PlanLimits::kMessagesMax);
  EXPECT_EQ(chat.at("user").at("maxLength").to_number<std::int64_t>(), PlanLimits::kEndUserBytesMax);
  const std::pair<const char*, const char*> ceilings[] = {{"CompletionRequest", "max_tokens"},
                                                          {"MessagesRequest", "max_tokens"},
                                                          {"ResponsesRequest", "max_output_tokens"}};
  for (const auto& [schema, field] : ceilings) {
    const json::value& ceiling = root.at("components").at("schemas").at(schema).at("properties").at(field);
    EXPECT_EQ(ceiling.at("maximum").to_number<std::int64_t>(), PlanLimits::kCompletionTokensMax) << schema;
  }
}

}  // namespace
}  // namespace tidegate::gateway
