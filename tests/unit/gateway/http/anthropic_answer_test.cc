#include "gateway/http/anthropic_answer.h"

#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <utility>

#include "base/json/json.h"
#include "base/net/sse.h"
#include "tests/support/sequential_ids.h"
#include "tests/unit/gateway/http/golden_end.h"

namespace tidegate::gateway::anthropic_answer_test {
namespace {

using test::end_with;

const std::string kRequest = "01956a3e-7c00-7000-8000-000000000001";

AnswerHead head() {
  AnswerHead h;
  h.request = RequestId{tidegate::test::SequentialIds::make(1)};
  h.model = "deepseek-v4-pro";
  h.variant = "fp8";
  h.accepted = {.prompt = 1'861, .cached = 1'856};
  return h;
}

std::string event(const std::string& name, const std::string& rest) {
  return "event: " + name + "\ndata: {\"type\":\"" + name + "\"" + rest + "}\n\n";
}

const std::string kStart =
    event("message_start",
          R"(,"message":{"id":"msg_)" + kRequest +
              R"(","type":"message","role":"assistant","model":"deepseek-v4-pro","variant":"fp8","content":[],)"
              R"("stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":5,"cache_creation_input_tokens":0,)"
              R"("cache_read_input_tokens":1856,"output_tokens":0,"output_tokens_details":{"thinking_tokens":0}}})");
const std::string kUsage =
    R"("usage":{"input_tokens":5,"cache_creation_input_tokens":0,"cache_read_input_tokens":1856,"output_tokens":24,)"
    R"("output_tokens_details":{"thinking_tokens":6},"cost":0.000091652,"cost_details":{"amount":"0.000091652",)"
    R"("currency":"USD","band":"off-peak","price_version":"2026-08-17/1"}})";
const std::string kPing = event("ping", "");

TEST(AnthropicAnswer, StreamRunsFromThinkingToText) {
  AnthropicDialect dialect;
  std::string out;
  dialect.append_text(out, head(), "I need ", "");
  dialect.append_text(out, head(), "the date.", "Hi");
  dialect.append_text(out, head(), "", "!");
  dialect.append_end(out, head(), end_with("stop"));
  const std::string golden =
      kStart +
      event("content_block_start", R"(,"index":0,"content_block":{"type":"thinking","thinking":"","signature":""})") +
      event("content_block_delta", R"(,"index":0,"delta":{"type":"thinking_delta","thinking":"I need "})") +
      event("content_block_delta", R"(,"index":0,"delta":{"type":"thinking_delta","thinking":"the date."})") +
      event("content_block_delta", R"(,"index":0,"delta":{"type":"signature_delta","signature":")" + kRequest + "\"}") +
      event("content_block_stop", R"(,"index":0)") +
      event("content_block_start", R"(,"index":1,"content_block":{"type":"text","text":""})") +
      event("content_block_delta", R"(,"index":1,"delta":{"type":"text_delta","text":"Hi"})") +
      event("content_block_delta", R"(,"index":1,"delta":{"type":"text_delta","text":"!"})") +
      event("content_block_stop", R"(,"index":1)") +
      event("message_delta", R"(,"delta":{"stop_reason":"end_turn","stop_sequence":null},)" + kUsage) +
      event("message_stop", "");
  EXPECT_EQ(out, golden);
}

TEST(AnthropicAnswer, AnAnswerWithoutTextHasNoBlocks) {
  AnthropicDialect dialect;
  std::string out;
  dialect.append_text(out, head(), "", "");
  dialect.append_end(out, head(), end_with("stop"));
  EXPECT_EQ(out, kStart +
                     event("message_delta", R"(,"delta":{"stop_reason":"end_turn","stop_sequence":null},)" + kUsage) +
                     event("message_stop", ""));
}

TEST(AnthropicAnswer, ThinkingThatFillsTheAnswerIsSignedAndClosed) {
  AnthropicDialect dialect;
  std::string out;
  dialect.append_text(out, head(), "hm", "");
  dialect.append_end(out, head(), end_with("length"));
  EXPECT_NE(out.find(R"("type":"signature_delta")"), std::string::npos);
  EXPECT_NE(out.find(event("content_block_stop", R"(,"index":0)")), std::string::npos);
  EXPECT_NE(out.find(R"("stop_reason":"max_tokens","stop_sequence":null)"), std::string::npos);
}

TEST(AnthropicAnswer, AStopStringIsNamed) {
  AnthropicDialect dialect;
  std::string out;
  dialect.append_text(out, head(), "", "x");
  dialect.append_end(out, head(), end_with("stop", "END\n"));
  EXPECT_NE(out.find(R"("stop_reason":"stop_sequence","stop_sequence":"END\n")"), std::string::npos);
  AnthropicDialect whole;
  EXPECT_NE(whole.body(head(), "", "x", end_with("stop", "END"))
                .find(R"("stop_reason":"stop_sequence","stop_sequence":"END")"),
            std::string::npos);
}

TEST(AnthropicAnswer, APingBeforeThePromptWasCountedOpensNothing) {
  AnthropicDialect dialect;
  AnswerHead waiting = head();
  waiting.accepted = {};
  std::string out;
  dialect.append_keep_alive(out, waiting);
  EXPECT_EQ(out, kPing);
  out.clear();
  dialect.append_keep_alive(out, head());
  EXPECT_EQ(out, kStart + kPing) << "the prompt is known, and a client sees that its answer began";
  out.clear();
  dialect.append_keep_alive(out, head());
  dialect.append_text(out, head(), "", "x");
  EXPECT_EQ(out.find("message_start"), std::string::npos) << "once";
  EXPECT_TRUE(out.starts_with(kPing));
}

TEST(AnthropicAnswer, APingAmongTextLeavesTheBlockOpen) {
  AnthropicDialect dialect;
  std::string out;
  dialect.append_text(out, head(), "", "a");
  out.clear();
  dialect.append_keep_alive(out, head());
  dialect.append_text(out, head(), "", "b");
  EXPECT_EQ(out, kPing + event("content_block_delta", R"(,"index":0,"delta":{"type":"text_delta","text":"b"})"));
}

TEST(AnthropicAnswer, ACutIsAnErrorEventAndNothingElse) {
  AnthropicDialect dialect;
  std::string out;
  dialect.append_text(out, head(), "", "a");
  out.clear();
  dialect.append_cut(out, head(), to_api_error(Error(Code::kUnavailable, "worker_lost", "Send it \"again\".")));
  const std::string golden =
      "event: error\ndata: " +
      std::string(R"({"type":"error","error":{"type":"api_error","message":"Send it \"again\".",)"
                  R"("details":{"error_code":"worker_lost","param":null}},"request_id":")") +
      kRequest + "\"}\n\n";
  EXPECT_EQ(out, golden);
}

TEST(AnthropicAnswer, TheReceiptStandsBesideTheUsage) {
  AnthropicDialect dialect;
  AnswerEnd end = end_with("stop");
  end.settlement.receipt = "\xfb\xff";
  std::string out;
  dialect.append_text(out, head(), "", "x");
  dialect.append_end(out, head(), end);
  EXPECT_NE(out.find(kUsage + R"(,"receipt":"-_8"})"), std::string::npos) << out;
  AnthropicDialect whole;
  EXPECT_TRUE(whole.body(head(), "", "x", end).ends_with(kUsage + R"(,"receipt":"-_8"})"))
      << "its header may have left before it was known";
}

TEST(AnthropicAnswer, EveryEventOfManyCharactersIsWholeJson) {
  AnthropicDialect dialect;
  const std::string characters[] = {"é", "中", "\U0001f30a", "\"", "\n", "\\", "\x01", "x"};
  std::string out;
  std::string sent;
  for (const std::string& character : characters) {
    dialect.append_text(out, head(), "", character);
    sent += character;
  }
  std::string got;
  sse::Parser parser([&](const sse::Parser::Event& one) {
    const json::value data = json::parse(one.data).value();
    if (one.name == "content_block_delta") got += std::string_view(data.at("delta").at("text").as_string());
  });
  ASSERT_TRUE(parser.feed(out));
  EXPECT_EQ(got, sent);
}

TEST(AnthropicAnswer, BodyIsOneValidObject) {
  AnthropicDialect dialect;
  const auto parsed = json::parse(dialect.body(head(), "think \"q\"", "line\nbreak", end_with("stop")));
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  const json::object& root = parsed->get_object();
  EXPECT_EQ(root.at("type"), "message");
  EXPECT_EQ(root.at("role"), "assistant");
  EXPECT_EQ(root.at("model"), "deepseek-v4-pro");
  EXPECT_EQ(root.at("variant"), "fp8");
  EXPECT_EQ(root.at("content").as_array().size(), 2U);
  EXPECT_EQ(root.at("content").at(0).at("type"), "thinking");
  EXPECT_EQ(root.at("content").at(0).at("thinking"), "think \"q\"");
  EXPECT_EQ(std::string_view(root.at("content").at(0).at("signature").as_string()), kRequest);
  EXPECT_EQ(root.at("content").at(1).at("text"), "line\nbreak");
  EXPECT_EQ(root.at("stop_reason"), "end_turn");
  EXPECT_TRUE(root.at("stop_sequence").is_null());
  EXPECT_EQ(root.at("usage").at("input_tokens"), 5) << "what the cache had is beside it, not in it";
  EXPECT_EQ(root.at("usage").at("cache_read_input_tokens"), 1'856);
  EXPECT_EQ(root.at("usage").at("output_tokens"), 24);
  EXPECT_EQ(root.at("usage").at("cost_details").at("amount"), "0.000091652");
}

TEST(AnthropicAnswer, BodyHasOnlyTheBlocksThereAre) {
  AnthropicDialect dialect;
  EXPECT_NE(dialect.body(head(), "", "x", end_with("stop")).find(R"("content":[{"type":"text","text":"x"}])"),
            std::string::npos);
  EXPECT_NE(dialect.body(head(), "", "", end_with("stop")).find(R"("content":[])"), std::string::npos);
}

TEST(AnthropicAnswer, EveryErrorHasAnthropicsFamily) {
  const std::tuple<Code, const char*, const char*> cases[] = {
      {Code::kInvalidArgument, "invalid_json", "invalid_request_error"},
      {Code::kInvalidArgument, "request_too_large", "request_too_large"},
      {Code::kUnauthenticated, "invalid_api_key", "authentication_error"},
      {Code::kResourceExhausted, "insufficient_balance", "billing_error"},
      {Code::kResourceExhausted, "budget_exceeded", "billing_error"},
      {Code::kResourceExhausted, "rate_limit_exceeded", "rate_limit_error"},
      {Code::kPermissionDenied, "model_not_allowed", "permission_error"},
      {Code::kNotFound, "model_not_found", "not_found_error"},
      {Code::kUnimplemented, "method_not_allowed", "invalid_request_error"},
      {Code::kAborted, "in_flight", "conflict_error"},
      {Code::kResourceExhausted, "queue_timeout", "overloaded_error"},
      {Code::kUnavailable, "worker_lost", "api_error"},
      {Code::kDeadlineExceeded, "deadline_exceeded", "timeout_error"},
      {Code::kInternal, "bug", "api_error"},
  };
  for (const auto& [code, reason, family] : cases) {
    EXPECT_EQ(anthropic_error_type(to_api_error(Error(code, reason, "m"))), family) << reason;
  }
}

TEST(AnthropicAnswer, AnErrorNamesItsFieldAndItsRequest) {
  const auto parsed = json::parse(anthropic_error_body(
      to_api_error(Error(Code::kInvalidArgument, "invalid_value", "'top_p' must be at most 1.", "top_p")),
      head().request));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->at("type"), "error");
  EXPECT_EQ(parsed->at("error").at("type"), "invalid_request_error");
  EXPECT_EQ(parsed->at("error").at("message"), "'top_p' must be at most 1.");
  EXPECT_EQ(parsed->at("error").at("details").at("error_code"), "invalid_value");
  EXPECT_EQ(parsed->at("error").at("details").at("param"), "top_p");
  EXPECT_EQ(std::string_view(parsed->at("request_id").as_string()), kRequest);
}

}  // namespace
}  // namespace tidegate::gateway::anthropic_answer_test
