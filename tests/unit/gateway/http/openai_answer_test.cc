#include "gateway/http/openai_answer.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "base/core/json_text.h"
#include "base/json/json.h"
#include "gateway/http/chat_answer.h"
#include "tests/support/sequential_ids.h"
#include "tests/unit/gateway/http/golden_end.h"

namespace tidegate::gateway::openai_answer_test {
namespace {

using test::end_with;

AnswerHead head() {
  AnswerHead h;
  h.request = RequestId{tidegate::test::SequentialIds::make(1)};
  h.model = "deepseek-v4-pro";
  h.variant = "fp8";
  h.weights_digest = "sha256:0123456789abcdef";
  h.created = wall_from_unix_micros(1'795'300'000'000'000);
  return h;
}

AnswerEnd end_with_receipt() {
  AnswerEnd end = end_with("stop");
  end.settlement.receipt = "\xfb\xff";
  return end;
}

constexpr const char* kId = R"("id":"chatcmpl-01956a3e-7c00-7000-8000-000000000001")";

TEST(OpenAiAnswer, StreamIsTheGoldenTranscript) {
  ChatDialect dialect(true);
  std::string out;
  dialect.append_text(out, head(), "I need the date.", "Hi");
  dialect.append_end(out, head(), end_with("stop"));
  const std::string start = std::string("data: {") + kId +
                            R"(,"object":"chat.completion.chunk","created":1795300000,"model":"deepseek-v4-pro",)"
                            R"("system_fingerprint":"fp_0123456789ab")";
  const std::string golden =
      start + R"(,"variant":"fp8","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"usage":null})" + "\n\n" +
      start + R"(,"choices":[{"index":0,"delta":{"reasoning_content":"I need the date."},"logprobs":null,"finish_reason":null}],"usage":null})" + "\n\n" +
      start + R"(,"choices":[{"index":0,"delta":{"content":"Hi"},"logprobs":null,"finish_reason":null}],"usage":null})" + "\n\n" +
      start + R"(,"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null})" + "\n\n" +
      start + R"(,"variant":"fp8","choices":[],"usage":{"prompt_tokens":1861,"completion_tokens":24,"total_tokens":1885,)"
              R"("prompt_tokens_details":{"cached_tokens":1856},"completion_tokens_details":{"reasoning_tokens":6},)"
              R"("prompt_cache_hit_tokens":1856,"prompt_cache_miss_tokens":5,"cost":0.000091652,)"
              R"("cost_details":{"amount":"0.000091652","currency":"USD","band":"off-peak","price_version":"2026-08-17/1"}}})" + "\n\n" +
      "data: [DONE]\n\n";
  EXPECT_EQ(out, golden);
}

TEST(OpenAiAnswer, UsageChunkIsNeverSentUnasked) {
  ChatDialect dialect(false);
  std::string out;
  dialect.append_text(out, head(), "", "x");
  dialect.append_end(out, head(), end_with("length"));
  EXPECT_EQ(out.find("usage"), std::string::npos);
  EXPECT_EQ(out.find("\"choices\":[]"), std::string::npos);
}

TEST(OpenAiAnswer, AKeepAliveOpensNothing) {
  ChatDialect dialect(false);
  std::string out;
  dialect.append_keep_alive(out, head());
  EXPECT_EQ(out, ": keep-alive\n\n") << "who serves is not known yet";
  dialect.append_text(out, head(), "", "");
  EXPECT_NE(out.find(R"("role":"assistant")"), std::string::npos);
}

TEST(OpenAiAnswer, ACutIsAnErrorFrameAndNoDone) {
  ChatDialect dialect(false);
  std::string out;
  dialect.append_cut(out, head(), to_api_error(Error(Code::kUnavailable, "worker_lost", "Send it again.")));
  EXPECT_EQ(out, R"(data: {"error":{"message":"Send it again.","type":"server_error","param":null,"code":"worker_lost"}})"
                 "\n\n");
}

TEST(OpenAiAnswer, TheReceiptIsAFieldOfTheUsageChunkOrACommentThatClientsSkip) {
  const auto end_of = [](bool include_usage) {
    ChatDialect dialect(include_usage);
    std::string out;
    dialect.append_text(out, head(), "", "x");
    out.clear();
    dialect.append_end(out, head(), end_with_receipt());
    return out;
  };
  EXPECT_NE(end_of(true).find(R"(}},"receipt":"-_8"})"), std::string::npos) << end_of(true);
  EXPECT_EQ(end_of(true).find("x-tidegate-receipt"), std::string::npos);
  EXPECT_TRUE(end_of(false).ends_with(": x-tidegate-receipt -_8\n\ndata: [DONE]\n\n")) << end_of(false);
}

TEST(OpenAiAnswer, AWholeAnswerHoldsItsReceiptToo) {
  ChatDialect dialect(false);
  const auto parsed = json::parse(dialect.body(head(), "", "x", end_with_receipt()));
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  EXPECT_EQ(parsed->get_object().at("receipt"), "-_8") << "its header may have left before it was known";
}

TEST(OpenAiAnswer, BodyIsOneValidObject) {
  ChatDialect dialect(false);
  const auto parsed = json::parse(dialect.body(head(), "think \"q\"", "line\nbreak", end_with("stop")));
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  const json::object& root = parsed->get_object();
  EXPECT_EQ(root.at("object"), "chat.completion");
  EXPECT_EQ(root.at("variant"), "fp8");
  const json::object& choice = root.at("choices").at(0).get_object();
  EXPECT_EQ(choice.at("message").at("content"), "line\nbreak");
  EXPECT_EQ(choice.at("message").at("reasoning_content"), "think \"q\"");
  EXPECT_TRUE(choice.at("message").at("refusal").is_null());
  EXPECT_EQ(choice.at("finish_reason"), "stop");
  const json::object& usage = root.at("usage").get_object();
  EXPECT_EQ(usage.at("total_tokens"), 1885);
  EXPECT_TRUE(usage.at("cost").is_double());
  EXPECT_EQ(usage.at("cost_details").at("amount"), "0.000091652");
}

TEST(OpenAiAnswer, AnswerWithoutThinkingHasNoReasoningKey) {
  ChatDialect dialect(false);
  EXPECT_EQ(dialect.body(head(), "", "x", end_with("stop")).find("reasoning_content"), std::string::npos);
}

TEST(OpenAiAnswer, FingerprintFollowsTheWeights) {
  EXPECT_EQ(system_fingerprint("sha256:abcdef0123456789"), "fp_abcdef012345");
  EXPECT_EQ(system_fingerprint(""), "");
}

TEST(OpenAiAnswer, AFingerprintHasDigitsOnlyWhateverAWorkerCallsItsWeights) {
  EXPECT_EQ(system_fingerprint("sha256:0123456789a\u00e9"), "fp_0123456789a") << "not half of a character";
  EXPECT_EQ(system_fingerprint("\u4e2d\u4e2d\u4e2d\u4e2d\u4e2d"), "");
}

TEST(JsonText, EscapesExactlyWhatJsonMustEscape) {
  std::string text;
  for (int c = 1; c < 0x80; ++c) text += static_cast<char>(c);
  text += "\u00e9\u4e2d\U0001f30a";
  text += '\0';
  std::string out;
  append_json_text(out, text);
  const auto parsed = json::parse(out);
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  EXPECT_EQ(std::string_view(parsed->get_string()), text);
}

}  // namespace
}  // namespace tidegate::gateway::openai_answer_test
