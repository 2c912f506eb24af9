#include "worker/external/request_body.h"

#include <gtest/gtest.h>

#include "base/json/json.h"

namespace tidegate::worker::external::request_body_test {
namespace {

GenerateRequest asking() {
  GenerateRequest request;
  request.messages = {{Role::kSystem, "be short"}, {Role::kUser, "hello"}};
  return request;
}

json::object body_of(const GenerateRequest& request, EngineKind kind = EngineKind::kVllm) {
  const auto body = request_body(request, {.kind = kind, .model = "their-model", .continuous_usage = false}, 64);
  EXPECT_TRUE(body) << body.error().to_string();
  return json::parse(*body)->get_object();
}

TEST(RequestBody, AlwaysStreamsAndAsksForUsage) {
  const json::object body = body_of(asking());
  EXPECT_EQ(body.at("model"), "their-model");
  EXPECT_EQ(body.at("stream"), true);
  EXPECT_EQ(body.at("stream_options").at("include_usage"), true);
  EXPECT_EQ(body.at("max_tokens"), 64);
  EXPECT_EQ(body.at("messages").as_array().size(), 2U);
  EXPECT_EQ(body.at("messages").at(1).at("content"), "hello");
  EXPECT_FALSE(body.contains("temperature")) << "what is unset is the engine's own";
}

TEST(RequestBody, CarriesToolsCallsAndFormats) {
  GenerateRequest request = asking();
  request.messages.push_back({.role = Role::kAssistant, .content = "", .tool_calls = {{"call_1", "f", "{}"}}});
  request.messages.push_back({.role = Role::kTool, .content = "42", .tool_call_id = "call_1"});
  request.offer.tools = {{"f", "a function", R"({"type": "object"})", true}};
  request.offer.choice = {ToolChoice::Mode::kFunction, "f"};
  request.offer.format = {ResponseFormat::Kind::kJsonSchema, R"({"type": "object"})", true};
  const json::object body = body_of(request);
  EXPECT_TRUE(body.at("messages").at(2).at("content").is_null());
  EXPECT_EQ(body.at("messages").at(2).at("tool_calls").at(0).at("function").at("name"), "f");
  EXPECT_EQ(body.at("messages").at(3).at("tool_call_id"), "call_1");
  EXPECT_EQ(body.at("tools").at(0).at("function").at("parameters").at("type"), "object");
  EXPECT_EQ(body.at("tool_choice").at("function").at("name"), "f");
  EXPECT_EQ(body.at("response_format").at("json_schema").at("strict"), true);
}

TEST(RequestBody, ARawPromptIsACompletion) {
  GenerateRequest request;
  request.raw = RawPrompt{.text = "def f():", .suffix = "return x"};
  const json::object body = body_of(request);
  EXPECT_EQ(body.at("prompt"), "def f():");
  EXPECT_EQ(body.at("suffix"), "return x");
  EXPECT_FALSE(body.contains("messages"));
}

TEST(RequestBody, NotThinkingIsAnOptionAndNotAMessage) {
  GenerateRequest request = asking();
  request.messages.push_back({.role = Role::kAssistant, .content = "", .begins_answer = true, .ends_thinking = true});
  const json::object body = body_of(request);
  EXPECT_EQ(body.at("messages").as_array().size(), 2U);
  EXPECT_EQ(body.at("chat_template_kwargs").at("enable_thinking"), false);
  EXPECT_FALSE(body_of(request, EngineKind::kOpenAi).contains("chat_template_kwargs"));
}

TEST(RequestBody, WhatTheEngineWouldDropIsRefusedByName) {
  const auto field = [](const GenerateRequest& request, EngineKind kind) {
    const Status checked = check_request(request, kind);
    return checked ? std::string("taken") : checked.error().field;
  };
  GenerateRequest request = asking();
  request.sampling.top_k = 5;
  EXPECT_EQ(field(request, EngineKind::kOpenAi), "top_k");
  EXPECT_EQ(field(request, EngineKind::kVllm), "taken");
  request = asking();
  request.sampling.n = 2;
  EXPECT_EQ(field(request, EngineKind::kVllm), "n");
  request = asking();
  request.sampling.logprobs = 0;
  EXPECT_EQ(field(request, EngineKind::kVllm), "logprobs");
  request = asking();
  request.messages.push_back({.role = Role::kAssistant, .content = "It", .begins_answer = true});
  EXPECT_EQ(field(request, EngineKind::kOpenAi), "prefix");
  EXPECT_EQ(field(request, EngineKind::kSglang), "taken");
  EXPECT_EQ(body_of(request, EngineKind::kSglang).at("continue_final_message"), true);
  request = asking();
  request.messages.push_back({.role = Role::kAssistant, .content = "", .begins_answer = true, .ends_thinking = true});
  EXPECT_EQ(field(request, EngineKind::kOpenAi), "thinking");
  EXPECT_EQ(field(request, EngineKind::kLlamaCpp), "taken");
}

TEST(RequestBody, PrefixCachesAreKeptApartByTenant) {
  GenerateRequest request = asking();
  request.cache_salt.emplace();
  request.cache_salt->fill(0xab);
  const json::object mine = body_of(request);
  request.cache_salt->fill(0xcd);
  EXPECT_NE(mine.at("cache_salt"), body_of(request).at("cache_salt"));
  EXPECT_EQ(mine.at("cache_salt").as_string().size(), 2 * request.cache_salt->size());
  EXPECT_FALSE(body_of(request, EngineKind::kOpenAi).contains("cache_salt"));
}

TEST(RequestBody, RepetitionHasLlamasOwnName) {
  GenerateRequest request = asking();
  request.sampling.repetition_penalty = 1.5;
  EXPECT_TRUE(body_of(request, EngineKind::kLlamaCpp).contains("repeat_penalty"));
  EXPECT_TRUE(body_of(request, EngineKind::kVllm).contains("repetition_penalty"));
}

}  // namespace
}  // namespace tidegate::worker::external::request_body_test
