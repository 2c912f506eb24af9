#include "gateway/http/completion_answer.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "base/json/json.h"
#include "tests/support/sequential_ids.h"

namespace tidegate::gateway::completion_answer_test {
namespace {

AnswerHead head() {
  AnswerHead h;
  h.request = RequestId{tidegate::test::SequentialIds::make(1)};
  h.model = "tang-moe";
  h.variant = "fp8";
  h.weights_digest = "sha256:0123456789abcdef";
  h.created = wall_from_unix_micros(1'795'300'000'000'000);
  return h;
}

AnswerEnd end(std::string finish_reason) {
  AnswerEnd e;
  e.finish_reason = std::move(finish_reason);
  e.usage = {.prompt = 5, .cached = 2, .completion = 3};
  e.settlement.amount = Money::parse("0.000011").value();
  e.settlement.currency = "USD";
  e.settlement.band = "off-peak";
  e.settlement.price_version = "book/1";
  return e;
}

const std::string kStart =
    R"(data: {"id":"cmpl-01956a3e-7c00-7000-8000-000000000001","object":"text_completion","created":1795300000,)"
    R"("model":"tang-moe","system_fingerprint":"fp_0123456789ab")";

std::string chunk(const std::string& text, const std::string& finish, const std::string& usage = "") {
  return kStart + (finish == "null" ? "" : R"(,"variant":"fp8")") + R"(,"choices":[{"text":")" + text +
         R"(","index":0,"logprobs":null,"finish_reason":)" + finish + "}]" + usage + "}\n\n";
}

const std::string kDone = "data: [DONE]\n\n";

TEST(CompletionAnswer, AStreamIsChunksOfTheSameObjectToTheByte) {
  CompletionDialect dialect(true, "");
  std::string out;
  dialect.append_text(out, head(), "", "");
  EXPECT_EQ(out, "") << "no role: this dialect has none";
  dialect.append_text(out, head(), "thinking is left out", "line\nbreak");
  dialect.append_end(out, head(), end("length"));
  const std::string null_usage = R"(,"usage":null)";
  EXPECT_EQ(out, chunk(R"(line\nbreak)", "null", null_usage) + chunk("", R"("length")", null_usage) + kStart +
                     R"(,"variant":"fp8","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":3,)"
                     R"("total_tokens":8,"prompt_tokens_details":{"cached_tokens":2},)"
                     R"("completion_tokens_details":{"reasoning_tokens":0},"prompt_cache_hit_tokens":2,)"
                     R"("prompt_cache_miss_tokens":3,"cost":0.000011,"cost_details":{"amount":"0.000011",)"
                     R"("currency":"USD","band":"off-peak","price_version":"book/1"}}})" +
                     "\n\n" + kDone);
}

TEST(CompletionAnswer, UsageIsNeverSentUnasked) {
  CompletionDialect dialect(false, "");
  std::string out;
  dialect.append_text(out, head(), "", "x");
  dialect.append_end(out, head(), end("stop"));
  EXPECT_EQ(out, chunk("x", "null") + chunk("", R"("stop")") + kDone);
}

TEST(CompletionAnswer, EchoIsTheFirstChunkOrTheFirstPartOfTheText) {
  CompletionDialect dialect(false, "Once ");
  std::string out;
  dialect.append_text(out, head(), "", "upon");
  dialect.append_text(out, head(), "", " a time");
  EXPECT_EQ(out, chunk("Once ", "null") + chunk("upon", "null") + chunk(" a time", "null"));

  CompletionDialect whole(false, "Once ");
  const auto parsed = json::parse(whole.body(head(), "", "upon", end("length")));
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  EXPECT_EQ(parsed->get_object().at("choices").at(0).at("text"), "Once upon");
}

TEST(CompletionAnswer, AWholeAnswerIsOneValidObject) {
  AnswerEnd last = end("length");
  last.settlement.receipt = "\xfb\xff";
  CompletionDialect dialect(false, "");
  const auto parsed = json::parse(dialect.body(head(), "", "a \"q\"", last));
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  const json::object& root = parsed->get_object();
  EXPECT_EQ(root.at("id"), "cmpl-01956a3e-7c00-7000-8000-000000000001");
  EXPECT_EQ(root.at("object"), "text_completion");
  EXPECT_EQ(root.at("model"), "tang-moe");
  EXPECT_EQ(root.at("variant"), "fp8");
  EXPECT_EQ(root.at("receipt"), "-_8");
  const json::object& choice = root.at("choices").at(0).get_object();
  EXPECT_EQ(choice.at("text"), "a \"q\"");
  EXPECT_EQ(choice.at("index"), 0);
  EXPECT_TRUE(choice.at("logprobs").is_null());
  EXPECT_EQ(choice.at("finish_reason"), "length");
  EXPECT_EQ(root.at("usage").at("total_tokens"), 8);
}

}  // namespace
}  // namespace tidegate::gateway::completion_answer_test
