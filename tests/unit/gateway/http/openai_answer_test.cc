#include "gateway/http/openai_answer.h"

#include <gtest/gtest.h>

#include "base/json/json.h"
#include "gateway/http/json_text.h"
#include "tests/support/sequential_ids.h"

namespace tidegate::gateway {
namespace {

OpenAiHead head() {
  OpenAiHead h;
  h.request = RequestId{test::SequentialIds::make(1)};
  h.model = "deepseek-v4-pro";
  h.variant = "fp8";
  h.weights_digest = "sha256:0123456789abcdef";
  h.created = wall_from_unix_micros(1'795'300'000'000'000);
  return h;
}

/// The golden numbers of research: 40.832 + 3.3 + 47.52 = 91.652 per million.
const TokenUsage kUsage{.prompt = 1'861, .cached = 1'856, .completion = 24, .reasoning = 6};
Settlement settlement() {
  Settlement s;
  s.amount = Money::parse("0.000091652").value();
  s.currency = "USD";
  s.band = "off-peak";
  s.price_version = "2026-08-17/1";
  return s;
}

constexpr const char* kId = R"("id":"chatcmpl-01956a3e-7c00-7000-8000-000000000001")";

TEST(OpenAiAnswer, StreamIsTheGoldenTranscript) {
  const OpenAiChunks chunks(head(), true);
  std::string out;
  chunks.append_role(out);
  chunks.append_reasoning(out, "I need the date.");
  chunks.append_content(out, "Hi");
  chunks.append_finish(out, "stop");
  chunks.append_usage(out, kUsage, settlement());
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
              R"("cost_details":{"amount":"0.000091652","currency":"USD","band":"off-peak","price_version":"2026-08-17/1"}}})" + "\n\n";
  EXPECT_EQ(out, golden);
}

TEST(OpenAiAnswer, UsageChunkIsNeverSentUnasked) {
  const OpenAiChunks chunks(head(), false);
  std::string out;
  chunks.append_role(out);
  chunks.append_content(out, "x");
  chunks.append_finish(out, "length");
  chunks.append_usage(out, kUsage, settlement());
  EXPECT_EQ(out.find("usage"), std::string::npos);
  EXPECT_EQ(out.find("\"choices\":[]"), std::string::npos);
}

TEST(OpenAiAnswer, TheReceiptIsAFieldOfTheUsageChunkOrACommentThatClientsSkip) {
  Settlement with_receipt = settlement();
  with_receipt.receipt = "\xfb\xff";
  std::string asked;
  OpenAiChunks(head(), true).append_usage(asked, kUsage, with_receipt);
  const auto parsed = json::parse(std::string_view(asked).substr(6));
  ASSERT_TRUE(parsed) << asked;
  EXPECT_EQ(parsed->get_object().at("receipt"), "-_8");
  std::string unasked;
  OpenAiChunks(head(), false).append_usage(unasked, kUsage, with_receipt);
  EXPECT_EQ(unasked, ": x-tidegate-receipt -_8\n\n");
}

TEST(OpenAiAnswer, AWholeAnswerHoldsItsReceiptToo) {
  Settlement with_receipt = settlement();
  with_receipt.receipt = "\xfb\xff";
  const auto parsed = json::parse(openai_completion(head(), "", "x", "stop", kUsage, with_receipt));
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  EXPECT_EQ(parsed->get_object().at("receipt"), "-_8") << "its header may have left before it was known";
}

TEST(OpenAiAnswer, BodyIsOneValidObject) {
  const auto parsed = json::parse(openai_completion(head(), "think \"q\"", "line\nbreak", "stop", kUsage, settlement()));
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
  EXPECT_EQ(openai_completion(head(), "", "x", "stop", kUsage, settlement()).find("reasoning_content"), std::string::npos);
}

TEST(OpenAiAnswer, FingerprintFollowsTheWeights) {
  EXPECT_EQ(system_fingerprint("sha256:abcdef0123456789"), "fp_abcdef012345");
  EXPECT_EQ(system_fingerprint(""), "");
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
}  // namespace tidegate::gateway
