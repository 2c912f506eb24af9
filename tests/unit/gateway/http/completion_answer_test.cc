#include "gateway/http/completion_answer.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "base/json/json.h"
#include "tests/support/sequential_ids.h"

namespace tidegate::gateway {
namespace {

AnswerHead head() {
  AnswerHead h;
  h.request = RequestId{test::SequentialIds::make(1)};
  h.model = "tang-moe";
  h.variant = "fp8";
  h.weights_digest = "sha256:0123456789abcdef";
  h.created = wall_from_unix_micros(1'795'300'000'000'000);
  return h;
}

AnswerEnd end(std::string content) {
  AnswerEnd e;
  e.content = std::move(content);
  e.finish_reason = "length";
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

TEST(CompletionAnswer, AStreamIsChunksOfTheSameObjectToTheByte) {
  const auto form = make_completion_form(true, "");
  std::string out;
  form->append_start(out, head());
  EXPECT_EQ(out, "") << "no role: this dialect has none";
  form->append_text(out, "", "line\nbreak");
  form->append_text(out, "", "");
  form->append_finish(out, "length");
  const AnswerEnd last = end("");
  form->append_usage(out, last.usage, last.settlement);
  const std::string null_usage = R"(,"usage":null)";
  EXPECT_EQ(out, chunk(R"(line\nbreak)", "null", null_usage) + chunk("", R"("length")", null_usage) + kStart +
                     R"(,"variant":"fp8","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":3,)"
                     R"("total_tokens":8,"prompt_tokens_details":{"cached_tokens":2},)"
                     R"("completion_tokens_details":{"reasoning_tokens":0},"prompt_cache_hit_tokens":2,)"
                     R"("prompt_cache_miss_tokens":3,"cost":0.000011,"cost_details":{"amount":"0.000011",)"
                     R"("currency":"USD","band":"off-peak","price_version":"book/1"}}})" +
                     "\n\n");
}

TEST(CompletionAnswer, UsageIsNeverSentUnasked) {
  const auto form = make_completion_form(false, "");
  std::string out;
  form->append_start(out, head());
  form->append_text(out, "", "x");
  form->append_finish(out, "stop");
  form->append_usage(out, end("").usage, end("").settlement);
  EXPECT_EQ(out, chunk("x", "null") + chunk("", R"("stop")"));
}

TEST(CompletionAnswer, EchoIsTheFirstChunkOrTheFirstPartOfTheText) {
  const auto form = make_completion_form(false, "Once ");
  std::string out;
  form->append_start(out, head());
  form->append_text(out, "", "upon");
  EXPECT_EQ(out, chunk("Once ", "null") + chunk("upon", "null"));

  const auto parsed = json::parse(form->whole(head(), end("upon")));
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  EXPECT_EQ(parsed->get_object().at("choices").at(0).at("text"), "Once upon");
}

TEST(CompletionAnswer, AWholeAnswerIsOneValidObject) {
  AnswerEnd last = end("a \"q\"");
  last.settlement.receipt = "\xfb\xff";
  const auto parsed = json::parse(make_completion_form(false, "")->whole(head(), last));
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
}  // namespace tidegate::gateway
